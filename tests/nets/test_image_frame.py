"""Images from the form that a classifier gets them in to that of generators, and back."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skal.nets.image_frame import ImageFrame, like

rng = np.random.RandomState(0)


@pytest.mark.parametrize("shape", [(8, 9), (1, 8, 9), (3, 8, 9), (8, 9, 3), (8, 9, 1)])
def test_there_and_back(shape):
    X = rng.uniform(-2, 3, size=(5, *shape)).astype(np.float32)
    frame = ImageFrame.of(X, shape)
    unit = frame.unit(torch.from_numpy(X))
    assert unit.shape == (5, 3 if 3 in shape else 1, 8, 9)
    assert (unit.min(), unit.max()) == (0, 1)
    assert_allclose(frame.restored(unit).numpy(), X, atol=1e-6)
    assert frame.variance == pytest.approx(float(unit.var(dim=0, correction=0).mean()), rel=1e-4)


def test_channels_that_come_last_are_moved_and_not_reshaped():
    X = rng.rand(2, 8, 9, 3)
    assert_allclose(
        ImageFrame(X.shape[1:], 0, 1, 1).unit(torch.from_numpy(X)).numpy(), X.transpose(0, 3, 1, 2)
    )


def test_bytes_are_read_as_the_net_reads_them():
    X = rng.randint(200, size=(5, 64)).astype(np.uint8)
    frame = ImageFrame.of(X, (8, 8))
    assert (frame.low, frame.span) == (0, 1)
    rows = X.reshape(5, 8, 8) / 255
    assert frame.variance == pytest.approx(rows.var(axis=0).mean())
    assert_array_equal(like(rows, X), X)
    assert like(rows, X).dtype == np.uint8


def test_whole_numbers_stay_whole():
    X = np.array([[3, 16]], dtype=np.int16)
    assert_array_equal(like(np.array([[3.4, 15.8]]), X), [[3, 16]])
    assert like(np.array([[3.4, 15.8]]), X.astype(np.float32)).dtype == np.float32


def test_blank_images_do_no_harm():
    frame = ImageFrame.of(np.full((4, 8, 8), 7.0), (8, 8))
    assert (frame.low, frame.span, frame.variance) == (7, 1, 1)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((64,), "flat rows"),
        ((4, 8, 8), "one or three"),
        ((7, 8), "got 7 x 8"),
        ((3, 65, 20), "got 65 x 20"),
    ],
)
def test_what_is_no_image_is_refused(shape, words):
    with pytest.raises(ValueError, match=words):
        ImageFrame.of(np.zeros((2, *shape)), shape)
