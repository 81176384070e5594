"""The contract checks can fail: each finds a strategy that breaks just its rule."""

import numpy as np
import pytest
from sklearn.base import clone

from skal.acquisition import margin
from skal.strategies import (
    Entropy,
    LeastConfidence,
    Margin,
    QueryStrategy,
    Random,
    StrategyWrapper,
    Subsample,
)
from skal.testing import Stub, check_query_strategy, every_strategy, query_strategy_checks


class Repeats(Margin):
    def _select(self, X, n, rng):
        return np.zeros(n, dtype=int)


class TakesWhatThereIs(Margin):
    def select(self, X, n=1):
        return super().select(X, min(max(n, 0), len(X)))


class Narrow(Margin):
    def score(self, X, y=None):
        return super().score(X).astype(np.float32)


class WorstFirst(Margin):
    """Bug G16: hands back the batch in the wrong order."""

    def _select(self, X, n, rng):
        return super()._select(X, n, rng)[::-1] if n > 1 else super()._select(X, len(X), rng)[-1:]


class ScoresPositions(Margin):
    """Bug G3: what is scored at position i is not row i."""

    def _score(self, X, rng):
        return super()._score(X, rng) + np.arange(len(X))


class Advances(QueryStrategy):
    def _score(self, X, rng):
        return np.random.uniform(size=len(X))


class Remembers(Margin):
    def _score(self, X, rng):
        self.asked_ = True
        return super()._score(X, rng)


class Writes(Margin):
    def _score(self, X, rng):
        scores = super()._score(X, rng)
        X[:] = 0
        return scores


class ByPosition(Margin):
    """Bug G6: a sort takes ties by position."""

    def _select(self, X, n, rng):
        return np.argsort(-self._score(X, rng), kind="stable")[:n]


class OneOfEach(Margin):
    def _select(self, X, n, rng):
        _, first = np.unique(X, axis=0, return_index=True)
        return np.resize(first, n) if len(first) < len(X) else super()._select(X, n, rng)


class TrainsOnGaps(Margin):
    def _labelled_rows(self, X, y, fit_params, may_have_gaps):
        return X, y, fit_params, X


class NeverAsks(Margin):
    def _check_parameters(self):
        pass


class PatchesNaN(Margin):
    """Bug G2: NaN made to a number, where it says that the model is broken."""

    def _score(self, X, rng):
        return np.nan_to_num(margin(self.estimator_.predict_proba(X)))


class AnswersAnyway(Margin):
    def _check_queried(self, X):
        self.__dict__.setdefault("seed_", 0)
        return X

    def _score(self, X, rng):
        return super()._score(X, rng) if hasattr(self, "estimator_") else np.zeros(len(X))


class ChangesItsParameters(Margin):
    def __init__(self, estimator=None, *, strength=None, random_state=None):
        super().__init__(estimator, random_state=random_state)
        self.strength = 1 if strength is None else strength


FAULTS = {
    "selects_distinct_rows": [Repeats()],
    "refuses_more_rows_than_there_are": [TakesWhatThereIs()],
    "scores_each_row": [Narrow()],
    "first_row_is_the_argmax": [WorstFirst()],
    "scores_follow_a_permutation": [ScoresPositions()],
    "an_int_seed_repeats_everything": [Advances()],
    "changes_nothing": [Remembers(), Writes()],
    "ties_have_no_position": [ByPosition()],
    "duplicates_and_one_class": [OneOfEach()],
    "unlabelled_rows_are_no_targets": [TrainsOnGaps()],
    "hidden_labels_are_not_read": [Advances()],
    "says_what_it_needs": [NeverAsks()],
    "refuses_what_is_not_finite": [PatchesNaN()],
    "must_be_fitted": [AnswersAnyway()],
    "scikit_learn_estimator": [ChangesItsParameters()],
}
PLANTED = [(name, faulty) for name, faults in FAULTS.items() for faulty in faults]


@pytest.mark.parametrize(
    ("name", "faulty"), PLANTED, ids=lambda p: p if isinstance(p, str) else type(p).__name__
)
def test_each_check_finds_its_planted_fault(name, faulty):
    with pytest.raises((AssertionError, AttributeError, RuntimeError, TypeError)):
        dict(query_strategy_checks(faulty))[name]()
    dict(query_strategy_checks(Margin()))[name]()


def test_there_is_a_planted_fault_for_every_check():
    assert set(FAULTS) == {name for name, _ in query_strategy_checks(Margin())}


def test_the_whole_contract_fails_on_any_of_them():
    with pytest.raises(AssertionError):
        check_query_strategy(Repeats())


def test_a_strategy_is_tested_by_being_exported():
    classes = {type(strategy) for strategy in every_strategy()}
    assert {Random, Margin, Entropy, LeastConfidence, Subsample} <= classes
    assert not classes & {QueryStrategy, StrategyWrapper}


@pytest.mark.parametrize("capabilities", [(), ("predict_proba",)])
def test_the_stub_can_do_no_more_than_declared(capabilities):
    stub = clone(Stub(capabilities=capabilities)).fit(np.eye(3), [0, 1, 2])
    assert hasattr(stub, "predict_proba") == bool(capabilities)
    assert stub.predict(np.eye(3)).tolist() == [0, 1, 2]
    if capabilities:
        np.testing.assert_allclose(stub.predict_proba(np.eye(3)).sum(axis=1), 1)
