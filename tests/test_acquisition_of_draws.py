"""Laws of acquisition functions of draws, and their definitions enumerated."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr

from skal import acquisition
from skal.acquisition import (
    entropy,
    epig,
    mean_std,
    mutual_information,
    predictive_entropy,
    variation_ratio,
    vote_entropy,
)


def vote_ratio(draws):
    return variation_ratio(draws, kind="vote")


FUNCTIONS = [mean_std, mutual_information, predictive_entropy, variation_ratio, vote_ratio, vote_entropy]
LARGEST = {
    mean_std: lambda k: 0.5,
    mutual_information: np.log,
    predictive_entropy: np.log,
    variation_ratio: lambda k: 1 - 1 / k,
    vote_ratio: lambda k: 1 - 1 / k,
    vote_entropy: np.log,
}


def random_draws(d, n, k, seed=0, zeros=True):
    rng = np.random.RandomState(seed)
    weights = rng.exponential(size=(d, n, k)) ** 3
    if zeros:
        weights *= rng.uniform(size=weights.shape) > 0.3
        weights[..., 0] += weights.sum(axis=-1) == 0
    return weights / weights.sum(axis=-1, keepdims=True)


draws_of_any_shape = st.builds(
    random_draws, st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(0, 1000), st.booleans()
)


@pytest.mark.parametrize("score", FUNCTIONS)
@given(draws=draws_of_any_shape)
@settings(max_examples=30, deadline=None)
def test_one_finite_score_a_row_in_its_range(score, draws):
    before = draws.copy()
    scores = score(draws)
    assert scores.shape == draws.shape[1:2]
    assert (scores >= 0).all()
    assert (scores <= LARGEST[score](draws.shape[2]) + 1e-12).all()
    np.testing.assert_array_equal(draws, before)


@pytest.mark.parametrize("score", FUNCTIONS)
@given(draws=draws_of_any_shape, seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_the_order_of_draws_and_rows_does_not_matter(score, draws, seed):
    rng = np.random.RandomState(seed)
    d, n, _ = draws.shape
    rows = rng.permutation(n)
    shuffled = draws[rng.permutation(d)][:, rows]
    np.testing.assert_allclose(score(shuffled), score(draws)[rows], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("score", FUNCTIONS)
def test_masks_are_scored_per_pixel(score):
    images = random_draws(4, 30, 3).reshape(4, 2, 3, 5, 3)
    np.testing.assert_allclose(score(images).ravel(), score(images.reshape(4, 30, 3)))


@pytest.mark.parametrize("score", FUNCTIONS)
def test_float32_draws_are_averaged_in_float64(score):
    draws = random_draws(30, 20, 7).astype(np.float32)
    assert score(draws).dtype == np.float64
    np.testing.assert_allclose(score(draws), score(draws.astype(np.float64)), rtol=1e-6, atol=1e-6)


def test_draws_that_agree_give_no_information_and_those_that_contradict_give_ln_k():
    proba = random_draws(1, 50, 4)
    np.testing.assert_allclose(mutual_information(np.repeat(proba, 7, axis=0)), 0, atol=1e-12)
    np.testing.assert_allclose(mean_std(np.repeat(proba, 7, axis=0)), 0, atol=1e-12)
    np.testing.assert_allclose(mutual_information(np.eye(4)[:, np.newaxis]), np.log(4))


@given(draws=draws_of_any_shape)
@settings(max_examples=50, deadline=None)
def test_information_is_the_mean_divergence_from_the_consensus(draws):
    divergence = rel_entr(draws, draws.mean(axis=0)).sum(axis=-1).mean(axis=0)
    np.testing.assert_allclose(mutual_information(draws), divergence, atol=1e-10)
    assert (mutual_information(draws) <= predictive_entropy(draws) + 1e-12).all()


def test_information_equals_its_definition_over_the_joint_of_label_and_draw():
    draws = random_draws(5, 20, 4)
    for row in range(20):
        joint = draws[:, row] / 5  # p(draw, label)
        of_label, of_draw = joint.sum(axis=0, keepdims=True), joint.sum(axis=1, keepdims=True)
        enumerated = sum(
            joint[t, c] * np.log(joint[t, c] / (of_label[0, c] * of_draw[t, 0]))
            for t, c in itertools.product(range(5), range(4))
            if joint[t, c] > 0
        )
        assert mutual_information(draws)[row] == pytest.approx(enumerated, abs=1e-10)


def test_votes_by_hand():
    """Five members vote 4, 1, 4, 4, 3: two of five are against class 4 (Beluch et al. 2018)."""
    draws = np.eye(5)[[4, 1, 4, 4, 3]][:, np.newaxis] * 0.5 + 0.1
    assert vote_ratio(draws)[0] == pytest.approx(2 / 5)
    assert vote_entropy(draws)[0] == pytest.approx(-(0.6 * np.log(0.6) + 0.4 * np.log(0.2)))
    assert variation_ratio(draws)[0] == pytest.approx(1 - (0.1 + 0.5 * 3 / 5))


def test_the_deviation_is_that_of_the_draws_and_not_of_their_mean():
    """Of a single distribution it would be 0 for all rows, which is arbitrary selection."""
    draws = random_draws(6, 9, 3)
    np.testing.assert_allclose(mean_std(draws), np.std(draws, axis=0).mean(axis=-1))
    assert (mean_std(draws) > 0).all()


def epig_by_definition(draws, targets):
    """The mutual information between label and target label, each pair of outcomes in turn."""
    d, n, k = draws.shape
    m = targets.shape[1]
    scores = np.zeros(n)
    for row, target, y, z in itertools.product(range(n), range(m), range(k), range(k)):
        both = np.mean([draws[t, row, y] * targets[t, target, z] for t in range(d)])
        alone = draws[:, row, y].mean() * targets[:, target, z].mean()
        scores[row] += both * np.log(both / alone) / m if both > 0 else 0
    return scores


@given(d=st.integers(1, 4), k=st.integers(1, 4), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_epig_equals_its_definition(d, k, seed):
    draws, targets = random_draws(d, 3, k, seed), random_draws(d, 2, k, seed + 1)
    np.testing.assert_allclose(epig(draws, targets), epig_by_definition(draws, targets), atol=1e-10)


def test_epig_in_blocks_is_epig(monkeypatch):
    draws, targets = random_draws(5, 40, 3), random_draws(5, 7, 3)
    whole = epig(draws, targets)
    monkeypatch.setattr(acquisition, "_BLOCK_VALUES", 3 * 3 * 7 * 4)
    np.testing.assert_allclose(epig(draws, targets), whole, atol=1e-12)


def test_epig_is_never_above_what_the_label_tells_of_the_model():
    draws = random_draws(8, 50, 4)
    assert (epig(draws, draws[:, :10]) <= mutual_information(draws) + 1e-12).all()
    alike = np.repeat(entropy(draws[:1]) * 0 + 1, 8, axis=0)[..., np.newaxis]
    np.testing.assert_array_equal(epig(alike, alike), 0)


@pytest.mark.parametrize("score", FUNCTIONS)
def test_draws_that_underflowed_to_zero_are_no_trouble(score):
    """Bugs G1 and G2: NaN would be ranked first, and the surest row be chosen."""
    sure = np.repeat([[1.0, 0.0, 0.0]], 4, axis=0)
    unsure = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.4, 0.4]])
    scores = score(np.stack([sure, unsure], axis=1).astype(np.float32))
    assert scores[0] == 0 < scores[1]


def test_information_of_float32_draws_is_that_in_float64():
    draws = random_draws(5, 6, 3).astype(np.float32)
    np.testing.assert_array_equal(mutual_information(draws), mutual_information(draws.astype(np.float64)))
    equal = np.repeat(draws[:1], 7, axis=0)
    np.testing.assert_allclose(mutual_information(equal), 0, atol=1e-12)


def test_a_probability_a_hair_below_zero_hides_no_unsure_row():
    proba = np.array([[-1e-17, 0.5, 0.5]])
    assert entropy(proba)[0] == pytest.approx(np.log(2))
    assert predictive_entropy(proba[np.newaxis])[0] == pytest.approx(np.log(2))
    contradicting = np.array([[[1.0, -1e-17]], [[-1e-17, 1.0]]])
    assert mutual_information(contradicting)[0] == pytest.approx(np.log(2))
    assert epig(contradicting, contradicting)[0] == pytest.approx(np.log(2))


def test_kinds_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match="no kind='votes'"):
        variation_ratio(random_draws(3, 2, 2), kind="votes")


@pytest.mark.parametrize("n_draws", [2, 3, 7, 20])
@pytest.mark.parametrize("k", [2, 3, 5, 12, 18])
def test_equal_draws_tell_nothing_and_opposite_ones_no_more_than_ln_k(n_draws, k):
    """To the last bit: else rounding would choose the rows, for every seed the same."""
    proba = np.random.RandomState(0).dirichlet(np.ones(k), 300)
    equal = np.repeat(proba[None], n_draws, axis=0)
    for function in (mutual_information, mean_std, acquisition.variance):
        assert (function(equal) == 0).all()
    assert mutual_information(np.eye(k)[:, None])[0] <= np.log(k)
    assert predictive_entropy(np.full((1, 1, k), 1 / k))[0] <= np.log(k)


def test_targets_under_other_draws_are_refused():
    draws = np.full((5, 7, 3), 1 / 3)
    for targets in (draws[:3], draws[:, :0], draws[0]):
        with pytest.raises(ValueError, match="draws of at least one target under the same 5 draws"):
            acquisition.epig(draws, targets)
