"""predict_loss, losses and held_out_losses: how large a loss models expect, and have."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from skal.capabilities._loss import can_predict_loss, held_out_losses, losses, predict_loss

rng = np.random.RandomState(0)
X, y = rng.normal(size=(60, 4)), np.arange(60) % 3
X[:, 0] += y


class Expecting(ClassifierMixin, BaseEstimator):
    """Expects the sum of a row as its loss, or what else it is told to."""

    def __init__(self, answer=None):
        self.answer = answer

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def predict_loss(self, X):
        return X.sum(axis=1) if self.answer is None else self.answer


class Rote(KNeighborsClassifier):
    """Knows the labels of the rows it has seen, and of no others; remembers how it was trained."""

    fits = []

    def __init__(self):
        super().__init__(n_neighbors=1)

    def fit(self, X, y, sample_weight=None):
        type(self).fits.append((len(y), sample_weight))
        return super().fit(X, y)

    def predict_proba(self, X):
        seen = self.kneighbors(X, return_distance=True)[0][:, 0] == 0
        return np.where(seen[:, None], super().predict_proba(X), 1 / len(self.classes_))


def test_a_models_own_method_is_found_in_pipelines_searches_and_frozen_estimators():
    scaled = make_pipeline(StandardScaler(), Expecting())
    search = GridSearchCV(scaled, {"expecting__answer": [None]}, cv=2, scoring="accuracy")
    Z = StandardScaler().fit_transform(X)
    assert can_predict_loss(scaled)
    for model in (scaled.fit(X, y), search.fit(X, y), FrozenEstimator(scaled)):
        np.testing.assert_allclose(predict_loss(model, X), Z.sum(axis=1))


def test_other_models_are_refused():
    forest = RandomForestClassifier(2).fit(X, y)
    assert not can_predict_loss(forest)
    with pytest.raises(TypeError, match="RandomForestClassifier has no predict_loss"):
        predict_loss(FrozenEstimator(forest), X)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(np.zeros((60, 1)), r"shape \(60, 1\) for 60 rows"), (np.full(60, np.nan), "not finite")],
    ids=["shape", "nan"],
)
def test_answers_are_checked(answer, words):
    with pytest.raises(ValueError, match=f"Expecting.predict_loss returned.*{words}"):
        predict_loss(make_pipeline(Expecting(answer)).fit(X, y), X)


def test_losses_are_the_logarithmic_loss_row_by_row():
    model = LogisticRegression().fit(X, y)
    assert losses(model, X, y).mean() == pytest.approx(log_loss(y, model.predict_proba(X)))
    names = np.array(["a", "b", "c"])[y]
    np.testing.assert_allclose(losses(clone(model).fit(X, names), X, names), losses(model, X, y))
    ignorant = LogisticRegression().fit(X[y < 2], y[y < 2])
    np.testing.assert_array_equal(np.isinf(losses(ignorant, X, y)), y == 2)


def test_held_out_losses_are_those_of_models_that_have_not_seen_the_row():
    model = Rote().fit(X, y)
    np.testing.assert_array_equal(losses(model, X, y), 0)
    np.testing.assert_allclose(held_out_losses(model, X, y), np.log(3))


def test_each_fold_is_left_out_once_and_each_clone_sees_every_class():
    model = Rote().fit(X, y)
    for labels, n_folds in [(y, 3), (np.repeat([0, 1], [2, 58]), 5), (np.repeat([0, 1, 2], [2, 3, 55]), 7)]:
        Rote.fits.clear()
        held_out_losses(model, X, labels, n_folds=n_folds)
        assert len(Rote.fits) == n_folds
        assert sum(60 - size for size, _ in Rote.fits) == 60
        assert np.isfinite(
            held_out_losses(LogisticRegression().fit(X, labels), X, labels, n_folds=n_folds)
        ).all()


def test_the_seed_deals_the_rows_and_seeds_what_is_open():
    forest = RandomForestClassifier(3).fit(X, y)
    before = np.random.get_state()[1].copy()
    np.testing.assert_array_equal(
        held_out_losses(forest, X, y, seed=1), held_out_losses(forest, X, y, seed=1)
    )
    assert not np.array_equal(held_out_losses(forest, X, y, seed=1), held_out_losses(forest, X, y, seed=2))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_the_only_row_of_a_class_has_no_known_loss_and_without_pairs_losses_are_the_models_own():
    lonely = y.copy()
    lonely[7] = 9
    model = LogisticRegression().fit(X, lonely)
    found = held_out_losses(model, X, lonely)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), [7])
    few = LogisticRegression().fit(X[:3], y[:3])
    np.testing.assert_array_equal(held_out_losses(few, X[:3], y[:3]), losses(few, X[:3], y[:3]))


def test_no_folds_no_fits():
    model = Rote().fit(X, y)
    Rote.fits.clear()
    np.testing.assert_array_equal(held_out_losses(model, X, y, n_folds=None), 0)
    assert Rote.fits == []


def test_a_frozen_model_stays_and_a_clone_of_it_is_trained():
    for model in (Rote(), GridSearchCV(Rote(), {}, cv=2), make_pipeline(StandardScaler(), Rote())):
        fitted = model.fit(X, y)
        before = fitted.predict_proba(X)
        np.testing.assert_allclose(held_out_losses(FrozenEstimator(fitted), X, y), np.log(3))
        np.testing.assert_array_equal(fitted.predict_proba(X), before)


def test_fit_parameters_follow_their_rows():
    model = Rote().fit(X, y)
    Rote.fits.clear()
    held_out_losses(model, X, y, fit_params={"sample_weight": np.arange(60)})
    used = np.concatenate([weights for _, weights in Rote.fits])
    np.testing.assert_array_equal(np.bincount(used), 2)


def test_a_semi_supervised_model_sees_held_out_rows_without_their_labels():
    gaps = np.where(np.arange(60) < 30, y, -1)
    model = SelfTrainingClassifier(Rote(), threshold=0.99).fit(X, gaps)
    found = held_out_losses(model, X, gaps)
    assert found.shape == (30,)
    np.testing.assert_allclose(found, np.log(3))
