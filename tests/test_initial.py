"""The first rows of a pool loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from skal import labels
from skal._initial import initial_rows
from skal.strategies import Margin, Random, Subsample
from skal.testing import Stub

X = np.arange(60.0).reshape(30, 2)
Y = np.repeat([0, 1, 2], [20, 8, 2])
ALL = np.ones(30, dtype=bool)


@pytest.mark.parametrize(
    "initial", ["random", "stratified", Random(), Subsample(Random(), size=12)], ids=repr
)
@pytest.mark.parametrize(
    ("n", "max_labels", "expected"), [(5, None, 5), (50, None, 10), (9, 4, 4), (4, 9, 4)]
)
def test_distinct_known_rows_as_many_as_asked_for(initial, n, max_labels, expected):
    is_known = np.arange(30) % 3 == 0
    rows = initial_rows(initial, X, Y, is_known, n, max_labels, seed=1)
    assert len(rows) == len(set(rows.tolist())) == expected
    assert is_known[rows].all()
    np.testing.assert_array_equal(rows, initial_rows(initial, X, Y, is_known, n, max_labels, seed=1))


@pytest.mark.parametrize("initial", ["random", Random(), Subsample(Random(), size=15)], ids=repr)
def test_the_seed_decides_and_every_row_has_the_same_chance(initial):
    counts = np.zeros(30)
    for seed in range(400):
        counts[initial_rows(initial, X, None, ALL, 3, None, seed)] += 1
    assert chisquare(counts).pvalue > 0.001


@given(seed=st.integers(0, 10_000), n=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_stratified_has_each_class_first_and_then_keeps_the_shares(seed, n):
    rows = initial_rows("stratified", X, Y, ALL, n, None, seed)
    counts = np.bincount(Y[rows], minlength=3)
    assert len(np.flatnonzero(counts)) == min(n, 3)
    if n >= 3:  # a class is at most one row, and the row it had ahead, from its share
        assert np.abs(counts - n * np.array([20, 8, 2]) / 30).max() <= 2


def test_stratified_takes_any_row_of_a_class_with_the_same_chance():
    counts = np.zeros(30)
    for seed in range(600):
        counts[initial_rows("stratified", X, Y, ALL, 6, None, seed)] += 1
    for label in range(3):
        assert chisquare(counts[label == Y]).pvalue > 0.001


def test_stratified_takes_strings_and_fewer_rows_than_classes():
    names = np.array(["a", "bb", "c"], dtype=object)[Y]
    for n in (1, 2):
        rows = initial_rows("stratified", X, names, ALL, n, None, seed=0)
        assert len(set(names[rows])) == n


def test_given_rows_are_taken_as_they_are():
    np.testing.assert_array_equal(initial_rows([7, 3], X, Y, ALL, 20, None, 0), [7, 3])
    np.testing.assert_array_equal(initial_rows(np.array([7], dtype=np.uint8), X, Y, ALL, 20, None, 0), [7])


@pytest.mark.parametrize(
    ("initial", "words"),
    [
        ([], "row numbers"),
        ([[1, 2]], "row numbers"),
        ([0.5, 1.0], "row numbers"),
        (ALL, "row numbers"),
        ([1, 1], "distinct"),
        ([-1, 2], "between 0 and 29"),
        ([30], "between 0 and 29"),
        ([2, 4, 0], "Row 4 of initial has no label"),
        ([0, 1, 2, 3], "max_labels allows 3"),
    ],
)
def test_bad_rows_are_refused_with_a_sentence(initial, words):
    is_known = np.arange(30) != 4
    with pytest.raises(ValueError, match=words):
        initial_rows(initial, X, Y, is_known, 20, 3, 0)


@pytest.mark.parametrize("strategy", [Margin(), Margin(Stub()), Subsample(Margin())], ids=repr)
def test_a_strategy_that_needs_labels_is_refused(strategy):
    with pytest.raises(TypeError, match="needs labels"):
        initial_rows(strategy, X, Y, ALL, 20, None, 0)


def test_masks_are_stratified_by_their_rarest_class():
    """Of 40 masks, all have 0, half have 1, and four have 2: with four rows there is one of each kind."""
    masks = np.zeros((40, 2, 2), dtype=int)
    masks[::2, 0, 0], masks[3::10, 1, 1], masks[:, 0, 1] = 1, 2, -1
    for y in (masks, labels.as_array([*masks[:-1], np.zeros((3, 1), dtype=int)])):
        for seed in range(5):
            rows = initial_rows("stratified", y, y, np.ones(40, dtype=bool), 10, None, seed)
            assert {int(y[row].max()) for row in rows[:3]} == {0, 1, 2}
            assert [int(y[row].max()) for row in rows].count(1) == 5
