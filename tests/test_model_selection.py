"""Folds over the labelled rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from skal.model_selection import LabeledKFold


@given(
    gaps=st.lists(st.booleans(), min_size=30, max_size=60),
    n_splits=st.integers(2, 4),
    shuffle=st.booleans(),
    kind=st.sampled_from(["ints", "floats", "objects", "series"]),
)
@settings(max_examples=40, deadline=None)
def test_each_labelled_row_is_tested_once_and_gaps_always_train(gaps, n_splits, shuffle, kind):
    gaps = np.array(gaps) & (np.arange(len(gaps)) >= 12)
    y = np.where(gaps, -1, np.arange(len(gaps)) % 3)
    if kind == "floats":
        y = np.where(gaps, np.nan, y)
    elif kind != "ints":
        y = np.array(["a", "b", "c", None], dtype=object)[y]
        y = pd.Series(y, index=np.arange(len(y))[::-1]) if kind == "series" else y
    folds = list(
        LabeledKFold(n_splits, shuffle=shuffle, random_state=0 if shuffle else None).split(
            np.zeros(len(y)), y
        )
    )
    assert len(folds) == n_splits
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.flatnonzero(~gaps))
    classes = np.where(gaps, -1, np.arange(len(gaps)) % 3)
    shares = np.array([np.bincount(classes[test], minlength=3) for _, test in folds])
    assert np.ptp(shares, axis=0).max() <= 1
    for train, test in folds:
        np.testing.assert_array_equal(np.sort(np.append(train, test)), np.arange(len(y)))
        assert (np.diff(train) > 0).all()


def test_without_gaps_it_is_a_stratified_k_fold():
    y = np.arange(40) % 3
    for params in ({}, {"shuffle": True, "random_state": 3}):
        ours, theirs = LabeledKFold(4, **params), StratifiedKFold(4, **params)
        for a, b in zip(ours.split(y, y), theirs.split(y, y), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])


def test_binary_coding_and_a_mark_of_ones_own():
    y = np.tile([-1, 1], 10)
    assert sum(len(test) for _, test in LabeledKFold(2).split(y, y)) == 20
    assert sum(len(test) for _, test in LabeledKFold(2, unlabeled=-1).split(y, y)) == 10


def test_number_of_splits_and_repr():
    assert LabeledKFold(3).get_n_splits() == 3
    assert "n_splits=3" in repr(LabeledKFold(3))


def test_too_few_splits_are_refused():
    with pytest.raises(ValueError, match="n_splits"):
        list(LabeledKFold(1).split(np.zeros(4), [0, 1, 0, 1]))


def test_what_can_not_be_split_is_refused():
    y = np.array([0, 1] * 5)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        next(LabeledKFold(2).split(np.zeros(4), y))
    with pytest.raises(ValueError, match="needs y"):
        next(LabeledKFold(2).split(np.zeros(10), None))
    with pytest.raises(ValueError, match="shuffle=True"):
        next(LabeledKFold(2, random_state=1).split(y, y))
