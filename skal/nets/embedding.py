"""What a net makes of a row before it answers: the input of its last linear layer, or any layer's output."""

from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from skal.nets._net import MIN_ROWS
from skal.nets._source import n_rows, open_source
from skal.nets.taps import find_encoder, read, tapped


def embed(model, X, layer=None, seed=0):
    """The activations of one layer, in evaluation mode; (n, ...) -> (n, m).

    Batch by batch, on a copy of the module that shares its weights, so that the model is left as it is.

    Parameters
    ----------
    model : NeuralNet or torch.nn.Module
        A fitted skorch net, or a module.
    X : array-like of shape (n, ...), or what else the net predicts on
        The rows; for a bare module an array or tensor.
    layer : str or None, default=None
        The name of a layer, as in ``module.named_modules()``, whose output is taken, flattened. None takes
        the input of the linear layer that is run last.
    seed : int, default=0
        Seeds what the module draws, should it draw in evaluation mode.

    Returns
    -------
    ndarray of shape (n, m)
        In the number type of the net; (0, 0) for no rows.

    Raises
    ------
    ValueError
        If the module has no such layer, or has not run it; without `layer`, if it runs no linear layer.
    """
    source = open_source(model)

    def activations(batch):
        _run(source, batch, seen, layer)
        return (_as_table(seen[-1], n_rows(batch)),)

    with source.isolated(seed), torch.no_grad(), _watched(source, layer) as seen:
        return _gathered(source, X, activations)[0]


def answer_and_embed(model, X, layer=None, seed=0):
    """What the module returns, and the activations of one layer, in the same pass; see `embed`.

    Returns
    -------
    answers : ndarray of shape (n, k)
    Z : ndarray of shape (n, m)
    """
    source = open_source(model)

    def both(batch):
        answers = _run(source, batch, seen, layer)
        return _as_table(answers, n_rows(batch)), _as_table(seen[-1], n_rows(batch))

    with source.isolated(seed), torch.no_grad(), _watched(source, layer) as seen:
        return _gathered(source, X, both)


def spatial_means(model, X, layer, example, seed=0):
    """The activations of one layer, averaged over positions, in evaluation mode; (n, ...) -> (n, channels).

    Parameters
    ----------
    model : NeuralNet
        A fitted skorch net.
    X : ndarray of shape (n, ...)
        Images of one size.
    layer : str or None
        The name of a layer. None takes the one with which the encoder ends; see `skal.nets.taps`.
    example : tensor
        Images by which that is found, so that it is the same whatever X is.
    seed : int, default=0
        Seeds what the module draws, should it draw in evaluation mode.
    """
    source = open_source(model)
    module = source.modules[0]
    with source.isolated(seed), torch.no_grad():
        source.set_training(False)
        if layer is None:
            layer = find_encoder(module, lambda: source.forward(example), len(example))
        _named_layer(source, layer)
        with tapped(module, [layer]) as seen:
            return _gathered(source, X, lambda batch: (_batch_means(source, batch, seen, layer),))[0]


def outputs(module, X):
    """What a module returns for all rows, in evaluation mode, flattened; (n, ...) -> (n, m)."""
    source = open_source(module)
    with source.isolated(0), torch.no_grad():
        return _gathered(
            source, X, lambda batch: (_as_table(source.forward(_padded(batch)), n_rows(batch)),)
        )[0]


def _gathered(source, X, function):
    """The tables that a function makes of each batch, each in one array."""
    source.set_training(False)
    tables, start = [np.empty((0, 0), dtype=np.float32)] * 2, 0
    for batch in source.batches(X):
        parts = function(batch)
        if start == 0:
            tables = [np.empty((source.n_rows(X), part.shape[1]), dtype=part.dtype) for part in parts]
        for table, part in zip(tables, parts, strict=True):
            table[start : start + len(part)] = part
        start += len(parts[0])
    return tables


@contextmanager
def _watched(source, layer):
    """A list whose last entry is what the layer has last been given, or has returned."""
    seen = []

    def note_input(module, args, output):
        seen[:] = args[:1]

    def note_output(module, args, output):
        seen[:] = [output[0] if isinstance(output, tuple) else output]

    if layer is None:
        layers = [part for part in source.layers() if isinstance(part, nn.Linear)]
        note = note_input
    else:
        layers, note = [_named_layer(source, layer)], note_output
    hooks = [part.register_forward_hook(note) for part in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _named_layer(source, name):
    found = [layers[name] for layers in map(_layers_by_name, source.modules) if name in layers]
    if not found:
        names = [known for module in source.modules for known in _layers_by_name(module)]
        raise ValueError(f"{source.name} has no layer {name!r}; it has {', '.join(names)}")
    return found[0]


def _layers_by_name(module):
    return {name: layer for name, layer in module.named_modules() if name}


def _run(source, batch, seen, layer):
    """What the module returns for a batch; the layer has run, too."""
    seen.clear()
    answers = source.forward(_padded(batch))
    if seen:
        return answers
    if layer is None:
        raise ValueError(
            f"{source.name} runs no linear layer, whose input would be the embedding; name one with layer="
        )
    raise ValueError(f"{source.name} does not run the layer {layer!r}; name another with layer=")


def _batch_means(source, batch, seen, layer):
    seen.clear()
    source.forward(batch)
    values = read(seen, [layer])[0]
    if values.ndim != 2 or len(values) != n_rows(batch):
        raise ValueError(f"{source.name} returns no values for each image from the layer {layer!r}")
    return _as_table(values, n_rows(batch))


def _padded(batch):
    # A batch of one row takes another matrix kernel, which differs in the last bits.
    if not isinstance(batch, torch.Tensor) or len(batch) >= MIN_ROWS:
        return batch
    return torch.cat([batch, batch[-1:].expand(MIN_ROWS - len(batch), *batch.shape[1:])])


def _as_table(values, n):
    table = values.reshape(len(values), -1)[:n].cpu()
    return (table if table.dtype == torch.float64 else table.float()).numpy()
