"""Calls of dropout in a module's forward, however they are written."""

from typing import NamedTuple

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from skal.nets._faster import call
from skal.nets._opened import opened


class Dropout(NamedTuple):
    """One call of dropout."""

    x: torch.Tensor
    p: float
    mask_shape: tuple
    """Shape of what is dropped: that of x, with 1 for the axes that go together."""
    alpha: bool
    inplace: bool
    training: bool = True
    """Whether the call asks to drop, in the mode that the module is in."""


class DropoutMode(TorchFunctionMode):
    """Hands each call of dropout to `drop` while it is on, layers and functions alike.

    ``training=False`` does not hide a call: where p > 0, it is one. Attention and recurrent layers with
    dropout inside are taken apart first. The other calls go to `other`.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """See ``torch.overrides.TorchFunctionMode``."""
        kwargs = kwargs or {}
        dropout = as_dropout(func, args, kwargs)
        if dropout is not None:
            return self.drop(dropout) if dropout.p > 0 else dropout.x
        parts = opened(func, args, kwargs)
        if parts is None:
            return self.other(func, args, kwargs)
        with self:
            return parts()

    def drop(self, call):
        """What a call of dropout returns."""
        raise NotImplementedError

    def other(self, func, args, kwargs):
        """What any other call returns."""
        return call(func, args, kwargs)


def as_dropout(func, args, kwargs):
    """The call of `func` as a `Dropout`, or None if it is something else."""
    if func not in _KINDS:
        return None
    feature, alpha = _KINDS[func]
    named = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs
    x, name = named["input"], func.__name__
    shared = x.ndim
    if feature:  # a row without a batch axis has its channels first
        shared = 1 if x.ndim == _UNBATCHED.get(func) else 2
    mask_shape = (*x.shape[:shared], *(1 for _ in x.shape[shared:]))
    inplace = bool(named.get("inplace")) or name.endswith("_")
    training = bool(named.get("training", named.get("train", not alpha)))  # as the functions have it
    return Dropout(x, float(named.get("p", 0.5)), mask_shape, alpha, inplace, training)


_ARGUMENTS = ("input", "p", "training", "inplace")
_UNIT, _FEATURE, _ALPHA, _FEATURE_ALPHA = (False, False), (True, False), (False, True), (True, True)
_KINDS = {
    functional.dropout: _UNIT,
    functional.dropout1d: _FEATURE,
    functional.dropout2d: _FEATURE,
    functional.dropout3d: _FEATURE,
    functional.alpha_dropout: _ALPHA,
    functional.feature_alpha_dropout: _FEATURE_ALPHA,
    torch.dropout: _UNIT,
    torch.dropout_: _UNIT,
    torch.feature_dropout: _FEATURE,
    torch.feature_dropout_: _FEATURE,
    torch.alpha_dropout: _ALPHA,
    torch.alpha_dropout_: _ALPHA,
    torch.feature_alpha_dropout: _FEATURE_ALPHA,
    torch.feature_alpha_dropout_: _FEATURE_ALPHA,
}
_UNBATCHED = {functional.dropout1d: 2, functional.dropout3d: 4}
