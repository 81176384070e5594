"""Rows and centres in csr form, and the squared distances between them."""

import numpy as np
from scipy import sparse

from skal.selection._farthest_points import Points, error_in_double, slices

__all__ = ["SparsePoints"]

# Rows whose distances to all centres are held at a time.
_BLOCK_ROWS = 256


class SparsePoints(Points):
    """Points with few coordinates that are not 0; products are sparse, in double precision."""

    def __init__(self, Z, centers, n_more, each):
        super().__init__(Z, sparse.csr_array(centers), n_more, each)
        self.unit = 1.0
        self._n_terms = int(max(np.diff(rows.indptr).max(initial=0) for rows in (Z, self._given)))
        self._table = sparse.csr_array((0, self.m))
        self._their_squares = np.empty(0)
        self._append(self._given)

    def _append(self, coordinates):
        new = sparse.csr_array(coordinates).astype(np.float64)
        if not np.isfinite(new.data).all():
            raise ValueError("k_center can't place points with NaN or infinite coordinates.")
        self.n_centers += new.shape[0]
        self._table = sparse.vstack([self._table, new], format="csr")
        self._their_squares = np.concatenate([self._their_squares, _sums_of_squares(new)])

    def start(self):
        """Upper bounds of the squared distance of each row to the nearest centre; -> (n,)."""
        if not np.isfinite(self._Z.data).all():
            raise ValueError("k_center can't place points with NaN or infinite coordinates.")
        bounds = np.empty(len(self))
        for rows in slices(len(self), _BLOCK_ROWS):
            products, squares, slack, error, _ = self._double(rows, slice(0, self.n_centers))
            nearest = products.argmin(axis=1)
            bounds[rows] = (
                products[np.arange(len(products)), nearest] + (1 + error) * squares + slack[nearest]
            )
        return bounds

    def _close_pairs(self, rows, centers, bounds):
        of, to = self._close_pairs_by(self._double, rows, centers, bounds)
        return of, to + centers.start

    def _double(self, rows, centers):
        X, Y = self._Z[rows].astype(np.float64), self._table[centers]
        error = error_in_double(self._n_terms, X.data, Y.data)
        theirs = self._their_squares[centers]
        products = np.asarray((X @ Y.T).toarray()) * -2.0
        products += (1 - error) * theirs
        return products, _sums_of_squares(X), 2 * error * theirs, error, 0.0

    def _squares(self, left, right):
        return _sums_of_squares(left.astype(np.float64) - right.astype(np.float64))

    def _fill(self, table, rows):
        X = self._Z[rows].astype(np.float64)
        squares = _sums_of_squares(X)
        np.add.outer(squares, squares, out=table)
        table -= 2 * (X @ X.T).toarray()
        return 2 * error_in_double(self._n_terms, X.data) * squares.max()


def _sums_of_squares(rows):
    return np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
