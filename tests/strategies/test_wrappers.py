"""Strategies around a strategy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from skal import ActiveLearner
from skal.strategies import (
    BALD,
    Entropy,
    Margin,
    QueryStrategy,
    Random,
    StochasticBatch,
    Subsample,
    with_estimator,
)

X, Y = load_iris(return_X_y=True)
ORDER = np.random.RandomState(0).permutation(150)
X, Y = X[ORDER], Y[ORDER]


def fitted(**params):
    return Subsample(Entropy(GaussianNB()), **({"random_state": 0} | params)).fit(X[:30], Y[:30])


@given(size=st.integers(1, 149) | st.floats(0.01, 0.99), seed=st.integers(0, 100), data=st.data())
@settings(max_examples=40, deadline=None)
def test_the_best_of_some_rows_that_the_seed_draws(size, seed, data):
    n_candidates = size if isinstance(size, int) else math.ceil(size * 150)
    n = data.draw(st.integers(0, n_candidates))
    strategy = fitted(size=size, random_state=seed)
    candidates = strategy.select(X, n_candidates)
    assert len(set(candidates.tolist())) == n_candidates
    rows = strategy.select(X, n)
    assert set(rows) <= set(candidates)
    scores = strategy.strategy_.score(X)
    np.testing.assert_allclose(scores[rows], np.sort(scores[candidates])[::-1][:n])


@pytest.mark.parametrize("size", [150, 151, 10_000])
def test_a_pool_that_is_no_larger_is_taken_whole(size):
    strategy = fitted(size=size)
    np.testing.assert_array_equal(strategy.select(X, 12), strategy.strategy_.select(X, 12))


def test_the_score_is_that_of_the_strategy_inside():
    strategy = fitted(size=5)
    np.testing.assert_array_equal(strategy.score(X), strategy.strategy_.score(X))


def test_more_rows_than_candidates_are_refused_but_never_for_a_share():
    with pytest.raises(ValueError, match=r"n=6 .*sample of 5"):
        fitted(size=5).select(X, 6)
    assert len(set(fitted(size=0.01).select(X, 40).tolist())) == 40
    learner = ActiveLearner(
        GaussianNB(), Subsample(Margin(), size=0.1), n_rounds=None, max_labels=1000, batch_size=40
    )
    assert (learner.fit(X, Y).labeled_iter_ >= 0).all()


def test_every_row_has_the_same_chance_to_be_a_candidate():
    counts = np.zeros(150)
    for seed in range(200):
        counts[fitted(size=30, random_state=seed).select(X, 30)] += 1
    assert np.abs(counts - 40).max() < 5 * np.sqrt(200 * 0.2 * 0.8)


@pytest.mark.parametrize("size", [0, -1, 0.0, 1.0, 1.5, "all", None])
def test_sizes_that_make_no_sense_are_refused(size):
    with pytest.raises(ValueError, match="size"):
        fitted(size=size)


def test_wrappers_are_set_and_cloned_deep():
    strategy = Subsample(Subsample(Margin(), size=50), size=100)
    strategy.set_params(strategy__size=7, strategy__strategy=Entropy())
    assert repr(clone(strategy)) == repr(strategy)
    assert strategy.get_params()["strategy__size"] == 7
    assert strategy.requires == ("predict_proba",)
    assert not Subsample(Random()).needs_labels


def test_the_innermost_strategy_gets_the_model_and_the_original_stays():
    strategy = Subsample(Subsample(Margin(), size=50), size=100)
    bound = with_estimator(strategy, model := GaussianNB().fit(X, Y))
    assert bound.strategy.strategy.estimator.estimator is model
    assert strategy.strategy.strategy.estimator is None
    own = with_estimator(Subsample(Margin(DecisionTreeClassifier())), model)
    assert isinstance(own.strategy.estimator, DecisionTreeClassifier)


def test_a_cheap_model_chooses_for_an_expensive_one():
    strategy = Subsample(Margin(DecisionTreeClassifier(max_depth=1)), size=60)
    learner = ActiveLearner(GaussianNB(), strategy, n_rounds=2, random_state=0).fit(X, Y)
    proxy = learner.strategy_.strategy_.estimator_
    assert isinstance(proxy, DecisionTreeClassifier)
    assert proxy.tree_.n_node_samples[0] == 40  # fitted on all labels so far
    assert isinstance(learner.estimator_, GaussianNB)


def test_a_frozen_model_inside_is_not_refitted():
    model = GaussianNB().fit(X[:60], Y[:60])
    learner = ActiveLearner(DecisionTreeClassifier(), Subsample(Margin(FrozenEstimator(model))), n_rounds=2)
    learner.fit(X, Y)
    assert learner.strategy_.strategy_.estimator_.estimator is model
    np.testing.assert_array_equal(model.class_count_, np.bincount(Y[:60]))


class Reads(QueryStrategy):
    """Scores a row by its first number."""

    needs_labels = False

    def _score(self, X, rng):
        return np.asarray(X)[:, 0]


FAMILY = {
    "power": lambda s, beta: s**beta,
    "softmax": lambda s, beta: np.exp(beta * s),
    "softrank": lambda s, beta: (1.0 + np.argsort(np.argsort(-s))) ** -beta,
}


def drawn(scores, n, n_seeds, **params):
    """The batches of many seeds; (n_seeds, n)."""
    column = np.asarray(scores, dtype=float)[:, np.newaxis]
    return np.array(
        [
            StochasticBatch(Reads(), random_state=seed, **params).fit(column).select(column, n)
            for seed in range(n_seeds)
        ]
    )


def assert_drawn(rows, proba):
    counts, expected = np.bincount(rows, minlength=len(proba)), len(rows) * proba
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected * (1 - proba)) + 1).all()


@pytest.mark.parametrize("kind", FAMILY)
@pytest.mark.parametrize("beta", [0, 2.5])
def test_rows_are_drawn_in_proportion_to_their_weights(kind, beta):
    """The first row, and the second given the first: draws without replacement."""
    scores, n_seeds = np.array([0.2, 1.0, 0.5, 0.3]), 300
    weights = FAMILY[kind](scores, beta)
    batches = drawn(scores, 2, n_seeds, kind=kind, beta=beta)
    assert_drawn(batches[:, 0], weights / weights.sum())
    weights[1] = 0
    assert_drawn(batches[batches[:, 0] == 1][:, 1], weights / weights.sum())


@pytest.mark.parametrize("kind", FAMILY)
def test_a_large_beta_takes_the_best_rows_in_order(kind):
    scores = np.arange(1, 21) / 4
    assert (drawn(scores, 3, 20, kind=kind, beta=1e4) == [19, 18, 17]).all()


def test_rows_that_score_zero_wait_until_the_others_are_taken():
    scores = np.array([0.0, 0.3, 0.0, 0.7, 0.0])
    batches = drawn(scores, 4, 300)
    assert (np.sort(batches[:, :2], axis=1) == [1, 3]).all()
    counts = np.bincount(batches[:, 2:].ravel(), minlength=5)[[0, 2, 4]]
    assert np.abs(counts - 200).max() < 5 * np.sqrt(300 * 2 / 9)
    assert (np.sort(drawn(scores, 5, 3), axis=1) == np.arange(5)).all()


def test_negative_scores_have_no_power_but_a_rank():
    with pytest.raises(ValueError, match=r"(?s)scores of 0 or more, and Reads.*gave -2; use"):
        drawn([1.0, -2.0], 1, 1)
    assert drawn([1.0, -2.0], 1, 300, kind="softrank", beta=3).mean() < 0.3
    assert drawn([1.0, -2.0], 1, 300, kind="softmax").mean() < 0.2


def test_small_margins_are_drawn_more_often():
    """Bug G17: weighting by the margin itself put most of the mass on the most certain rows."""
    model = FrozenEstimator(GaussianNB().fit(X[:30], Y[:30]))
    uncertain = np.argsort(Margin(model).fit(X, Y).score(X))[-75:]
    batches = [
        StochasticBatch(Margin(model), random_state=seed).fit(X, Y).select(X, 10) for seed in range(30)
    ]
    assert np.isin(batches, uncertain).mean() > 0.8


def test_batches_differ_by_seed_and_are_worth_more_than_random_ones():
    strategy = StochasticBatch(BALD(), random_state=0)
    model = RandomForestClassifier(20, random_state=0).fit(X[:30], Y[:30])
    bound = [with_estimator(strategy, model).set_params(random_state=seed).fit(X, Y) for seed in range(20)]
    batches = [b.select(X, 10) for b in bound]
    assert len({tuple(batch) for batch in batches}) == 20
    scores = bound[0].score(X)
    assert scores[np.concatenate(batches)].mean() > 2 * scores.mean()


@pytest.mark.parametrize("params", [{"kind": "gumbel"}, {"beta": -1}, {"beta": "1"}, {"beta": math.nan}])
def test_batches_of_no_known_kind_are_refused(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        StochasticBatch(Random(), **params).fit(X)


@pytest.mark.parametrize("inside", [RandomForestClassifier(), None, BALD, "BALD()"])
@pytest.mark.parametrize("wrapper", [Subsample, StochasticBatch])
def test_what_is_no_strategy_is_refused_inside_a_wrapper(wrapper, inside):
    for bad in (wrapper(inside), wrapper(Subsample(inside)), ActiveLearner(GaussianNB(), wrapper(inside))):
        with pytest.raises(ValueError, match=r"is no query strategy; pass an object of skal\.strategies"):
            bad.fit(X, Y)


def test_no_rows_have_no_scores():
    assert fitted().score(X[:0]).shape == (0,)
