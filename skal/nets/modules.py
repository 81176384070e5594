"""The nets that `NetClassifier` takes where its user names none."""

import inspect
from copy import deepcopy
from math import prod

from torch import nn


class SmallCNN(nn.Module):
    """Two convolutions, then a dense layer with dropout; (b, h, w) or (b, c, h, w) -> (b, k) logits.

    The only dropout comes after the convolutions, so that they can be computed once for many draws.

    Parameters
    ----------
    in_shape : tuple of int
        Shape of one image: (h, w), (c, h, w), or (h, w, c) with 1 or 3 channels.
    n_classes : int
        Number of logits.
    channels : tuple of two int, default=(32, 64)
        Width of the convolutions.
    hidden : int, default=128
        Width of the dense layer.
    dropout : float in [0, 1), default=0.5
        Share of the dense layer that is dropped while training.

    Examples
    --------
    >>> import torch
    >>> SmallCNN((28, 28), n_classes=10)(torch.zeros(5, 28, 28)).shape
    torch.Size([5, 10])
    """

    def __init__(self, in_shape, n_classes, channels=(32, 64), hidden=128, dropout=0.5):
        super().__init__()
        self.channels_last = is_channels_last(in_shape)
        depth, height, width = channels_first(in_shape)
        shrink = 2 * max(2, -(-max(height, width) // 16))  # at most 8 x 8 values a channel are left
        left = prod(-(-size // shrink) for size in (height, width))
        self.features = nn.Sequential(
            nn.Conv2d(depth, channels[0], 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(channels[0], channels[1], 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(shrink // 2, ceil_mode=True),
            nn.Flatten(),
            nn.Linear(channels[1] * left, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.output = nn.Linear(hidden, n_classes)

    def forward(self, X):
        """Logits of a batch of images."""
        if X.ndim == 3:
            X = X.unsqueeze(1)
        elif self.channels_last:
            X = X.permute(0, 3, 1, 2)
        return self.output(self.features(X))


class SmallMLP(nn.Module):
    """Two dense layers with dropout; (b, m) -> (b, k) logits.

    Parameters
    ----------
    in_shape : tuple of int
        Shape of one row; more than one dimension is flattened.
    n_classes : int
        Number of logits.
    hidden : int, default=128
        Width of both layers.
    dropout : float in [0, 1), default=0.2
        Share of each layer that is dropped while training.

    Examples
    --------
    >>> import torch
    >>> SmallMLP((4,), n_classes=3)(torch.zeros(5, 4)).shape
    torch.Size([5, 3])
    """

    def __init__(self, in_shape, n_classes, hidden=128, dropout=0.2):
        super().__init__()
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(in_shape), hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.output = nn.Linear(hidden, n_classes)

    def forward(self, X):
        """Logits of a batch of rows."""
        return self.output(self.features(X))


def default_module(in_shape):
    """The module class for rows of a shape: `SmallCNN` for images, `SmallMLP` for flat rows."""
    if len(in_shape) == 1:
        return SmallMLP
    if len(in_shape) in (2, 3):
        return SmallCNN
    raise ValueError(
        f"X has {len(in_shape) + 1} dimensions and rows of shape {in_shape}: pass a module for them; "
        "without it, X is flat rows (n, m) or images (n, h, w) or (n, c, h, w)"
    )


def built(module, params, learned):
    """A module from its class, or a copy of the instance that is the starting weights.

    Parameters
    ----------
    module : class, callable or torch.nn.Module
        An instance that comes with `params` is built anew from its class, as in skorch.
    params : dict
        What the user set.
    learned : dict
        What the data says; given to a module that names it and whose user left it open.
    """
    if isinstance(module, nn.Module) and not params:
        return deepcopy(module)
    build = type(module) if isinstance(module, nn.Module) else module
    named = inspect.signature(build).parameters
    open_params = {name: value for name, value in learned.items() if name in named and value is not None}
    return build(**(open_params | params))


def is_channels_last(in_shape):
    """Whether the shape of an image is taken for (h, w, c), and not for (c, h, w) or (h, w)."""
    return len(in_shape) == 3 and in_shape[-1] in (1, 3) and in_shape[0] not in (1, 3)


def channels_first(in_shape):
    """The shape of an image as (c, h, w)."""
    if len(in_shape) == 2:
        return (1, *in_shape)
    return (in_shape[2], *in_shape[:2]) if is_channels_last(in_shape) else tuple(in_shape)
