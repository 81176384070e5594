"""Partial set cover: n columns that cover all rows but for some of bounded weight, or that there are none."""

from time import monotonic
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

__all__ = ["Cover", "reduced", "solve", "swapped"]

# More rows than that are not compared with each other, and columns not with more; columns at a time.
_COMPARED, _BLOCK = 4096, 512

# Rows and columns are compared in turn, so often: a row that goes may let a column go.
_TURNS = 3

# A column can't come back, or go again, for one swap or up to so many.
_TABU = 4

# So many uncovered rows are tried to be covered by a swap; if they are not, each counts for so much more.
_TARGETS, _GROWTH = 8, 0.5

# Products that a swap may take on average, a millisecond or two; to read a number takes as long as so many.
_PRODUCTS, _READ = 2**24, 16


class Cover(NamedTuple):
    """Which columns cover which rows, and what it costs to leave a row uncovered.

    Attributes
    ----------
    within : ndarray of bool of shape (n_rows, n_columns)
    weights : ndarray of int of shape (n_rows,)
        A row of more than `bound` must be covered.
    columns : ndarray of int of shape (n_columns,)
        What the columns were before some were left out.
    bound : int
        The weight of uncovered rows may be so large.
    """

    within: np.ndarray
    weights: np.ndarray
    columns: np.ndarray
    bound: int


def reduced(within, bound):
    """The same problem with fewer rows and columns.

    Left out are columns that cover no more than another one (the first of equals stays) and rows that are
    covered with another one that must be; equal rows are one of their joint weight. A row must be covered if
    it could only stay uncovered together with rows of more than `bound`.

    Parameters
    ----------
    within : ndarray of bool of shape (n_rows, n_columns)
    bound : int

    Returns
    -------
    Cover
    """
    columns, weights = np.arange(within.shape[1]), np.ones(len(within), dtype=np.int64)
    for _ in range(_TURNS):
        shape = within.shape
        first, _ = _distinct(within.T)
        kept = np.sort(first)
        kept = kept[_maximal(within[:, kept])]
        within, columns = within[:, kept], columns[kept]
        first, of = _distinct(within)
        within, weights = within[first], np.bincount(of, weights).astype(np.int64)
        kept, weights = _needed(within, weights, bound)
        within, weights = within[kept], weights[kept]
        if within.shape == shape:
            break
    return Cover(within, weights, columns, bound)


def solve(cover, n, *, relaxed=False, time_limit=np.inf):
    """Solve the cover by mixed-integer programming (HiGHS); -> (weights of columns, whether that is certain).

    Parameters
    ----------
    cover : Cover
    n : int
        At most so many columns are chosen.
    relaxed : bool, default=False
        Whether columns may be chosen in part.
    time_limit : float, default=inf
        In seconds.

    Returns
    -------
    ndarray of shape (n_columns,), or None
        1 for columns that are chosen; with `relaxed` between 0 and 1. None where no solution was found.
    bool
        Whether there is none.
    """
    n_rows, n_columns = cover.within.shape
    may_stay = np.flatnonzero(cover.weights <= cover.bound)
    covered = sparse.csr_array(cover.within.astype(np.float64))
    uncovered = sparse.csr_array(
        (np.ones(len(may_stay)), (may_stay, np.arange(len(may_stay)))), shape=(n_rows, len(may_stay))
    )
    counts = sparse.block_diag(
        [sparse.csr_array(part) for part in (np.ones((1, n_columns)), cover.weights[np.newaxis, may_stay])]
    )
    result = milp(
        np.zeros(n_columns + len(may_stay)),
        # If columns are whole, rows are uncovered as a whole.
        integrality=np.repeat([0 if relaxed else 1, 0], [n_columns, len(may_stay)]),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(sparse.hstack([covered, uncovered]), lb=1),
            LinearConstraint(counts, ub=[n, cover.bound]),
        ],
        options={"time_limit": time_limit},
    )
    return None if result.x is None else result.x[:n_columns], result.status == _INFEASIBLE


_INFEASIBLE = 2


def swapped(cover, n, n_swaps, rng, *, time_limit=np.inf):
    """Look for a cover of n columns by swapping one at a time; -> columns (min(n, n_columns),), or None.

    Starts with the columns that cover most. Each swap brings in a column that covers one of a few uncovered
    rows, and takes one out, so that the least is uncovered; rows count for more the longer they stay so.

    Parameters
    ----------
    cover : Cover
    n : int
        At most so many columns are chosen.
    n_swaps : int
        At most; fewer of large covers.
    rng : RandomState
    time_limit : float, default=inf
        In seconds.

    References
    ----------
    Q. Zhang, Z. Lü, Z. Su, C. Li, Y. Fang and F. Ma, "Vertex weighting-based tabu search for p-center
    problem", IJCAI 2020.
    """
    deadline = monotonic() + time_limit
    within = cover.within.astype(np.float32)
    chosen = _greedy(within, cover.weights, n)
    times = within[:, chosen].sum(axis=1)  # how often each row is covered
    costs = cover.weights.astype(np.float32)
    free_again = np.zeros(within.shape[1], dtype=np.int64)
    n_products = 0
    for swap in range(n_swaps):
        uncovered = np.flatnonzero(times == 0)
        if cover.weights[uncovered].sum() <= cover.bound:
            return chosen
        targets = rng.permutation(uncovered)[:_TARGETS]
        entering = np.flatnonzero(cover.within[targets].any(axis=0) & (free_again <= swap))
        leaving = np.flatnonzero(free_again[chosen] <= swap)
        n_products += np.count_nonzero(times <= 1) * (len(leaving) + _READ) * len(entering)
        if n_products > n_swaps * _PRODUCTS or monotonic() > deadline:
            break
        if len(entering) > 0 and len(leaving) > 0:
            change = _changes(within, times, costs, chosen[leaving], entering)
            out, into = np.unravel_index(change.argmin(), change.shape)
            if change[out, into] >= 0:
                costs[uncovered] += _GROWTH * cover.weights[uncovered]
            place, column = leaving[out], entering[into]
            times += within[:, column] - within[:, chosen[place]]
            free_again[[chosen[place], column]] = swap + 2 + rng.randint(_TABU, size=2)
            chosen[place] = column
    return None


def _changes(within, times, costs, leaving, entering):
    """By how much the costs of uncovered rows grow if one column leaves and one enters."""
    once, never = np.flatnonzero(times == 1), np.flatnonzero(times == 0)
    lost = within[np.ix_(once, leaving)] * costs[once, np.newaxis]
    gained = costs[never] @ within[np.ix_(never, entering)]
    return lost.sum(axis=0)[:, np.newaxis] - lost.T @ within[np.ix_(once, entering)] - gained


def _greedy(within, weights, n):
    """The columns that cover the most, one after the other."""
    chosen, left = [], weights.astype(np.float32)
    gains = left @ within
    for _ in range(min(n, within.shape[1])):
        chosen.append(gains.argmax())
        new = np.flatnonzero((within[:, chosen[-1]] > 0) & (left > 0))
        gains -= left[new] @ within[new]
        gains[chosen[-1]] = -np.inf
        left[new] = 0
    return np.array(chosen, dtype=np.intp)


def _distinct(rows):
    """Positions of the first of equal rows, and which of these each row is."""
    packed = np.ascontiguousarray(np.packbits(rows, axis=1))
    if packed.shape[1] == 0:
        return np.zeros(min(1, len(rows)), dtype=np.intp), np.zeros(len(rows), dtype=np.intp)
    _, first, of = np.unique(
        packed.view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True
    )
    return first, of


def _maximal(within):
    """Which of distinct columns cover a row that no larger column covers with all of its others."""
    members = within.astype(np.float32)
    sizes = members.sum(axis=0)
    order, kept = np.argsort(-sizes, kind="stable"), np.empty(0, dtype=np.intp)
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        larger = np.append(kept[:_COMPARED], block)
        contained = members[:, block].T @ members[:, larger] == sizes[block, np.newaxis]
        contained &= sizes[larger] > sizes[block, np.newaxis]
        kept = np.append(kept, block[~contained.any(axis=1)])
    return np.sort(kept)


def _needed(within, weights, bound):
    """Which of distinct rows to keep, and weights that are above the bound for rows that must be covered."""
    if len(within) > _COMPARED:
        return np.ones(len(within), dtype=bool), weights
    members = within.astype(np.float32)
    sizes = members.sum(axis=1)
    contains = members @ members.T == sizes  # row i covered whenever row j is
    together = contains @ weights.astype(np.float32)
    must = together > bound
    weights = np.where(must, np.maximum(weights, bound + 1), weights)
    larger = contains & (sizes[:, np.newaxis] > sizes)
    return ~(larger & must).any(axis=1), weights
