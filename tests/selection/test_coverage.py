"""Laws of `max_coverage`, the greedy cover by balls."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import chisquare

from skal.selection import _coverage, k_center, max_coverage, priority
from skal.selection._coverage import Cover


def neighbours(Z, others, radius):
    """The definition, pair by pair in double precision."""
    Z, others = (np.asarray(A.toarray() if sparse.issparse(A) else A, dtype=np.float64) for A in (Z, others))
    squares = np.array([((others - z) ** 2).sum(axis=1) for z in Z])
    return squares <= radius**2 * (1 + 1e-12)


def brute_force(Z, centers, n, radius, seed):
    """The greedy cover until all is covered, then nothing."""
    balls = neighbours(Z, Z, radius)
    is_open = np.ones(len(balls), dtype=bool)
    if centers is not None and len(centers):
        is_open = ~neighbours(Z, centers, radius).any(axis=1)
    chosen = []
    while len(chosen) < n and is_open.any():
        counts = balls[:, is_open].sum(axis=1)
        tied = np.flatnonzero(counts == counts.max())
        chosen.append(tied[priority(seed, tied).argmax()])
        is_open &= ~balls[chosen[-1]]
    return chosen


@pytest.fixture(params=["all neighbours", "some neighbours", "no neighbours"])
def room(request, monkeypatch):
    """Memory for the lists of neighbours."""
    monkeypatch.setattr(_coverage, "_BLOCK_ROWS", 16)
    monkeypatch.setattr(_coverage, "_BLOCK_COLUMNS", 24)
    monkeypatch.setattr(_coverage, "_RECOUNTED", 4)
    kept = {"all neighbours": 2**24, "some neighbours": 300, "no neighbours": 0}[request.param]
    monkeypatch.setattr(_coverage, "_KEPT_NEIGHBOURS", kept)


def some_rows(kind, rng):
    n, m = rng.randint(60, 90), rng.randint(3, 6)
    Z = rng.normal(size=(n, m))
    if kind == "far":
        return Z + 1000
    if kind == "single":
        return Z.astype(np.float32)
    if kind == "copies":
        return Z[rng.randint(n // 3, size=n)]
    if kind == "lattice":  # distances are exactly 1, sqrt(2), ...
        return rng.randint(0, 4, size=(n, m))
    return Z


@pytest.mark.parametrize("kind", ["plain", "far", "single", "copies", "lattice"])
@pytest.mark.usefixtures("room")
def test_it_is_the_greedy_cover_of_the_definition(kind):
    for seed, radius in enumerate([0.5, 1.0, np.sqrt(2), np.sqrt(3)]):
        rng = np.random.RandomState(seed)
        Z = some_rows(kind, rng)
        centers = None if seed == 0 else Z[: 2 * seed - 2] + 0
        expected = brute_force(Z, centers, 25, radius, seed)
        assert expected
        found = max_coverage(Z, centers, 25, radius, seed)
        assert found[: len(expected)].tolist() == expected
        assert len(set(found.tolist())) == 25
        centers = None if centers is None else sparse.csr_matrix(centers)
        np.testing.assert_array_equal(max_coverage(sparse.csr_matrix(Z), centers, 25, radius, seed), found)


@pytest.mark.usefixtures("room")
def test_counts_are_those_of_the_definition():
    rng = np.random.RandomState(0)
    Z, centers = rng.normal(size=(80, 3)), rng.normal(size=(4, 3))
    is_open = ~neighbours(Z, centers, 0.8).any(axis=1)
    expected = neighbours(Z, Z, 0.8)[:, is_open].sum(axis=1)
    np.testing.assert_array_equal(Cover(Z, centers, 0.8).counts, expected)


@pytest.mark.parametrize("n", [499, 501, 1000])
def test_rows_at_the_end_can_be_chosen(n):
    """The authors' graph leaves out the last n mod 500 rows."""
    Z = np.random.RandomState(0).uniform(10, 1000, size=(n, 2))
    Z[-5:] = 0.01 * np.arange(10).reshape(5, 2)  # a crowd at the end, the largest
    assert max_coverage(Z, None, n=1, radius=0.5)[0] >= n - 5


@pytest.mark.usefixtures("room")
def test_once_all_is_covered_the_farthest_come_and_none_twice():
    """The authors' argmax of zeros is row 0, again and again, labelled or not."""
    Z = np.random.RandomState(0).normal(size=(60, 2))
    rows = max_coverage(Z, Z[:3], 60, radius=2.0, seed=4)
    assert sorted(rows.tolist()) == list(range(60))
    n = len(brute_force(Z, Z[:3], 60, 2.0, seed=4))
    assert 0 < n < 20
    rest = np.setdiff1d(np.arange(60), rows[:n])
    farthest = rest[k_center(Z[rest], np.vstack([Z[:3], Z[rows[:n]]]), 60 - n, 4)]
    np.testing.assert_array_equal(rows[n:], farthest)


def test_labelled_rows_cover_their_surroundings():
    Z = np.repeat([[0.0], [10.0], [20.0]], [30, 20, 10], axis=0)
    assert max_coverage(Z, None, 1, radius=1.0)[0] < 30
    assert 30 <= max_coverage(Z, np.array([[0.5]]), 1, radius=1.0)[0] < 50
    assert max_coverage(Z, np.array([[0.5], [9.5]]), 1, radius=1.0)[0] >= 50


@pytest.mark.parametrize("radius", [0.0, 1.0, np.inf])
@pytest.mark.parametrize("Z", [np.zeros((7, 2)), np.eye(7), np.arange(7.0)[:, np.newaxis]])
def test_any_number_of_rows_and_any_radius(Z, radius):
    whole = max_coverage(Z, None, 7, radius)
    assert (whole.dtype, sorted(whole.tolist())) == (np.intp, list(range(7)))
    for n in range(7):
        assert len(set(max_coverage(Z, np.empty((0, Z.shape[1])), n, radius).tolist())) == n
    with pytest.raises(ValueError, match="n=8 of 7 rows"):
        max_coverage(Z, None, 8, radius)


def test_equal_counts_have_the_same_chance():
    counts = np.zeros(9)
    for seed in range(300):
        counts[max_coverage(np.arange(9.0)[:, np.newaxis], None, 2, 0.5, seed)] += 1
    assert chisquare(counts).pvalue > 0.001


def test_the_order_of_rows_does_not_matter_without_ties():
    crowds = np.repeat(np.arange(6), [9, 7, 6, 4, 2, 1])
    Z = 10.0 * crowds[:, np.newaxis] + np.random.RandomState(0).uniform(size=(29, 1))
    order = np.random.RandomState(1).permutation(29)
    rows = max_coverage(Z, None, 6, radius=2.0)
    assert crowds[rows].tolist() == crowds[order][max_coverage(Z[order], None, 6, radius=2.0)].tolist()
    assert crowds[rows].tolist() == list(range(6))


def test_inputs_are_not_written_to():
    Z = np.random.RandomState(0).normal(size=(30, 3))
    centers = Z[:3].copy()
    Z.flags.writeable = centers.flags.writeable = False
    max_coverage(Z, centers, 20, radius=0.5)
