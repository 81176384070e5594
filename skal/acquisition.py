"""Acquisition functions: probabilities in, one score per row out, higher = label me.

Classes lie on the last axis: ``(..., n_classes) -> (...)``. Scores are never negative, and are exact
at probabilities of 0 and 1.
"""

import numpy as np
from scipy.special import entr

__all__ = ["entropy", "least_confidence", "margin"]


def least_confidence(proba):
    """One minus the largest probability, in [0, 1 - 1/k]; (..., n_classes) -> (...).

    Parameters
    ----------
    proba : array-like of shape (..., n_classes)
        Class probabilities.

    Returns
    -------
    ndarray of shape (...)
        0 where one class has all the mass, 1 - 1/k where the k classes are equally likely.

    References
    ----------
    D. Lewis and W. Gale, "A sequential algorithm for training text classifiers", SIGIR 1994.

    Examples
    --------
    >>> least_confidence([[1.0, 0.0], [0.75, 0.25]])
    array([0.  , 0.25])
    """
    return _non_negative(1 - np.max(proba, axis=-1))


def margin(proba):
    """One minus the lead of the likeliest class over the second, in [0, 1]; (..., n_classes) -> (...).

    Parameters
    ----------
    proba : array-like of shape (..., n_classes)
        Class probabilities. With a single class the lead is 1 and the score 0.

    Returns
    -------
    ndarray of shape (...)
        0 where one class has all the mass, 1 where two classes share the first place.

    References
    ----------
    T. Scheffer, C. Decomain and S. Wrobel, "Active hidden Markov models for information extraction",
    IDA 2001.

    Examples
    --------
    >>> margin([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25], [0.4, 0.4, 0.2]])
    array([0.  , 0.75, 1.  ])
    """
    proba = np.asarray(proba)
    if proba.shape[-1] == 1:
        return np.zeros(proba.shape[:-1], dtype=proba.dtype)
    best_two = np.partition(proba, -2, axis=-1)[..., -2:]
    return _non_negative(1 - (best_two[..., 1] - best_two[..., 0]))


def entropy(proba):
    """Shannon entropy of each distribution, in nats, in [0, ln k]; (..., n_classes) -> (...).

    Parameters
    ----------
    proba : array-like of shape (..., n_classes)
        Class probabilities.

    Returns
    -------
    ndarray of shape (...)
        0 where one class has all the mass, ln k where the k classes are equally likely.

    References
    ----------
    C. Shannon, "A mathematical theory of communication", Bell System Technical Journal 27, 1948.

    Examples
    --------
    >>> entropy([[1.0, 0.0], [0.5, 0.5]])
    array([0.        , 0.69314718])
    """
    return _non_negative(entr(proba).sum(axis=-1))


def _non_negative(scores):
    # Rounding can leave a probability a hair above 1; + 0.0 turns -0.0 into 0.0.
    return np.maximum(scores, 0) + 0.0
