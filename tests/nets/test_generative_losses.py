"""Losses of a VAE-ACGAN, by their laws."""

import torch
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.testing import assert_close

from skal.nets import generative_losses as losses

encoded = torch.randn(7, 10, generator=torch.Generator().manual_seed(0))
images = torch.rand(7, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_the_divergence_is_that_of_normal_distributions_and_0_from_themselves():
    mean, log_variance = encoded.chunk(2, dim=1)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).mean(dim=1)
    assert_close(losses.divergence(encoded), expected)
    assert_close(losses.divergence(torch.zeros(3, 8)), torch.zeros(3))


def test_draws_have_mean_and_deviation_of_the_encoding():
    noise = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0))
    drawn = losses.reparametrized(encoded[:1].expand(20_000, -1), noise)
    mean, log_variance = encoded[0].chunk(2)
    assert_close(drawn.mean(dim=0), mean, atol=0.03, rtol=0)
    assert_close(drawn.std(dim=0), (log_variance / 2).exp(), atol=0, rtol=0.03)


def test_the_mean_image_has_a_reconstruction_of_one():
    variance = images.var(dim=0, correction=0).mean()
    assert_close(losses.reconstruction(images.mean(dim=0), images, variance).mean(), torch.tensor(1.0))
    assert_close(losses.reconstruction(images, images, variance), torch.zeros(7))


def test_the_distance_is_euclidean_in_units_of_the_root_of_the_number_of_pixels():
    other = images.flip(0)
    expected = torch.linalg.vector_norm((images - other).flatten(1), dim=1) / (3 * 8 * 8) ** 0.5
    assert_close(losses.distance(other, images), expected)


def test_a_discriminator_is_judged_by_the_likelihood_of_the_truth():
    logits = encoded[:, :1]
    for real in (0, 1):
        expected = -Bernoulli(logits=logits[:, 0]).log_prob(torch.full((7,), float(real)))
        assert_close(losses.taken_for(logits, real), expected)


def test_rows_without_weight_do_not_count():
    values = torch.tensor([1.0, 2.0, 60.0])
    assert losses.mean(values, None) == 21
    assert losses.mean(values, torch.tensor([1.5, 1.5, 0.0])) == 1.5
