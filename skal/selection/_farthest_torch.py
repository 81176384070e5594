"""Rows and centres on a GPU for the products that bound distances; decisions stay in double precision."""

import sys
from contextlib import contextmanager

import numpy as np

from skal.selection._farthest_points import MANY, TINY, DensePoints, above, slices

__all__ = ["TorchPoints", "gpu_for"]

# Products of two numbers that are worth a GPU, to which all rows must be brought.
_WORTH_A_GPU = 2**33

# Numbers held at a time on the device: 512 MiB of them.
_BLOCK_VALUES = 2**27


class TorchPoints(DensePoints):
    """DensePoints with a copy of all rows, in single precision, on a torch device."""

    chunk_rows = 4096

    def __init__(self, Z, centers, n_more, each, device):
        self._torch, self._device = sys.modules["torch"], device
        self._table_there = self._empty(len(centers) + n_more, Z.shape[1] + 1)
        super().__init__(Z, centers, n_more, each)
        self._rows_there, self._squares_of_rows = self._empty(len(self), self.m + 1), np.empty(len(self))
        for rows in slices(len(self), max(1, _BLOCK_VALUES // 8 // (self.m + 1))):
            X, self._squares_of_rows[rows] = self.single(rows)
            self._rows_there[rows] = self._there(X)

    def _empty(self, *shape):
        return self._torch.empty(shape, dtype=self._torch.float32, device=self._device)

    def _there(self, array):
        return self._torch.from_numpy(array).to(self._device)

    def _append(self, coordinates):
        first = self.n_centers
        super()._append(coordinates)
        self._table_there[first : self.n_centers] = self._there(self.table[first : self.n_centers])

    def start(self):
        """Upper bounds of the squared distance of each row to the nearest centre; -> (n,)."""
        bounds = np.empty(len(self))
        for rows in slices(len(self), max(1, _BLOCK_VALUES // self.n_centers)):
            _, least, nearest = self._products(rows, slice(0, self.n_centers))
            bounds[rows] = self.upper_by(least, self._squares_of_rows[rows], self.slack[nearest])
        return bounds

    def _products(self, rows, centers):
        with _full_precision(self._torch):
            products = self._rows_there[rows] @ self._table_there[centers].T
        least, nearest = products.min(dim=1)
        return products, least.cpu().numpy(), nearest.cpu().numpy()

    def _close_pairs(self, rows, centers, bounds):
        """Pairs of a row and one of the centres that may be its nearest; -> places of rows, centres."""
        products, least, nearest = self._products(self._there(rows), centers)
        squares = self._squares_of_rows[rows]
        room = self.slack[centers][nearest] + 2 * self.error * squares + 2 * TINY
        limits = np.minimum(bounds - (1 - self.error) * squares + TINY, least + room)
        is_close = products <= self._there(above(limits, np.dtype(np.float32)))
        if not np.isfinite(least + room).all() or int(is_close.sum()) > MANY * len(rows):
            return super()._close_pairs(rows, centers, bounds)
        of, to = (places.cpu().numpy() for places in is_close.nonzero(as_tuple=True))
        return of, to + centers.start


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
