"""Uncertainty sampling: label what the model is least sure of."""

from skal import acquisition
from skal.capabilities import predict_proba
from skal.strategies._base import QueryStrategy

__all__ = ["Entropy", "LeastConfidence", "Margin"]


class LeastConfidence(QueryStrategy):
    """Least confidence: the rows whose likeliest class is the least likely.

    Scores a row by ``1 - max_c p_c``. *Row-wise*; looks at the likeliest class only.

    Parameters
    ----------
    estimator : classifier with predict_proba or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    random_state : int, RandomState or None, default=None
        Orders ties.

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

    requires = ("predict_proba",)

    def _score(self, X, rng):
        return acquisition.least_confidence(predict_proba(self.estimator_, X))


class Margin(QueryStrategy):
    """Margin sampling: the rows whose two likeliest classes are closest.

    Scores a row by ``1 - (p_(1) - p_(2))``, p sorted downwards. *Row-wise*. The default of
    `ActiveLearner`: cheap, and hard to beat with small batches.

    Parameters
    ----------
    estimator : classifier with predict_proba or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    random_state : int, RandomState or None, default=None
        Orders ties.

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

    requires = ("predict_proba",)

    def _score(self, X, rng):
        return acquisition.margin(predict_proba(self.estimator_, X))


class Entropy(QueryStrategy):
    """Entropy sampling: the rows whose predicted distribution is the most spread out.

    Scores a row by ``- sum_c p_c ln p_c``, in nats. *Row-wise*; looks at all classes, also at those
    that are out of the question.

    Parameters
    ----------
    estimator : classifier with predict_proba or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    random_state : int, RandomState or None, default=None
        Orders ties.

    References
    ----------
    B. Settles, "Active learning literature survey", University of Wisconsin-Madison, 2009.

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

    requires = ("predict_proba",)

    def _score(self, X, rng):
        return acquisition.entropy(predict_proba(self.estimator_, X))
