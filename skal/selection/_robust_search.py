"""The search for the smallest radius: rows that reach it, and proofs that smaller ones are too small."""

from functools import partial
from time import monotonic

import numpy as np

from skal.selection._k_center import k_center
from skal.selection._pairwise import distances, nearest, within
from skal.selection._partial_cover import reduced, solve, swapped
from skal.selection._top import priority

__all__ = ["Search"]

# Distances whose relative difference is smaller are tied.
_TIED = 1e-12

# Shares of rows that are no larger are rounding of the solver.
_ROUNDING = 1e-6

# Swaps of rows for a cover at one radius: before there is a lower bound, and after.
_FEW_SWAPS, _SWAPS = 100, 2000

# Rows that are added at a time, at least.
_NEW = 32


class Search:
    """The best rows so far, and the working rows, by which radii are proven too small.

    Parameters
    ----------
    Z, centers, n, candidates, seed
        As in `robust_k_center`.
    n_outliers : int
        How many rows may stay uncovered.
    deadline : float
        By the clock `time.monotonic`.

    Attributes
    ----------
    rows : ndarray of int of shape (n,)
        The best so far, in no order.
    radius : float
        Theirs.
    """

    def __init__(self, Z, centers, n, candidates, n_outliers, seed, deadline):
        self._Z, self._n, self._n_outliers, self._seed, self._deadline = Z, n, n_outliers, seed, deadline
        # The solver prefers early columns, so they are in no order.
        self._candidates = candidates[np.argsort(priority(seed, candidates))]
        self._given = np.full(Z.shape[0], np.inf) if centers is None else nearest(Z, centers)
        self._rng = np.random.RandomState(seed % 2**32)
        self._working = np.empty(0, dtype=np.intp)
        self._memory = np.empty((0, len(candidates) + 1))
        self._too_small = -1.0
        self._greedy = candidates[k_center(Z[candidates], centers, n, seed)]
        self.rows, self.radius = self._greedy, np.inf
        self._keep(self._greedy, np.inf)

    def run(self, centers):
        """Lower the radius and raise the lower bound until they meet, or time is over."""
        if 0 < self._n < len(self._candidates):
            self._start(centers)
            self._swap(_FEW_SWAPS)
            self._relax()
            self._swap(_SWAPS)
            self._decide()

    def lower_bound(self):
        """The smallest radius that is not proven too small."""
        return float(self._between(self._too_small, self.radius).min(initial=self.radius))

    def ordered(self):
        """The best rows; the one that adds most to the rows covered comes first."""
        rows = self.rows[np.argsort(priority(self._seed, self.rows))[::-1]]
        limit = self.radius * (1 + _TIED)
        covered = within(self._Z[self._given > limit], self._Z[rows], limit)
        order = []
        while len(order) < len(rows):
            gains = covered.sum(axis=0)
            gains[order] = -1
            order.append(gains.argmax())
            covered = covered[~covered[:, order[-1]]]
        return rows[np.array(order, dtype=np.intp)]

    def _start(self, centers):
        """Work on rows that are far apart."""
        # Of n + 1 rows two have the same centre, or one has a given one; but n_outliers more may have none.
        n_apart = self._n + self._n_outliers + 1
        n_working = min(n_apart, self._Z.shape[0])
        rows, apart = k_center(self._Z, centers, n_working, self._seed, return_distances=True)
        self._work_on(rows)
        if n_working == n_apart:
            self._too_small = apart[-2] / 2 * (1 - 3 * _TIED)

    def _swap(self, n_swaps):
        """Lower the radius as far as swaps of single rows do it."""
        failed = self._too_small
        while (radius := self._next(failed, self.radius)) is not None:
            if not self._covers(radius, partial(self._try_swaps, n_swaps)):
                failed = radius

    def _relax(self):
        """Raise the lower bound as far as rows that are chosen in part do it."""
        possible = self.radius
        while (radius := self._next(self._too_small, possible)) is not None:
            if self._covers(radius, self._solve_relaxed) is False:
                self._too_small = radius
            else:
                possible = radius

    def _decide(self):
        """Prove the largest radius below too small, or improve on it; halfway where neither succeeds."""
        undecided = np.inf
        while True:
            is_hard = undecided < self.radius
            radius = self._next(self._too_small, min(self.radius, undecided), last=not is_hard)
            if radius is None:
                return
            covers = self._covers(radius, self._solve)
            if covers is False:
                self._too_small = radius
            elif covers is None:
                undecided = radius

    def _next(self, low, high, *, last=False):
        """The median, or the last, of the radii between two; None if there is none, or no time."""
        radii = self._between(low, high)
        if len(radii) == 0 or self._seconds_left() <= 0:
            return None
        place = len(radii) - 1 if last else len(radii) // 2
        return np.partition(radii, place)[place]

    def _between(self, low, high):
        return self._table[(self._table > low * (1 + 2 * _TIED)) & (self._table < high * (1 - 2 * _TIED))]

    def _covers(self, radius, attempt):
        """Whether there are rows of this radius, by `attempt` on the working rows; None if that is not known.

        Rows that the answer leaves uncovered join the working rows, until there are no more than outliers.
        """
        limit = radius * (1 + _TIED)
        while self._seconds_left() > 0:
            is_near = self._table <= limit
            cover = reduced(is_near[~is_near[:, -1], :-1], self._n_outliers)
            uncovered, answer = attempt(cover, limit)
            if uncovered is None:
                return answer
            if uncovered.sum() <= self._n_outliers + _ROUNDING:
                return True
            new = np.setdiff1d(np.flatnonzero(uncovered > _ROUNDING), self._working)
            if len(new) == 0:
                return None
            n_new = min(len(new), max(_NEW, self._n, 2 * self._n_outliers + 2))
            self._work_on(new[k_center(self._Z[new], None, n_new, self._seed)])
        return None

    def _try_swaps(self, n_swaps, cover, limit):
        columns = swapped(cover, self._n, n_swaps, self._rng, time_limit=self._seconds_left())
        if columns is None:
            return None, None
        return self._keep(self._candidates[cover.columns[columns]], limit) > limit, None

    def _solve(self, cover, limit):
        share, is_none = solve(cover, self._n, time_limit=self._seconds_left() / 2)
        if share is None:
            return None, False if is_none else None
        return self._keep(self._candidates[cover.columns[share > 0.5]], limit) > limit, None

    def _solve_relaxed(self, cover, limit):
        share, is_none = solve(cover, self._n, relaxed=True, time_limit=self._seconds_left())
        if share is None:
            return None, False if is_none else None
        used = np.flatnonzero(share > _ROUNDING / self._n)
        uncovered = (self._given > limit).astype(np.float64)
        is_near = within(self._Z[uncovered > 0], self._Z[self._candidates[cover.columns[used]]], limit)
        uncovered[uncovered > 0] -= np.minimum(np.einsum("ij,j->i", is_near, share[used]), 1)
        return uncovered, None

    def _keep(self, rows, limit):
        """Keep these rows, filled up to n, if none are better.

        Returns the distances of all rows to the centres: exact if above the limit, else perhaps too large.
        """
        rows = np.append(rows, self._greedy[~np.isin(self._greedy, rows)])[: self._n]
        distance = self._given.copy()
        far = distance > limit
        distance[far] = self._to_centers(far, rows)
        matters = ~far & (distance > _radius(distance[far], self._n_outliers))
        distance[matters] = self._to_centers(matters, rows)
        radius = _radius(distance, self._n_outliers)
        if radius < self.radius:
            self.rows, self.radius = rows, radius
        return distance

    def _to_centers(self, is_asked, rows):
        return np.minimum(self._given[is_asked], nearest(self._Z[is_asked], self._Z[rows]))

    def _work_on(self, rows):
        known = len(self._working)
        self._working = np.append(self._working, rows)
        if len(self._working) > len(self._memory):
            more = np.empty((2 * len(self._working), self._memory.shape[1]))
            more[:known] = self._memory[:known]
            self._memory = more
        self._memory[known : len(self._working), :-1] = distances(self._Z[rows], self._Z[self._candidates])
        self._memory[known : len(self._working), -1] = self._given[rows]

    @property
    def _table(self):
        """Distances of the working rows to the candidates and, in the last column, to the given centres."""
        return self._memory[: len(self._working)]

    def _seconds_left(self):
        return max(0.0, self._deadline - monotonic())  # the solver refuses negative limits


def _radius(distance, n_outliers):
    """The largest distance but for the outliers; -inf if there are no others."""
    if len(distance) <= n_outliers:
        return -np.inf
    place = len(distance) - 1 - n_outliers
    return float(np.partition(distance, place)[place])
