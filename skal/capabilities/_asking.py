"""Who can be asked for what, and the refusal of who can't."""

import numpy as np
from sklearn.base import is_regressor

from skal._block_wise import block_wise
from skal._rows import n_rows
from skal.capabilities import _draws, _loss
from skal.capabilities._answers import check_pixels, check_probabilities
from skal.capabilities._blocks import image_blocks, parts_of_one_size
from skal.capabilities._models import fenced, is_torch_module, labels_pixels, name_of

_ANY_MODEL = "use a model that has it"

# Which capability is missing decides what to advise.
_ADVICE = {
    "predict_proba": "use a classifier with probabilities, such as LogisticRegression, NetClassifier, or "
    "CalibratedClassifierCV around this one",
    "predict_loss": "use LossPredictionClassifier",
    "sample_proba": "use NetClassifier with a dropout module, EnsembleClassifier, or a forest",
}

# What models without a method of that name can be asked for all the same.
_INFERRED = {"predict_loss": _loss.can_predict_loss, "sample_proba": _draws.can_sample}


def supports(model, capability):
    """Whether a model, fitted or not, can be asked for a capability such as "predict_proba"."""
    return hasattr(model, capability) or _INFERRED.get(capability, _never)(model)


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
    if is_torch_module(model):
        raise TypeError(
            f"{name_of(owner)} got the bare torch module {name_of(model)}; pass NetClassifier(module) "
            "instead, which trains it as a scikit-learn classifier."
        )
    if model is not None and (isinstance(model, type) or not hasattr(model, "fit")):
        raise TypeError(f"{name_of(owner)} needs an estimator with fit, as an object, and got {model!r}.")
    if model is not None and is_regressor(model):
        raise TypeError(f"{name_of(owner)} works with classifiers only, and {model!r} is a regressor.")
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


@block_wise
def predict_proba(model, X):
    """Class probabilities of a fitted model, checked; -> (n, n_classes).

    Of a model that labels pixels, (n, height, width, n_classes), or, for images of different sizes, an object
    array of one (height, width, n_classes) for each.

    Raises
    ------
    ValueError
        If the model answers with another shape, with numbers that are not finite, or that are no
        probabilities.
    """
    with fenced(model):
        answer = model.predict_proba(X)
    if labels_pixels(model):
        return check_pixels(answer, model, "predict_proba", X)
    return check_probabilities(np.asarray(answer), model, "predict_proba", (n_rows(X),))


def proba_blocks(model, X):
    """Class probabilities of a fitted model, in parts where it labels pixels; yields (rows, proba).

    What a model says of rows is small, and comes at once. What it says of the pixels of a large pool never
    exists at once.

    Parameters
    ----------
    model : classifier
    X : array-like of shape (n, ...), or list of images of different sizes

    Yields
    ------
    rows : slice or ndarray of int
        Rows of X: of an array a slice, in order; of images of different sizes positions.
    proba : ndarray of shape (n_part, n_classes) or (n_part, height, width, n_classes)
    """
    if not labels_pixels(model):
        yield slice(0, n_rows(X)), predict_proba(model, X)
        return
    for rows, images in image_blocks(X, len(getattr(model, "classes_", ())) or 10):
        yield from parts_of_one_size(rows, predict_proba(model, images))


def _never(model):
    return False
