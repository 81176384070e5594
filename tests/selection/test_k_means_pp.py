"""Laws of `k_means_pp`: the distribution of k-means++, from rejections of an old table."""

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.stats import chisquare, ks_2samp

from skal.selection import _enclosure, _k_means_pp
from skal.selection._k_means_pp import k_means_pp
from skal.selection._outer import OuterProducts


def plain(Z, n, rng, first):
    """k-means++ by the definition; rows and the sum of squared distances before each draw."""
    chosen, distances = [first], ((Z - Z[first]) ** 2).sum(axis=1)
    sums = [distances.sum()]
    while len(chosen) < n:
        chosen.append(rng.choice(len(Z), p=distances / distances.sum()))
        distances = np.minimum(distances, ((Z - Z[chosen[-1]]) ** 2).sum(axis=1))
        sums.append(distances.sum())
    return chosen, sums


def probability(Z, rows):
    """Of this sequence of rows, given the first, by the definition."""
    distances = ((Z[:, np.newaxis] - Z) ** 2).sum(axis=-1)
    product = 1.0
    for place in range(1, len(rows)):
        nearest = distances[:, rows[:place]].min(axis=1)
        product *= nearest[rows[place]] / nearest.sum()
    return product


def gradients(n, k=4, m=9, seed=0):
    """Integer factors, so that rows are the same in each precision and container."""
    rng = np.random.RandomState(seed)
    A, H = rng.randint(-5, 6, size=(n, k)).astype(float), rng.randint(0, 6, size=(n, m)).astype(float)
    return A, H, (A[:, :, np.newaxis] * H[:, np.newaxis]).reshape(n, -1)


@pytest.mark.parametrize("renewals", ["as needed", "always"])
def test_three_rows_have_the_joint_distribution_of_the_definition(renewals, monkeypatch):
    if renewals == "always":
        monkeypatch.setattr(_k_means_pp, "_LEAST", 1)
        monkeypatch.setattr(_k_means_pp, "_MOST", 1)
        monkeypatch.setattr(
            _k_means_pp._Table, "is_dear", lambda table, chosen, *_: len(chosen) > table._n_known
        )
    A, H, G = gradients(5, k=2, m=2, seed=3)
    rng = np.random.RandomState(0)
    sequences = [(0, *rest) for rest in permutations(range(1, 5), 2)]
    counts = dict.fromkeys(sequences, 0)
    for _ in range(800):
        counts[tuple(k_means_pp(OuterProducts(A, H), 3, rng, first=0).tolist())] += 1
    expected = np.array([800 * probability(G, rows) for rows in sequences])
    assert abs(expected.sum() - 800) < 1e-6
    observed = np.array([counts[rows] for rows in sequences])
    rare = expected < 5
    assert observed[rare].sum() <= 5 * max(1, expected[rare].sum())
    grouped = [np.append(x[~rare], x[rare].sum()) for x in (observed, expected)]
    assert chisquare(*(x[: np.count_nonzero(~rare) + rare.any()] for x in grouped)).pvalue > 0.001


def test_a_large_batch_covers_as_the_definition_does():
    rng = np.random.RandomState(0)
    Z = rng.standard_t(2, size=(300, 3))  # a few rows far out, whose choice makes old distances useless
    ours, plains = [], []
    for _ in range(150):
        rows = k_means_pp(Z, 40, rng, first=7)
        ours.append(((Z[:, np.newaxis] - Z[rows]) ** 2).sum(axis=-1).min(axis=1).sum())
        plains.append(plain(Z, 40, rng, first=7)[1][-1])
    assert ks_2samp(ours, plains).pvalue > 0.001


def test_the_first_row_is_uniform_unless_given():
    Z = np.arange(8.0)[:, np.newaxis] ** 3
    counts = np.bincount([k_means_pp(Z, 1, seed)[0] for seed in range(400)], minlength=8)
    assert chisquare(counts).pvalue > 0.001
    assert {k_means_pp(Z, 2, seed, first=3)[0] for seed in range(9)} == {3}


def test_the_origin_is_no_centre():
    """Bug of scikit-activeml's Badge: distances started at min(|g|^2, ...), so small gradients never came."""
    Z = np.vstack([[[10.0, 0.0], [0.0, 10.0]], np.zeros((20, 2))])
    second = np.array([k_means_pp(Z, 2, seed, first=0)[1] for seed in range(100)])
    assert (second >= 2).mean() > 0.8  # 2000 of 2200


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["dense", "sparse", "outer"])
def test_no_row_comes_twice_and_no_copy_before_all_rows(kind, dtype):
    """Bugs of DISTIL and scikit-activeml: repeated rows, whose distance to a chosen one was not 0."""
    rng = np.random.RandomState(0)
    A, H = rng.normal(size=(6, 10)), 100 * rng.normal(size=(6, 64))
    A[5] = 0  # a gradient of zeros
    which = rng.permutation(np.repeat(np.arange(6), 40))
    A, H = A[which].astype(dtype), H[which].astype(dtype)
    G = (A[:, :, np.newaxis] * H[:, np.newaxis]).reshape(len(A), -1)
    Z = {"dense": G, "sparse": sparse.csr_matrix(G), "outer": OuterProducts(A, H)}[kind]
    for seed in range(4):
        rows = k_means_pp(Z, len(which), seed)
        assert set(which[rows[:6]]) == set(range(6))
        assert sorted(rows.tolist()) == list(range(len(which)))


def test_rows_at_distance_0_are_drawn_uniformly():
    """Bug of DeepAL+: it stopped in a debugger when all distances were 0."""
    Z = np.ones((9, 3))
    Z[4] = 2
    rng = np.random.RandomState(0)
    batches = [k_means_pp(Z, 5, rng, first=4) for _ in range(300)]
    assert {batch[0] for batch in batches} == {4}
    others = [row for row in range(9) if row != 4]
    for place in (1, 2, 4):  # the second by its distance, the others for lack of any
        counts = np.bincount([batch[place] for batch in batches], minlength=9)[others]
        assert chisquare(counts).pvalue > 0.001
    assert (k_means_pp(OuterProducts(np.zeros((9, 2)), Z), 9, 0) >= 0).all()


@pytest.mark.parametrize("first", [None, 5])
def test_the_batch_is_the_same_whatever_holds_the_rows(first):
    A, H, G = gradients(500)
    rows = k_means_pp(OuterProducts(A, H), 60, 3, first=first)
    single = OuterProducts(A.astype(np.float32), H.astype(np.float32))
    shuffled = np.random.RandomState(0).permutation(G.shape[1])  # sums are rounded in another order
    for Z in (single, OuterProducts(A, sparse.csr_matrix(H)), G, G.astype(np.int64), G.astype(np.float32)):
        np.testing.assert_array_equal(k_means_pp(Z, 60, 3, first=first), rows)
    for Z in (sparse.csr_matrix(G), G[:, shuffled], np.asfortranarray(G)):
        np.testing.assert_array_equal(k_means_pp(Z, 60, 3, first=first), rows)


@pytest.mark.parametrize("scale", [2.0**-120, 2.0**-40, 2.0**40, 2.0**120])
def test_the_unit_and_the_origin_do_not_matter(scale):
    A, H, G = gradients(300)
    rows = k_means_pp(G, 40, 1)
    np.testing.assert_array_equal(k_means_pp(scale * G, 40, 1), rows)
    np.testing.assert_array_equal(k_means_pp(OuterProducts(scale * A, H / scale), 40, 1), rows)
    np.testing.assert_array_equal(k_means_pp(G + 2.0**20, 40, 1), rows)


def test_a_seed_repeats_the_batch_and_a_random_state_moves_on():
    _, _, G = gradients(100)
    np.testing.assert_array_equal(k_means_pp(G, 20, 5), k_means_pp(G, 20, 5))
    assert k_means_pp(G, 20, 5).tolist() != k_means_pp(G, 20, 6).tolist()
    rng = np.random.RandomState(5)
    assert k_means_pp(G, 20, rng).tolist() == k_means_pp(G, 20, 5).tolist() != k_means_pp(G, 20, rng).tolist()


@pytest.mark.parametrize("n", [0, 1, 30])
def test_any_number_of_rows(n):
    Z = np.random.RandomState(0).normal(size=(30, 2))
    Z.flags.writeable = False
    rows = k_means_pp(Z, n, 0)
    assert (rows.shape, rows.dtype) == ((n,), np.intp)
    assert len(set(rows.tolist())) == n


def test_more_rows_than_there_are_is_refused():
    with pytest.raises(ValueError, match="n=4 of 3 rows"):
        k_means_pp(np.ones((3, 2)), 4, 0)


def test_distances_that_overflow_are_refused():
    with pytest.raises(ValueError, match="overflow"), np.errstate(over="ignore", invalid="ignore"):
        k_means_pp(1e200 * np.random.RandomState(0).normal(size=(9, 3)), 4, 0)


def test_few_rows_are_compared_with_the_chosen_ones(monkeypatch):
    """The plain form compares each row with each chosen one: 20,000 times 300."""
    compared = []
    expanded = _enclosure.Enclosure._expanded

    def counted(self, centers, dtype, device=None):
        compared.append(len(self) * len(centers))
        return expanded(self, centers, dtype, device)

    monkeypatch.setattr(_enclosure.Enclosure, "_expanded", counted)
    rng = np.random.RandomState(0)
    A, H = rng.normal(size=(20_000, 5)), rng.normal(size=(20_000, 10))
    A *= rng.exponential(size=(20_000, 1)) ** 2  # most gradients are small
    k_means_pp(OuterProducts(A, H), 300, 0, first=int((A**2).sum(axis=1).argmax()))
    assert sum(compared) < 0.1 * 20_000 * 300


def test_nothing_of_the_size_of_the_gradients_is_built():
    rng = np.random.RandomState(0)
    A, H = (rng.normal(size=(30_000, m)).astype(np.float32) for m in (25, 40))
    tracemalloc.start()
    k_means_pp(OuterProducts(A, H, bias=True), 200, 0)
    assert tracemalloc.get_traced_memory()[1] < 32 * 2**20  # the gradients would take 123 MB
    tracemalloc.stop()


def test_a_torch_device_changes_no_row(monkeypatch):
    A, H, _ = gradients(500)
    rows = k_means_pp(OuterProducts(A, H), 60, 3)
    monkeypatch.setattr(_enclosure, "_WORTH_A_GPU", 0)
    np.testing.assert_array_equal(k_means_pp(OuterProducts(A, H), 60, 3, device=torch.device("cpu")), rows)


@pytest.mark.parametrize("first", [None, 1])
def test_a_weight_is_as_good_as_so_many_copies(first):
    _, _, G = gradients(5, k=2, m=2, seed=3)
    weights = np.array([3, 1, 0, 2, 4])
    rng = np.random.RandomState(0)
    starts = range(5) if first is None else [first]
    sequences = [(start, row) for start in starts for row in range(5)]
    distances = ((G[:, np.newaxis] - G) ** 2).sum(axis=-1) * weights
    of_first = weights / weights.sum() if first is None else np.arange(5) == first
    expected = np.array([of_first[s] * distances[s, row] / distances[s].sum() for s, row in sequences])
    drawn = [tuple(k_means_pp(G, 2, rng, first=first, weights=weights).tolist()) for _ in range(1000)]
    counts = np.array([drawn.count(sequence) for sequence in sequences])
    assert counts[expected == 0].sum() == 0
    assert chisquare(counts[expected > 0], 1000 * expected[expected > 0]).pvalue > 1e-3


def test_rows_of_no_weight_come_last():
    Z = np.arange(6.0)[:, np.newaxis]
    rows = k_means_pp(Z, 6, 0, first=5, weights=[0, 1, 0, 1, 1, 1])
    assert set(rows[:4]) == {1, 3, 4, 5}
    assert set(rows[4:]) == {0, 2}
