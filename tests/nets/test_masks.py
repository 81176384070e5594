"""Masks: their marginals, and what they hang on."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skal.nets._dropout import Dropout
from skal.nets._masks import Masks, Site, bernoulli


def call(x, p=0.3, mask_shape=None, alpha=False):
    return Dropout(x, p, tuple(x.shape) if mask_shape is None else mask_shape, alpha, False)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
def test_units_are_kept_with_the_probability_that_scales_them(p):
    keep, rate = bernoulli((0, 1, 2), p, range(200), 500)
    assert abs(rate - (1 - p)) <= 2**-17
    assert abs(keep.mean() - rate) <= 4 * np.sqrt(rate * (1 - rate) / keep.size)
    for axis in (0, 1):  # no row and no unit is favoured
        spread = np.sqrt(rate * (1 - rate) / keep.shape[axis])
        assert np.abs(keep.mean(axis) - rate).max() <= 5 * spread


def test_neighbours_are_independent():
    keep = bernoulli((0, 1, 2), 0.5, range(300), 300)[0] - 0.5
    for other in (
        keep[1:] * keep[:-1],
        keep[:, 1:] * keep[:, :-1],
        keep * bernoulli((0, 2, 2), 0.5, range(300), 300)[0],
    ):
        assert abs(4 * other.mean()) < 4 / 300


def test_rows_have_their_place_in_the_stream():
    whole, _ = bernoulli((3, 1, 2), 0.1, range(50), 13)
    assert_array_equal(bernoulli((3, 1, 2), 0.1, range(20, 35), 13)[0], whole[20:35])


@pytest.mark.parametrize("consistent", [True, False])
def test_seed_draw_call_and_row_make_the_mask(consistent):
    def factors(seed=0, draw=0, number=0, rows=range(4)):
        masks = Masks(seed, consistent)
        return masks.factors(draw, Site(number, 0), call(torch.ones(4, 50)), rows)(torch.ones(4, 50))

    first = factors()
    assert torch.equal(first, factors())
    assert not torch.equal(first, factors(seed=1))
    assert not torch.equal(first, factors(draw=1))
    assert not torch.equal(first, factors(number=1))
    assert torch.equal(first, factors(rows=range(4, 8))) == consistent
    assert (first[1:] == first[:1]).all() == consistent


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize(
    ("axis", "shape", "mask_shape"),
    [
        (0, (5, 40), None),
        (1, (7, 5, 8), None),
        (0, (5, 30, 4, 4), (5, 30, 1, 1)),
        (1, (30, 5, 4), (30, 5, 1)),
    ],
)
def test_the_axis_of_the_rows_is_the_one_that_is_shared(axis, shape, mask_shape, consistent):
    x = torch.ones(shape)
    masked = Masks(0, consistent).factors(0, Site(0, axis), call(x, mask_shape=mask_shape), range(5))(x)
    rows = masked.movedim(axis, 0)
    assert (rows == rows[:1]).all() == consistent
    assert 0 < (masked == 0).float().mean() < 0.6
    if mask_shape is not None:
        together = masked.flatten(sum(size > 1 for size in mask_shape))
        assert (together == together[..., :1]).all()


@pytest.mark.parametrize("outer", [True, False])
def test_rows_that_share_an_axis_with_steps_are_told_apart(outer):
    x = torch.ones(5 * 7, 20)
    masked = Masks(0, True).factors(0, Site(0, 0, outer), call(x), range(5))(x)
    steps = masked.unflatten(0, (5, 7)) if outer else masked.unflatten(0, (7, 5)).transpose(0, 1)
    assert (steps == steps[:1]).all()
    assert (steps[0] != steps[0, :1]).any()


def test_longer_sequences_go_on_with_the_masks_of_shorter_ones():
    short, long = torch.ones(3, 4, 10), torch.ones(3, 6, 10)
    masks = Masks(0, True)
    one, other = (masks.factors(0, Site(0, 0), call(x), range(3))(x) for x in (short, long))
    assert torch.equal(one, other[:, :4])


def test_alpha_dropout_keeps_mean_and_variance():
    x = torch.randn(400, 500, dtype=torch.float64)
    for p in (0.1, 0.5):
        dropped = Masks(0, False).factors(0, Site(0, 0), call(x, p, alpha=True), range(400))(x)
        assert_allclose(dropped.mean(), 0, atol=0.01)
        assert_allclose(dropped.var(), 1, atol=0.02)


def test_what_is_the_same_for_all_rows_has_no_mask_for_each_row():
    x = torch.ones(6, 8)
    assert Masks(0, True).factors(0, Site(0, None), call(x), range(3))(x).shape == (6, 8)
    with pytest.raises(TypeError, match="consistent=True"):
        Masks(0, False).factors(0, Site(0, None), call(x), range(3))
