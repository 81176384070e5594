"""BADGE: a batch of gradients that are long and different."""

import numpy as np

from skal.selection._k_means_pp import k_means_pp, largest_norm
from skal.selection._lcmd import clusters
from skal.selection._outer import OuterProducts
from skal.strategies._embedding import EmbeddingStrategy

__all__ = ["BADGE", "last_layer_gradients"]


class BADGE(EmbeddingStrategy):
    """BADGE: a batch of gradients that are long and different.

    A row is represented by the gradient that it would give to the last layer if the model's prediction were
    its label: ``g = (p - e_y) (x) (h, 1)``, with y the argmax of the probabilities p, and h the input of the
    last layer; the 1 is the input of the bias. Unsure rows have long gradients. The first row is the one with
    the longest; each further row is drawn with probability proportional to the squared distance of its
    gradient to the nearest chosen one, as k-means++ seeds its clusters.

    *Stochastic*: `select` draws, from the second row on. `score` is the squared length of the gradient, in
    squared units of h. Gradients are never built: 1,000 of 60,000 rows take a fraction of a second.

    Exact for nets, and for linear models alone or last in a pipeline. For all other models, such as forests,
    the row itself stands for h, flattened; scale the columns there, with ``embedding=StandardScaler()``.

    Memory, of a pool on a disk: a block of rows, and the points of all, k + m numbers for k classes and m
    coordinates, which beyond 1 GiB lie in a temporary file; `InParts` needs those of one part.

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
        Fixes the draws, and orders ties.

    See Also
    --------
    LCMD : Without draws; of rows, or of the same gradients.
    skal.selection.k_means_pp : The draws, for arrays and for gradients.

    Notes
    -----
    The authors' code has no bias column. Rows whose gradient equals that of a chosen row, such as copies of
    it, are drawn only when no others are left, and then uniformly.

    References
    ----------
    J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal, "Deep batch active learning by diverse,
    uncertain gradient lower bounds", ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import BADGE
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = BADGE(LogisticRegression(max_iter=1000), random_state=0).fit(X[::10], y[::10])
    >>> rows = strategy.select(X, n=10)
    >>> bool(strategy.score(X)[rows[0]] == strategy.score(X).max())
    True
    """

    requires = ("predict_proba",)
    takes_pixels = False
    nature = "stochastic"

    def _keep(self, X):
        """Nothing: labelled rows play no part."""

    def _score(self, X, rng):
        return self._gradients(X).squared_norms()

    def _select(self, X, n, rng):
        return self._draw(self._gradients(X), n, rng)

    def _put_forward(self, X, n, rng):
        gradients = self._gradients(X)
        rows = self._draw(gradients, n, rng)
        _, nearest = clusters(gradients, gradients[rows])
        return rows, np.bincount(nearest, minlength=n)

    def _select_among(self, X, weights, n, rng):
        return self._draw(self._gradients(X), n, rng, weights)

    def _draw(self, gradients, n, rng, weights=None):
        return k_means_pp(gradients, n, rng, first=largest_norm(gradients, self.seed_), weights=weights)

    def _gradients(self, X):
        return last_layer_gradients(*self._proba_and_points(X))


def last_layer_gradients(proba, Z):
    """Gradients of the cross-entropy of each row with its predicted label, at the last layer.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Class probabilities; each class has its part, also one that the model has never seen.
    Z : ndarray or csr_matrix of shape (n, m)
        Inputs of the last layer, without the 1 of the bias.

    Returns
    -------
    OuterProducts
        ``(p - e_y) (x) (z, 1)``, never built; in effect of shape (n, n_classes * (m + 1)).

    Examples
    --------
    >>> import numpy as np
    >>> last_layer_gradients(np.array([[0.75, 0.25]]), np.array([[2.0]])).squared_norms()
    array([0.625])
    """
    residuals = np.array(proba)
    residuals[np.arange(len(residuals)), residuals.argmax(axis=1)] -= 1
    return OuterProducts(residuals, Z, bias=True)
