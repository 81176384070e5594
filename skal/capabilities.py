"""What a model can be asked for, whatever library it comes from.

The only place that knows about other people's classes: a model's own method comes first, and what is
inferred about classes that lack one stands in the closed lists of this file.
"""

import sys
from inspect import signature

import numpy as np
from sklearn.base import is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object

from skal._compat import BaseSearchCV, routing_enabled
from skal._rows import n_rows

__all__ = [
    "allows_nan",
    "continues_training",
    "final_parameter",
    "fit_parameter",
    "is_semi_supervised",
    "predict_proba",
    "require",
    "supports",
]

_ANY_MODEL = "use a model that has it"

# Half precision and calibrated models are off by less; logits by more.
_TOLERANCE = 1e-2

# What stands around a model and passes rows to it as they are.
_TRANSPARENT = (BaseSearchCV, FrozenEstimator)

# Which capability is missing decides what to advise.
_ADVICE = {
    "predict_proba": "use a classifier with probabilities, such as LogisticRegression, NetClassifier, or "
    "CalibratedClassifierCV around this one",
}


def supports(model, capability):
    """Whether a model, fitted or not, can be asked for a capability such as "predict_proba"."""
    return hasattr(model, capability)


def require(owner, model, capabilities=()):
    """Refuse a model that lacks what its owner needs, before any work.

    Parameters
    ----------
    owner : estimator
        Who needs the model; named in the error.
    model : estimator or None
    capabilities : sequence of str

    Raises
    ------
    TypeError
        If the model is missing, is no estimator, a bare torch module or a regressor, or lacks a capability.
    """
    if _is_torch_module(model):
        raise TypeError(
            f"{_name(owner)} got the bare torch module {_name(model)}; pass NetClassifier(module) instead, "
            "which trains it as a scikit-learn classifier."
        )
    if model is not None and (isinstance(model, type) or not hasattr(model, "fit")):
        raise TypeError(f"{_name(owner)} needs an estimator with fit, as an object, and got {model!r}.")
    if model is not None and is_regressor(model):
        raise TypeError(f"{_name(owner)} works with classifiers only, and {model!r} is a regressor.")
    for capability in capabilities:
        if model is None:
            raise TypeError(
                f"{owner!r} needs a model with {capability}, and has none; pass estimator=, or use it as the "
                "strategy of an ActiveLearner, which lends it its own model."
            )
        if not supports(model, capability):
            raise TypeError(
                f"{owner!r} needs a model with {capability}, which {model!r} lacks; "
                f"{_ADVICE.get(capability, _ANY_MODEL)}."
            )


def predict_proba(model, X):
    """Class probabilities of a fitted model, checked; -> (n, n_classes).

    Raises
    ------
    ValueError
        If the model answers with another shape, with numbers that are not finite, or that are no
        probabilities.
    """
    proba = np.asarray(model.predict_proba(X))
    rows = n_rows(X)
    n_classes = len(getattr(model, "classes_", ()))
    if proba.ndim < 2 or len(proba) != rows or proba.shape[-1] < n_classes:
        raise ValueError(
            f"{_name(model)}.predict_proba returned an array of shape {proba.shape} for {rows} rows; "
            f"expected ({rows}, {n_classes or 'n_classes'})."
        )
    if not np.isfinite(proba).all():
        raise ValueError(
            f"{_name(model)}.predict_proba returned probabilities that are not finite (NaN or infinity); the "
            "model may have diverged: lower its learning rate, or scale its input."
        )
    if (proba < -_TOLERANCE).any() or (np.abs(proba.sum(axis=-1) - 1) > _TOLERANCE).any():
        raise ValueError(
            f"{_name(model)}.predict_proba returned no probabilities: these are not negative, and sum to 1 "
            "in each row. Logits need a softmax."
        )
    return proba


def is_semi_supervised(model):
    """Whether `fit` of the model wants the unlabelled rows too, marked in y."""
    from sklearn.semi_supervised import LabelPropagation, LabelSpreading, SelfTrainingClassifier

    model = _last_step(model)  # searches stay closed: they would score the unlabelled rows
    return getattr(model, "semi_supervised", False) or isinstance(
        model, (LabelPropagation, LabelSpreading, SelfTrainingClassifier)
    )


def allows_nan(model):
    """Whether NaN in X is the model's own business: it takes it, or a step of a pipeline fills it in."""
    from sklearn.compose import ColumnTransformer

    while isinstance(model, (*_TRANSPARENT, Pipeline)):
        model = _first_to_meet_nan(model) if isinstance(model, Pipeline) else model.estimator
    if isinstance(model, ColumnTransformer):  # does not look; its parts see a part of the columns each
        return True
    return model is not None and get_tags(model).input_tags.allow_nan


def _first_to_meet_nan(pipeline):
    """The first step that scalers, which ignore NaN and let it pass, leave it to."""
    scalers = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "passthrough")
    steps = [step for _, step in pipeline.steps if step is not None]
    return next(
        (step for step in steps if (step if isinstance(step, str) else _name(step)) not in scalers), None
    )


def final_parameter(model, name):
    """The full name of a parameter of the model inside pipelines and searches; None if it has none."""
    prefix, final = _final(model)
    has_it = hasattr(final, "get_params") and name in final.get_params(deep=False)
    return prefix + name if has_it else None


def fit_parameter(model, name):
    """The full name of a parameter of `fit` of a pipeline's last step, or of the model itself; else None."""
    prefix = ""
    while isinstance(model, Pipeline) and model.steps:
        step, model = model.steps[-1]
        prefix += f"{step}__"
    if name not in signature(model.fit).parameters:
        return None
    if prefix and routing_enabled():  # then a pipeline takes what its steps have requested, without prefix
        return name if get_routing_for_object(model).consumes("fit", [name]) else None
    return prefix + name


def continues_training(model):
    """Whether ``warm_start=True`` goes on from the last weights.

    A forest or a booster would add trees to its old ones, and a search starts over.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    _, final = _final(model)
    adds_members = hasattr(final, "n_estimators") or isinstance(final, HistGradientBoostingClassifier)
    starts_over = isinstance(_last_step(model), BaseSearchCV)
    return final_parameter(model, "warm_start") is not None and not adds_members and not starts_over


def _last_step(model):
    while isinstance(model, Pipeline) and model.steps:
        model = model.steps[-1][1]
    return model


def _final(model):
    """The model inside pipelines and searches, with the prefix of its parameters."""
    prefix = ""
    while True:
        if isinstance(model, Pipeline) and model.steps:
            name, model = model.steps[-1]
        elif isinstance(model, BaseSearchCV):
            name, model = "estimator", model.estimator
        else:
            return prefix, model
        prefix += f"{name}__"


def _is_torch_module(model):
    # A module can't have been made without torch, so torch need not be imported to tell.
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    kind = model if isinstance(model, type) else type(model)
    return issubclass(kind, torch.nn.Module)


def _name(model):
    while isinstance(model, FrozenEstimator):
        model = model.estimator
    return model.__name__ if isinstance(model, type) else type(model).__name__
