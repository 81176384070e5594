"""Uncertainty sampling asks for what its formula says."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skal import acquisition
from skal.strategies import Entropy, LeastConfidence, Margin

FUNCTION = {
    LeastConfidence: acquisition.least_confidence,
    Margin: acquisition.margin,
    Entropy: acquisition.entropy,
}
X, Y = load_iris(return_X_y=True)
MODELS = [
    GaussianNB(),
    RandomForestClassifier(5, random_state=0),
    KNeighborsClassifier(3),
    make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=2, random_state=0)),
]


class Reads(ClassifierMixin, BaseEstimator):
    """Takes the rows themselves for probabilities."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return X


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("kind", FUNCTION)
def test_the_score_is_the_function_of_the_probabilities(kind, model):
    strategy = kind(model, random_state=0).fit(X[::4], Y[::4])
    expected = FUNCTION[kind](strategy.estimator_.predict_proba(X))
    np.testing.assert_array_equal(strategy.score(X), expected)
    rows = strategy.select(X, 20)
    assert expected[rows].min() >= np.delete(expected, rows).max()
    assert (np.diff(expected[rows]) <= 0).all()
    for piece in np.array_split(np.arange(150), 7):
        np.testing.assert_array_equal(strategy.score(X[piece]), expected[piece])


@pytest.mark.parametrize("kind", FUNCTION)
def test_certain_rows_are_asked_for_last(kind):
    """Property 1: one-hot rows are finite, minimal and never chosen while there is another one."""
    proba = np.vstack([np.eye(3)] * 5 + [np.full((4, 3), 1 / 3), [[0.98, 0.01, 0.01]]])
    strategy = kind(Reads(), random_state=0).fit(proba, np.arange(len(proba)) % 3)
    assert set(strategy.select(proba, 5)) == set(range(15, 20))


def test_each_looks_at_what_it_says():
    """Three rows on which the three disagree, worked out by hand."""
    proba = np.array([[0.50, 0.49, 0.01], [0.46, 0.27, 0.27], [0.55, 0.225, 0.225]])
    first = {kind: kind(Reads()).fit(proba, [0, 1, 2]).select(proba, 1)[0] for kind in FUNCTION}
    assert first == {LeastConfidence: 1, Margin: 0, Entropy: 1}
    assert Entropy(Reads()).fit(proba, [0, 1, 2]).select(proba, 3).tolist() == [1, 2, 0]
    assert LeastConfidence(Reads()).fit(proba, [0, 1, 2]).select(proba, 3).tolist() == [1, 0, 2]


@pytest.mark.parametrize("kind", FUNCTION)
def test_a_frozen_model_is_asked_and_not_refitted(kind):
    model = GaussianNB().fit(X, Y)
    means = model.theta_.copy()
    frozen = kind(FrozenEstimator(model)).fit(X[:5], Y[:5])
    np.testing.assert_array_equal(frozen.score(X), FUNCTION[kind](model.predict_proba(X)))
    np.testing.assert_array_equal(model.theta_, means)
