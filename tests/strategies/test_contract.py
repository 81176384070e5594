"""Every exported strategy keeps the contract, by being exported."""

import numpy as np
import pytest

from skal.acquisition import margin
from skal.strategies import Margin, QueryStrategy
from skal.testing import check_query_strategy, every_strategy, query_strategy_checks

CASES = [
    pytest.param(check, id=f"{strategy!r}-{name}")
    for strategy in every_strategy()
    for name, check in query_strategy_checks(strategy)
]


@pytest.mark.parametrize("check", CASES)
def test_contract(check):
    check()


class ByPosition(QueryStrategy):
    """Ranks equal rows by where they stand."""

    requires = ("predict_proba",)

    def _score(self, X, rng):
        return np.zeros(len(X))

    def _select(self, X, n, rng):
        return np.arange(n)


class Advances(QueryStrategy):
    """Draws from the global state."""

    def _score(self, X, rng):
        return np.random.uniform(size=len(X))


class Remembers(Margin):
    """Sets state while it is asked."""

    def _score(self, X, rng):
        self.asked_ = True
        return margin(self.estimator_.predict_proba(X))


class TrainsOnGaps(Margin):
    """Takes the mark of an unlabelled row for a class."""

    def _labelled_rows(self, X, y, fit_params, may_have_gaps):
        return X, y, fit_params


@pytest.mark.parametrize(
    "faulty", [ByPosition(), Advances(), Remembers(), TrainsOnGaps()], ids=lambda s: type(s).__name__
)
def test_the_contract_finds_planted_faults(faulty):
    with pytest.raises(AssertionError):
        check_query_strategy(faulty)
