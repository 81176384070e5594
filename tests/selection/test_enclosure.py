"""Laws of `Enclosure`: single precision decides, and the decisions are those of exact distances."""

import numpy as np
import pytest
import torch
from scipy import sparse

from skal.selection import _enclosure, priority
from skal.selection._enclosure import Enclosure, _rounded_up
from skal.selection._outer import OuterProducts, PlainRows


def some_rows(kind, n=300, seed=0, scale=1.0):
    """Rows with near and exact copies, and the distances between all."""
    rng = np.random.RandomState(seed)
    A, H = rng.normal(size=(n, 4)), np.maximum(rng.normal(size=(n, 30)), 0)
    A[n // 2 :], H[n // 2 :] = A[: n - n // 2], H[: n - n // 2]
    H[-n // 4 :] *= 1 + 1e-7 * rng.normal(size=(n // 4, 1))
    A, H = scale * A, H.astype(np.float32)
    if kind == "outer":
        rows = OuterProducts(A, H)
    else:
        offset = 1e4 if kind == "offset" else 0
        rows = PlainRows(sparse.csr_matrix(H) if kind == "sparse" else scale * H + offset)
    return rows, rows.squared_distances(rows)


KINDS = ["outer", "dense", "sparse", "offset"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e5])
def test_bounds_enclose_the_distance(kind, dtype, scale):
    rows, distances = some_rows(kind, scale=scale)
    enclosure = Enclosure(rows)
    if dtype in enclosure._precisions(enclosure):
        for centers in (enclosure[:3], enclosure[::5]):
            low, high = enclosure._bounds(centers, dtype)
            nearest = distances[:, :3] if len(centers) == 3 else distances[:, ::5]
            assert (low <= nearest.min(axis=1)).all()
            assert (high >= nearest.min(axis=1)).all()


def test_bounds_are_tight():
    rows, distances = some_rows("outer")
    low, high = Enclosure(rows)._bounds(Enclosure(rows[:1]), np.float32)
    assert (high - low).max() < 1e-4 * distances.max()


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_exact_distances(kind):
    rows, distances = some_rows(kind)
    enclosure, centers = Enclosure(rows), Enclosure(rows[::7])
    nearest = distances[:, ::7].min(axis=1)
    found, labels = enclosure.nearest(centers)
    np.testing.assert_allclose(found, nearest, rtol=1e-9, atol=1e-24)
    tied = distances[:, ::7] <= found[:, np.newaxis] * (1 + 1e-9)
    np.testing.assert_array_equal(labels, tied.argmax(axis=1))

    rng = np.random.RandomState(0)
    limits = nearest * rng.choice([0.5, 1 - 1e-6, 1 + 1e-6, 2.0], size=len(nearest))
    np.testing.assert_array_equal(enclosure.covered(centers, limits), nearest <= limits)
    within = enclosure.within(centers, limits)
    np.testing.assert_array_equal(within, limits >= distances[:, ::7].T)

    limits = distances[:, 5] * rng.choice([0.0, 1 - 1e-6, 1 + 1e-6], size=len(nearest))
    for label, (closer, how_close) in enumerate(enclosure.closer(enclosure[3:7], limits), start=3):
        np.testing.assert_array_equal(closer, np.flatnonzero(distances[:, label] < limits))
        np.testing.assert_allclose(how_close, distances[closer, label], rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_grid_holds_what_exact_distances_are_rounded_to(kind):
    rows, distances = some_rows(kind)
    enclosure = Enclosure(rows)
    table = enclosure.nearest_on_grid(enclosure[:4], np.full(len(rows), np.inf))
    exact = enclosure.nearest(enclosure[:4])[0]
    np.testing.assert_array_equal(table, _rounded_up(exact))
    later = enclosure.nearest_on_grid(enclosure[4:40], table)
    np.testing.assert_array_equal(later, _rounded_up(enclosure.nearest(enclosure[:40])[0]))
    assert (later >= distances[:, :40].min(axis=1) * (1 - 1e-9)).all()


def test_numbers_are_rounded_up_by_an_eighth_at_most():
    x = np.concatenate([[0.0], np.logspace(-300, 300, 100_001)])
    rounded = _rounded_up(x)
    assert (rounded >= x).all()
    assert (rounded <= x * 1.127).all()
    assert len(np.unique(rounded)) < 10 * 600 * np.log2(10)


def test_single_precision_decides_nearly_all(monkeypatch):
    rng = np.random.RandomState(0)
    rows = OuterProducts(rng.normal(size=(4000, 5)), rng.normal(size=(4000, 20)))
    asked = []
    nearest = Enclosure.nearest
    monkeypatch.setattr(Enclosure, "nearest", lambda self, c: asked.append(len(self)) or nearest(self, c))
    Enclosure(rows).nearest_on_grid(Enclosure(rows[:8]), np.full(4000, np.inf))
    assert sum(asked) < 40


@pytest.mark.parametrize("scale", [0.0, 1e-40, 1e-12, 1.0, 1e40])
def test_the_largest_row(scale):
    rng = np.random.RandomState(0)
    Z = rng.normal(size=(500, 6)).astype(np.float32).astype(np.float64)
    Z[[3, 50, 400]] = Z[(Z**2).sum(axis=1).argmax()]
    Z *= scale
    norms = (Z**2).sum(axis=1)
    for seed in range(5):
        tied = np.flatnonzero(norms >= norms.max() * (1 - 1e-12))
        assert Enclosure(PlainRows(Z)).largest(seed) == tied[priority(seed, tied).argmax()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_torch_device_changes_no_answer(kind, monkeypatch):
    rows, _ = some_rows(kind)
    known = np.full(len(rows), np.inf)
    on_numpy = Enclosure(rows).nearest_on_grid(Enclosure(rows[:40]), known)
    monkeypatch.setattr(_enclosure, "_WORTH_A_GPU", 0)
    monkeypatch.setattr(_enclosure, "_gpu", lambda: torch.device("cpu"))
    before = torch.get_float32_matmul_precision()
    on_torch = Enclosure(rows, device="auto").nearest_on_grid(Enclosure(rows[:40]), known)
    np.testing.assert_array_equal(on_torch, on_numpy)
    assert torch.get_float32_matmul_precision() == before
