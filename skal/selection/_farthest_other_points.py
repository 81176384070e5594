"""Points in csr form, and points with a copy on a GPU."""

import sys
from contextlib import contextmanager

import numpy as np
from scipy import sparse

from skal.selection._farthest_points import (
    MANY,
    NOT_FINITE,
    TINY,
    DensePoints,
    Points,
    above,
    error_in_double,
    limits_of_products,
    slices,
)

__all__ = ["SparsePoints", "TorchPoints", "gpu_for"]

# Sparse rows whose distances to all centres are held at a time.
_BLOCK_ROWS = 256

# Products of two numbers that are worth a GPU, to which all rows must be brought.
_WORTH_A_GPU = 2**33

# Numbers held at a time on the device: 512 MiB of them.
_BLOCK_VALUES = 2**27


class SparsePoints(Points):
    """Points with few coordinates that are not 0: products are sparse, in double precision."""

    def __init__(self, Z, centers, n_more, each):
        super().__init__(Z, sparse.csr_array(centers), n_more, each)
        self._n_terms = int(max(np.diff(rows.indptr).max(initial=0) for rows in (Z, self._given)))
        self._centers, self._squares_of_centers = sparse.csr_array((0, self.m)), np.empty(0)
        self._append(self._given)

    def _append(self, coordinates):
        new = _finite(coordinates)
        self.n_centers += new.shape[0]
        self._centers = sparse.vstack([self._centers, new], format="csr")
        self._squares_of_centers = np.concatenate([self._squares_of_centers, _squared_lengths(new)])

    def start(self):
        """Upper bounds of the squared distance of each row to the nearest centre; -> (n,)."""
        bounds = np.empty(len(self))
        for rows in slices(len(self), _BLOCK_ROWS):
            products, squares, slack, error, _ = self._double(rows, slice(0, self.n_centers))
            nearest = products.argmin(axis=1)
            least = products[np.arange(len(squares)), nearest]
            bounds[rows] = least + (1 + error) * squares + slack[nearest]
        return bounds

    def _close_pairs(self, rows, centers, bounds):
        return self._close_pairs_by(self._double(rows, centers), bounds)

    def _double(self, rows, centers):
        X, Y = _finite(self._Z[rows]), self._centers[centers]
        error = error_in_double(self._n_terms, X.data, Y.data)
        theirs = self._squares_of_centers[centers]
        products = -2.0 * (X @ Y.T).toarray()
        products += (1 - error) * theirs
        return products, _squared_lengths(X), 2 * error * theirs, error, 0.0

    def _squares(self, left, right):
        return _squared_lengths(left.astype(np.float64) - right.astype(np.float64))

    def _fill(self, table, rows):
        X = self._Z[rows].astype(np.float64)
        squares = _squared_lengths(X)
        np.add.outer(squares, squares, out=table)
        table -= 2 * (X @ X.T).toarray()
        return 2 * error_in_double(self._n_terms, X.data) * squares.max()


class TorchPoints(DensePoints):
    """DensePoints with a copy of all rows, in single precision, on a torch device, for products only."""

    chunk_rows = 4096

    def __init__(self, Z, centers, n_more, each, device):
        import torch

        self._torch, self._device = torch, device
        self._table_there = self._empty(len(centers) + n_more, Z.shape[1])
        self._norms_there = self._empty(len(centers) + n_more)
        super().__init__(Z, centers, n_more, each)
        self._rows_there, self._squares_of_rows = self._empty(len(self), self.m), np.empty(len(self))
        for rows in slices(len(self), max(1, _BLOCK_VALUES // 8 // max(1, self.m))):
            X, self._squares_of_rows[rows] = self._narrowed(self._Z[rows])
            self._rows_there[rows] = self._there(X)

    def _empty(self, *shape):
        return self._torch.empty(shape, dtype=self._torch.float32, device=self._device)

    def _there(self, array):
        return self._torch.tensor(array, device=self._device)

    def _append(self, coordinates):
        first = self.n_centers
        super()._append(coordinates)
        new = slice(first, self.n_centers)
        self._table_there[new], self._norms_there[new] = (
            self._there(self.table[new]),
            self._there(self.norms[new]),
        )

    def start(self):
        """Upper bounds of the squared distance of each row to the nearest centre; -> (n,)."""
        bounds = np.empty(len(self))
        for rows in slices(len(self), max(1, _BLOCK_VALUES // self.n_centers)):
            _, least, nearest = self._products_there(rows, slice(0, self.n_centers))
            bounds[rows] = self.upper_by(least, self._squares_of_rows[rows], self.slack[nearest])
        return bounds

    def _products_there(self, rows, centers):
        """Products of rows and centres, there; the least of each row, and whose it is, here."""
        with _full_precision(self._torch):
            products = self._rows_there[rows] @ self._table_there[centers].T
            products += self._norms_there[centers]
        least, nearest = products.min(dim=1)
        return products, least.cpu().numpy(), nearest.cpu().numpy()

    def _close_pairs(self, rows, centers, bounds):
        products, least, nearest = self._products_there(self._there(rows), centers)
        squares, slack = self._squares_of_rows[rows], self.slack[centers][nearest]
        limits, room = limits_of_products(least, squares, slack, self.error, TINY, bounds)
        is_close = products <= self._there(above(limits, least.dtype))
        if not np.isfinite(room + least).all() or int(is_close.sum()) > MANY * len(rows):
            return super()._close_pairs(rows, centers, bounds)
        of, to = is_close.nonzero(as_tuple=True)
        return of.cpu().numpy(), to.cpu().numpy()


def gpu_for(Z, n_centers):
    """A GPU, where torch is loaded and finds one that has room, and the work is worth it; else None."""
    torch = sys.modules.get("torch")
    if torch is None or Z.size * n_centers < _WORTH_A_GPU or not torch.cuda.is_available():
        return None
    needed = 4 * (Z.size + 4 * _BLOCK_VALUES + n_centers * Z.shape[1])
    return "cuda" if needed < torch.cuda.mem_get_info()[0] else None


@contextmanager
def _full_precision(torch):
    """Let torch multiply in single precision as it says, whatever its user has allowed."""
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(allowed)


def _finite(rows):
    rows = sparse.csr_array(rows).astype(np.float64)
    if not np.isfinite(rows.data).all():
        raise ValueError(NOT_FINITE)
    return rows


def _squared_lengths(rows):
    return np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
