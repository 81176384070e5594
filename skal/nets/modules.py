"""The nets that `NetClassifier` and `SegmentationNet` take where their users name none."""

import inspect
from copy import deepcopy
from itertools import pairwise
from math import prod

import torch
from torch import nn
from torch.nn import functional


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


class SmallUNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) with dropout; (b, h, w) or (b, c, h, w) -> (b, k, h, w) logits.

    Images are padded inside to what its pooling needs, and the answer is cut to their size. There is no
    normalisation, so that an image is seen by itself, however few are in a batch. Whole channels are dropped,
    and only behind the encoder, which is then computed once for many draws.

    Parameters
    ----------
    in_channels : int
        Channels of an image.
    n_classes : int
        Number of logits of a pixel.
    channels : sequence of int, default=(16, 32, 64)
        Width of the convolutions at each resolution; each is half the one before.
    dropout : float in [0, 1), default=0.2
        Share of the channels that are dropped before each step up.

    References
    ----------
    O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image
    segmentation", MICCAI 2015.

    Examples
    --------
    >>> import torch
    >>> SmallUNet(in_channels=3, n_classes=2)(torch.zeros(5, 3, 17, 30)).shape
    torch.Size([5, 2, 17, 30])
    """

    def __init__(self, in_channels, n_classes, channels=(16, 32, 64), dropout=0.2):
        super().__init__()
        channels = tuple(channels)
        widths = (in_channels, *channels)
        self.encoder = nn.ModuleList(_two_convolutions(*pair) for pair in pairwise(widths))
        self.dropout = nn.Dropout2d(dropout)
        self.up = nn.ModuleList(nn.Conv2d(low, high, 3, padding=1) for high, low in pairwise(channels))
        self.decoder = nn.ModuleList(_two_convolutions(2 * high, high) for high in channels[:-1])
        self.output = nn.Conv2d(channels[0], n_classes, 1)
        _keep_scale(self.encoder, self.decoder)

    def forward(self, X):
        """Logits of the pixels of a batch of images."""
        X = X.unsqueeze(1) if X.ndim == 3 else X
        height, width = X.shape[2:]
        step = 2 ** len(self.up)
        X = functional.pad(X, (0, -width % step, 0, -height % step))
        maps = []
        for block in self.encoder[:-1]:
            maps.append(block(X))
            X = functional.max_pool2d(maps[-1], 2)
        X = self.encoder[-1](X)
        for up, block, beside in zip(reversed(self.up), reversed(self.decoder), reversed(maps), strict=True):
            X = functional.interpolate(up(self.dropout(X)), scale_factor=2)
            X = block(torch.cat([X, beside], dim=1))
        return self.output(X)[:, :, :height, :width]


class SmallFCN(nn.Module):
    """Two convolutions at two resolutions and a step up; (b, h, w) or (b, c, h, w) -> (b, k, h, w) logits.

    The smaller and faster alternative to `SmallUNet`, with coarser outlines. The only dropout, of whole
    channels, comes before the last convolution.

    Parameters
    ----------
    in_channels : int
        Channels of an image.
    n_classes : int
        Number of logits of a pixel.
    channels : tuple of two int, default=(16, 32)
        Width of the convolutions.
    dropout : float in [0, 1), default=0.2
        Share of the channels that are dropped.

    Examples
    --------
    >>> import torch
    >>> SmallFCN(in_channels=1, n_classes=4)(torch.zeros(5, 9, 8)).shape
    torch.Size([5, 4, 9, 8])
    """

    def __init__(self, in_channels, n_classes, channels=(16, 32), dropout=0.2):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, channels[0], 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(channels[0], channels[1], 3, padding=1),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout2d(dropout)
        self.output = nn.Conv2d(channels[1], n_classes, 3, padding=1)
        _keep_scale(self.features)

    def forward(self, X):
        """Logits of the pixels of a batch of images."""
        X = X.unsqueeze(1) if X.ndim == 3 else X
        coarse = self.output(self.dropout(self.features(X)))
        return _stretched(coarse, X.shape[2:])


def _stretched(X, size):
    """Images at another size, bilinear between the centers of pixels; (b, c, h, w) -> (b, c, *size).

    By products of matrices: the gradients of ``torch.nn.functional.interpolate`` add up in any order on a
    GPU, so that equal seeds would not give equal bits.
    """
    rows, columns = (_between(*sizes, X.device).to(X) for sizes in zip(X.shape[2:], size, strict=True))
    return rows @ X @ columns.T


def _between(n, n_new, device):
    """Weights of n values in each of n_new that lie between them; -> (n_new, n)."""
    old, new = (torch.arange(each, dtype=torch.float64, device=device) for each in (n, n_new))
    places = ((new + 0.5) * n / n_new - 0.5).clamp(0, n - 1)
    return (1 - (places[:, None] - old).abs()).clamp(min=0)


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


def _two_convolutions(n_in, n_out):
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.Conv2d(n_out, n_out, 3, padding=1), nn.ReLU()
    )


def _keep_scale(*parts):
    """Draw weights anew so that values keep their scale through rectifiers.

    With torch's own they fade, and a net takes twice the steps to find more than the most frequent class.
    """
    for layer in (layer for part in parts for layer in part.modules() if isinstance(layer, nn.Conv2d)):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
