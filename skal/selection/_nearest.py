"""How far each row is from the nearest of some centres."""

import numpy as np
from scipy import sparse
from sklearn.metrics import euclidean_distances, pairwise_distances_argmin_min

__all__ = ["distance_to_nearest", "outlier_radius", "radius_with_each"]

_BLOCK_VALUES = 2**20


def distance_to_nearest(Z, centers):
    """Euclidean distance of each row to the nearest centre; (n, m), (c, m) -> (n,) float64.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n, m)
    centers : ndarray or csr_matrix of shape (c, m)
        Coordinates, of one centre at least.

    Returns
    -------
    ndarray of shape (n,)
        Exact for the centre found; among centres that are level to rounding any may have been found.

    Examples
    --------
    >>> distance_to_nearest(np.array([[0.0, 0], [3, 4]]), np.array([[0.0, 0], [3, 3]]))
    array([0., 1.])
    """
    found, _ = pairwise_distances_argmin_min(Z, centers)
    distances = np.empty(Z.shape[0])
    size = max(1, _BLOCK_VALUES // max(1, Z.shape[1]))
    for start in range(0, len(distances), size):
        rows = slice(start, start + size)
        gap = Z[rows].astype(np.float64) - centers[found[rows]]
        squares = gap.multiply(gap).sum(axis=1) if sparse.issparse(gap) else (gap**2).sum(axis=1)
        distances[rows] = np.sqrt(np.asarray(squares).ravel())
    return distances


def radius_with_each(Z, distances, n_outliers=0):
    """The cover radius that would be left if a row became a centre, for each row; -> (n,) float64.

    Compares all rows with all: O(n^2 m) time, memory of one block of rows against all.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n, m)
    distances : ndarray of shape (n,)
        Of each row to the nearest centre that there is; infinity where there is none.
    n_outliers : int, default=0
        How many rows may stay uncovered.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> radius_with_each(np.array([[0.0], [1.0], [5.0]]), np.full(3, np.inf))
    array([5., 4., 5.])
    """
    radii = np.empty(len(distances))
    size = max(1, 4 * _BLOCK_VALUES // max(1, len(distances)))
    for start in range(0, len(radii), size):
        rows = slice(start, start + size)
        left = np.minimum(euclidean_distances(Z[rows], Z), distances)
        radii[rows] = np.partition(left, -1 - n_outliers, axis=1)[:, -1 - n_outliers]
    return radii


def outlier_radius(distances, n_outliers=0):
    """The largest of some distances but for so many; infinity if there are no centres; (n,) -> float."""
    return float(np.partition(distances, -1 - n_outliers)[-1 - n_outliers])
