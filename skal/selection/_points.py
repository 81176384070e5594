"""Rows of a matrix as points: squared distances, bounded in single precision, or exact for chosen pairs."""

import numpy as np
from scipy import sparse

__all__ = [
    "SINGLE",
    "Points",
    "blocks",
    "double",
    "in_single",
    "row_bytes",
    "squared_lengths",
    "squares_of_pairs",
]

#: The rounding of single precision.
SINGLE = 2.0**-24

# Numbers in a block: 8 MiB.
_BLOCK_VALUES = 2**20

# Copies in single precision are made once if they have no more numbers: 256 MiB.
_KEPT_VALUES = 2**26


class Points:
    """The rows of Z, (n, m) ndarray or csr_matrix, in units of their largest distance from a centre.

    `lower` is a product of blocks in single precision, at the speed of the machine: a bound that is short of
    the squared distance by `slack` at most. `exact` is the definition, for the few pairs where that matters.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n, m)
    origin : Points, default=None
        Whose centre and unit to take. By default the centre is the mean, or the origin where Z is sparse.

    Attributes
    ----------
    unit : float
    squares : ndarray of shape (n,)
        Squared distances from the centre, in squared units.
    """

    def __init__(self, Z, origin=None):
        self._Z = Z
        if origin is None:
            self._center = 0.0 if sparse.issparse(Z) or len(Z) == 0 else Z.mean(axis=0, dtype=np.float64)
            self.unit = 1.0
            self.unit = np.sqrt(squared_lengths(Z, self.scaled).max(initial=0.0)) or 1.0
        else:
            self._center, self.unit = origin._center, origin.unit
        self.squares = squared_lengths(Z, self.scaled)
        # A sum of products is off by one rounding per term at most, of the sum of their sizes, in any order.
        self._error = 2 * (Z.shape[1] + 8) * SINGLE
        self._extended = in_single(Z, self._extend)

    def lower(self, rows, other, columns):
        """At most the squared distance of `rows` to `columns` of other Points; -> (k, l)."""
        if sparse.issparse(self._Z):
            products = (self.scaled(rows) @ other.scaled(columns).T).toarray()
            shrunk = [
                (1 - self._error) * points.squares[part] for points, part in ((self, rows), (other, columns))
            ]
            return np.add.outer(*shrunk) - 2 * products
        left = self._extended(rows) * np.float32(-2)
        left[:, -2:] = left[:, :-3:-1] / -2
        return left @ other._extended(columns).T

    def slack(self, rows, other, columns):
        """How far pairs of rows and columns may be above `lower`; (k,), (k,) -> (k,)."""
        return 2 * self._error * (self.squares[rows] + other.squares[columns])

    def exact(self, rows, other, columns):
        """Squared distances of pairs of rows and columns, by the definition; (k,), (k,) -> (k,)."""
        return squares_of_pairs(self._Z, rows, other._Z, columns) / self.unit**2

    def scaled(self, rows):
        """Rows in double precision, from the centre and in units."""
        return (double(self._Z, rows) - self._center) / self.unit

    def _extend(self, rows):
        # The product of (-2 x, u, 1) and (y, 1, v) is u + v - 2 x.y.
        shrunk = (1 - self._error) * self.squares[rows, np.newaxis]
        return np.hstack([self.scaled(rows), np.ones_like(shrunk), shrunk])


def in_single(Z, make):
    """A function of rows that is `make`, in single precision; of all rows at once, if memory allows."""
    if sparse.issparse(Z) or Z.size > _KEPT_VALUES:
        return lambda rows: make(rows).astype(np.float32)
    parts = [make(rows).astype(np.float32) for rows in blocks(*Z.shape)]
    return np.concatenate(parts).__getitem__ if parts else (lambda rows: make(rows).astype(np.float32))


def blocks(n, width):
    """Slices of n rows of `width` numbers that are a few MiB each."""
    size = max(1, _BLOCK_VALUES // max(1, width))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def double(Z, rows):
    """Rows of Z in double precision."""
    return Z[rows].astype(np.float64)


def squares_of_pairs(Z, rows, other, columns):
    """Squared distances between rows of Z and rows of another matrix, pair by pair; (k,), (k,) -> (k,)."""
    squares = np.empty(len(rows))
    for block in blocks(len(rows), Z.shape[1]):
        squares[block] = _sums_of_squares(double(Z, rows[block]) - double(other, columns[block]))
    return squares


def row_bytes(Z, row):
    """The numbers of a row, as a key that equal rows share."""
    if sparse.issparse(Z):
        entries = slice(*Z.indptr[row : row + 2])
        return Z.indices[entries].tobytes() + Z.data[entries].tobytes()
    return Z[row].tobytes()


def squared_lengths(Z, make):
    """The squared lengths of all rows that `make` makes of rows of Z; -> (n,)."""
    lengths = np.empty(Z.shape[0])
    for rows in blocks(*Z.shape):
        lengths[rows] = _sums_of_squares(make(rows))
    return lengths


def _sums_of_squares(Z):
    if sparse.issparse(Z):
        return np.asarray(Z.multiply(Z).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", Z, Z)
