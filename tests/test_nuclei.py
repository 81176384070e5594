import numpy as np
import pytest
from scipy import ndimage

from skal._nuclei import make_nuclei


def test_images_and_masks_of_the_size_asked_for():
    for size in (16, 48, 64):
        images, masks = make_nuclei(5, size=size, random_state=0)
        assert (images.shape, images.dtype) == ((5, size, size), np.float32)
        assert (masks.shape, masks.dtype) == ((5, size, size), np.int64)
        assert 0 <= images.min() < images.max() <= 1
        assert set(np.unique(masks)) == {0, 1}
    assert make_nuclei(0)[0].shape == (0, 64, 64)


def test_an_image_hangs_on_the_seed_and_its_number_alone():
    state = np.random.get_state()[1].copy()
    few, many = make_nuclei(3, random_state=7), make_nuclei(8, random_state=7)
    for a, b in zip(few, many, strict=True):
        np.testing.assert_array_equal(a, b[:3])
    assert not np.array_equal(many[0][0], many[0][1])
    assert not np.array_equal(make_nuclei(1, random_state=8)[0][0], few[0][0])
    assert not np.array_equal(make_nuclei(1)[0], make_nuclei(1)[0])
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_nuclei_are_brighter_and_some_images_are_of_a_rare_kind():
    images, masks = make_nuclei(400, random_state=0)
    contrast = np.array(
        [image[mask == 1].mean() - image[mask == 0].mean() for image, mask in zip(images, masks, strict=True)]
    )
    assert (contrast > 0).all()
    counts = np.array([ndimage.label(mask)[1] for mask in masks])
    largest = np.array([np.bincount(ndimage.label(mask)[0].ravel())[1:].max() for mask in masks])
    assert 3 < np.median(counts) < 10
    assert 0.01 < (largest < 25).mean() < 0.05  # tiny nuclei
    assert 0.01 < (masks.mean(axis=(1, 2)) > 0.3).mean() < 0.15  # crowds
    assert 0.01 < (contrast < 0.09).mean() < 0.15  # dim ones


@pytest.mark.parametrize(("n", "size"), [(-1, 64), (3, 8)])
def test_what_can_not_be_drawn_is_refused(n, size):
    with pytest.raises(ValueError, match=f"n_samples={n} and size={size}"):
        make_nuclei(n, size=size)
