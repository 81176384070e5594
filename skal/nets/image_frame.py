"""Images between the two forms that they have: as a classifier gets them, and as generators make them."""

from dataclasses import dataclass

import numpy as np

from skal.nets.modules import channels_first, is_channels_last

SIDES = 8, 64  # from, to


@dataclass(frozen=True)
class ImageFrame:
    """How the images of a training set become (c, h, w) in [0, 1], and back.

    Parameters
    ----------
    in_shape : tuple of int
        Shape of an image as the classifier gets it.
    low, span : float
        Its lowest value, and how far the highest is above it.
    variance : float
        Of the images around their mean image, in squares of `span`.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> frame = ImageFrame.of(np.linspace(-1, 1, 3 * 64).reshape(3, 8, 8), (8, 8))
    >>> frame.unit(torch.ones(2, 8, 8)).shape
    torch.Size([2, 1, 8, 8])
    >>> float(frame.unit(torch.ones(2, 8, 8)).max())
    1.0
    """

    in_shape: tuple
    low: float
    span: float
    variance: float

    @classmethod
    def of(cls, X, in_shape):
        """The frame of a training set; (n, ...) -> ImageFrame.

        Parameters
        ----------
        X : ndarray of shape (n, ...)
        in_shape : tuple of int
            Shape of an image as the classifier gets it.

        Raises
        ------
        ValueError
            If rows are no images of one or three channels, or of another size than can be generated.
        """
        _check_shape(in_shape)
        if X.dtype == np.uint8:  # which the classifier gets in [0, 1], whatever values there are
            low, span, unit = 0.0, 1.0, 255.0
        else:
            low = float(X.min())
            span = unit = float(X.max()) - low or 1.0
        variance = float(X.var(axis=0, dtype=np.float64).mean()) / unit**2
        return cls(tuple(in_shape), low, span, variance or 1.0)

    @property
    def unit_shape(self):
        """(c, h, w)."""
        return channels_first(self.in_shape)

    def unit(self, x):
        """Images in [0, 1] from those that the classifier gets; (b, *in_shape) -> (b, c, h, w)."""
        x = x.movedim(-1, 1) if is_channels_last(self.in_shape) else x
        return (x.reshape(len(x), *self.unit_shape) - self.low) / self.span

    def restored(self, images):
        """Images as the classifier gets them; (b, c, h, w) -> (b, *in_shape)."""
        images = images.movedim(1, -1) if is_channels_last(self.in_shape) else images
        return (images * self.span + self.low).reshape(len(images), *self.in_shape)


def like(rows, X):
    """Rows that the classifier gets, in shape and number type of those that its user has; -> as X.

    Parameters
    ----------
    rows : ndarray of shape (n, *in_shape)
    X : ndarray of shape (n, ...)
    """
    rows = rows * 255 if X.dtype == np.uint8 else rows
    rows = rows if X.dtype.kind == "f" else np.rint(rows)
    return rows.reshape(X.shape).astype(X.dtype)


def _check_shape(in_shape):
    hint = "pass image_shape= where images come as flat rows, or generated_weight=0 to generate nothing"
    if len(in_shape) not in (2, 3) or channels_first(in_shape)[0] not in (1, 3):
        raise ValueError(
            f"GenerativeAugmentationClassifier generates images of one or three channels, and got rows of "
            f"shape {tuple(in_shape)}: {hint}"
        )
    sides = channels_first(in_shape)[1:]
    if min(sides) < SIDES[0] or max(sides) > SIDES[1]:
        raise ValueError(
            f"GenerativeAugmentationClassifier generates images with sides of {SIDES[0]} to {SIDES[1]} "
            f"pixels, and got {sides[0]} x {sides[1]}: resize them, or {hint}"
        )
