"""How like each other two rows are, bounded in single precision and exact; what facility location sums."""

import sys
from functools import partial

import numpy as np
from scipy import sparse

from skal.selection._points import SINGLE, Points, blocks, double, in_single, squared_lengths

__all__ = ["LIKENESSES"]


class Cosine:
    """The cosine of the angle between two rows; 0 for a row of zeros."""

    least = 0.0

    def __init__(self, Z):
        self._Z = Z
        lengths = np.sqrt(squared_lengths(Z, partial(double, Z)))
        self._inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        self._single = in_single(Z, self.coordinates)
        # A product of directions is off by one rounding per term at most.
        self._error = np.float32((Z.shape[1] + 8) * SINGLE)

    def above(self, rows, columns):
        """At least the likeness of `rows` to `columns`, in single precision; (k,), slice -> (k, l)."""
        # Of small matrices OpenBLAS multiplies what lies beside them, too, and may warn of that.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            cosines = self._single(rows) @ self._single(columns).T
        return (cosines.toarray() if sparse.issparse(cosines) else cosines) + self._error

    def exact(self, row, columns):
        """The likeness of one row to `columns`, in double precision; int, (k,) -> (k,)."""
        direction = self.coordinates([row])
        direction = direction.toarray()[0] if sparse.issparse(direction) else direction[0]
        products = np.empty(len(columns))
        for block in blocks(len(columns), self._Z.shape[1]):
            products[block] = double(self._Z, columns[block]) @ direction
        return products * self._inverse[columns]

    def coordinates(self, rows):
        """Rows, in double precision, whose products are likenesses."""
        Z, inverse = double(self._Z, rows), self._inverse[rows, np.newaxis]
        return Z.multiply(inverse).tocsr() if sparse.issparse(Z) else Z * inverse

    def on_device(self, left, right):
        """The likeness of coordinates that are tensors; (k, m), (l, m) -> (k, l)."""
        return left @ right.T


class Euclidean:
    """Minus the distance between two rows, in units of the largest distance from the mean."""

    least = -2.0 * (1 + 1e-9)  # no distance is larger

    def __init__(self, Z):
        self._points = Points(Z)

    def above(self, rows, columns):
        """At least the likeness of `rows` to `columns`, in single precision; (k,), slice -> (k, l)."""
        squares = self._points.lower(rows, self._points, columns).astype(np.float32, copy=False)
        return np.float32(8 * SINGLE) - np.sqrt(np.maximum(squares, 0, out=squares))

    def exact(self, row, columns):
        """The likeness of one row to `columns`, in double precision; int, (k,) -> (k,)."""
        return -np.sqrt(self._points.exact(np.full(len(columns), row), self._points, columns))

    def coordinates(self, rows):
        """Rows, in double precision, whose distances are likenesses."""
        return self._points.scaled(rows)

    def on_device(self, left, right):
        """The likeness of coordinates that are tensors; (k, m), (l, m) -> (k, l)."""
        return -sys.modules["torch"].cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")


LIKENESSES = {"cosine": Cosine, "euclidean": Euclidean}
