"""The loss of pixels: those without a label are never looked at."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import cross_entropy

from skal._rows import as_objects
from skal.nets.pixel_loss import pixel_loss, pixel_weights


def losses(logits, codes):
    return cross_entropy(logits, codes, reduction="none")


def random_batch(seed=0, b=3, h=9, w=7, k=4):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(b, h, w, k, generator=generator)
    return logits, torch.randint(-1, k, (b, h, w), generator=generator)


def test_it_is_torchs_mean_over_labelled_pixels():
    logits, codes = random_batch()
    classes_first = logits.movedim(-1, 1)
    torch.testing.assert_close(
        pixel_loss(losses, logits, codes), cross_entropy(classes_first, codes, ignore_index=-1)
    )
    weight = torch.tensor([0.5, 2, 1, 0])
    torch.testing.assert_close(
        pixel_loss(losses, logits, codes, class_weight=weight),
        cross_entropy(classes_first, codes, weight=weight, ignore_index=-1),
    )


@pytest.mark.parametrize("poison", [0.0, 1e30, float("nan"), float("inf")])
def test_pixels_without_a_label_change_no_bit_of_loss_and_gradient(poison):
    logits, codes = random_batch()
    poisoned = logits.clone()
    poisoned[codes == -1] = poison
    results = []
    for values in (logits, poisoned):
        values.requires_grad_()
        loss = pixel_loss(losses, values, codes, torch.tensor([1.0, 0.3, 2.0]), torch.tensor([1.0, 2, 3, 4]))
        loss.backward()
        results.append((loss.detach(), values.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert (results[1][1][codes == -1] == 0).all()


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 0.3, 2.0])])
def test_an_ignored_border_changes_no_bit(weight):
    logits, codes = random_batch()
    wide, wide_codes = torch.randn(3, 14, 12, 4), torch.full((3, 14, 12), -1)
    wide[:, 2:11, 3:10], wide_codes[:, 2:11, 3:10] = logits, codes
    one, other = pixel_loss(losses, logits, codes, weight), pixel_loss(losses, wide, wide_codes, weight)
    assert torch.equal(one, other)
    full = codes.clamp(min=0)
    wide_codes[:, 2:11, 3:10] = full
    assert torch.equal(pixel_loss(losses, logits, full, weight), pixel_loss(losses, wide, wide_codes, weight))


def test_batches_add_up_to_the_mean_over_all_pixels():
    logits, codes = random_batch(b=6)
    codes[0, 1:], codes[3, :, 2:] = -1, -1
    weight, by_class = pixel_weights(codes.numpy(), np.arange(4), np.ones(6), None)
    assert by_class is None
    weight = torch.from_numpy(weight)
    parts = [pixel_loss(losses, logits[i : i + 2], codes[i : i + 2], weight[i : i + 2]) for i in (0, 2, 4)]
    torch.testing.assert_close(sum(parts) / 3, pixel_loss(losses, logits, codes))


def test_weights_have_mean_one_over_images_and_know_sizes():
    codes = as_objects([np.array([[0, 1, -1]]), np.array([[1, 1], [1, 1]])])
    weight, by_class = pixel_weights(codes, np.array([3, 7]), np.array([1.0, 2.0]), {7: 0.5})
    assert_allclose(by_class, [1, 0.5])
    assert_allclose(weight, np.array([1, 2]) / np.mean([1.5, 4]))
    _, balanced = pixel_weights(codes, np.array([3, 5, 7]), np.ones(2), "balanced")
    assert_allclose(balanced[:2], [6 / (2 * 1), 6 / (2 * 5)])
    with pytest.raises(ValueError, match="zero"):
        pixel_weights(codes, np.array([3, 7]), np.zeros(2), None)
