"""TypiClust: the most typical row of each crowd, for budgets of few labels."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from skal._compat import Interval
from skal._rows import n_rows
from skal._seeds import derive
from skal.selection import priority
from skal.selection._points import squares_of_pairs
from skal.strategies._clusters import k_means
from skal.strategies._embedding import EmbeddingStrategy

__all__ = ["TypiClust"]


class TypiClust(EmbeddingStrategy):
    """TypiClust: the most typical row of each crowd that has no label yet.

    Clusters the labelled rows and the pool into as many clusters as there will be labels, and takes from
    the clusters with the fewest labels, the larger ones first, the row whose neighbours are nearest: that
    of the largest typicality, 1 / mean distance to its nearest neighbours in the cluster. Made for budgets of
    a few labels a class, where a model's doubts say nothing yet; best on a self-supervised `embedding`.

    *Pool-relative*. Looks at no label and no prediction, so it can choose the first rows of all. Scores are
    those of a batch of one, for which there is one cluster more than labelled rows: the rank of the row's
    cluster, from 0, plus a decreasing function of the mean distance, in (0, 1/2]. `select` clusters
    anew for its n, so a batch is not the rows of the best scores.

    Memory, of a pool on a disk: a block of rows, and the points of all, which beyond 1 GiB lie in a
    temporary file; `InParts` needs those of one part.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Whose embedding is taken where `embedding` is None; None means the model of the `ActiveLearner`
        around it, and outside of one the row itself.
    min_cluster_size : int >= 1, default=5
        Clusters with fewer rows, labelled ones included, come when all others are exhausted (in the authors'
        code, those of five rows too).
    n_neighbors : int >= 1, default=20
        How many neighbours make a row typical; at most half of the pool's rows in the cluster.
    max_clusters : int >= 1, default=500
        How many clusters at most. With more than 50, mini-batch K-means finds them.
    embedding : transformer or None, default=None
        Makes the points in place of the model: a clone of it is fitted on the X of `fit`, labelled or not (in
        an `ActiveLearner` once, on the pool); ``FrozenEstimator(fitted)`` is used as it is.
    layer : str or None, default=None
        The name of a layer of the net whose output is the embedding.
    random_state : int, RandomState or None, default=None
        Seeds K-means, and orders ties.

    Attributes
    ----------
    labeled_embedding_ : ndarray or csr_matrix of shape (n_labelled, m)
        The points of the labelled rows.

    References
    ----------
    G. Hacohen, A. Dekel and D. Weinshall, "Active learning on a budget: opposite strategies suit high and low
    budgets", ICML 2022. Their code takes squared distances; the paper, and this, distances.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skal.strategies import Random, TypiClust
    >>> X, y = load_digits(return_X_y=True)
    >>> batches = [strategy(random_state=0).fit(X[:0]).select(X, n=10) for strategy in (TypiClust, Random)]
    >>> [len(set(y[rows])) for rows in batches]  # how many of the ten digits
    [9, 7]
    """

    needs_labels = False
    nature = "pool-relative"

    _parameter_constraints = {
        **EmbeddingStrategy._parameter_constraints,
        "min_cluster_size": [Interval(Integral, 1, None, closed="left")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "max_clusters": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        estimator=None,
        *,
        min_cluster_size=5,
        n_neighbors=20,
        max_clusters=500,
        embedding=None,
        layer=None,
        random_state=None,
    ):
        super().__init__(estimator, embedding=embedding, layer=layer, random_state=random_state)
        self.min_cluster_size = min_cluster_size
        self.n_neighbors = n_neighbors
        self.max_clusters = max_clusters

    def _score(self, X, rng):
        Z = self._embed(X)
        clusters, n_labelled, sizes = self._clusters(Z, 1)
        order = np.lexsort((-sizes, n_labelled, sizes < self.min_cluster_size))
        ranks = np.empty(len(order))
        ranks[order] = np.arange(len(order))[::-1]
        distances = np.empty(len(clusters))
        for cluster in np.unique(clusters):
            rows = np.flatnonzero(clusters == cluster)
            distances[rows] = self._distances(Z, rows)
        return ranks[clusters] + 1 / (2 + distances / (distances.max() or 1.0))

    def _select(self, X, n, rng):
        Z = self._embed(X)
        clusters, n_labelled, sizes = self._clusters(Z, n)
        n_left = np.bincount(clusters, minlength=len(sizes))
        waiting, chosen = {}, []
        while len(chosen) < n:
            cluster = np.lexsort((-sizes, n_labelled, sizes < self.min_cluster_size, n_left == 0))[0]
            if cluster not in waiting:
                waiting[cluster] = self._by_typicality(Z, np.flatnonzero(clusters == cluster))
            chosen.append(next(waiting[cluster]))
            n_labelled[cluster] += 1
            n_left[cluster] -= 1
        return np.array(chosen, dtype=np.intp)

    def _clusters(self, Z, n):
        """The cluster of each row of the pool; of each cluster its labelled rows, and all its rows."""
        everything = self._with_labeled(Z)
        n_known = n_rows(self.labeled_embedding_)
        n_clusters = min(n_known + n, self.max_clusters)
        clusters = k_means(everything, n_clusters, derive(self.seed_, "clusters"))
        n_labelled, sizes = (
            np.bincount(part, minlength=n_clusters) for part in (clusters[:n_known], clusters)
        )
        return clusters[n_known:], n_labelled, sizes

    def _by_typicality(self, Z, rows):
        order = np.lexsort((priority(self.seed_, rows), -self._distances(Z, rows)))
        return iter(rows[order[::-1]])

    def _distances(self, Z, rows):
        """The mean distance of each of some rows to its nearest neighbours among them; 0 if it has none."""
        n_neighbors = min(self.n_neighbors, len(rows) // 2)
        if n_neighbors == 0:
            return np.zeros(len(rows))
        points = Z[rows] if sparse.issparse(Z) else Z[rows] - Z[rows].mean(axis=0, dtype=np.float64)
        near = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(points)
        near = near.kneighbors(return_distance=False)
        squares = squares_of_pairs(Z, np.repeat(rows, n_neighbors), Z, rows[near].ravel())
        return np.sort(np.sqrt(squares).reshape(near.shape), axis=1).mean(axis=1)
