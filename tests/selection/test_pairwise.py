"""Laws of distances in double precision."""

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from skal.selection._pairwise import distances, nearest, within


def matrices(offset, scale):
    """Rows with copies, near copies and others."""
    rng = np.random.RandomState(0)
    A = offset + scale * rng.normal(size=(300, 40))
    near = A[:50] + 1e-9 * scale * rng.normal(size=(50, 40))
    return A, np.vstack([near, offset + scale * rng.normal(size=(50, 40)), A[3:7]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (1e6, 1e-3), (0, 1e-8), (-5, 1e8)])
def test_distances_are_those_of_the_definition(offset, scale, dtype):
    A, B = (X.astype(dtype) for X in matrices(offset, scale))
    exact = cdist(A.astype(np.float64), B.astype(np.float64))
    np.testing.assert_allclose(distances(A, B), exact, rtol=1e-12, atol=0)
    np.testing.assert_allclose(nearest(A, B), exact.min(axis=1), rtol=1e-12, atol=0)
    limit = np.median(exact) * (1 + 1e-12)
    np.testing.assert_array_equal(within(A, B, limit), exact <= limit)


def test_clusters_that_are_far_apart_lose_no_digits():
    rng = np.random.RandomState(0)
    A = 1e7 * rng.normal(size=(5, 3))[np.arange(100) % 5] + rng.normal(size=(100, 3))
    np.testing.assert_allclose(distances(A, A), cdist(A, A), rtol=1e-12, atol=0)
    np.testing.assert_allclose(nearest(A[:60], A[60:]), cdist(A[:60], A[60:]).min(axis=1), rtol=1e-12)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_rows_have_the_same_distances(kind):
    A = sparse.random(200, 100, density=0.1, random_state=0, format="csr").toarray()
    B = np.vstack([A[:40], 1.0000001 * A[40:60]])
    np.testing.assert_allclose(distances(kind(A), kind(B)), cdist(A, B), rtol=1e-12, atol=0)
    np.testing.assert_allclose(nearest(kind(A), kind(B)), cdist(A, B).min(axis=1), rtol=1e-12, atol=0)


def test_without_rows():
    A = np.ones((3, 2))
    assert distances(A, A[:0]).shape == within(A, A[:0], 1.0).shape == (3, 0)
    assert distances(A[:0], A).shape == (0, 3)
    np.testing.assert_array_equal(nearest(A, A[:0]), np.inf)
