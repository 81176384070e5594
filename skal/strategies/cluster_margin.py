"""Cluster-Margin: the least certain rows, spread over the clusters that they form."""

from math import ceil
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import euclidean_distances, pairwise_distances_argmin

from skal import acquisition
from skal._compat import Interval
from skal._rows import take
from skal.selection import top
from skal.strategies._draws import PIXELS, score_proba
from skal.strategies._embedding import EmbeddingStrategy

__all__ = ["ClusterMargin"]


class ClusterMargin(EmbeddingStrategy):
    """Cluster-Margin: the least certain rows, spread over the clusters that they form.

    Takes the ``candidates * n`` rows whose two likeliest classes are the closest, joins them by
    average linkage into ``n / cluster_ratio`` clusters of their embedding, and then goes round the clusters,
    from the smallest to the largest, again and again, taking one row at random from each. Made for large
    batches. *Stochastic*: `score` is the margin, ``1 - (p_1 - p_2)``.

    The authors cluster the whole pool once; here the candidates are clustered in each round, by the
    embedding that the model has by then.

    Memory, of a pool on a disk: a block of rows, a number for each row, and the points of the candidates.

    Parameters
    ----------
    estimator : classifier with predict_proba or None, default=None
        The model that is asked, and whose embedding is taken where `embedding` is None; None means the model
        of the `ActiveLearner` around it.
    candidates : float >= 1, default=10
        How many rows for each row of the batch are clustered.
    cluster_ratio : float >= 1, default=1.25
        How many rows of the batch there are for each cluster.
    max_cluster_rows : int >= 2, default=4000
        Linkage takes memory for all pairs of rows, 64 MB for 4,000. With more candidates, so many of them,
        drawn at random, are clustered, and each other one joins the cluster whose mean is nearest.
    embedding : transformer or None, default=None
        Makes the points in place of the model: a clone of it is fitted on the X of `fit`, labelled or not (in
        an `ActiveLearner` once, on the pool); ``FrozenEstimator(fitted)`` is used as it is.
    layer : str or None, default=None
        The name of a layer of the net whose output is the embedding.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        Where the model labels pixels: how the scores of pixels make that of an image; see
        `skal.acquisition.over_pixels`.
    random_state : int, RandomState or None, default=None
        Fixes what is drawn, and orders ties.

    Attributes
    ----------
    labeled_embedding_ : ndarray or csr_matrix of shape (n_labelled, m)
        The points of the labelled rows.

    References
    ----------
    G. Citovsky et al., "Batch active learning at scale", NeurIPS 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import ClusterMargin
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = ClusterMargin(LogisticRegression(max_iter=1000), random_state=0).fit(X[::10], y[::10])
    >>> rows = strategy.select(X, n=5)
    >>> bool(strategy.score(X)[rows].min() >= sorted(strategy.score(X))[-50])  # among the 10 * 5 best
    True
    """

    requires = ("predict_proba",)
    nature = "stochastic"

    _parameter_constraints = {
        **EmbeddingStrategy._parameter_constraints,
        "candidates": [Interval(Real, 1, None, closed="left")],
        "cluster_ratio": [Interval(Real, 1, None, closed="left")],
        "max_cluster_rows": [Interval(Integral, 2, None, closed="left")],
        "pixels": PIXELS,
    }

    def __init__(
        self,
        estimator=None,
        *,
        candidates=10,
        cluster_ratio=1.25,
        max_cluster_rows=4000,
        embedding=None,
        layer=None,
        pixels="mean",
        random_state=None,
    ):
        super().__init__(estimator, embedding=embedding, layer=layer, random_state=random_state)
        self.candidates = candidates
        self.cluster_ratio = cluster_ratio
        self.max_cluster_rows = max_cluster_rows
        self.pixels = pixels

    def _score(self, X, rng):
        return score_proba(self, X, acquisition.margin)

    def _select(self, X, n, rng):
        margins = self._finite_scores(X, rng)
        rows = top(margins, min(ceil(self.candidates * n), len(margins)), self.seed_)
        Z = self._embed(take(X, rows))
        clusters = average_linkage(Z, ceil(n / self.cluster_ratio), self.max_cluster_rows, rng)
        return rows[_round_robin(clusters, rng)[:n]]


def average_linkage(Z, n_clusters, max_rows, rng):
    """The cluster of each row by average linkage; (n, m) -> (n,) int from 0.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n, m)
    n_clusters : int
        There are so many, or fewer where distances are tied or rows are few.
    max_rows : int
        So many rows, drawn at random, are clustered; the others join the cluster with the nearest mean.
    rng : RandomState

    Returns
    -------
    ndarray of int of shape (n,)
    """
    n = Z.shape[0]
    if n < 2:
        return np.zeros(n, dtype=np.intp)
    part = np.arange(n) if n <= max_rows else rng.choice(n, max_rows, replace=False)
    distances = (
        squareform(euclidean_distances(Z[part]), checks=False) if sparse.issparse(Z) else pdist(Z[part])
    )
    _, found = np.unique(fcluster(linkage(distances, "average"), n_clusters, "maxclust"), return_inverse=True)
    if n <= max_rows:
        return found
    members = sparse.csr_array((1 / np.bincount(found)[found], (found, np.arange(len(part)))))
    clusters = pairwise_distances_argmin(Z, members @ Z[part])
    clusters[part] = found
    return clusters


def _round_robin(clusters, rng):
    """Positions in the order in which clusters, the smallest first, give one member each, in turns."""
    shuffled = rng.permutation(len(clusters))
    sizes = np.bincount(clusters)
    by_cluster = shuffled[np.argsort(clusters[shuffled], kind="stable")]
    turns = np.arange(len(clusters)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    clusters = clusters[by_cluster]
    return by_cluster[np.lexsort((rng.permutation(len(sizes))[clusters], sizes[clusters], turns))]
