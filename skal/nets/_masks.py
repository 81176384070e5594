"""Dropout masks that are known by their key: a seed, a draw, a call of dropout, and a row."""

from math import prod
from typing import NamedTuple

import numpy as np
import torch

_CACHE_BYTES = 2**26  # shared masks that are kept between batches; more are drawn anew
_ALPHA = -1.7580993408473766  # where SELU saturates: what alpha dropout puts in place of a unit


class Site(NamedTuple):
    """A call of dropout in a module's forward, and where its input has the rows of X."""

    number: int
    """The how manieth call of dropout it is, from 0."""
    axis: int | None
    """The axis of the rows; None where the input is the same for all rows."""
    rows_outer: bool = True
    """Where one axis holds rows and something else, such as (b * T, m): whether rows come first."""


class Factors(NamedTuple):
    """What dropout does to its input: ``x * factor``, and ``+ shift`` where it isn't None."""

    factor: torch.Tensor
    shift: torch.Tensor | None = None

    def __call__(self, x):
        y = x * self.factor
        return y if self.shift is None else y.add_(self.shift)


class Masks:
    """The masks of all draws, independent of batches and their borders.

    Parameters
    ----------
    seed : int
        Fixes all masks.
    consistent : bool
        Share each draw's masks over the rows; else each row has its own, known by its number in X.
    """

    def __init__(self, seed, consistent):
        self.seed, self.consistent = seed, consistent
        self._cache, self._cached = {}, 0

    def factors(self, draw, site, call, rows):
        """What a draw multiplies a call's input by, of a shape that broadcasts to it.

        Parameters
        ----------
        draw : int
            Which draw.
        site : Site
        call : Dropout
            The call: its input, p and kind.
        rows : range
            The numbers in X of the rows of the batch.
        """
        if not self.consistent:
            return self._factors(draw, site, call, rows)
        key = draw, site.number, tuple(call.x.shape), len(rows), call.p, call.x.dtype
        if key not in self._cache:
            factors = self._factors(draw, site, call, rows)
            size = factors.factor.numel() * factors.factor.element_size()
            if self._cached + size > _CACHE_BYTES:
                return factors
            self._cache[key], self._cached = factors, self._cached + size
        return self._cache[key]

    def _factors(self, draw, site, call, rows):
        keep, rate = self._keep(draw, site, call, rows)
        # As bytes: torch casts a bool six times as slowly.
        keep = keep.view(torch.uint8).to(call.x.device, call.x.dtype)
        if not call.alpha:
            return Factors(keep.mul_(1 / rate if rate else 0))
        scale = (rate * (1 + (1 - rate) * _ALPHA**2)) ** -0.5 if rate else 0
        return Factors(scale * keep, scale * _ALPHA * (rate - keep))

    def _keep(self, draw, site, call, rows):
        """Which units are kept, in a shape that broadcasts to the input, and the share that is."""
        shape, axis, n = list(call.mask_shape), site.axis, len(rows)
        key = self.seed, draw, site.number
        if axis is None or shape[axis] == 1 < call.x.shape[axis]:
            if not self.consistent:
                raise TypeError(
                    "a dropout in this module has one mask for all rows of a batch, such as one on weights: "
                    "no row can have a mask of its own there; pass consistent=True."
                )
            keep, rate = bernoulli(key, call.p, range(1), prod(shape))
            return torch.from_numpy(keep).reshape(shape), rate
        steps = shape.pop(axis) // n  # what shares the axis with the rows, such as steps of time
        keep, rate = bernoulli(key, call.p, range(1) if self.consistent else rows, steps * prod(shape))
        keep = torch.from_numpy(keep).reshape(len(keep), steps, *shape)
        if steps > 1:
            keep = keep.expand(n, *keep.shape[1:])
            keep = keep if site.rows_outer else keep.transpose(0, 1)
        return keep.reshape(-1, *shape).movedim(0, axis), rate


def bernoulli(key, p, rows, n_units):
    """Which units are kept, each with probability 1 - p to within 2**-17; -> (len(rows), n_units) bool.

    Parameters
    ----------
    key : tuple of int
        What the stream of random bits belongs to: a seed, a draw, a call.
    p : float in [0, 1]
        Share that is dropped.
    rows : range
        Numbers of consecutive rows. Each has its place in the stream, whatever rows are asked for with it.
    n_units : int
        Units of a row.

    Returns
    -------
    keep : ndarray of shape (len(rows), n_units)
    rate : float
        The exact probability of keeping, by which to divide so that the mean stays.
    """
    rate = keep_rate(p)
    bits, threshold = 16, int(rate * 2**16)
    if threshold % 2**8 == 0:  # half the random bits do for p = 0.5 or 0.25
        bits, threshold = 8, threshold >> 8
    words = -(-n_units * bits // 64)
    seed, *place = key
    stream = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=place)).advance(rows.start * words)
    raw = stream.random_raw(len(rows) * words).reshape(len(rows), words)
    numbers = raw.astype("<u8", copy=False).view(f"<u{bits // 8}")[:, :n_units]
    return numbers < threshold, rate


def keep_rate(p):
    """The probability with which units are kept, exact in binary and within 2**-17 of 1 - p."""
    return round((1 - p) * 2**16) / 2**16
