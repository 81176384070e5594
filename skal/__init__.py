"""Active learning for people who train neural networks and think in scikit-learn.

Names are imported when they are first used, so that ``import skal`` loads neither torch nor matplotlib.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "ActiveLearner": "skal.learner",
    "BatchDisplay": "skal.plotting",
    "EnsembleClassifier": "skal.ensemble",
    "GenerativeAugmentationClassifier": "skal.nets",
    "LabeledKFold": "skal.model_selection",
    "LearningCurveDisplay": "skal.plotting",
    "LossPredictionClassifier": "skal.nets",
    "NetClassifier": "skal.nets",
    "PseudoLabelClassifier": "skal.pseudo_label",
    "SegmentationNet": "skal.nets",
    "as_pool": "skal.containers",
    "compare": "skal.evaluation",
    "learning_curve_auc": "skal.metrics",
    "use_engine": "skal.engine",
}
_MODULES = {
    "acquisition",
    "capabilities",
    "containers",
    "datasets",
    "engine",
    "ensemble",
    "evaluation",
    "labels",
    "learner",
    "loop",
    "metrics",
    "model_selection",
    "nets",
    "plotting",
    "pool",
    "pseudo_label",
    "recipes",
    "selection",
    "strategies",
    "testing",
}

__all__ = [*_HOME, "__version__"]


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"skal.{name}")
    raise AttributeError(f"module 'skal' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__, *_MODULES})
