"""Images and masks as users pass them."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal

from skal._images import (
    by_size,
    check_pairs,
    compact,
    encode_masks,
    has_pixels,
    mask_values,
    read_images,
    read_masks,
)
from skal._rows import as_objects

X = np.random.RandomState(0).rand(3, 5, 4)
mixed = [np.zeros((2, 3)), np.ones((4, 4)), np.full((2, 3), 2.0)]


def test_images_of_one_size_are_an_array_and_others_objects():
    for images in (
        X,
        list(X),
        tuple(X),
        as_objects(list(X)),
        torch.from_numpy(X),
        [torch.from_numpy(x) for x in X],
    ):
        assert_array_equal(read_images(images, "a net"), X)
    assert read_images(X.astype(object), "a net").dtype == float
    for images in (mixed, as_objects(mixed), pd.Series(mixed)):
        read = read_images(images, "a net")
        assert read.shape == (3,)
        assert read.dtype == object
        assert_array_equal(read[1], mixed[1])
    assert read_images([np.zeros((3, 5, 4), dtype=np.uint8)], "a net").dtype == np.uint8


def test_masks_may_be_missing():
    masks = read_masks([None, [[1, 2]], np.array([[3]], dtype=np.uint8)], "a net")
    assert_array_equal(has_pixels(masks, -1), [False, True, True])
    assert_array_equal(has_pixels(masks, 3), [False, True, False])
    assert_array_equal(mask_values(masks, 2), [1, 3])
    assert has_pixels(read_masks(-np.ones((2, 3, 3), dtype=int), "a net"), -1).sum() == 0


def test_groups_have_one_size_and_all_images():
    groups = list(by_size(read_images(mixed, "a net")))
    assert [rows.tolist() for rows, _ in groups] == [[0, 2], [1]]
    assert_array_equal(groups[0][1], [mixed[0], mixed[2]])
    ((rows, images),) = by_size(X)
    assert_array_equal(rows, [0, 1, 2])
    assert images is X


def test_objects_are_not_looked_into():
    assert as_objects([np.zeros(3), np.zeros(3)]).shape == (2,)
    assert compact(as_objects([np.zeros(3), np.zeros(3)])).shape == (2, 3)
    assert compact(as_objects([np.zeros(3), None])).shape == (2,)
    assert compact(as_objects([None, None])).dtype == object


@settings(max_examples=30, deadline=None)
@given(arrays(np.int16, (2, 3, 4), elements=st.sampled_from([-1, 0, 7, 255, 30000, -32768])))
def test_codes_are_places_in_the_values(masks):
    classes = mask_values(masks, -1)
    assert_array_equal(classes, np.setdiff1d(masks, [-1]))
    if len(classes):
        codes = encode_masks(masks, classes, -1)
        assert codes.dtype == np.int8
        assert_array_equal(np.where(codes < 0, -1, classes[codes]), masks)
        assert_array_equal(np.stack(list(encode_masks(as_objects(list(masks)), classes, -1))), codes)


def test_large_values_and_many_classes():
    masks = np.array([[[0, 2**40]]])
    assert_array_equal(mask_values(masks, -1), [0, 2**40])
    many = np.arange(300).reshape(1, 20, 15)
    assert_array_equal(encode_masks(many, np.arange(300), -1), many)
    assert_array_equal(mask_values([np.array([[True, False]])], -1), [False, True])


def test_unknown_labels_are_named():
    with pytest.raises(ValueError, match=r"does not know: \[5\].*\[0, 1\].*classes="):
        encode_masks(np.array([[[0, 5, -1]]]), np.array([0, 1]), -1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 4)), r"\(3, 4\).*X\[None\]"),
        (np.zeros((1, 2, 3, 4, 5)), "shape"),
        (np.zeros((2, 0, 4)), "shape"),
        ([np.zeros((2, 3)), np.zeros(3)], r"the image 1 of X has the shape \(3,\)"),
        ([np.zeros((2, 3)), np.zeros((1, 2, 3))], "channels"),
        ([np.zeros((2, 3)), np.full((1, 1), np.inf)], "infinity"),
        ([np.zeros((2, 3)), np.zeros((2, 2), dtype=np.uint8)], "uint8"),
        ([], "0 images"),
        (["a.png", "b.png"], r"the image 0 of X has the shape \(\)"),
    ],
)
def test_what_is_no_image_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        read_images(images, "a net")


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (None, "one mask for each image"),
        (np.zeros((2, 3, 3)), "float64"),
        (np.zeros((2, 3, 3), dtype=int).astype(str), "whole numbers"),
        (np.zeros((2, 1, 3, 3), dtype=int), r"\(2, 1, 3, 3\)"),
        ([1, 0], r"the mask 0 of y has the shape \(\)"),
        ([[[0, 1]], [[0.5]]], "float64"),
    ],
)
def test_what_is_no_mask_is_refused(masks, message):
    with pytest.raises(ValueError, match=message):
        read_masks(masks, "a net")


def test_pairs_have_one_size():
    check_pairs(X, np.zeros((3, 5, 4), dtype=int), "a net")
    check_pairs(np.zeros((3, 2, 5, 4)), np.zeros((3, 5, 4), dtype=int), "a net")
    check_pairs(X, as_objects([None, np.zeros((5, 4)), None]), "a net")
    with pytest.raises(ValueError, match=r"\(4, 5\) for the image 1"):
        check_pairs(X, as_objects([None, np.zeros((4, 5)), None]), "a net")
    with pytest.raises(ValueError, match="3 images in X and 2 masks"):
        check_pairs(X, np.zeros((2, 5, 4)), "a net")
