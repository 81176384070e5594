"""Expected gradient length: the rows whose labels would move the model's weights most."""

from skal._block_wise import answered
from skal._changes import expected_gradient_length
from skal.capabilities._changes import has_bias
from skal.strategies._embedding import EmbeddingStrategy

__all__ = ["ExpectedGradientLength"]


class ExpectedGradientLength(EmbeddingStrategy):
    """Expected gradient length: the rows whose labels would move the model's weights most.

    Scores a row by ``sum_y p_y |g_y|``: the length of the gradient of the cross-entropy with the label y in
    the last layer's weights, on average over the labels that the model expects. With h the input of that
    layer it equals ``sum_y p_y |p - e_y| * |(h, 1)|``, so that no gradient is taken: how open the label is,
    times the length of h. *Row-wise*. Unlike `EMOC` it does not ask what the step would change, so that rows
    with long h score high, outliers too.

    Exact for nets, and for linear models alone or last in a pipeline. For all other models, such as forests,
    the row itself stands for h, flattened; scale the columns there, with ``embedding=StandardScaler()``.

    Memory, of a pool on a disk: a block of rows, and a number for each row.

    Parameters
    ----------
    estimator : classifier with predict_proba or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    embedding : transformer or None, default=None
        Makes h in place of the model: a clone of it is fitted on the X of `fit`, labelled or not (in
        an `ActiveLearner` once, on the pool); ``FrozenEstimator(fitted)`` is used as it is.
    layer : str or None, default=None
        The name of a layer of the net whose output is h; None takes the input of its last linear layer.
    random_state : int, RandomState or None, default=None
        Orders ties.

    See Also
    --------
    EMOC : How much the step would change what the model answers.
    skal.acquisition.expected_gradient_length : The same for arrays.

    References
    ----------
    B. Settles, M. Craven and S. Ray, "Multiple-instance active learning", NIPS 2007.
    J. Huang, R. Child, V. Rao, H. Liu, S. Satheesh and A. Coates, "Active learning for speech recognition:
    the power of gradients", arXiv:1612.03226, 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import ExpectedGradientLength
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = ExpectedGradientLength(LogisticRegression(max_iter=1000), random_state=0)
    >>> rows = strategy.fit(X[::10], y[::10]).select(X, n=10)  # where versicolor meets virginica
    >>> sorted(set(y[rows].tolist()))
    [1, 2]
    """

    requires = ("predict_proba",)
    takes_pixels = False

    def _keep(self, X):
        """Nothing: a score hangs on the row alone."""

    def _score(self, X, rng):
        return answered(self._gradient_length, X)

    def _gradient_length(self, X):
        return expected_gradient_length(*self._proba_and_points(X), bias=has_bias(self.estimator_))
