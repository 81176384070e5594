"""`ClusterMargin`: the least certain rows, spread over the clusters that they form."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import chisquare
from sklearn.cluster import AgglomerativeClustering
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skal.strategies import ClusterMargin, Margin
from skal.strategies.cluster_margin import _round_robin, average_linkage

X, y = load_digits(return_X_y=True)
X = X / 16


@pytest.fixture(scope="module")
def model():
    return FrozenEstimator(LogisticRegression(max_iter=1000).fit(X[:100], y[:100]))


def fitted(model, **params):
    return ClusterMargin(model, **{"random_state": 0, **params}).fit(X[:100], y[:100])


def test_scores_are_margins_and_rows_come_from_the_best(model):
    strategy = fitted(model)
    scores = Margin(model).fit(X[:100], y[:100]).score(X[100:])
    np.testing.assert_array_equal(strategy.score(X[100:]), scores)
    best = set(np.argsort(-scores)[:200].tolist())
    batches = [fitted(model, random_state=seed).select(X[100:], 20).tolist() for seed in range(5)]
    assert all(set(batch) <= best for batch in batches)
    assert len(set(map(tuple, batches))) == 5
    assert set(fitted(model, candidates=1).select(X[100:], 20)) == set(np.argsort(-scores)[:20])


def test_rows_of_a_batch_are_spread(model):
    """Near copies of the least certain rows would fill a batch of the best scores."""
    least_certain = 100 + np.argsort(-fitted(model).score(X[100:]))[:8]
    copies = np.repeat(least_certain, [1, 2, 3, 4, 5, 6, 7, 8])
    pool = X[copies] + 1e-6 * np.random.RandomState(0).normal(size=(36, 64))
    assert len(set(copies[Margin(model).fit(X[:100], y[:100]).select(pool, 8)])) < 8
    rows = fitted(model, cluster_ratio=1).select(pool, 8)
    assert copies[rows].tolist() == least_certain.tolist()  # small clusters first
    rows = fitted(model, cluster_ratio=1.25).select(pool, 10)
    assert np.bincount(copies[rows]).max() == 2


def test_clusters_take_turns_from_the_smallest():
    clusters = np.repeat([0, 1, 2, 3], [3, 1, 5, 2])
    order = _round_robin(clusters, np.random.RandomState(0))
    assert sorted(order.tolist()) == list(range(11))
    assert clusters[order].tolist() == [1, 3, 0, 2, 3, 0, 2, 0, 2, 2, 2]


def test_members_and_clusters_of_equal_size_have_the_same_chance():
    clusters = np.repeat([0, 1, 2], 4)
    counts = np.zeros(12)
    for seed in range(600):
        counts[_round_robin(clusters, np.random.RandomState(seed))[:1]] += 1
    assert chisquare(counts).pvalue > 0.001


def same_partition(a, b):
    return len({*zip(a.tolist(), b.tolist(), strict=True)}) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_clusters_are_those_of_average_linkage(form):
    Z = np.random.RandomState(0).normal(size=(80, 3))
    expected = AgglomerativeClustering(9, linkage="average").fit_predict(Z)
    assert same_partition(average_linkage(form(Z), 9, 100, np.random.RandomState(0)), expected)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_of_many_rows_a_part_is_clustered_and_the_others_join(form):
    blob = np.arange(300) % 5
    Z = 10 * np.eye(5)[blob] + np.random.RandomState(0).normal(size=(300, 5))
    assert same_partition(average_linkage(form(Z), 5, 60, np.random.RandomState(0)), blob)
    noise = np.random.RandomState(1).normal(
        size=(300, 2)
    )  # the nearest mean is often that of another cluster
    part = np.random.RandomState(0).choice(300, 60, replace=False)
    clusters = average_linkage(form(noise), 9, 60, np.random.RandomState(0))
    assert same_partition(clusters[part], average_linkage(form(noise[part]), 9, 60, None))


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("max_cluster_rows", [2, 4000])
def test_small_and_equal_pools(model, n, max_cluster_rows):
    for pool in (X[100:130], np.repeat(X[100:101], 30, axis=0)):
        strategy = fitted(model, candidates=1.5, max_cluster_rows=max_cluster_rows)
        assert len(set(strategy.select(pool[:n], n).tolist())) == n
        assert len(set(strategy.select(pool, n).tolist())) == n


def test_sparse_rows_are_the_same_rows():
    model = LogisticRegression(max_iter=1000)
    dense = ClusterMargin(model, random_state=0).fit(X[:100], y[:100]).select(X[100:600], 15)
    csr = ClusterMargin(model, random_state=0).fit(sparse.csr_matrix(X[:100]), y[:100])
    np.testing.assert_array_equal(csr.select(sparse.csr_matrix(X[100:600]), 15), dense)


@pytest.mark.parametrize(
    ("name", "value"), [("candidates", 0.5), ("cluster_ratio", 0.9), ("max_cluster_rows", 1)]
)
def test_parameters_have_a_range(model, name, value):
    with pytest.raises(ValueError, match=name):
        fitted(model, **{name: value})
