"""Query strategies: which rows to label next."""

from skal.strategies._base import QueryStrategy, with_estimator
from skal.strategies._draws import DrawsStrategy
from skal.strategies._embedding import EmbeddingStrategy
from skal.strategies._wrappers import StochasticBatch, StrategyWrapper, Subsample
from skal.strategies.badge import BADGE
from skal.strategies.batch_bald import BatchBALD
from skal.strategies.bayesian import BALD, MeanStd, VariationRatio
from skal.strategies.cluster_margin import ClusterMargin
from skal.strategies.committee import QueryByCommittee
from skal.strategies.core_set import CoreSet
from skal.strategies.discriminative import DiscriminativeAL
from skal.strategies.emoc import EMOC
from skal.strategies.epig import EPIG
from skal.strategies.gradient_length import ExpectedGradientLength
from skal.strategies.in_parts import InParts
from skal.strategies.lcmd import LCMD
from skal.strategies.learning_loss import LearningLoss
from skal.strategies.probcover import ProbCover
from skal.strategies.random import Random
from skal.strategies.stratified import StratifiedRandom
from skal.strategies.suggestive import SuggestiveAnnotation
from skal.strategies.typiclust import TypiClust
from skal.strategies.uncertainty import Entropy, LeastConfidence, Margin

__all__ = [
    "BADGE",
    "BALD",
    "EMOC",
    "EPIG",
    "LCMD",
    "BatchBALD",
    "ClusterMargin",
    "CoreSet",
    "DiscriminativeAL",
    "DrawsStrategy",
    "EmbeddingStrategy",
    "Entropy",
    "ExpectedGradientLength",
    "InParts",
    "LearningLoss",
    "LeastConfidence",
    "Margin",
    "MeanStd",
    "ProbCover",
    "QueryByCommittee",
    "QueryStrategy",
    "Random",
    "StochasticBatch",
    "StrategyWrapper",
    "StratifiedRandom",
    "Subsample",
    "SuggestiveAnnotation",
    "TypiClust",
    "VariationRatio",
    "with_estimator",
]

_BASES = (DrawsStrategy, EmbeddingStrategy, QueryStrategy, StrategyWrapper)


def concrete():
    """The exported strategies that can be used as they are; -> dict of name to class."""
    exported = {name: globals()[name] for name in __all__}
    return {name: c for name, c in exported.items() if isinstance(c, type) and c not in _BASES}
