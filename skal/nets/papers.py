"""The nets of the papers that `skal.recipes` retells, written down anew; for images of (b, c, h, w)."""

from itertools import pairwise

import torch
from torch import nn

__all__ = ["VGG16", "KerasCNN", "ResNet18"]


class KerasCNN(nn.Sequential):
    """The convolutional nets of Keras's early examples, which Gal et al. and Beluch et al. took.

    Parameters
    ----------
    in_shape : tuple of int
        Shape of one image: (h, w) or (c, h, w).
    n_classes : int
    depth : {1, 2}, default=1
        Pairs of convolutions: one, of 4 x 4, for MNIST; two, of 3 x 3, for CIFAR-10.

    Examples
    --------
    >>> KerasCNN((1, 28, 28), n_classes=10)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 10])
    >>> KerasCNN((3, 32, 32), n_classes=10, depth=2)(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 10])
    """

    def __init__(self, in_shape, n_classes, depth=1):
        size, hidden = (4, 128) if depth == 1 else (3, 512)
        convolutions, before = [_AsChannels()], 1 if len(in_shape) == 2 else in_shape[0]
        for width in (32, 64)[:depth]:
            pair = [nn.Conv2d(before, width, size), nn.ReLU(), nn.Conv2d(width, width, size), nn.ReLU()]
            convolutions += [*pair, nn.MaxPool2d(2), nn.Dropout(0.25)]
            before = width
        convolutions.append(nn.Flatten())
        with torch.no_grad():
            left = nn.Sequential(*convolutions)(torch.zeros(1, *in_shape)).shape[1]
        super().__init__(
            *convolutions, nn.Linear(left, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, n_classes)
        )


class VGG16(nn.Sequential):
    """VGG-16 for images of 32 x 32, with batch normalisation and one hidden layer of 512 and dropout.

    Parameters
    ----------
    in_shape : tuple of int
        Shape of one image: (h, w) or (c, h, w), of 32 pixels or more.
    n_classes : int

    References
    ----------
    K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image recognition",
    ICLR 2015.

    Examples
    --------
    >>> VGG16((3, 32, 32), n_classes=10)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(self, in_shape, n_classes):
        layers, before = [_AsChannels()], 1 if len(in_shape) == 2 else in_shape[0]
        for width, n_layers in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(n_layers):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                before = width
            layers.append(nn.MaxPool2d(2))
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*layers, nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, n_classes))


class ResNet18(nn.Sequential):
    """ResNet-18 for small images: a 3 x 3 stem, and four stages of two blocks.

    Parameters
    ----------
    in_shape : tuple of int
        Shape of one image: (h, w) or (c, h, w).
    n_classes : int
    dropout : float in [0, 1), default=0
        Share of the features that is dropped before the last layer while training; draws need some.

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition", CVPR 2016.

    Examples
    --------
    >>> ResNet18((3, 32, 32), n_classes=10)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(self, in_shape, n_classes, dropout=0.0):
        channels = 1 if len(in_shape) == 2 else in_shape[0]
        widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
        blocks = [_Residual(before, after, 1 + (before != after)) for before, after in pairwise(widths)]
        super().__init__(
            _AsChannels(),
            nn.Conv2d(channels, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            *blocks,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(512, n_classes),
        )


class _Residual(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, and around them a shortcut."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        projection = nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
        self.shortcut = nn.Identity() if before == after else nn.Sequential(*projection)

    def forward(self, X):
        return torch.relu(self.body(X) + self.shortcut(X))


class _AsChannels(nn.Module):
    """Images of one channel may come without it: (b, h, w) -> (b, 1, h, w)."""

    def forward(self, X):
        return X.unsqueeze(1) if X.ndim == 3 else X
