"""Laws of the joint mutual information, and of merging outcomes."""

from itertools import product

import numpy as np
import pytest
from scipy.special import entr, xlogy

from skal.acquisition import mutual_information
from skal.selection import joint_mutual_information
from skal.selection._joint import JointLabels, entropies, merged


def some_draws(n_draws, n, k, seed=0, sharpness=3.0):
    logits = sharpness * np.random.RandomState(seed).normal(size=(n_draws, n, k))
    proba = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return proba / proba.sum(axis=-1, keepdims=True)


def definition(draws):
    """H[y_1, ..., y_n] - sum_i mean_t H[y_i | t], outcome by outcome."""
    n_draws, n, k = draws.shape
    joint = 0.0
    for labels in product(range(k), repeat=n):
        joint += entr(np.mean([np.prod([draw[i, y] for i, y in enumerate(labels)]) for draw in draws]))
    return joint - sum(entr(draw).sum() for draw in draws) / n_draws


@pytest.mark.parametrize(("n", "k"), [(1, 4), (2, 4), (3, 3), (4, 2), (4, 4)])
@pytest.mark.parametrize("sharpness", [0.5, 10.0])
def test_it_is_the_definition_enumerated(n, k, sharpness):
    draws = some_draws(5, n, k, sharpness=sharpness)
    assert abs(joint_mutual_information(draws) - definition(draws)) < 1e-10


def test_of_one_row_it_is_its_mutual_information():
    draws = some_draws(6, 1, 5)
    np.testing.assert_allclose(joint_mutual_information(draws), mutual_information(draws)[0], rtol=1e-12)


def test_copies_under_sure_draws_add_nothing():
    sure = np.eye(3)[np.random.RandomState(0).randint(3, size=(7, 1))]
    alone = joint_mutual_information(sure)
    np.testing.assert_allclose(joint_mutual_information(np.repeat(sure, 5, axis=1)), alone, rtol=1e-12)


def test_it_lies_between_the_largest_part_and_the_sum_of_all():
    draws = some_draws(20, 6, 3)
    parts, whole = mutual_information(draws), joint_mutual_information(draws)
    assert parts.max() < whole < min(parts.sum(), np.log(20))


@pytest.mark.parametrize("sharpness", [1.0, 4.0])
def test_the_sampled_is_close_to_the_exact(sharpness):
    draws = some_draws(30, 6, 4, sharpness=sharpness)
    exact = joint_mutual_information(draws)
    sampled = [
        joint_mutual_information(draws, max_outcomes=100, n_samples=3000, seed=seed) for seed in range(20)
    ]
    error = np.std(sampled) / np.sqrt(20)
    assert 0 < error < 2e-3
    assert abs(np.mean(sampled) - exact) < 4 * error


def test_hundreds_of_rows_do_not_underflow():
    draws = some_draws(10, 400, 3)
    assert joint_mutual_information(draws, n_samples=1000) == pytest.approx(np.log(10), abs=1e-9)


@pytest.mark.parametrize("max_outcomes", [20_000, 1])
def test_probabilities_of_exactly_0_give_no_nan(max_outcomes):
    """Bug G18: the logarithm of 0, times 0."""
    draws = np.round(some_draws(8, 4, 3, sharpness=5.0))
    draws[..., 0] = 1 - draws[..., 1:].sum(axis=-1)
    assert (draws == 0).any()
    with np.errstate(all="raise"):
        found = joint_mutual_information(draws, max_outcomes=max_outcomes, n_samples=8000)
    assert found == pytest.approx(definition(draws), abs=1e-10 if max_outcomes > 1 else 0.02)


def test_outcomes_that_cannot_happen_do_not_count():
    """Votes of trees: 3 ** 20 outcomes, of which four can happen."""
    votes = np.eye(3)[np.random.RandomState(0).randint(3, size=(4, 20))]
    assert joint_mutual_information(votes, max_outcomes=12) == pytest.approx(np.log(4), abs=1e-12)
    joint = JointLabels(max_outcomes=12, n_samples=1)
    for row in votes.swapaxes(0, 1):
        joint.add(row)
    outcomes = joint.outcomes(None)
    assert outcomes.exact
    assert len(outcomes.weights) == 4


@pytest.mark.parametrize("max_outcomes", [1000, 1])
def test_outcomes_are_weights_and_posteriors(max_outcomes):
    joint = JointLabels(max_outcomes, n_samples=1000)
    for row in some_draws(12, 4, 3).swapaxes(0, 1):
        joint.add(row)
    weights, posteriors, exact = joint.outcomes(np.random.RandomState(0))
    assert exact == (max_outcomes == 1000)
    assert posteriors.shape == ((81, 12) if exact else (1008, 12))
    np.testing.assert_allclose(weights.sum(), 1)
    np.testing.assert_allclose(posteriors.sum(axis=1), 1)
    np.testing.assert_allclose(weights @ posteriors, np.full(12, 1 / 12), atol=1e-12 if exact else 0.02)


def test_samples_are_fresh_and_follow_the_joint_predictive():
    draws = some_draws(3, 2, 2, sharpness=1.0)
    joint = JointLabels(1, n_samples=30_000)
    for row in draws.swapaxes(0, 1):
        joint.add(row)
    rng = np.random.RandomState(0)
    first, second = joint.outcomes(rng), joint.outcomes(rng)
    assert not np.array_equal(first.posteriors, second.posteriors)
    outcome = np.stack([np.prod(draws[:, [0, 1], labels], axis=1) for labels in product(range(2), repeat=2)])
    found, counts = np.unique(first.posteriors.round(9), axis=0, return_counts=True)
    expected = outcome / outcome.sum(axis=1, keepdims=True)
    order = np.lexsort(expected.T[::-1])
    np.testing.assert_allclose(found, expected[order], atol=1e-8)
    np.testing.assert_allclose(counts / counts.sum(), outcome.mean(axis=1)[order], atol=0.005)


def test_merging_bounds_the_information_of_every_further_row_from_above():
    draws = some_draws(25, 40, 4)
    joint = JointLabels(20_000, 1)
    for row in draws[:, :6].swapaxes(0, 1):
        joint.add(row)
    outcomes = joint.outcomes(None)
    last = np.zeros(34)
    for n_groups in (len(outcomes.weights), 1000, 100, 10, 1):
        weights, posteriors, _ = merged(outcomes, n_groups)
        np.testing.assert_allclose(weights.sum(), 1)
        np.testing.assert_allclose(weights @ posteriors, np.full(25, 1 / 25))
        predictive = np.einsum("md,dnk->mnk", posteriors, draws[:, 6:])
        information = weights @ entr(predictive).sum(axis=-1) - entr(draws[:, 6:]).sum(axis=-1).mean(axis=0)
        assert len(weights) <= n_groups
        assert (information >= last - 1e-12).all()
        last = information
    np.testing.assert_allclose(last, mutual_information(draws[:, 6:]))  # one group knows nothing


def test_entropies_are_exact_at_0_and_1():
    proba = np.array([[0.0, 1.0], [0.5, 0.5], [1e-320, 1.0]])
    np.testing.assert_allclose(entropies(proba), -xlogy(proba, proba).sum(axis=-1), atol=1e-300)
    assert entropies(proba)[0] == 0


def test_no_rows_tell_nothing():
    assert joint_mutual_information(np.zeros((5, 0, 3))) == 0
