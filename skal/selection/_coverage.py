"""Maximum coverage: rows whose balls hold as many rows as possible."""

import numpy as np
from scipy import sparse

from skal.selection._k_center import k_center
from skal.selection._points import Points
from skal.selection._top import priority

__all__ = ["max_coverage"]

# Rows are neighbours whose squared distance is above that of the radius by no more than this, relatively.
_TIED = 1e-12

# The neighbours of all rows are kept while they are no more, 200 per row at 80,000 rows; building the
# lists takes 20 bytes a neighbour.
_KEPT_NEIGHBOURS = 2**24

# Rows compared at a time: 8 MiB of distances.
_BLOCK_ROWS, _BLOCK_COLUMNS = 1024, 2048

# Rows whose counts are brought up to date together, where neighbours are not kept.
_RECOUNTED = 256


def max_coverage(Z, centers, n, radius, seed=0):
    """Positions of the n rows whose balls cover the most rows; -> (n,) int, best first.

    Adds, n times, the row with the most uncovered rows within `radius`, itself included; these are then
    covered. When all rows are covered, the others are added farthest first (`k_center`).

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n_rows, m)
        Points.
    centers : ndarray or csr_matrix of shape (n_centers, m), or None
        Points, such as the labelled ones, around which all rows are covered from the start.
    n : int
        How many, at most n_rows.
    radius : float
        At least 0. A row lies within if its squared distance, in double precision, is at most the square
        of the radius, to a relative 1e-12.
    seed : int, default=0
        Orders the ties.

    Returns
    -------
    ndarray of int of shape (n,)

    Raises
    ------
    ValueError
        If there are fewer than n rows.

    Notes
    -----
    The neighbours of all rows are kept while they take no more than a few hundred MiB. Beyond that, the
    counts of rows are taken again when they may matter: a count only falls, so an old one is a bound.

    References
    ----------
    O. Yehuda, A. Dekel, G. Hacohen and D. Weinshall, "Active learning through a covering lens", NeurIPS 2022.

    Examples
    --------
    >>> import numpy as np
    >>> Z = np.array([[0.0], [1.0], [2.0], [7.0], [8.0], [20.0]])
    >>> max_coverage(Z, None, n=1, radius=1.0)
    array([1])
    >>> max_coverage(Z, Z[[1, 3]], n=2, radius=1.0)  # only the last is left, then the farthest
    array([5, 0])
    """
    n_rows = Z.shape[0]
    if n > n_rows:
        raise ValueError(f"max_coverage was asked for n={n} of {n_rows} rows; lower n.")
    cover = Cover(Z, centers, radius)
    chosen = []
    while len(chosen) < n:
        rows = cover.largest()
        if len(rows) == 0:
            chosen.extend(_farthest(Z, centers, chosen, n - len(chosen), seed))
        else:
            chosen.append(rows[priority(seed, rows).argmax()])
            cover.add(chosen[-1])
    return np.array(chosen, dtype=np.intp)


class Cover:
    """Which rows of Z lie within a radius of some centre, and how many others the ball of each row would add.

    Attributes
    ----------
    counts : ndarray of int of shape (n_rows,)
        How many uncovered rows lie within the radius of each row; once rows have been added, at most so many.
    """

    def __init__(self, Z, centers, radius):
        self._points = Points(Z)
        self._radius = radius
        self._is_open = _is_far(self._points, centers, radius)
        self.counts, self._graph = _neighbours(self._points, radius, self._is_open)
        self._is_exact = np.ones(len(self.counts), dtype=bool)
        self._balls, self._n_kept = {}, 0

    def largest(self):
        """The rows with the largest count; none if all rows are covered."""
        if not self._is_open.any():
            return np.empty(0, dtype=np.intp)
        while True:
            rows = np.flatnonzero(self.counts == self.counts.max())
            if self._is_exact[rows].all():
                return rows
            stale = np.where(self._is_exact, -1, self.counts)
            self._recount(np.argpartition(stale, -min(_RECOUNTED, len(stale)))[-_RECOUNTED:])

    def add(self, row):
        """Cover the rows within the radius of a row."""
        if self._graph is None:
            (ball,) = self._open_balls(np.array([row]))
            self._is_exact[:] = False
        else:
            ball = self._graph.indices[slice(*self._graph.indptr[row : row + 2])]
            ball = ball[self._is_open[ball]]
            self.counts -= self._graph[ball].sum(axis=0)
        self._is_open[ball] = False

    def _recount(self, rows):
        self.counts[rows] = [len(ball) for ball in self._open_balls(rows)]
        self._is_exact[rows] = True

    def _open_balls(self, rows):
        """The open rows within the radius of each of `rows`; these lists are kept while there is room."""
        new = [row for row in rows.tolist() if row not in self._balls]
        balls = dict(zip(new, self._compared(np.array(new, dtype=np.intp)), strict=True))
        for row in rows.tolist():
            if row in self._balls:
                ball = self._balls[row]
                balls[row] = ball[self._is_open[ball]]
            elif self._n_kept + len(balls[row]) <= _KEPT_NEIGHBOURS:
                self._balls[row] = balls[row]
                self._n_kept += len(balls[row])
        return [balls[row] for row in rows.tolist()]

    def _compared(self, rows):
        if len(rows) == 0:
            return []
        owners, members = [], []
        for columns in _chunks(np.flatnonzero(self._is_open), _BLOCK_COLUMNS):
            i, j = _pairs(self._points, rows, self._points, columns, self._radius)
            owners.append(i)
            members.append(columns[j].astype(np.int32))
        owners, members = np.concatenate(owners), np.concatenate(members)
        ends = np.cumsum(np.bincount(owners, minlength=len(rows)))[:-1]
        return np.split(members[np.argsort(owners, kind="stable")], ends)


def _neighbours(points, radius, is_open):
    """How many open rows lie within the radius of each; all neighbours of each, if they are not too many."""
    n_rows = len(is_open)
    counts = is_open.astype(np.int64)  # of itself
    pairs, n_kept = [], 0
    for rows in _chunks(np.arange(n_rows), _BLOCK_ROWS):
        for columns in _chunks(np.arange(rows[0], n_rows), _BLOCK_COLUMNS):
            i, j = _pairs(points, rows, points, columns, radius)
            i, j = rows[i], columns[j]
            below = i < j  # each pair once, and none of a row with itself
            i, j = i[below], j[below]
            counts += np.bincount(i[is_open[j]], minlength=n_rows)
            counts += np.bincount(j[is_open[i]], minlength=n_rows)
            n_kept += 2 * len(i)
            if n_kept <= _KEPT_NEIGHBOURS:
                pairs.append((i.astype(np.int32), j.astype(np.int32)))
            else:
                pairs.clear()
    return counts, _graph(pairs, n_rows) if n_kept <= _KEPT_NEIGHBOURS else None


def _graph(pairs, n_rows):
    """Each row's neighbours in both directions, itself included."""
    itself = np.arange(n_rows, dtype=np.int32)
    i = np.concatenate([i for i, _ in pairs] + [j for _, j in pairs] + [itself])
    j = np.concatenate([j for _, j in pairs] + [i for i, _ in pairs] + [itself])
    ones = np.ones(len(i), dtype=np.int8)
    return sparse.csr_array((ones, (i, j)), shape=(n_rows, n_rows))


def _is_far(points, centers, radius):
    """Whether each row lies outside of the balls of all centres."""
    is_far = np.ones(len(points.squares), dtype=bool)
    if centers is None or centers.shape[0] == 0:
        return is_far
    centers = Points(centers, origin=points)
    for rows in _chunks(np.arange(len(is_far)), _BLOCK_ROWS):
        for columns in _chunks(np.arange(len(centers.squares)), _BLOCK_COLUMNS):
            near, _ = _pairs(points, rows, centers, columns, radius)
            is_far[rows[near]] = False
    return is_far


def _pairs(points, rows, other, columns, radius):
    """Which of `rows` and `columns` lie within the radius of each other; -> positions (k,), (k,)."""
    square = (radius / points.unit) ** 2 * (1 + _TIED)
    lower = points.lower(rows, other, columns).ravel()
    flat = np.flatnonzero(lower <= np.nextafter(lower.dtype.type(square), lower.dtype.type(np.inf)))
    i, j = np.divmod(flat, len(columns))
    unsure = lower[flat] + points.slack(rows[i], other, columns[j]) > square
    within = ~unsure
    within[unsure] = points.exact(rows[i[unsure]], other, columns[j[unsure]]) <= square
    return i[within], j[within]


def _chunks(rows, size):
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _farthest(Z, centers, chosen, n, seed):
    """The n other rows that k_center adds to the given centres and the chosen rows."""
    others = np.setdiff1d(np.arange(Z.shape[0]), chosen)
    parts = [part for part in (centers, Z[chosen]) if part is not None and part.shape[0] > 0]
    stack = sparse.vstack if sparse.issparse(Z) else np.vstack
    return others[k_center(Z[others], stack(parts), n, seed)]
