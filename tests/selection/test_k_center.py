"""Laws of `k_center` and `cover_radius`: what a brute force in double precision says, in its order."""

import itertools
import tracemalloc

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.stats import chisquare, ortho_group
from threadpoolctl import threadpool_info, threadpool_limits

from skal.selection import (
    _farthest,
    _farthest_cells,
    _farthest_other_points,
    _farthest_points,
    _farthest_threads,
    _k_center,
    priority,
)
from skal.selection._farthest_other_points import TorchPoints
from skal.selection._k_center import cover_radius, k_center


def brute_force(Z, centers, n, seed=0):
    """Rows by the definition, and the distances, the cover radius of all at last."""
    Z, centers = (
        np.asarray(a.toarray() if sparse.issparse(a) else a, dtype=np.float64) for a in (Z, centers)
    )
    keys = priority(seed, np.arange(len(Z)))
    squares = np.full(len(Z), np.inf)
    for center in centers:
        squares = np.minimum(squares, ((Z - center) ** 2).sum(-1))
    rows, farthest = [], []
    for _ in range(n):
        left = np.setdiff1d(np.arange(len(Z)), rows)
        if len(rows) + len(centers) == 0:
            to_mean = ((Z - Z.mean(axis=0)) ** 2).sum(-1)
            tied = left[to_mean <= to_mean.min() * (1 + 1e-12)]
        else:
            tied = left[squares[left] >= squares[left].max() * (1 - 1e-12)]
        rows.append(tied[keys[tied].argmax()])
        farthest.append(squares[rows[-1]])
        squares = np.minimum(squares, ((Z - Z[rows[-1]]) ** 2).sum(-1))
    return np.array(rows, dtype=int), np.sqrt([*farthest, squares.max()])


def in_full(Z):
    return np.asarray(Z.toarray() if sparse.issparse(Z) else Z, dtype=np.float64)


def assert_is_brute_force(Z, centers, n, seed=0, **options):
    rows, distances = k_center(Z, centers, n, seed, return_distances=True, **options)
    expected_rows, expected_distances = brute_force(Z, centers, n, seed)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-10)
    assert (rows.dtype, distances.dtype) == (np.intp, np.float64)
    np.testing.assert_array_equal(k_center(Z, centers, n, seed, **options), expected_rows)


def crowds(rng, n, m):
    return 9 * rng.normal(size=(12, m))[rng.randint(12, size=n)] + rng.normal(size=(n, m)) * rng.rand(n, 1)


def binary(rng, n, m):
    return rng.randint(2, size=(n, m)).astype(float)


def standardised(rng, n, m):  # equal distances, up to rounding
    Z = binary(rng, n, m)
    return (Z - Z.mean(axis=0)) / (Z.std(axis=0) + 0.1)


def outliers(rng, n, m):
    return crowds(rng, n, m) * np.where(np.arange(n) % 50 == 7, 1e25, 1)[:, np.newaxis]


def far_ends(rng, n, m):
    return 1e-4 * rng.normal(size=(n, m)) + 1e5 * (-1.0) ** rng.randint(2, size=(n, 1))


CLOUDS = {
    "normal": lambda rng, n, m: rng.normal(size=(n, m)),
    "crowds": crowds,
    "activations": lambda rng, n, m: np.maximum(crowds(rng, n, m), 0),
    "binary": binary,
    "standardised": standardised,
    "one-hot": lambda rng, n, m: np.eye(m)[rng.randint(m, size=n)],
    "copies": lambda rng, n, m: crowds(rng, 1 + n // 5, m)[rng.randint(1 + n // 5, size=n)],
    "constant": lambda rng, n, m: np.ones((n, m)),
    "on a line": lambda rng, n, m: np.outer(rng.permutation(n), np.ones(m)),
    "offset": lambda rng, n, m: crowds(rng, n, m) + 1e4,
    "tiny": lambda rng, n, m: crowds(rng, n, m) * 1e-20,
    "large": lambda rng, n, m: crowds(rng, n, m) * 1e15,
    "outliers": outliers,
    "far ends": far_ends,
}
KINDS = ["float32", "float64", "csr", "torch"]


@pytest.fixture
def in_small_parts(monkeypatch):
    """Small fronts, groups, cells and blocks, so that few rows pass through all of them."""
    for module, name, value in [
        (_farthest, "_FRONT", 16),
        (_farthest, "_GROUP", 8),
        (_farthest, "_TIED_GROUP", 4),
        (_farthest_cells, "_FEW_NEW", 2),
        (_farthest_cells, "_MOST_CELLS", 6),
        (_farthest_cells, "_BLOCK", 16),
        (_farthest_points, "_FEW_CENTERS", 4),
        (_farthest_points, "_BLOCK_ROWS", 64),
        (_farthest_points, "_PAIR_VALUES", 64),
        (_farthest_points.Points, "chunk_rows", 8),
        (_farthest_other_points.TorchPoints, "chunk_rows", 16),
        (_farthest_other_points, "_BLOCK_VALUES", 2048),
        (_farthest_other_points, "_BLOCK_ROWS", 16),
        (_farthest_threads, "_WORTH_A_THREAD", 0),
        (_k_center, "_BLOCK_VALUES", 64),
    ]:
        monkeypatch.setattr(module, name, value)


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    """Turns an array into one kind of input; "torch" is a GPU's part played by torch's CPU device."""
    if request.param == "torch":
        monkeypatch.setattr(_k_center, "_placed", lambda *arguments: TorchPoints(*arguments[:-1], "cpu"))
    types = {"csr": sparse.csr_matrix, "float64": np.asarray}
    return types.get(request.param, lambda Z: Z.astype(np.float32, copy=False))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_it_is_the_brute_force_whatever_the_parts(cloud, kind, in_small_parts):
    for seed, (n_rows, m, c, n) in enumerate([(110, 6, 20, 25), (90, 2, 3, 40), (40, 9, 0, 40)]):
        rng = np.random.RandomState(seed)
        Z = kind(CLOUDS[cloud](rng, n_rows, m))
        centers = Z[rng.randint(n_rows, size=c)] if seed else kind(CLOUDS[cloud](rng, c, m))
        assert_is_brute_force(Z, centers, n, seed)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_it_is_the_brute_force(cloud, kind):
    rng = np.random.RandomState(1)
    Z = kind(CLOUDS[cloud](rng, 1200, 20))
    assert_is_brute_force(Z, Z[rng.randint(1200, size=100)], 40, seed=2)


@pytest.mark.parametrize("scale", [1.0, 1 / 3])
def test_rows_that_are_all_as_far_away(scale, kind, in_small_parts):
    Z = kind(scale * np.array(list(itertools.permutations([1.0, 2.0, 4.0, 7.0, 9.0]))))
    for seed in range(4):
        assert_is_brute_force(Z, kind(np.zeros((1, 5))), 40, seed)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 1), (5, 0), (40, 1), (300, 70)])
@pytest.mark.parametrize("c", [0, 1, 80])
def test_any_shape_and_number_of_rows(shape, c, kind):
    rng = np.random.RandomState(3)
    Z, centers = kind(rng.normal(size=shape)), kind(rng.normal(size=(c, shape[1])))
    for n in sorted({1, min(2, shape[0]), shape[0]}):
        assert_is_brute_force(Z, centers, n)
    assert k_center(Z, centers, 0).shape == (0,)
    assert k_center(Z, centers, 0, return_distances=True)[1].shape == (1,)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float16])
def test_other_numbers_become_float64(dtype):
    rng = np.random.RandomState(0)
    Z, centers = (
        rng.randint(0, 250, size=(200, 4)).astype(dtype),
        rng.randint(0, 250, size=(70, 4)).astype(dtype),
    )
    for given in (centers, centers[:0]):
        assert_is_brute_force(Z, given, 50)


def test_centers_may_be_of_another_type_or_a_list():
    rng = np.random.RandomState(0)
    Z, centers = rng.normal(size=(300, 5)).astype(np.float32), rng.normal(size=(80, 5))
    assert_is_brute_force(Z, centers, 50)
    np.testing.assert_array_equal(
        k_center(Z.tolist(), centers.tolist(), 9), k_center(Z.astype(float), centers, 9)
    )


def test_near_ties_are_decided_in_double_precision():
    """In single precision the first of these rows are equally far, and the others in another order."""
    angle = np.random.RandomState(0).uniform(0, 2 * np.pi, size=400)
    radius = 1 + 1e-9 * np.random.RandomState(1).permutation(400)
    Z = radius[:, np.newaxis] * np.column_stack([np.cos(angle), np.sin(angle)])
    assert len(set(np.linalg.norm(Z.astype(np.float32), axis=1).tolist())) < 10
    assert_is_brute_force(Z, np.zeros((1, 2)), 30)
    assert k_center(Z, np.zeros((1, 2)), 1)[0] == radius.argmax()


def test_a_chain_of_near_ties(in_small_parts):
    """Each row is tied with the next two, and not with the third."""
    rng = np.random.RandomState(0)
    for seed in range(5):
        directions = rng.normal(size=(120, 8))
        lengths = 1 + 2e-13 * rng.permutation(120)
        Z = directions * (lengths / np.linalg.norm(directions, axis=1))[:, np.newaxis]
        assert_is_brute_force(Z, np.zeros((1, 8)), 30, seed)


def test_the_centers_of_one_call_are_those_of_many():
    """Bug G13: with several new centres the minimum must be over them, not over the rows."""
    rng = np.random.RandomState(0)
    Z, centers = rng.normal(size=(400, 3)), rng.normal(size=(7, 3))
    whole = k_center(Z, centers, 45)
    parts, known = [], centers
    for n in [1, 3, 11, 30]:
        rows = k_center(Z, known, n)
        known = np.vstack([known, Z[rows]])
        parts.extend(rows)
    np.testing.assert_array_equal(parts, whole)


def test_positions_count_the_rows_given_and_centers_need_not_be_among_them():
    """Bug G14: positions among the unlabelled mixed up with those among all."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 4))
    is_labeled = rng.rand(300) < 0.2
    unlabeled = np.flatnonzero(~is_labeled)
    rows = unlabeled[k_center(X[unlabeled], X[is_labeled], 20)]
    assert not is_labeled[rows].any()
    np.testing.assert_array_equal(rows, brute_force(X, X[is_labeled], 20)[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n_centers", [0, 5, 90])
def test_numbers_without_a_place_are_refused(bad, n_centers, kind):
    """Bug G2: NaN is the largest number to argmax."""
    rng = np.random.RandomState(0)
    Z, centers = rng.normal(size=(200, 3)), rng.normal(size=(n_centers, 3))
    spoilt = Z.copy()
    spoilt[77, 1] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        k_center(kind(spoilt), kind(centers), 5)
    if n_centers:
        centers[3, 2] = bad
        with pytest.raises(ValueError, match="NaN or infinite"):
            k_center(kind(Z), kind(centers), 5)


def test_too_many_rows_are_refused():
    with pytest.raises(ValueError, match="n=4 of 3 rows"):
        k_center(np.eye(3), None, 4)


def test_tied_rows_have_the_same_chance_and_come_once():
    """Bug G6."""
    Z = np.vstack([np.eye(8), np.eye(8)])  # pairs of copies, all as far from the origin
    firsts, seconds = np.zeros(16), np.zeros(16)
    for seed in range(400):
        rows = k_center(Z, np.zeros((1, 8)), 16, seed)
        assert sorted(rows.tolist()) == list(range(16))
        assert len({row % 8 for row in rows[:8].tolist()}) == 8
        firsts[rows[0]] += 1
        seconds[rows[9]] += 1
    assert chisquare(firsts).pvalue > 0.001
    assert chisquare(seconds).pvalue > 0.001


def test_the_order_of_rows_does_not_matter_without_ties():
    rng = np.random.RandomState(0)
    Z, order = rng.normal(size=(500, 6)), rng.permutation(500)
    for centers in (rng.normal(size=(90, 6)), None):
        moved = order[k_center(Z[order], centers, 60)]
        np.testing.assert_array_equal(moved, k_center(Z, centers, 60))


def test_rotations_shifts_and_scales_do_not_matter_without_ties():
    rng = np.random.RandomState(0)
    Z, centers, turn = rng.normal(size=(500, 6)), rng.normal(size=(90, 6)), ortho_group.rvs(6, random_state=0)
    rows, distances = k_center(Z, centers, 60, return_distances=True)
    for place in (lambda X: X @ turn, lambda X: X + 5, lambda X: -1e-3 * X):
        np.testing.assert_array_equal(k_center(place(Z), place(centers), 60), rows)
    np.testing.assert_allclose(k_center(3 * Z, 3 * centers, 60, return_distances=True)[1], 3 * distances)


def test_small_batches_begin_large_ones():
    rng = np.random.RandomState(0)
    Z, centers = rng.normal(size=(300, 2)), rng.normal(size=(5, 2))
    whole = k_center(Z, centers, 300)
    for n in (1, 2, 17, 120):
        np.testing.assert_array_equal(k_center(Z, centers, n), whole[:n])


def test_without_centers_the_first_row_is_the_one_closest_to_the_mean():
    Z = np.array([[9.0, 0.0], [1.0, 1.0], [0.0, 9.0], [-9.0, -9.0]])
    for none in (None, np.empty((0, 2)), np.empty((0, 0))):
        rows, distances = k_center(Z, none, 2, return_distances=True)
        assert rows.tolist() == [1, 3]
        assert distances[0] == np.inf
        np.testing.assert_allclose(distances[1:], [np.hypot(10, 10), np.hypot(8, 1)])


def test_the_cover_radius_falls_to_0_and_is_within_twice_the_best():
    rng = np.random.RandomState(0)
    Z, centers = rng.normal(size=(12, 2)), rng.normal(size=(2, 2))
    rows, distances = k_center(Z, centers, 12, return_distances=True)
    assert (np.diff(distances) <= 0).all()
    assert distances[-1] == 0
    for n in range(12):
        radius = cover_radius(Z, np.vstack([centers, Z[rows[:n]]]))
        assert abs(radius - distances[n]) < 1e-12
        subsets = itertools.combinations(range(12), n)
        best = (
            min(cover_radius(Z, np.vstack([centers, Z[list(subset)]])) for subset in subsets) if n < 4 else 0
        )
        assert radius <= 2 * best or n >= 4


@pytest.mark.parametrize("c", [1, 100])
def test_the_cover_radius_is_the_largest_distance_to_the_nearest_center(c, kind):
    rng = np.random.RandomState(0)
    Z, centers = rng.normal(size=(3000, 5)), rng.normal(size=(c, 5))
    radius = cover_radius(kind(Z), kind(centers))
    gaps = np.asarray(kind(Z)[:, :], dtype=float) if not sparse.issparse(kind(Z)) else Z
    points = (
        kind(centers).toarray() if sparse.issparse(kind(centers)) else np.asarray(kind(centers), dtype=float)
    )
    expected = np.sqrt(((gaps[:, np.newaxis] - points) ** 2).sum(-1).min(axis=1).max())
    assert isinstance(radius, float)
    assert abs(radius - expected) < 1e-12 * expected


def test_the_cover_radius_without_centers_or_without_distances():
    assert cover_radius(np.eye(3), None) == cover_radius(np.eye(3), np.empty((0, 3))) == np.inf
    assert cover_radius(np.eye(3), np.eye(3)) == 0
    assert cover_radius(np.empty((0, 3)), np.eye(3)) == 0


def test_few_pairs_of_points_are_compared(monkeypatch):
    """Most rows are bounded by the centres of their cell once, and not looked at again."""
    rng = np.random.RandomState(0)
    Z = np.maximum(crowds(rng, 20_000, 16), 0).astype(np.float32)
    centers = Z[rng.randint(20_000, size=400)]
    n_single, n_double = [], []
    single, squares = _farthest_points.DensePoints._single, _farthest_points.DensePoints._squares

    def counted(self, rows, centers):
        answer = single(self, rows, centers)
        n_single.append(answer[0].size)
        return answer

    def compared(self, left, right):
        n_double.append(len(left))
        return squares(self, left, right)

    monkeypatch.setattr(_farthest_points.DensePoints, "_single", counted)
    monkeypatch.setattr(_farthest_points.DensePoints, "_squares", compared)
    k_center(Z, centers, 300)
    assert sum(n_single) < 0.15 * 20_000 * (400 + 300)
    assert sum(n_double) < 20_000


@pytest.mark.parametrize("n_rows", [20_000, 80_000])
def test_memory_is_a_few_numbers_for_each_row_and_blocks(n_rows):
    rng = np.random.RandomState(0)
    Z = rng.normal(size=(n_rows, 64)).astype(np.float32)
    centers = Z[:500]
    tracemalloc.start()
    try:
        k_center(Z, centers, 200)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 80 * n_rows + 60e6 / 2  # Z is 256 bytes a row, the distances to all centres were 2000


def test_threads_change_no_row_and_are_given_back(in_small_parts):
    rng = np.random.RandomState(0)
    Z, centers = rng.normal(size=(2000, 8)).astype(np.float32), rng.normal(size=(40, 8))
    expected = brute_force(Z, centers, 50)[0]
    for n_threads in (1, 2, 5):
        with threadpool_limits(n_threads, user_api="blas"):
            before = threadpool_info()
            np.testing.assert_array_equal(k_center(Z, centers, 50), expected)
            assert threadpool_info() == before


def test_an_error_in_a_thread_is_raised(in_small_parts):
    def fail(item):
        raise KeyError(item)

    with (
        threadpool_limits(3, user_api="blas"),
        pytest.raises(KeyError),
        _farthest_threads.shared_work(10**9) as each,
    ):
        each(fail, range(20))


def test_the_device_is_a_matter_of_work_and_of_what_torch_finds(monkeypatch):
    Z = np.random.RandomState(0).normal(size=(50, 3))
    rows = k_center(Z, None, 9)
    for device in ("cpu", "auto"):
        np.testing.assert_array_equal(k_center(Z, None, 9, device=device), rows)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**9, 10**9))
    assert _farthest_other_points.gpu_for(Z, 10) is None
    monkeypatch.setattr(_farthest_other_points, "_WORTH_A_GPU", 0)
    monkeypatch.setattr(_farthest_other_points, "_BLOCK_VALUES", 2**10)
    assert _farthest_other_points.gpu_for(Z, 10) == "cuda"
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**3, 10**9))
    assert _farthest_other_points.gpu_for(Z, 10) is None


def test_torch_multiplies_in_full_precision_and_keeps_the_users_choice():
    allowed = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with _farthest_other_points._full_precision(torch):
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(allowed)


def test_inputs_are_not_written_to(kind):
    rng = np.random.RandomState(0)
    Z, centers = kind(rng.normal(size=(300, 4))), kind(rng.normal(size=(70, 4)))
    for array in (Z, centers):
        numbers = array.data if sparse.issparse(array) else array
        numbers.flags.writeable = False
    k_center(Z, centers, 20, return_distances=True)
    k_center(Z, None, 20)


def test_entries_of_a_csr_matrix_may_be_twice_in_a_place_and_in_any_order():
    rng = np.random.RandomState(0)
    rows, columns, numbers = rng.randint(200, size=900), rng.randint(6, size=900), rng.normal(size=900)
    order = np.argsort(rows, kind="stable")
    ends = np.searchsorted(rows[order], np.arange(201))
    Z = sparse.csr_matrix((numbers[order], columns[order], ends), shape=(200, 6))
    entries = Z.data.copy()
    assert_is_brute_force(Z, Z[:3], 40)
    assert_is_brute_force(Z, Z[:0], 40)
    np.testing.assert_array_equal(Z.data, entries)


def test_the_layout_in_memory_does_not_matter():
    rng = np.random.RandomState(0)
    wide, centers = rng.normal(size=(300, 10)).astype(np.float32), rng.normal(size=(70, 5)).astype(np.float32)
    rows = k_center(wide[:, :5].copy(), centers, 20)
    for Z in (np.asfortranarray(wide[:, :5]), wide[:, :5], wide[:, 4::-1][:, ::-1]):
        np.testing.assert_array_equal(k_center(Z, np.asfortranarray(centers), 20), rows)
