"""Labels as codes, and weights of rows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skal.labels import vocabulary
from skal.nets.targets import as_distribution, encode, per_row, row_weights

labels = st.one_of(*(st.lists(kind, min_size=1, max_size=20) for kind in (st.integers(-9, 9), st.text("ab"))))


@given(labels)
def test_encoding_and_decoding_are_inverse(y):
    classes = vocabulary(y)
    assert_array_equal(classes[encode(np.asarray(y), classes)], y)
    with pytest.raises(ValueError, match="does not know"):
        encode(np.append(y, [99 if isinstance(y[0], int) else "never"]), classes)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20))
def test_weights_have_mean_one_and_keep_their_ratios(weight):
    scaled = row_weights(np.zeros(len(weight)), weight, None)
    assert_allclose(scaled.mean(), 1)
    assert_allclose(scaled * weight[0], np.array(weight) * scaled[0])


def test_per_row_losses_average_to_the_loss():
    criterion, logits, y = torch.nn.CrossEntropyLoss(), torch.rand(5, 3), torch.tensor([0, 1, 2, 0, 1])
    with per_row(criterion):
        losses = criterion(logits, y)
    assert losses.shape == (5,)
    assert torch.isclose(losses.mean(), criterion(logits, y))
    with pytest.raises(TypeError, match="reduction"), per_row(lambda logits, y: 0):
        pass


def test_rows_become_exact_distributions_or_an_error():
    almost = np.array([[0.2, 0.8 + 1e-6]])
    assert_allclose(as_distribution(almost, "net").sum(axis=1), 1, rtol=1e-15)
    for wrong in ([[0.2, 0.2]], [[1.5, -0.5]]):
        with pytest.raises(ValueError, match="no probabilities"):
            as_distribution(np.array(wrong), "net")


def test_a_class_without_rows_may_have_a_weight():
    y = np.array([0, 0, 1])
    np.testing.assert_allclose(row_weights(y, None, {1: 4.0, 9: 5.0}), [0.5, 0.5, 2])
    np.testing.assert_allclose(row_weights(y, None, {9: 5.0}), np.ones(3))
