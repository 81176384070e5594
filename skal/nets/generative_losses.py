"""The losses of a VAE-ACGAN, one for each row: of encoder, generator and discriminator.

The fourth, the classifier's, is its own criterion. Of a row x with label y there are the latent distribution
e(x), a draw z of it, the sibling ``g(z, y)``, and a sample ``g(z', y)`` of the class, with z' from N(0, I).
"""

import torch
from torch.nn import functional


def reparametrized(encoded, noise):
    """A draw of each row's latent normal distribution; (b, 2 m), (b, m) -> (b, m).

    Parameters
    ----------
    encoded : tensor of shape (b, 2 m)
        Means, then logarithms of variances.
    noise : tensor of shape (b, m)
        Draws from N(0, I).

    Examples
    --------
    >>> import torch
    >>> reparametrized(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.5]]))
    tensor([[3.5000]])
    """
    mean, log_variance = encoded.chunk(2, dim=1)
    return mean + noise * (log_variance / 2).exp()


def divergence(encoded):
    """Kullback-Leibler divergence of each row's distribution from N(0, I), in nats a dimension; -> (b,).

    ``mean over dimensions of (mu^2 + sigma^2 - ln sigma^2 - 1) / 2``.

    Examples
    --------
    >>> import torch
    >>> divergence(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    tensor([0., 2.])
    """
    mean, log_variance = encoded.chunk(2, dim=1)
    return (mean**2 + log_variance.exp() - log_variance - 1).mean(dim=1) / 2


def reconstruction(siblings, images, variance):
    """Mean squared difference of each image from its sibling, in units of a variance; -> (b,).

    With the variance of the images around their mean image, 1 is what that mean would score.
    """
    return ((siblings - images) ** 2).flatten(1).mean(dim=1) / variance


def distance(siblings, images):
    """Root of the mean squared difference of each image from its sibling; -> (b,)."""
    return ((siblings - images) ** 2).flatten(1).mean(dim=1).sqrt()


def taken_for(logits, real):
    """Cross-entropy of a discriminator's answer, where the truth is `real`, 0 or 1; (b,) -> (b,).

    Examples
    --------
    >>> import torch
    >>> taken_for(torch.tensor([0.0, 20.0]), real=1).round(decimals=3)
    tensor([0.6930, 0.0000])
    """
    logits = logits.flatten()
    return functional.binary_cross_entropy_with_logits(
        logits, torch.full_like(logits, real), reduction="none"
    )


def mean(losses, weight):
    """The mean over rows of loss times weight; None weighs all rows the same."""
    return (losses if weight is None else losses * weight.to(losses)).mean()
