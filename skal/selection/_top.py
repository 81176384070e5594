"""The n largest scores; ties by a seeded priority of the row."""

import numpy as np

__all__ = ["priority", "top"]


def priority(seed, rows):
    """A pseudo-random 64-bit key for each row, by which ties are ordered; (n,) int -> (n,) uint64.

    The key is a mix of the seed and the row number alone, so any worker can compute it for any block
    of rows, in memory that does not depend on the size of the pool.

    Parameters
    ----------
    seed : int
        At least 0 and below 2**64.
    rows : array-like of int of shape (n,)
        Row numbers.

    Returns
    -------
    ndarray of uint64 of shape (n,)

    References
    ----------
    G. Steele, D. Lea and C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

    Examples
    --------
    >>> bool(priority(0, [7]) == priority(0, [3, 7])[1])
    True
    """
    with np.errstate(over="ignore"):
        return _mix(np.asarray(rows).astype(np.uint64) + _mix(np.array([seed], dtype=np.uint64)))


def top(scores, n, seed=0):
    """Positions of the n largest scores, best first; (n_rows,) -> (n,) int.

    Ties go to the rows with the largest `priority`, so among equal scores every row has the same
    chance over the seeds, wherever it stands.

    Parameters
    ----------
    scores : array-like of shape (n_rows,)
        Higher = label me.
    n : int
        How many, at most n_rows.
    seed : int, default=0
        Orders the ties.

    Returns
    -------
    ndarray of int of shape (n,)

    Raises
    ------
    ValueError
        If a score is NaN: it has no rank.

    Examples
    --------
    >>> top([0.1, 0.9, 0.5], n=2)
    array([1, 2])
    """
    scores = np.asarray(scores)
    if n == 0:
        return np.empty(0, dtype=np.intp)
    bound = np.partition(scores, -n)[-n:].min()  # NaN if any of the n is: NaN sorts last
    if np.isnan(bound):
        raise ValueError("top() can't rank scores that are NaN; find out where they come from.")
    above = np.flatnonzero(scores > bound)
    tied = np.flatnonzero(scores == bound)
    if len(above) + len(tied) > n:
        n_tied = n - len(above)
        tied = tied[np.argpartition(priority(seed, tied), -n_tied)[-n_tied:]]
    rows = np.concatenate([above, tied])
    # From worst to best, then turned round: negating would break unsigned scores.
    return rows[np.lexsort((rows, priority(seed, rows), scores[rows]))[::-1]]


def _mix(state):
    # The finaliser of SplitMix64.
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
