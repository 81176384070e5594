"""Laws of `lcmd`: the rows of a brute force in double precision, in order."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import chisquare

from skal.selection import _lcmd, priority
from skal.selection._enclosure import Enclosure
from skal.selection._lcmd import lcmd
from skal.selection._outer import OuterProducts


def brute_force(Z, centers, n, seed=0):
    Z, centers = np.asarray(Z, dtype=np.float64), [np.asarray(c, dtype=np.float64) for c in centers]
    chosen = []

    def largest(rows, values):
        tied = rows[values >= values.max() * (1 - 1e-12)]
        return tied[priority(seed, tied).argmax()]

    while len(chosen) < n:
        if not centers:
            row = largest(np.arange(len(Z)), (Z**2).sum(axis=1))
        else:
            distances = np.stack([((Z - center) ** 2).sum(axis=-1) for center in centers])
            nearest = distances.min(axis=0)
            labels = (distances <= nearest * (1 + 1e-12)).argmax(axis=0)
            sums = np.array([nearest[labels == label].sum() for label in range(len(centers))])
            heavy = (sums >= sums.max() * (1 - 1e-12))[labels]
            rows = np.setdiff1d(np.flatnonzero(heavy), chosen)
            row = largest(rows, nearest[rows])
        chosen.append(int(row))
        centers.append(Z[row])
    return chosen


def some_factors(n, seed, on_a_lattice):
    rng = np.random.RandomState(seed)
    if on_a_lattice:  # equal rows, equal distances, equal sums
        return rng.randint(-1, 2, size=(n, 3)).astype(float), rng.randint(0, 2, size=(n, 4)).astype(float)
    return rng.normal(size=(n, 3)), rng.normal(size=(n, 4))


@pytest.mark.parametrize("n_centers", [0, 1, 6])
@pytest.mark.parametrize("on_a_lattice", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_batch_of_the_brute_force(n_centers, on_a_lattice, seed):
    A, H = some_factors(70, seed, on_a_lattice)
    G = (A[:, :, np.newaxis] * H[:, np.newaxis]).reshape(len(A), -1)
    rows = brute_force(G[6:], G[:n_centers], 35, seed)
    assert lcmd(G[6:], G[:n_centers], 35, seed).tolist() == rows
    assert lcmd(sparse.csr_matrix(G[6:]), sparse.csr_matrix(G[:n_centers]), 35, seed).tolist() == rows
    gradients = OuterProducts(A, H)
    assert lcmd(gradients[6:], gradients[:n_centers], 35, seed).tolist() == rows
    single = G.astype(np.float32)
    rows = brute_force(single[6:], single[:n_centers], 35, seed)
    assert lcmd(single[6:], single[:n_centers], 35, seed).tolist() == rows


def test_offsets_and_near_copies_change_nothing():
    rng = np.random.RandomState(0)
    Z = rng.normal(size=(90, 5)).astype(np.float32)
    Z[45:] = Z[:45] * np.float32(1 + 1e-6)
    Z += np.float32(1000)
    assert lcmd(Z, Z[:3], 40).tolist() == brute_force(Z, Z[:3], 40)


def test_looking_ahead_saves_passes_and_changes_no_row(monkeypatch):
    rng = np.random.RandomState(0)
    Z = rng.normal(size=(3000, 8))
    passes = []
    closer = Enclosure.closer
    monkeypatch.setattr(Enclosure, "closer", lambda *arguments: passes.append(1) or closer(*arguments))
    ahead = lcmd(Z[500:], Z[:500], 150)
    assert len(passes) < 75
    monkeypatch.setattr(_lcmd, "_MOST_AHEAD", 0)
    np.testing.assert_array_equal(lcmd(Z[500:], Z[:500], 150), ahead)


def test_it_prefers_the_crowd_to_the_isolated_point():
    rng = np.random.RandomState(0)
    crowd, isolated = rng.normal(size=(100, 2)), [[8.0, 8.0]]
    Z = np.vstack([crowd, isolated])
    rows = lcmd(Z, np.array([[0.0, 0.0], [8.0, 0.0]]), n=3)
    assert 100 not in rows


def test_covered_rows_are_tied():
    Z = np.ones((6, 3))
    counts = np.zeros(6)
    for seed in range(200):
        rows = lcmd(Z, Z[:1], 3, seed)
        assert len(set(rows.tolist())) == 3
        counts[rows[0]] += 1
    assert chisquare(counts).pvalue > 0.001
    assert sorted(lcmd(OuterProducts(np.zeros((6, 2)), Z), None, 6).tolist()) == list(range(6))


def test_the_order_of_rows_does_not_matter_without_ties():
    rng = np.random.RandomState(0)
    Z, centers, order = rng.normal(size=(200, 4)), rng.normal(size=(5, 4)), rng.permutation(200)
    np.testing.assert_array_equal(order[lcmd(Z[order], centers, 50)], lcmd(Z, centers, 50))
    np.testing.assert_array_equal(order[lcmd(Z[order], None, 50)], lcmd(Z, None, 50))


@pytest.mark.parametrize("n", [0, 1, 30])
def test_any_number_of_rows(n):
    Z = np.random.RandomState(0).normal(size=(30, 2))
    Z.flags.writeable = False
    for centers in (None, np.empty((0, 2)), Z[:2]):
        rows = lcmd(Z, centers, n)
        assert (rows.shape, rows.dtype) == ((n,), np.intp)
        assert len(set(rows.tolist())) == n
    np.testing.assert_array_equal(lcmd(Z, Z[:2], n), lcmd(Z, Z[:2], 30)[:n])


def test_more_rows_than_there_are_is_refused():
    with pytest.raises(ValueError, match="n=4 of 3 rows"):
        lcmd(np.ones((3, 2)), None, 4)
