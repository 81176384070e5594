"""Rows that are known by their factors: inner products and exact distances, without the rows."""

import sys

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import safe_sparse_dot

__all__ = ["OuterProducts", "as_rows", "blocks", "squares"]

# Numbers of a block of rows: 4 MiB in single precision.
_BLOCK_VALUES = 2**20

# Where an expanded square is a smaller part of the two norms than this, differences are taken.
_CANCELLED = 1e-4


class _Rows:
    """Rows whose inner products are the products, over their factors, of the factors' inner products."""

    def __init__(self, *factors):
        self._factors = factors

    def __len__(self):
        return len(self._factors[0])

    def __getitem__(self, rows):
        """Some of the rows, by a slice or by positions; an object of the same kind."""
        picked = object.__new__(type(self))
        picked._factors = tuple(factor[rows] for factor in self._factors)
        return picked

    @property
    def width(self):
        """Numbers that stand for a row."""
        return sum(factor.width for factor in self._factors)

    @property
    def is_dense(self):
        """Whether no factor is sparse."""
        return all(factor.is_dense for factor in self._factors)

    @property
    def n_terms(self):
        """At most how many products are added up to an inner product, over all factors; int."""
        return sum(factor.n_terms for factor in self._factors)

    def factor_norms(self, dtype=np.float64):
        """Squared norms of each factor's rows; -> (n_factors, n_rows)."""
        return np.stack([factor.squared_norms(dtype) for factor in self._factors])

    def squared_norms(self):
        """Squared norm of each row; -> (n_rows,) float64."""
        return self.factor_norms().prod(axis=0)

    def inner(self, other, dtype=np.float64, scale=1.0, device=None):
        """Inner products, times `scale`, with the rows of another object of this kind; -> (n_rows, n_other).

        On a torch device they are a tensor.
        """
        (own, theirs), *others = zip(self._factors, other._factors, strict=True)
        products = own.inner(theirs, dtype, scale, device)
        for own, theirs in others:
            products *= own.inner(theirs, dtype, 1.0, device)
        return products

    def squared_distances(self, other):
        """Squared distances to the rows of another object of this kind; -> (n_rows, n_other) float64."""
        norms = self.squared_norms()[:, np.newaxis] + other.squared_norms()
        distances = norms - self.inner(other, scale=2.0)
        own, theirs = np.nonzero(distances <= _CANCELLED * norms)
        distances[own, theirs] = self.paired(own, other, theirs)
        return distances

    def paired(self, own, other, theirs):
        """Squared distances between pairs of rows, from differences; (p,) int, (p,) int -> (p,) float64.

        Exactly 0 between equal rows.
        """
        distances = np.empty(len(own))
        for block in blocks(len(own), self.width):
            left = [factor[own[block]].double() for factor in self._factors]
            right = [factor[theirs[block]].double() for factor in other._factors]
            distances[block] = self._differences(left, right)
        return distances


class PlainRows(_Rows):
    """The rows of an array, (n_rows, m) ndarray or csr."""

    def __init__(self, Z):
        super().__init__(_Factor(Z))

    def _differences(self, left, right):
        return squares(left[0] - right[0])


class OuterProducts(_Rows):
    """Rows a_i (x) h_i, such as gradients of a last layer, never built; (n_rows, k * m) in effect.

    The gradient of a loss with respect to the weights of the last layer is the outer product of the gradient
    a_i at its k outputs and of its m inputs h_i, so that ``<g_i, g_j> = (a_i . a_j) (h_i . h_j)``.

    Parameters
    ----------
    A : array-like of shape (n_rows, k)
    H : ndarray or csr of shape (n_rows, m)
    bias : bool, default=False
        Whether a 1 is meant to stand behind each h_i, as the input of the bias: k more columns.

    References
    ----------
    J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal, "Deep batch active learning by diverse,
    uncertain gradient lower bounds", ICLR 2020 (the gradients).

    Examples
    --------
    >>> import numpy as np
    >>> A, H = np.array([[1.0, -1.0], [0.5, -0.5]]), np.array([[3.0, 4.0], [3.0, 0.0]])
    >>> gradients = OuterProducts(A, H)
    >>> gradients.shape
    (2, 4)
    >>> gradients.squared_norms()
    array([50. ,  4.5])
    >>> gradients.squared_distances(gradients[:1])
    array([[ 0. ],
           [36.5]])
    """

    def __init__(self, A, H, *, bias=False):
        super().__init__(_Factor(np.asarray(A)), _Factor(H, bias))

    @property
    def shape(self):
        """The shape that the rows would have as an array; (n_rows, k * m)."""
        left, right = self._factors
        return len(self), left.width * right.width

    def _differences(self, left, right):
        # With factors of equal norms, all three terms are positive, and none of them cancels.
        (a, h, norms), (b, g, other_norms) = _balanced(*left), _balanced(*right)
        crossed = squares(a - b) * squares((h + g) / 2) + squares((a + b) / 2) * squares(h - g)
        return crossed + (norms - other_norms) ** 2 / 2


class _Factor:
    """A matrix with one row for each row, and maybe a column of ones behind it that takes no memory."""

    def __init__(self, Z, bias=False):
        self._Z = Z.tocsr() if sparse.issparse(Z) else np.asarray(Z)
        self._bias = bias

    def __len__(self):
        return self._Z.shape[0]

    def __getitem__(self, rows):
        return _Factor(self._Z[rows], self._bias)

    @property
    def width(self):
        return self._Z.shape[1] + self._bias

    @property
    def is_dense(self):
        return not sparse.issparse(self._Z)

    @property
    def n_terms(self):
        if sparse.issparse(self._Z):
            return np.diff(self._Z.indptr).max(initial=0) + self._bias
        return self.width

    def squared_norms(self, dtype):
        norms = np.empty(len(self), dtype=dtype)
        for block in blocks(len(self), 16 * self.width):  # small, so that what is cast stays in the cache
            norms[block] = squares(self._Z[block].astype(dtype, copy=False))
        return norms + dtype(self._bias)

    def inner(self, other, dtype, scale, device):
        left, right = self._Z.astype(dtype, copy=False), other._Z.astype(dtype, copy=False)
        left = left if scale == 1.0 else left * dtype(scale)
        if device is None:
            products = safe_sparse_dot(left, right.T, dense_output=True)
        else:
            as_tensor = sys.modules["torch"].as_tensor
            products = as_tensor(left, device=device) @ as_tensor(right, device=device).T
        if self._bias:
            products += dtype(scale)
        return products

    def double(self):
        """All columns in double precision."""
        Z = self._Z.astype(np.float64)
        if not self._bias:
            return Z
        ones = np.ones((len(self), 1))
        return sparse.hstack([Z, ones], format="csr") if sparse.issparse(Z) else np.hstack([Z, ones])


def as_rows(Z):
    """An array as rows; an `OuterProducts` as it is."""
    return Z if hasattr(Z, "paired") else PlainRows(Z)


def blocks(n, width):
    """Slices of n rows of `width` numbers each that are a few MiB large."""
    size = max(1, _BLOCK_VALUES // max(1, width))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def squares(Z):
    """Squared norm of each row; (n, m) ndarray or csr -> (n,)."""
    if sparse.issparse(Z):
        return np.asarray(Z.multiply(Z).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", Z, Z)


def _balanced(A, H):
    """Factors of the same outer products that have equal norms, and the squared norms of these."""
    a, h = squares(A), squares(H)
    norms = np.sqrt(a) * np.sqrt(h)
    root = np.sqrt(norms)
    empty = norms == 0
    scale_a, scale_h = (np.where(empty, 0.0, root / np.sqrt(np.where(empty, 1.0, x))) for x in (a, h))
    A = A * scale_a[:, np.newaxis]
    H = sparse.diags(scale_h) @ H if sparse.issparse(H) else H * scale_h[:, np.newaxis]
    return A, H, norms
