"""The pool guards its index space."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from skal.pool import Pool


@given(
    n=st.integers(1, 30),
    batches=st.lists(st.integers(1, 8), max_size=6),
    seed=st.integers(0, 1000),
    gaps=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_labelled_and_candidates_never_meet_and_add_up(n, batches, seed, gaps):
    """Bugs G5 and property 6: depleted pools that grow again, rows acquired twice."""
    rng = np.random.RandomState(seed)
    may_query = rng.uniform(size=n) < 0.7 if gaps else None
    y = rng.randint(3, size=n)
    pool = Pool(np.arange(n)[:, np.newaxis], may_query=may_query)
    n_open = n if may_query is None else may_query.sum()
    for number, size in enumerate(batches):
        rows = rng.permutation(pool.candidates)[:size]
        pool.label(rows, y[rows], number)
        assert not set(pool.labeled) & set(pool.candidates)
        assert len(pool.labeled) + len(pool.candidates) == n_open
        assert (pool.labeled_iter[rows] == number).all()
        np.testing.assert_array_equal(pool.y[pool.labeled], y[pool.labeled])
        np.testing.assert_array_equal(pool.take(pool.labeled)[:, 0], pool.labeled)
    assert len(pool) == n


@pytest.mark.parametrize(
    ("rows", "y", "words"),
    [
        ([1, 1], [0, 0], "distinct"),
        ([0, 3], [0, 0], "not labelled yet"),
        ([5], [0], "between 0 and 4"),
        ([-1], [0], "between 0 and 4"),
        ([1, 2], [0], "1 labels for 2 rows"),
        ([1], [0, 1], "2 labels for 1 rows"),
    ],
)
def test_what_would_corrupt_it_is_refused_and_leaves_it_unchanged(rows, y, words):
    pool = Pool(np.zeros((5, 2)))
    pool.label([3], [1], number=0)
    y_before, iter_before = pool.y.copy(), pool.labeled_iter.copy()
    with pytest.raises(ValueError, match=words):
        pool.label(rows, y, number=1)
    np.testing.assert_array_equal(pool.y, y_before)
    np.testing.assert_array_equal(pool.labeled_iter, iter_before)


def test_longer_strings_of_later_rounds_are_not_cut():
    pool = Pool(["a", "b", "c"])
    pool.label([0], np.array(["no"]), number=0)
    pool.label([2], np.array(["perhaps"]), number=1)
    assert pool.y[[0, 2]].tolist() == ["no", "perhaps"]


@pytest.mark.parametrize("y", [[0.5], np.array([True]), np.array([3], dtype=np.uint8), ["x"], [None]])
def test_the_first_labels_give_the_type(y):
    pool = Pool(np.zeros((3, 1)))
    pool.label([1], y, number=0)
    assert pool.y[1] == np.asarray(y)[0]


def test_no_rows_to_label_is_no_error():
    pool = Pool(np.zeros((3, 1)), dtype=int)
    pool.label([], [], number=0)
    assert len(pool.labeled) == 0


def test_the_container_stays_what_it_is():
    X = sparse.csr_array(np.eye(4))
    pool = Pool(X)
    assert pool.X is X
    assert sparse.issparse(pool.take([0, 2]))
    assert Pool(["a", "bc"]).take([1]) == ["bc"]


def test_masks_per_row_are_labels_too():
    pool = Pool(np.zeros((4, 2, 2)))
    masks = np.arange(8).reshape(2, 2, 2)
    pool.label([3, 1], masks, number=0)
    np.testing.assert_array_equal(pool.y[[3, 1]], masks)


@pytest.mark.parametrize("answer", [[2.7], ["cat"], [None]])
def test_a_later_label_of_another_kind_is_refused_and_changes_nothing(answer):
    pool = Pool(np.zeros((4, 1)))
    pool.label([0], [3], number=0)
    with pytest.raises(ValueError, match="not of the kind"):
        pool.label([1], answer, number=1)
    assert pool.labeled.tolist() == [0]
    pool.label([1], np.array([2.0]), number=1)  # a whole number is one, however it is written
    assert pool.y[[0, 1]].tolist() == [3, 2]


@pytest.mark.parametrize("sizes", [[(2, 2), (2, 2), (3, 1), (2, 2)], [(3, 1), (2, 2), (2, 2), (2, 2)]])
def test_masks_of_other_sizes_may_come_later(sizes):
    rng = np.random.RandomState(0)
    masks = [rng.randint(3, size=size) for size in sizes]
    pool = Pool([np.zeros(size) for size in sizes])
    pool.label([1], [masks[1]], number=0)
    pool.label([2, 0], [masks[2], masks[0]], number=1)
    pool.label([3], masks[3][np.newaxis], number=2)
    for row, mask in enumerate(masks):
        np.testing.assert_array_equal(pool.y[row], mask)


def test_masks_of_another_kind_are_refused():
    pool = Pool(np.zeros((4, 2, 2)))
    pool.label([0], np.zeros((1, 2, 2), dtype=np.uint8), number=0)
    with pytest.raises(ValueError, match="not of the kind"):
        pool.label([1], np.full((1, 2, 2), -1), number=1)
    rows = Pool(np.zeros((4, 2)))
    rows.label([0], [1], number=0)
    with pytest.raises(ValueError, match="masks after labels of another kind"):
        rows.label([1], np.zeros((1, 2, 2), dtype=int), number=1)
    assert rows.labeled.tolist() == [0]
