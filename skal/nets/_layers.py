"""Linear layers and convolutions after dropout, whose draws have a part of the work in common."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch.nn import functional

from skal.nets._masks import keep_rate
from skal.nets._steps import Slot

_GROUP = 4  # draws of a linear layer that are computed together
_WORTHWHILE = 2**14  # weights of a linear layer below which selecting inputs costs what it saves
_SELECTED_BYTES = 2**27  # selected weights of all draws that are kept
_MANY_DRAWS = 8  # below, the responses to channels cost more than they save
_RESPONSE_VALUES = 2**21  # responses that are in memory at once, where one row allows it
_COMBINED_BYTES = 2**27  # results of a convolution for all draws


class Selection(NamedTuple):
    """Inputs of a linear layer that draws drop, or keep; of all rows the same.

    What none of the draws selects is left out. The others are sorted by which draws select them, so that one
    product for each set of draws serves them all.
    """

    inputs: torch.Tensor
    """Numbers of inputs, (m,)."""
    weight: torch.Tensor
    """Their weights, (m, n_outputs)."""
    counts: list
    """How many inputs each set of draws has."""
    members: torch.Tensor
    """1 where a draw belongs to a set, (n_draws, n_sets)."""

    @classmethod
    def of(cls, selected, weight):
        """The selection for a bool tensor of shape (n_draws, n_inputs) and a weight (n_outputs, n_inputs)."""
        n_draws = len(selected)
        bits = 2 ** torch.arange(n_draws, device=weight.device)
        sets = (selected * bits[:, None]).sum(0)
        n_none = int((sets == 0).sum())
        inputs = sets.argsort(stable=True)[n_none:]
        counts = torch.bincount(sets, minlength=2**n_draws)[1:]
        members = (torch.arange(1, 2**n_draws, device=weight.device) & bits[:, None]) > 0
        return cls(
            inputs, weight.index_select(1, inputs).T.contiguous(), counts.tolist(), members.to(weight.dtype)
        )

    def sums(self, x):
        """The sum over the selected inputs, for each draw; (n, n_inputs) -> (n_draws, n, n_outputs)."""
        x = x.index_select(1, self.inputs)
        parts = x.new_empty(len(self.counts), len(x), self.weight.shape[1])
        for part, own, weight in zip(
            parts, x.split(self.counts, 1), self.weight.split(self.counts), strict=True
        ):
            torch.mm(own, weight, out=part)
        return (self.members @ parts.flatten(1)).unflatten(1, parts.shape[1:])


class LinearStep:
    """A linear layer on inputs of which each draw keeps some, the same ones for all rows.

    A draw is the sum over the kept inputs, or the sum over all without that over the dropped ones, whichever
    has fewer terms.

    Parameters
    ----------
    scaled : Scaled
        The inputs.
    step : FunctionStep
        The layer.
    n_draws : int
    kept : dict
        Where selections are kept between batches.
    """

    def __init__(self, scaled, step, n_draws, kept):
        self.scaled, self.out, self.first, self.n_draws, self.kept = (
            scaled,
            step.out,
            step.first,
            n_draws,
            kept,
        )
        self.weight, self.bias = _arguments(_linear, step)
        self._sums, self._whole = {}, None
        self.drops = scaled.drop.call.p < 0.5
        self.scale = 1 / (keep_rate(scaled.drop.call.p) or 1)

    @classmethod
    def of(cls, scaled, step, n_draws, weights, kept):
        """The step for ``F.linear(input, weight, bias)``, or None where it doesn't pay."""
        weight, _ = _arguments(_linear, step)
        p = scaled.drop.call.p
        selected = n_draws * weight.numel() * weight.element_size() * min(p, 1 - p)
        pays = id(weight) in weights and weight.numel() >= _WORTHWHILE and selected <= _SELECTED_BYTES
        if kept is None or scaled.base.ndim != 2 or not pays or len(scaled.factor(0)) != 1:
            return None
        return cls(scaled, step, n_draws, kept)

    def run(self, draw, values):
        """Compute the layer for a draw."""
        if draw not in self._sums:
            start = (draw - 1) // _GROUP * _GROUP + 1  # draw 0 is there already
            draws = range(start, min(start + _GROUP, self.n_draws))
            self._sums.update(zip(draws, self._selection(draws).sums(self.scaled.base), strict=True))
        own = self._sums.pop(draw)
        if self.drops:
            values[self.out.index] = torch.sub(self._all_kept(), own, alpha=self.scale)
        else:
            own = own.mul_(self.scale)
            values[self.out.index] = own if self.bias is None else own.add_(self.bias)

    def _all_kept(self):
        """The layer if no input were dropped, but scaled all the same."""
        if self._whole is None and self.first._version == 0:  # draw 0, and what it dropped
            dropped = self._selection(range(1)).sums(self.scaled.base)[0]
            self._whole = torch.add(self.first, dropped, alpha=self.scale)
        elif self._whole is None:  # the result of draw 0 has been written to
            self._whole = functional.linear(self.scaled.base * self.scale, self.weight, self.bias)
        return self._whole

    def _selection(self, draws):
        key = draws, self.scaled.drop.number, id(self.weight)
        if key not in self.kept:
            factors = torch.cat([self.scaled.factor(draw) for draw in draws])
            self.kept[key] = Selection.of((factors == 0) == self.drops, self.weight)
        return self.kept[key]


@dataclass(slots=True)
class ConvolutionStep:
    """A convolution of channels of which each draw drops some, by the responses to each channel.

    These are computed once; a draw is their sum, weighted by its factors.
    """

    combined: torch.Tensor
    out: Slot
    flat: bool

    @classmethod
    def of(cls, scaled, step, n_draws, flat):
        """The step for ``F.conv2d``, or None where it doesn't pay."""
        weight, bias, stride, padding, dilation, groups = _arguments(_conv2d, step)
        n_outputs, height, width = step.out.shape[-3:]
        by_channel = scaled.base.ndim == 4 and all(size == 1 for size in scaled.mask_shape()[2:])
        small = n_draws * step.out.shape.numel() * weight.element_size() <= _COMBINED_BYTES
        small = small and weight.shape[1] * height * width * n_outputs <= 8 * _RESPONSE_VALUES
        pays = n_draws >= _MANY_DRAWS and weight[0, 0].numel() > 1
        if not (by_channel and small and pays) or groups != 1 or isinstance(padding, str):
            return None
        factors = torch.stack([scaled.factor(draw)[:, :, 0, 0] for draw in range(n_draws)])
        unfolded = partial(_windows, weight.shape[2:], _pair(stride), _pair(padding), _pair(dilation))
        combined = _combined(scaled.base, factors, weight.flatten(2).permute(1, 2, 0), unfolded)
        combined = combined if bias is None else combined.add_(bias)
        return cls(combined.unflatten(2, (height, width)).permute(0, 1, 4, 2, 3), step.out, flat)

    def run(self, draw, values):
        """Take the convolution of a draw."""
        result = self.combined[draw]
        values[self.out.index] = result.contiguous() if self.flat else result


def _combined(base, factors, weight, unfolded):
    """Responses to each channel, summed with factors.

    Parameters
    ----------
    base : tensor of shape (n, channels, height, width)
    factors : tensor of shape (n_draws, n or 1, channels)
    weight : tensor of shape (channels, kernel, outputs)
    unfolded : callable
        Images to windows: (r, channels, height, width) -> (channels, r * windows, kernel).

    Returns
    -------
    tensor of shape (n_draws, n, windows, outputs)
    """
    channels, _, n_outputs = weight.shape
    n_windows = unfolded(base[:1]).shape[1]
    result = base.new_empty(len(factors), len(base), n_windows * n_outputs)
    size = max(1, _RESPONSE_VALUES // (channels * n_windows * n_outputs))
    for start in range(0, len(base), size):
        rows = slice(start, start + size)
        responses = torch.bmm(unfolded(base[rows]), weight)
        if factors.shape[1] == 1:
            own = result[:, rows].flatten(1)
            torch.mm(factors[:, 0], responses.view(channels, -1), out=own)
        else:
            responses = responses.view(channels, len(base[rows]), -1).transpose(0, 1)
            result[:, rows] = torch.bmm(factors[:, rows].transpose(0, 1), responses).transpose(0, 1)
    return result.unflatten(2, (n_windows, n_outputs))


def _windows(kernel, stride, padding, dilation, images):
    """What a convolution sees of each channel; (r, c, h, w) -> (c, r * windows, kernel size)."""
    images = functional.pad(images, (padding[1], padding[1], padding[0], padding[0]))
    for axis in (2, 3):
        size, step = kernel[axis - 2], dilation[axis - 2]
        images = images.unfold(axis, step * (size - 1) + 1, stride[axis - 2])[..., ::step]
    return images.transpose(0, 1).flatten(4).flatten(1, 3)


def _pair(size):
    return tuple(size) if isinstance(size, tuple | list) else (size, size)


def _arguments(function, step):
    return function(*step.args, **step.kwargs)


def _linear(input, weight, bias=None):
    return weight, bias


def _conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return weight, bias, stride, padding, dilation, groups
