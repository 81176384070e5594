"""Cells of centres around pivots: which centres are close to a row, and which can't be its nearest."""

import numpy as np

__all__ = ["Cells"]

# Fewer centres that are new to a row are not worth a first look at those in its own cell.
_FEW_NEW = 128

# Fewer rows are looked at sooner than threads have begun.
_FEW_ROWS = 16384

# The table of all cells and centres has as many rows at most.
_MOST_CELLS = 128

# Centres and rows at a time.
_BLOCK = 4096
_BLOCK_ROWS = 4096

# Room for the rounding of square roots and sums, and of products of tiny numbers.
_UP, _DOWN, _TINY = 1 + 1e-6, 1 - 1e-6, 1e-33


class Cells:
    """Rows and centres, each in the cell of the nearest pivot.

    A centre in the cell of a row is likely to be close to it. And a centre whose distance from the pivot
    is above that of the row by more than some bound can't be closer to the row than this bound.

    Parameters
    ----------
    points : DensePoints
        The pivots are means of its centres.
    """

    def __init__(self, points):
        self._points = points
        self._set_pivots()
        self._cell = np.empty(len(points), dtype=np.uint16)
        self._reach = np.empty(len(points), dtype=np.float32)  # at least the distance to the pivot
        self._looked = np.zeros(len(points), dtype=np.int32)  # first centres known in the own cell
        self._cell_of_center = np.empty(points.capacity, dtype=np.uint16)
        # At most the distance of each pivot to each centre.
        self._gap = np.empty((self._n_cells, points.capacity), dtype=np.float32)
        self._n_centers = 0
        for start in range(0, points.n_centers, _BLOCK):
            X = np.float32(-0.5) * points.table[start : min(start + _BLOCK, points.n_centers)]
            self.append(X, np.einsum("ij,ij->i", X, X).astype(np.float64))

    def _set_pivots(self):
        """A few rounds of k-means on centres: the better the cells, the fewer distances."""
        n = self._points.n_centers
        # Few large cells beat many small ones, and products like sides that are multiples of 16.
        self._n_cells = min(16 * round(np.sqrt(n) / 32) or 8, _MOST_CELLS)
        X = np.float32(-0.5) * self._points.table[: n : max(1, n // _BLOCK)]
        pivots = X[:: len(X) // self._n_cells][: self._n_cells]
        for _ in range(3):
            cell = (X @ (-2 * pivots).T + _squared_lengths(pivots)).argmin(axis=1)
            member = np.zeros((self._n_cells, len(X)), dtype=np.float32)
            member[cell, np.arange(len(X))] = 1
            sizes = member.sum(axis=1, keepdims=True)
            pivots = np.where(sizes > 0, (member @ X) / np.maximum(sizes, 1), pivots)
        self._pivots, self._squares = -2 * pivots, _squared_lengths(pivots)

    def append(self, X, squares):
        """Take in centres, as `DensePoints.single` has them."""
        new = slice(self._n_centers, self._n_centers + len(X))
        self._n_centers = new.stop
        products = self._pivots @ X.T
        products += self._squares[:, np.newaxis]
        self._cell_of_center[new] = products.argmin(axis=0)
        error = 2 * self._points.error * (squares + self._squares[:, np.newaxis]) + _TINY
        gap = np.sqrt(np.maximum(products + squares - error, 0)) * _DOWN
        self._gap[:, new] = np.where(np.isfinite(gap), gap, 0)

    def assign(self, rows, X, squares):
        """Assign rows, a slice, to their cells."""
        products = X @ self._pivots.T
        products += self._squares
        cell = products.argmin(axis=1)
        square = products[np.arange(len(X)), cell] + squares
        square += 2 * self._points.error * (squares + self._squares[cell]) + _TINY
        reach = np.sqrt(np.maximum(square, 0)) * _UP
        self._reach[rows] = np.where(np.isfinite(reach), reach, np.inf)
        self._cell[rows] = cell

    def tightened(self, rows, seen, bounds):
        """Upper bounds once the new centres in the own cells are looked at."""
        bounds = bounds.copy()
        known = np.maximum(seen, self._looked[rows])
        places = np.flatnonzero((known == 0) | (known < self._n_centers - _FEW_NEW))
        cell = self._cell[rows[places]]
        order = np.argsort(cell, kind="stable")
        places, cell = places[order], cell[order]

        def look(group):
            k, part = group
            part = places[part]
            centers = self._centers_of(k, known[part].min())
            if len(centers):
                upper = self._points.upper(*self._points.single(rows[part]), centers)
                bounds[part] = np.minimum(bounds[part], upper)

        groups = self._groups(cell, _BLOCK_ROWS)
        if len(places) < _FEW_ROWS:
            for group in groups:
                look(group)
        else:
            self._points.each(look, groups)
        self._looked[rows[places]] = self._n_centers
        return bounds

    def chunks(self, rows, places, bounds, size):
        """Places of rows by cells, up to so many, and all centres that may be the nearest of one of them."""
        reach = self._reach[rows[places]] + np.sqrt(bounds[places]) * _UP
        cell = self._cell[rows[places]]
        order = np.lexsort((reach, cell))
        chunks = []
        for k, part in self._groups(cell[order], size):
            part = order[part]
            close = self._gap[k, : self._n_centers] <= reach[part[-1]] * _UP
            chunks.append((places[part], np.flatnonzero(close)))
        return [chunk for chunk in chunks if len(chunk[1])]

    def _centers_of(self, k, first=0):
        return first + np.flatnonzero(self._cell_of_center[first : self._n_centers] == k)

    def _groups(self, cell, size):
        """Each cell with a part of an array in the order of cells, of at most this size."""
        ends = np.searchsorted(cell, np.arange(self._n_cells + 1))
        groups = []
        for k in range(self._n_cells):
            for start in range(ends[k], ends[k + 1], size):
                groups.append((k, slice(start, min(start + size, ends[k + 1]))))
        return groups


def _squared_lengths(pivots):
    return np.einsum("ij,ij->i", pivots, pivots)
