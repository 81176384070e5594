"""Laws of `batch_bald`, the greedy batch of the largest joint mutual information."""

import numpy as np
import pytest
from scipy.special import entr
from scipy.stats import chisquare

from skal.acquisition import mutual_information
from skal.selection import _batch_bald, batch_bald, joint_mutual_information, priority


def some_draws(n_draws, n, k, seed=0, sharpness=2.0):
    rng = np.random.RandomState(seed)
    logits = sharpness * rng.normal(size=(n_draws, n, k)) * rng.uniform(0, 2, size=(1, n, 1))
    logits += 2 * rng.normal(size=(1, n, k))
    proba = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return proba / proba.sum(axis=-1, keepdims=True)


def exhaustive(draws, n):
    """The greedy batch by the definition, each joint enumerated, with the joint information of its parts."""
    chosen, information = [], []
    for _ in range(n):
        rest = [row for row in range(draws.shape[1]) if row not in chosen]
        values = [definition(draws[:, chosen + [row]]) for row in rest]
        chosen.append(rest[int(np.argmax(values))])
        information.append(max(values))
    return chosen, information


def definition(draws):
    joint = np.ones((len(draws), 1))
    for row in draws.swapaxes(0, 1):
        joint = (joint[:, :, np.newaxis] * row[:, np.newaxis]).reshape(len(draws), -1)
    return entr(joint.mean(axis=0)).sum() - entr(draws).sum() / len(draws)


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_greedy_batch_of_the_definition(k, seed):
    draws = some_draws(7, 25, k, seed)
    rows, information = exhaustive(draws, 4)
    found = batch_bald(draws, 4, seed=seed)
    assert found.tolist() == rows
    for m in range(1, 5):
        assert abs(joint_mutual_information(draws[:, found[:m]]) - information[m - 1]) < 1e-10


def test_the_first_row_is_the_argmax_of_bald_and_small_batches_begin_large_ones():
    draws = some_draws(10, 200, 5)
    whole = batch_bald(draws, 8)
    assert whole[0] == mutual_information(draws).argmax()
    for n in range(8):
        np.testing.assert_array_equal(batch_bald(draws, n), whole[:n])


def test_gains_add_up_to_the_joint_information_and_never_grow():
    draws = some_draws(12, 60, 3)
    rows = batch_bald(draws, 7)
    joint = [joint_mutual_information(draws[:, rows[:m]]) for m in range(1, 8)]
    gains = np.diff(joint, prepend=0.0)
    assert (gains > 0).all()
    assert (np.diff(gains) < 0).all()


@pytest.fixture
def spy(monkeypatch):
    """Counts of rows that were looked at, in products of outcomes and rows."""
    looked = []
    gains = _batch_bald._gains

    def counted(outcomes, draws):
        looked.append(len(outcomes.weights) * draws.shape[1])
        return gains(outcomes, draws)

    monkeypatch.setattr(_batch_bald, "_gains", counted)
    return looked


@pytest.mark.parametrize("max_outcomes", [20_000, 20])
def test_laziness_changes_no_row(max_outcomes, spy, monkeypatch):
    """Best first, with bounds from old gains and merged outcomes, against a look at every row each time."""
    draws = some_draws(40, 300, 5)
    lazy = batch_bald(draws, 12, max_outcomes=max_outcomes, n_samples=2000)
    n_lazy = sum(spy)
    spy.clear()
    monkeypatch.setattr(_batch_bald, "_GROUPS", 10**9)
    look = _batch_bald._best

    def at_every_row(fetch, bounds, levels, seed):
        return look(fetch, np.where(bounds > -np.inf, np.inf, -np.inf), levels, seed)

    monkeypatch.setattr(_batch_bald, "_best", at_every_row)
    np.testing.assert_array_equal(batch_bald(draws, 12, max_outcomes=max_outcomes, n_samples=2000), lazy)
    assert n_lazy < 0.4 * sum(spy)


def test_sampled_outcomes_find_a_batch_as_good_as_all_of_them():
    draws = some_draws(30, 150, 4, sharpness=1.0)
    exact = joint_mutual_information(draws[:, batch_bald(draws, 6)])
    sampled = joint_mutual_information(draws[:, batch_bald(draws, 6, max_outcomes=1, n_samples=2000)])
    assert exact - 0.005 < sampled <= exact + 1e-9 or sampled > exact


def test_a_batch_of_50_is_better_than_the_50_best_rows():
    groups = some_draws(60, 25, 4, sharpness=0.5)  # rows in 25 crowds of near copies, the best ones large
    by_score = np.argsort(-mutual_information(groups))
    draws = groups[:, np.repeat(by_score, np.arange(25, 0, -1))]
    draws = 0.99 * draws + 0.01 * some_draws(60, draws.shape[1], 4, seed=1)
    best = np.argsort(-mutual_information(draws))[:50]
    rows = batch_bald(draws, 50, n_samples=1000)
    assert len(set(rows.tolist())) == 50
    joint, single = (joint_mutual_information(draws[:, b], n_samples=20_000, seed=9) for b in (rows, best))
    assert joint > single + 0.1


def test_copies_are_avoided_where_the_best_scores_take_them():
    draws = np.repeat(some_draws(50, 8, 3, sharpness=6.0), 4, axis=1)  # rows 0-3 are copies, 4-7, ...
    best = np.argsort(-mutual_information(draws), kind="stable")[:4]
    assert len(set((best // 4).tolist())) == 1
    assert len(set((batch_bald(draws, 4) // 4).tolist())) == 4


@pytest.mark.parametrize("max_outcomes", [20_000, 1])
def test_a_probability_of_exactly_0_spoils_nothing(max_outcomes):
    """Bug G18: one certain row turns the scores of all rows into NaN."""
    draws = some_draws(10, 30, 3)
    draws[:, 7] = [1.0, 0.0, 0.0]
    draws[3, 8] = [0.0, 1.0, 0.0]
    with np.errstate(all="raise"):
        rows = batch_bald(draws, 5, max_outcomes=max_outcomes, n_samples=500)
    assert 7 not in rows
    if max_outcomes > 1:
        assert rows.tolist() == exhaustive(draws, 5)[0]


def test_equal_rows_have_the_same_chance_and_come_once():
    """Bug G6."""
    draws = np.repeat(some_draws(5, 1, 3), 9, axis=1)
    counts, lasts = np.zeros(9), np.zeros(9)
    for seed in range(600):
        rows = batch_bald(draws, 3, seed)
        counts[rows] += 1
        lasts[rows[-1]] += 1
    assert counts.max() <= 600
    assert chisquare(counts).pvalue > 0.001
    assert chisquare(lasts).pvalue > 0.001


def test_rows_without_information_are_tied():
    draws = np.repeat(some_draws(1, 20, 3), 6, axis=0)  # all draws agree
    rows = batch_bald(draws, 20, seed=3)
    assert sorted(rows.tolist()) == list(range(20))
    draws[:, 11] = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    rest = np.setdiff1d(np.arange(20), [11])
    assert batch_bald(draws, 2, seed=3).tolist() == [11, rest[priority(3, rest).argmax()]]


@pytest.mark.parametrize("n", [0, 1, 30])
def test_any_number_of_rows(n):
    rows = batch_bald(some_draws(6, 30, 3), n, max_outcomes=50, n_samples=100)
    assert (rows.shape, rows.dtype) == ((n,), np.intp)
    assert len(set(rows.tolist())) == n


def test_more_rows_than_the_draws_can_tell_apart():
    draws = some_draws(3, 60, 3, sharpness=8.0)
    rows = batch_bald(draws, 60, n_samples=300)
    assert sorted(rows.tolist()) == list(range(60))


def test_an_int_seed_repeats_the_batch_and_a_seed_has_64_bits():
    draws = some_draws(20, 100, 4)
    first = batch_bald(draws, 9, 5, max_outcomes=50, n_samples=200)
    np.testing.assert_array_equal(batch_bald(draws, 9, 5, max_outcomes=50, n_samples=200), first)
    assert batch_bald(draws, 3, 2**64 - 1).shape == (3,)


def test_the_order_of_rows_does_not_matter_without_ties():
    draws = some_draws(15, 80, 3)
    order = np.random.RandomState(0).permutation(80)
    moved = batch_bald(draws[:, order], 10, max_outcomes=100, n_samples=500)
    np.testing.assert_array_equal(order[moved], batch_bald(draws, 10, max_outcomes=100, n_samples=500))


def test_rows_are_fetched_when_they_may_be_chosen_and_all_else_is_left_alone():
    draws = some_draws(20, 4000, 4)
    draws[:, 1000:] = 0.1 * draws[:, 1000:] + 0.9 * draws[0, 1000:]
    scores = mutual_information(draws)
    fetched = set()

    def fetch(rows):
        fetched.update(np.asarray(rows).tolist())
        return draws[:, rows]

    rows = batch_bald(fetch, 5, scores=scores)
    np.testing.assert_array_equal(rows, batch_bald(draws, 5))
    assert len(fetched) < 2000


def test_inputs_are_not_written_to_and_may_be_float32():
    draws = some_draws(10, 50, 3)
    scores = mutual_information(draws)
    draws.flags.writeable = scores.flags.writeable = False
    rows = batch_bald(draws, 4, scores=scores)
    np.testing.assert_array_equal(rows, batch_bald(draws.astype(np.float32), 4))


@pytest.mark.parametrize("n", [-1, 2.5, "2"])
def test_a_batch_is_of_a_whole_number_of_rows(n):
    with pytest.raises(ValueError, match="pass a whole number from 0 on"):
        batch_bald(np.full((3, 6, 2), 0.5), n)
