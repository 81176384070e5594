import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from skal import ActiveLearner
from skal.strategies import StratifiedRandom
from skal.strategies.stratified import class_shares, drawn


def test_shares_of_pixels():
    proba = np.zeros((2, 2, 3, 2))
    proba[..., 0] = 1
    proba[1, 0, :2] = [0.2, 0.8]
    np.testing.assert_allclose(class_shares(proba), [[1, 0], [4 / 6, 2 / 6]])


def test_each_class_has_the_same_chance_and_a_row_one_in_proportion_to_its_share():
    shares = np.array([[1, 0.0], [1, 0], [1, 0], [0, 0.25], [0, 0.75], [0, 0]])
    rng = np.random.RandomState(0)
    first = np.bincount([drawn(shares, 1, 1.0, rng)[0] for _ in range(6000)], minlength=6) / 6000
    np.testing.assert_allclose(first, [1 / 6, 1 / 6, 1 / 6, 1 / 8, 3 / 8, 0], atol=0.02)


def test_the_rest_is_drawn_from_all_rows_alike():
    shares = np.array([[1.0], [0], [0], [0]])
    rng = np.random.RandomState(0)
    first = np.bincount([drawn(shares, 1, 0.5, rng)[0] for _ in range(6000)], minlength=4) / 6000
    np.testing.assert_allclose(first, [0.5 + 0.125, 0.125, 0.125, 0.125], atol=0.02)


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_rows_are_distinct_also_once_a_class_is_used_up(share):
    shares = np.zeros((30, 2))
    shares[:3, 0] = 0.5
    rows = drawn(shares, 30, share, np.random.RandomState(0))
    assert sorted(rows) == list(range(30))
    if share == 1:
        assert set(rows[:3]) == {0, 1, 2}  # and what is predicted nowhere is drawn at random


def test_a_class_to_look_for():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    strategy = StratifiedRandom(DecisionTreeClassifier(), share=1, foreground=["virginica"], random_state=0)
    strategy.fit(X, names)
    assert set(names[strategy.select(X, 20)]) == {"virginica"}
    np.testing.assert_array_equal(strategy.score(X), names == "virginica")
    with pytest.raises(ValueError, match="looks for classes that its model does not know; it knows"):
        strategy.set_params(foreground=["dandelion"]).select(X, 1)


def test_in_a_learner():
    X, y = load_iris(return_X_y=True)
    learner = ActiveLearner(LogisticRegression(max_iter=500), StratifiedRandom(), n_rounds=3, random_state=0)
    again = ActiveLearner(LogisticRegression(max_iter=500), StratifiedRandom(), n_rounds=3, random_state=0)
    np.testing.assert_array_equal(learner.fit(X, y).labeled_iter_, again.fit(X, y).labeled_iter_)
