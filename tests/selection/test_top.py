"""Laws of `top` and of the priority that orders ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from skal.selection import priority, top

some_scores = st.lists(
    st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 1.0, 7.0, np.inf]) | st.floats(-5, 5), min_size=1, max_size=40
)


def brute_force(scores, n, seed):
    """All rows, sorted as a list of tuples, best first."""
    keys = priority(seed, np.arange(len(scores)))
    ranked = sorted(range(len(scores)), key=lambda row: (scores[row], int(keys[row])), reverse=True)
    return ranked[:n]


@given(scores=some_scores, n=st.integers(0, 40), seed=st.integers(0, 2**64 - 1))
@settings(max_examples=150, deadline=None)
def test_top_is_the_beginning_of_a_full_sort(scores, n, seed):
    n = min(n, len(scores))
    rows = top(np.array(scores), n, seed)
    assert rows.dtype == np.intp
    assert rows.tolist() == brute_force(scores, n, seed)


@given(scores=some_scores, seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_smaller_batch_begins_a_larger_one(scores, seed):
    scores = np.array(scores)
    everything = top(scores, len(scores), seed)
    assert sorted(everything.tolist()) == list(range(len(scores)))
    for n in range(len(scores)):
        np.testing.assert_array_equal(top(scores, n, seed), everything[:n])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int8, np.int64, np.float32, bool])
def test_any_type_of_number_is_ranked(dtype):
    scores = np.array([0, 1, 0, 1, 1], dtype=dtype)
    assert set(top(scores, 3).tolist()) == {1, 3, 4}
    assert top(scores, 5).tolist() == brute_force(scores, 5, 0)


def test_the_extremes_of_integers_do_not_wrap_round():
    assert top(np.array([0, 255, 128], dtype=np.uint8), 3).tolist() == [1, 2, 0]
    lowest = np.iinfo(np.int64).min
    assert top(np.array([0, lowest, 1]), 3).tolist() == [2, 0, 1]
    assert top(np.array([2**53, 2**53 + 1]), 1).tolist() == [1]


def test_infinities_have_a_rank():
    assert top([0.0, np.inf, -np.inf, 1.0], 4).tolist() == [1, 3, 0, 2]
    assert set(top([-np.inf, -np.inf, 1.0], 2).tolist()) < {0, 1, 2}


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("where", [0, 2, 4])
def test_nan_is_refused_wherever_it_stands(where, n):
    """Bug G2: sorts put NaN last, so the reversed order asks for it first."""
    scores = np.arange(5.0)
    scores[where] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        top(scores, n)


def test_nothing_is_asked_of_nothing():
    assert top([], 0).shape == (0,)
    assert top([1.0, 2.0], 0).shape == (0,)


@pytest.mark.parametrize("n", [1, 3])
def test_ties_are_uniform_over_seeds(n):
    """Bug G6: a sort takes ties by position."""
    counts = np.zeros(10)
    for seed in range(2000):
        counts[top(np.zeros(10), n, seed)] += 1
    assert chisquare(counts).pvalue > 0.001
    assert counts.sum() == 2000 * n


def test_the_order_of_ties_is_uniform_too():
    firsts = [top(np.zeros(4), 4, seed)[0] for seed in range(2000)]
    lasts = [top(np.zeros(4), 4, seed)[-1] for seed in range(2000)]
    for rows in (firsts, lasts):
        assert chisquare(np.bincount(rows, minlength=4)).pvalue > 0.001


def test_ties_below_a_clear_winner_are_uniform():
    counts = np.zeros(9)
    for seed in range(2000):
        first, second = top([0, 0, 0, 0, 1, 0, 0, 0, 0], 2, seed)
        assert first == 4
        counts[second] += 1
    assert counts[4] == 0
    assert chisquare(np.delete(counts, 4)).pvalue > 0.001


@given(
    seed=st.integers(0, 2**64 - 1),
    cuts=st.lists(st.integers(0, 50), max_size=5),
)
@settings(max_examples=50, deadline=None)
def test_priority_is_the_same_for_any_split_into_blocks(seed, cuts):
    rows = np.arange(50)
    blocks = [priority(seed, block) for block in np.split(rows, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(blocks), priority(seed, rows))


def test_no_two_rows_share_a_priority_and_every_bit_is_fair():
    keys = priority(7, np.arange(20_000))
    assert keys.dtype == np.uint64
    assert len(np.unique(keys)) == len(keys)
    ones = [int((keys >> np.uint64(bit) & np.uint64(1)).sum()) for bit in range(64)]
    assert max(abs(count - 10_000) for count in ones) < 5 * np.sqrt(20_000) / 2


def test_seeds_next_to_each_other_are_unrelated():
    rows = np.arange(1000)
    orders = [np.argsort(np.argsort(priority(seed, rows))) for seed in range(4)]
    for i in range(4):
        for j in range(i):
            assert abs(np.corrcoef(orders[i], orders[j])[0, 1]) < 0.15


def test_inputs_are_not_written_to():
    scores = np.array([3.0, 1.0, 2.0])
    scores.flags.writeable = False
    assert top(scores, 2).tolist() == [0, 2]
