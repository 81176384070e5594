"""Whether a module has active dropout, as far as can be told without running it."""

from functools import lru_cache
from types import CodeType, FunctionType

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from skal.nets.modules import SmallMLP, built
from skal.nets.seeding import isolated


def may_drop(module):
    """Whether a module has a layer that drops, or code of its own that may."""
    return any(_is_active(layer) or _calls_dropout(layer) for layer in module.modules())


def may_drop_once_built(module, params):
    """The same for a module class or instance with parameters; True if it can't be built without data."""
    if isinstance(module, nn.Module) and not params:
        return may_drop(module)
    build = type(module) if isinstance(module, nn.Module) else SmallMLP if module is None else module
    try:
        return _built_may_drop(build, tuple(sorted(params.items())))
    except TypeError:  # parameters that can't be hashed, so that the answer can't be kept
        return _built_may_drop.__wrapped__(build, tuple(params.items()))


_LEARNED = {"n_classes": 2, "in_channels": 1}


@lru_cache(maxsize=64)
def _built_may_drop(build, params):
    for in_shape in [(16,), (1, 16, 16)]:  # stands in for the shape of rows, which only the data knows
        try:
            with isolated(0, "cpu"), torch.device("meta"):
                return may_drop(built(build, dict(params), _LEARNED | {"in_shape": in_shape}))
        except Exception:  # whatever a constructor raises that needs to know the data, or can't be on "meta"
            continue
    return True


def _is_active(layer):
    """Whether a layer of torch drops."""
    if isinstance(layer, _DropoutNd):
        return layer.p > 0
    if isinstance(layer, nn.MultiheadAttention):
        return layer.dropout > 0
    return isinstance(layer, nn.RNNBase) and layer.dropout > 0 and layer.num_layers > 1


def _calls_dropout(layer):
    """Whether the layer's own code names dropout, or attention, as a function.

    A name that is also an attribute is judged by what it holds: a layer stands for itself, and a number is p.
    """
    if type(layer).__module__.startswith("torch."):
        return isinstance(layer, torch.jit.ScriptModule)
    held = {name: vars(layer).get(name, layer._modules.get(name)) for name in _names(type(layer))}
    return any(
        not isinstance(value, nn.Module) and not (isinstance(value, int | float) and value == 0)
        for value in held.values()
    )


def _names(kind):
    """Names like "dropout" and "attention" in the methods of a class, and in functions that they call."""
    own = [base for base in kind.__mro__ if not base.__module__.startswith(("torch.", "builtins"))]
    methods = {name: value for base in own for name, value in vars(base).items() if name != "__init__"}
    todo = [value for value in methods.values() if isinstance(value, FunctionType)]
    seen, names = set(), set()
    while todo:
        function = todo.pop()
        if function in seen or function.__module__.startswith("torch."):
            continue
        seen.add(function)
        used = _used(function.__code__)
        names |= {name for name in used if "dropout" in name or "attention" in name}
        called = (function.__globals__.get(name) for name in used)
        todo += [value for value in called if isinstance(value, FunctionType)]
    return names


def _used(code):
    """Names of globals and attributes in a function's code, and in functions inside it."""
    nested = [_used(part) for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*nested)
