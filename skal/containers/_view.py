"""A lazy view of rows of a pool: positions now, rows when they are read."""

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from numbers import Integral

import numpy as np
from scipy import sparse

from skal.containers._protocol import fingerprint_of

__all__ = ["View"]

# Rows that are read at once: at most 4096, and at most 64 MiB of float32. A power of two, and so a multiple
# of the rows that a net computes in one batch, and no property of the container: results don't hang on what
# holds the pool.
_BLOCK_ROWS = 4096
_BLOCK_VALUES = 2**24
_BATCH_ROWS = 64


class View:
    """Rows of a pool, by position, which nobody has read yet; what `skal.as_pool` returns.

    ``pool[rows]`` takes positions in any order and with repeats, slices and boolean masks, and is a view
    again. Models and strategies of skal read a view block by block: `fit`, `score`, `select`, `predict_proba`
    and the like never hold more than a block of it, but for the labelled rows, which a model is trained on.
    ``pool[i]`` is row i itself, and ``numpy.asarray(pool[rows])`` reads all rows.

    Parameters
    ----------
    container : Container
        Holds the rows.
    rows : ndarray of int of shape (n,) or None, default=None
        Positions in the container; None is all of them.
    finite : {None, "all", "but NaN"}, default=None
        What to refuse when rows are read: NaN and infinity, infinity, or nothing.

    Attributes
    ----------
    shape : tuple of int
    ndim : int
    dtype : dtype or None
    y : ndarray of shape (n,) or None
        The labels of these rows, where the container knows labels.
    classes : ndarray or None
        The names of the classes, where the container has them.
    """

    def __init__(self, container, rows=None, finite=None):
        self.container = container
        self.rows = rows
        self.finite = finite

    def __len__(self):
        return len(self.container) if self.rows is None else len(self.rows)

    @property
    def shape(self):
        """The number of rows, and the shape of a row where it is an array."""
        return (len(self), *self.container.shape[1:])

    @property
    def ndim(self):
        """1 for the rows, and the dimensions of a row."""
        return len(self.shape)

    @property
    def dtype(self):
        """The type of the numbers, None for rows that are something else."""
        return self.container.dtype

    @property
    def y(self):
        """The labels of these rows; None where the container knows none."""
        labels = self.container.labels
        return labels if labels is None or self.rows is None else labels[self.rows]

    @property
    def classes(self):
        """The names of the classes, sorted; None where the container has none."""
        return self.container.classes

    def __getitem__(self, key):
        if isinstance(key, tuple):  # scikit-learn asks for X[rows, ...]
            key, *others = key
            if others not in ([], [Ellipsis]):
                raise IndexError(f"{self!r} is indexed by rows only; read them first with numpy.asarray.")
        if isinstance(key, Integral):
            return self[np.array([key])].read()[0]
        return self.take(self._positions(key))

    def take(self, rows):
        """The rows at some positions of this view, in any order and with repeats; -> View."""
        taken = copy(self)
        taken.rows = rows if self.rows is None else self.rows[rows]
        return taken

    def checked(self, finite):
        """The same rows, refused when they are read if they are not finite; see the parameter."""
        taken = copy(self)
        taken.finite = finite
        return taken

    def read(self):
        """All rows of this view, as a model gets them: an array, or rows of the frame or sparse matrix."""
        return self._read(slice(0, len(self)))

    def parts(self, block_rows=None):
        """Where blocks of a fixed size lie, counted from row 0; -> list of slices."""
        n, size = len(self), block_rows or self.block_rows
        return [slice(start, min(start + size, n)) for start in range(0, n, size)]

    def blocks(self, block_rows=None):
        """The rows of each of the `parts`; yields (slice, rows)."""
        parts = self.parts(block_rows)
        if not self.container.reads_ahead:
            yield from ((rows, self._read(rows)) for rows in parts)
            return
        with ThreadPoolExecutor(1) as ahead:
            following = [ahead.submit(self._read, rows) for rows in parts[:1]]
            for number, rows in enumerate(parts):
                read = following.pop().result()
                following += [ahead.submit(self._read, rows) for rows in parts[number + 1 : number + 2]]
                yield rows, read
                del read

    @property
    def block_rows(self):
        """How many rows are read at once; it follows from the shape of a row alone."""
        n_values = int(np.prod(self.shape[1:], dtype=np.int64))
        fitting = max(1, _BLOCK_VALUES // max(1, n_values))
        return min(_BLOCK_ROWS, max(_BATCH_ROWS, 1 << fitting.bit_length() - 1))

    def fingerprint(self):
        """A text that changes with the rows and with the content of the container."""
        of_all = self.container.fingerprint()
        if self.rows is None:
            return of_all
        return fingerprint_of(of_all, self.rows)

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError(f"{self!r} is not in memory, so that copy=False can't be met.")
        return np.asarray(self.read(), dtype=dtype)

    def __iter__(self):
        for _, rows in self.blocks():
            yield from rows

    def __repr__(self):
        held = type(self.container).__name__
        return f"<{len(self)} rows of {held}, shape {self.shape}, dtype {self.dtype}>"

    def _read(self, part):
        if self.rows is None:
            rows = np.arange(part.start, part.stop, dtype=np.int64)
        else:
            rows = self.rows[part]
        read = self.container.take(rows)
        self._check_shape(read, len(rows))
        self._check_finite(read, rows)
        return read

    def _check_shape(self, read, n):
        found = tuple(read.shape) if hasattr(read, "shape") else (len(read), *self.shape[1:])
        if found != (n, *self.shape[1:]):
            raise ValueError(
                f"{type(self.container).__name__}.take was asked for {n} rows of shape {self.shape[1:]}, and "
                f"returned {found}; it must return the rows that it is asked for, in their order."
            )

    def _check_finite(self, read, rows):
        finite = self.finite or ("all" if len(self.shape) > 2 else None)  # a pixel is never missing
        numbers = None if finite is None else _numbers(read)
        if numbers is None:
            return
        bad = np.isinf(numbers) if finite == "but NaN" else ~np.isfinite(numbers)
        if bad.any():
            position = int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])
            kind = "a pixel" if bad.ndim > 2 else "a value"
            name = self.container.name(int(rows[position]))
            raise ValueError(
                f"{name} has {kind} that is NaN or infinite; mend that row, or leave it out of the pool."
            )

    def _positions(self, key):
        n = len(self)
        if isinstance(key, slice):
            return np.arange(*key.indices(n), dtype=np.int64)
        rows = np.asarray(key)
        if rows.dtype == bool:
            if rows.shape != (n,):
                raise IndexError(f"A mask of shape {rows.shape} can't choose among the {n} rows of {self!r}.")
            return np.flatnonzero(rows)
        if rows.ndim != 1 or (rows.dtype.kind not in "iu" and len(rows)):
            raise IndexError(f"Rows of {self!r} are chosen by integers, a slice or a mask, not by {key!r}.")
        rows = rows.astype(np.int64)
        if len(rows) and not (-n <= rows.min() and rows.max() < n):
            raise IndexError(
                f"Rows of {self!r} go from 0 to {n - 1}, and {rows.min()} to {rows.max()} were asked."
            )
        return np.where(rows < 0, rows + n, rows)


def _numbers(read):
    """The numbers among what was read that could be missing, by row; None where there are none."""
    if sparse.issparse(read):  # a row is told by the sum of what stands in it
        return np.asarray(abs(read).sum(axis=1, dtype=np.float64)) if read.dtype.kind == "f" else None
    if hasattr(read, "select_dtypes"):
        return read.select_dtypes(include="number").to_numpy(dtype=np.float64, na_value=np.nan)
    return read if isinstance(read, np.ndarray) and read.dtype.kind in "fc" else None
