"""Rows, centres, and the squared distances between them: bounded by products, exact for few pairs."""

import numpy as np

from skal.selection._farthest_cells import Cells

__all__ = ["MANY", "NOT_FINITE", "TINY", "DensePoints", "Points", "above", "error_in_double", "slices"]

#: Products are taken in double precision if single precision leaves more centres than that to a row.
MANY = 8

#: What is said of points that have no place.
NOT_FINITE = "k_center can't place points with NaN or infinite coordinates; find out where they come from."

#: Smaller squared distances are lost in products in single precision. In double precision nothing is.
TINY = 1e-33

# Centres whose distances differ by less, relatively, need not be told apart in double precision.
_SAME = 1e-13

# If the squared distance of a typical row from 0 is not more than so many typical squared distances, no
# origin is subtracted: a larger error costs less.
_NEAR = 8

# Rows at a time, where all are looked at: 2 MiB of 128 features.
_BLOCK_ROWS = 4096

# Pairs whose coordinates are compared at a time hold so many numbers: 4 MiB in double precision.
_PAIR_VALUES = 2**19

# Centres are divided into cells from so many on.
_FEW_CENTERS = 64


class Points:
    """The rows of Z, and centres: `centers`, then the rows of Z that are added.

    With x and y relative to some origin the square of their distance is ``|x|^2 + |y|^2 - 2 x.y``, but for
    ``error * (|x|^2 + |y|^2)`` at most: this covers the rounding of coordinates, of products in whatever
    order they are added up, and of norms. So one product of matrices bounds many distances. The few
    that may decide are then taken from the differences of coordinates, in double precision.

    Parameters
    ----------
    Z : ndarray or csr_array of shape (n, m)
    centers : ndarray or csr_array of shape (c, m)
    n_more : int
        How many rows may be added to the centres.
    each : callable
        Calls a function on each of some items; see `shared_work`.

    Attributes
    ----------
    n_centers : int
    capacity : int
        Of centres.
    unit : float
        Of distances. Squared distances are in squared units.
    """

    #: Rows whose distances to all centres are held at a time.
    chunk_rows = 256

    def __init__(self, Z, centers, n_more, each):
        self._Z, self._given, self.each = Z, centers, each
        self.m = Z.shape[1]
        self.unit = 1.0
        self.n_centers = 0
        self.capacity = centers.shape[0] + n_more
        self._picked = np.empty(self.capacity, dtype=np.intp)  # rows; nothing for the given centres
        self._cells = None

    def __len__(self):
        return self._Z.shape[0]

    def add(self, rows):
        """Make centres of these rows."""
        self._picked[self.n_centers : self.n_centers + len(rows)] = rows
        self._append(self._Z[rows])

    def tightened(self, rows, seen, bounds):
        """Upper bounds once the centres close by are looked at; each row knows the first `seen` ones."""
        return bounds if self._cells is None else self._cells.tightened(rows, seen, bounds)

    def nearest(self, rows, seen, values, bounds):
        """Squared distances of rows to the nearest centre; -> (k,).

        Parameters
        ----------
        rows, seen, values, bounds : ndarray of shape (k,)
            `values` are the squared distances to the first `seen` centres, `bounds` not below those to all.
        """
        values = values.copy()
        order = np.argsort(seen, kind="stable")
        chunks = []
        if self._cells is not None:
            n_new = np.searchsorted(seen[order], 1)
            chunks = self._cells.chunks(rows, order[:n_new], bounds, self.chunk_rows)
            order = order[n_new:]
        for part in slices(len(order), self.chunk_rows):
            chunks.append((order[part], slice(seen[order[part.start]], self.n_centers)))

        def look(chunk):
            places, centers = chunk
            of, to = self._close_pairs(rows[places], centers, bounds[places])
            to = np.arange(self.n_centers)[centers][to]
            np.minimum.at(values, places[of], self._to_centers(rows[places[of]], to))

        self.each(look, chunks)
        return values

    def _close_pairs(self, rows, centers, bounds):
        """Pairs of a row and one of the centres that may be its nearest; -> places of both."""
        of, to = self._close_pairs_by(self._single(rows, centers), bounds)
        if len(of) > MANY * len(rows):
            of, to = self._close_pairs_by(self._double(rows, centers), bounds)
        return of, to

    def _close_pairs_by(self, expansion, bounds):
        products, squares, slack, error, tiny = expansion
        rows = np.arange(len(bounds))
        nearest = products.argmin(axis=1)
        least = products[rows, nearest]
        limits, room = limits_of_products(least, squares, slack[nearest], error, tiny, bounds)
        if not np.isfinite(room + least).all():  # out of the range of single precision
            return np.divmod(np.arange(products.size), products.shape[1])
        is_open = least <= limits
        products[rows, nearest] = np.inf
        has_more = is_open & (products[rows, products.argmin(axis=1)] <= limits)
        if products.dtype == np.float64:
            has_more &= room > _SAME * (least + (1 - error) * squares)
        nearest_of, more_of = np.flatnonzero(is_open), np.flatnonzero(has_more)
        more = products[more_of] <= above(limits[more_of], products.dtype)
        of, to = np.divmod(np.flatnonzero(more), products.shape[1])
        return np.concatenate([nearest_of, more_of[of]]), np.concatenate([nearest[nearest_of], to])

    def _to_centers(self, rows, centers):
        squares = np.empty(len(rows))
        is_given = centers < self._given.shape[0]
        squares[is_given] = self._pairs(rows[is_given], self._given, centers[is_given])
        squares[~is_given] = self.between(rows[~is_given], self._picked[centers[~is_given]])
        return squares

    def between(self, rows, others):
        """Squared distances of pairs of rows; (k,), (k,) -> (k,)."""
        return self._pairs(rows, self._Z, others)

    def _pairs(self, rows, array, others):
        squares = np.empty(len(rows))
        for part in slices(len(rows), max(1, _PAIR_VALUES // max(1, self.m))):
            squares[part] = self._squares(_rows_of(self._Z, rows[part]), _rows_of(array, others[part]))
        return squares

    def among(self, rows, exact=False):
        """Squared distances of rows to each other, and their error: 0 if they are exact."""
        table = np.empty((len(rows), len(rows)))
        if not exact:
            return table, self._fill(table, rows)

        def fill(part):
            left, right = np.repeat(rows[part], len(rows)), np.tile(rows, part.stop - part.start)
            table[part] = self.between(left, right).reshape(-1, len(rows))

        self.each(fill, slices(len(rows), 16))
        return table, 0.0


class DensePoints(Points):
    """Points with an array of coordinates.

    If rows are much farther from 0 than from each other, the origin is a typical row. The unit is a power of
    two which brings rows into the range of single precision.

    Attributes
    ----------
    error : float
    table : ndarray of float32 of shape (capacity, m)
        -2 y for each centre y.
    norms : ndarray of float32 of shape (capacity,)
        |y|^2, less its error. Added to a product x.(-2 y) it makes the lower bound of a squared distance, but
        for |x|^2.
    slack : ndarray of float64 of shape (capacity,)
        From the lower to the upper bound, but for the slack of |x|^2.
    """

    def __init__(self, Z, centers, n_more, each):
        super().__init__(Z, centers, n_more, each)
        self.error = (3 * self.m + 32) * 2.0**-24
        self._set_origin()
        self.table = np.empty((self.capacity, self.m), dtype=np.float32)
        self.norms = np.empty(self.capacity, dtype=np.float32)
        self.slack = np.empty(self.capacity)
        for part in slices(len(centers), _BLOCK_ROWS):
            self._append(centers[part])

    def _set_origin(self):
        sample = self._Z[:: max(1, len(self) // 128)].astype(np.float64)
        origin = np.median(sample, axis=0)
        if (sample == np.rint(sample)).all():  # whole numbers remain whole
            origin = np.rint(origin)
        squares = ((sample - origin) ** 2).sum(axis=1)
        if (origin**2).sum() <= _NEAR * np.median(squares):
            origin = np.zeros_like(origin)
        is_single = self._Z.dtype == np.float32
        self._origin = origin.astype(np.float32) if is_single else origin
        sizes = np.abs(sample - self._origin).max(axis=1, initial=0)
        exponent, most = np.frexp(np.median(sizes) or sizes.max())[1], 126 if is_single else 1000
        # A power of two, so that nothing is rounded; none where there is range enough.
        self._scale = 1.0 if abs(exponent) < 20 else 2.0 ** np.clip(-exponent, -most, most)
        self.unit = 1 / self._scale
        self._is_plain = is_single and self._scale == 1 and not self._origin.any()

    def _append(self, coordinates):
        new = slice(self.n_centers, self.n_centers + len(coordinates))
        self.n_centers = new.stop
        X, squares = self._narrowed(coordinates)
        np.multiply(X, np.float32(-2), out=self.table[new])
        self.norms[new] = (1 - self.error) * squares
        self.slack[new] = 2 * self.error * squares
        if self._cells is not None:
            self._cells.append(X, squares)

    def single(self, rows):
        """Rows in single precision, from the origin, and their squared lengths; -> (k, m), (k,)."""
        return self._narrowed(_rows_of(self._Z, rows))

    def _narrowed(self, coordinates):
        if coordinates.dtype != self._origin.dtype or self._origin.dtype != np.float32:
            X = self._widened(coordinates).astype(np.float32)
        elif self._is_plain:
            X = coordinates
        else:
            X = coordinates - self._origin
            X *= np.float32(self._scale)
        squares = np.einsum("ij,ij->i", X, X).astype(np.float64)
        if not np.isfinite(squares).all() and not np.isfinite(coordinates).all():
            raise ValueError(NOT_FINITE)
        return X, squares

    def _widened(self, coordinates):
        return (coordinates.astype(np.float64) - self._origin) * self._scale

    def start(self):
        """Upper bounds of the squared distance of each row to the nearest centre; -> (n,)."""
        self._cells = Cells(self) if self.n_centers >= _FEW_CENTERS else None
        bounds = np.full(len(self), np.inf)

        def look(rows):
            X, squares = self._narrowed(self._Z[rows])
            if self._cells is None:
                bounds[rows] = self.upper(X, squares, slice(0, self.n_centers))
            else:
                self._cells.assign(rows, X, squares)

        self.each(look, slices(len(self), _BLOCK_ROWS))
        return self.tightened(np.arange(len(self)), np.zeros(len(self), dtype=np.int32), bounds)

    def upper(self, X, squares, centers):
        """Upper bounds of the squared distances of points to the nearest of these centres."""
        products = self._products(X, centers)
        nearest = products.argmin(axis=1)
        return self.upper_by(products[np.arange(len(X)), nearest], squares, self.slack[centers][nearest])

    def upper_by(self, products, squares, slack):
        """Upper bounds of squared distances, each by a product and a norm."""
        bounds = products + (1 + self.error) * squares + slack + TINY
        return np.where(np.isfinite(bounds), bounds, np.inf)

    def _single(self, rows, centers):
        X, squares = self.single(rows)
        return self._products(X, centers), squares, self.slack[centers], self.error, TINY

    def _products(self, X, centers):
        products = X @ _rows_of(self.table, centers).T
        products += self.norms[centers]
        return products

    def _double(self, rows, centers):
        centers = np.arange(self.n_centers)[centers]
        n_given = np.searchsorted(centers, len(self._given))
        given, picked = self._given[centers[:n_given]], self._Z[self._picked[centers[n_given:]]]
        X, Y = self._widened(self._Z[rows]), np.vstack([self._widened(given), self._widened(picked)])
        squares, theirs = (np.einsum("ij,ij->i", A, A) for A in (X, Y))
        error = error_in_double(self.m, X, Y)
        products = X @ (-2 * Y).T
        products += (1 - error) * theirs
        return products, squares, 2 * error * theirs, error, 0.0

    def _squares(self, left, right):
        gap = left.astype(np.float64)
        gap -= right
        if self._scale != 1:
            gap *= self._scale
        return np.einsum("ij,ij->i", gap, gap)

    def _fill(self, table, rows):
        X = self._widened(self._Z[rows])
        squares = np.einsum("ij,ij->i", X, X)[:, np.newaxis]
        ones = np.ones_like(squares)
        left, right = np.hstack([-2 * X, squares, ones]), np.hstack([X, ones, squares])
        self.each(lambda part: np.dot(left[part], right.T, out=table[part]), slices(len(rows), 128))
        return 2 * error_in_double(self.m, X) * squares.max()


def _rows_of(array, rows):
    """``array[rows]``, faster where that is possible."""
    is_fast = isinstance(rows, np.ndarray) and isinstance(array, np.ndarray) and array.flags.c_contiguous
    return array.take(rows, axis=0) if is_fast else array[rows]


def limits_of_products(least, squares, slack, error, tiny, bounds):
    """Up to where products are of centres that may be the nearest, and how far that is from the least."""
    room = slack + 2 * error * squares + 2 * tiny
    return np.minimum(bounds - (1 - error) * squares + tiny, least + room), room


def above(limits, dtype):
    """The limits as a column of numbers of this type, rounded up."""
    return np.nextafter(limits.astype(dtype), dtype.type(np.inf))[:, np.newaxis]


def error_in_double(n_terms, *arrays):
    """The error of squared distances from products, relative to the sum of both squared lengths.

    Whole numbers have none.
    """
    if all((np.rint(A) == A).all() and n_terms * np.abs(A).max(initial=0) ** 2 < 2.0**50 for A in arrays):
        return 0.0
    return (3 * n_terms + 32) * 2.0**-53


def slices(n, size):
    """Parts of n items, each of at most so many."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
