"""Query strategies: which rows to label next."""

from skal.strategies._base import QueryStrategy, with_estimator
from skal.strategies._draws import DrawsStrategy
from skal.strategies._embedding import EmbeddingStrategy
from skal.strategies._wrappers import StochasticBatch, StrategyWrapper, Subsample
from skal.strategies.batch_bald import BatchBALD
from skal.strategies.bayesian import BALD, MeanStd, VariationRatio
from skal.strategies.committee import QueryByCommittee
from skal.strategies.epig import EPIG
from skal.strategies.random import Random
from skal.strategies.uncertainty import Entropy, LeastConfidence, Margin

__all__ = [
    "BALD",
    "EPIG",
    "BatchBALD",
    "DrawsStrategy",
    "EmbeddingStrategy",
    "Entropy",
    "LeastConfidence",
    "Margin",
    "MeanStd",
    "QueryByCommittee",
    "QueryStrategy",
    "Random",
    "StochasticBatch",
    "StrategyWrapper",
    "Subsample",
    "VariationRatio",
    "with_estimator",
]

_BASES = (DrawsStrategy, EmbeddingStrategy, QueryStrategy, StrategyWrapper)


def concrete():
    """The exported strategies that can be used as they are; -> dict of name to class."""
    exported = {name: globals()[name] for name in __all__}
    return {name: c for name, c in exported.items() if isinstance(c, type) and c not in _BASES}
