"""Steps of a tape that come to the same as others, and cost less.

The input of a first dropout is the same for all draws, and its masks are factors that are not negative. They
commute with rectifiers, those that are equal over a channel with pooling too, and all of them with changes of
shape: these steps are then computed once, on the input without masks. A linear layer or convolution after
them is linear in the factors, so that a part of its work is done once too.
"""

from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch.nn import functional

from skal.nets._faster import call
from skal.nets._steps import DropStep, FunctionStep, Slot

_MANY_DRAWS = 8  # below, the responses cost more than they save
_WORTHWHILE = 2**14  # weights of a linear layer below which selecting inputs costs what it saves
_SELECTED_BYTES = 2**27  # selected weights of all draws that are kept
_RESPONSE_VALUES = 2**21  # responses of channels that are in memory at once, where one row allows it
_COMBINED_BYTES = 2**27  # results of a convolution for all draws


def fused(tape, n_draws, weights, kept):
    """Steps for the draws of a tape, with what can be done once done.

    Parameters
    ----------
    tape : Tape
        Of one batch.
    n_draws : int
    weights : set of int
        The id of each tensor that is the same for all batches.
    kept : dict
        Where steps keep what serves all batches.

    Returns
    -------
    list of steps
    """
    steps = list(tape.steps)
    if tape.is_mixed:  # rounding to half precision would not commute
        return steps
    for place, step in enumerate(tape.steps):
        if isinstance(step, DropStep) and not isinstance(step.x, Slot) and not step.call.alpha:
            _push(steps, place, tape.output, partial(_layer, tape, n_draws, weights, kept))
    return [step for step in steps if step is not None]


@dataclass(slots=True)
class Scaled:
    """A tensor that is the same for all draws, times the factors of a dropout; in a tape, the product.

    `reshapes` are the shapes that the factors run through, each with the one that they are spread over first.
    """

    base: torch.Tensor
    drop: DropStep
    out: Slot
    reshapes: list = field(default_factory=list)

    def run(self, draw, values):
        """Compute the product for a draw."""
        values[self.out.index] = self.base * self.factor(draw)

    def factor(self, draw):
        """The factors of a draw, of a shape that broadcasts to `base`."""
        factor = self.drop.factors(draw, self.drop.call._replace(x=self.drop.x)).factor
        for before, after in self.reshapes:
            n = len(factor)
            factor = factor.expand(n, *before[1:]).reshape(n, *after[1:])
        return factor

    def mask_shape(self):
        """Shape of the factors, but for the rows."""
        return self.reshapes[-1][1] if self.reshapes else self.drop.call.mask_shape

    def after(self, step):
        """The same after a step that commutes with it, or None."""
        if (
            not isinstance(step, FunctionStep)
            or step.args[:1] != (self.out,)
            or not isinstance(step.out, Slot)
        ):
            return None
        if step.func in _RECTIFIERS:
            return replace(self, base=torch.relu(self.base), out=step.out)
        pooled = _POOLING.get(step.func)
        if pooled and all(size == 1 for size in self.mask_shape()[-pooled:]):
            base = call(step.func, (self.base, *step.args[1:]), step.kwargs)
            return replace(self, base=base, out=step.out)
        if step.func in _RESHAPING and step.out.shape[:1] == self.base.shape[:1]:
            reshapes = [*self.reshapes, (self.base.shape, step.out.shape)]
            return replace(self, base=self.base.reshape(step.out.shape), out=step.out, reshapes=reshapes)
        return None


_RECTIFIERS = {
    functional.relu,
    functional.relu_,
    torch.relu,
    torch.relu_,
    torch.Tensor.relu,
    torch.Tensor.relu_,
}
_POOLING = {  # with the number of axes that are pooled
    functional.max_pool1d: 1,
    functional.avg_pool1d: 1,
    functional.adaptive_avg_pool1d: 1,
    functional.max_pool2d: 2,
    torch.max_pool2d: 2,
    functional.avg_pool2d: 2,
    functional.adaptive_avg_pool2d: 2,
    functional.max_pool3d: 3,
    functional.avg_pool3d: 3,
    functional.adaptive_avg_pool3d: 3,
}
_RESHAPING = {torch.flatten, torch.reshape, torch.Tensor.flatten, torch.Tensor.reshape, torch.Tensor.view}


def _push(steps, place, output, layer):
    """Move a dropout past the steps that commute with it, and join it with the layer after them."""
    scaled = Scaled(steps[place].x, steps[place], steps[place].out)
    while scaled and (reader := _only_reader(steps, place, scaled.out, output)):
        joined = layer(scaled, steps[reader])
        scaled = None if joined else scaled.after(steps[reader])
        if joined or scaled:
            steps[place], steps[reader] = None, joined or scaled
            place = reader


def _only_reader(steps, place, slot, output):
    """Where the one step is that reads what is in a slot after `place`; None if there are more, or none."""
    readers = []
    for number, step in enumerate(steps[place + 1 :], place + 1):
        if step is not None and any(read.index == slot.index for read in step.reads()):
            readers.append(number)
            if isinstance(step.out, Slot) and step.out.index == slot.index:
                break  # written in place: who reads the slot later, reads another value
    else:
        readers += [None] if slot.index == output.index else []
    return readers[0] if len(readers) == 1 else None


def _layer(tape, n_draws, weights, kept, scaled, step):
    """The step of a linear layer or convolution with dropout's factors drawn into it, or None."""
    if not isinstance(step, FunctionStep) or scaled.out not in step.args[:1]:
        return None
    if step.func is functional.linear:
        return LinearStep.of(scaled, step, n_draws, weights, kept)
    if step.func in (functional.conv2d, torch.conv2d):
        flat = any(other.func is torch.Tensor.view for other in tape.steps if isinstance(other, FunctionStep))
        return ConvolutionStep.of(scaled, step, n_draws, flat)
    return None


@dataclass(slots=True)
class LinearStep:
    """A linear layer on inputs of which each draw keeps some, the same ones for all rows.

    A draw is the sum over the kept inputs, or the sum over all without that over the dropped ones, whichever
    has fewer terms.
    """

    scaled: Scaled
    weight: torch.Tensor
    bias: torch.Tensor | None
    out: Slot
    kept: dict
    first: torch.Tensor
    _whole: torch.Tensor | None = None

    @classmethod
    def of(cls, scaled, step, n_draws, weights, kept):
        """The step for ``F.linear(input, weight, bias)``, or None where it doesn't pay."""
        weight, bias = _arguments(_linear, step)
        p = scaled.drop.call.p
        selected = n_draws * weight.numel() * weight.element_size() * min(p, 1 - p)
        pays = id(weight) in weights and weight.numel() >= _WORTHWHILE and selected <= _SELECTED_BYTES
        if scaled.base.ndim != 2 or not pays or len(scaled.factor(0)) != 1:
            return None
        return cls(scaled, weight, bias, step.out, kept, step.first)

    def run(self, draw, values):
        """Compute the layer for a draw."""
        inputs, weight, scale, dropped = self._selection(draw)
        x = self.scaled.base.index_select(1, inputs)
        if dropped:
            values[self.out.index] = torch.addmm(self._all_kept(), x, weight, alpha=-scale)
        elif self.bias is None:
            values[self.out.index] = torch.mm(x, weight).mul_(scale)
        else:
            values[self.out.index] = torch.addmm(self.bias, x, weight, alpha=scale)

    def _all_kept(self):
        """The layer if no input were dropped, but scaled all the same: draw 0 and what was dropped there."""
        if self._whole is None:
            inputs, weight, scale, dropped = self._selection(0)
            if dropped and self.first._version == 0:
                x = self.scaled.base.index_select(1, inputs)
                self._whole = torch.addmm(self.first, x, weight, alpha=scale)
            else:  # the result of draw 0 has been written to, or would cost as much
                self._whole = functional.linear(self.scaled.base * scale, self.weight, self.bias)
        return self._whole

    def _selection(self, draw):
        """Inputs, their weights, the scale of kept inputs, and whether the selected ones are the dropped."""
        key = draw, self.scaled.drop.number, id(self.weight)
        if key not in self.kept:
            factor = self.scaled.factor(draw)[0]
            keeps = factor != 0
            dropped = bool(keeps.sum() * 2 > len(keeps))
            inputs = (keeps != dropped).nonzero()[:, 0]
            weight = self.weight.index_select(1, inputs).T.contiguous()
            self.kept[key] = inputs, weight, float(factor.max()), dropped
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
