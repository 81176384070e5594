"""Query strategies: which rows to label next."""

from skal.strategies._base import QueryStrategy, with_estimator
from skal.strategies._wrappers import StrategyWrapper, Subsample
from skal.strategies.random import Random
from skal.strategies.uncertainty import Entropy, LeastConfidence, Margin

__all__ = [
    "Entropy",
    "LeastConfidence",
    "Margin",
    "QueryStrategy",
    "Random",
    "StrategyWrapper",
    "Subsample",
    "with_estimator",
]
