"""Batches of images of different sizes."""

import numpy as np
import torch
from numpy.testing import assert_array_equal

from skal._rows import as_objects
from skal.nets.batches import Batches, Rows, weighted
from skal.nets.padded import ImageBatches, image_batches

SIZES = [(2, 3), (2, 3), (4, 2), (1, 5), (4, 2), (4, 2)]
images = as_objects([np.full(size, i + 1.0, dtype=np.float32) for i, size in enumerate(SIZES)])
codes = as_objects([np.full(size, i % 2, dtype=np.int8) for i, size in enumerate(SIZES)])


def test_a_training_batch_is_padded_and_what_is_padded_is_ignored():
    rows = Rows(weighted(images, np.arange(6.0)), codes)
    batches = image_batches(rows, None, 4, shuffle=True, device="cpu", generator=torch.Generator())
    assert isinstance(batches, ImageBatches)
    assert len(batches) == 2
    seen = []
    for X, own in batches:
        assert X["X"].shape == own.shape
        assert len(own) == 3
        for image, mask, weight in zip(X["X"], own, X["sample_weight"], strict=True):
            number = int(weight)
            height, width = SIZES[number]
            assert (image[:height, :width] == number + 1).all()
            assert (mask[:height, :width] == number % 2).all()
            outside = torch.ones_like(mask, dtype=torch.bool)
            outside[:height, :width] = False
            assert (mask[outside] == -1).all()
            assert (image[outside] == 0).all()
            seen.append(number)
    assert sorted(seen) == list(range(6))


def test_an_evaluation_batch_has_one_size_and_the_order_is_kept():
    batches = list(image_batches(Rows(images, codes), None, 2, shuffle=False, device="cpu"))
    assert [tuple(X.shape) for X, _ in batches] == [(2, 2, 3), (1, 4, 2), (1, 1, 5), (2, 4, 2)]
    assert [int(value) for X, _ in batches for value in X[:, 0, 0]] == [1, 2, 3, 4, 5, 6]
    some = image_batches(Rows(images), np.array([4, 5, 0]), 8, shuffle=False, device="cpu")
    assert [int(value) for X, _ in some for value in X[:, 0, 0]] == [5, 6, 1]


def test_epochs_differ_in_their_order_by_the_generator_alone():
    def epochs(seed):
        generator = torch.Generator().manual_seed(seed)
        batches = image_batches(Rows(images, codes), None, 3, shuffle=True, device="cpu", generator=generator)
        return [[X.max().item() for X, _ in batches] for _ in range(4)]

    assert epochs(0) == epochs(0) != epochs(1)
    assert len(set(map(tuple, epochs(0)))) > 1


def test_channels_and_images_of_one_size():
    colours = as_objects([np.ones((3, *size)) for size in SIZES])
    X, _ = next(iter(image_batches(Rows(colours, codes), None, 6, shuffle=True, device="cpu")))
    assert X.shape == (6, 3, 4, 5)
    same = image_batches(Rows(np.zeros((4, 2, 2))), None, 2, shuffle=False, device="cpu")
    assert isinstance(same, Batches)
    assert_array_equal([len(X) for X, _ in same], [2, 2])
