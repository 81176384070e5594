"""Laws of `robust_k_center`, the smallest radius that covers all rows but for outliers."""

import tracemalloc
import warnings
from itertools import combinations

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from skal.selection import _robust, _robust_search, k_center, robust_k_center


def radius_of(Z, centers, rows, n_outliers=0):
    """By the definition."""
    covering = Z[rows] if centers is None else np.vstack([centers, Z[rows]])
    distances = cdist(Z.astype(np.float64), covering.astype(np.float64)).min(axis=1)
    return np.sort(distances)[len(Z) - 1 - n_outliers]


def smallest_radius(Z, centers, n, n_outliers=0, candidates=None):
    """By enumeration."""
    candidates = range(len(Z)) if candidates is None else candidates
    return min(radius_of(Z, centers, list(rows), n_outliers) for rows in combinations(candidates, n))


def clustered_rows(n_rows, n_clusters, m, seed):
    rng = np.random.RandomState(seed)
    spreads = rng.uniform(0.3, 1.0, size=n_clusters)
    clusters = rng.randint(n_clusters, size=n_rows)
    means = rng.uniform(-10, 10, size=(n_clusters, m))
    return means[clusters] + spreads[clusters, np.newaxis] * rng.normal(size=(n_rows, m))


def check_answer(answer, Z, centers, n, n_outliers):
    assert len(np.unique(answer.rows)) == n
    np.testing.assert_allclose(answer.radius, radius_of(Z, centers, answer.rows, n_outliers), rtol=1e-12)
    assert answer.lower_bound <= answer.radius
    assert answer.gap == pytest.approx((answer.radius - answer.lower_bound) / (answer.radius or 1))


@pytest.mark.parametrize("n_outliers", [0, 1, 3])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_best_of_all_subsets(seed, n, n_outliers):
    rng = np.random.RandomState(seed)
    Z = rng.normal(size=(13, 2)) if seed % 2 else rng.randint(5, size=(13, 2)).astype(float)  # with ties
    centers = [None, rng.normal(size=(0, 2)), rng.normal(size=(2, 2)), Z[:3]][seed]
    candidates = rng.permutation(13)[:8] if seed > 1 else None
    answer = robust_k_center(Z, centers, n, seed, outliers=n_outliers / 13, candidates=candidates)
    check_answer(answer, Z, centers, n, n_outliers)
    best = smallest_radius(Z, centers, n, n_outliers, candidates)
    np.testing.assert_allclose(answer.radius, best, rtol=1e-12)
    assert answer.lower_bound == answer.radius
    assert answer.gap == 0
    assert candidates is None or np.isin(answer.rows, candidates).all()


@pytest.mark.parametrize("n_outliers", [0, 2])
def test_the_solver_alone_finds_the_best_too(n_outliers, monkeypatch):
    monkeypatch.setattr(_robust_search, "swapped", lambda *args, **kwargs: None)
    n_better = 0
    for seed in range(6):
        Z = np.random.RandomState(seed).normal(size=(14, 2))
        candidates = np.random.RandomState(seed).permutation(14)[:9]
        answer = robust_k_center(Z, None, 3, outliers=n_outliers / 14, candidates=candidates)
        check_answer(answer, Z, None, 3, n_outliers)
        assert answer.radius == pytest.approx(smallest_radius(Z, None, 3, n_outliers, candidates))
        greedy = candidates[k_center(Z[candidates], None, 3)]
        n_better += answer.radius < radius_of(Z, None, greedy, n_outliers) * (1 - 1e-9)
    assert n_better >= 3


@pytest.mark.parametrize("kind", [np.float32, sparse.csr_matrix, sparse.csr_array])
def test_single_precision_and_sparse_rows_are_measured_in_double_precision(kind):
    rng = np.random.RandomState(0)
    Z = (rng.normal(size=(60, 12)) * (rng.uniform(size=(60, 12)) < 0.3)).astype(np.float32)
    Z[:30] += 0.001 * Z[30:]
    answer = robust_k_center(kind(Z), kind(Z[:5]), 6)
    check_answer(answer, Z, Z[:5], 6, 0)
    assert answer[1:] == pytest.approx(robust_k_center(Z.astype(float), Z[:5].astype(float), 6)[1:])


def test_clusters_far_from_the_origin_and_from_each_other_lose_no_digits():
    rng = np.random.RandomState(0)
    Z = 1e6 + 1e5 * rng.randint(3, size=(12, 2)) + 1e-3 * rng.normal(size=(12, 2))
    for n in (1, 2, 3):
        answer = robust_k_center(Z, None, n, outliers=2 / 12)
        check_answer(answer, Z, None, n, 2)
        np.testing.assert_allclose(answer.radius, smallest_radius(Z, None, n, 2), rtol=1e-12)


def test_half_of_the_greedy_radius_is_no_bound_where_there_are_outliers():
    """A public bug: the search starts at half of the farthest-first radius, which covers the outliers."""
    Z = np.column_stack([np.linspace(0, 0.5, 50), np.zeros(50)])
    Z = np.vstack([Z, [[100.0, 100.0], [100.0, 110.0]]])
    greedy = k_center(Z, None, 1)
    assert radius_of(Z, None, greedy) > 140
    assert radius_of(Z, None, greedy, n_outliers=2) == 0.5
    answer = robust_k_center(Z, None, 1, outliers=2 / 52)
    assert answer.radius == pytest.approx(0.5 * 25 / 49)
    assert answer.gap == 0


def test_half_is_of_the_distance_not_of_its_square():
    """A public bug: squared distances are searched from half of the largest one on."""
    Z, center = np.array([[2.0], [3.0], [4.0]]), np.array([[0.0]])
    assert radius_of(Z, center, k_center(Z, center, 1)) == 2
    answer = robust_k_center(Z, center, 1, outliers=0)
    assert (answer.rows.tolist(), answer.radius, answer.lower_bound) == ([1], 1.0, 1.0)


def test_centers_are_points_and_rows_are_positions_in_what_is_passed():
    """Bug G14: positions among the unlabelled rows mixed up with those among all."""
    X = clustered_rows(60, 8, 3, seed=1)
    labeled, unlabeled = np.arange(0, 60, 6), np.setdiff1d(np.arange(60), np.arange(0, 60, 6))
    of_all = robust_k_center(X, X[labeled], 10, candidates=unlabeled)
    of_unlabeled = robust_k_center(X[unlabeled], X[labeled], 10)
    assert np.isin(of_all.rows, unlabeled).all()
    check_answer(of_all, X, X[labeled], 10, 0)
    check_answer(of_unlabeled, X[unlabeled], X[labeled], 10, 0)
    assert of_all.radius == pytest.approx(of_unlabeled.radius)
    greedy = unlabeled[k_center(X[unlabeled], X[labeled], 10)]
    assert of_all.radius < 0.99 * radius_of(X, X[labeled], greedy)
    elsewhere = X[labeled] + 0.01  # no rows of X at all
    check_answer(robust_k_center(X, elsewhere, 4), X, elsewhere, 4, 0)


@pytest.mark.parametrize("m", [2, 8])
def test_never_worse_than_greedy_and_the_radius_does_not_grow_with_the_outliers(m):
    Z = np.random.RandomState(m).uniform(size=(60, m))
    radii = []
    for n_outliers in (0, 1, 2, 5, 12):
        answer = robust_k_center(Z, Z[:2], 6, outliers=n_outliers / 60)
        check_answer(answer, Z, Z[:2], 6, n_outliers)
        assert answer.radius <= radius_of(Z, Z[:2], k_center(Z, Z[:2], 6), n_outliers)
        assert answer.gap == 0
        radii.append(answer.radius)
    assert (np.diff(radii) <= 0).all()
    assert radii[-1] < radii[0]


@pytest.mark.parametrize("n_outliers", [0, 5])
def test_500_clustered_rows_are_proven(n_outliers):
    Z = clustered_rows(500, 20, 8, seed=0)
    answer = robust_k_center(Z, None, 30, outliers=n_outliers / 500)
    check_answer(answer, Z, None, 30, n_outliers)
    assert answer.gap == 0
    assert answer.radius < radius_of(Z, None, k_center(Z, None, 30), n_outliers)


def test_cover_rows_are_added_only_where_they_are_needed(monkeypatch):
    sizes, reduced = [], _robust_search.reduced

    def counted(within, bound):
        sizes.append(len(within))
        return reduced(within, bound)

    monkeypatch.setattr(_robust_search, "reduced", counted)
    Z = clustered_rows(3000, 12, 4, seed=0)
    tracemalloc.start()
    answer = robust_k_center(Z, None, 12)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.gap == 0
    assert sizes[0] == 13
    assert max(sizes) < 200
    assert peak < 8 * 3000**2 / 2


def test_a_time_limit_gives_the_best_rows_so_far_and_says_so():
    Z = np.random.RandomState(0).uniform(size=(300, 8))
    greedy = radius_of(Z, None, k_center(Z, None, 20))
    with pytest.warns(UserWarning, match="time limit of 0 s"):
        none = robust_k_center(Z, None, 20, time_limit=0)
    with pytest.warns(UserWarning, match="time limit of 0.4 s"):
        some = robust_k_center(Z, None, 20, time_limit=0.4)
    for answer in (none, some):
        check_answer(answer, Z, None, 20, 0)
        assert 0 < answer.lower_bound < answer.radius
    assert none.radius == pytest.approx(greedy)
    assert some.radius <= greedy
    assert some.gap <= none.gap


def test_a_solver_out_of_time_has_not_proven_anything(monkeypatch):
    """A public bug: the status "time limit" is taken for "infeasible"."""
    Z = clustered_rows(50, 6, 3, seed=0)
    best = robust_k_center(Z, None, 8).radius
    assert best < radius_of(Z, None, k_center(Z, None, 8))
    monkeypatch.setattr(_robust_search, "swapped", lambda *args, **kwargs: None)
    monkeypatch.setattr(_robust_search, "solve", lambda *args, **kwargs: (None, False))
    with pytest.warns(UserWarning, match="no proof"):
        answer = robust_k_center(Z, None, 8)
    assert answer.lower_bound <= best < answer.radius


@pytest.mark.parametrize(
    ("outliers", "n_rows", "n_outliers"),
    [
        (1e-4, 500, 0),
        (1e-4, 9_999, 0),
        (1e-4, 10_000, 1),
        (0.29, 100, 29),
        (0.0, 7, 0),
        (1 - 1e-16, 7, 6),
    ],
)
def test_outliers_are_a_share_that_is_rounded_down(outliers, n_rows, n_outliers):
    assert _robust.count_outliers(outliers, n_rows) == n_outliers


def test_the_row_that_covers_most_comes_first():
    Z = clustered_rows(80, 5, 2, seed=0)
    answer = robust_k_center(Z, Z[:1], 6, outliers=0.05)
    within = cdist(Z, Z[answer.rows]) <= answer.radius * (1 + 1e-12)
    left = (cdist(Z, Z[:1]) > answer.radius * (1 + 1e-12))[:, 0]
    for place in range(6):
        gains = within[left].sum(axis=0)[place:]
        assert gains[0] == gains.max()
        left &= ~within[:, place]


def test_n_of_0_or_all_candidates_needs_no_search():
    Z = clustered_rows(30, 3, 2, seed=0)
    none = robust_k_center(Z, Z[:2], 0, outliers=0.1)
    check_answer(none, Z, Z[:2], 0, 3)
    assert none.gap == 0
    assert robust_k_center(Z, None, 0).radius == np.inf
    every = robust_k_center(Z, None, 5, candidates=[3, 1, 4, 15, 9])
    check_answer(every, Z, None, 5, 0)
    assert sorted(every.rows) == [1, 3, 4, 9, 15]
    with pytest.raises(ValueError, match="n=6 of 5 candidates"):
        robust_k_center(Z, None, 6, candidates=[3, 1, 4, 15, 9])


def test_rows_are_distinct_where_points_are_not():
    """Bug G6: and the rows are none in particular."""
    Z = np.ones((20, 3))
    counts = np.zeros(20)
    for seed in range(100):
        answer = robust_k_center(Z, None, 4, seed)
        check_answer(answer, Z, None, 4, 0)
        assert (answer.radius, answer.gap) == (0, 0)
        counts[answer.rows] += 1
    assert (counts > 5).all()
    assert robust_k_center(np.repeat(Z, 2, axis=0) * np.arange(40)[:, np.newaxis] // 10, None, 4).radius == 0


def test_of_two_copies_each_has_the_same_chance():
    Z = np.repeat(np.random.RandomState(0).uniform(size=(15, 2)), 2, axis=0)
    greedy = radius_of(Z, None, k_center(Z, None, 3))
    n_second = 0
    for seed in range(30):
        answer = robust_k_center(Z, None, 3, seed)
        assert answer.radius < greedy
        n_second += (answer.rows % 2).sum()
    assert 25 < n_second < 65  # of 90


def test_the_same_seed_gives_the_same_rows_and_nothing_else_changes():
    Z = clustered_rows(90, 7, 3, seed=2)
    copy, state = Z.copy(), np.random.get_state()[1].copy()
    first, second = (robust_k_center(Z, Z[:4], 9, seed=5, outliers=0.03) for _ in range(2))
    np.testing.assert_array_equal(first.rows, second.rows)
    assert first[1:] == second[1:]
    np.testing.assert_array_equal(Z, copy)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_order_rotation_and_seed_change_no_radius():
    Z = clustered_rows(70, 6, 3, seed=3)
    order = np.random.RandomState(0).permutation(70)
    rotation = np.linalg.qr(np.random.RandomState(0).normal(size=(3, 3)))[0]
    radius = robust_k_center(Z, None, 8, outliers=0.05).radius
    for other in (Z[order], Z @ rotation + 3.0):
        assert robust_k_center(other, None, 8, seed=1, outliers=0.05).radius == pytest.approx(radius)


def test_no_warning_with_a_proof():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        robust_k_center(clustered_rows(100, 5, 2, seed=0), None, 5, time_limit=np.inf)
