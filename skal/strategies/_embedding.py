"""The base of strategies that look at where rows lie: near which labelled ones, in which crowd."""

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from skal import capabilities
from skal._compat import InvalidParameterError
from skal._rows import n_rows
from skal._seeds import derive, seed_open_states
from skal.capabilities._models import fills_nan
from skal.strategies._base import QueryStrategy

__all__ = ["EmbeddingStrategy", "settle_embedding"]


class EmbeddingStrategy(QueryStrategy):
    """Base class of strategies that compare rows by their embedding.

    A subclass asks ``self._embed(X)`` for the points of rows, (n, m), and finds those of the labelled rows in
    ``self.labeled_embedding_``.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Whose embedding is taken where `embedding` is None: of a net the input of its last linear layer, of a
        pipeline what its steps before the last make of a row, else the row itself, flattened. None means
        the model of the `ActiveLearner` around it; outside of one, the row itself.
    embedding : transformer or None, default=None
        Makes the points in place of the model: a clone of it is fitted on the X of `fit`, labelled or not (in
        an `ActiveLearner` once, on the pool). ``FrozenEstimator(fitted)`` is used as it is: a
        transformer, a fitted net, a torch module that returns an embedding. Points that are there
        already come as X.
    layer : str or None, default=None
        The name of a layer of the net, as in ``module.named_modules()``, whose output is the embedding.
    random_state : int, RandomState or None, default=None
        Orders ties, and seeds whatever the strategy draws.

    Attributes
    ----------
    labeled_embedding_ : ndarray or csr_matrix of shape (n_labelled, m)
        The points of the labelled rows; of shape (0, 0) where there are none.
    embedding_ : transformer
        The fitted transformer, where there is one and there were rows to fit it on. Without any, a clone is
        fitted on the rows that are scored.
    """

    _parameter_constraints = {
        **QueryStrategy._parameter_constraints,
        "embedding": "no_validation",
        "layer": [str, None],
    }

    def __init__(self, estimator=None, *, embedding=None, layer=None, random_state=None):
        super().__init__(estimator, random_state=random_state)
        self.embedding = embedding
        self.layer = layer

    def _check_model(self, model):
        super()._check_model(model)
        _check_embedding(self)
        if self.embedding is None:
            capabilities.check_layer(model, self.layer)
        elif self.layer is not None:
            raise InvalidParameterError(
                f"{self!r} got both embedding= and layer=, and each says where rows lie; leave one out."
            )

    def _look(self, X):
        vars(self).pop("embedding_", None)
        if self.embedding is not None and (n_rows(X) > 0 or isinstance(self.embedding, FrozenEstimator)):
            self.embedding_ = _fitted_embedding(self.embedding, X, self.seed_)

    def _keep(self, X):
        self.labeled_embedding_ = self._embed(X) if n_rows(X) > 0 else np.empty((0, 0))

    def _embed(self, X):
        """The points of rows; (n, ...) -> (n, m) ndarray, float32 or float64, or csr_matrix."""
        if self.embedding is not None:
            fitted = vars(self).get("embedding_")
            if fitted is None:
                fitted = _fitted_embedding(self.embedding, X, self.seed_)
            return capabilities.transform(fitted, X)
        model = vars(self).get("estimator_")
        if model is not None and not capabilities.is_fitted(model):
            raise ValueError(
                f"{self!r} has a model that was fitted on no labels, and so no embedding yet; pass "
                "embedding=, FrozenEstimator(fitted model), or no estimator to compare rows as they are."
            )
        return capabilities.embed(model, X, self.layer)

    def _proba_and_points(self, X):
        """Class probabilities, (n, n_classes), and the points of rows, (n, m)."""
        if self.embedding is None:
            return capabilities.proba_and_embedding(self.estimator_, X, self.layer)
        return capabilities.predict_proba(self.estimator_, X), self._embed(X)

    def _with_labeled(self, Z):
        """The points of the labelled rows, then those of Z."""
        if n_rows(self.labeled_embedding_) == 0:
            return Z
        stack = sparse.vstack if sparse.issparse(Z) else np.vstack
        return stack([self.labeled_embedding_, Z])

    @property
    def _allows_nan(self):
        if self.embedding is None:  # a forest may take NaN, but rows with it are no points
            return fills_nan(self._model)
        sees_x = self._model is not None
        return capabilities.allows_nan(self.embedding) and (not sees_x or super()._allows_nan)


def settle_embedding(strategy, X, seed):
    """A clone of a strategy whose embedding, where it is not fitted yet, has been fitted on X.

    So that the rounds of a loop share one embedding, which knows the whole pool.

    Parameters
    ----------
    strategy : QueryStrategy
        Wrappers are opened. One without an embedding is returned as a clone.
    X : array-like of shape (n, ...)
        The pool.
    seed : int

    Returns
    -------
    QueryStrategy
        Unfitted; `strategy` is unchanged.
    """
    settled = innermost = clone(strategy)
    while hasattr(innermost, "strategy"):
        innermost = innermost.strategy
    embedding = getattr(innermost, "embedding", None)
    if embedding is not None and not isinstance(embedding, FrozenEstimator) and n_rows(X) > 0:
        innermost.embedding = FrozenEstimator(_fitted_embedding(embedding, X, seed))
    return settled


def _fitted_embedding(embedding, X, seed):
    if isinstance(embedding, FrozenEstimator):
        return embedding
    transformer = seed_open_states(clone(embedding), derive(seed, "embedding"))
    return capabilities.fit_transformer(transformer, X)


def _check_embedding(strategy):
    """Refuse what makes no points, before any work."""
    embedding = strategy.embedding
    if embedding is None or capabilities.can_embed(embedding):
        return
    raise InvalidParameterError(
        f"{strategy!r} needs a transformer as embedding=, with fit and transform, or FrozenEstimator(fitted "
        f"encoder), and got {embedding!r}. Points that are there already come as X."
    )
