"""Preparation of rows in training and scoring, and augmentation in training alone."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skal import ActiveLearner, EnsembleClassifier, NetClassifier
from skal.nets.transforms import Transformed
from skal.strategies import BALD, CoreSet

RNG = np.random.RandomState(0)
Y = RNG.randint(2, size=60)
X = (RNG.rand(60, 6, 6) + Y[:, None, None]).astype(np.float32)


def smaller(row):
    assert row.shape == (6, 6)
    return row[::2, ::2] - 0.5


def noisy(row):
    return row + 0.1 * torch.randn_like(row) + np.random.rand()


class Counted:
    def __init__(self):
        self.n_calls = 0

    def __call__(self, row):
        self.n_calls += 1
        return row


def net(**params):
    return NetClassifier(max_epochs=2, random_state=0, **params)


def test_a_transform_is_what_it_does_before():
    expected = net().fit(X[:, ::2, ::2] - 0.5, Y)
    for X_given, y in (
        (X, Y),
        (torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(Y)), None),
    ):
        fitted = net(transform=smaller, classes=[0, 1]).fit(X_given, y)
        assert (fitted.row_shape_, fitted.in_shape_) == ((6, 6), (3, 3))
        if y is not None:
            np.testing.assert_array_equal(
                fitted.predict_proba(X), expected.predict_proba(X[:, ::2, ::2] - 0.5)
            )
    fitted, small = net(transform=smaller).fit(X, Y), X[:, ::2, ::2] - 0.5
    np.testing.assert_array_equal(fitted.embed(X), expected.embed(small))
    np.testing.assert_array_equal(
        fitted.sample_proba(X, 3, random_state=0), expected.sample_proba(small, 3, random_state=0)
    )
    with pytest.raises(ValueError, match="fitted on rows of shape"):
        fitted.predict(X[:, :3, :3])


def test_uint8_images_are_scaled_after_the_transform():
    pixels = (100 * X).astype(np.uint8)
    expected, fitted = net().fit(pixels, Y), net(transform=torch.clone).fit(pixels, Y)
    np.testing.assert_array_equal(fitted.predict_proba(pixels), expected.predict_proba(pixels))


def test_flat_rows_come_in_their_image_shape():
    flat = X.reshape(60, -1)
    fitted = net(transform=smaller, image_shape=(6, 6)).fit(flat, Y, sample_weight=np.ones(60))
    assert fitted.in_shape_ == (3, 3)
    assert fitted.predict(flat).shape == (60,)


def test_augmentation_is_used_in_training_only_and_follows_the_seed():
    counted = Counted()
    fitted = net(train_transform=counted).fit(X, Y)
    assert counted.n_calls == 2 * 60
    np.testing.assert_array_equal(fitted.predict_proba(X), net().fit(X, Y).predict_proba(X))
    fitted.embed(X)
    fitted.sample_proba(X, 2)
    assert counted.n_calls == 2 * 60
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    one, two, other = (
        NetClassifier(max_epochs=2, random_state=seed, train_transform=noisy).fit(X, Y) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert (one.predict_proba(X) != other.predict_proba(X)).any()
    assert (one.predict_proba(X) != fitted.predict_proba(X)).any()
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])


def test_augmentation_comes_before_the_transform_and_never_into_validation():
    from skorch.dataset import ValidSplit

    seen = []

    def crop(row):
        seen.append(tuple(row.shape))
        return row

    net(train_transform=crop, transform=smaller, train_split=ValidSplit(3, stratified=True)).fit(X, Y)
    assert set(seen) == {(6, 6)}
    assert len(seen) == 2 * 40


def test_a_transform_that_draws_is_refused():
    with pytest.raises(ValueError, match="pass what augments as train_transform="):
        net(transform=noisy).fit(X, Y)


def test_a_crop_that_the_net_cannot_learn_from_is_refused():
    with pytest.raises(ValueError, match=r"a row of shape \(4, 6\), and the net learns from .* \(6, 6\)"):
        net(train_transform=lambda row: row[:4]).fit(X, Y)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match="both tensors, and returned ndarray"):
        net(transform=lambda row: row.numpy()).fit(X, Y)
    with pytest.raises(TypeError, match="one array each"):
        list(Transformed([({"a": 1, "b": 2}, None)], [smaller], None, None))
    with pytest.raises(ValueError, match="'transform' parameter"):
        net(transform=3).fit(X, Y)


def test_masks_would_not_follow():
    class Segmenter(NetClassifier):
        labels_pixels = True

    with pytest.raises(ValueError, match="train_transform= changes images, and the masks that Segmenter"):
        Segmenter(train_transform=noisy).fit(X, Y)


def test_rows_are_not_written_to():
    before = X.copy()
    fitted = net(transform=lambda row: row.mul_(2), train_transform=lambda row: row.add_(1)).fit(X, Y)
    fitted.predict_proba(X)
    np.testing.assert_array_equal(X, before)


def test_ensembles_and_strategies_take_nets_with_transforms():
    model = EnsembleClassifier(net(transform=smaller, train_transform=noisy), 2, random_state=0)
    assert model.fit(X, Y).predict_proba(X).shape == (60, 2)
    with pytest.raises(ValueError, match="a transform, which takes one row"):
        EnsembleClassifier(net(transform=smaller), 2, together=True).fit(X, Y)
    for strategy in (BALD(n_draws=2), CoreSet()):
        learner = ActiveLearner(net(transform=smaller, train_transform=noisy), strategy, n_rounds=1)
        assert learner.fit(X, Y).predict(X).shape == (60,)


def test_a_net_with_a_transform_is_no_transformer():
    fitted = net(transform=smaller)
    assert not hasattr(fitted, "transform")
    assert fitted.get_params()["transform"] is smaller
    assert clone(fitted).get_params()["transform"] is smaller
    assert "transform=<function smaller" in repr(fitted)
    assert pickle.loads(pickle.dumps(fitted.fit(X, Y))).predict(X).shape == (60,)
    assert fitted.set_params(transform=None).get_params()["transform"] is None
    assert fitted.fit(X, Y).in_shape_ == (6, 6)
    assert not hasattr(ActiveLearner(fitted), "transform")
    search = GridSearchCV(net(), {"transform": [None, smaller]}, cv=2).fit(X, Y)
    assert search.best_params_["transform"] in (None, smaller)
