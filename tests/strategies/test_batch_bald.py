"""`BatchBALD`: what it adds to `skal.selection.batch_bald`."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator

from skal import ActiveLearner, NetClassifier
from skal.acquisition import mutual_information
from skal.capabilities import sample_proba
from skal.selection import batch_bald as batch_bald_of
from skal.strategies import BALD, BatchBALD, batch_bald
from skal.strategies._draws import draws_seed

X, y = load_digits(return_X_y=True)
X = X / 16


@pytest.fixture(scope="module")
def forest():
    return FrozenEstimator(RandomForestClassifier(30, max_depth=5, random_state=0).fit(X[:60], y[:60]))


@pytest.fixture(scope="module")
def net():
    return FrozenEstimator(NetClassifier(max_epochs=100, random_state=0).fit(X[:60], y[:60]))


@pytest.fixture(params=["forest", "net"])
def model(request):
    return request.getfixturevalue(request.param)


def fitted(model, **params):
    return BatchBALD(model, random_state=0, **params).fit(X[:60], y[:60])


def draws_of(strategy, rows):
    return sample_proba(strategy.estimator_, rows, strategy.n_draws, random_state=draws_seed(strategy))


def test_it_is_batch_bald_of_the_models_draws(model):
    strategy = fitted(model, n_samples=500)
    pool = X[60:360]
    draws = draws_of(strategy, pool)
    np.testing.assert_allclose(strategy.score(pool), mutual_information(draws), rtol=1e-6, atol=1e-9)
    expected = batch_bald_of(draws, 8, strategy.seed_, n_samples=500)
    np.testing.assert_array_equal(strategy.select(pool, 8), expected)


def test_its_score_and_its_first_row_are_those_of_bald(model):
    strategy = fitted(model)
    bald = BALD(model, random_state=0).fit(X[:60], y[:60])
    np.testing.assert_array_equal(strategy.score(X[60:]), bald.score(X[60:]))
    assert strategy.select(X[60:], 3)[0] == bald.select(X[60:], 1)[0]


@pytest.mark.parametrize("n_kept", [1, 7, 100])
def test_a_pool_too_large_to_keep_gives_the_same_batch(model, n_kept, monkeypatch):
    pool = X[60:360]
    expected = fitted(model, n_samples=500).select(pool, 6)
    n_draws = len(draws_of(fitted(model), pool[:2]))
    monkeypatch.setattr(batch_bald, "_KEPT_VALUES", n_kept * n_draws * 10)
    monkeypatch.setattr("skal.capabilities._draws._BLOCK_ROWS", 64)
    strategy = fitted(model, n_samples=500)
    kept = batch_bald._PoolDraws(strategy, pool)
    assert set(kept._held) == set(np.argsort(-kept.scores)[:n_kept])
    np.testing.assert_array_equal(strategy.select(pool, 6), expected)


def test_rows_that_are_kept_are_not_asked_for_again(forest, monkeypatch):
    asked = []

    def sample(*args, **kwargs):
        asked.append(args)
        return sample_proba(*args, **kwargs)

    monkeypatch.setattr(batch_bald, "sample_proba", sample)
    fitted(forest).select(X[60:], 5)
    assert not asked


def test_near_copies_are_left_out_of_a_batch_that_bald_fills_with_them(model):
    rng = np.random.RandomState(0)
    pool = np.repeat(X[60:160], 5, axis=0) + 1e-4 * rng.normal(size=(500, 64))
    bald = BALD(model, random_state=0).fit(X[:60], y[:60]).select(pool, 5)
    joint = fitted(model, n_samples=500).select(pool, 5)
    assert len(set((bald // 5).tolist())) <= 2
    assert len(set((joint // 5).tolist())) >= 4


def test_it_runs_in_the_loop():
    learner = ActiveLearner(
        RandomForestClassifier(20), BatchBALD(n_samples=200), n_rounds=2, batch_size=5, random_state=0
    )
    queried = learner.fit(X[:300], y[:300]).labeled_iter_
    assert np.bincount(queried[queried >= 0]).tolist() == [20, 5, 5]


@pytest.mark.parametrize("name", ["max_outcomes", "n_samples", "n_draws"])
def test_parameters_have_a_range(forest, name):
    with pytest.raises(ValueError, match=name):
        fitted(forest, **{name: 0})
