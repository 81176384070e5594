"""A small model that labels pixels, and images for it."""

import numpy as np
from scipy.ndimage import uniform_filter
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state

from skal._rows import as_objects


class PixelClassifier(ClassifierMixin, BaseEstimator):
    """Logistic regression of each pixel's class on its value and the mean around it.

    Draws are members, each fitted on a bootstrap sample of the images.
    """

    labels_pixels = True

    def __init__(self, n_members=3, ignore_index=-1, random_state=None):
        self.n_members = n_members
        self.ignore_index = ignore_index
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        images, masks = list(X), [np.asarray(mask) for mask in y]
        assert len(images) == len(masks)
        assert all(np.shape(image)[-2:] == mask.shape for image, mask in zip(images, masks, strict=True))
        has_label = [mask != self.ignore_index for mask in masks]
        self.classes_ = np.unique(
            np.concatenate([mask[at] for mask, at in zip(masks, has_label, strict=True)])
        )
        if len(self.classes_) < 2:
            raise ValueError("one class")
        rng = check_random_state(self.random_state)
        n = len(images)
        self.n_fitted_, self.weights_ = n, sample_weight
        self.model_ = self._fitted(images, masks, range(n))
        self.members_ = [self._fitted(images, masks, rng.randint(n, size=n)) for _ in range(self.n_members)]
        return self

    def predict_proba(self, X):
        return self._answer(X, lambda image: self._proba(self.model_, image))

    def predict(self, X):
        return self._answer(X, lambda image: self.classes_[self._proba(self.model_, image).argmax(-1)])

    def sample_proba(self, X, n_draws=None, *, random_state=None):
        members = self.members_[: n_draws or self.n_members]
        answer = self._answer(X, lambda image: np.stack([self._proba(m, image) for m in members]))
        return answer if answer.dtype == object else np.moveaxis(answer, 0, 1)

    def embed(self, X):
        return np.stack([_features(image).mean(axis=(0, 1)) for image in X])

    def score(self, X, y, sample_weight=None):
        """Share of the pixels with a label that are right, on average over images."""
        shares = [
            (predicted == mask)[mask != self.ignore_index].mean()
            for predicted, mask in zip(self.predict(X), y, strict=True)
        ]
        return float(np.average(shares, weights=sample_weight))

    def _answer(self, X, function):
        answers = [function(np.asarray(image)) for image in X]
        is_array = isinstance(X, np.ndarray) and X.dtype != object
        return np.stack(answers) if is_array else as_objects(answers)

    def _fitted(self, images, masks, chosen):
        columns = np.concatenate([_features(images[i]).reshape(-1, 2) for i in chosen])
        targets = np.concatenate([masks[i].ravel() for i in chosen])
        has_label = targets != self.ignore_index
        columns, targets = columns[has_label], targets[has_label]
        if len(np.unique(targets)) < len(self.classes_):  # a bootstrap sample may lack one
            return self.model_
        return LogisticRegression(max_iter=50, tol=1e-2).fit(columns, targets)

    def _proba(self, model, image):
        features = _features(image)
        return model.predict_proba(features.reshape(-1, 2)).reshape(*features.shape[:2], -1)


def _features(image):
    image = np.asarray(image, dtype=np.float64)
    image = image.mean(axis=0) if image.ndim == 3 else image
    return np.stack([image, uniform_filter(image, 3)], axis=-1)


def blobs(sizes, seed=0, n_classes=2):
    """Images with bright squares in noise, and their masks; -> list of images, list of masks."""
    rng = np.random.RandomState(seed)
    images, masks = [], []
    for height, width in sizes:
        mask = np.zeros((height, width), dtype=int)
        for label in range(1, n_classes):
            top, left = rng.randint(height - 2), rng.randint(width - 2)
            mask[top : top + rng.randint(2, 5), left : left + rng.randint(2, 5)] = label
        noise = rng.uniform(0.2, 1.2) * rng.normal(size=mask.shape)
        images.append(mask + noise)
        masks.append(mask)
    return images, masks


def same_size(n, size=8, **params):
    """The same as arrays of shape (n, size, size)."""
    images, masks = blobs([(size, size)] * n, **params)
    return np.stack(images), np.stack(masks)


def different_sizes(n, seed=0, **params):
    """The same as lists of three sizes in turns."""
    return blobs([((6, 9), (8, 8), (10, 7))[i % 3] for i in range(n)], seed=seed, **params)
