"""Distances between the rows of two matrices, in double precision whatever their scale and offset."""

import numpy as np
from scipy import sparse

__all__ = ["distances", "nearest", "within"]

# Numbers in a block: 8 MiB.
_BLOCK_VALUES = 2**20

# A squared distance that is smaller than this share of the two norms has lost digits to cancellation.
_CANCELLED = 2.0**-5

# Rounding of the expanded square, relative to the two norms: far above what sums of products ever show.
_ROUNDING = 2.0**-40


def distances(A, B):
    """Euclidean distances of all rows of A to all rows of B; (a, m), (b, m) -> (a, b) float64.

    Parameters
    ----------
    A, B : ndarray or csr_matrix
        Both dense or both sparse.

    Returns
    -------
    ndarray of shape (a, b)
        As from the differences, to a relative 1e-12: squares are expanded into inner products, and computed
        by the definition where that would cost digits.

    Examples
    --------
    >>> distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[5., 0.]])
    """
    found = np.empty((A.shape[0], B.shape[0]))
    for block in _blocks(*found.shape, A.shape[1]) if found.size > 0 else ():
        squares, norms = _expanded(A[block], B)
        i, j = np.nonzero(squares < _CANCELLED * norms)
        squares[i, j] = _squares(A[block], i, B, j)
        np.sqrt(squares, out=found[block])
    return found


def within(A, B, radius):
    """Whether the distances of rows of A to rows of B are at most a radius; (a, m), (b, m) -> (a, b) bool.

    Examples
    --------
    >>> within(np.array([[0.0], [2.0]]), np.array([[0.0], [3.0]]), radius=1.0)
    array([[ True, False],
           [False,  True]])
    """
    found = np.empty((A.shape[0], B.shape[0]), dtype=bool)
    for block in _blocks(*found.shape, A.shape[1]):
        found[block] = distances(A[block], B) <= radius
    return found


def nearest(A, B):
    """Euclidean distance of each row of A to the nearest row of B; (a, m), (b, m) -> (a,) float64.

    Parameters
    ----------
    A, B : ndarray or csr_matrix
        Both dense or both sparse.

    Returns
    -------
    ndarray of shape (a,)
        By the definition; infinite if B has no rows.

    Examples
    --------
    >>> nearest(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 3.0]]))
    array([0., 1.])
    """
    found = np.full(A.shape[0], np.inf)
    if B.shape[0] == 0:
        return found
    for block in _blocks(A.shape[0], B.shape[0], A.shape[1]):
        squares, norms = _expanded(A[block], B)
        slack = _ROUNDING * norms
        i, j = np.nonzero(squares - slack <= (squares + slack).min(axis=1, keepdims=True))
        np.minimum.at(found[block], i, np.sqrt(_squares(A[block], i, B, j)))
    return found


def _expanded(A, B):
    """Squared distances by inner products, and the squared norms that they are a small difference of."""
    if not sparse.issparse(A):
        center = B.mean(axis=0, dtype=np.float64)
        A, B = A - center, B - center
    A, B = A.astype(np.float64, copy=False), B.astype(np.float64, copy=False)
    products = A @ B.T
    norms = _sums_of_squares(A)[:, np.newaxis] + _sums_of_squares(B)
    return norms - 2 * (products.toarray() if sparse.issparse(products) else products), norms


def _squares(A, i, B, j):
    """Squared distances of pairs of rows, by the definition; -> (k,)."""
    squares = np.empty(len(i))
    for pairs in _blocks(len(i), A.shape[1]):
        gaps = A[i[pairs]].astype(np.float64) - B[j[pairs]].astype(np.float64)
        squares[pairs] = _sums_of_squares(gaps)
    return squares


def _sums_of_squares(X):
    if sparse.issparse(X):
        return np.asarray(X.multiply(X).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", X, X)


def _blocks(n, *widths):
    """Slices of n rows, so that a block of the widest has a few MiB."""
    size = max(1, _BLOCK_VALUES // max(1, *widths))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
