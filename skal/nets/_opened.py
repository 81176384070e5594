"""Attention and recurrent layers with dropout inside, as the steps that they are made of."""

import math
from functools import partial
from inspect import signature
from types import FunctionType

import torch
from torch.nn import functional


def opened(func, args, kwargs):
    """A call whose function hides dropout, as a function of its visible steps; None for all others."""
    if func is functional.scaled_dot_product_attention:
        return _if_it_drops(_attention, args, kwargs)
    if func is functional.multi_head_attention_forward:
        named = signature(func).bind(*args, **kwargs).arguments
        return partial(_BODY, **named | {"training": True}) if named["dropout_p"] > 0 else None
    if func in _RECURRENT:
        return _recurrent(func, *args, **kwargs)
    return None


def _without_overrides(function):
    """A function of torch.nn.functional whose body shows its steps to a mode, not itself."""
    names = function.__globals__ | {"has_torch_function": lambda tensors: False}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


_BODY = _without_overrides(functional.multi_head_attention_forward)


def _if_it_drops(steps, args, kwargs):
    named = signature(steps).bind(*args, **kwargs).arguments
    return partial(steps, **named) if named.get("dropout_p", 0) > 0 else None


def _attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """``F.scaled_dot_product_attention`` as its documentation defines it."""
    if enable_gqa:
        heads = query.size(-3)
        key = key.repeat_interleave(heads // key.size(-3), -3)
        value = value.repeat_interleave(heads // value.size(-3), -3)
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.size(-1)) if scale is None else scale)
    if is_causal:
        ones = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(ones.tril().logical_not(), -torch.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(attn_mask.logical_not(), -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return functional.dropout(torch.softmax(scores, dim=-1), dropout_p) @ value


_RECURRENT = (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)


def _recurrent(func, input, hx, *rest):
    """Recurrent layers one by one, with the dropout between them; None where there is none."""
    if not isinstance(rest[1], bool):  # packed: (data, batch_sizes, hx, weights, bias, layers, p, ...)
        if rest[4] > 0 and rest[3] > 1:
            raise TypeError(
                f"MC dropout can't see into {func.__name__} of a PackedSequence, whose rows share one axis; "
                "pad the sequences instead, or set dropout=0 in the recurrent layer."
            )
        return None
    weights, bias, n_layers, p, train, bidirectional, batch_first = rest
    if not (p > 0 and n_layers > 1):
        return None

    def layers():
        per_layer, ways = len(weights) // n_layers, 1 + bidirectional
        x, states = input, []
        for layer in range(n_layers):
            x = functional.dropout(x, p) if layer else x
            own = slice(layer * ways, (layer + 1) * ways)
            state = [part[own] for part in hx] if isinstance(hx, tuple | list) else hx[own]
            own = weights[layer * per_layer : (layer + 1) * per_layer]
            x, *state = func(x, state, own, bias, 1, 0.0, train, bidirectional, batch_first)
            states.append(state)
        return (x, *(torch.cat(parts) for parts in zip(*states, strict=True)))

    return layers
