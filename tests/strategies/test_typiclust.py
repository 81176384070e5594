"""`TypiClust`: the most typical row of each crowd."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import chisquare
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.naive_bayes import GaussianNB

from skal import ActiveLearner
from skal.strategies import Random, TypiClust

X, y = load_digits(return_X_y=True)


def blobs(*sizes, spread=1.0, seed=0):
    """Crowds far from each other, and which one each row is in."""
    rng = np.random.RandomState(seed)
    crowd = np.repeat(np.arange(len(sizes)), sizes)
    return 100.0 * np.eye(len(sizes))[crowd] + spread * rng.normal(size=(len(crowd), len(sizes))), crowd


def mean_distances(Z, k):
    """To the k nearest other rows, by the definition."""
    distances = np.sqrt(((Z[:, np.newaxis] - Z) ** 2).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, :k].mean(axis=1)


def fitted(X_labeled, **params):
    return TypiClust(random_state=0, **params).fit(X_labeled, np.zeros(len(X_labeled), dtype=int))


@pytest.mark.parametrize("n_neighbors", [3, 20])
def test_each_crowd_gives_its_most_typical_row_the_largest_first(n_neighbors):
    """Reference: the rule of the authors' typiclust.py, with plain distances, on crowds beyond doubt."""
    Z, crowd = blobs(30, 12, 50, 21)
    rows = fitted(Z[:0], n_neighbors=n_neighbors).select(Z, 4)
    for row, expected in zip(rows, [2, 0, 3, 1], strict=True):
        members = np.flatnonzero(crowd == expected)
        k = min(n_neighbors, len(members) // 2)
        assert row == members[mean_distances(Z[members], k).argmin()]


def test_crowds_with_a_label_wait_for_those_without():
    Z, crowd = blobs(50, 30, 20, 10)
    strategy = fitted(Z[[0, 55, 1]])  # two of the largest crowd and one of the next
    assert crowd[strategy.select(Z[2:], 1) + 2].tolist() == [2]
    strategy = fitted(Z[[0, 55, 1]], max_clusters=4)
    assert crowd[strategy.select(Z[2:], 2) + 2].tolist() == [2, 3]


def test_labels_are_counted_anew_while_the_batch_grows():
    """The authors' code goes round the clusters in the order of the first round."""
    Z, crowd = blobs(50, 30, 20)
    rows = fitted(Z[[0, 1]], max_clusters=3).select(Z[2:], 7) + 2
    assert crowd[rows].tolist() == [1, 2, 1, 2, 0, 1, 2]


def test_small_crowds_come_when_the_others_are_exhausted():
    Z, crowd = blobs(5, 6, 4)
    rows = fitted(Z[:0], max_clusters=3, min_cluster_size=6).select(Z, 15)
    assert crowd[rows[:6]].tolist() == [1] * 6
    assert sorted(crowd[rows[6:8]].tolist()) == [0, 2]
    assert sorted(rows.tolist()) == list(range(15))


def test_distances_are_not_squared():
    """The authors' code takes squares, by which the row at 9 would be the most typical."""
    Z = np.array([[5.0], [1.0], [23.0], [8.0], [9.0], [39.0], [30.0], [36.0]])
    assert mean_distances(Z, 4).argmin() == 3
    assert fitted(Z[:0], max_clusters=1).select(Z, 1)[0] == 3


@pytest.mark.parametrize(
    "Z",
    [
        np.ones((30, 2)),
        np.repeat(np.eye(3), [1, 1, 9], axis=0),
        np.vstack([np.zeros((20, 2)), 1e6 * np.random.RandomState(0).normal(size=(10, 2))]),
        np.arange(4.0)[:, np.newaxis],
    ],
    ids=["equal", "lone", "far", "tiny"],
)
@pytest.mark.parametrize("n_labelled", [0, 2])
def test_lone_rows_equal_rows_and_empty_clusters_have_finite_scores(Z, n_labelled):
    """A cluster of one row has no mean distance (NaN), and one of equal rows a mean of 0 (infinity)."""
    strategy = fitted(Z[:n_labelled])
    pool = Z[n_labelled:]
    scores = strategy.score(pool)
    assert np.isfinite(scores).all()
    for n in (1, len(pool) // 2, len(pool)):
        assert len(set(strategy.select(pool, n).tolist())) == n
    assert scores[strategy.select(pool, 1)[0]] == scores.max()


def test_equal_rows_have_the_same_chance():
    counts = np.zeros(8)
    for seed in range(200):
        counts[TypiClust(random_state=seed).fit(np.empty((0, 2))).select(np.ones((8, 2)), 2)] += 1
    assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("n_labelled", [0, 7, 60])
def test_the_best_score_is_that_of_the_first_row_whatever_their_order(n_labelled):
    strategy = fitted(X[:n_labelled])
    pool = X[100:500]
    scores = strategy.score(pool)
    assert scores.argmax() == strategy.select(pool, 1)[0]
    order = np.random.RandomState(0).permutation(400)
    np.testing.assert_allclose(strategy.score(pool[order]), scores[order], rtol=1e-9)
    np.testing.assert_array_equal(order[strategy.select(pool[order], 70)], strategy.select(pool, 70))


def test_it_starts_from_no_labels():
    cold = [TypiClust(random_state=0).fit(X[:0]), TypiClust(random_state=0).fit(X[:0], y[:0])]
    rows = [strategy.select(X[:300], 10) for strategy in cold]
    np.testing.assert_array_equal(*rows)
    assert TypiClust(random_state=0).fit(X).labeled_embedding_.shape[0] == 0  # rows without y have no label


def test_ten_labels_show_more_digits_than_at_random():
    def n_shown(strategy):
        return np.mean(
            [len(set(y[strategy(random_state=seed).fit(X[:0]).select(X, 10)].tolist())) for seed in range(5)]
        )

    assert n_shown(TypiClust) > n_shown(Random) + 1


def test_an_embedding_is_used():
    embedded = TypiClust(embedding=PCA(5, random_state=0), random_state=0).fit(X).select(X[:200], 10)
    by_hand = PCA(5, random_state=0).fit(X).transform(X[:200])
    # The seed hangs on the number of rows of fit, so fit on as many.
    np.testing.assert_array_equal(
        TypiClust(random_state=0).fit(np.ones((len(X), 5))).select(by_hand, 10), embedded
    )


def test_sparse_rows_are_the_same_rows():
    rows = fitted(X[:5]).select(X[5:300], 20)
    csr = TypiClust(random_state=0).fit(sparse.csr_matrix(X[:5]), np.zeros(5, dtype=int))
    np.testing.assert_array_equal(csr.select(sparse.csr_matrix(X[5:300]), 20), rows)


def test_a_learner_labels_with_it():
    learner = ActiveLearner(
        GaussianNB(), TypiClust(), n_initial=10, batch_size=10, n_rounds=2, random_state=0
    )
    queried = learner.fit(X[:300], y[:300]).labeled_iter_
    assert np.bincount(queried[queried >= 0]).tolist() == [10, 10, 10]


@pytest.mark.parametrize("name", ["min_cluster_size", "n_neighbors", "max_clusters"])
def test_parameters_have_a_range(name):
    with pytest.raises(ValueError, match=name):
        fitted(X[:1], **{name: 0})
