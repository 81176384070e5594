"""`ProbCover`: what it adds to `skal.selection.max_coverage`."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.metrics import euclidean_distances
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import normalize
from sklearn.semi_supervised import LabelPropagation

from skal import ActiveLearner
from skal.selection import max_coverage
from skal.strategies import ProbCover, Random, probcover
from skal.strategies._clusters import k_means
from skal.strategies.probcover import pure_radius

X, y = load_digits(return_X_y=True)


def fitted(n_labelled=0, **params):
    return ProbCover(**{"random_state": 0, **params}).fit(X[:n_labelled], y[:n_labelled])


def share_of_pure_balls(Z, classes, radius):
    distances = np.sqrt(((Z[:, np.newaxis] - Z) ** 2).sum(axis=2))
    return np.mean([len(set(classes[row <= radius])) == 1 for row in distances])


@pytest.mark.parametrize("purity", [0.5, 0.95, 1.0])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_the_automatic_radius_is_the_largest_that_is_pure_enough(purity, form):
    Z = np.random.RandomState(0).normal(size=(200, 3))
    classes = k_means(Z, 6, seed=3)
    radius = pure_radius(form(Z), 6, purity, seed=3)
    assert share_of_pure_balls(Z, classes, radius) >= purity
    assert share_of_pure_balls(Z, classes, radius * (1 + 1e-8)) < purity


def test_a_part_of_many_rows_gives_nearly_the_same_radius(monkeypatch):
    Z = np.random.RandomState(0).normal(size=(2000, 3)) + 4 * np.eye(3)[np.arange(2000) % 3]
    exact = pure_radius(Z, 3, 0.9, seed=0)
    monkeypatch.setattr(probcover, "_ROWS_CLUSTERED", 1000)
    monkeypatch.setattr(probcover, "_BALLS", 500)
    radius = pure_radius(Z, 3, 0.9, seed=0)
    assert 0.8 * exact < radius < 1.25 * exact
    order = np.random.RandomState(1).permutation(2000)
    assert abs(pure_radius(Z[order], 3, 0.9, seed=0) - radius) < 1e-9


def test_classes_are_counted_among_labelled_rows_or_given_or_guessed():
    def n_pseudo_classes(y, **params):
        return ProbCover(**params).fit(X[: len(y)], y).n_pseudo_classes_

    assert n_pseudo_classes([0, 1, 2, 1]) == 3
    assert n_pseudo_classes([0, 1, 2, 1], n_classes=7) == 7
    assert n_pseudo_classes([4, 4]) == n_pseudo_classes([]) == fitted().n_pseudo_classes_ == 10
    assert n_pseudo_classes([0, -1, 2, -1]) == 2  # -1 marks a row without a label
    assert n_pseudo_classes(np.array(["a", None, "b", "c"], dtype=object)) == 3
    semi_supervised = LabelPropagation(kernel="knn", n_neighbors=3)  # gets the rows without a label too
    assert ProbCover(semi_supervised).fit(X[:4], [0, -1, 2, 1]).n_pseudo_classes_ == 3


@pytest.mark.parametrize("n_labelled", [0, 30])
@pytest.mark.parametrize("scaled", [True, False])
def test_it_is_max_coverage_of_the_points(n_labelled, scaled):
    strategy = fitted(n_labelled, normalize=scaled, radius=0.4 if scaled else 25.0)
    Z = normalize(X) if scaled else X
    expected = max_coverage(Z[30:400], Z[:n_labelled], 40, strategy.radius, strategy.seed_)
    np.testing.assert_array_equal(strategy.select(X[30:400], 40), expected)


@pytest.mark.parametrize("params", [{}, {"radius": 0.3}, {"radius": 3.0}, {"normalize": False}])
@pytest.mark.parametrize("n_labelled", [0, 40])
def test_the_best_score_is_that_of_the_first_row_whatever_their_order(params, n_labelled):
    """A radius of 3 covers all rows with the first label; then distances are what counts."""
    strategy = fitted(n_labelled, **params)
    pool = X[100:400]
    scores = strategy.score(pool)
    assert scores[strategy.select(pool, 1)[0]] == scores.max() > 0
    order = np.random.RandomState(0).permutation(300)
    np.testing.assert_allclose(strategy.score(pool[order]), scores[order], rtol=1e-9)


def test_scores_count_uncovered_rows():
    Z = np.repeat([[0.0], [10.0], [20.0]], [30, 20, 10], axis=0)
    strategy = ProbCover(radius=1.0, normalize=False, random_state=0).fit(Z[:1], [0])
    assert strategy.score(Z).tolist() == [0.0] * 30 + [20.0] * 20 + [10.0] * 10


def test_once_all_is_covered_no_row_comes_twice_and_rows_are_spread():
    """The authors' argmax of zeros is row 0, again and again."""
    strategy = fitted(10, radius=3.0)
    rows = strategy.select(X[10:200], 60)
    assert len(set(rows.tolist())) == 60
    assert len(set(y[10:200][rows].tolist())) == 10


def test_more_rows_are_covered_than_by_random_labels():
    radius, Z = 0.4, normalize(X)

    def n_covered(strategy):
        rows = strategy.fit(X[:0]).select(X, 20)
        return np.count_nonzero((euclidean_distances(Z, Z[rows]) <= radius).any(axis=1))

    at_random = [n_covered(Random(random_state=seed)) for seed in range(20)]
    assert n_covered(ProbCover(radius=radius)) > max(at_random)


def test_it_starts_from_no_labels():
    first = fitted().select(X[:300], 10)
    np.testing.assert_array_equal(ProbCover(random_state=0).fit(X[:0]).select(X[:300], 10), first)
    assert ProbCover().fit(X).labeled_embedding_.shape[0] == 0  # rows without y have no label


def test_sparse_rows_are_the_same_rows():
    csr = ProbCover(radius=0.4, random_state=0).fit(sparse.csr_matrix(X[:5]), y[:5])
    dense = fitted(5, radius=0.4)
    np.testing.assert_array_equal(csr.select(sparse.csr_matrix(X[5:300]), 20), dense.select(X[5:300], 20))


@pytest.mark.parametrize("rows", [np.ones((12, 2)), np.eye(2)[np.arange(12) % 2], np.zeros((12, 2))])
def test_pools_of_one_or_two_points(rows):
    for strategy in (ProbCover(), ProbCover(normalize=False)):
        strategy.fit(rows[:0])
        assert np.isfinite(strategy.score(rows)).all()
        assert len(set(strategy.select(rows, 12).tolist())) == 12


def test_a_learner_labels_with_it():
    learner = ActiveLearner(
        GaussianNB(), ProbCover(), n_initial=10, batch_size=10, n_rounds=2, random_state=0
    )
    queried = learner.fit(X[:300], y[:300]).labeled_iter_
    assert np.bincount(queried[queried >= 0]).tolist() == [10, 10, 10]


@pytest.mark.parametrize(
    ("name", "value"),
    [("radius", 0.0), ("radius", "large"), ("purity", 0), ("purity", 1.1), ("n_classes", 1)],
)
def test_parameters_have_a_range(name, value):
    with pytest.raises(ValueError, match=name):
        fitted(**{name: value})
