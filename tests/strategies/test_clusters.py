"""Laws of the K-means that does not hang on the order of rows."""

import numpy as np
import pytest
from scipy import sparse

from skal.strategies._clusters import k_means, on_a_line


def blobs(sizes, spread=0.1, seed=0):
    rng = np.random.RandomState(seed)
    centers = 10 * np.eye(len(sizes))[np.repeat(np.arange(len(sizes)), sizes)]
    return centers + spread * rng.normal(size=centers.shape)


def same_partition(a, b):
    return len({*zip(a.tolist(), b.tolist(), strict=True)}) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, np.float32])
def test_blobs_are_found(form):
    Z = blobs([30, 20, 10, 1])
    labels = k_means(form(Z), 4, seed=0)
    assert same_partition(labels, np.repeat(np.arange(4), [30, 20, 10, 1]))


@pytest.mark.parametrize("n_clusters", [7, 60])
@pytest.mark.parametrize("max_rows", [None, 100])
def test_the_order_of_rows_does_not_matter(n_clusters, max_rows):
    """Not even the numbers of the clusters; 60 are found from mini-batches."""
    Z = np.random.RandomState(0).normal(size=(300, 5)).astype(np.float32)
    order = np.random.RandomState(1).permutation(300)
    labels = k_means(Z, n_clusters, 3, max_rows)
    assert labels.max() < n_clusters
    assert len(set(labels.tolist())) > n_clusters // 2
    np.testing.assert_array_equal(k_means(Z[order], n_clusters, 3, max_rows), labels[order])


def test_equal_rows_share_a_cluster_and_weigh_as_many():
    Z = np.random.RandomState(0).normal(size=(20, 3))
    copies = np.repeat(np.arange(20), np.arange(1, 21))
    labels = k_means(Z[copies], 12, seed=0)
    assert len({*zip(copies.tolist(), labels.tolist(), strict=True)}) == 20
    line = np.array([[0.0], [1.0], [2.0], [2.1]])
    lone, crowded = k_means(line, 2, seed=0), k_means(np.repeat(line, [100, 100, 1, 1], axis=0), 2, seed=0)
    assert same_partition(lone, np.array([0, 0, 1, 1]))
    assert same_partition(crowded, np.repeat([0, 1, 1, 1], [100, 100, 1, 1]))


@pytest.mark.parametrize("Z", [np.ones((9, 2)), np.zeros((1, 3)), np.repeat(np.eye(3), 4, axis=0)])
def test_there_are_no_more_clusters_than_distinct_rows(Z):
    assert len(set(k_means(Z, 8, seed=0).tolist())) == len(np.unique(Z, axis=0))


def test_rows_on_a_line_are_told_apart_by_their_numbers_alone():
    Z = np.random.RandomState(0).normal(size=(50, 128)).astype(np.float32)
    Z = np.repeat(Z, 30, axis=0)
    places = on_a_line(Z, 0)
    assert len(np.unique(places)) == 50
    order = np.random.RandomState(1).permutation(len(Z))
    np.testing.assert_array_equal(on_a_line(Z[order], 0), places[order])
