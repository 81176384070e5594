"""One module that computes many: the rows of net m are block m of the batch.

Whatever treats each row by itself stays as it is. Only layers with weights, and layers that draw, are
replaced by twins that know where the rows of one net end.
"""

from contextlib import contextmanager
from copy import copy, deepcopy

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.dropout import _DropoutNd

_WIDE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_MASKING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class Streams:
    """The random numbers of each of n nets: a state of torch's generator for each, once it is kept.

    Parameters
    ----------
    n : int
        How many nets.
    device : torch.device
        Whose generator the nets draw from.
    """

    def __init__(self, n, device):
        self._states = [None] * n
        self._generator = torch.default_generator
        self._on_gpu = device.type == "cuda"
        if self._on_gpu:
            torch.cuda.init()
            index = torch.cuda.current_device() if device.index is None else device.index
            self._generator = torch.cuda.default_generators[index]

    def keep(self, number):
        """Let a net go on from where torch's generator is now."""
        generator = self._generator
        self._states[number] = generator.clone_state() if self._on_gpu else generator.get_state()

    @property
    def states(self):
        """Where each net's stream is, as tensors."""
        return [state.get_state() if self._on_gpu else state for state in self._states]

    @contextmanager
    def of(self, number):
        """The block draws from the stream of one net."""
        generator = self._generator
        if self._on_gpu:  # draws from the state of another generator as it is: nothing is copied
            outside = generator.graphsafe_get_state()
            generator.graphsafe_set_state(self._states[number])
            yield
            generator.graphsafe_set_state(outside)
        else:
            outside = generator.get_state()
            generator.set_state(self._states[number])
            yield
            self.keep(number)
            generator.set_state(outside)


def stacked(modules, streams):
    """A module that maps the rows of all nets, net after net, to what each net makes of its own.

    Parameters and buffers have the names that they have in each net, and one dimension more: the net.

    Parameters
    ----------
    modules : list of torch.nn.Module
        Nets of one architecture. They stay as they are.
    streams : Streams
        What layers that draw draw from.

    Returns
    -------
    torch.nn.Module
    """
    return _stacked(modules, streams, {})


def _stacked(modules, streams, done):
    first = modules[0]
    if id(first) not in done:  # a layer that is used twice is one layer
        done[id(first)] = _twin(modules, streams, done)
    return done[id(first)]


def _twin(modules, streams, done):
    first = modules[0]
    if type(first) is nn.Linear:
        return StackedLinear(modules)
    if type(first) in _WIDE:
        return StackedChannels(modules)
    if type(first) in _MASKING:
        return StackedDropout(modules, streams)
    if _own_tensors(first) or isinstance(first, _DropoutNd):
        return OneByOne(modules, streams)
    container = copy(first)
    container._modules = {
        name: None
        if child is None
        else _stacked([module._modules[name] for module in modules], streams, done)
        for name, child in first._modules.items()
    }
    return container


class StackedLinear(nn.Module):
    """`torch.nn.Linear` of many nets, as one product; (n_nets * b, ..., m) -> (n_nets * b, ..., k)."""

    def __init__(self, modules):
        super().__init__()
        _hold(modules, self)

    def forward(self, X):
        """What each net's layer makes of its rows."""
        rows = X.reshape(len(self.weight), -1, X.shape[-1])
        weight = self.weight.transpose(1, 2)
        product = (
            torch.bmm(rows, weight) if self.bias is None else torch.baddbmm(self.bias[:, None], rows, weight)
        )
        return product.reshape(*X.shape[:-1], -1)


class StackedChannels(nn.Module):
    """A convolution or batch normalisation of many nets, with their channels side by side.

    Groups of channels don't mix in a convolution, and no channels mix in a normalisation; so one layer with
    the channels of all nets does what theirs do.
    """

    def __init__(self, modules):
        super().__init__()
        _hold(modules, self)
        self.n = len(modules)
        wide = _bare(modules[0])
        if hasattr(wide, "groups"):
            wide.groups *= self.n
        self._wide = (wide,)  # in a tuple, so that its tensors are not registered here

    def forward(self, X):
        """What each net's layer makes of its rows; (n_nets * b, c, ...) -> (n_nets * b, c, ...)."""
        X = X.unflatten(0, (self.n, -1)).transpose(0, 1).flatten(1, 2)
        X = self._lent(self._wide[0])(X)
        return X.unflatten(1, (self.n, -1)).transpose(0, 1).flatten(0, 1)

    def _lent(self, wide):
        """The layer of all channels with the tensors of now; `functional_call` would take time to swap them.

        Tensors of one number a net, such as a count of batches, stay as they are. Of buffers these are views,
        which the layer writes to.
        """
        wide.training = self.training
        for own, lent in ((self._parameters, wide._parameters), (self._buffers, wide._buffers)):
            for name, part in own.items():
                lent[name] = part.flatten(0, 1) if part is not None and part.ndim > 1 else part
        return wide


class StackedDropout(nn.Module):
    """Dropout of many nets, each with the masks that it would draw alone."""

    def __init__(self, modules, streams):
        super().__init__()
        self.n, self.layer, self.streams = len(modules), copy(modules[0]), streams

    def forward(self, X):
        """X times the masks: zeros, and 1 / (1 - p)."""
        if not self.training or self.layer.p == 0:
            return X
        # The layer itself draws, so that the masks are those of each net alone. On a GPU they hang, besides,
        # on how the values lie in memory, and on whether the layer works in place.
        ones, masks = X.new_ones((len(X) // self.n, *X.shape[1:])), []
        for number in range(self.n):
            with self.streams.of(number):
                masks.append(self.layer(ones.clone() if self.layer.inplace else ones))
        return X * torch.cat(masks)


class OneByOne(nn.Module):
    """Any layer of many nets, called net by net."""

    def __init__(self, modules, streams):
        super().__init__()
        _hold(modules, self)
        self.n, self.streams = len(modules), streams
        self._bare = (_bare(modules[0]),)

    def forward(self, *args):
        """What each net's layer makes of its rows."""
        outputs = []
        for number in range(self.n):
            own = [arg.chunk(self.n)[number] if isinstance(arg, torch.Tensor) else arg for arg in args]
            state = {name: part[number] for name, part in _state(self)}
            with self.streams.of(number):
                outputs.append(functional_call(self._bare[0].train(self.training), state, tuple(own)))
        return torch.cat(outputs)


def _own_tensors(module):
    return any(part is not None for part in [*module._parameters.values(), *module._buffers.values()])


def _state(module):
    return [*module.named_parameters(), *module.named_buffers()]


def _bare(module):
    """A copy of a layer to call with other tensors than its own, which it is left without."""
    nothing = {id(part): torch.empty(0) for part in [*module.parameters(), *module.buffers()]}
    return deepcopy(module, nothing)


def _hold(modules, holder):
    """Register the tensors of a layer of many nets in `holder`, under the layer's names for them."""
    first = modules[0]
    for name, part in first._parameters.items():
        own = None if part is None else torch.stack([module._parameters[name].detach() for module in modules])
        holder.register_parameter(name, None if own is None else nn.Parameter(own, part.requires_grad))
    for name, part in first._buffers.items():
        own = None if part is None else torch.stack([module._buffers[name] for module in modules])
        holder.register_buffer(name, own)
    for name, child in first._modules.items():
        if child is not None:
            holder.add_module(name, _hold([module._modules[name] for module in modules], nn.Module()))
    return holder
