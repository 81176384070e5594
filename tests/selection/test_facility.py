"""Laws of `facility_location`, the greedy batch that has a similar row for every row."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.stats import chisquare

from skal.selection import _facility, facility_location, priority

METRICS = ["cosine", "euclidean"]


def likeness(Z, metric):
    """The definition, pair by pair in double precision."""
    Z = np.asarray(Z.toarray() if sparse.issparse(Z) else Z, dtype=np.float64)
    if metric == "cosine":
        lengths = np.sqrt((Z**2).sum(axis=1))
        Z = Z / np.where(lengths > 0, lengths, 1)[:, np.newaxis]
        return np.maximum(np.array([(Z * z).sum(axis=1) for z in Z]), 0)
    distances = np.array([np.sqrt(((Z - z) ** 2).sum(axis=1)) for z in Z])
    return distances.max() - distances


def brute_force(Z, candidates, n, seed, metric):
    similar = likeness(Z, metric)
    left = np.arange(len(similar)) if candidates is None else np.array(candidates)
    batch, chosen = np.zeros(len(similar)), []
    for _ in range(n):
        gains = np.array([np.maximum(similar[row] - batch, 0).sum() for row in left])
        tied = left[gains >= gains.max() * (1 - 1e-12) - 1e-14 * len(similar) * similar.max()]
        chosen.append(tied[priority(seed, tied).argmax()])
        batch = np.maximum(batch, similar[chosen[-1]])
        left = left[left != chosen[-1]]
    return chosen


def some_rows(kind, seed):
    rng = np.random.RandomState(seed)
    n, m = rng.randint(20, 50), rng.randint(1, 8)
    Z = rng.normal(size=(n, m))
    if kind == "far":
        return Z + 1000
    if kind == "single":
        return np.abs(Z).astype(np.float32)
    if kind == "copies":
        return Z[rng.randint(n // 3, size=n)]
    if kind == "ties":
        return rng.randint(0, 2, size=(n, m))
    return Z


KINDS = ["plain", "far", "single", "copies", "ties"]


@pytest.fixture(params=["lists", "few lists"])
def room(request, monkeypatch):
    """Memory for the rows that candidates are good for: enough for all, or for some and in many blocks."""
    monkeypatch.setattr(_facility, "_WORTH_A_LIST", 0.7)
    if request.param == "few lists":
        monkeypatch.setattr(_facility, "_KEPT_PAIRS", 300)
        monkeypatch.setattr(_facility, "_BLOCK_ROWS", 16)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("room")
def test_it_is_the_greedy_batch_of_the_definition(metric, kind):
    for seed in range(2):
        Z = some_rows(kind, seed)
        candidates = None if seed else np.random.RandomState(0).permutation(len(Z))[: len(Z) // 2]
        n = min(15, len(Z) // 2)
        expected = brute_force(Z, candidates, n, seed, metric)
        for form in (Z, sparse.csr_matrix(Z)):
            rows = facility_location(form, candidates, n, seed, metric=metric)
            assert rows.tolist() == expected


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_another_device_finds_the_same_rows(metric, kind):
    Z = some_rows(kind, 5)
    there = facility_location(Z, None, 15, 1, metric=metric, device=torch.device("cpu"))
    np.testing.assert_array_equal(there, facility_location(Z, None, 15, 1, metric=metric))


@pytest.mark.parametrize("metric", METRICS)
def test_the_sum_runs_over_all_rows_and_the_choice_over_candidates(metric):
    """Two candidates among a small crowd, one near a large crowd of rows that can't be chosen."""
    rng = np.random.RandomState(0)
    small, large = (center + 0.01 * rng.normal(size=(n, 2)) for center, n in (([1, 0], 5), ([0, 1], 50)))
    Z = np.vstack([small, large])
    assert facility_location(Z, [0, 1, 2, 5], n=1, metric=metric).tolist() == [5]
    assert set(facility_location(Z, [0, 1, 2, 5], n=4, metric=metric)) == {0, 1, 2, 5}


@pytest.mark.parametrize("metric", METRICS)
def test_the_greedy_sum_is_close_to_the_largest(metric):
    for seed in range(5):
        Z = np.random.RandomState(seed).normal(size=(11, 2))
        similar = likeness(Z, metric)
        best = max(similar[list(rows)].max(axis=0).sum() for rows in combinations(range(11), 3))
        greedy = similar[facility_location(Z, None, 3, metric=metric)].max(axis=0).sum()
        assert (1 - 1 / np.e) * best <= greedy <= best + 1e-9


def test_a_cosine_knows_no_length_and_a_distance_no_place():
    Z = np.random.RandomState(0).normal(size=(60, 5))
    lengths = np.random.RandomState(1).uniform(0.1, 10, size=(60, 1))
    turn = np.linalg.qr(np.random.RandomState(2).normal(size=(5, 5)))[0]
    np.testing.assert_array_equal(
        facility_location(Z, None, 9), facility_location(lengths * (Z @ turn), None, 9)
    )
    moved = [facility_location(form, None, 9, metric="euclidean") for form in (Z, 7 * (Z @ turn) + 3)]
    np.testing.assert_array_equal(*moved)


def test_products_without_length_are_no_cosine():
    """A public port divides by 1 where the lengths belong: long rows would be similar to all."""
    Z = np.vstack([np.tile([1.0, 0.0], (9, 1)), [[30.0, 40.0]]])
    assert facility_location(Z, None, 1)[0] != 9


@pytest.mark.parametrize("metric", METRICS)
def test_the_order_of_rows_does_not_matter_without_ties(metric):
    Z = np.random.RandomState(0).normal(size=(70, 4))
    order = np.random.RandomState(1).permutation(70)
    rows = facility_location(Z, None, 12, metric=metric)
    np.testing.assert_array_equal(order[facility_location(Z[order], None, 12, metric=metric)], rows)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_rows_have_the_same_chance_and_come_once(metric):
    Z = np.ones((8, 3))
    counts = np.zeros(8)
    for seed in range(200):
        rows = facility_location(Z, None, 3, seed, metric=metric)
        assert len(set(rows.tolist())) == 3
        counts[rows] += 1
    assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("Z", [np.zeros((6, 2)), np.eye(6), np.ones((6, 1))], ids=["zeros", "apart", "equal"])
def test_any_number_of_rows(metric, Z):
    whole = facility_location(Z, None, 6, metric=metric)
    assert (whole.dtype, sorted(whole.tolist())) == (np.intp, list(range(6)))
    for n in range(6):
        np.testing.assert_array_equal(facility_location(Z, None, n, metric=metric), whole[:n])
    with pytest.raises(ValueError, match="n=3 of 2 candidates"):
        facility_location(Z, [1, 4], 3, metric=metric)


def test_laziness_looks_at_few_pairs(monkeypatch):
    """The greedy search looks at 49 times the candidates; here most are looked at by short lists, or not."""
    looked = []
    compared = _facility._Gains._compared

    def counted(self, places):
        looked.append(len(places))
        return compared(self, places)

    monkeypatch.setattr(_facility._Gains, "_compared", counted)
    Z = np.random.RandomState(0).normal(size=(1000, 6))
    facility_location(Z, None, 50, metric="euclidean", device="cpu")
    assert 1000 <= sum(looked) < 7000


def test_inputs_are_not_written_to():
    Z = np.random.RandomState(0).normal(size=(30, 3))
    candidates = np.arange(20)
    Z.flags.writeable = candidates.flags.writeable = False
    for metric in METRICS:
        facility_location(Z, candidates, 5, metric=metric)
