"""EPIG asks for labels that tell most about the rows that matter."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from skal import acquisition
from skal.capabilities import sample_proba
from skal.strategies import BALD, EPIG
from skal.strategies._draws import draws_seed
from skal.testing import check_query_strategy

X, Y = load_iris(return_X_y=True)
FOREST = RandomForestClassifier(30, random_state=0)


def test_the_score_is_the_function_of_draws_and_targets():
    targets = X[Y == 2]
    strategy = EPIG(FOREST, targets=targets, random_state=0).fit(X[::5], Y[::5])
    draws, of_targets = (sample_proba(strategy.estimator_, rows) for rows in (X, targets))
    np.testing.assert_allclose(strategy.score(X), acquisition.epig(draws, of_targets), atol=1e-12)
    assert strategy.nature == "row-wise"
    np.testing.assert_allclose(strategy.score(X[40:60]), strategy.score(X)[40:60], atol=1e-12)


def test_the_same_members_answer_for_rows_and_targets():
    """Joint distributions need one draw for both: drawn apart, they would be independent, and EPIG 0."""
    strategy = EPIG(FOREST, targets=X[::7], n_draws=5, random_state=0).fit(X[::5], Y[::5])
    drawn = [
        sample_proba(strategy.estimator_, rows, 5, random_state=draws_seed(strategy)) for rows in (X, X[::7])
    ]
    np.testing.assert_allclose(strategy.score(X), acquisition.epig(*drawn), atol=1e-12)


def test_without_targets_a_part_of_the_pool_stands_for_it():
    strategy = EPIG(FOREST, n_targets=50, random_state=0).fit(X[::5], Y[::5])
    assert strategy.nature == "pool-relative"
    scores = strategy.score(X)
    assert scores[strategy.select(X, 1)[0]] == scores.max()
    everyone = EPIG(FOREST, n_targets=1000, random_state=0).fit(X[::5], Y[::5])
    expected = EPIG(FOREST, targets=X, random_state=0).fit(X[::5], Y[::5]).score(X)
    np.testing.assert_allclose(everyone.score(X), expected, atol=1e-12)
    assert np.corrcoef(scores, expected)[0, 1] > 0.9
    check_query_strategy(EPIG(n_targets=10), FOREST)  # fewer than its rows, which come in other orders


def test_what_does_not_matter_for_the_targets_is_not_asked():
    """BALD would also ask between the two classes that no target is of."""
    others = X[Y > 0]
    bald = BALD(FOREST, random_state=0).fit(X[::3], Y[::3]).score(others)
    scores = EPIG(FOREST, targets=X[Y == 0][:10], random_state=0).fit(X[::3], Y[::3]).score(others)
    assert scores.max() < bald.max() / 20


@pytest.mark.parametrize(
    ("targets", "said"),
    [(X[:, :3], "X has 3 features, but EPIG"), (X[:0], "0 sample"), ("x", "targets")],
)
def test_targets_are_checked_before_the_model_is_trained(targets, said):
    strategy = EPIG(RandomForestClassifier(30), targets=targets)
    with pytest.raises(ValueError, match=said):
        strategy.fit(X, Y)
    assert not hasattr(strategy, "estimator_")


@pytest.mark.parametrize("n_targets", [0, 1.5, None])
def test_numbers_of_targets_that_make_no_sense_are_refused(n_targets):
    with pytest.raises(ValueError, match="n_targets"):
        EPIG(FOREST, n_targets=n_targets).fit(X, Y)
