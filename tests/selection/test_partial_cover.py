"""Laws of partial covers: smaller problems with the same answer, and answers that cover."""

from itertools import combinations

import numpy as np
import pytest

from skal.selection._partial_cover import reduced, solve, swapped


def is_cover(within, columns, bound):
    return (~within[:, list(columns)].any(axis=1)).sum() <= bound


def has_cover(within, n, bound):
    """By enumeration."""
    n_columns = within.shape[1]
    return any(
        is_cover(within, chosen, bound) for chosen in combinations(range(n_columns), min(n, n_columns))
    )


def some_problems(n_problems=60):
    for seed in range(n_problems):
        rng = np.random.RandomState(seed)
        # Balls on a line: many rows and columns contain each other.
        rows, columns = rng.uniform(size=(12, 1)), rng.uniform(size=8)
        yield seed, np.abs(rows - columns) <= rng.uniform(0.02, 0.3), 1 + seed % 4, rng.randint(4)


def test_a_reduced_cover_has_the_same_answer_and_its_solutions_cover_all_rows():
    n_smaller = n_covers = 0
    for _, within, n, bound in some_problems(150):
        cover = reduced(within, bound)
        share, is_none = solve(cover, n)
        assert is_none == (not has_cover(within, n, bound))
        if not is_none:
            assert (share > 0.5).sum() <= n
            assert is_cover(within, cover.columns[share > 0.5], bound)
        n_covers += not is_none
        n_smaller += cover.within.size < within.size / 2
    assert 30 < n_covers < 120
    assert n_smaller > 100


def test_swaps_find_covers_and_nothing_else():
    n_found = n_covers = 0
    for seed, within, n, bound in some_problems():
        cover = reduced(within, bound)
        columns = swapped(cover, n, 200, np.random.RandomState(seed))
        n_covers += has_cover(within, n, bound)
        if columns is not None:
            n_found += 1
            assert len(np.unique(columns)) == min(n, len(cover.columns))
            assert is_cover(within, cover.columns[columns], bound)
    assert n_found == n_covers


def test_the_relaxed_problem_proves_no_more_than_the_whole_one():
    for _, within, n, bound in some_problems():
        cover = reduced(within, bound)
        share, is_none = solve(cover, n, relaxed=True)
        assert not (is_none and has_cover(within, n, bound))
        assert is_none or share.sum() <= n + 1e-6


def test_equal_rows_weigh_together_and_the_first_of_equal_columns_stays():
    within = np.repeat(np.eye(3, dtype=bool), [1, 2, 3], axis=0)
    cover = reduced(np.hstack([within, within]), bound=4)
    assert sorted(cover.weights) == [1, 2, 3]
    assert sorted(cover.columns) == [0, 1, 2]
    assert solve(cover, 1)[1] is False
    assert reduced(within, bound=2).weights.max() > 2


def test_rows_that_no_column_covers_are_outliers_or_prove_that_there_is_no_cover():
    within = np.array([[True, False], [False, False], [False, False]])
    assert solve(reduced(within, bound=2), 1)[1] is False
    assert solve(reduced(within, bound=1), 2)[1] is True
    assert swapped(reduced(within, bound=1), 2, 50, np.random.RandomState(0)) is None


@pytest.mark.parametrize("bound", [0, 3])
def test_without_rows_everything_is_a_cover(bound):
    cover = reduced(np.ones((0, 5), dtype=bool), bound)
    share, is_none = solve(cover, 1)
    assert not is_none
    assert len(share) == len(cover.columns)
    assert len(swapped(cover, 1, 10, np.random.RandomState(0))) == 1


def test_a_solver_out_of_time_says_that_it_does_not_know():
    rng = np.random.RandomState(0)
    cover = reduced(rng.uniform(size=(300, 300)) < 0.05, 0)
    assert solve(cover, 38, time_limit=1e-6) == (None, False)
