"""What a few rows tell about a module: where its dropout is, where the rows are, and what else is random."""

import random
from typing import NamedTuple

import numpy as np
import torch

from skal.nets._dropout import DropoutMode
from skal.nets._masks import Site
from skal.nets._source import n_rows, take, tensors
from skal.nets.seeding import torch_states

# Layers that are no dropout, and that training changes all the same: they stay in evaluation mode.
_QUIET = (torch.nn.modules.batchnorm._NormBase, torch.nn.RReLU)

# Values in a tensor above which a batch is too large for the cache of a CPU.
_VALUES, _DRAWN_VALUES = 2**22, 2**20


class Probe(NamedTuple):
    """What the probe has found."""

    sites: list
    """A `Site` for each call of dropout, in order."""
    random: bool
    """Whether the module draws random numbers besides dropout, in evaluation mode too."""
    batch_rows: int
    """How many rows at once are best for a CPU's cache."""
    shapes: list
    """The shape of what each call drops, of the few rows."""

    def site(self, number, x, n_rows):
        """The site of a call of dropout on `x`, in a forward of `n_rows` rows."""
        known = self.sites[number] if number < len(self.sites) else None
        rows = None if known is None or known.axis is None else x.shape[known.axis : known.axis + 1]
        is_other = known is not None and known.axis is None and x.shape != self.shapes[number]
        if known is None or is_other or (rows is not None and (not rows or rows[0] % n_rows)):
            raise TypeError(
                "MC dropout knows the rows of a dropout's input from the first rows of X, and the module has "
                "called another dropout for later ones: keep calls of dropout out of branches that hang on "
                "the data."
            )
        return known


class Seen(NamedTuple):
    """One forward with all dropout left out."""

    calls: list
    output: torch.Tensor
    widest: int
    """Values in the largest tensor."""
    random: str
    """The function that moved a random state; empty if none did."""

    def signature(self):
        """What has to be the same in two forwards for them to have the same dropout."""
        return [(call.p, call.x.ndim, call.alpha) for call in self.calls]


class Watch(DropoutMode):
    """Leaves dropout out and notes its calls, and what else draws random numbers."""

    def __init__(self):
        super().__init__()
        self.calls, self.random, self.widest = [], "", 0

    def drop(self, call):
        """Note the call, with its input as it is now."""
        self.calls.append(call._replace(x=call.x.clone()))
        return call.x

    def other(self, func, args, kwargs):
        """Call the function, and see whether it draws."""
        before = torch_states()
        result = super().other(func, args, kwargs)
        if isinstance(result, torch.Tensor):
            self.widest = max(self.widest, result.numel())
        if not torch.equal(before, torch_states()):
            self.random = self.random or func.__name__
        return result


def probe(source, batch):
    """Run a module on a few rows, and see what dropout does in it.

    Parameters
    ----------
    source : Source
        The module, as a copy: it is left in the mode in which its dropout shows.
    batch : tensor, or dict or sequence of tensors
        The first batch; two of its rows are taken.

    Returns
    -------
    Probe

    Raises
    ------
    TypeError
        If there is no active dropout, or randomness in training mode that can't be told from dropout.
    """
    two, three = _few(batch)
    source.set_training(False)
    small, large = _watch(source, two), _watch(source, three)
    trainer = source.twin()
    trainer.set_training(True, but=_QUIET)
    buffers = trainer.buffers()
    trained = _watch(trainer, three)
    if trained.random and not large.random:
        raise TypeError(
            f"{source.name} draws random numbers in training mode by {trained.random}, which is no dropout "
            "that MC dropout knows how to switch on: write it with torch.nn.Dropout or torch.nn.functional."
            "dropout, or leave it out."
        )
    if trained.signature() != large.signature():
        same = not trained.random and torch.allclose(trained.output, large.output, rtol=1e-4, atol=1e-6)
        if not same or any((old != new).any() for old, new in zip(buffers, trainer.buffers(), strict=True)):
            raise TypeError(
                f"{source.name} has dropout that only runs in training mode, where the module also does "
                "other things, and MC dropout switches on nothing but dropout: call torch.nn.functional."
                "dropout in both modes; its argument training=self.training leaves it out in evaluation."
            )
        source.set_training(True, but=_QUIET)
        small, large = _watch(source, two), _watch(source, three)
    asked = trained.calls if len(trained.calls) == len(large.calls) else large.calls
    if not any(call.training for call in asked):
        raise no_dropout(source.model)
    if not all(call.training for call in asked):
        raise TypeError(
            f"{source.name} has a call of dropout that is off in training mode too, beside others that are "
            "on: leave that call out."
        )
    if small.signature() != large.signature():
        raise TypeError(
            f"{source.name} calls dropout {len(small.calls)} times for two rows and {len(large.calls)} times "
            "for three: MC dropout needs to know which of them belong together."
        )
    pairs = zip(small.calls, large.calls, strict=True)
    sites = [_site(number, *pair, source.name) for number, pair in enumerate(pairs)]
    shapes = [call.x.shape for call in large.calls]
    return Probe(sites, bool(large.random), _batch_rows(large), shapes)


def no_dropout(model):
    """The error for a model without dropout."""
    return TypeError(
        f"MC dropout needs a net with active dropout, which {type(model).__name__} lacks: put a "
        "torch.nn.Dropout with p > 0 into its module."
    )


def _site(number, small, large, name):
    """Where a call of dropout has the rows, from its inputs for rows (a, b) and for rows (a, b, b)."""
    sizes = zip(small.x.shape, large.x.shape, strict=True)
    axes = [axis for axis, (two, three) in enumerate(sizes) if two != three]
    if not axes:
        return Site(number, None)
    axis = axes[0]
    two, three = small.x.movedim(axis, 0), large.x.movedim(axis, 0)
    steps = len(two) // 2
    if len(axes) > 1 or (len(two), len(three)) != (2 * steps, 3 * steps):
        raise TypeError(
            f"{name} has a dropout whose input is of shape {tuple(small.x.shape)} for two rows and "
            f"{tuple(large.x.shape)} for three: which of its values belong to which row can't be told."
        )
    if steps == 1:
        return Site(number, axis)
    outer = _same(two, three[: 2 * steps])
    inner = _same(two.unflatten(0, (steps, 2)), three.unflatten(0, (steps, 3))[:, :2])
    if outer == inner and not _same(two[:1], two):
        raise TypeError(
            f"{name} has a dropout whose input is of shape {tuple(small.x.shape)} for two rows: whether axis "
            f"{axis} is rows by {steps} or {steps} by rows can't be told; keep an axis for the rows alone."
        )
    return Site(number, axis, outer)


def _batch_rows(seen):
    """A power of two: few rows where tensors are large, above all those that each draw computes anew."""
    dropped = max(call.x.numel() for call in seen.calls)
    rows = 3 * min(_VALUES / max(seen.widest, 1), _DRAWN_VALUES / max(dropped, 1))
    return 2 ** int(np.clip(np.round(np.log2(max(rows, 1))), 4, 10))


def _same(one, other):
    return torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-6, equal_nan=True)


def _watch(source, batch):
    """One forward without dropout, and what was seen meanwhile."""
    numpy_before, python_before, torch_before = np.random.get_state(), random.getstate(), torch_states()
    with torch.no_grad(), Watch() as watch:
        output = source.forward(batch)
    if not torch.equal(torch_before, torch_states()):  # what is compiled calls nothing that can be watched
        watch.random = watch.random or "a compiled function"
    if not np.array_equal(np.random.get_state()[1], numpy_before[1]) or random.getstate() != python_before:
        watch.random = watch.random or "numpy.random or random"
    return Seen(watch.calls, output, watch.widest, watch.random)


def _few(batch):
    """Rows (a, b) and (a, b, b) of a batch, where b differs from a if there is such a row."""
    leaves, n = tensors(batch), n_rows(batch)
    differs = torch.zeros(n, dtype=torch.bool)
    for leaf in leaves:
        differs |= (leaf != leaf[:1]).flatten(1).any(1).cpu() if leaf.ndim > 1 else (leaf != leaf[0]).cpu()
    other = int(differs.int().argmax())
    return take(batch, [0, other]), take(batch, [0, other, other])
