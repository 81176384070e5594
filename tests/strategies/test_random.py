"""Random sampling is fair, in one round and over many."""

import numpy as np
import pytest
from scipy.stats import chisquare

from skal.strategies import Margin, Random, Subsample
from skal.testing import Stub


def test_every_row_has_the_same_chance():
    """Bug G5: drawing with replacement; bug G9: a fresh default generator draws the same rows each time."""
    X = np.zeros((12, 1))
    counts = np.zeros(12)
    for seed in range(600):
        rows = Random(random_state=seed).fit(X).select(X, 3)
        assert len(set(rows.tolist())) == 3
        counts[rows] += 1
    assert chisquare(counts).pvalue > 0.001


def test_every_row_has_the_same_chance_to_come_first():
    X = np.zeros((6, 1))
    firsts = [Random(random_state=seed).fit(X).select(X, 6)[0] for seed in range(600)]
    assert chisquare(np.bincount(firsts, minlength=6)).pvalue > 0.001


@pytest.mark.parametrize("fit", [True, False], ids=["fit each round", "fit once"])
@pytest.mark.parametrize(
    "strategy",
    [Random(random_state=0), Subsample(Random(), size=0.5, random_state=0)],
    ids=lambda s: type(s).__name__,
)
def test_one_seed_in_a_loop_does_not_pick_the_neighbours_of_the_last_batch(strategy, fit):
    """A pool that shrinks offers, at the same positions, the rows next to those that were taken."""
    X = np.arange(2000.0)[:, np.newaxis]
    unlabeled, labeled, distances = np.arange(2000), [], []
    strategy.fit(X[:0])
    for _ in range(10):
        if fit:
            strategy.fit(X[labeled])
        picked = unlabeled[strategy.select(X[unlabeled], 10)]
        distances += [np.abs(row - np.array(labeled)).min() for row in picked if labeled]
        labeled += picked.tolist()
        unlabeled = np.setdiff1d(unlabeled, picked)
    # 2000 rows, at most 90 of them labelled: chance puts one in twenty next to a labelled row.
    assert np.mean(np.array(distances) <= 2) < 0.35


def test_ties_of_one_seed_do_not_go_to_neighbours_either():
    X = np.ones((500, 2))
    y = np.arange(500) % 2
    unlabeled, labeled, near = np.arange(500), [0, 1], 0
    strategy = Margin(Stub(), random_state=0)
    for _ in range(20):
        [picked] = unlabeled[strategy.fit(X[labeled], y[labeled]).select(X[unlabeled], 1)]
        near += np.abs(np.array(labeled) - picked).min() <= 2
        labeled.append(picked)
        unlabeled = np.setdiff1d(unlabeled, picked)
    assert near < 8


def test_needs_neither_labels_nor_a_model_nor_a_table():
    for X in (np.zeros((5, 2, 2)), ["a", "b", "c"], [np.zeros(1), np.zeros(2)]):
        rows = Random(random_state=0).fit(X).select(X, len(X))
        assert sorted(rows.tolist()) == list(range(len(X)))
    assert Random().fit(np.empty((0, 3))).select(np.zeros((4, 3)), 2).shape == (2,)


def test_seeds_matter_and_none_is_fresh():
    X = np.zeros((1000, 1))

    def rows(seed):
        return Random(random_state=seed).fit(X).select(X, 5).tolist()

    assert rows(0) == rows(0) != rows(1)
    assert rows(None) != rows(None)
    state = np.random.RandomState(0)
    assert rows(state) != rows(state)
    assert rows(np.random.RandomState(0)) == rows(np.random.RandomState(0))
