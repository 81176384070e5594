"""Parts of a generator: any size from 8 x 8 to 64 x 64, and nothing that bounds the latent distribution."""

import pytest
import torch

from skal.nets.generative_modules import ImageDiscriminator, ImageEncoder, ImageGenerator


@pytest.mark.parametrize(
    "in_shape", [(1, 8, 8), (3, 9, 13), (1, 28, 28), (3, 32, 32), (1, 33, 64), (3, 64, 8)]
)
def test_any_size(in_shape):
    images = torch.rand(2, *in_shape)
    assert ImageEncoder(in_shape, 32, width=4)(images).shape == (2, 64)
    assert ImageDiscriminator(in_shape, width=4)(images).shape == (2,)
    made = ImageGenerator(in_shape, 32, 5, width=4)(10 * torch.randn(2, 32), torch.tensor([0, 4]))
    assert made.shape == images.shape
    assert ((made >= 0) & (made <= 1)).all()


def test_images_of_other_classes_are_others():
    generator = ImageGenerator((1, 8, 8), 32, 3)
    latent = torch.zeros(3, 32)
    made = generator(latent, torch.tensor([0, 1, 2]))
    assert not torch.allclose(made[0], made[1])
    assert torch.allclose(made[2], generator(latent[:1], torch.tensor([2]))[0], atol=1e-6)


def test_every_pixel_reaches_the_encoder():
    encoder = ImageEncoder((1, 13, 30), 32)
    images = torch.rand(1, 1, 13, 30, requires_grad=True)
    encoder(images).square().sum().backward()
    assert (images.grad != 0).float().mean() > 0.98


def test_nothing_bounds_means_and_variances():
    encoder = ImageEncoder((1, 8, 8), 32)
    torch.nn.init.normal_(encoder.output.weight)
    mean, log_variance = encoder(100 * torch.rand(20, 1, 8, 8)).chunk(2, dim=1)
    for part in (mean, log_variance):
        assert part.min() < -5
        assert part.max() > 5
