"""Every exported strategy keeps the contract, by being exported."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skal import EnsembleClassifier, NetClassifier
from skal.acquisition import margin
from skal.strategies import (
    BALD,
    EMOC,
    LCMD,
    CoreSet,
    EmbeddingStrategy,
    Entropy,
    LeastConfidence,
    Margin,
    QueryByCommittee,
    QueryStrategy,
    StochasticBatch,
    VariationRatio,
)
from skal.testing import check_query_strategy, every_strategy, query_strategy_checks

VARIANTS = [
    Entropy(n_draws=3),
    Margin(n_draws=3),
    LeastConfidence(n_draws=3),
    VariationRatio(kind="vote"),
    QueryByCommittee(kind="consensus_entropy"),
    QueryByCommittee(kind="consensus_kl"),
    QueryByCommittee([GaussianNB(), KNeighborsClassifier(3)]),
    StochasticBatch(BALD(), kind="softmax", beta=2),
    StochasticBatch(Margin(), kind="softrank"),
    CoreSet(method="robust", outliers=0.02),
    CoreSet(metric="cosine"),
    LCMD(features="embedding"),
    EMOC(output="logit", labels="max"),
]
MODELS = {
    "stub": None,
    "forest": RandomForestClassifier(3, max_depth=3, random_state=0),
    "net": NetClassifier(module__hidden=8, max_epochs=1, batch_size=-1, dtype="float64", random_state=0),
    "ensemble": EnsembleClassifier(DecisionTreeClassifier(max_depth=2), 3, bootstrap=True, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
}


def models_for(strategy):
    """The models to check a strategy with, beside the stub that can do no more than the strategy requires."""
    if "sample_proba" in strategy.requires:
        return {"forest", "net", "ensemble"}
    if isinstance(strategy, EmbeddingStrategy):
        return {"forest", "net", "pipeline"}
    return set()  # what asks for no more than a prediction


CASES = [
    pytest.param(check, id=f"{strategy!r}-{model}-{name}")
    for strategy in every_strategy() + VARIANTS
    for model in MODELS
    if model == "stub" or (model in models_for(strategy) and strategy not in VARIANTS)
    for name, check in query_strategy_checks(strategy, MODELS[model])
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
        return X, y, fit_params, X


@pytest.mark.parametrize(
    "faulty", [ByPosition(), Advances(), Remembers(), TrainsOnGaps()], ids=lambda s: type(s).__name__
)
def test_the_contract_finds_planted_faults(faulty):
    with pytest.raises(AssertionError):
        check_query_strategy(faulty)
