"""BatchBALD: the batch whose labels, taken jointly, tell the most about the model."""

from numbers import Integral

import numpy as np

from skal.acquisition import mutual_information
from skal.selection._joint import JointLabels, entropies, merged
from skal.selection._top import priority, top

# Gains in nats that differ by less are tied: rounding is a hundred times smaller.
_TIED = 1e-12

# A sampled joint tells no smaller gains from none; all rows are then tied.
_EXHAUSTED = 1e-6

# Pairs of an outcome and a candidate at once: with ten classes 4 MiB; and candidates.
_BLOCK_VALUES = 2**16
_BLOCK_ROWS = 256

# Candidates are judged by so many groups of outcomes first, and few of them by all outcomes.
_GROUPS = 256

# A sampled gain is carried on as a bound with so many standard errors on top.
_ERRORS = 3.0


def batch_bald(draws, n, seed=0, *, scores=None, max_outcomes=20_000, n_samples=4_000):
    """Positions of the n rows whose labels jointly tell the most about the model; -> (n,) int, best first.

    Adds, n times, the row that most increases ``H[y_1, ..., y_m] - sum_i mean_t H[y_i | t]`` over draws t,
    the mutual information between the labels of all rows chosen and the model: a near copy of a chosen row
    adds little. The first row is the argmax of `skal.acquisition.mutual_information` (BALD).

    Parameters
    ----------
    draws : array-like of shape (n_draws, n_rows, n_classes), or callable
        Class probabilities under each draw of the model; the same draws for all rows. A callable gets
        positions and returns the draws of these rows, the same in each call; then the draws of all rows
        need not exist at once, and `scores` must be given.
    n : int
        How many, at most n_rows. A large batch exhausts few draws: once its labels tell all draws apart
        (no row left adds 1e-6 nats, or 1e-12 if enumerated), the rows left are tied.
    seed : int, default=0
        Orders the ties, and fixes the sampled outcomes.
    scores : array-like of shape (n_rows,), default=None
        The mutual information of each row (BALD), where it is known already.
    max_outcomes : int, default=20_000
        The joint distribution of the labels is enumerated while it has at most so many outcomes of
        positive probability.
    n_samples : int, default=4_000
        How many outcomes are sampled afresh for each further row.

    Returns
    -------
    ndarray of int of shape (n,)

    Raises
    ------
    ValueError
        If there are fewer than n rows.

    References
    ----------
    A. Kirsch, J. van Amersfoort and Y. Gal, "BatchBALD: efficient and diverse batch acquisition for deep
    Bayesian active learning", NeurIPS 2019.
    M. Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978 (laziness).

    Examples
    --------
    >>> import numpy as np
    >>> left, right = [1.0, 0.0], [0.0, 1.0]
    >>> draws = [[left, left, left], [left, left, right], [right, right, left], [right, right, right]]
    >>> int(batch_bald(draws, n=2)[1])  # rows 0 and 1 are copies
    2
    """
    ask = draws if callable(draws) else _reader(np.asarray(draws))
    scores = _scores(np.asarray(draws)) if scores is None else np.asarray(scores, dtype=np.float64)
    if not isinstance(n, Integral) or n < 0:
        raise ValueError(f"batch_bald was asked for n={n!r} rows; pass a whole number from 0 on.")
    if n > len(scores):
        raise ValueError(f"batch_bald was asked for n={n} of {len(scores)} rows; lower n.")
    if n == 0:
        return np.empty(0, dtype=np.intp)

    def fetch(rows):
        return np.asarray(ask(rows), dtype=np.float64)

    chosen = [top(scores, 1, seed)[0]]
    bounds = scores.copy()  # gains only fall as the batch grows, so an old gain is an upper bound
    joint = JointLabels(max_outcomes, n_samples)
    rng = np.random.RandomState(seed % 2**32)
    while len(chosen) < n:
        joint.add(fetch(chosen[-1:])[:, 0])
        bounds[chosen[-1]] = -np.inf
        if bounds.max() <= (_TIED if joint.exact else _EXHAUSTED):
            left = np.where(bounds > -np.inf, 0.0, -np.inf)
            chosen.extend(top(left, n - len(chosen), seed))
        else:
            chosen.append(_best(fetch, bounds, _levels(joint.outcomes(rng)), seed))
    return np.array(chosen, dtype=np.intp)


def _best(fetch, bounds, levels, seed):
    """The row with the largest gain, found from upper bounds; lowers the bounds of rows that it looks at.

    Best first: the rows with the largest bounds are looked at more closely, level by level, until no bound
    is above the best gain.
    """
    last = len(levels)
    gains = bounds.copy()
    reached = np.zeros(len(bounds), dtype=np.int8)
    rows = np.flatnonzero(bounds > -np.inf)
    while True:
        known = rows[reached[rows] == last]
        rows = rows[gains[rows] >= gains[known].max(initial=-np.inf) - _TIED]
        unsure = rows[reached[rows] < last]
        if len(unsure) == 0:
            return rows[priority(seed, rows).argmax()]
        level = reached[unsure[gains[unsure].argmax()]]
        block = _largest(gains, unsure[reached[unsure] == level], _block_rows(levels[level]))
        gains[block], errors = _gains(levels[level], fetch(block))
        bounds[block] = np.minimum(bounds[block], gains[block] + errors)
        reached[block] += 1


def _gains(outcomes, draws):
    """Information of each row on the model once the outcome is known, and its error; -> (n,), (n,)."""
    weights, posteriors, exact = outcomes
    n_draws, n, k = draws.shape
    predictive = (posteriors @ draws.reshape(n_draws, -1)).reshape(-1, n, k)
    information = entropies(predictive)
    information -= posteriors @ entropies(draws)
    gains = weights @ information
    if exact:
        return gains, np.zeros(n)
    return gains, _ERRORS * np.sqrt(weights @ information**2 / len(weights))


def _levels(outcomes):
    """The outcomes, and before them, where there are many, a coarser form that gives upper bounds."""
    few = len(outcomes.weights) <= 2 * _GROUPS
    return [outcomes] if few else [merged(outcomes, _GROUPS), outcomes]


def _block_rows(outcomes):
    return min(_BLOCK_ROWS, max(1, _BLOCK_VALUES // len(outcomes.weights)))


def _largest(gains, rows, n):
    return rows if len(rows) <= n else rows[np.argpartition(gains[rows], -n)[-n:]]


def _reader(draws):
    return lambda rows: draws[:, rows]


def _scores(draws):
    scores = np.empty(draws.shape[1])
    for start in range(0, len(scores), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        scores[rows] = mutual_information(np.asarray(draws[:, rows], dtype=np.float64))
    return scores
