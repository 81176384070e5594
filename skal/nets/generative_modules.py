"""Encoder, class-conditional generator and discriminator of small images, (b, c, h, w) in [0, 1]."""

from itertools import pairwise
from math import ceil, log2

import torch
from torch import nn
from torch.nn import functional


class ImageEncoder(nn.Module):
    """Where a normal distribution lies that an image is drawn from; (b, c, h, w) -> (b, 2 * n_latent).

    The first half are means, the second logarithms of variances, both free: no function bounds them.

    Parameters
    ----------
    in_shape : tuple of int
        (c, h, w), sides from 8 to 64.
    n_latent : int
        Dimensions of the distribution.
    width : int, default=16
        Channels of the first convolution; each further one, which halves the image again, has twice as many.

    Examples
    --------
    >>> import torch
    >>> ImageEncoder((1, 28, 28), n_latent=64)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 128])
    """

    def __init__(self, in_shape, n_latent, width=16):
        super().__init__()
        self.shrink = _Shrink(in_shape, width, nn.ReLU())
        self.output = nn.Linear(self.shrink.n_out, 2 * n_latent)

    def forward(self, images):
        """Means and logarithms of variances."""
        return self.output(self.shrink(images))


class ImageGenerator(nn.Module):
    """Images of classes; (b, n_latent), (b,) -> (b, c, h, w) in [0, 1].

    Parameters
    ----------
    in_shape : tuple of int
        (c, h, w), sides from 8 to 64.
    n_latent : int
        Dimensions that an image is made from.
    n_classes : int
        The class of each image is given as a code below it.
    width : int, default=16
        Channels at half the image's size; each step down, to 8 x 8 or less, doubles them.

    Examples
    --------
    >>> import torch
    >>> generator = ImageGenerator((3, 32, 32), n_latent=64, n_classes=10)
    >>> generator(torch.zeros(5, 64), torch.arange(5)).shape
    torch.Size([5, 3, 32, 32])
    """

    def __init__(self, in_shape, n_latent, n_classes, width=16):
        super().__init__()
        depth, *self.size = in_shape
        self.n_classes = n_classes
        n_halvings = _halvings(self.size)
        channels = [depth, *(width * 2**i for i in range(n_halvings))][::-1]
        self.start = (channels[0], *(ceil(side / 2**n_halvings) for side in self.size))
        self.input = nn.Linear(n_latent + n_classes, channels[0] * self.start[1] * self.start[2])
        steps = [
            layer
            for before, after in pairwise(channels)
            for layer in (nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
        ]
        self.grow = nn.Sequential(*steps)

    def forward(self, latent, codes):
        """Images of the classes of these codes."""
        classes = functional.one_hot(codes, self.n_classes).to(latent)
        images = self.grow(self.input(torch.cat([latent, classes], dim=1)).unflatten(1, self.start))
        return images[..., : self.size[0], : self.size[1]].sigmoid()


class ImageDiscriminator(nn.Module):
    """Whether images are real; (b, c, h, w) -> (b,) logits.

    Parameters
    ----------
    in_shape : tuple of int
        (c, h, w), sides from 8 to 64.
    width : int, default=16
        As in `ImageEncoder`.

    Examples
    --------
    >>> import torch
    >>> ImageDiscriminator((1, 8, 8))(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5])
    """

    def __init__(self, in_shape, width=16):
        super().__init__()
        self.shrink = _Shrink(in_shape, width, nn.LeakyReLU(0.2))
        self.output = nn.Linear(self.shrink.n_out, 1)

    def forward(self, images):
        """Logits, high for what is taken for real."""
        return self.output(self.shrink(images)).squeeze(1)


class _Shrink(nn.Module):
    """Strided convolutions down to 8 x 8 values a channel or fewer; (b, c, h, w) -> (b, n_out)."""

    def __init__(self, in_shape, width, activation):
        super().__init__()
        depth, *size = in_shape
        n_halvings = _halvings(size)
        channels = [depth, *(width * 2**i for i in range(n_halvings))]
        left = [ceil(side / 2**n_halvings) for side in size]
        self.n_out = channels[-1] * left[0] * left[1]
        # A size that can't be halved so often is brought to one that can, or edges would be lost.
        self.padding = (0, left[1] * 2**n_halvings - size[1], 0, left[0] * 2**n_halvings - size[0])
        steps = [
            layer
            for before, after in pairwise(channels)
            for layer in (nn.Conv2d(before, after, 4, stride=2, padding=1), activation)
        ]
        self.layers = nn.Sequential(*steps, nn.Flatten())

    def forward(self, images):
        return self.layers(functional.pad(images, self.padding))


def _halvings(size):
    """How often the sides are halved until at most 8 are left of the longer; once at least."""
    return max(1, ceil(log2(max(size) / 8)))
