"""Robust k-center: the smallest radius that covers all rows but for a share of outliers."""

import math
import warnings
from time import monotonic
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from skal.selection._robust_search import Search

__all__ = ["RobustKCenter", "count_outliers", "robust_k_center"]

# Nothing is begun any more when this share of the time is left: a solver may overrun its limit.
_RESERVE = 0.05


class RobustKCenter(NamedTuple):
    """The answer of `robust_k_center`.

    Attributes
    ----------
    rows : ndarray of int of shape (n,)
        Positions in Z of the chosen rows; the one that covers most rows within `radius` comes first, then the
        one that adds most to these, and so on.
    radius : float
        All rows but for the outliers are so close to a given centre or a chosen row, and no closer.
    lower_bound : float
        Proven: no n candidates have a smaller radius.
    gap : float
        ``(radius - lower_bound) / radius``, 0 if the rows are proven to be the best.
    """

    rows: np.ndarray
    radius: float
    lower_bound: float
    gap: float


def robust_k_center(Z, centers, n, seed=0, *, outliers=1e-4, time_limit=30.0, candidates=None):
    """The n rows with the smallest radius that covers all rows but for outliers; -> RobustKCenter.

    Chooses rows as centres beside the given ones, so that all rows of Z but for ``floor(outliers * n_rows)``
    lie within the smallest radius of a centre, and proves it by mixed-integer programming, in a search over
    the distances. It starts from the rows of `k_center`, and never returns rows of a larger radius.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n_rows, m)
        Points.
    centers : ndarray or csr_matrix of shape (n_centers, m), or None
        Points around which rows are covered already, such as the labelled ones: coordinates, not positions.
    n : int
        How many rows to choose.
    seed : int, default=0
        Orders the ties.
    outliers : float, default=1e-4
        The share of the rows, in [0, 1), that may stay uncovered. It is rounded down to whole rows, after
        rounding to 9 digits: 0.29 of 100 rows are 29, and 1e-4 of 9,999 rows are none.
    time_limit : float, default=30.0
        In seconds, for the whole call. One step, such as a call of the solver, may overrun it.
    candidates : array-like of int of shape (n_candidates,), default=None
        Positions in Z of the rows that may be chosen; by default all. All rows of Z are to be covered anyway.

    Returns
    -------
    RobustKCenter
        A named tuple ``(rows, radius, lower_bound, gap)``.

    Raises
    ------
    ValueError
        If there are fewer than n candidates.

    Warns
    -----
    UserWarning
        If the time was too short for a proof. The rows are then the best that were found, and the gap is
        proven. The same seed gives the same rows if the call takes less than half of its time limit; beyond
        that, time decides what is tried.

    See Also
    --------
    k_center : Farthest first: at once, for any number of rows, and without outliers at most twice as far.

    Notes
    -----
    To cover within a radius is a set cover. It is solved on few rows, and rows that the solution leaves
    uncovered are added, until there are none: memory is that of the distances from these to the candidates.
    First, swaps of single rows lower the radius; then the relaxed problem, in which rows may be chosen in
    part, raises the lower bound; then the radius just below is to be proven impossible. Half of the
    farthest-first radius is no lower bound where there are outliers: half of the distance between
    ``n + 1`` rows and as many more as there are outliers is.

    References
    ----------
    O. Sener and S. Savarese, "Active learning for convolutional neural networks: a core-set approach",
    ICLR 2018.
    D. Chen and R. Chen, "New relaxation-based algorithms for the optimal solution of the continuous and
    discrete p-center problems", Computers & Operations Research 36(5), 2009.

    Examples
    --------
    >>> import numpy as np
    >>> Z = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [90.0]])
    >>> answer = robust_k_center(Z, None, n=1, outliers=0.2)  # of 1 row
    >>> answer.rows, answer.radius, answer.gap
    (array([2]), 2.0, 0.0)
    """
    deadline = monotonic() + (1 - _RESERVE) * time_limit
    candidates = np.arange(Z.shape[0]) if candidates is None else np.asarray(candidates, dtype=np.intp)
    if n > len(candidates):
        raise ValueError(f"robust_k_center was asked for n={n} of {len(candidates)} candidates; lower n.")
    n_outliers = count_outliers(outliers, Z.shape[0])
    with threadpool_limits(1, user_api="blas"):  # thousands of small products, whose threads would only wait
        search = Search(Z, centers, n, candidates, n_outliers, seed, deadline)
        search.run(centers)
        rows = search.ordered()
    radius, lower_bound = search.radius, search.lower_bound()
    gap = 0.0 if lower_bound == radius else (radius - lower_bound) / radius
    if gap > 0:
        warnings.warn(
            f"robust_k_center found no proof within its time limit of {time_limit:g} s: its rows, of radius "
            f"{radius:.6g}, are the best that it found; no others are below {lower_bound:.6g}, a gap of "
            f"{gap:.2g}. Raise time_limit, lower n, or pass fewer candidates.",
            UserWarning,
            stacklevel=2,
        )
    return RobustKCenter(rows, radius, lower_bound, gap)


def count_outliers(outliers, n_rows):
    """The share of outliers in rows, fewer than all."""
    return min(math.floor(round(outliers * n_rows, 9)), n_rows - 1)
