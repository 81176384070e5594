"""Strategies of draws ask for what their formulas say."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skal import ActiveLearner, acquisition, capabilities
from skal.capabilities import sample_proba
from skal.strategies import (
    BALD,
    DrawsStrategy,
    Entropy,
    LeastConfidence,
    Margin,
    MeanStd,
    Subsample,
    VariationRatio,
)
from skal.strategies._base import lend
from skal.testing import check_query_strategy

X, Y = load_iris(return_X_y=True)
# Shallow: fully grown trees give one-hot draws, for which several formulas agree.
FOREST = RandomForestClassifier(7, max_depth=2, random_state=0)
FUNCTION = {
    BALD(): acquisition.mutual_information,
    MeanStd(): acquisition.mean_std,
    VariationRatio(): acquisition.variation_ratio,
    VariationRatio(kind="vote"): lambda draws: acquisition.variation_ratio(draws, "vote"),
    Entropy(n_draws=7): acquisition.predictive_entropy,
    Margin(n_draws=7): lambda draws: acquisition.margin(draws.mean(axis=0)),
    LeastConfidence(n_draws=7): lambda draws: acquisition.least_confidence(draws.mean(axis=0)),
}


class Tells(ClassifierMixin, BaseEstimator):
    """Takes the first n_draws columns of a row for its probabilities of class 1, draw by draw."""

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        return self

    def sample_proba(self, X, n_draws=None):
        return np.stack([np.asarray(X).T, 1 - np.asarray(X).T], axis=-1)


class Untrainable(RandomForestClassifier):
    def fit(self, X, y):
        raise AssertionError("The model was trained before it was refused.")


def test_the_mean_is_the_default_of_the_variation_ratio():
    fitted = VariationRatio(FOREST, random_state=0).fit(X[::4], Y[::4])
    draws = sample_proba(fitted.estimator_, X)
    by_vote = acquisition.variation_ratio(draws, "vote")
    np.testing.assert_allclose(fitted.score(X), acquisition.variation_ratio(draws, "mean"))
    assert np.abs(fitted.score(X) - by_vote).max() > 0.01


@pytest.mark.parametrize("strategy", FUNCTION, ids=repr)
def test_the_score_is_the_function_of_the_draws(strategy):
    fitted = clone(strategy).set_params(estimator=FOREST, random_state=0).fit(X[::4], Y[::4])
    expected = FUNCTION[strategy](sample_proba(fitted.estimator_, X))
    np.testing.assert_allclose(fitted.score(X), expected, atol=1e-12)
    rows = fitted.select(X, 20)
    assert expected[rows].min() >= np.delete(expected, rows).max() - 1e-12


@pytest.mark.parametrize("strategy", FUNCTION, ids=repr)
def test_a_row_has_the_same_score_in_every_call(strategy, monkeypatch):
    fitted = clone(strategy).set_params(estimator=RandomForestClassifier(20), n_draws=7, random_state=0)
    whole = fitted.fit(X[::4], Y[::4]).score(X)
    for piece in np.array_split(np.arange(150), 7):
        np.testing.assert_allclose(fitted.score(X[piece]), whole[piece], atol=1e-12)
    monkeypatch.setattr(capabilities._draws, "_BLOCK_ROWS", 64)
    np.testing.assert_allclose(fitted.score(X), whole, atol=1e-12)


@pytest.mark.parametrize("strategy", FUNCTION, ids=repr)
def test_scores_of_a_permuted_pool_are_permuted(strategy):
    """Bug G3: draws of shuffled rows were averaged over different rows."""
    fitted = clone(strategy).set_params(estimator=FOREST, random_state=0).fit(X[::4], Y[::4])
    order = np.random.RandomState(0).permutation(150)
    np.testing.assert_allclose(fitted.score(X[order]), fitted.score(X)[order], atol=1e-12)


def test_bald_asks_where_sure_draws_contradict_and_not_where_all_are_unsure():
    contradicted, ambiguous, sure = [0.99, 0.01, 0.99, 0.01], [0.5] * 4, [0.99] * 4
    pool = np.array([ambiguous, sure, contradicted])
    assert BALD(Tells()).fit(pool, [0, 1, 1]).select(pool, 1) == [2]
    assert set(Entropy(Tells(), n_draws=4).fit(pool, [0, 1, 1]).select(pool, 2)) == {0, 2}


def test_of_equal_votes_the_larger_entropy_is_asked_for_first():
    """Bug G6: five votes give few scores, and position decided among equal ones."""
    pool = np.array([[0.9, 0.9, 0.9, 0.1], [0.6, 0.6, 0.6, 0.4], [0.9, 0.9, 0.9, 0.9], [0.7, 0.7, 0.3, 0.7]])
    for seed in range(20):
        strategy = VariationRatio(Tells(), kind="vote", random_state=seed).fit(pool, [0, 1, 0, 1])
        np.testing.assert_allclose(strategy.score(pool), [0.25, 0.25, 0, 0.25])
        assert strategy.select(pool, 4).tolist() == [1, 3, 0, 2]


def test_a_committee_of_one_is_refused():
    with pytest.raises(ValueError, match=r"(?s)needs at least 2 draws, and its model has 1"):
        BALD(RandomForestClassifier(1, random_state=0)).fit(X, Y)
    with pytest.raises(ValueError, match="needs at least 2 draws, and its model has 1"):
        BALD(Tells()).fit(X[:, :1] / 10, Y > 0).score(X[:, :1] / 10)
    Entropy(RandomForestClassifier(1, random_state=0), n_draws=1).fit(X, Y).score(X)


@pytest.mark.parametrize("n_draws", [0, 1, -1, 2.5, "all"])
def test_numbers_of_draws_that_make_no_sense_are_refused(n_draws):
    with pytest.raises(ValueError, match="n_draws"):
        BALD(FOREST, n_draws=n_draws).fit(X, Y)


@pytest.mark.parametrize(
    "strategy", [BALD(n_draws=50), Margin(n_draws=50), Subsample(BALD(n_draws=50))], ids=repr
)
def test_more_draws_than_members_are_refused_before_any_training(strategy):
    model = make_pipeline(StandardScaler(), Untrainable(7))
    for bad in (ActiveLearner(model, strategy), lend(strategy, model)):
        with pytest.raises(ValueError, match=r"(?s)needs at least 50 draws, and its model has 7 members"):
            bad.fit(X, Y)


def test_a_search_may_choose_the_number_of_members():
    search = GridSearchCV(RandomForestClassifier(2, random_state=0), {"n_estimators": [9]}, cv=2)
    assert BALD(search, n_draws=9).fit(X, Y).score(X).shape == (150,)


def test_the_seed_fixes_which_members_are_drawn():
    forest = FrozenEstimator(RandomForestClassifier(50, random_state=0).fit(X[::4], Y[::4]))

    def scores(seed):
        return BALD(forest, n_draws=5, random_state=seed).fit(X[::4], Y[::4]).score(X)

    np.testing.assert_array_equal(scores(0), scores(0))
    assert not np.array_equal(scores(0), scores(1))


def test_classical_models_are_searched_with_the_strategy_and_its_draws():
    learner = ActiveLearner(
        make_pipeline(StandardScaler(), RandomForestClassifier(12)), BALD(), n_rounds=2, random_state=0
    )
    grid = [
        {"strategy": [BALD(), MeanStd()], "strategy__n_draws": [4, None]},
        {"strategy": [VariationRatio()], "strategy__kind": ["mean", "vote"]},
        {"estimator": [ExtraTreesClassifier(12)], "strategy": [Entropy()], "strategy__n_draws": [12]},
    ]
    search = GridSearchCV(learner, grid, cv=2).fit(*load_digits(return_X_y=True))
    assert len(search.cv_results_["params"]) == 7
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


class Spread(DrawsStrategy):
    """A strategy of one's own in one hook: the range of the draws."""

    def _score_draws(self, draws):
        return np.ptp(draws, axis=0).max(axis=-1)


def test_a_strategy_of_draws_is_one_hook():
    check_query_strategy(Spread())
    with pytest.raises(NotImplementedError, match="_score_draws"):
        DrawsStrategy(FOREST).fit(X, Y).score(X)
