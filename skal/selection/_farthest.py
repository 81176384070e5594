"""Farthest-first traversal, lazily: old distances are upper bounds, and few rows are ever looked at again."""

from typing import NamedTuple

import numpy as np

from skal.selection._top import priority, top

__all__ = ["TIED", "Traversal"]

#: Squared distances whose relative difference is smaller are tied.
TIED = 1e-12

# How many rows with the largest bounds are kept in sight, at most at first; how many are traversed with all
# their distances in memory, 2 MiB; and how many where ties are common, whose distances are exact.
_FRONT = 4096
_GROUP = 512
_TIED_GROUP = 256


class Group(NamedTuple):
    """Rows with known distances, the farthest row of all among them."""

    rows: np.ndarray
    #: Other rows are no farther, in squared distance,
    limit: float
    #: but for some that are tied with these, have smaller priorities, and are no farther than this.
    ceiling: float = -np.inf


class Traversal:
    """Rows in the order of a farthest-first traversal.

    The squared distance to the nearest of some centres is an upper bound of that to the nearest of all. The
    rows with the largest bounds are the front. A group of those, brought up to date, is traversed by the
    distances of its rows to each other, until another row might be farther. Then comes the next group, and
    once the front is used up the next front. Most rows never come to the front.

    Parameters
    ----------
    points : Points
        With one centre or more.
    seed : int
        Orders the ties.
    n : int
        About how many rows will be taken.
    """

    def __init__(self, points, seed, n):
        self._points, self._seed = points, seed
        self._bounds = points.start()
        # Squared distances to the nearest of the first centres, so many of them.
        self._values = np.full(len(points), np.inf)
        self._seen = np.zeros(len(points), dtype=np.int32)
        self._front, self._front_limit = np.empty(0, dtype=np.intp), np.inf
        self._least_front = self._front_size = min(max(2 * n, _GROUP), _FRONT)
        self._group_size = self._most = min(max(4 * n, 64), _GROUP)
        self._has_ties = False

    def exclude(self, rows):
        """Leave these rows out: they are chosen already."""
        self._bounds[rows] = -np.inf

    def take(self, n, with_squares=False):
        """The next n rows, and their squared distances at their turn, or zeros; -> (n,) int, (n,) float64."""
        rows, squares = [], []
        while len(rows) < n:
            group = self._next_group()
            if group is None:
                left = np.where(self._bounds > -np.inf, 0.0, -np.inf)
                rows.extend(top(left, n - len(rows), self._seed))
                break
            race = self._traverse(group, n - len(rows))
            rows.extend(group.rows[race.chosen])
            if with_squares:
                squares.extend(race.exact_squares())
        squares.extend([0.0] * (n - len(squares)))
        return np.array(rows, dtype=np.intp), np.array(squares)

    def _next_group(self):
        """Rows that are up to date, the farthest of all among them; None if there is no distance but 0."""
        group, limit = self._sift(self._front, self._front_limit, self._group_size, self._most)
        if len(group) == 0:
            everything = np.arange(len(self._bounds))
            self._front, self._front_limit = self._sift(everything, -np.inf, self._front_size)
            self._front_size = _adapted(self._front_size, len(self._front), self._least_front)
            group, limit = self._sift(self._front, self._front_limit, self._group_size, self._most)
        if len(group) == 0:
            return self._tied_group()
        self._group_size = _adapted(self._group_size, len(group), self._most)
        return Group(group, limit)

    def _sift(self, rows, limit, size, most=np.inf):
        """Up-to-date rows that are farther than all other `rows` and than `limit`; and the limit then.

        There are `most` at most, and none if rows are tied, or none is farther than `limit`.
        """
        while True:
            largest, others = _largest(self._bounds, rows, size)
            others = max(limit, others)
            is_changed = self._update(largest, others)
            clear, others = self._clear(largest, others)
            if len(clear) or not is_changed:
                break
            size *= 2
        if len(clear) > most:
            clear, bound = _largest(self._bounds, clear, most)
            clear, others = self._clear(clear, max(others, bound))
        return clear, others

    def _clear(self, rows, limit):
        """Those of `rows` that are farther than others, by more than a tie; and the limit of the others."""
        while True:
            is_clear = self._bounds[rows] * (1 - TIED) > limit
            if is_clear.all():
                return rows, limit
            limit = max(limit, self._bounds[rows[~is_clear]].max())
            rows = rows[is_clear]

    def _tied_group(self):
        """The rows that are tied for the farthest, or those of them that come first."""
        while True:
            farthest = self._bounds.max()
            band = np.flatnonzero(self._bounds >= farthest * (1 - 3 * TIED))
            if not self._update(band):
                break
            self._update(_largest(self._bounds, np.arange(len(self._bounds)), _GROUP)[0])
        if farthest <= 0:
            return None
        tied = band[self._bounds[band] >= farthest * (1 - TIED)]
        others = self._bounds.copy()
        others[tied] = -np.inf
        first = tied[np.argsort(priority(self._seed, tied))[::-1][:_TIED_GROUP]]
        return Group(first, others.max(), farthest if len(first) < len(tied) else -np.inf)

    def _update(self, rows, limit=-np.inf):
        """Compare rows with the centres that are new to them, unless they prove to be below the limit before.

        Returns whether anything has changed.
        """
        rows = rows[(self._seen[rows] < self._points.n_centers) & (self._bounds[rows] > -np.inf)]
        if len(rows) == 0:
            return False
        before, seen = self._bounds[rows], self._seen[rows]
        bounds = self._points.tightened(rows, seen, before)
        self._bounds[rows] = bounds
        left = np.flatnonzero(bounds >= limit)
        is_changed = len(left) > 0 or (bounds < before).any()
        rows = rows[left]
        values = self._points.nearest(rows, seen[left], self._values[rows], bounds[left])
        self._values[rows] = self._bounds[rows] = values
        self._seen[rows] = self._points.n_centers
        return is_changed

    def _traverse(self, group, n):
        """Choose up to n rows of the group, as long as no other row can be before them."""
        table, error = self._points.among(group.rows, self._has_ties)
        race = Race(group, self._values[group.rows], table, error, self._points.between)
        race.run(n, priority(self._seed, group.rows))
        if race.is_slow:
            self._has_ties, self._group_size, self._most = True, _TIED_GROUP, _TIED_GROUP
        self._bounds[group.rows] = race.squares + error
        new = group.rows[race.chosen]
        self.exclude(new)
        self._points.add(new)
        return race


class Race:
    """The traversal of one group, by distances that have an error, and exact ones where it matters.

    Parameters
    ----------
    group : Group
    values : ndarray of shape (a,)
        Squared distances of its rows to the nearest centre.
    table : ndarray of shape (a, a)
        Their squared distances to each other, as far as `error`. Its diagonal is changed.
    between : callable
        Exact squared distances of pairs of rows.

    Attributes
    ----------
    chosen : list of int
        Places in the group.
    squares : ndarray of shape (a,)
        Squared distances to the nearest centre or chosen row, up to `error`; -inf for chosen rows.
    """

    def __init__(self, group, values, table, error, between):
        self._group, self._values, self._between = group, values, between
        self._table, self._error = table, error
        np.fill_diagonal(table, -np.inf)
        self.squares = values.copy()
        self.chosen, self._squares_then = [], []
        self._n_decided = 0

    def run(self, n, keys):
        """Choose n rows; or fewer, if then another row may come before. `keys` order the ties."""
        squares, table, limit = self.squares, self._table, self._group.limit
        is_tied = self._group.ceiling > -np.inf
        while len(self.chosen) < n:
            place = squares.argmax()
            farthest = squares.item(place)
            if farthest == -np.inf:
                return
            least = farthest * (1 - TIED) - 2 * self._error
            if is_tied or least <= limit or np.count_nonzero(squares >= least) > 1:
                place = self._decided(np.flatnonzero(squares >= least), keys)
                if place is None or self.is_slow:
                    return
            self._squares_then.append(squares.item(place))
            self.chosen.append(place)
            np.minimum(squares, table[place], out=squares)

    @property
    def is_slow(self):
        """Whether exact distances of all pairs would have been cheaper."""
        return self._n_decided > 4 + len(self.chosen) // 2 and self._error > 0

    def exact_squares(self):
        """Squared distances of the chosen rows to the centres and chosen rows before them."""
        chosen = np.array(self.chosen, dtype=np.intp)
        is_before = np.tri(len(chosen), k=-1, dtype=bool)
        return self._exact(chosen, np.array(self._squares_then), chosen, is_before)

    def _decided(self, places, keys):
        """The next row by exact distances, or None; `places` are those that may be tied."""
        self._n_decided += 1
        exact = self._exact(places, self.squares[places], np.array(self.chosen, dtype=np.intp), True)
        farthest = exact.max()
        tied = exact >= farthest * (1 - TIED)
        first = np.flatnonzero(tied)[keys[places[tied]].argmax()]
        group = self._group
        is_sure = farthest * (1 - TIED) > group.limit and exact[first] >= group.ceiling * (1 - TIED)
        # The first row of all is sure: the group was made for it.
        return places[first] if is_sure or not self.chosen else None

    def _exact(self, places, squares, chosen, is_before):
        """Squared distances of places to the centres, and to those of `chosen` that are before them."""
        if self._error == 0:
            return squares
        exact = self._values[places].copy()
        is_near = self._table[np.ix_(places, chosen)] <= (squares + 2 * self._error)[:, np.newaxis]
        of, to = np.divmod(np.flatnonzero(is_near & is_before), max(1, len(chosen)))
        rows = self._group.rows
        np.minimum.at(exact, of, self._between(rows[places[of]], rows[chosen[to]]))
        return exact


def _largest(bounds, rows, size):
    """Those of `rows` with the largest bounds, so many, and the largest bound of the others."""
    if len(rows) <= size:
        return rows, -np.inf
    part = np.argpartition(bounds[rows], len(rows) - size - 1)
    return rows[part[-size:]], bounds[rows[part[-size - 1]]]


def _adapted(size, n_left, target):
    """How many rows to look at next time: twice as many if few have stood, half as many if most have."""
    if 4 * n_left < target:
        return 2 * size
    return max(target, size // 2) if 2 * n_left > target else size
