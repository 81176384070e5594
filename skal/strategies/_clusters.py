"""K-means whose clusters are a function of the set of rows: not of their order, nor of the threads."""

import warnings

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

__all__ = ["k_means", "on_a_line"]

# As the authors of TypiClust: more clusters are found from mini-batches of so many rows.
_MOST_BY_KMEANS, _BATCH_ROWS = 50, 5000

# Numbers in a block: 8 MiB.
_BLOCK_VALUES = 2**20


def k_means(Z, n_clusters, seed, max_rows=None):
    """The cluster of each row; (n, m) -> (n,) int in [0, n_clusters), equal for equal rows.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n, m)
    n_clusters : int
        At least 1; there are no more than distinct rows, and some may be empty.
    seed : int
    max_rows : int or None, default=None
        With more distinct rows, the clusters are found from a random part of them.

    Returns
    -------
    ndarray of int of shape (n,)
    """
    rng = np.random.RandomState(seed)
    _, first, inverse, counts = np.unique(
        on_a_line(Z, seed), return_index=True, return_inverse=True, return_counts=True
    )
    n_clusters = min(n_clusters, len(first))
    if n_clusters <= 1:
        return np.zeros(Z.shape[0], dtype=np.intp)
    few = n_clusters <= _MOST_BY_KMEANS
    means = (KMeans if few else _mini_batches)(n_clusters, n_init=1, random_state=rng.randint(2**31 - 1))
    part = np.arange(len(first))
    if max_rows is not None and len(part) > max_rows:
        part = np.sort(rng.choice(part, max(max_rows, n_clusters), replace=False))
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # rows that differ by rounding alone
        means.fit(Z[first[part]], sample_weight=counts[part])
        labels = means.labels_ if len(part) == len(first) else means.predict(Z[first])
    return labels[inverse].astype(np.intp)


def _mini_batches(n_clusters, **params):
    return MiniBatchKMeans(n_clusters, batch_size=_BATCH_ROWS, **params)


def on_a_line(Z, seed):
    """Where each row falls on a random line, by which rows can be told apart and ordered; (n, m) -> (n,)."""
    direction = np.random.RandomState(seed).normal(size=Z.shape[1])
    if sparse.issparse(Z):
        return Z @ direction
    places = np.empty(len(Z))
    size = max(1, _BLOCK_VALUES // max(1, Z.shape[1]))
    for start in range(0, len(Z), size):  # not by a matrix product, which may round equal rows differently
        places[start : start + size] = (Z[start : start + size] * direction).sum(axis=1)
    return places
