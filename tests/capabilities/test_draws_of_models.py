"""Draws of models, whatever library they come from."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skal import ActiveLearner, capabilities
from skal.capabilities import draw_blocks, sample_proba, supports
from skal.strategies import BALD
from skal.testing import Stub

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
SOFT = [
    ("nb", GaussianNB()),
    ("knn", KNeighborsClassifier(3)),
    ("tree", DecisionTreeClassifier(random_state=0)),
]

# Committees whose prediction is the mean of their members'.
COMMITTEES = {
    "forest": RandomForestClassifier(7, random_state=0),
    "extra trees": ExtraTreesClassifier(7, random_state=0),
    "bagging": BaggingClassifier(GaussianNB(), 7, random_state=0),
    "bagging of feature subsets": BaggingClassifier(
        DecisionTreeClassifier(), 7, max_features=0.5, random_state=0
    ),
    "bagging of lacking classes": BaggingClassifier(
        KNeighborsClassifier(1), 7, max_samples=4, random_state=0
    ),
    "bagging of repeated features": BaggingClassifier(
        GaussianNB(), 7, max_features=3, bootstrap_features=True, random_state=0
    ),
    "voting": VotingClassifier(SOFT, voting="soft"),
    "voting, one dropped": VotingClassifier([*SOFT, ("none", "drop")], voting="soft"),
    "pipeline": make_pipeline(StandardScaler(), RandomForestClassifier(7, random_state=0)),
    "nested pipeline": Pipeline(
        [("outer", make_pipeline(StandardScaler(), ExtraTreesClassifier(7, random_state=0)))]
    ),
    "search": GridSearchCV(RandomForestClassifier(7, random_state=0), {"max_depth": [2, 4]}, cv=2),
}


@pytest.mark.parametrize("name", COMMITTEES)
@pytest.mark.parametrize("y", [Y, NAMES], ids=["ints", "strings"])
def test_the_mean_of_all_draws_is_the_prediction(name, y):
    model = COMMITTEES[name].fit(X, y)
    draws = sample_proba(model, X)
    assert draws.shape == (3 if name.startswith("voting") else 7, 150, 3)
    np.testing.assert_allclose(draws.mean(axis=0), model.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(sample_proba(FrozenEstimator(model), X), draws)


@pytest.mark.parametrize("name", COMMITTEES)
def test_fewer_draws_are_a_seeded_subset_and_more_are_refused(name):
    model = COMMITTEES[name].fit(X, Y)
    everyone = sample_proba(model, X)
    some = sample_proba(model, X, n_draws=2, random_state=3)
    np.testing.assert_array_equal(some, sample_proba(model, X, n_draws=2, random_state=3))
    assert all(any(np.array_equal(draw, member) for member in everyone) for draw in some)
    with pytest.raises(ValueError, match=f"n_draws=11 draws and has {len(everyone)} members"):
        sample_proba(model, X, n_draws=11)


def test_each_member_is_in_a_subset_as_often():
    forest = RandomForestClassifier(5, random_state=0).fit(X, Y)
    members = sample_proba(forest, X)
    seen = np.zeros(5)
    for seed in range(200):
        some = sample_proba(forest, X, n_draws=2, random_state=seed)
        seen += [any(np.array_equal(member, draw) for draw in some) for member in members]
    assert np.abs(seen - 80).max() < 5 * np.sqrt(200 * 0.4 * 0.6)


def test_members_without_probabilities_cast_votes():
    voting = VotingClassifier([("p", Perceptron(random_state=0)), ("nb", GaussianNB())]).fit(X, NAMES)
    draws = sample_proba(voting, X)
    assert set(np.unique(draws[0])) == {0, 1}
    votes = voting.estimators_[0].predict(X)
    np.testing.assert_array_equal(draws[0].argmax(axis=1), votes)


def test_fitted_members_answer_in_labels_and_fresh_ones_in_codes():
    labels = Y * 10 + 5
    frozen = FrozenEstimator(GaussianNB().fit(X, labels))
    voting = VotingClassifier([("a", frozen), ("b", GaussianNB())], voting="soft").fit(X, labels)
    draws = sample_proba(voting, X)
    np.testing.assert_allclose(draws[0], draws[1])


@pytest.mark.parametrize("container", [pd.DataFrame, sparse.csr_array, np.asfortranarray, np.ndarray.tolist])
def test_any_table_that_the_model_takes(container):
    table = container(X)
    for name in ("forest", "bagging of feature subsets"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = COMMITTEES[name].fit(table, Y)
            np.testing.assert_allclose(
                sample_proba(model, table).mean(axis=0), model.predict_proba(table), atol=1e-6
            )


@pytest.mark.parametrize(
    "model",
    [
        AdaBoostClassifier(),
        GradientBoostingClassifier(n_estimators=3),
        HistGradientBoostingClassifier(max_iter=3),
        LogisticRegression(max_iter=1000),
        StackingClassifier(SOFT, LogisticRegression()),
        make_pipeline(StandardScaler(), AdaBoostClassifier()),
        GridSearchCV(GradientBoostingClassifier(n_estimators=2), {"max_depth": [1]}, cv=2),
        Stub(),
    ],
    ids=lambda m: type(m).__name__,
)
def test_boosters_and_single_models_have_no_draws(model):
    """Boosters have `estimators_`, and are no committee."""
    assert not supports(model, "sample_proba")
    fitted = model.fit(X, Y)
    assert not supports(fitted, "sample_proba")
    with pytest.raises(TypeError, match="has no draws"):
        sample_proba(fitted, X)
    with pytest.raises(TypeError, match=r"(?s)BALD.* needs a model with sample_proba.* lacks; use NetClass"):
        BALD(model).fit(X, Y)


class Drawn(ClassifierMixin, BaseEstimator):
    """Answers with what it was given, and remembers what it was asked."""

    def __init__(self, draws=None):
        self.draws = draws

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def sample_proba(self, X, n_draws=None, *, random_state=None):
        self.asked_ = n_draws, random_state
        return self.draws


def test_a_models_own_method_comes_first_and_gets_the_keywords_that_it_names():
    class Both(RandomForestClassifier):
        def sample_proba(self, X, n_draws=None, **keywords):
            self.asked_ = keywords
            return np.full((2, len(X), 3), 1 / 3)

    both = Both(3).fit(X, Y)
    assert sample_proba(both, X, random_state=5, consistent=False).shape == (2, 150, 3)
    assert both.asked_ == {"random_state": 5, "consistent": False}
    model = Drawn(np.full((4, 150, 3), 1 / 3)).fit(X, Y)
    sample_proba(make_pipeline(StandardScaler(), model).fit(X, Y), X, 4, random_state=7)
    assert model.asked_ == (4, 7)


@pytest.mark.parametrize(
    ("draws", "said"),
    [
        (np.full((150, 3), 1 / 3), "shape"),
        (np.full((150, 4, 3), 1 / 3), "shape"),
        (np.full((4, 150, 2), 1 / 2), "shape"),
        (np.full((3, 150, 3), 1 / 3), "shape"),
        (np.full((4, 150, 3), np.nan), "not finite"),
        (np.full((4, 150, 3), 1.0), "no probabilities"),
        (np.stack([np.full((150, 3), 1 / 3)] * 3 + [np.full((150, 3), np.inf)]), "not finite"),
    ],
)
def test_answers_are_checked(draws, said):
    with pytest.raises(ValueError, match=f"Drawn.sample_proba returned .*{said}"):
        sample_proba(Drawn(draws).fit(X, Y), X, n_draws=4)


@pytest.mark.parametrize("n_draws", [None, 3])
def test_blocks_are_the_draws_in_order(monkeypatch, n_draws):
    monkeypatch.setattr(capabilities._draws, "_BLOCK_ROWS", 64)
    forest = RandomForestClassifier(5, random_state=0).fit(X, Y)
    blocks = list(draw_blocks(forest, X, n_draws, seed=1))
    assert [rows for rows, _ in blocks] == [slice(0, 64), slice(64, 128), slice(128, 150)]
    whole = sample_proba(forest, X, n_draws, random_state=1)
    np.testing.assert_array_equal(np.concatenate([draws for _, draws in blocks], axis=1), whole)


def test_a_large_pool_is_never_held_at_once():
    """Of 100 draws of 20,000 rows and 10 classes, 160 MB, no more than 40 are in one block."""
    stub = Stub(capabilities=("sample_proba",)).fit(np.eye(10), np.arange(10))
    largest = 0
    for rows, draws in draw_blocks(stub, np.zeros((20_000, 10)), 100, seed=0):
        assert draws.shape[1] == rows.stop - rows.start
        largest = max(largest, draws.nbytes)
    assert largest <= 40e6


def test_a_learner_hands_on_the_draws_of_its_model():
    learner = ActiveLearner(RandomForestClassifier(5), BALD(), n_rounds=1, random_state=0).fit(X, Y)
    np.testing.assert_allclose(learner.sample_proba(X).mean(axis=0), learner.predict_proba(X), atol=1e-6)
    assert not hasattr(ActiveLearner(GaussianNB()), "sample_proba")


@pytest.mark.parametrize("n_draws", [None, 500])
def test_many_classes_and_many_members_make_smaller_blocks(n_draws):
    """500 draws of 1,000 classes are 4 MB a row; a block has 64 rows at least."""
    assert capabilities._draws._block_rows(500, 1000) == 64
    forest = RandomForestClassifier(500, max_depth=1, random_state=0).fit(X, Y)
    _, draws = next(draw_blocks(forest, np.zeros((100_000, 4)), n_draws, seed=0))
    assert draws.nbytes <= 40e6


def test_members_that_know_other_classes_are_refused():
    stranger = FrozenEstimator(GaussianNB().fit(X, Y))
    voting = VotingClassifier([("a", stranger), ("b", GaussianNB())], voting="soft").fit(X[Y > 0], Y[Y > 0])
    with pytest.raises(ValueError, match=r"knows the classes \[0\], which its committee"):
        sample_proba(voting, X)


def test_fitted_members_at_the_end_of_pipelines():
    frozen = make_pipeline("passthrough", FrozenEstimator(GaussianNB().fit(X, NAMES)))
    voting = VotingClassifier([("a", frozen), ("b", GaussianNB())], voting="soft").fit(X, NAMES)
    draws = sample_proba(voting, X)
    np.testing.assert_allclose(draws[0], draws[1])


@pytest.mark.parametrize("n_draws", [0, -1, 2.0, "x"])
def test_numbers_of_draws_that_make_no_sense_are_refused(n_draws):
    with pytest.raises(ValueError, match="n_draws"):
        sample_proba(RandomForestClassifier(5).fit(X, Y), X, n_draws)


def test_an_unfitted_committee_is_refused():
    with pytest.raises(NotFittedError):
        sample_proba(RandomForestClassifier(5), X)


def test_rounding_below_zero_is_mended():
    draws = np.tile([0.5, 0.5, -1e-12], (2, 150, 1))
    assert sample_proba(Drawn(draws).fit(X, Y), X).min() == 0


def test_frames_come_with_the_columns_of_the_fit_and_matrices_of_any_kind_by_column():
    X, y = load_iris(return_X_y=True, as_frame=True)
    forest = RandomForestClassifier(5, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="feature names should match"):
        capabilities.sample_proba(forest, X[X.columns[::-1]])
    bag = BaggingClassifier(max_features=0.5, random_state=0).fit(sparse.csr_matrix(X.to_numpy()), y)
    matrix = sparse.coo_matrix(X.to_numpy())
    np.testing.assert_allclose(capabilities.sample_proba(bag, matrix).mean(axis=0), bag.predict_proba(matrix))
