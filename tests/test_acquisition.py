"""Laws of acquisition functions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from skal.acquisition import entropy, least_confidence, margin

FUNCTIONS = [least_confidence, margin, entropy]
LARGEST = {  # at the uniform distribution over k classes
    least_confidence: lambda k: 1 - 1 / k,
    margin: lambda k: 1.0 if k > 1 else 0.0,
    entropy: np.log,
}

weights = arrays(
    float,
    array_shapes(min_dims=1, max_dims=4, max_side=5),
    elements=st.floats(0, 1, allow_subnormal=False) | st.just(0.0),
)


def distributions(weights):
    """Rows that sum to 1; a row of zeros becomes one-hot."""
    weights = weights.copy()
    weights[..., 0] += weights.sum(axis=-1) == 0
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("score", FUNCTIONS)
@given(weights=weights)
@settings(max_examples=50, deadline=None)
def test_one_score_a_row_from_zero_to_that_of_the_uniform_distribution(score, weights):
    proba = distributions(weights)
    before = proba.copy()
    scores = np.asarray(score(proba))
    assert scores.shape == proba.shape[:-1]
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
    assert (scores <= LARGEST[score](proba.shape[-1]) + 1e-12).all()
    np.testing.assert_array_equal(proba, before)


@pytest.mark.parametrize("score", FUNCTIONS)
@given(weights=weights, seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_classes_does_not_matter(score, weights, seed):
    proba = distributions(weights)
    order = np.random.RandomState(seed).permutation(proba.shape[-1])
    np.testing.assert_allclose(score(proba[..., order]), score(proba), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 10])
@pytest.mark.parametrize("score", FUNCTIONS)
def test_certain_rows_are_exactly_zero_and_uniform_rows_the_largest(score, k, dtype):
    certain = score(np.eye(k, dtype=dtype))
    np.testing.assert_array_equal(certain, 0)
    assert not np.signbit(certain).any()
    np.testing.assert_allclose(
        score(np.full((3, k), 1 / k, dtype=dtype)), LARGEST[score](k), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("score", FUNCTIONS)
def test_float32_agrees_with_float64_and_stays_narrow(score):
    proba = np.random.RandomState(0).dirichlet(np.ones(7), size=(3, 20))
    narrow = score(proba.astype(np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, score(proba), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("score", FUNCTIONS)
def test_a_softmax_that_underflowed_is_no_trouble(score):
    """Bugs G1 and G2: ``p * log(p)`` is NaN at p = 0, and NaN is what a sort puts first."""
    logits = np.array([[0.0, 200.0, -200.0], [1.0, 1.0, 1.0]], dtype=np.float32)
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    assert proba[0, 0] == 0
    scores = score(proba)
    assert scores[0] == 0 < scores[1]


@pytest.mark.parametrize("score", FUNCTIONS)
def test_a_probability_a_hair_above_one_gives_no_negative_score(score):
    assert score(np.array([[1 + 1e-7, 0.0]])).min() >= 0


@pytest.mark.parametrize("score", FUNCTIONS)
def test_two_classes_are_ranked_alike(score):
    """With two classes the three agree: all grow with the smaller probability."""
    p = np.linspace(0, 0.5, 40)
    assert (np.diff(score(np.stack([p, 1 - p], axis=1))) > 0).all()


def test_by_hand():
    proba = [0.5, 0.3, 0.2]
    assert least_confidence(proba) == pytest.approx(0.5)
    assert margin(proba) == pytest.approx(0.8)
    assert entropy(proba) == pytest.approx(-(0.5 * np.log(0.5) + 0.3 * np.log(0.3) + 0.2 * np.log(0.2)))
