"""CoreSet: rows that leave none far from a labelled one."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skal import ActiveLearner, NetClassifier
from skal.selection import cover_radius, k_center
from skal.strategies import CoreSet, Random

rng = np.random.RandomState(0)
X, y = rng.normal(size=(120, 3)), np.arange(120) % 3


def farthest_first(Z, centers, n):
    """By the definition, in double precision."""
    distances = pairwise_distances(Z, centers).min(axis=1)
    picked = []
    for _ in range(n):
        picked.append(int(distances.argmax()))
        distances = np.minimum(distances, np.sqrt(((Z - Z[picked[-1]]) ** 2).sum(axis=1)))
    return picked


def test_the_batch_is_farthest_first_from_the_labelled_rows():
    strategy = CoreSet().fit(X[:10], y[:10])
    assert strategy.select(X[10:], 20).tolist() == farthest_first(X[10:], X[:10], 20)
    expected = pairwise_distances(X[10:], X[:10]).min(axis=1)
    np.testing.assert_allclose(strategy.score(X[10:]), expected, rtol=1e-12)


def test_distances_are_those_of_the_models_embedding():
    scaled = make_pipeline(StandardScaler(), LogisticRegression())
    stretched = X * [1, 100, 10_000]
    strategy = CoreSet(scaled).fit(stretched[:10], y[:10])
    Z = StandardScaler().fit(stretched[:10]).transform(stretched)
    assert strategy.select(stretched[10:], 9).tolist() == farthest_first(Z[10:], Z[:10], 9)
    net = NetClassifier(module__hidden=6, max_epochs=2, random_state=0)
    fitted = CoreSet(net).fit(X[:60], y[:60])
    Z = fitted.estimator_.embed(X).astype(np.float64)
    assert fitted.select(X[60:], 9).tolist() == farthest_first(Z[60:], Z[:60], 9)


def test_cosine_sees_directions_only():
    lengths = np.exp(rng.normal(size=(120, 1)))
    first = CoreSet(metric="cosine").fit(X[:10], y[:10]).select(X[10:], 15)
    again = CoreSet(metric="cosine").fit((X * lengths)[:10], y[:10]).select((X * lengths)[10:], 15)
    np.testing.assert_array_equal(first, again)


def test_a_cold_start_begins_in_the_middle():
    for strategy in (CoreSet().fit(X[:0]), CoreSet().fit(X), CoreSet().fit(X, np.full(120, -1))):
        rows = strategy.select(X, 12)
        assert rows[0] == np.linalg.norm(X - X.mean(axis=0), axis=1).argmin() == strategy.score(X).argmax()
        np.testing.assert_array_equal(rows, k_center(X, None, 12, strategy.seed_))


def test_it_starts_from_no_labels_with_an_embedding():
    images = rng.normal(size=(60, 1, 4, 4))
    fitted = FrozenEstimator(PCA(3, random_state=0).fit(images.reshape(60, 16)))
    for embedding in (PCA(3, random_state=0), fitted):
        strategy = CoreSet(LogisticRegression(), embedding=embedding, random_state=0)
        assert len(set(strategy.fit(images[:0]).select(images, 10).tolist())) == 10
    learner = ActiveLearner(
        LogisticRegression(), CoreSet(), initial=CoreSet(embedding=PCA(3)), n_initial=12, random_state=0
    )
    learner.fit(X, y)
    first = np.flatnonzero(learner.labeled_iter_ == 0)
    assert cover_radius(X, X[first]) < cover_radius(X, X[rng.permutation(120)[:12]])


def test_sparse_rows_and_texts_work():
    dense = rng.poisson(0.5, size=(80, 12)).astype(np.float64)
    strategy = CoreSet(random_state=0).fit(sparse.csr_matrix(dense[:10]), y[:10])
    of_dense = CoreSet(random_state=0).fit(dense[:10], y[:10])
    np.testing.assert_allclose(strategy.score(sparse.csr_matrix(dense)), of_dense.score(dense), atol=1e-9)
    picked = strategy.select(sparse.csr_matrix(dense), 9)
    np.testing.assert_array_equal(picked, of_dense.select(dense, 9))
    texts = [f"word{i % 7} another{i % 5} and{i % 3}" for i in range(60)]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    assert CoreSet(model).fit(texts[:9], y[:9]).select(texts, 5).shape == (5,)


def test_the_learner_tells_the_radius_before_and_after_each_batch():
    learner = ActiveLearner(
        LogisticRegression(), CoreSet(), n_initial=5, batch_size=7, n_rounds=3, random_state=0
    )
    learner.fit(X, y)
    assert "cover_radius" not in learner.history_[0]
    for stage in list(learner.stages())[1:]:
        number = stage.history_[-1]["round"]
        labelled = X[(stage.labeled_iter_ >= 0) & (stage.labeled_iter_ < number)]
        candidates = X[(learner.labeled_iter_ < 0) | (learner.labeled_iter_ >= number)]
        after = X[stage.labeled_iter_ >= 0]
        expected = cover_radius(candidates, labelled), cover_radius(candidates, after)
        np.testing.assert_allclose(stage.history_[-1]["cover_radius"], expected, rtol=1e-9)


def test_robust_is_never_worse_than_greedy_and_may_leave_outliers():
    far = np.vstack([rng.normal(size=(60, 2)), [[50.0, 50.0], [-60.0, 40.0]]])
    greedy = CoreSet(random_state=0).fit(far[:1], [0]).select(far, 3)
    exact = CoreSet(method="robust", outliers=0, random_state=0).fit(far[:1], [0]).select(far, 3)
    assert cover_radius(far, far[[0, *exact]]) <= cover_radius(far, far[[0, *greedy]]) + 1e-12
    robust = CoreSet(method="robust", outliers=0.04, random_state=0).fit(far[:1], [0]).select(far, 3)
    assert set(greedy.tolist()) & {60, 61} == {60, 61}
    assert not set(robust.tolist()) & {60, 61}


def test_robust_with_one_row_takes_the_best_of_all():
    strategy = CoreSet(method="robust", outliers=0.05, random_state=0).fit(X[:4], y[:4])
    scores = strategy.score(X)
    for row in (0, 17, 93):
        left = np.sort(pairwise_distances(X, X[[0, 1, 2, 3, row]]).min(axis=1))
        np.testing.assert_allclose(-scores[row], left[-1 - 6])
    assert scores[strategy.select(X, 1)[0]] == scores.max()


def test_robust_keeps_to_its_candidates_and_covers_all_rows():
    strategy = CoreSet(method="robust", outliers=0, max_candidates=30, random_state=0).fit(X[:4], y[:4])
    rows = strategy.select(X, 10)
    assert len(set(rows.tolist())) == 10
    greedy = CoreSet(random_state=0).fit(X[:4], y[:4]).select(X, 10)
    assert cover_radius(X, X[[0, 1, 2, 3, *rows]]) <= cover_radius(X, X[[0, 1, 2, 3, *greedy]]) + 1e-12
    few = CoreSet(method="robust", max_candidates=1, random_state=0).fit(X[:4], y[:4])
    assert len(set(few.select(X, 10).tolist())) == 10


@pytest.mark.parametrize("method", ["greedy", "robust"])
def test_positions_are_those_of_the_rows_passed_whatever_was_labelled(method):
    # small-text's greedy_coreset mixes positions among the unlabelled with row numbers of all.
    labelled, pool = X[100:], X[:100]
    strategy = CoreSet(method=method, outliers=0, random_state=0).fit(labelled, y[100:])
    rows = strategy.select(pool, 10)
    radius = cover_radius(pool, np.vstack([labelled, pool[rows]]))
    at_random = np.vstack([labelled, pool[:10]])
    assert rows.max() < 100
    assert radius < cover_radius(pool, at_random)


def test_selections_follow_a_permutation_and_a_rotation():
    order = rng.permutation(110)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rows = CoreSet().fit(X[:10], y[:10]).select(X[10:], 25)
    permuted = CoreSet().fit(X[:10], y[:10]).select(X[10:][order], 25)
    rotated = CoreSet().fit(X[:10] @ rotation, y[:10]).select(X[10:] @ rotation, 25)
    np.testing.assert_array_equal(order[permuted], rows)
    np.testing.assert_array_equal(rotated, rows)


def test_copies_of_labelled_rows_come_last():
    pool = np.vstack([X[:20], X[:20], X[40:50]])
    rows = CoreSet(random_state=0).fit(X[:20], y[:20]).select(pool, 15)
    assert set(rows[:10].tolist()) == set(range(40, 50))
    assert len(set(rows.tolist())) == 15


def test_a_forest_compares_rows_as_they_are_and_random_needs_no_more():
    strategy = CoreSet(RandomForestClassifier(3)).fit(X[:10], y[:10])
    assert strategy.select(X[10:], 5).tolist() == farthest_first(X[10:], X[:10], 5)
    assert not CoreSet.needs_labels
    assert not Random.needs_labels


@pytest.mark.parametrize(
    ("params", "word"),
    [({"method": "exact"}, "method"), ({"outliers": 1.0}, "outliers"), ({"metric": "l1"}, "metric"),
     ({"time_limit": 0}, "time_limit"), ({"max_candidates": 0}, "max_candidates")],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(params, word):
    with pytest.raises(ValueError, match=word):
        CoreSet(**params).fit(X[:10], y[:10])
