"""Learning loss: label the rows on which the model is expected to be the most wrong."""

from numbers import Integral

import numpy as np
from scipy import sparse
from scipy.stats import rankdata
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from skal._compat import Interval
from skal._rows import n_rows, take
from skal._seeds import derive
from skal.capabilities import labels_pixels
from skal.capabilities._loss import can_predict_loss, held_out_losses, predict_loss
from skal.selection import priority, top
from skal.strategies._embedding import EmbeddingStrategy

__all__ = ["LearningLoss"]

_MAX_RANKED = 2000  # labelled rows that a ranker is fitted on: its time grows with their cube


class LearningLoss(EmbeddingStrategy):
    """Learning loss: the rows with the largest loss, as far as it can be predicted.

    Scores a row by its predicted loss, and chooses the highest scores of a random part of the pool: near
    copies, of which a large pool is full, are then not all taken. A model with ``predict_loss``, such as
    `skal.LossPredictionClassifier`, has learned to predict its loss while it was trained.

    All other models have a cheap form: a ranker learns from the labelled rows, by where they lie in the
    embedding, which share of them has a smaller loss than a given row. These losses are those of models that
    were not trained on the row: `cv` more fits each time. *Stochastic*; *row-wise* where `subset` is None.

    Memory, of a pool on a disk: a block of rows, and a number for each row; in the cheap form the points
    of all that are scored.

    Parameters
    ----------
    estimator : classifier with predict_proba or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    subset : int >= 1 or None, default=10_000
        How many rows of the pool are candidates, drawn without replacement; a smaller pool is taken whole.
        None takes all.
    cv : int >= 2 or None, default=3
        In the cheap form, folds of the labelled rows: a clone of the model, also of one that came in frozen,
        is fitted without each of them. None trains nothing, and takes the fitted model's own losses on the
        rows that it knows: as good for models that stay unsure of some of these, as nets often are, and
        worthless for those that learn them by heart, such as single trees.
    embedding : transformer or None, default=None
        Makes the points that the ranker looks at; see `EmbeddingStrategy`. With it, or with `layer`, any
        model takes the cheap form.
    layer : str or None, default=None
        The name of a layer of the net whose output is the embedding.
    random_state : int, RandomState or None, default=None
        Draws the candidates, orders ties, and deals rows to folds.

    Attributes
    ----------
    labeled_loss_ : ndarray of shape (n_labelled,)
        In the cheap form, the losses of the labelled rows, in nats. NaN for the only row of a class, without
        which no model would know it. Where all classes have one row, losses are the fitted model's own.
    labeled_embedding_ : ndarray or csr_matrix of shape (n_labelled, m)
        In the cheap form, the points of the labelled rows.

    Notes
    -----
    The ranker of the cheap form is kernel ridge regression on ranks: a Gaussian kernel as wide as the median
    distance, standardised coordinates, the ridge by leave-one-out error, and 2,000 labelled rows at most.

    References
    ----------
    D. Yoo and I. S. Kweon, "Learning loss for active learning", CVPR 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import LearningLoss
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = LearningLoss(LogisticRegression(max_iter=1000), random_state=0).fit(X[::10], y[::10])
    >>> bool((y[strategy.select(X, n=10)] == 0).any())  # setosa is easy
    False
    """

    requires = ("predict_proba",)

    _parameter_constraints = {
        **EmbeddingStrategy._parameter_constraints,
        "subset": [Interval(Integral, 1, None, closed="left"), None],
        "cv": [Interval(Integral, 2, None, closed="left"), None],
    }

    def __init__(self, estimator=None, *, subset=10_000, cv=3, embedding=None, layer=None, random_state=None):
        super().__init__(estimator, embedding=embedding, layer=layer, random_state=random_state)
        self.subset = subset
        self.cv = cv

    @property
    def nature(self):
        """Stochastic where candidates are drawn."""
        return "row-wise" if self.subset is None else "stochastic"

    def _check_model(self, model):
        super()._check_model(model)
        if labels_pixels(model) and not self._can_ask(model):
            raise TypeError(
                f"{self!r} learns from the losses of labelled rows, and {model!r} labels each pixel of an "
                "image; use Margin(), Entropy() or BALD(), or a model with predict_loss."
            )

    def _fit(self, X, y, fit_params):
        super()._fit(X, y, fit_params)
        for name in ("labeled_loss_", "labeled_embedding_", "ranker_"):
            vars(self).pop(name, None)
        if self._asks_model():
            return
        if y is None:
            raise ValueError(
                f"{self!r} learns from labels which rows have a large loss, and got none; pass y, or use a "
                "model with predict_loss, such as LossPredictionClassifier."
            )
        seed = derive(self.seed_, "folds")
        self.labeled_loss_ = held_out_losses(
            self.estimator_, X, y, n_folds=self.cv, seed=seed, fit_params=fit_params
        )

    def _keep(self, X):
        if self._asks_model():
            return
        super()._keep(X)
        rows = np.flatnonzero(~np.isnan(self.labeled_loss_))
        if len(rows) > _MAX_RANKED:
            rows = np.sort(rows[top(priority(self.seed_, rows), _MAX_RANKED)])
        self.ranker_ = _Ranker(self.labeled_embedding_[rows], self.labeled_loss_[rows])

    def _asks_model(self):
        return self._can_ask(self.estimator_)

    def _can_ask(self, model):
        return self.embedding is None and self.layer is None and can_predict_loss(model)

    def _score(self, X, rng):
        if self._asks_model():
            return predict_loss(self.estimator_, X)
        return self.ranker_.predict(self._embed(X))

    def _select(self, X, n, rng):
        pool_size = n_rows(X)
        if self.subset is None or self.subset >= pool_size:
            return super()._select(X, n, rng)
        if n > self.subset:
            raise ValueError(
                f"{self!r} can't select n={n} rows of a sample of {self.subset}; raise subset or lower n."
            )
        rows = np.sort(rng.choice(pool_size, self.subset, replace=False))
        return rows[super()._select(take(X, rows), n, rng)]

    def _put_forward(self, X, n, rng):
        return super()._put_forward(X, n if self.subset is None else min(n, self.subset), rng)


class _Ranker:
    """Kernel ridge regression from points to the share of points that have a smaller loss.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n, m)
    losses : ndarray of shape (n,)
        May be infinite; only their order counts.
    """

    def __init__(self, Z, losses):
        self.scaler = None if sparse.issparse(Z) else StandardScaler().fit(Z)
        self.points = self._scaled(Z)
        squares = euclidean_distances(self.points, squared=True)
        apart = squares[squares > 0]
        self.gamma = 1 / np.median(apart) if len(apart) else 1.0
        shares = (rankdata(losses) - 0.5) / len(losses)
        self.mean = shares.mean()
        self.coefficients = _kernel_ridge(np.exp(-self.gamma * squares), shares - self.mean)

    def predict(self, Z):
        """(n, m) -> (n,), about 0 to 1."""
        parts = [
            np.exp(-self.gamma * euclidean_distances(self._scaled(Z[rows]), self.points, squared=True))
            @ self.coefficients
            for rows in gen_batches(Z.shape[0], 2048)
        ]
        # Matrix products of equal rows differ in the last bits, and equal rows have to tie.
        return np.round(self.mean + np.concatenate(parts), 10)

    def _scaled(self, Z):
        Z = Z.astype(np.float64)
        return Z if self.scaler is None else self.scaler.transform(Z)


def _kernel_ridge(kernel, target):
    """Coefficients with the ridge that has the smallest leave-one-out error; (n, n), (n,) -> (n,)."""
    values, vectors = np.linalg.eigh(kernel)
    along = vectors.T @ target
    best, smallest = None, np.inf
    for ridge in np.logspace(2, -3, 11):
        inverse = 1 / (np.maximum(values, 0) + ridge)
        coefficients = vectors @ (inverse * along)
        error = np.mean((coefficients / (vectors**2 @ inverse)) ** 2)
        if error < smallest:
            best, smallest = coefficients, error
    return best
