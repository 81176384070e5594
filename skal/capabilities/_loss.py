"""How large a loss a model has on rows: what it expects, and what rows with a label tell."""

from collections import Counter

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state

from skal import labels
from skal._block_wise import block_wise
from skal._compat import BaseSearchCV, slice_fit_params
from skal._rows import n_rows, take
from skal._seeds import derive, seed_open_states
from skal.capabilities._answers import check_probabilities
from skal.capabilities._models import innermost, is_semi_supervised, name_of, opened


def can_predict_loss(model):
    """Whether a model, fitted or not, can be asked for the loss that it expects on rows."""
    return hasattr(model, "predict_loss") or hasattr(innermost(model), "predict_loss")


@block_wise
def predict_loss(model, X):
    """The loss that a fitted model expects on rows, in units of its own; (n, ...) -> (n,) float64.

    Parameters
    ----------
    model : classifier
        Fitted, with ``predict_loss``. Pipelines, searches and frozen estimators are opened.
    X : array-like of shape (n, ...)
        Rows.

    Returns
    -------
    ndarray of shape (n,)
        Higher = a larger loss. Only the order counts.

    Raises
    ------
    TypeError
        If the model has no ``predict_loss``.
    ValueError
        If it answers with another shape, or with numbers that are not finite.
    """
    if not hasattr(model, "predict_loss"):
        model, X = opened(model, X)
    if not hasattr(model, "predict_loss"):
        raise TypeError(f"{name_of(model)} has no predict_loss; use LossPredictionClassifier.")
    predicted = np.asarray(model.predict_loss(X), dtype=np.float64)
    if predicted.shape != (n_rows(X),):
        raise ValueError(
            f"{name_of(model)}.predict_loss returned an array of shape {predicted.shape} for {n_rows(X)} "
            f"rows; expected ({n_rows(X)},)."
        )
    if not np.isfinite(predicted).all():
        raise ValueError(
            f"{name_of(model)}.predict_loss returned losses that are not finite (NaN or infinity); the model "
            "may have diverged: lower its learning rate, or scale its input."
        )
    return predicted


def losses(model, X, y):
    """``-ln p`` of the label of each row by a fitted model; (n, ...), (n,) -> (n,).

    Infinite where the model rules the label out, or does not know it.
    """
    proba = check_probabilities(np.asarray(model.predict_proba(X)), model, "predict_proba", (n_rows(X),))
    column = {label: number for number, label in enumerate(np.asarray(model.classes_).tolist())}
    columns = np.array([column.get(label, -1) for label in y.tolist()])
    with np.errstate(divide="ignore"):
        return -np.log(np.where(columns < 0, 0, proba[np.arange(len(proba)), columns]))


def held_out_losses(model, X, y, *, n_folds=3, seed=0, fit_params=None):
    """``-ln p`` of the label of each labelled row by a model that was not trained on it; -> (n_labelled,).

    Clones of the model are fitted on all folds but one, and asked about that one. Each is shown all classes:
    the only row of a class is in no fold, and its loss stays unknown. Where no class has two rows, or the
    model can't be cloned, the losses are those of the fitted model, on rows that it was trained on.

    Parameters
    ----------
    model : classifier
        Fitted; not changed. Of a frozen one, what is frozen is cloned; of a search, the best model.
    X : array-like of shape (n, ...)
        What it was fitted on. Rows without a label (-1 in y) are for semi-supervised models alone, which see
        the held-out rows as such.
    y : ndarray of shape (n,)
    n_folds : int >= 2 or None, default=3
        How many folds, and fits. None trains nothing: the losses are those of the fitted model.
    seed : int, default=0
        Deals the rows to folds, and fixes what models draw that have no seed of their own.
    fit_params : dict or None, default=None
        For `fit` of the clones; values per row are sliced.

    Returns
    -------
    ndarray of shape (n_labelled,)
        In nats; NaN where unknown.
    """
    is_known = labels.known(y, unlabeled=-1) if is_semi_supervised(model) else np.ones(len(y), dtype=bool)
    rows = np.flatnonzero(is_known)
    while isinstance(model, (BaseSearchCV, FrozenEstimator)):
        model = getattr(model, "best_estimator_", model.estimator)
    fold = np.full(len(y), -1)
    if n_folds is not None and hasattr(model, "get_params"):
        fold[rows] = _folds(y[rows], n_folds, seed)
    if (fold < 0).all():
        return losses(model, take(X, rows), y[rows])
    found = np.full(len(y), np.nan)
    for number in range(n_folds):
        held = np.flatnonzero(fold == number)
        if len(held) > 0:
            other = seed_open_states(clone(model), derive(seed, "fold", number))
            _fit_without(other, X, y, is_known & (fold != number), fit_params or {})
            found[held] = losses(other, take(X, held), y[held])
    return found[rows]


def _folds(y, n_folds, seed):
    """The fold of each row, with rows of every class in at least two; -1 for the one row of a class."""
    rng, fold, dealt = check_random_state(seed), np.full(len(y), -1), 0
    counts = Counter(y.tolist())
    for label in labels.vocabulary(y).tolist():
        if counts[label] > 1:
            rows = rng.permutation(np.flatnonzero(y == label))
            fold[rows] = (dealt + np.arange(len(rows))) % n_folds
            dealt += len(rows)
    return fold


def _fit_without(model, X, y, shown, fit_params):
    """Fit a model on the rows that are shown; a semi-supervised one sees the others without their labels."""
    if is_semi_supervised(model):
        return model.fit(X, labels.hide(y, shown), **fit_params)
    rows = np.flatnonzero(shown)
    return model.fit(take(X, rows), y[rows], **slice_fit_params(X, fit_params, rows))
