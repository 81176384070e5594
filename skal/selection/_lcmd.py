"""Largest cluster, maximum distance: the farthest row of the heaviest cluster."""

import numpy as np

from skal.selection._enclosure import TIED, Enclosure
from skal.selection._outer import as_rows
from skal.selection._top import priority

__all__ = ["clusters", "lcmd"]


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
    for label in range(len(centers), len(centers) + n - len(chosen)):
        chosen.append(_farthest_of_the_heaviest(distances, labels, is_free, seed))
        is_free[chosen[-1]] = False
        closer, squares = rows.below(rows[chosen[-1:]], distances * (1 - TIED))
        distances[closer], labels[closer] = squares, label
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


def _farthest_of_the_heaviest(distances, labels, is_free, seed):
    sums = np.bincount(labels, weights=distances)
    rows = np.flatnonzero((sums >= sums.max() * (1 - TIED))[labels] & is_free)
    tied = rows[distances[rows] >= distances[rows].max() * (1 - TIED)]
    return int(tied[priority(seed, tied).argmax()])
