"""How gaps in y are written and read."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skal import labels


def objects(*values):
    y = np.empty(len(values), dtype=object)
    y[:] = values
    return y


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.array([0, -1, 2]), [1, 0, 1]),
        ([0, -1, 2], [1, 0, 1]),
        (np.array([-1, -1]), [0, 0]),
        (np.array([-1, 1, 1]), [1, 1, 1]),  # scikit-learn's binary coding
        (np.array([-1, 0, 1]), [0, 1, 1]),
        (np.array([-1, 0]), [0, 1]),
        (np.array([-1, 2], dtype=np.int8), [0, 1]),
        (np.array([0, 255], dtype=np.uint8), [1, 1]),
        (np.array([True, False]), [1, 1]),
        (np.array([0.0, np.nan, -1.0]), [1, 0, 1]),  # the mark of floats is NaN alone
        (np.array(["a", "b"]), [1, 1]),
        (objects("a", None, "b"), [1, 0, 1]),
        (objects("a", -1, "b"), [1, 0, 1]),
        (objects("a", np.nan, None, -1), [1, 0, 0, 0]),
        (objects(-1, 1), [1, 1]),
        (objects(-1, 1, 2), [0, 1, 1]),
        (objects(None, None), [0, 0]),
        (pd.Series([0, -1, 2], index=[7, 8, 9]), [1, 0, 1]),
        (pd.Series(["a", None, "b"]), [1, 0, 1]),
        (pd.Series(["a", None, "b"], dtype="string"), [1, 0, 1]),
        (pd.Series(["a", None, "b"], dtype="category"), [1, 0, 1]),
        (pd.Series([1, None, 0], dtype="Int64"), [1, 0, 1]),
        (pd.Series([1, None, 0]), [1, 0, 1]),
        (objects(1, pd.NA, -1, 0), [1, 0, 0, 1]),
    ],
)
def test_auto_goes_by_the_type_of_y(y, expected):
    assert labels.known(y).tolist() == [bool(entry) for entry in expected]
    assert labels.read(y)[1].tolist() == [bool(entry) for entry in expected]


@pytest.mark.parametrize(
    ("y", "unlabeled", "expected"),
    [
        ([-1, 1, 1], -1, [0, 1, 1]),
        ([-1, 0, 1, 99], 99, [1, 1, 1, 0]),
        ([0, 255, 1], 255, [1, 0, 1]),
        (["cat", "?", "dog"], "?", [1, 0, 1]),
        (objects("cat", "?", None), "?", [1, 0, 1]),
        (objects("cat", "?", None), None, [1, 1, 0]),
        (objects("cat", "?", pd.NA), "?", [1, 0, 1]),
        ([0.0, np.nan], np.nan, [1, 0]),
        ([0.0, -1.0], -1, [1, 0]),
    ],
)
def test_a_given_mark_is_taken_literally(y, unlabeled, expected):
    assert labels.known(y, unlabeled).tolist() == [bool(entry) for entry in expected]


def test_known_classes_decide_whether_minus_one_is_one():
    assert labels.known([-1, 1], classes=[0, 1]).tolist() == [False, True]
    assert labels.known([-1, -1], classes=[-1, 1]).tolist() == [True, True]


@pytest.mark.parametrize(
    ("y", "unlabeled", "word"),
    [
        (np.array(["cat", "-1"]), "auto", "object"),
        (np.array(["cat", "None"]), "auto", "None"),
        (np.array(["cat", "nan"]), "auto", "nan"),
        (np.array(["cat", "dog"]), -1, "astype"),
        (np.array(["cat", "dog"]), None, "astype"),
    ],
)
def test_a_mark_that_became_a_string_is_refused(y, unlabeled, word):
    with pytest.raises(ValueError, match=word):
        labels.known(y, unlabeled)


def test_strings_of_numbers_are_classes():
    assert labels.known(np.array(["0", "1", "9"])).all()
    assert labels.known(np.array(["-1", "1"])).all()


def test_objects_that_are_numbers_become_numbers():
    y, is_known = labels.read(objects(1, None, 0))
    assert y.dtype.kind == "i"
    assert y[is_known].tolist() == [1, 0]
    y, is_known = labels.read(objects("a", None))
    assert y.dtype == object
    y, _ = labels.read(objects(True, None, False))
    assert y.dtype == bool


def test_reading_writes_to_nothing():
    y = objects(1, None, 0)
    before = y.tolist()
    labels.read(y)
    assert y.tolist() == before


@given(y=st.lists(st.integers(0, 5), min_size=1, max_size=30), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int8, np.float32, object])
def test_what_is_hidden_is_read_as_hidden(dtype, y, seed):
    y = np.array(y, dtype=dtype)
    is_known = np.random.RandomState(seed).uniform(size=len(y)) < 0.5
    before = y.copy()
    hidden = labels.hide(y, is_known)
    np.testing.assert_array_equal(y, before)
    np.testing.assert_array_equal(hidden[is_known], y[is_known])
    if set(hidden.tolist()) == {-1, 1}:  # reads as two classes: the declared exception
        is_known = np.ones_like(is_known)
    np.testing.assert_array_equal(labels.known(hidden), is_known)


@pytest.mark.parametrize(
    "y",
    [np.array(["a", "b"]), np.array([True, False]), np.array([-1, 1]), objects(-1, 1)],
    ids=["strings", "booleans", "minus one", "minus one, objects"],
)
def test_no_room_for_a_mark_is_refused(y):
    with pytest.raises(ValueError, match=r"mark|no label"):
        labels.hide(y, np.array([True, False]))


MASK, WIDE = np.array([[0, 2], [2, -1]]), np.array([[0, 0, 5]])
HIDDEN = np.full((2, 2), -1)


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.stack([MASK, HIDDEN, MASK]), [1, 0, 1]),
        ([MASK, HIDDEN, MASK], [1, 0, 1]),
        ([MASK.tolist(), HIDDEN.tolist()], [1, 0]),
        ([MASK, WIDE, HIDDEN], [1, 1, 0]),
        ([None, WIDE, MASK], [0, 1, 1]),
        ([MASK, None, MASK], [1, 0, 1]),
        (np.array([MASK, MASK], dtype=object), [1, 1]),
        (np.stack([MASK == 0, MASK == 2]), [1, 1]),
        (np.stack([np.where(MASK == 0, 1, -1)] * 2), [1, 1]),  # no binary coding: -1 is always the mark
    ],
    ids=str,
)
def test_masks_are_labels_where_a_pixel_is(y, expected):
    assert labels.known(y).tolist() == [bool(entry) for entry in expected]
    read, is_known = labels.read(y)
    assert is_known.tolist() == [bool(entry) for entry in expected]
    assert labels.are_masks(read)
    for given_mask, mask, known in zip(y, read, expected, strict=True):
        if known:
            np.testing.assert_array_equal(mask, given_mask)


def test_the_vocabulary_of_masks_is_that_of_their_pixels():
    assert labels.vocabulary([MASK, WIDE, None]).tolist() == [0, 2, 5]
    assert labels.vocabulary(np.stack([MASK, HIDDEN])).tolist() == [0, 2]
    assert labels.vocabulary([MASK % 256, WIDE], unlabeled=255).tolist() == [0, 2, 5]
    assert labels.known([MASK % 256, HIDDEN % 256, WIDE], unlabeled=255).tolist() == [True, False, True]


@pytest.mark.parametrize(
    "y", [np.stack([MASK, MASK, MASK]), np.stack([MASK, MASK, MASK]).astype(np.uint8) % 3]
)
def test_hidden_masks_are_full_of_marks(y):
    before = y.copy()
    hidden = labels.hide(y, np.array([True, False, True]))
    assert labels.known(hidden).tolist() == [True, False, True]
    np.testing.assert_array_equal(hidden[[0, 2]], y[[0, 2]])
    np.testing.assert_array_equal(y, before)
    hidden = labels.hide(labels.as_array([MASK, WIDE, MASK]), np.array([True, False, True]))
    assert hidden[1] is None
    np.testing.assert_array_equal(hidden[0], MASK)
    assert labels.hide(y, np.array([True, False, True]), unlabeled=9)[1].tolist() == [[9, 9], [9, 9]]


def test_masks_of_one_size_are_taken_as_one_array():
    y = labels.as_array([MASK, WIDE, MASK, None])
    assert labels.at(y, np.array([0, 2])).shape == (2, 2, 2)
    assert labels.at(y, np.array([True, True, False, False])).shape == (2,)
    assert labels.at(np.array([3, 4, 5]), np.array([2, 0])).tolist() == [5, 3]


@pytest.mark.parametrize(
    "y",
    [
        np.zeros((2, 3, 3)),
        [MASK, WIDE / 2],
        [MASK, np.zeros(3, dtype=int)],
        [MASK, np.zeros((1, 2, 2), dtype=int)],
    ],
    ids=["floats", "floats among integers", "flat", "cubes"],
)
def test_what_is_no_mask_is_refused(y):
    with pytest.raises(ValueError, match="A mask holds an integer for each pixel"):
        labels.read(y)
