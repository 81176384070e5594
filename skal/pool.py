"""The pool: all rows, and which of them have been labelled, in one guarded index space."""

import numpy as np

from skal import labels
from skal._rows import as_objects, at_the_door, n_rows, take

__all__ = ["Pool"]


class Pool:
    """Rows, the labels revealed so far, and the round of each.

    A row is its position in X, always; nothing is deleted, so positions keep their meaning.

    Parameters
    ----------
    X : array-like of shape (n_rows, ...)
        All rows; never copied as a whole, never written to.
    may_query : array-like of bool of shape (n_rows,) or None, default=None
        Which rows an oracle can label; None means all of them.
    dtype : dtype or None, default=None
        The type of the labels; None takes it from the first ones, and objects for strings. Leave it at None
        for masks.

    Attributes
    ----------
    X : array-like of shape (n_rows, ...)
    y : ndarray of shape (n_rows,) or (n_rows, height, width), or None
        Revealed labels, meaningful only where a row is labelled; None before the first. Masks of different
        sizes are a 1-d object array.
    labeled_iter : ndarray of int of shape (n_rows,)
        The round in which each row got its label, -1 = never.

    Examples
    --------
    >>> import numpy as np
    >>> pool = Pool(np.arange(10).reshape(5, 2))
    >>> pool.label([3, 1], ["cat", "dog"], number=0)
    >>> pool.labeled, pool.candidates
    (array([1, 3]), array([0, 2, 4]))
    """

    def __init__(self, X, may_query=None, dtype=None):
        self.X = at_the_door(X)
        self.y = None if dtype is None else np.zeros(n_rows(self.X), dtype=dtype)
        self.labeled_iter = np.full(n_rows(self.X), -1)
        self.may_query = np.ones(len(self), dtype=bool) if may_query is None else np.asarray(may_query)

    def __len__(self):
        return len(self.labeled_iter)

    @property
    def labeled(self):
        """Rows that have a label, ascending; (n_labeled,) int."""
        return np.flatnonzero(self.labeled_iter >= 0)

    @property
    def candidates(self):
        """Rows that can be queried, ascending; (n_candidates,) int."""
        return np.flatnonzero(self.may_query & (self.labeled_iter < 0))

    def take(self, rows):
        """X at some rows, a view where X is not in memory; (n,) -> (n, ...)."""
        return take(self.X, rows)

    def label(self, rows, y, number):
        """Reveal the labels of rows.

        Parameters
        ----------
        rows : array-like of int of shape (n,)
            Distinct, not labelled yet.
        y : array-like of shape (n,) or (n, height, width), or list of masks
            Their labels.
        number : int
            The round, from 0.

        Raises
        ------
        ValueError
            If a row is out of range, given twice, or labelled already, or if a label is of another kind
            than the labels before; the pool is then unchanged.
        """
        rows, y = np.asarray(rows, dtype=np.intp), labels.as_array(y)
        if rows.shape != y.shape[:1]:
            raise ValueError(f"The oracle gave {len(y)} labels for {len(rows)} rows; it must give one a row.")
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise ValueError(f"Rows to label must lie between 0 and {len(self) - 1}.")
        if len(np.unique(rows)) < len(rows) or (self.labeled_iter[rows] >= 0).any():
            raise ValueError("Rows to label must be distinct and not labelled yet.")
        if self.y is None:
            # A fixed-width string type would cut longer labels of later rounds.
            dtype = object if y.dtype.kind in "US" else y.dtype
            is_ragged = labels.are_masks(y) and y.ndim == 1
            self.y = (np.empty if is_ragged else np.zeros)((len(self), *y.shape[1:]), dtype=dtype)
        if labels.are_masks(y):
            self._write_masks(rows, y)
        else:
            self.y[rows] = _as_labels(y, self.y.dtype)
        self.labeled_iter[rows] = number

    def _write_masks(self, rows, masks):
        if self.y.ndim == 1 and self.y.dtype != object:
            raise ValueError(f"The oracle gave masks after labels of another kind ({self.y.dtype}).")
        if self.y.shape[1:] != masks.shape[1:]:  # masks of other sizes than those before
            self.y, masks = as_objects(list(self.y)), as_objects(list(masks))
        elif masks.dtype != object:
            masks = _as_labels(masks, self.y.dtype)
        self.y[rows] = masks


def _as_labels(y, dtype):
    """Labels of a later round as those of the first, or an error where that would change one."""
    try:
        converted = y.astype(dtype)
        is_same = bool((converted == y).all())
    except (TypeError, ValueError):
        is_same = False
    if not is_same:
        said = f"labels {y[:5].tolist()}" if y.ndim == 1 else f"masks of type {y.dtype}"
        raise ValueError(
            f"The oracle's {said} are not of the kind of the labels before them ({dtype}); "
            "a row that it can't label must not be answered."
        )
    return converted
