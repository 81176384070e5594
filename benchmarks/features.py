"""Features of real images for the benchmarks, made once and kept.

    SKAL_DATA=folder python benchmarks/features.py    # makes all, and reports what they are worth

The folder holds ``mnist.npz`` (without it MNIST is downloaded; see `skal.datasets.load`) and, for CIFAR-10,
``cifar10_train_jpeg.npz`` and ``cifar10_test_jpeg.npz``: ``jpeg`` (the files one after the other, uint8),
``offsets`` (n + 1,) and ``y``. What is made lies in the folder that the environment variable ``SKAL_CACHE``
names, else in ``~/.cache/skal-benchmarks``, as ``.npy``.

Two kinds. *Activations* are those before the last layer of a small CNN that was trained on 5,000 labels: for
measuring speed, where only the shape of the cloud matters. *Self-supervised* features come from an encoder
that has seen images and no label: for measuring what strategies are worth. They take five minutes of one
core. Logistic regression on 1,000 random labels is right on 0.957 of MNIST's test rows with them, and on
0.877 with as many principal components of the pixels; on CIFAR-10 on 0.517 and 0.329.
"""

import io
import os
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA

from skal import datasets

SEED = 0


def mnist_activations():
    """Of a CNN trained on 5,000 labelled images; -> (60000, 128) float32."""
    return _kept("mnist_activations", ("X",), partial(_activations, "mnist", hidden=128))[0]


def cifar10_activations():
    """Of a CNN trained on 5,000 labelled images; -> (50000, 512) float32."""
    return _kept("cifar10_activations", ("X",), partial(_activations, "cifar10", hidden=512))[0]


def self_supervised(name, n=None):
    """Features that have seen no label, of the first n images; -> X (n, m) float32, y, X_test, y_test.

    Parameters
    ----------
    name : "mnist" or "cifar10"
    n : int or None, default=None
        None is all 60,000 or 50,000. The order of both data sets is random. Test rows are always 10,000.
    """
    parts = ("X", "y", "X_test", "y_test")
    X, y, X_test, y_test = _kept(f"{name}_self_supervised", parts, partial(_patch_features, name))
    return X[:n], y[:n], X_test, y_test


def images(name):
    """Images (n, h, w, channels) uint8 and labels, of training and test; -> X, y, X_test, y_test."""
    if name == "mnist":
        mnist = datasets.load("mnist")
        return mnist.X[..., np.newaxis], mnist.y, mnist.X_test[..., np.newaxis], mnist.y_test
    return *_jpegs("cifar10_train_jpeg.npz"), *_jpegs("cifar10_test_jpeg.npz")


def _jpegs(name):
    from PIL import Image

    if "SKAL_DATA" not in os.environ:
        raise ValueError(f"{name} is looked for in the folder that SKAL_DATA names; set it.")
    with np.load(Path(os.environ["SKAL_DATA"], name), allow_pickle=False) as file:
        jpeg, offsets, y = file["jpeg"].tobytes(), file["offsets"], file["y"]
    files = [jpeg[start:end] for start, end in pairwise(offsets)]
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files]), y


def _kept(name, parts, make):
    """The arrays under this name, made at the first call."""
    folder = Path(os.environ.get("SKAL_CACHE") or Path.home() / ".cache" / "skal-benchmarks")
    paths = [folder / f"{name}_{part}.npy" for part in parts]
    if not all(path.is_file() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        for path, array in zip(paths, make(), strict=True):
            # Renamed when complete: another process may be reading, or making the same.
            draft = path.with_name(f"{path.stem}-{os.getpid()}.npy")
            np.save(draft, array)
            draft.replace(path)
    return [np.load(path, allow_pickle=False) for path in paths]


def _activations(name, hidden, n_labeled=5000, n_block=500):
    import torch

    from skal.nets import NetClassifier, SmallCNN

    X, y, _, _ = images(name)
    X = X[..., 0] if X.shape[-1] == 1 else X
    net = NetClassifier(SmallCNN, module__hidden=hidden, max_epochs=5, random_state=SEED)
    net.fit(X[:n_labeled], y[:n_labeled])
    features = net.module_.eval().features
    blocks = []
    with torch.inference_mode():
        for i in range(0, len(X), n_block):
            block = torch.from_numpy(X[i : i + n_block]).float() / 255
            block = block.unsqueeze(1) if block.ndim == 3 else block.permute(0, 3, 1, 2)
            blocks.append(features(block).numpy())
    return (np.concatenate(blocks),)


def _patch_features(name, n_filters=400, stride=1, n_components=256):
    """Which of the usual patches an image has in each of its quadrants (Coates, Ng & Lee, AISTATS 2011).

    Patches of 6 x 6 are normalised, whitened and clustered; a patch activates the centres that are closer to
    it than the mean centre, and activations are summed over quadrants. Roots of the sums, so that common
    patches do not decide alone; then the principal components.
    """
    X, y, X_test, y_test = images(name)
    encoder = PatchEncoder(n_filters, stride).fit(X)
    Z, Z_test = np.sqrt(encoder.transform(X)), np.sqrt(encoder.transform(X_test))
    pca = PCA(n_components, svd_solver="covariance_eigh").fit(Z)
    return pca.transform(Z), y.astype(np.int64), pca.transform(Z_test), y_test.astype(np.int64)


class PatchEncoder:
    """The filters of `_patch_features`; fit(images), transform(images) -> (n, 4 * n_filters) float32."""

    def __init__(self, n_filters, stride, size=6):
        self.n_filters, self.stride, self.size = n_filters, stride, size

    def fit(self, X, n_patches=100_000):
        rng = np.random.RandomState(SEED)
        # Ten patches of each of 10,000 images.
        some = self._patches(X[rng.choice(len(X), n_patches // 10, replace=False)], stride=1)
        some = some.reshape(n_patches // 10, -1, some.shape[-1])
        patches = np.concatenate([image[rng.choice(len(image), 10, replace=False)] for image in some])
        patches = _normalised(patches)
        self.mean = patches.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(patches - self.mean, rowvar=False))
        self.whiten = (vectors / np.sqrt(values + 0.1)) @ vectors.T
        self.whiten = self.whiten.astype(np.float32)
        means = MiniBatchKMeans(self.n_filters, batch_size=4096, max_iter=20, n_init=1, random_state=SEED)
        self.centers = means.fit(self._whitened(patches)).cluster_centers_.astype(np.float32)
        return self

    def transform(self, X, n_block=20):
        return np.concatenate([self._quadrants(X[i : i + n_block]) for i in range(0, len(X), n_block)])

    def _patches(self, X, stride):
        windows = sliding_window_view(X, (self.size, self.size), axis=(1, 2))[:, ::stride, ::stride]
        return windows.reshape(*windows.shape[:3], -1).astype(np.float32)

    def _whitened(self, patches):
        return (patches - self.mean) @ self.whiten

    def _quadrants(self, X):
        patches = self._patches(X, self.stride)
        n, height, width, _ = patches.shape
        Z = self._whitened(_normalised(patches.reshape(n * height * width, -1)))
        distances = Z @ (-2 * self.centers.T)
        distances += (self.centers**2).sum(axis=1)
        distances += (Z**2).sum(axis=1, keepdims=True)
        np.sqrt(np.maximum(distances, 0, out=distances), out=distances)
        active = np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0, out=distances)
        active = active.reshape(n, height, width, -1)
        tops, lefts = ((slice(None, size // 2), slice(size // 2, None)) for size in (height, width))
        return np.hstack([active[:, rows, cols].sum(axis=(1, 2)) for rows, cols in product(tops, lefts)])


def _normalised(patches):
    patches = patches - patches.mean(axis=1, keepdims=True)
    return patches / np.sqrt(patches.var(axis=1, keepdims=True) + 10)


def accuracy(X, y, X_test, y_test, n_labeled=1000, n_repeats=5):
    """Of logistic regression, mean over draws of labels; the best, on the test rows, of three penalties."""
    from sklearn.linear_model import LogisticRegression

    scale = X.std()
    draws = [
        np.random.RandomState(seed).choice(len(X), n_labeled, replace=False) for seed in range(n_repeats)
    ]
    means = []
    for C in (0.01, 0.1, 1.0):
        model = LogisticRegression(C=C, max_iter=1000)
        scores = [model.fit(X[rows] / scale, y[rows]).score(X_test / scale, y_test) for rows in draws]
        means.append(np.mean(scores))
    return max(means)


def main():
    for name, activations in (("mnist", mnist_activations), ("cifar10", cifar10_activations)):
        print(f"{name}: activations {activations().shape}")
        X, y, X_test, y_test = self_supervised(name)
        raw, _, raw_test, _ = images(name)
        pca = PCA(X.shape[1], svd_solver="covariance_eigh").fit(raw.reshape(len(raw), -1).astype(np.float32))
        pixels, pixels_test = (pca.transform(part.reshape(len(part), -1)) for part in (raw, raw_test))
        print(
            f"{name}: logistic regression on 1,000 labels: {accuracy(X, y, X_test, y_test):.3f} with "
            f"self-supervised features {X.shape}, {accuracy(pixels, y, pixels_test, y_test):.3f} with pixels"
        )


if __name__ == "__main__":
    main()
