"""Deep Bayesian active learning: where the draws of a model are unsure, or contradict."""

import numpy as np

from skal import acquisition
from skal._compat import StrOptions
from skal.capabilities import labels_pixels
from skal.selection import top
from skal.strategies._draws import DrawsStrategy, score_draws

__all__ = ["BALD", "MeanStd", "VariationRatio"]


class BALD(DrawsStrategy):
    """Bayesian active learning by disagreement: the rows on which sure draws contradict.

    Scores a row by the mutual information between its label and the model, in nats:
    ``H[mean_t p_t] - mean_t H[p_t]`` over draws t, each a dropout mask or a member of a committee. A row
    that is ambiguous under every draw scores 0: no label would tell which draw is right. *Row-wise*: a batch
    of the best rows may hold near copies; see `BatchBALD` and `StochasticBatch`.

    Memory, of a pool on a disk: a block of rows with its draws, and a number for each row.

    Parameters
    ----------
    estimator : classifier with sample_proba or None, default=None
        A net with dropout, an `EnsembleClassifier`, a forest, bagging or voting; None means the model of
        the `ActiveLearner` around it.
    n_draws : int >= 2 or None, default=None
        None is every member of a committee, or 20 dropout masks of a net.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        Where the model labels pixels: how the scores of pixels make that of an image; see
        `skal.acquisition.over_pixels`.
    random_state : int, RandomState or None, default=None
        Fixes the draws, and orders ties.

    References
    ----------
    N. Houlsby, F. Huszár, Z. Ghahramani and M. Lengyel, "Bayesian active learning for classification
    and preference learning", arXiv:1112.5745, 2011.
    Y. Gal, R. Islam and Z. Ghahramani, "Deep Bayesian active learning with image data", ICML 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skal.strategies import BALD
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = BALD(RandomForestClassifier(), random_state=0).fit(X[::10], y[::10])
    >>> scores = strategy.score(X)
    >>> bool(0 <= scores.min() and scores.max() <= 1.0987)  # ln 3
    True
    """

    def _score_draws(self, draws):
        return acquisition.mutual_information(draws)


class MeanStd(DrawsStrategy):
    """Mean standard deviation: the rows whose class probabilities vary the most over the draws.

    Scores a row by ``mean_c sqrt(mean_t p_tc^2 - (mean_t p_tc)^2)``. *Row-wise*.

    Memory, of a pool on a disk: a block of rows with its draws, and a number for each row.

    Parameters
    ----------
    estimator : classifier with sample_proba or None, default=None
        A net with dropout, an `EnsembleClassifier`, a forest, bagging or voting; None means the model of
        the `ActiveLearner` around it.
    n_draws : int >= 2 or None, default=None
        None is every member of a committee, or 20 dropout masks of a net.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        Where the model labels pixels: how the scores of pixels make that of an image; see
        `skal.acquisition.over_pixels`.
    random_state : int, RandomState or None, default=None
        Fixes the draws, and orders ties.

    References
    ----------
    M. Kampffmeyer, A.-B. Salberg and R. Jenssen, "Semantic segmentation of small objects and modeling of
    uncertainty in urban remote sensing images", CVPR Workshops 2016.
    Y. Gal, R. Islam and Z. Ghahramani, "Deep Bayesian active learning with image data", ICML 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import ExtraTreesClassifier
    >>> from skal.strategies import MeanStd
    >>> X, y = load_iris(return_X_y=True)
    >>> MeanStd(ExtraTreesClassifier(), random_state=0).fit(X[::10], y[::10]).select(X, n=3).shape
    (3,)
    """

    def _score_draws(self, draws):
        return acquisition.mean_std(draws)


class VariationRatio(DrawsStrategy):
    """Variation ratio: the rows on which the largest share of the draws is against the likeliest class.

    Scores a row by ``1 - max_c mean_t p_tc`` (`kind` "mean") or by ``1 - f/T``, where f of T draws vote for
    the class that most of them choose ("vote"). *Row-wise*.

    Memory, of a pool on a disk: a block of rows with its draws, and a number for each row.

    Parameters
    ----------
    estimator : classifier with sample_proba or None, default=None
        A net with dropout, an `EnsembleClassifier`, a forest, bagging or voting; None means the model of
        the `ActiveLearner` around it.
    kind : {"mean", "vote"}, default="mean"
        With "vote", a committee of five gives five scores at most; of rows with equal votes, `select`
        takes those with the larger entropy of the mean.
    n_draws : int >= 2 or None, default=None
        None is every member of a committee, or 20 dropout masks of a net.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        Where the model labels pixels: how the scores of pixels make that of an image; see
        `skal.acquisition.over_pixels`.
    random_state : int, RandomState or None, default=None
        Fixes the draws, and orders ties.

    References
    ----------
    Y. Gal, R. Islam and Z. Ghahramani, "Deep Bayesian active learning with image data", ICML 2017 ("mean").
    W. Beluch, T. Genewein, A. Nürnberger and J. Köhler, "The power of ensembles for active learning in
    image classification", CVPR 2018 ("vote").

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skal.strategies import VariationRatio
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = VariationRatio(RandomForestClassifier(5), kind="vote", random_state=0)
    >>> scores = strategy.fit(X[::10], y[::10]).score(X)
    >>> sorted(set(scores.round(1).tolist()) - {0, 0.2, 0.4, 0.6})
    []
    """

    _parameter_constraints = {
        **DrawsStrategy._parameter_constraints,
        "kind": [StrOptions({"mean", "vote"})],
    }

    def __init__(self, estimator=None, *, kind="mean", n_draws=None, pixels="mean", random_state=None):
        super().__init__(estimator, n_draws=n_draws, pixels=pixels, random_state=random_state)
        self.kind = kind

    def _score_draws(self, draws):
        return acquisition.variation_ratio(draws, self.kind)

    def _select(self, X, n, rng):
        # Votes over many pixels are hardly ever equal.
        if self.kind == "mean" or labels_pixels(self.estimator_):
            return super()._select(X, n, rng)
        return top(score_draws(self, X, _votes_then_entropy), n, self.seed_)


def _votes_then_entropy(draws):
    """A number that orders rows by their votes, and those with equal votes by entropy."""
    n_draws, *_, n_classes = draws.shape
    against = np.rint(n_draws * acquisition.variation_ratio(draws, "vote"))
    return against + acquisition.predictive_entropy(draws) / (1 + np.log(n_classes))
