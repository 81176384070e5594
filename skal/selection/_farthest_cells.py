"""Cells of centres around pivots: which centres are close to a row, and which can't be its nearest."""

import numpy as np

__all__ = ["Cells"]

# Fewer centres that are new to a row are not worth a first look at those in its own cell.
_FEW_NEW = 128

# The table of all cells and centres has as many rows at most.
_MOST_CELLS = 128

# Centres at a time.
_BLOCK = 4096

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
        self._looked = np.empty(len(points), dtype=np.int32)  # centres known of the own cell
        self._cell_of_center = np.empty(points.capacity, dtype=np.uint16)
        # At most the distance of each pivot to each centre.
        self._gap = np.empty((self._n_cells, points.capacity), dtype=np.float32)
        self._n_centers = 0
        for start in range(0, points.n_centers, _BLOCK):
            X = _from_table(points.table[start : min(start + _BLOCK, points.n_centers)])
            self.append(X, np.einsum("ij,ij->i", X[:, :-1], X[:, :-1]).astype(np.float64))
        own = [self._centers_of(k) for k in range(self._n_cells)]
        self._own = [(points.table[centers], points.slack[centers].max(initial=0)) for centers in own]

    def _set_pivots(self):
        """A few rounds of k-means on centres: the better the cells, the fewer distances."""
        n = self._points.n_centers
        self._n_cells = min(int(np.sqrt(n)), _MOST_CELLS)
        X = _from_table(self._points.table[: n : max(1, n // _BLOCK)])
        pivots = X[:: len(X) // self._n_cells][: self._n_cells]
        for _ in range(3):
            cell = (X @ _as_table(pivots).T).argmin(axis=1)
            member = np.zeros((self._n_cells, len(X)), dtype=np.float32)
            member[cell, np.arange(len(X))] = 1
            sizes = member.sum(axis=1, keepdims=True)
            pivots = np.where(sizes > 0, (member @ X) / np.maximum(sizes, 1), pivots)
        self._pivots = _as_table(pivots)
        self._squares = self._pivots[:, -1].astype(np.float64)

    def append(self, X, squares):
        """Take in centres, as `DensePoints.single` has them."""
        new = slice(self._n_centers, self._n_centers + len(X))
        self._n_centers = new.stop
        products = self._pivots @ X.T
        self._cell_of_center[new] = products.argmin(axis=0)
        error = 2 * self._points.error * (squares + self._squares[:, np.newaxis]) + _TINY
        gap = np.sqrt(np.maximum(products + squares - error, 0)) * _DOWN
        self._gap[:, new] = np.where(np.isfinite(gap), gap, 0)

    def start(self, rows, X, squares):
        """Assign rows, a slice, to their cells; -> upper bounds of the squared distances by own cells."""
        products = X @ self._pivots.T
        cell = products.argmin(axis=1).astype(np.uint16)
        square = products[np.arange(len(X)), cell] + squares
        square += 2 * self._points.error * (squares + self._squares[cell]) + _TINY
        reach = np.sqrt(np.maximum(square, 0)) * _UP
        self._reach[rows] = np.where(np.isfinite(reach), reach, np.inf)
        self._cell[rows] = cell
        self._looked[rows] = self._n_centers
        order = np.argsort(cell, kind="stable")
        X = X[order]
        product, slack = np.full(len(X), np.inf), np.zeros(len(X))
        for k, part in self._groups(cell[order]):
            table, most_slack = self._own[k]
            if len(table):
                products = X[part] @ table.T
                product[part] = products[np.arange(len(products)), products.argmin(axis=1)]
                slack[part] = most_slack
        bounds = np.empty(len(X))
        bounds[order] = self._points.upper_by(product, squares[order], slack)
        return bounds

    def tightened(self, rows, seen, bounds):
        """Upper bounds once the new centres in the own cells are looked at."""
        bounds = bounds.copy()
        known = np.maximum(seen, self._looked[rows])
        places = np.flatnonzero(known < self._n_centers - _FEW_NEW)
        places = places[np.argsort(self._cell[rows[places]], kind="stable")]

        def look(group):
            k, part = group
            part = places[part]
            centers = self._centers_of(k, known[part].min())
            if len(centers):
                upper = self._points.upper(*self._points.single(rows[part]), centers)
                bounds[part] = np.minimum(bounds[part], upper)

        self._points.each(look, self._groups(self._cell[rows[places]]))
        self._looked[rows[places]] = self._n_centers
        return bounds

    def chunks(self, rows, places, bounds, size):
        """Places of rows by cells, up to so many, and all centres that may be the nearest of one of them."""
        reach = self._reach[rows[places]] + np.sqrt(bounds[places]) * _UP
        cell = self._cell[rows[places]]
        order = np.lexsort((reach, cell))
        chunks = []
        for k, group in self._groups(cell[order]):
            for start in range(group.start, group.stop, size):
                part = order[start : min(start + size, group.stop)]
                close = self._gap[k, : self._n_centers] <= reach[part[-1]] * _UP
                chunks.append((places[part], np.flatnonzero(close)))
        return [chunk for chunk in chunks if len(chunk[1])]

    def _centers_of(self, k, first=0):
        return first + np.flatnonzero(self._cell_of_center[first : self._n_centers] == k)

    def _groups(self, cell):
        """Each cell with its part of an array in the order of cells, if it is not empty."""
        ends = np.searchsorted(cell, np.arange(self._n_cells + 1)).tolist()
        return [(k, slice(*ends[k : k + 2])) for k in range(self._n_cells) if ends[k] < ends[k + 1]]


def _from_table(table):
    """Centres in single precision, and a 1, as `DensePoints.single` has them."""
    X = np.float32(-0.5) * table
    X[:, -1] = 1
    return X


def _as_table(pivots):
    """The product of (x, 1) and a row is the squared distance to a pivot, without |x|^2."""
    table = np.float32(-2) * pivots
    table[:, -1] = np.einsum("ij,ij->i", pivots[:, :-1], pivots[:, :-1])
    return table
