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
from skal.nets._layers import ConvolutionStep, LinearStep
from skal.nets._steps import DropStep, FunctionStep, Slot


def fused(tape, n_draws, weights, kept):
    """Steps for the draws of a tape, with what can be done once done.

    Parameters
    ----------
    tape : Tape
        Of one batch.
    n_draws : int
    weights : set of int
        The id of each tensor that is the same for all batches.
    kept : dict or None
        Where steps keep what serves all batches; None where masks are not shared by all rows.

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
        if not _takes(step, self.out) or not isinstance(step.out, Slot):
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


def _takes(step, slot):
    """Whether a step is the call of a function, what is in a slot its first argument."""
    return isinstance(step, FunctionStep) and len(step.args) > 0 and step.args[0] is slot


def _layer(tape, n_draws, weights, kept, scaled, step):
    """The step of a linear layer or convolution with dropout's factors drawn into it, or None."""
    if not _takes(step, scaled.out):
        return None
    if step.func is functional.linear:
        return LinearStep.of(scaled, step, n_draws, weights, kept)
    if step.func in (functional.conv2d, torch.conv2d):
        flat = any(other.func is torch.Tensor.view for other in tape.steps if isinstance(other, FunctionStep))
        return ConvolutionStep.of(scaled, step, n_draws, flat)
    return None
