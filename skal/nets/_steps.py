"""What a tape is made of: calls that are repeated for each draw, and the places of their results."""

from dataclasses import dataclass

import torch

from skal.nets._dropout import Dropout
from skal.nets._faster import call


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tape keeps a tensor of a draw: stands for it in the arguments of calls."""

    index: int
    shape: torch.Size


class UnsafeTapeError(Exception):
    """A tape does not hold for this draw."""


@dataclass(slots=True)
class FunctionStep:
    """A call of a function of torch.

    `out` is the slot of its result, or a container with slots in it, or None; `first` is the result for draw
    0, of linear layers only.
    """

    func: object
    args: tuple
    kwargs: dict
    out: object
    first: torch.Tensor | None = None

    def run(self, draw, values):
        """Compute the step for a draw, whose tensors are `values` by index of slot."""

        def fill(leaf):
            return values[leaf.index] if isinstance(leaf, Slot) else leaf

        result = call(self.func, mapped(fill, self.args), mapped(fill, self.kwargs))
        for slot, value in zip(leaves(self.out), leaves(result), strict=True):
            if slot is None:
                continue
            if value.shape != slot.shape:
                raise UnsafeTapeError("shapes hang on dropout")
            values[slot.index] = value

    def reads(self):
        """Slots of the arguments."""
        return [leaf for leaf in (*leaves(self.args), *leaves(self.kwargs)) if isinstance(leaf, Slot)]


@dataclass(slots=True)
class DropStep:
    """A call of dropout.

    `number` tells the how manieth it is, `factors` is a function of draw and `Dropout`, and `x` is its input,
    a slot or a tensor.
    """

    number: int
    call: Dropout
    factors: object
    x: object
    out: Slot

    def run(self, draw, values):
        """Compute the step for a draw, whose tensors are `values` by index of slot."""
        x = values[self.x.index] if isinstance(self.x, Slot) else self.x
        dropped = self.factors(draw, self.call._replace(x=x))(x)
        if self.call.inplace and isinstance(self.x, Slot):
            dropped = x.copy_(dropped)
        values[self.out.index] = dropped

    def reads(self):
        """Slots of the arguments."""
        return [self.x] if isinstance(self.x, Slot) else []


def leaves(tree):
    """What is in tuples, lists, dicts and slices, however deep."""
    if isinstance(tree, slice):
        tree = (tree.start, tree.stop, tree.step)
    if not isinstance(tree, tuple | list | dict):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree
    return [leaf for part in parts for leaf in leaves(part)]


def mapped(function, tree):
    """The same containers with `function` of what is in them."""
    if isinstance(tree, slice):
        return slice(*(mapped(function, part) for part in (tree.start, tree.stop, tree.step)))
    if isinstance(tree, dict):
        return {name: mapped(function, part) for name, part in tree.items()}
    if not isinstance(tree, tuple | list):
        return function(tree)
    parts = [mapped(function, part) for part in tree]
    return parts if isinstance(tree, list) else tuple(parts)
