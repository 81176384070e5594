"""Taps: what hidden layers of a module return in its own forward pass, averaged over positions."""

from contextlib import ExitStack, contextmanager
from math import prod
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.modules import conv, dropout, pooling

# Layers that pass on what another has made, thinned out or at fewer positions: no stage ends with them.
_PASSING = (
    dropout._DropoutNd,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
    pooling._AdaptiveAvgPoolNd,
    pooling._AdaptiveMaxPoolNd,
    pooling._AvgPoolNd,
    pooling._LPPoolNd,
    pooling._MaxPoolNd,
)
_CHANNELS_LAST = (nn.Embedding, nn.LayerNorm, nn.Linear, nn.MultiheadAttention, nn.RNNBase)


class Call(NamedTuple):
    """A layer that has run, and what it has returned."""

    name: str
    layer: nn.Module
    output: torch.Tensor | None
    """None if it was no tensor."""


@contextmanager
def tapped(module, names):
    """A dict in which each forward pass leaves what the named layers have returned; name -> (b, channels).

    Averaged over positions at once, so that what is later done in place to a layer's output does not reach
    it. Of a layer that runs more than once the last time counts.
    """

    def note(name):
        def hook(layer, args, output):
            values = _tensor(output)
            seen[name] = None if values is None else _averaged(layer, values)

        return hook

    seen = {}
    with ExitStack() as hooks:
        for name in names:
            hooks.enter_context(module.get_submodule(name).register_forward_hook(note(name)))
        yield seen


def find_taps(module, forward, n_rows):
    """The names of the layers with which the stages of a module end, in the order in which they run.

    A stage ends with the last layer that returns values at so many positions (the height and width of
    images, the length of sequences). After the last of these, each linear layer begins a stage, which ends
    before the next one. Left out are dropout and pooling layers, which pass on what others made, and
    everything from the last layer with weights on, which makes the answer; a layer that runs more than once
    counts where it runs last.

    So a ResNet has taps on its groups of blocks (and on its stem, where that has a resolution of its own), a
    VGG on its last convolution before each pooling and on its hidden dense layers, an MLP on its hidden
    layers, each after the activation where that is a layer. A module without hidden layers has one tap,
    ``""``: its answer.

    Parameters
    ----------
    module : torch.nn.Module
    forward : callable
        Runs the module on some rows, without arguments.
    n_rows : int
        On how many.

    Returns
    -------
    tuple of str
        As in ``module.named_modules()``.
    """
    calls = _calls(module, forward)
    answers = [number for number, call in enumerate(calls) if _has_weights(call.layer)]
    stages = _stages(calls[: answers[-1]] if answers else calls, calls, n_rows)
    return tuple(stages.values()) or ("",)


def find_encoder(module, forward, n_rows):
    """The name of the layer with which the encoder of a segmenter ends.

    That is where maps are smallest, and among the layers there the one with the most channels, at its last
    run; the last of several such. So the features of a U-Net's bottleneck are found, those of a backbone
    before the layers that turn it into classes, and no dropout or pooling. Maps of a single position, as of
    pooling over the whole image, count where there are no others.

    Parameters
    ----------
    module : torch.nn.Module
    forward : callable
        Runs the module on some images, without arguments.
    n_rows : int
        On how many.

    Returns
    -------
    str
        As in ``module.named_modules()``.

    Raises
    ------
    ValueError
        If no layer returns maps, (b, channels, height, width).
    """
    found, passed_on = {}, set()
    for name, layer, output in _calls(module, forward):
        if isinstance(layer, _PASSING):
            passed_on.add(id(output))
        is_map = output is not None and output.ndim == 4 and len(output) == n_rows
        if is_map and id(output) not in passed_on:
            n_positions = prod(output.shape[2:])
            found.pop(name, None)  # a layer that runs again has its place where it runs last
            found[name] = (n_positions == 1, n_positions, -output.shape[1])
    if not found:
        raise ValueError(
            f"{type(module).__name__} has no layer that returns maps, (b, channels, height, width), whose "
            "mean would be the embedding; name another with layer="
        )
    return min(reversed(found), key=found.get)


def check_taps(module, names, forward, n_rows):
    """Refuse names of layers that can't be tapped; -> the number of channels of each.

    Parameters
    ----------
    module : torch.nn.Module
    names : sequence of str
    forward : callable
        Runs the module on some rows, without arguments.
    n_rows : int
        On how many.

    Raises
    ------
    ValueError
        If the module has no such layer, does not run it, or gets no values for each row from it.
    """
    layers = dict(module.named_modules())
    for name in names:
        if name not in layers:
            raise ValueError(
                f"{type(module).__name__} has no layer {name!r} to tap; it has "
                f"{', '.join(known for known in layers if known)}"
            )
    with torch.no_grad(), tapped(module, names) as seen:
        forward()
    for name, values in zip(names, read(seen, names), strict=True):
        if values.ndim != 2 or len(values) != n_rows:
            raise ValueError(
                f"the layer {name!r} can't be tapped: for {n_rows} rows it returns, on average over "
                f"positions, values of shape {tuple(values.shape)}, and not a row of them for each"
            )
    return [seen[name].shape[1] for name in names]


def read(seen, names):
    """What the taps have seen in the last forward pass, in order.

    Raises
    ------
    ValueError
        If a tapped layer has not run, or has returned no numbers.
    """
    missing = [name for name in names if seen.get(name) is None]
    if missing:
        raise ValueError(
            f"the layer {missing[0]!r} can't be tapped: the module does not run it, or gets no tensor of "
            "floating-point numbers from it"
        )
    return [seen[name] for name in names]


def _calls(module, forward):
    """Layers in the order in which they have finished, inner ones before those around them."""
    calls = []

    def note(name):
        return lambda layer, args, output: calls.append(Call(name, layer, _tensor(output)))

    with ExitStack() as hooks, torch.no_grad():
        for name, layer in module.named_modules():
            if layer is not module:
                hooks.enter_context(layer.register_forward_hook(note(name)))
        forward()
    return calls


def _stages(hidden, calls, n_rows):
    """The name of the layer with which each stage ends, by what tells the stage from others."""
    last = {call.name: number for number, call in enumerate(calls)}
    stages, n_dense, passed_on = {}, 0, set()
    for number, (name, layer, output) in enumerate(hidden):
        if isinstance(layer, _PASSING):
            passed_on.add(id(output))
        # A layer that ends in such a layer returns what that has returned; taps see a layer's last run only.
        if output is None or id(output) in passed_on or number < last[name] or len(output) != n_rows:
            continue
        if output.ndim > 2:
            stage = _positions(layer, output)
            stages = {key: found for key, found in stages.items() if isinstance(key, tuple)}
        else:
            n_dense += isinstance(layer, nn.Linear)
            stage = n_dense
        if stage != 0:  # flat values before any linear layer: the row itself, or pooled values
            stages.pop(stage, None)
            stages[stage] = name
    return stages


def _has_weights(layer):
    """Whether a layer mixes values by weights: convolutions, linear layers and the like, no normalisation."""
    if isinstance(layer, (nn.Linear, conv._ConvNd)):
        return True
    return not list(layer.children()) and any(weight.ndim > 1 for weight in layer.parameters())


def _tensor(output):
    """The tensor that a layer returned, or the first of several things; None if it is none of numbers."""
    output = output[0] if isinstance(output, tuple | list) and len(output) else output
    is_numbers = isinstance(output, torch.Tensor) and output.is_floating_point() and output.ndim > 0
    return output if is_numbers else None


def _averaged(layer, values):
    """The mean over positions; (b, channels, ...) or (b, ..., channels) -> (b, channels)."""
    if values.ndim < 3:
        return values.clone()
    positions = range(1, values.ndim - 1) if _is_channels_last(layer) else range(2, values.ndim)
    number_type = torch.promote_types(
        values.dtype, torch.float32
    )  # a sum of halves may be too large for them
    # Unlike that of a mean, the gradient of a sum is not written out for each position before it is added.
    return values.sum(dim=list(positions), dtype=number_type) / prod(values.shape[i] for i in positions)


def _positions(layer, values):
    return tuple(values.shape[1:-1] if _is_channels_last(layer) else values.shape[2:])


def _is_channels_last(layer):
    """Whether a layer is made of linear layers, attention or recurrence, and of no convolution."""
    if any(isinstance(part, conv._ConvNd) for part in layer.modules()):
        return False
    return any(isinstance(part, _CHANNELS_LAST) for part in layer.modules())
