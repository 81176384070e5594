"""Where draws come from: a copy of a fitted net or module that can be run, switched, and thrown away."""

from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import torch
from skorch import NeuralNet
from skorch.dataset import get_len, unpack_data
from skorch.utils import to_tensor

from skal.nets._net import SkorchNet
from skal.nets.seeding import isolated

_ROWS = 64  # of a bare module's batch


def open_source(model):
    """The source of draws from a fitted skorch net, or from a torch module with logits."""
    return NetSource(model) if isinstance(model, NeuralNet) else ModuleSource(model)


class Source:
    """A copy of the modules of a model: what happens to it leaves the model alone.

    Weights are shared, since nothing here changes them; modes, buffers and all else are the copy's own.

    Parameters
    ----------
    model : NeuralNet or torch.nn.Module
        Fitted.
    modules : list of torch.nn.Module
    """

    def __init__(self, model, modules):
        self.model, self.name = model, type(model).__name__
        self.modules = _copied([getattr(module, "_orig_mod", module) for module in modules], self.name)

    def twin(self):
        """Another copy."""
        return type(self)(self.model)

    def layers(self):
        """All layers of all modules."""
        return [layer for module in self.modules for layer in module.modules()]

    def set_training(self, training, but=()):
        """Set the mode of all layers; those of the classes `but` are in evaluation mode at any rate."""
        for layer in self.layers():
            layer.training = training and not isinstance(layer, but)

    def tensors(self):
        """All tensors that the layers hold, weights or not."""
        held = [value for layer in self.layers() for value in vars(layer).values()]
        parts = [*held, *(list(part.values()) for part in held if isinstance(part, dict))]
        flat = [leaf for part in parts for leaf in (part if isinstance(part, list | tuple) else [part])]
        return [leaf for leaf in flat if isinstance(leaf, torch.Tensor)]

    def buffers(self):
        """Copies of all buffers."""
        return [buffer.clone() for module in self.modules for buffer in module.buffers()]


class ModuleSource(Source):
    """A bare module: X is an array or tensor, and the module returns logits."""

    def __init__(self, module):
        super().__init__(module, [module])
        weights = [*module.parameters(), *module.buffers()]
        self.device = weights[0].device if weights else torch.device("cpu")
        self.dtype = next((weight.dtype for weight in weights if weight.is_floating_point()), None)

    def batches(self, X, size=_ROWS):
        """Batches of X on the module's device; floating point is cast to its number type."""
        X = X if isinstance(X, torch.Tensor) else torch.from_numpy(np.asarray(X))
        for start in range(0, len(X), size):
            batch = X[start : start + size].to(self.device, copy=True)  # for operations in place
            yield batch.to(self.dtype) if batch.is_floating_point() and self.dtype else batch

    def n_rows(self, X):
        """Rows of X."""
        return len(X)

    def chooses_rows(self):
        """Whether the rows of a batch are not fixed by the user, and X can be read twice."""
        return True

    def forward(self, batch):
        """Logits of a batch."""
        return _first(self.modules[0](batch))

    def proba(self, logits):
        """Probabilities from logits; (..., k) -> (..., k)."""
        if logits.shape[-1] == 1:
            raise TypeError(
                f"{self.name} returns one number for a row, and draws need the logit of each class: return "
                "two, such as torch.cat([torch.zeros_like(z), z], dim=1)."
            )
        return logits.softmax(-1)

    def isolated(self, seed):
        """A block without traces in random states and switches."""
        return isolated(seed, self.device)


class NetSource(Source):
    """A skorch net, with its own batches, inference and nonlinearity."""

    def __init__(self, net):
        names = [name + "_" for name in net._modules]
        super().__init__(net, [getattr(net, name) for name in names])
        self.net = object.__new__(type(net))  # `copy` would send all weights through a file
        vars(self.net).update(vars(net) | dict(zip(names, self.modules, strict=True)))
        self.device = torch.device(net.device or "cpu")
        self.proba = net._get_predict_nonlinearity()

    def batches(self, X, size=None):
        """What the net's evaluation iterator gives for X, in order, without labels."""
        if size is not None and self.chooses_rows():
            vars(self.net)["iterator_valid__batch_size"] = size
        for batch in self.net.get_iterator(self.net.get_dataset(X), training=False):
            yield to_tensor(unpack_data(batch)[0], device=self.net.device)

    def n_rows(self, X):
        """Rows of X."""
        return len(self.net.get_dataset(X))

    def chooses_rows(self):
        """Whether the rows of a batch are not fixed by the user, and X can be read twice."""
        may_choose = isinstance(self.net, SkorchNet) and self.net._draws_choose_rows
        return may_choose and "iterator_valid__batch_size" not in vars(self.net)

    def forward(self, batch):
        """What the net's module returns for a batch; the first of several things."""
        return _first(self.net.infer(batch))

    def isolated(self, seed):
        """A block without traces in random states and switches."""
        if hasattr(self.net, "_isolated"):
            return self.net._isolated("draws", seed)
        return isolated(seed, self.device)


def n_rows(batch):
    """Rows of a batch."""
    return get_len(batch)


def take(batch, rows):
    """Some rows of a batch, of each of its tensors."""
    return _each(lambda tensor: tensor[list(rows)], batch)


def cloned(batch):
    """A batch that a module may write to."""
    return _each(torch.clone, batch)


def tensors(batch):
    """All tensors of a batch."""
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if isinstance(batch, tuple | list):
        return [tensor for part in batch for tensor in tensors(part)]
    return [batch]


def _each(function, batch):
    if isinstance(batch, Mapping):
        return {name: _each(function, part) for name, part in batch.items()}
    if isinstance(batch, tuple | list):
        return type(batch)(_each(function, part) for part in batch)
    return function(batch)


def _first(output):
    return output[0] if isinstance(output, tuple) else output


def _copied(modules, name):
    """Copies that share their weights; what layers computed and remember comes without its graph."""
    memo = {id(weight): weight for module in modules for weight in module.parameters()}
    for module in modules:
        for layer in module.modules():
            for value in vars(layer).values():
                if isinstance(value, torch.Tensor) and not value.is_leaf:
                    memo[id(value)] = value.detach().clone()
    try:
        return deepcopy(modules, memo)
    except Exception as error:
        raise TypeError(
            f"MC dropout works on a copy of the module, and {name} has one that can't be copied: {error}"
        ) from error
