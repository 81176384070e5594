"""k-center: farthest-first traversal, and the radius that centres cover."""

import numpy as np
from scipy import sparse

from skal.selection._farthest import TIED, Traversal
from skal.selection._farthest_other_points import SparsePoints, TorchPoints, gpu_for
from skal.selection._farthest_points import NOT_FINITE, DensePoints, slices
from skal.selection._farthest_threads import shared_work
from skal.selection._top import priority

__all__ = ["cover_radius", "k_center"]

# Numbers in double precision at a time, 4 MiB of them.
_BLOCK_VALUES = 2**19


def k_center(Z, centers, n, seed=0, *, device="auto", return_distances=False):
    """Positions of n rows by farthest-first traversal; (n_rows, m), (c, m) -> (n,) int, in that order.

    Chooses, n times, the row with the largest distance to the nearest centre, and makes it a centre. The
    largest distance that is left, the cover radius, is at most twice the smallest that n further centres can
    reach. No row is chosen twice, even where no distance but 0 is left.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n_rows, m)
        The points to choose from.
    centers : ndarray or csr_matrix of shape (c, m), or None
        Coordinates of the points that are covered already, such as the labelled ones. Without any, the first
        row is the one closest to the mean of Z.
    n : int
        How many, at most n_rows.
    seed : int, default=0
        Orders the ties: squared distances that differ by a relative 1e-12 or less. Of tied rows, the one
        with the largest `skal.selection.priority` comes first.
    device : "auto", "cpu" or a torch device, default="auto"
        Where large products are taken; "auto" is a GPU where torch is loaded and finds one, and the work is
        worth it. The rows chosen do not depend on it. Sparse matrices stay on the CPU.
    return_distances : bool, default=False
        Whether to return distances, too.

    Returns
    -------
    rows : ndarray of int of shape (n,)
        Positions in Z, decided by distances in double precision, also where Z is in single precision.
    distances : ndarray of float64 of shape (n + 1,)
        If asked for: the distance of each row to the nearest centre when it was chosen, which is the cover
        radius before (infinite if there were no centres); at last the cover radius of all.

    Raises
    ------
    ValueError
        If there are fewer than n rows, or a coordinate is NaN or infinite.

    Notes
    -----
    The traversal is lazy. Once known, the distance of a row to the nearest centre is an upper bound for good,
    and most rows are never looked at again. Products in single precision, with a bound of their rounding,
    leave few pairs of points to be compared in double precision. Besides Z and `centers`, memory holds all
    centres once more, in single precision, some numbers for each row, and blocks of a few MiB.

    References
    ----------
    T. Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985.
    O. Sener and S. Savarese, "Active learning for convolutional neural networks: a core-set approach",
    ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> Z = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> rows, distances = k_center(Z, centers=[[0.0]], n=2, return_distances=True)
    >>> rows
    array([3, 2])
    >>> distances
    array([9., 2., 1.])
    """
    Z = _as_points(Z)
    centers = _as_points(np.empty((0, Z.shape[1])) if centers is None else centers)
    if n > Z.shape[0]:
        raise ValueError(f"k_center was asked for n={n} of {Z.shape[0]} rows; lower n.")
    n_asked = min(n + bool(return_distances), Z.shape[0])
    rows, distances = _farthest_first(Z, centers, n_asked, seed, device, return_distances)
    if not return_distances:
        return rows
    return rows[:n], np.append(distances, np.zeros(n + 1 - n_asked))  # all rows chosen: nothing is left


def cover_radius(Z, centers):
    """The largest distance of a row to the nearest centre; (n_rows, m), (c, m) -> float.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n_rows, m)
    centers : ndarray or csr_matrix of shape (c, m), or None
        Coordinates, as in `k_center`.

    Returns
    -------
    float
        Infinite without centres, and 0 without rows.

    References
    ----------
    O. Sener and S. Savarese, "Active learning for convolutional neural networks: a core-set approach",
    ICLR 2018, Figure 1: the delta of the delta-cover.

    Examples
    --------
    >>> cover_radius([[0.0], [1.0], [9.0]], centers=[[0.0], [7.0]])
    2.0
    """
    return float(k_center(Z, centers, 0, return_distances=True)[1][0])


def _farthest_first(Z, centers, n, seed, device, with_distances):
    first, unknown = np.empty(0, dtype=np.intp), np.empty(0)
    if n == 0:
        return first, unknown
    n_products = Z.shape[0] * Z.shape[1] * (centers.shape[0] + n)
    with shared_work(n_products) as each, np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if centers.shape[0] == 0:
            centers = Z[:0]
            first, unknown = np.array([_closest_to_mean(Z, seed)]), np.array([np.inf])
        points = _placed(Z, centers, n, each, device)
        points.add(first)
        traversal = Traversal(points, seed, n)
        traversal.exclude(first)
        rows, squares = traversal.take(n - len(first), with_distances)
    return np.append(first, rows), np.append(unknown, np.sqrt(squares) * points.unit)


def _placed(Z, centers, n, each, device):
    if sparse.issparse(Z):
        return SparsePoints(Z, centers, n, each)
    if device == "auto":
        device = gpu_for(Z, len(centers) + n) or "cpu"
    if device == "cpu":
        return DensePoints(Z, centers, n, each)
    return TorchPoints(Z, centers, n, each, device)


def _as_points(array):
    if not sparse.issparse(array):
        return np.asarray(array)
    rows = sparse.csr_array(array)
    if not rows.has_canonical_format:  # entries twice in one place
        rows = rows.copy()
        rows.sum_duplicates()
    return rows


def _closest_to_mean(Z, seed):
    """The row closest to the mean of all rows; ties by priority."""
    is_sparse = sparse.issparse(Z)
    total = np.bincount(Z.indices, Z.data, Z.shape[1]) if is_sparse else Z.sum(axis=0, dtype=np.float64)
    mean = total / Z.shape[0]
    squares = np.empty(Z.shape[0])
    for part in slices(len(squares), max(1, _BLOCK_VALUES // max(1, len(mean)))):
        block = Z[part].toarray() if is_sparse else Z[part]
        gap = block - mean
        squares[part] = np.einsum("ij,ij->i", gap, gap)
    if not np.isfinite(squares).all():
        raise ValueError(NOT_FINITE)
    tied = np.flatnonzero(squares <= squares.min() * (1 + TIED))
    return tied[priority(seed, tied).argmax()]
