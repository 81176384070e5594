"""The arithmetic of a comparison: curves on a common range, intervals, and what could be detected."""

import numpy as np
from scipy import optimize, stats

__all__ = [
    "between",
    "default_levels",
    "first_reached",
    "mean_interval",
    "smallest_detectable",
]


def between(n_labels, scores, low, high):
    """The part of a learning curve between two numbers of labels; (n_stages,) twice -> (m,) twice.

    Between stages the curve is a line; its ends are cut at `low` and `high`, which lie inside it.

    Examples
    --------
    >>> between([20, 30, 40], [0.5, 0.6, 0.8], low=20, high=35)
    (array([20., 30., 35.]), array([0.5, 0.6, 0.7]))
    """
    n_labels = np.asarray(n_labels, dtype=float)
    inside = n_labels[(n_labels > low) & (n_labels < high)]
    x = np.unique(np.concatenate([[low], inside, [high]]))
    return x, np.interp(x, n_labels, scores)


def mean_interval(values, confidence=0.95, n_comparisons=1):
    """Student's interval of a mean, widened for several comparisons; (n, ...) -> two arrays of (...).

    Parameters
    ----------
    values : array-like of shape (n, ...)
        Independent along the first axis.
    confidence : float in (0, 1), default=0.95
    n_comparisons : int, default=1
        By Bonferroni, all of so many intervals cover together with this confidence.

    Returns
    -------
    low, high : floats or arrays of shape (...)
        NaN where a single value says nothing of the spread.

    Examples
    --------
    >>> low, high = mean_interval([1.0, 2.0, 3.0])
    >>> round(float(low), 3), round(float(high), 3)
    (-0.484, 4.484)
    """
    values = np.asarray(values, dtype=float)
    n, mean = len(values), values.mean(axis=0)
    if n < 2:
        return np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = _critical(n, confidence, n_comparisons) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return mean - half, mean + half


def smallest_detectable(differences, confidence=0.95, n_comparisons=1, power=0.8):
    """The smallest true mean that so many differences of this spread would have shown; (n,) -> float.

    That is where the two-sided paired t-test at level ``(1 - confidence) / n_comparisons`` has the
    given power.

    Parameters
    ----------
    differences : array-like of shape (n,)
        Paired differences, one for each seed.
    confidence : float in (0, 1), default=0.95
    n_comparisons : int, default=1
    power : float in (0, 1), default=0.8

    Returns
    -------
    float
        In the unit of the differences; NaN for a single one.

    Examples
    --------
    >>> round(smallest_detectable([-1.0, 0.0, 1.0, 2.0, 3.0]), 2)
    2.66
    """
    differences = np.asarray(differences, dtype=float)
    n = len(differences)
    if n < 2:
        return np.nan
    critical = _critical(n, confidence, n_comparisons)

    # scipy's non-central t returns NaN far out, so the spread is integrated over its quantiles instead.
    quantiles = (np.arange(4000) + 0.5) / 4000
    bound = critical * np.sqrt(stats.chi2.ppf(quantiles, n - 1) / (n - 1))

    def missing(shift):
        return (stats.norm.sf(bound - shift) + stats.norm.cdf(-bound - shift)).mean() - power

    shift = optimize.brentq(missing, 0, 3 * critical + 10)
    return float(shift * differences.std(ddof=1) / np.sqrt(n))


def first_reached(n_labels, scores, level):
    """The number of labels at the first stage with at least this score, inf if none; -> float."""
    reached = np.flatnonzero(np.asarray(scores) >= level)
    return float(n_labels[reached[0]]) if len(reached) else np.inf


def default_levels(start, end, n=3):
    """The n highest round numbers above `start`, up to `end`; () if the curve does not rise.

    Parameters
    ----------
    start, end : float
        Scores at the ends of a learning curve.
    n : int, default=3
        How many.

    Returns
    -------
    tuple of float
        Ascending multiples of 1, 2 or 5 times a power of ten, as coarse as gives n of them.

    Examples
    --------
    >>> default_levels(0.55, 0.93)
    (0.7, 0.8, 0.9)
    >>> default_levels(0.905, 0.953)
    (0.93, 0.94, 0.95)
    """
    if not end > start:
        return ()
    power = int(np.floor(np.log10(end - start)))
    for exponent in range(power, power - 2, -1):
        for factor in (5, 2, 1):
            step = factor * 10.0**exponent
            # A tenth of a millionth of a step: 0.3 must count as a multiple of 0.1.
            first, last = np.floor(start / step + 1e-7) + 1, np.floor(end / step + 1e-7)
            if last - first + 1 >= n:
                digits = max(0, -exponent)
                return tuple(round(k * step, digits) for k in np.arange(last - n + 1, last + 1).tolist())
    return ()


def _critical(n, confidence, n_comparisons):
    return stats.t.ppf(1 - (1 - confidence) / (2 * n_comparisons), n - 1)
