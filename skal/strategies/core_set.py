"""The core-set approach: label rows so that every row has a labelled one nearby."""

from numbers import Integral, Real

import numpy as np
from sklearn.preprocessing import normalize

from skal._compat import Interval, StrOptions
from skal._rows import n_rows
from skal.selection import distance_to_nearest, k_center, robust_k_center, top
from skal.selection._nearest import outlier_radius, radius_with_each
from skal.selection._robust import count_outliers
from skal.strategies._embedding import EmbeddingStrategy

__all__ = ["CoreSet"]


class CoreSet(EmbeddingStrategy):
    """Core-set: the rows that leave no row far from a labelled one.

    Chooses a batch that makes the cover radius small: the largest distance of a row to the nearest
    labelled one, ``max_x min_l d(x, l)``, to which the loss on rows without a label is bounded. Looks at the
    embedding alone, never at a prediction. Scores a row by its distance to the nearest labelled row.

    *Row-wise* with ``method="greedy"`` and labelled rows. At a cold start, without any, the first row is the
    one closest to the mean of all, and scores are *pool-relative*. So they are with "robust": minus
    the cover radius that the row alone would leave, which takes n x n comparisons.

    Memory, of a pool on a disk: a block of rows, and the points of all, which beyond 1 GiB lie in a
    temporary file; with "greedy", `InParts` needs those of one part.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Whose embedding is taken where `embedding` is None: of a net the input of its last linear layer, of a
        pipeline what its steps before the last make of a row, else the row itself, flattened. None means
        the model of the `ActiveLearner` around it; outside of one, the row itself.
    method : {"greedy", "robust"}, default="greedy"
        "greedy" takes the farthest row, again and again: at most twice the smallest radius there is. "robust"
        improves on that by mixed-integer programming, and may leave out the share `outliers` of the rows.
    outliers : float in [0, 1), default=1e-4
        With "robust", the share of the rows that need not be covered.
    metric : {"euclidean", "cosine"}, default="euclidean"
        "cosine" measures Euclidean distances of points that were scaled to length 1.
    max_candidates : int >= 1, default=2000
        With "robust", how many rows of the pool may be chosen: those of the greedy batch, and others at
        random. All rows have to be covered.
    time_limit : float > 0, default=30.0
        With "robust", the seconds after which the best batch so far is taken, with a warning. Where it ends
        the search, the batch hangs on the speed of the machine.
    embedding : transformer or None, default=None
        Makes the points in place of the model: a clone of it is fitted on the X of `fit`, labelled or not (in
        an `ActiveLearner` once, on the pool); ``FrozenEstimator(fitted)`` is used as it is.
    layer : str or None, default=None
        The name of a layer of the net whose output is the embedding.
    random_state : int, RandomState or None, default=None
        Orders ties.

    Attributes
    ----------
    labeled_embedding_ : ndarray or csr_matrix of shape (n_labelled, m)
        The points of the labelled rows.

    Notes
    -----
    In the ``history_`` of an `ActiveLearner`, each round that queried has ``cover_radius``, a pair: of the
    rows that could be chosen, before the batch and after it; with "robust" without the outliers.

    References
    ----------
    O. Sener and S. Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR
    2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skal.selection import cover_radius
    >>> from skal.strategies import CoreSet, Random
    >>> X, y = load_iris(return_X_y=True)
    >>> batches = [strategy.fit(X[:1], y[:1]).select(X, n=10)
    ...            for strategy in (CoreSet(random_state=0), Random(random_state=0))]
    >>> core_set, at_random = [cover_radius(X, X[[0, *rows]]) for rows in batches]
    >>> bool(core_set < at_random)
    True
    """

    needs_labels = False

    _parameter_constraints = {
        **EmbeddingStrategy._parameter_constraints,
        "method": [StrOptions({"greedy", "robust"})],
        "outliers": [Interval(Real, 0, 1, closed="left")],
        "metric": [StrOptions({"euclidean", "cosine"})],
        "max_candidates": [Interval(Integral, 1, None, closed="left")],
        "time_limit": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        estimator=None,
        *,
        method="greedy",
        outliers=1e-4,
        metric="euclidean",
        max_candidates=2000,
        time_limit=30.0,
        embedding=None,
        layer=None,
        random_state=None,
    ):
        super().__init__(estimator, embedding=embedding, layer=layer, random_state=random_state)
        self.method = method
        self.outliers = outliers
        self.metric = metric
        self.max_candidates = max_candidates
        self.time_limit = time_limit

    @property
    def nature(self):
        """Row-wise where a row's score is its own distance."""
        return "row-wise" if self.method == "greedy" else "pool-relative"

    def _embed(self, X):
        Z = super()._embed(X)
        return normalize(Z) if self.metric == "cosine" else Z

    def _score(self, X, rng):
        Z = self._embed(X)
        distances = self._distances(Z)
        if self.method == "robust":
            return -radius_with_each(Z, distances, self._n_outliers(Z))
        if np.isinf(distances).all():  # a cold start
            return -distance_to_nearest(Z, np.asarray(Z.mean(axis=0, dtype=np.float64)).reshape(1, -1))
        return distances

    def _select_and_tell(self, X, n, rng):
        if self.method == "robust":
            return self._select_robust(X, n, rng)
        rows, distances = k_center(
            self._embed(X), self.labeled_embedding_, n, self.seed_, return_distances=True
        )
        # The radius after the batch is the distance of the row that would come next.
        return rows, {"cover_radius": (float(distances[0]), float(distances[-1]))}

    def _select_robust(self, X, n, rng):
        Z = self._embed(X)
        before = outlier_radius(self._distances(Z), self._n_outliers(Z))
        if n == 1:  # no search: the score of each row is known
            scores = self._score(X, rng)
            return top(scores, 1, self.seed_), {"cover_radius": (before, -float(scores.max()))}
        greedy = k_center(Z, self.labeled_embedding_, n, self.seed_)
        found = robust_k_center(
            Z,
            self.labeled_embedding_,
            n,
            self.seed_,
            outliers=self.outliers,
            time_limit=self.time_limit,
            candidates=self._candidates(greedy, n_rows(X), rng),
        )
        return found.rows, {"cover_radius": (before, found.radius)}

    def _distances(self, Z):
        """Of each row to the nearest labelled one; infinity where there is none."""
        if n_rows(self.labeled_embedding_) == 0:
            return np.full(n_rows(Z), np.inf)
        return distance_to_nearest(Z, self.labeled_embedding_)

    def _n_outliers(self, Z):
        return count_outliers(self.outliers, n_rows(Z))

    def _candidates(self, greedy, n, rng):
        """Rows that the robust batch may consist of: those of the greedy one, and others at random."""
        others = np.setdiff1d(np.arange(n), greedy)
        n_more = min(max(0, self.max_candidates - len(greedy)), len(others))
        return np.sort(np.concatenate([greedy, rng.choice(others, n_more, replace=False)]))
