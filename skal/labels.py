"""Labels with gaps: which rows have one, what it is, and how a gap is written.

The mark of a row without a label is -1 in an integer y, -1 or None in an object y, NaN in a float y.
Exactly {-1, 1} is scikit-learn's binary coding and means two classes. A fixed-width string array has
no mark.

Of models that label pixels, the label of a row is a mask: an (n, height, width) y of integers, or a list or
object array of masks of different sizes. There -1 is always the mark, of a pixel; a row whose pixels are all
marked, or None in its place, has no label.
"""

import numpy as np
from sklearn.utils.validation import column_or_1d

from skal._images import has_pixels, mask_values
from skal._rows import as_objects

__all__ = ["are_masks", "as_array", "at", "hide", "known", "read", "vocabulary"]


def known(y, unlabeled="auto", classes=None):
    """Which entries of y are labels; (n,) -> (n,) bool.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, height, width), or list of masks
        Labels, with gaps. A mask is a label where it has a pixel that is not marked.
    unlabeled : "auto" or a label, default="auto"
        The mark of a gap. "auto" goes by the type of y, as the module's summary says, and is -1 in masks; a
        value, such as -1 for a y of -1 and 1, is taken literally.
    classes : array-like or None, default=None
        All classes, where they are known: then "auto" takes -1 for a gap unless it is one of them.

    Returns
    -------
    ndarray of bool of shape (n,)

    Raises
    ------
    ValueError
        If y is a fixed-width string array with what looks like a mark that became a string.

    Examples
    --------
    >>> known([0, -1, 2])
    array([ True, False,  True])
    >>> known([-1, 1, 1])
    array([ True,  True,  True])
    >>> known([-1, 1, 1], unlabeled=-1)
    array([False,  True,  True])
    """
    y = as_array(y)
    if are_masks(y):
        return has_pixels(y, _pixel_mark(unlabeled))
    is_auto = isinstance(unlabeled, str) and unlabeled == "auto"
    if y.dtype.kind in "US":
        _refuse_marks_turned_into_strings(y, unlabeled)
    if not is_auto:
        return ~_equals(y, unlabeled)
    if y.dtype == object:
        is_known = np.array([_is_label(entry) for entry in y], dtype=bool)
    elif y.dtype.kind == "f":
        is_known = ~np.isnan(y)
    else:
        is_known = np.ones(len(y), dtype=bool)
    if y.dtype.kind in "iO":
        values = set(y[is_known].tolist())
        minus_one_is_class = values == {-1, 1} if classes is None else -1 in list(classes)
        if -1 in values and not minus_one_is_class:
            is_known &= ~_equals(y, -1)
    return is_known


def read(y, unlabeled="auto", classes=None):
    """Labels and where they are; (n,) -> ((n,), (n,) bool).

    An object y of numbers comes back as numbers (zeros in the gaps), since scikit-learn's models do
    not take numbers as objects.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, height, width), or list of masks
        Labels, with gaps.
    unlabeled, classes
        As in `known`.

    Returns
    -------
    y : ndarray of shape (n,) or (n, height, width)
        Meaningful only where `is_known`. Masks of different sizes are a 1-d object array.
    is_known : ndarray of bool of shape (n,)

    Raises
    ------
    ValueError
        If masks hold no integers, or are no arrays of two dimensions.

    Examples
    --------
    >>> y, is_known = read(np.array([1, None, 0], dtype=object))
    >>> y[is_known]
    array([1, 0])
    """
    y = as_array(y)
    if are_masks(y):
        return y, known(y, unlabeled)
    y = column_or_1d(y, warn=True)
    is_known = known(y, unlabeled, classes)
    if y.dtype == object and is_known.any():
        values = np.array(y[is_known].tolist())
        if values.ndim == 1 and values.dtype.kind in "biuf":
            numbers = np.zeros(len(y), dtype=values.dtype)
            numbers[is_known] = values
            return numbers, is_known
    return y, is_known


def vocabulary(y, unlabeled="auto"):
    """The distinct labels, sorted; (n,) -> (n_classes,).

    Parameters
    ----------
    y : array-like of shape (n,) or (n, height, width), or list of masks
        Known labels. Of masks, the classes are those of all pixels that are not marked.
    unlabeled : "auto" or int, default="auto"
        The mark of pixels, as in `known`.

    Raises
    ------
    ValueError
        If they are of kinds that can't be sorted among each other, such as strings and integers.

    Examples
    --------
    >>> vocabulary(["dog", "cat", "dog"]).tolist()
    ['cat', 'dog']
    >>> vocabulary([[[0, 2], [2, -1]], [[0, 5], [0, 0]]]).tolist()
    [0, 2, 5]
    """
    y = as_array(y)
    if are_masks(y):
        return mask_values(y, _pixel_mark(unlabeled)).astype(np.int64)
    try:
        return np.unique(y)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in y.astype(object).tolist()})
        raise ValueError(
            f"y has labels of the types {', '.join(kinds)}, which can't be sorted; make them all of one "
            "type, and mark rows without a label as skal.labels says."
        ) from error


def at(y, rows):
    """The labels of some rows, all of them known, as a model takes them; (n,) -> (len(rows),).

    Masks that happen to have one size are one array of integers.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, height, width)
        As `read` gives it.
    rows : ndarray of int or bool

    Returns
    -------
    ndarray of shape (n_taken,) or (n_taken, height, width)
    """
    taken = y[rows]
    is_ragged = taken.dtype == object and are_masks(taken)
    if is_ragged and len({np.shape(mask) for mask in taken}) == 1 and taken[0] is not None:
        return np.stack(list(taken))
    return taken


def hide(y, is_known, unlabeled="auto"):
    """A copy of y in which only the known labels stand, -1 everywhere else; (n,) -> (n,).

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, height, width)
        Labels.
    is_known : ndarray of bool of shape (n,)
        Which of them may be seen.
    unlabeled : "auto" or int, default="auto"
        The mark of pixels, as in `known`.

    Returns
    -------
    ndarray of shape (n,) or (n, height, width)
        -1 in the gaps. Floats become integers, as all classes written as floats are whole numbers: the
        models that read the mark look for -1, and refuse NaN. Hidden masks of one size are full of marks;
        of different sizes, None stands in their place.

    Raises
    ------
    ValueError
        If y has no room for a mark: strings of a fixed width, booleans, or a class that is -1.

    Examples
    --------
    >>> hide(np.array([3, 4, 5], dtype=np.uint8), np.array([True, False, True]))
    array([ 3, -1,  5])
    """
    if are_masks(y):
        return _hide_masks(y, is_known, _pixel_mark(unlabeled))
    if y.dtype.kind in "USb":
        raise ValueError(
            f"A y of type {y.dtype} has no mark for rows without a label, which a semi-supervised model "
            "needs; pass integers, or y.astype(object)."
        )
    if _equals(y[is_known], -1).any():
        raise ValueError(
            "A semi-supervised model reads -1 as 'no label', but -1 is a class of this y; name the classes "
            "0 and 1 instead."
        )
    hidden = np.full(len(y), -1, dtype=object if y.dtype == object else np.int64)
    hidden[is_known] = y[is_known]
    return hidden


def _is_label(entry):
    try:
        return entry is not None and bool(entry == entry)  # NaN differs from itself
    except TypeError:  # pandas.NA does not say
        return False


def are_masks(y):
    """Whether the label of a row, in what `as_array` gives, is a mask.

    Examples
    --------
    >>> are_masks(as_array([[[0, 1], [1, 0]]])), are_masks(as_array([0, 1]))
    (True, False)
    """
    if y.ndim != 1:
        return y.ndim > 2
    return y.dtype == object and np.ndim(next((label for label in y if label is not None), 0)) > 0


def as_array(y):
    """Labels as an array, whatever holds them; (n,) -> (n,), or (n, height, width) for masks of one size.

    Masks of different sizes, or with None among them, are a 1-d object array; those of True and False become
    0 and 1.

    Raises
    ------
    ValueError
        If masks hold no integers, or are no arrays of two dimensions.
    """
    if isinstance(y, list | tuple):
        y = _array_of_list(y)
    y = np.asarray(y)
    if not are_masks(y):
        return y
    if y.ndim > 2:
        return _as_mask(y)
    return as_objects([None if mask is None else _as_mask(np.asarray(mask), dimensions=2) for mask in y])


def _array_of_list(y):
    # numpy would write the -1 or None of a list of strings as a string.
    if 0 < sum(isinstance(label, str) for label in y) < len(y):
        return np.array(y, dtype=object)
    try:
        return np.asarray(y)
    except ValueError:  # masks of different sizes
        return as_objects(y)


def _as_mask(mask, dimensions=None):
    if mask.dtype == object and mask.ndim > 1:
        mask = np.array(mask.tolist())
    if mask.dtype == bool:
        mask = mask.view(np.uint8)
    if mask.dtype.kind not in "iu" or mask.ndim != (dimensions or mask.ndim):
        raise ValueError(
            "A mask holds an integer for each pixel, its class or the mark, and is of shape (height, width); "
            f"y has one of type {mask.dtype} and shape {mask.shape if dimensions else mask.shape[1:]}: "
            "y.astype(int) turns whole numbers into integers."
        )
    return mask


def _hide_masks(y, is_known, mark):
    if y.dtype == object:
        hidden = np.empty(len(y), dtype=object)
    else:
        hidden = np.full(y.shape, mark, dtype=np.promote_types(y.dtype, np.int8))
    hidden[is_known] = y[is_known]
    return hidden


def _pixel_mark(unlabeled):
    return -1 if isinstance(unlabeled, str) else unlabeled


def _equals(y, value):
    if y.dtype == object or value is None:
        return np.array([entry is value or (_is_label(entry) and entry == value) for entry in y], dtype=bool)
    if isinstance(value, float) and np.isnan(value):
        return np.isnan(y) if y.dtype.kind == "f" else np.zeros(len(y), dtype=bool)
    return np.broadcast_to(y == value, y.shape)


def _refuse_marks_turned_into_strings(y, unlabeled):
    if not isinstance(unlabeled, str):
        raise ValueError(
            f"unlabeled={unlabeled!r} can't occur in a y of fixed-width strings ({y.dtype}); pass "
            "y.astype(object) with None or -1 in the gaps."
        )
    values = set(np.unique(y.astype(str)).tolist())
    suspects = sorted(values & {"-1", "None", "nan"})
    if unlabeled == "auto" and suspects and values - {"-1", "1", "+1"}:
        raise ValueError(
            f"y is an array of fixed-width strings ({y.dtype}), which has no mark for rows without a label, "
            f"but it contains {suspects[0]!r}, probably a mark that numpy turned into a string; pass an "
            f"object array with None or -1 in the gaps, or unlabeled={suspects[0]!r}."
        )
