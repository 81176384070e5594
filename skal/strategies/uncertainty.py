"""Uncertainty sampling: label what the model is least sure of."""

from numbers import Integral

from skal import acquisition
from skal._compat import Interval
from skal.strategies._base import QueryStrategy
from skal.strategies._draws import PIXELS, check_members, score_draws, score_proba

__all__ = ["Entropy", "LeastConfidence", "Margin"]


class _Uncertainty(QueryStrategy):
    """Scores a row by one distribution: the prediction, or the mean of draws. One hook, `_acquire`."""

    _parameter_constraints = {
        **QueryStrategy._parameter_constraints,
        "n_draws": [Interval(Integral, 1, None, closed="left"), None],
        "pixels": PIXELS,
    }

    def __init__(self, estimator=None, *, n_draws=None, pixels="mean", random_state=None):
        super().__init__(estimator, random_state=random_state)
        self.n_draws = n_draws
        self.pixels = pixels

    @property
    def requires(self):
        """What the model must offer: draws only where `n_draws` asks for them."""
        return ("predict_proba",) if self.n_draws is None else ("sample_proba",)

    def _check_model(self, model):
        super()._check_model(model)
        if self.n_draws is not None:
            check_members(self, model, min_draws=1)

    def _score(self, X, rng):
        if self.n_draws is None:
            return score_proba(self, X, self._acquire)
        return score_draws(self, X, lambda draws: self._acquire(draws.mean(axis=0)), min_draws=1)

    @staticmethod
    def _acquire(proba):
        """Hook: (n, ..., n_classes) -> (n, ...)."""
        raise NotImplementedError


class LeastConfidence(_Uncertainty):
    """Least confidence: the rows whose likeliest class is the least likely.

    Scores a row by ``1 - max_c p_c``. *Row-wise*; looks at the likeliest class only.

    Memory, of a pool on a disk: a block of rows, and a number for each row.

    Parameters
    ----------
    estimator : classifier with predict_proba or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    n_draws : int >= 1 or None, default=None
        p is the mean of that many draws of the model (dropout masks, members); None takes its prediction.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        Where the model labels pixels: how the scores of pixels make that of an image; see
        `skal.acquisition.over_pixels`.
    random_state : int, RandomState or None, default=None
        Orders ties, and fixes the draws.

    References
    ----------
    D. Lewis and W. Gale, "A sequential algorithm for training text classifiers", SIGIR 1994.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import LeastConfidence
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = LeastConfidence(LogisticRegression(max_iter=1000), random_state=0)
    >>> strategy.fit(X[::10], y[::10]).select(X, n=3).shape
    (3,)
    """

    _acquire = staticmethod(acquisition.least_confidence)


class Margin(_Uncertainty):
    """Margin sampling: the rows whose two likeliest classes are closest.

    Scores a row by ``1 - (p_(1) - p_(2))``, p sorted downwards. *Row-wise*. The default of
    `ActiveLearner`: cheap, and hard to beat with small batches.

    Memory, of a pool on a disk: a block of rows, and a number for each row.

    Parameters
    ----------
    estimator : classifier with predict_proba or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    n_draws : int >= 1 or None, default=None
        p is the mean of that many draws of the model (dropout masks, members); None takes its prediction.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        Where the model labels pixels: how the scores of pixels make that of an image; see
        `skal.acquisition.over_pixels`.
    random_state : int, RandomState or None, default=None
        Orders ties, and fixes the draws.

    References
    ----------
    T. Scheffer, C. Decomain and S. Wrobel, "Active hidden Markov models for information extraction",
    IDA 2001.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import Margin
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = Margin(LogisticRegression(max_iter=1000), random_state=0).fit(X[::10], y[::10])
    >>> rows = strategy.select(X, n=10)  # where versicolor meets virginica
    >>> sorted(set(y[rows].tolist()))
    [1, 2]
    """

    _acquire = staticmethod(acquisition.margin)


class Entropy(_Uncertainty):
    """Entropy sampling: the rows whose predicted distribution is the most spread out.

    Scores a row by ``- sum_c p_c ln p_c``, in nats. *Row-wise*; looks at all classes, also at those
    that are out of the question. With `n_draws` this is the predictive entropy of deep Bayesian active
    learning.

    Memory, of a pool on a disk: a block of rows, and a number for each row.

    Parameters
    ----------
    estimator : classifier with predict_proba or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    n_draws : int >= 1 or None, default=None
        p is the mean of that many draws of the model (dropout masks, members); None takes its prediction.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        Where the model labels pixels: how the scores of pixels make that of an image; see
        `skal.acquisition.over_pixels`.
    random_state : int, RandomState or None, default=None
        Orders ties, and fixes the draws.

    References
    ----------
    B. Settles, "Active learning literature survey", University of Wisconsin-Madison, 2009.
    Y. Gal, R. Islam and Z. Ghahramani, "Deep Bayesian active learning with image data", ICML 2017 (draws).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import Entropy
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = Entropy(LogisticRegression(max_iter=1000), random_state=0).fit(X[::10], y[::10])
    >>> bool(strategy.score(X).max() <= 1.0987)  # ln 3
    True
    """

    _acquire = staticmethod(acquisition.entropy)
