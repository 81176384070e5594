"""The labels of several rows, taken jointly: what they say about which draw of the model is right."""

from typing import NamedTuple

import numpy as np

# The stand-in for 0 under a logarithm: times 0 it gives 0, as in `xlogy`, at a tenth of the time.
_TINY = np.finfo(np.float64).tiny


class Outcomes(NamedTuple):
    """Joint labels of some rows, each with the posterior over the draws that it leads to."""

    #: (n_outcomes,) probabilities of the outcomes.
    weights: np.ndarray
    #: (n_outcomes, n_draws) distributions over the draws, given the outcome.
    posteriors: np.ndarray
    #: Whether these are all outcomes that can happen, and no sample of them.
    exact: bool


class JointLabels:
    """The joint distribution of the labels of some rows: enumerated while it is small, then sampled.

    Parameters
    ----------
    max_outcomes : int
        Up to so many possible outcomes are enumerated.
    n_samples : int
        How many are sampled once there are more, rounded up to a multiple of the number of draws.

    Attributes
    ----------
    exact : bool
        Whether all outcomes are enumerated.
    """

    def __init__(self, max_outcomes, n_samples):
        self.max_outcomes = max_outcomes
        self.n_samples = n_samples
        self.exact = True
        self._rows = []
        self._likelihood = np.ones((1, 1))  # of each outcome under each draw

    def add(self, row):
        """Take in one more row; (n_draws, k) probabilities."""
        self._rows.append(row)
        self.exact = self.exact and len(self._likelihood) * row.shape[1] <= self.max_outcomes
        if self.exact:
            longer = (self._likelihood[:, np.newaxis] * row.T).reshape(-1, len(row))
            self._likelihood = longer[longer.any(axis=1)]

    def outcomes(self, rng):
        """All outcomes, or a fresh sample of them; `rng` is a RandomState."""
        if not self.exact:
            return _sample(self._rows, self.n_samples, rng)
        weights = self._likelihood.sum(axis=1)
        n_draws = self._likelihood.shape[1]
        return Outcomes(weights / n_draws, self._likelihood / weights[:, np.newaxis], exact=True)


def joint_mutual_information(draws, *, max_outcomes=20_000, n_samples=100_000, seed=0):
    """Information that the labels of all rows together give on the model, in nats; -> float.

    ``H[y_1, ..., y_n] - sum_i mean_t H[y_i | t]`` over draws t: what `batch_bald` maximises. It is at most
    the sum of the rows' own mutual information, and at most the logarithm of the number of draws.

    Parameters
    ----------
    draws : array-like of shape (n_draws, n_rows, n_classes)
        Class probabilities of the rows under each draw of the model; the same draws for all rows.
    max_outcomes : int, default=20_000
        Up to so many joint outcomes of the labels are enumerated, and the result is exact.
    n_samples : int, default=100_000
        How many outcomes are sampled where there are more.
    seed : int, default=0
        Fixes the sample.

    Returns
    -------
    float
        In [0, ln n_draws].

    References
    ----------
    A. Kirsch, J. van Amersfoort and Y. Gal, "BatchBALD: efficient and diverse batch acquisition for deep
    Bayesian active learning", NeurIPS 2019.

    Examples
    --------
    >>> row = [[1.0, 0.0], [0.0, 1.0]]  # two draws that are sure, and contradict
    >>> round(joint_mutual_information([[a, a] for a in row]), 6)  # a copy adds nothing
    0.693147
    """
    draws = np.asarray(draws, dtype=np.float64)
    if draws.shape[1] == 0:
        return 0.0
    joint = JointLabels(max_outcomes, n_samples)
    for row in draws.swapaxes(0, 1):
        joint.add(row)
    weights, posteriors, _ = joint.outcomes(np.random.RandomState(seed))
    # The same as the definition, seen from the model: its entropy before the labels minus that after.
    return max(float(np.log(len(draws)) - weights @ entropies(posteriors)), 0.0)


def entropies(proba):
    """Entropy over the last axis, in nats; as `skal.acquisition.entropy`, for the innermost loop."""
    logs = np.maximum(proba, _TINY)
    np.log(logs, out=logs)
    return -np.einsum("...k,...k->...", proba, logs)


def merged(outcomes, n_groups):
    """The same outcomes with like posteriors lumped together, into `n_groups` at most.

    Who only learns the group of the outcome knows less of the labels, so the information that a further
    label gives on the model is never smaller after merging: an upper bound, at a fraction of the cost.
    """
    # Neighbours have labels, or the draw that they come from, in common: centres evenly over the mass.
    centers = np.searchsorted(np.cumsum(outcomes.weights), (np.arange(n_groups) + 0.5) / n_groups)
    centers = np.unique(np.minimum(centers, len(outcomes.weights) - 1))
    roots = np.sqrt(outcomes.posteriors)  # whose products are largest where Hellinger distances are least
    nearest = (roots @ roots[centers].T).argmax(axis=1)
    order = np.argsort(nearest, kind="stable")
    starts = np.flatnonzero(np.diff(nearest[order], prepend=-1))
    weights = np.add.reduceat(outcomes.weights[order], starts)
    mass = outcomes.weights[order, np.newaxis] * outcomes.posteriors[order]
    return Outcomes(weights, np.add.reduceat(mass, starts) / weights[:, np.newaxis], outcomes.exact)


def _sample(rows, n_samples, rng):
    """Outcomes of the joint predictive distribution, the same number from each draw; all weigh the same."""
    n_draws = len(rows[0])
    per_draw = -(-n_samples // n_draws)
    log_likelihood = np.zeros((n_draws * per_draw, n_draws))
    for row in rows:
        labels = _stratified_labels(row, per_draw, rng).ravel()
        with np.errstate(divide="ignore"):
            log_likelihood += np.log(row.T, order="C")[labels]
    # Each outcome is possible under the draw that it comes from, so the largest is finite.
    log_likelihood -= log_likelihood.max(axis=1, keepdims=True)
    posteriors = np.exp(log_likelihood, out=log_likelihood)
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    return Outcomes(np.full(len(posteriors), 1 / len(posteriors)), posteriors, exact=False)


def _stratified_labels(row, n, rng):
    """n labels from each of d distributions, one from each n-th of its mass; (d, k) -> (d, n)."""
    strata = np.argsort(rng.random_sample((len(row), n)), axis=1)  # in an order of its own for each row
    mass = (strata + rng.random_sample(strata.shape)) / n
    borders = np.cumsum(row, axis=1)
    borders /= borders[:, -1:]
    return (mass[..., np.newaxis] >= borders[:, np.newaxis, :-1]).sum(axis=-1)
