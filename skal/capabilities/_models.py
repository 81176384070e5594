"""What a model is: what stands inside pipelines and searches, and what its class says of it."""

import sys
from contextlib import contextmanager
from inspect import signature

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object

from skal._compat import BaseSearchCV, routing_enabled

# What stands around a model and passes rows to it as they are.
_TRANSPARENT = (BaseSearchCV, FrozenEstimator)


def is_semi_supervised(model):
    """Whether `fit` of the model wants the unlabelled rows too, marked in y."""
    from sklearn.semi_supervised import LabelPropagation, LabelSpreading, SelfTrainingClassifier

    model = last_step(model)  # searches stay closed: they would score the unlabelled rows
    return getattr(model, "semi_supervised", False) or isinstance(
        model, (LabelPropagation, LabelSpreading, SelfTrainingClassifier)
    )


def labels_pixels(model):
    """Whether a model, fitted or not, labels each pixel of an image, as its attribute `labels_pixels` says.

    Pipelines, searches, frozen estimators, ensembles and learners are opened.
    """
    return bool(getattr(innermost(model), "labels_pixels", False))


def mark_for(model, unlabeled="auto"):
    """The mark in y of what has no label, for a model: where it labels pixels, its `ignore_index`.

    Raises
    ------
    ValueError
        If `unlabeled` names another one.
    """
    if not labels_pixels(model):
        return unlabeled
    model = innermost(model)
    while not hasattr(model, "ignore_index") and hasattr(model, "estimator"):  # ensembles and learners
        model = innermost(model.estimator)
    is_auto = isinstance(unlabeled, str) and unlabeled == "auto"
    mark = getattr(model, "ignore_index", unlabeled)
    if is_auto and mark == -1:
        return unlabeled
    if not is_auto and mark != unlabeled:
        raise ValueError(
            f"unlabeled={unlabeled!r} and ignore_index={mark!r} of {model!r} both say which pixels have no "
            "label; make them the same, or leave unlabeled at 'auto'."
        )
    return mark


def allows_nan(model):
    """Whether NaN in X is the model's own business: it takes it, or a step of a pipeline fills it in."""
    from sklearn.compose import ColumnTransformer

    while isinstance(model, (*_TRANSPARENT, Pipeline)):
        model = _first_to_meet_nan(model) if isinstance(model, Pipeline) else model.estimator
    if isinstance(model, ColumnTransformer):  # does not look; its parts see a part of the columns each
        return True
    return model is not None and get_tags(model).input_tags.allow_nan


def fills_nan(model):
    """Whether a step of a pipeline before the last one fills in NaN in X, so that the model meets none."""
    if isinstance(model, Pipeline) and model.steps:
        first = _first_to_meet_nan(model)
        return fills_nan(first) if first is model.steps[-1][1] else allows_nan(first)
    return isinstance(model, _TRANSPARENT) and fills_nan(model.estimator)


def _first_to_meet_nan(pipeline):
    """The first step that scalers, which ignore NaN and let it pass, leave it to."""
    scalers = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "passthrough")
    steps = [step for _, step in pipeline.steps if step is not None]
    return next(
        (step for step in steps if (step if isinstance(step, str) else name_of(step)) not in scalers), None
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
    starts_over = isinstance(last_step(model), BaseSearchCV)
    return final_parameter(model, "warm_start") is not None and not adds_members and not starts_over


def last_step(model):
    """The last step of a pipeline, and of one inside it; any other model itself."""
    while isinstance(model, Pipeline) and model.steps:
        model = model.steps[-1][1]
    return model


def innermost(model):
    """The model, fitted or not, inside pipelines, searches and frozen estimators."""
    while isinstance(model, (*_TRANSPARENT, Pipeline)):
        if isinstance(model, Pipeline):
            if not model.steps:
                return model
            model = model.steps[-1][1]
        else:
            model = getattr(model, "best_estimator_", model.estimator)
    return model


def transforms_rows(model):
    """Whether steps of a pipeline, also of one inside, change rows before the model gets them."""
    while isinstance(model, (*_TRANSPARENT, Pipeline)):
        if isinstance(model, Pipeline):
            if len(model.steps) > 1:
                return True
            model = last_step(model)
        else:
            model = getattr(model, "best_estimator_", model.estimator)
    return False


def opened(model, X):
    """The fitted model inside pipelines, searches and frozen estimators, and the rows as it gets them."""
    while isinstance(model, (*_TRANSPARENT, Pipeline)):
        if isinstance(model, Pipeline):
            X = model[:-1].transform(X) if len(model) > 1 else X
            model = model.steps[-1][1]
        else:
            model = getattr(model, "best_estimator_", model.estimator)
    return model, X


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


def is_torch_module(model):
    """Whether a model is a bare torch module, or a class of them."""
    # A module can't have been made without torch, so torch need not be imported to tell.
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    kind = model if isinstance(model, type) else type(model)
    return issubclass(kind, torch.nn.Module)


def is_skorch_net(model):
    """Whether a model is a net of skorch, which need not be imported to tell."""
    skorch = sys.modules.get("skorch")
    return skorch is not None and isinstance(model, skorch.NeuralNet)


@contextmanager
def fenced(model, seed=0):
    """A block in which a net of skorch's own classes draws from a seed and leaves no trace.

    Such nets have no ``random_state``, and draw from torch's own even where they predict. Nets of skal fence
    themselves in.
    """
    net = innermost(model)
    if not is_skorch_net(net) or hasattr(net, "_isolated"):
        yield
        return
    from skal.nets.seeding import isolated, modes_kept

    modules = [getattr(net, name + "_") for name in net._modules] if net.initialized_ else []
    with isolated(seed, net.device or "cpu"), modes_kept(*modules):
        yield


def name_of(model):
    """The name of a model's class, for messages."""
    while isinstance(model, FrozenEstimator):
        model = model.estimator
    return model.__name__ if isinstance(model, type) else type(model).__name__
