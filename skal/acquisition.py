"""Acquisition functions: probabilities in, one score per row out, higher = label me.

Classes lie on the last axis: ``(..., n_classes) -> (...)``. Draws of a model lie on the first:
``(n_draws, n, n_classes) -> (n,)``; a function of one distribution takes their mean,
``margin(draws.mean(axis=0))``. Scores are never negative, and are exact at probabilities of 0 and 1.

Between them may lie the pixels of images, ``(n_draws, n, height, width, n_classes)``: then there is a score
for each pixel, and `over_pixels` makes one of those of an image.
"""

from math import ceil, log

import numpy as np
from scipy.special import entr

from skal._changes import emoc, expected_gradient_length, gaussian_process_emoc

__all__ = [
    "emoc",
    "entropy",
    "epig",
    "expected_gradient_length",
    "gaussian_process_emoc",
    "least_confidence",
    "margin",
    "mean_std",
    "mutual_information",
    "over_pixels",
    "predictive_entropy",
    "variance",
    "variation_ratio",
    "vote_entropy",
]

# About 16 MiB of float64 at once in the joint distributions of `epig`.
_BLOCK_VALUES = 2**21


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
    return _non_negative(1 - np.max(np.asarray(proba), axis=-1))


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
    # Rounding can leave a probability a hair below 0, where entr is -inf, and the sum a hair above ln k.
    proba = np.maximum(np.asarray(proba), 0)
    return np.minimum(_non_negative(entr(proba).sum(axis=-1)), log(proba.shape[-1]))


def predictive_entropy(draws):
    """Entropy of the mean of the draws, in nats, in [0, ln k]; (n_draws, n, n_classes) -> (n,).

    Of a committee this is the consensus entropy: it is large where members are unsure, and where they
    disagree.

    Parameters
    ----------
    draws : array-like of shape (n_draws, ..., n_classes)
        Class probabilities under each draw of the model.

    Returns
    -------
    ndarray of shape (...)

    References
    ----------
    Y. Gal, R. Islam and Z. Ghahramani, "Deep Bayesian active learning with image data", ICML 2017.

    Examples
    --------
    >>> predictive_entropy([[[1.0, 0.0]], [[0.0, 1.0]]])
    array([0.69314718])
    """
    return entropy(_mean(draws))


def mutual_information(draws):
    """Information that a label gives on the model (BALD), in nats; (n_draws, n, n_classes) -> (n,).

    The entropy of the mean minus the mean entropy, in [0, ln k]: large where each draw is sure and the
    draws contradict. It equals the mean Kullback-Leibler divergence of the draws from their mean.

    Parameters
    ----------
    draws : array-like of shape (n_draws, ..., n_classes)
        Class probabilities under each draw of the model.

    Returns
    -------
    ndarray of shape (...)
        0 where all draws agree, ln k where they are sure of k different classes equally often.

    References
    ----------
    N. Houlsby, F. Huszár, Z. Ghahramani and M. Lengyel, "Bayesian active learning for classification
    and preference learning", arXiv:1112.5745, 2011.

    Examples
    --------
    >>> sure, unsure = [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]
    >>> mutual_information([[a, b] for a, b in zip(sure, unsure)])
    array([0.69314718, 0.        ])
    """
    draws = np.asarray(draws, dtype=np.float64)
    return _non_negative(predictive_entropy(draws) - _mean(entropy(draws)))


def variation_ratio(draws, kind="mean"):
    """Share of the draws against the likeliest class; (n_draws, n, n_classes) -> (n,).

    Parameters
    ----------
    draws : array-like of shape (n_draws, ..., n_classes)
        Class probabilities under each draw of the model.
    kind : {"mean", "vote"}, default="mean"
        "mean" is one minus the largest mean probability, as in Gal et al.; "vote" one minus the share of
        draws whose likeliest class is the one that most draws choose, as in Beluch et al.: with five
        members it has at most five values.

    Returns
    -------
    ndarray of shape (...)
        In [0, 1 - 1/k].

    References
    ----------
    L. Freeman, "Elementary applied statistics", Wiley 1965.
    Y. Gal, R. Islam and Z. Ghahramani, "Deep Bayesian active learning with image data", ICML 2017.
    W. Beluch, T. Genewein, A. Nürnberger and J. Köhler, "The power of ensembles for active learning in
    image classification", CVPR 2018.

    Examples
    --------
    >>> draws = [[[0.6, 0.4]], [[0.6, 0.4]], [[0.0, 1.0]]]
    >>> variation_ratio(draws), variation_ratio(draws, kind="vote")
    (array([0.4]), array([0.33333333]))
    """
    if kind not in ("mean", "vote"):
        raise ValueError(f"variation_ratio has no kind={kind!r}; there are 'mean' and 'vote'.")
    return least_confidence(_votes(draws) if kind == "vote" else _mean(draws))


def mean_std(draws):
    """Standard deviation over the draws, mean over the classes; (n_draws, n, n_classes) -> (n,).

    Parameters
    ----------
    draws : array-like of shape (n_draws, ..., n_classes)
        Class probabilities under each draw of the model.

    Returns
    -------
    ndarray of shape (...)
        In [0, 1/2]; the population's standard deviation (divided by n_draws).

    References
    ----------
    M. Kampffmeyer, A.-B. Salberg and R. Jenssen, "Semantic segmentation of small objects and modeling of
    uncertainty in urban remote sensing images", CVPR Workshops 2016.

    Examples
    --------
    >>> mean_std([[[1.0, 0.0]], [[0.0, 1.0]]])
    array([0.5])
    """
    return _from_first(draws).std(axis=0).mean(axis=-1)


def variance(draws):
    """Variance over the draws, mean over the classes; (n_draws, n, n_classes) -> (n,).

    Of two classes it is the variance of the probability of either.

    Parameters
    ----------
    draws : array-like of shape (n_draws, ..., n_classes)
        Class probabilities under each draw of the model.

    Returns
    -------
    ndarray of shape (...)
        In [0, 1/4]; the population's variance (divided by n_draws).

    References
    ----------
    L. Yang, Y. Zhang, J. Chen, S. Zhang and D. Chen, "Suggestive annotation: a deep active learning framework
    for biomedical image segmentation", MICCAI 2017.

    Examples
    --------
    >>> variance([[[1.0, 0.0]], [[0.0, 1.0]]])
    array([0.25])
    """
    return _from_first(draws).var(axis=0).mean(axis=-1)


def vote_entropy(draws):
    """Entropy of the votes, one per draw for its likeliest class; (n_draws, n, n_classes) -> (n,).

    Parameters
    ----------
    draws : array-like of shape (n_draws, ..., n_classes)
        Class probabilities under each member of a committee.

    Returns
    -------
    ndarray of shape (...)
        In nats, in [0, ln k]; 0 where the vote is unanimous.

    References
    ----------
    Ido Dagan and S. Engelson, "Committee-based sampling for training probabilistic classifiers", ICML 1995.

    Examples
    --------
    >>> vote_entropy([[[0.9, 0.1]], [[0.6, 0.4]]]), vote_entropy([[[0.9, 0.1]], [[0.4, 0.6]]])
    (array([0.]), array([0.69314718]))
    """
    return entropy(_votes(draws))


def epig(draws, targets):
    """Expected information that a label gives on the labels of target rows; -> (n,), in nats.

    The mean over targets of the mutual information between the two labels, which is
    ``H[y] + H[y*] - H[y, y*]`` with ``p(y, y*)`` the mean over draws of the product.

    Parameters
    ----------
    draws : array-like of shape (n_draws, n, n_classes)
        Class probabilities under each draw of the model.
    targets : array-like of shape (n_draws, n_targets, n_classes)
        Those of the target rows, under the same draws.

    Returns
    -------
    ndarray of shape (n,)
        In [0, ln k]. Time is O(n n_targets n_classes^2 n_draws); memory does not depend on n.

    References
    ----------
    F. Bickford Smith, A. Kirsch, S. Farquhar, Y. Gal, A. Foster and T. Rainforth, "Prediction-oriented
    Bayesian active learning", AISTATS 2023.

    Examples
    --------
    >>> known = [[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]
    >>> epig(known, targets=[[[1.0, 0.0]], [[0.0, 1.0]]])  # only the first row tells the draws apart
    array([0.69314718, 0.        ])
    """
    draws, targets = np.asarray(draws, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    n_draws, n, k = draws.shape
    if targets.ndim != 3 or len(targets) != n_draws or not targets.shape[1]:
        raise ValueError(
            f"epig needs draws of at least one target under the same {n_draws} draws, of shape ({n_draws}, "
            f"n_targets, n_classes), and got targets of shape {targets.shape}."
        )
    of_targets = targets.reshape(n_draws, -1) / n_draws
    block = max(1, _BLOCK_VALUES // (k * of_targets.shape[1]))
    joint = np.empty(n)
    for start in range(0, n, block):
        rows = slice(start, start + block)
        products = draws[:, rows].reshape(n_draws, -1).T @ of_targets
        joint[rows] = (
            entr(np.maximum(products, 0)).reshape(-1, k * of_targets.shape[1]).sum(axis=1) / targets.shape[1]
        )
    return _non_negative(predictive_entropy(draws) + predictive_entropy(targets).mean() - joint)


def over_pixels(scores, pixels="mean"):
    """One score per image from those of its pixels; (n, ...) -> (n,).

    Parameters
    ----------
    scores : array-like of shape (n, height, width), or n arrays of shape (height, width)
        Images of different sizes come as a list or an object array. One score per row already, (n,), is
        returned as it is.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        "mean" over all pixels, the highest of them, or the mean of the highest: 0.1 is that of the top
        tenth, rounded up. "mean" asks for images that are unsure as a whole, "max" for a single unsure
        pixel, and so for noise; a share lies between them.

    Returns
    -------
    ndarray of float64 of shape (n,)
        An image has the same score alone and among others.

    Examples
    --------
    >>> scores = [[[0.0, 1.0], [0.0, 0.6]], [[0.5, 0.5], [0.5, 0.5]]]
    >>> over_pixels(scores), over_pixels(scores, "max"), over_pixels(scores, 0.5)
    (array([0.4, 0.5]), array([1. , 0.5]), array([0.8, 0.5]))
    """
    if isinstance(scores, list | tuple) and len({np.shape(image) for image in scores}) > 1:
        return np.array([over_pixels([image], pixels)[0] for image in scores])
    scores = np.asarray(scores)
    if scores.dtype == object:
        return over_pixels(list(scores), pixels)
    if scores.ndim == 1:
        return scores
    # In one order whatever the layout, so that a sum does not depend on the neighbours.
    of_image = np.ascontiguousarray(scores, dtype=np.float64).reshape(len(scores), -1)
    if isinstance(pixels, str):
        return of_image.max(axis=1) if pixels == "max" else of_image.mean(axis=1)
    n_top = ceil(pixels * of_image.shape[1])
    return np.partition(of_image, -n_top, axis=1)[:, -n_top:].mean(axis=1)


def _mean(draws):
    return np.asarray(draws[0], dtype=np.float64) + _from_first(draws).mean(axis=0)


def _from_first(draws):
    """Draws minus the first: of equal draws all is exactly 0, and so is what tells them apart."""
    draws = np.asarray(draws, dtype=np.float64)
    return draws - draws[0]


def _votes(draws):
    """Share of the draws in which each class is the likeliest; (n_draws, ..., k) -> (..., k)."""
    winners = np.argmax(np.asarray(draws), axis=-1)
    classes = range(np.shape(draws)[-1])
    return np.stack([(winners == c).mean(axis=0) for c in classes], axis=-1)


def _non_negative(scores):
    # Rounding can leave a probability a hair above 1; + 0.0 turns -0.0 into 0.0.
    return np.maximum(scores, 0) + 0.0
