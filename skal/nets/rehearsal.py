"""Whether many nets can be computed as one: tried on some rows, before anything is learned."""

import random
from copy import deepcopy

import numpy as np
import torch

from skal._seeds import derive
from skal.nets.batches import as_tensor, take, unweighted
from skal.nets.seeding import seed_all
from skal.nets.stacked import stacked

ROWS = 64  # of each net in a rehearsal


def fails(nets, datasets, streams, *, room=None):
    """What is found when the nets' modules and the stacked one compute the same rows; None if all is well.

    The stacked module must give the outputs and buffers that the modules give, draw the same numbers, from
    the streams of the nets and from nowhere else, and leave nothing else behind.

    Parameters
    ----------
    nets : list of NetClassifier
        Initialised; they stay as they are.
    datasets : list of Rows
        What they are to be trained on.
    streams : Streams
        Of the nets.
    room : int or None, default=None
        How many numbers the nets together may keep at once; None for any.

    Returns
    -------
    str or None
        What the nets have, for a sentence.
    """
    modules = [net.module_ for net in nets]
    if any(_unlike(modules[0], module) for module in modules):
        return "modules that differ in more than weights"
    if _has_hooks(modules[0]) or _is_tied(modules[0]) or _learns_elsewhere(nets[0]):
        return "modules with hooks, with weights that are in two layers, or a loss with weights"
    try:
        batches = [_some_rows(net, data) for net, data in zip(nets, datasets, strict=True)]
        if room is not None and len(nets) * values_at_once(nets[0], batches[0], len(datasets[0])) > room:
            return "more weights, or more values in their layers, than a CPU has at hand at once"
        return _rehearse(nets, batches, streams)
    except Exception as error:  # the module's own doing; if it is an error of the user, `fit` will raise it
        return f"a module that can't be stacked ({type(error).__name__}: {error})"


def values_at_once(net, X, n_rows):
    """How many numbers a net keeps while it learns from a batch of `n_rows` rows, about.

    Its weights with their gradients and, in most optimizers, two values to remember; what its layers return.
    """
    outputs, module = [], deepcopy(net.module_).eval()
    for layer in module.modules():
        if layer._parameters:
            layer.register_forward_hook(lambda layer, args, output: outputs.append(output))
    with torch.no_grad():
        module(X)
    n_rows = n_rows if net.batch_size == -1 else min(net.batch_size, n_rows)
    in_layers = sum(output.numel() for output in outputs if isinstance(output, torch.Tensor))
    return 4 * sum(weight.numel() for weight in module.parameters()) + n_rows * in_layers // len(X)


def _rehearse(nets, batches, streams):
    device = nets[0]._place()
    own = [deepcopy(net.module_).train() for net in nets]
    expected = []
    for number, (net, module, X) in enumerate(zip(nets, own, batches, strict=True)):
        seed_all(derive(net.seed_, "rehearsal"), device)
        streams.keep(number)
        with streams.of(number):
            expected.append(module(X))
    after = streams.states
    if any(_unlike(net.module_, module) for net, module in zip(nets, own, strict=True)):
        return "a module that keeps more than weights and buffers"
    for number, net in enumerate(nets):
        seed_all(derive(net.seed_, "rehearsal"), device)
        streams.keep(number)
    whole = stacked([net.module_ for net in nets], streams).train()
    before = _global_states(device)
    outputs = whole(torch.cat(batches)).unflatten(0, (len(nets), -1))
    if before != _global_states(device) or not all(map(torch.equal, after, streams.states)):
        return "a module that draws by other means than dropout layers"
    pairs = [*zip(expected, outputs, strict=True)]
    for number, module in enumerate(own):
        pairs += [(part, dict(whole.named_buffers())[name][number]) for name, part in module.named_buffers()]
    if not all(_close(one, two) for one, two in pairs):
        return "a module whose rows hang together otherwise than in batch normalisation"
    return None


def _some_rows(net, data):
    """A batch of no more than half of the rows, which differs from net to net.

    What mixes the rows of all nets would go unnoticed if they were the same.
    """
    X, _ = unweighted(data.X)
    n_rows = min(ROWS, max(2, len(X) // 2))
    rows = np.random.RandomState(derive(net.seed_, "rehearsal")).permutation(len(X))[:n_rows]
    return net._as_input(as_tensor(take(X, rows), net._place()))


def _unlike(module, other):
    """Whether two modules differ in more than the values of their tensors."""
    layers, others = list(module.modules()), list(other.modules())
    if len(layers) != len(others) or _tensors(module) != _tensors(other):
        return True
    try:
        return any(_kept(one) != _kept(two) for one, two in zip(layers, others, strict=True))
    except (RuntimeError, ValueError):  # tensors and arrays don't say in one word whether they are equal
        return True


def _tensors(module):
    parts = [*module.named_parameters(), *module.named_buffers()]
    return [(name, part.shape, part.dtype, part.requires_grad) for name, part in parts]


def _kept(layer):
    """What a layer holds besides tensors and layers."""
    inside = ("_parameters", "_buffers", "_modules", "training")
    return type(layer), {name: value for name, value in vars(layer).items() if name not in inside}


def _has_hooks(module):
    layers = any(
        value for layer in module.modules() for name, value in vars(layer).items() if name.endswith("_hooks")
    )
    return layers or any(weight._backward_hooks for weight in module.parameters())


def _is_tied(module):
    """Whether a tensor is in two layers; stacked, there would be two."""
    tensors = [
        id(part)
        for layer in module.modules()
        for part in [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
    ]
    return len(tensors) > len(set(tensors))


def _learns_elsewhere(net):
    """Whether the optimizer moves more than the module's weights."""
    own = {id(weight) for weight in net.module_.parameters()}
    return any(id(weight) not in own for group in net.optimizer_.param_groups for weight in group["params"])


def _global_states(device):
    """Where all generators are that a module may draw from."""
    _, words, *rest = np.random.get_state()
    gpu = torch.cuda.get_rng_state(device).tolist() if device.type == "cuda" else None
    return words.tolist(), rest, random.getstate(), torch.get_rng_state().tolist(), gpu


def _close(expected, found):
    """Whether tensors are equal up to rounding."""
    if expected.shape != found.shape or not expected.is_floating_point():
        return torch.equal(expected, found)
    # A GPU may multiply float32 in its shorter formats.
    tolerance = (1e5 if expected.is_cuda else 1e4) * torch.finfo(expected.dtype).eps
    scale = expected.detach().abs().max().item()
    return torch.allclose(expected, found, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
