"""LCMD: the farthest row of the heaviest cluster around labelled rows."""

import numpy as np

from skal._compat import StrOptions
from skal.capabilities._answers import check_probabilities
from skal.selection._lcmd import clusters, lcmd
from skal.strategies._embedding import EmbeddingStrategy
from skal.strategies.badge import last_layer_gradients

__all__ = ["LCMD"]


class LCMD(EmbeddingStrategy):
    """LCMD: largest cluster, maximum distance.

    Each row belongs to the nearest labelled row, or row chosen before. Takes, again and again, the farthest
    row of the cluster with the largest sum of squared distances: crowded places come first, and isolated
    points do not attract it as they attract `CoreSet`. Nothing is drawn.

    *Pool-relative*: the score of a row at squared distance d is ``S d / D``, where S is the sum of the
    squared distances in its cluster, and D the largest of them. So the farthest row of a cluster scores S,
    and the row with the best score is the first that is selected. In squared units of the features.

    Memory, of a pool on a disk: a block of rows, and the points of all, which beyond 1 GiB lie in a
    temporary file; `InParts` needs those of one part.

    Parameters
    ----------
    estimator : classifier or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    features : {"embedding", "gradient"}, default="embedding"
        What rows are compared by. "embedding": the input of the last layer. "gradient": gradients at the last
        layer with the predicted label, as in `BADGE`, also of labelled rows; needs predict_proba.
    embedding : transformer or None, default=None
        Makes the embedding in place of the model: a clone of it is fitted on the X of `fit`, labelled or
        not (in an `ActiveLearner` once, on the pool); ``FrozenEstimator(fitted)`` is used as it is.
    layer : str or None, default=None
        The name of a layer of the net whose output is the embedding.
    random_state : int, RandomState or None, default=None
        Orders ties.

    Attributes
    ----------
    labeled_embedding_ : ndarray or csr_matrix of shape (n_labelled, m)
        The embedding of the labelled rows.
    labeled_proba_ : ndarray of shape (n_labelled, n_classes)
        With "gradient", what the model predicts for them.

    See Also
    --------
    BADGE : Draws by the same gradients, and looks at no labelled rows.
    skal.selection.lcmd : The same for arrays.

    Notes
    -----
    The authors, whose models are regressors, compare gradients of the output, which at the last layer are
    the embedding: it is the default. Gradients of a classifier's loss know which rows are unsure, but those
    of the labelled rows vanish once the model has fitted them: then these mark no place as covered, and the
    rows with the longest gradients come first.

    References
    ----------
    D. Holzmüller, V. Zaverkin, J. Kästner and I. Steinwart, "A framework and benchmark for deep batch active
    learning for regression", JMLR 2023 (LCMD-TP).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import LCMD
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = LCMD(LogisticRegression(max_iter=1000), features="gradient", random_state=0)
    >>> rows = strategy.fit(X[::10], y[::10]).select(X, n=10)
    >>> bool(strategy.score(X)[rows[0]] == strategy.score(X).max())
    True
    """

    nature = "pool-relative"

    _parameter_constraints = {
        **EmbeddingStrategy._parameter_constraints,
        "features": [StrOptions({"embedding", "gradient"})],
    }

    def __init__(
        self, estimator=None, *, features="embedding", embedding=None, layer=None, random_state=None
    ):
        super().__init__(estimator, embedding=embedding, layer=layer, random_state=random_state)
        self.features = features

    @property
    def requires(self):
        """Gradients need probabilities."""
        return ("predict_proba",) if self.features == "gradient" else ()

    @property
    def takes_pixels(self):
        """Whether the embedding alone is looked at."""
        return self.features == "embedding"

    def _keep(self, X):
        super()._keep(X)
        if self.features == "gradient":
            self.labeled_proba_ = np.asarray(self.estimator_.predict_proba(X))

    def _score(self, X, rng):
        squares, labels = clusters(self._features(X), self._labeled_features())
        largest = np.zeros(labels.max() + 1)
        np.maximum.at(largest, labels, squares)
        shares = np.divide(squares, largest[labels], out=np.zeros(len(squares)), where=squares > 0)
        return np.bincount(labels, weights=squares)[labels] * shares

    def _select(self, X, n, rng):
        return lcmd(self._features(X), self._labeled_features(), n, self.seed_)

    def _features(self, X):
        if self.features == "embedding":
            return self._embed(X)
        return last_layer_gradients(*self._proba_and_points(X))

    def _labeled_features(self):
        if self.features == "embedding":
            return self.labeled_embedding_
        n_labeled = self.labeled_embedding_.shape[0]
        proba = check_probabilities(self.labeled_proba_, self.estimator_, "predict_proba", (n_labeled,))
        return last_layer_gradients(proba, self.labeled_embedding_)
