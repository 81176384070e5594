"""Laws of `OuterProducts`: what is computed from factors is what the rows themselves would give."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from skal.selection._outer import OuterProducts, as_rows


def some_factors(n=40, k=3, m=7, seed=0):
    rng = np.random.RandomState(seed)
    return rng.normal(size=(n, k)), rng.normal(size=(n, m))


def explicit(A, H, bias=False):
    H = H.toarray() if sparse.issparse(H) else H
    H = np.hstack([H, np.ones((len(H), 1))]) if bias else H
    return (A[:, :, np.newaxis] * H[:, np.newaxis]).astype(np.float64).reshape(len(A), -1)


def distances(rows, others):
    return ((rows[:, np.newaxis] - others) ** 2).sum(axis=-1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_distances_are_the_explicit_ones(bias, container, scale):
    A, H = some_factors()
    A *= scale
    H[H < 0] = 0
    rows, G = OuterProducts(A, container(H), bias=bias), explicit(A, H, bias)
    assert rows.shape == G.shape
    np.testing.assert_allclose(rows.squared_distances(rows[:9]), distances(G, G[:9]), rtol=1e-9)
    np.testing.assert_allclose(rows.squared_norms(), (G**2).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(rows.inner(rows[::2]), G @ G[::2].T, rtol=1e-9, atol=1e-12 * scale**2)


def test_distances_of_single_precision_factors_are_taken_in_double_precision():
    A, H = (factor.astype(np.float32) for factor in some_factors(n=60, k=10, m=64))
    G = explicit(A.astype(np.float64), H.astype(np.float64))
    rows = OuterProducts(A, H)
    np.testing.assert_allclose(rows.squared_distances(rows), distances(G, G), rtol=1e-9)


@pytest.mark.parametrize("gap", [1e-2, 1e-5, 1e-8])
def test_near_copies_keep_their_distance(gap):
    """An expanded square loses them: |a|^2 + |b|^2 - 2 ab of numbers that agree in 8 digits has none left."""
    A, H = some_factors(n=60)
    others = OuterProducts(A + gap * some_factors(60, seed=1)[0], H * (1 + gap))
    rows, own = OuterProducts(A, H), np.arange(60)
    G, near = explicit(A, H), explicit(A + gap * some_factors(60, seed=1)[0], H * (1 + gap))
    want = ((G - near) ** 2).sum(axis=1)
    np.testing.assert_allclose(rows.paired(own, others, own), want, rtol=1e-15 / gap + 1e-9)
    np.testing.assert_allclose(rows.squared_distances(others)[own, own], want, rtol=1e-15 / gap + 1e-9)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_rows_are_at_distance_0(container, dtype):
    """Bug of DISTIL: the distance of a row to itself was 4.5e-6."""
    A, H = (np.repeat(1e3 * factor, 3, axis=0).astype(dtype) for factor in some_factors(k=10, m=130))
    rows = OuterProducts(A, container(H))
    same = np.repeat(np.arange(40), 3)
    between = rows.squared_distances(rows)
    assert (between[same[:, np.newaxis] == same] == 0).all()
    assert (between[same[:, np.newaxis] != same] > 0).all()


def test_the_same_products_of_other_factors_are_at_distance_0():
    A, H = some_factors()
    rows, own = OuterProducts(A, H), np.arange(40)
    for scale in (-1.0, 4.0, 0.1):
        others = OuterProducts(A * scale, H / scale)
        assert rows.paired(own, others, own).max() < 1e-28 * rows.squared_norms().max()
    assert rows.paired(own, OuterProducts(-A, -H), own).max() == 0


def test_rows_of_zeros_are_equal_whichever_factor_is_zero():
    A, H = some_factors(n=4)
    A[0], H[1] = 0, 0
    rows = OuterProducts(A, H)
    assert rows.paired(np.array([0]), rows, np.array([1])) == 0
    np.testing.assert_allclose(rows.squared_distances(rows)[:2, 2:], [rows.squared_norms()[2:]] * 2)


def test_slices_and_positions_take_rows():
    A, H = some_factors()
    rows, G = OuterProducts(A, H, bias=True), explicit(A, H, bias=True)
    for which in (slice(3, 9), np.array([4, 4, 0]), G[:, 0] > 0, [7]):
        np.testing.assert_allclose(rows[which].squared_norms(), (G[which] ** 2).sum(axis=1))
        assert rows[which].shape == G[which].shape


def test_plain_rows_have_the_distances_of_the_array():
    Z = np.random.RandomState(0).normal(size=(30, 5)) + 1e6
    for container in (np.asarray, sparse.csr_matrix):
        rows = as_rows(container(Z))
        np.testing.assert_allclose(rows.squared_distances(rows), distances(Z, Z), rtol=1e-9)
    single = Z.astype(np.float32)
    rows = as_rows(single)
    want = distances(single.astype(np.float64), single.astype(np.float64))
    np.testing.assert_allclose(rows.squared_distances(rows), want, rtol=1e-9)
    assert as_rows(rows) is rows


def test_nothing_of_the_size_of_the_rows_is_built():
    A, H = (factor.astype(np.float32) for factor in some_factors(n=40_000, k=25, m=32))
    tracemalloc.start()
    rows = OuterProducts(A, H, bias=True)
    rows.squared_norms()
    rows.inner(rows[:4])
    assert tracemalloc.get_traced_memory()[1] < 32 * 2**20  # the rows would take 128 MB
    tracemalloc.stop()
