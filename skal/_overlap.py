"""How well masks agree: overlap of each class, counted over all pixels of a set of images."""

import numpy as np

from skal._compat import StrOptions, check_parameters, check_sample_weight
from skal._images import encode_masks, mask_values, read_masks
from skal._rows import as_objects

__all__ = ["dice_score", "iou_score", "score_masks"]


def dice_score(y_true, y_pred, *, labels=None, average="macro", ignore_index=-1, sample_weight=None):
    """The Dice coefficient of predicted masks, ``2 |A & B| / (|A| + |B|)`` for each class.

    A are the pixels of a class in truth, B in the prediction. They are counted over all images together, so
    that an image in which a class does not occur needs no convention; pixels whose truth is `ignore_index`
    don't count.

    Parameters
    ----------
    y_true : array-like of int of shape (n, h, w), or a list or object array of masks (h_i, w_i)
        The true masks; None in the place of a mask leaves its image out.
    y_pred : like `y_true`
        The predicted masks.
    labels : array-like of int or None, default=None
        The classes to score. None takes all that occur in truth or prediction.
    average : "macro" or None, default="macro"
        "macro" is the mean over those of the classes that occur in truth or prediction; None returns the
        value of each class.
    ignore_index : int, default=-1
        What stands in `y_true` for a pixel without a label.
    sample_weight : array-like of shape (n,) or None, default=None
        How much the pixels of each image count.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        A class of `labels` that occurs neither in truth nor in prediction has the value NaN, and is left out
        of the mean; the mean is NaN if all are such.

    Raises
    ------
    ValueError
        If masks don't pair up, or no pixel has a label.

    See Also
    --------
    iou_score : For dice d, iou is d / (2 - d).

    Examples
    --------
    >>> dice_score([[[0, 1, 1, -1]]], [[[0, 1, 0, 0]]], average=None).round(3)
    array([0.667, 0.667])
    """
    classes, counts = _counts(y_true, y_pred, ignore_index, sample_weight)
    both, true, predicted = _overlap(counts)
    return _averaged(2 * both, true + predicted, classes, labels, average, "dice_score")


def iou_score(y_true, y_pred, *, labels=None, average="macro", ignore_index=-1, sample_weight=None):
    """Intersection over union of predicted masks, ``|A & B| / |A or B|``, for each class.

    A are the pixels of a class in truth, B in the prediction. They are counted over all images together, so
    that an image in which a class does not occur needs no convention; pixels whose truth is `ignore_index`
    don't count.

    Parameters
    ----------
    y_true : array-like of int of shape (n, h, w), or a list or object array of masks (h_i, w_i)
        The true masks; None in the place of a mask leaves its image out.
    y_pred : like `y_true`
        The predicted masks.
    labels, average, ignore_index, sample_weight
        As in `dice_score`.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        NaN for a class of `labels` that occurs neither in truth nor in prediction; "macro" leaves it out.

    Raises
    ------
    ValueError
        If masks don't pair up, or no pixel has a label.

    Examples
    --------
    >>> iou_score([[[0, 1, 1, -1]]], [[[0, 1, 0, 0]]])
    0.5
    """
    classes, counts = _counts(y_true, y_pred, ignore_index, sample_weight)
    both, true, predicted = _overlap(counts)
    return _averaged(both, true + predicted - both, classes, labels, average, "iou_score")


def score_masks(scoring, y_true, y_pred, ignore_index, sample_weight=None):
    """The score of predicted masks by its name, or by a function ``(y_true, y_pred) -> float``.

    Parameters
    ----------
    scoring : {"dice", "iou", "accuracy"} or callable
        A function also gets ``ignore_index``, and ``sample_weight`` where there is one, by name.
    y_true, y_pred : ndarray of shape (n, h, w), or object arrays of masks
    ignore_index : int
    sample_weight : array-like of shape (n,) or None, default=None
    """
    score = scoring if callable(scoring) else _SCORES[scoring]
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    return float(score(y_true, y_pred, ignore_index=ignore_index, **weights))


def _accuracy(y_true, y_pred, *, ignore_index, sample_weight=None):
    """The share of pixels with a label that are predicted right."""
    _, counts = _counts(y_true, y_pred, ignore_index, sample_weight)
    both, true, _ = _overlap(counts)
    return both.sum() / true.sum()


_SCORES = {"dice": dice_score, "iou": iou_score, "accuracy": _accuracy}


def _counts(y_true, y_pred, ignore_index, sample_weight):
    """All classes, and how many pixels have which truth and prediction; -> (k,), (k, k + 1).

    The last column is for predictions of `ignore_index`, which are wrong whatever the truth.
    """
    true, predicted = _paired(y_true, y_pred)
    weights = None if sample_weight is None else check_sample_weight(sample_weight, true)
    valid = [mask != ignore_index for mask in true]
    true, predicted = (
        as_objects([mask[own] for mask, own in zip(masks, valid, strict=True)]) for masks in (true, predicted)
    )
    classes = np.union1d(mask_values(true, ignore_index), mask_values(predicted, ignore_index))
    k = len(classes)
    counts = np.zeros((k, k + 1), dtype=int if weights is None else float)
    codes = (encode_masks(masks, classes, ignore_index) for masks in (true, predicted))
    for number, (row, column) in enumerate(zip(*codes, strict=True)):
        cells = row.astype(np.int64) * (k + 1) + column.astype(np.int64) % (k + 1)
        table = np.bincount(cells, minlength=counts.size).reshape(counts.shape)
        counts += table if weights is None else weights[number] * table
    if not counts.any():
        raise ValueError(
            f"a score needs pixels with a label, and all of y_true is ignore_index={ignore_index}"
        )
    return classes, counts


def _paired(y_true, y_pred):
    """Masks and predictions as object arrays, without images that have no mask."""
    true, predicted = (read_masks(masks, "a score of masks") for masks in (y_true, y_pred))
    if len(true) != len(predicted):
        raise ValueError(f"y_true has {len(true)} masks and y_pred has {len(predicted)}: they must pair up")
    pairs = list(zip(true, predicted, strict=True))
    for number, (mask, other) in enumerate(pairs):
        if mask is not None and (other is None or mask.shape != other.shape):
            shape = None if other is None else other.shape
            raise ValueError(f"the mask {number} has the shape {mask.shape} in y_true and {shape} in y_pred")
    empty = np.zeros((0, 0), dtype=np.int8)
    pairs = [(empty, empty) if mask is None else (mask, other) for mask, other in pairs]
    return as_objects([mask for mask, _ in pairs]), as_objects([other for _, other in pairs])


def _overlap(counts):
    """Pixels that are right, of each class in truth, and of each in the prediction; three of shape (k,)."""
    return counts.diagonal(), counts.sum(axis=1), counts[:, :-1].sum(axis=0)


def _averaged(shared, total, classes, labels, average, name):
    check_parameters({"average": [StrOptions({"macro"}), None]}, {"average": average}, name)
    values = np.full(len(classes), np.nan)
    np.divide(shared, total, out=values, where=total > 0)
    if labels is not None:
        known = dict(zip(classes.tolist(), values, strict=True))
        values = np.array([known.get(label, np.nan) for label in np.asarray(labels).tolist()])
    if average is None:
        return values
    occurs = ~np.isnan(values)
    return float(values[occurs].mean()) if occurs.any() else float("nan")
