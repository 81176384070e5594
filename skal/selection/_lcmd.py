"""Largest cluster, maximum distance: the farthest row of the heaviest cluster."""

import numpy as np

from skal.selection._enclosure import TIED, Enclosure
from skal.selection._outer import as_rows
from skal.selection._top import priority

__all__ = ["clusters", "lcmd"]

# Rows that are likely to be chosen are compared with all others together: at most so many.
_MOST_AHEAD = 64


def lcmd(Z, centers, n, seed=0):
    """Positions of the n rows that largest cluster, maximum distance chooses; -> (n,) int, best first.

    Each row belongs to its nearest centre: a point of `centers`, or a row chosen before. Takes, n times, the
    farthest row of the cluster with the largest sum of squared distances: batches cover the rows, the crowded
    places first, and isolated points do not attract it as they attract `k_center`.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n_rows, m), or OuterProducts
        Points.
    centers : like Z, of shape (n_centers, m), or None
        Points that are covered already, such as the labelled ones. Without any, the first row is the
        one with the largest norm.
    n : int
        How many, at most n_rows.
    seed : int, default=0
        Orders the ties.

    Returns
    -------
    ndarray of int of shape (n,)
        Those of a search in double precision. Sums and distances are tied within 1e-12 of the largest; of
        tied clusters the farthest row of all is taken; a row between tied centres belongs to the first.

    Raises
    ------
    ValueError
        If there are fewer than n rows.

    References
    ----------
    D. Holzmüller, V. Zaverkin, J. Kästner and I. Steinwart, "A framework and benchmark for deep batch active
    learning for regression", JMLR 2023 (LCMD-TP).

    Examples
    --------
    >>> import numpy as np
    >>> Z = np.array([[1.0], [2.0], [3.0], [-3.5]])
    >>> lcmd(Z, np.array([[0.5], [-0.5]]), n=2)  # three rows are close to 0.5, though -3.5 is farther away
    array([3, 2])
    """
    rows = Enclosure(as_rows(Z))
    if n > len(rows):
        raise ValueError(f"lcmd was asked for n={n} of {len(rows)} rows; lower n.")
    if n == 0:
        return np.empty(0, dtype=np.intp)
    centers = rows[:0] if centers is None else Enclosure(as_rows(centers))
    chosen = [] if len(centers) > 0 else [rows.largest(seed)]
    centers = centers if len(centers) > 0 else rows[chosen]
    distances, labels = rows.nearest(centers)
    is_free = np.ones(len(rows), dtype=bool)
    is_free[chosen] = False
    # Which rows a row would draw to itself, for several that are likely to be chosen: one pass over the data
    # serves them all, and remains true, as distances to the nearest centre only become smaller.
    ahead, n_met = {}, 0
    for label in range(len(centers), len(centers) + n - len(chosen)):
        sums = np.bincount(labels, weights=distances)
        row = _farthest(distances, is_free & (sums >= sums.max() * (1 - TIED))[labels], seed)
        if row not in ahead:
            likely = _likely(distances, labels, is_free, sums, min(2 * n_met, _MOST_AHEAD))
            likely = np.append(likely[likely != row], row)
            ahead = dict(zip(likely.tolist(), rows.closer(rows[likely], distances * (1 - TIED)), strict=True))
            n_met = 0
        n_met += 1
        closer, squares = ahead.pop(row)
        still = squares < distances[closer] * (1 - TIED)
        distances[closer[still]], labels[closer[still]] = squares[still], label
        chosen.append(row)
        is_free[row] = False
    return np.array(chosen, dtype=np.intp)


def clusters(Z, centers):
    """Squared distance of each row to its nearest centre, and which that is; -> (n,) float64, (n,) int.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n, m), or OuterProducts
        Points.
    centers : like Z, of shape (n_centers, m)
        At least one.

    Returns
    -------
    distances : ndarray of float64 of shape (n,)
        From differences in double precision.
    labels : ndarray of int of shape (n,)
        Positions in `centers`; a row between tied centres belongs to the first.

    Examples
    --------
    >>> import numpy as np
    >>> clusters(np.array([[1.0], [4.0]]), np.array([[0.0], [5.0]]))
    (array([1., 1.]), array([0, 1]))
    """
    return Enclosure(as_rows(Z)).nearest(Enclosure(as_rows(centers)))


def _farthest(distances, may_be, seed):
    rows = np.flatnonzero(may_be)
    tied = rows[distances[rows] >= distances[rows].max() * (1 - TIED)]
    return int(tied[priority(seed, tied).argmax()])


def _likely(distances, labels, is_free, sums, n):
    """The next n rows if a row that is chosen draws no other into its cluster; -> at most (n,) int."""
    sums = sums.copy()
    heavy = np.zeros(len(sums), dtype=bool)
    heavy[np.argsort(sums)[len(sums) - n :]] = True
    rows = np.flatnonzero(is_free & heavy[labels])
    rows = rows[np.lexsort((distances[rows], labels[rows]))]  # the farthest row of each cluster last
    starts, ends = (np.searchsorted(labels[rows], np.arange(len(sums)), side) for side in ("left", "right"))
    likely = []
    while len(likely) < min(n, len(rows)):
        label = sums.argmax()
        if starts[label] == ends[label]:
            sums[label] = -np.inf
            continue
        ends[label] -= 1
        likely.append(rows[ends[label]])
        sums[label] -= distances[likely[-1]]
    return np.array(likely, dtype=np.intp)
