"""Draws of a net by Monte Carlo dropout: exact marginals, nothing of the net's state touched."""

from itertools import chain
from numbers import Integral

import numpy as np
import torch
from torch import nn

from skal.nets._active import may_drop, may_drop_once_built
from skal.nets._faster import keep_freed_memory
from skal.nets._masks import Masks
from skal.nets._passes import Passes
from skal.nets._probe import no_dropout, probe
from skal.nets._source import open_source

N_DRAWS = 20


def sample_proba(model, X, n_draws=None, seed=0, consistent=True):
    """Class probabilities under draws of dropout masks; -> (n_draws, n, k) float64.

    Only dropout is switched on: the net stays in evaluation mode, and is as before after the call.

    Parameters
    ----------
    model : NeuralNet or torch.nn.Module
        A fitted skorch classifier, or a module that returns logits.
    X : array-like of shape (n, ...), or what else the net predicts on
        The rows; for a bare module an array or tensor.
    n_draws : int >= 1 or None, default=None
        How many masks; None is 20. Draw t is the same, to rounding, whatever their number.
    seed : int, default=0
        Fixes the masks.
    consistent : bool, default=True
        Share each draw's masks over the rows, as joint distributions of rows need. A row's draws then
        hang on no other row, on no order and no batch. Else each row has masks of its own, which hang on
        the seed, the draw, and the row's number in X. What a module draws besides dropout, in evaluation mode
        too, hangs on the draw and the batch.

    Returns
    -------
    ndarray of shape (n_draws, n, k)

    Raises
    ------
    TypeError
        If the net has no active dropout, or randomness that can't be told from it.
    """
    return _draws(model, X, n_draws, seed, consistent)


def mean_proba(model, X, n_draws, seed):
    """The mean of the draws; -> (n, k) float64."""
    return _draws(model, X, n_draws, seed, reduce=lambda draws: draws.mean(axis=0))


def _draws(model, X, n_draws=None, seed=0, consistent=True, reduce=lambda draws: draws):
    """The draws, (n_draws, n, k), or what `reduce` makes of those of each batch, (..., n, k)."""
    n_draws = N_DRAWS if n_draws is None else n_draws
    if not isinstance(n_draws, Integral) or n_draws < 1:
        raise ValueError(f"n_draws={n_draws!r} is no number of draws: pass an int of 1 or more")
    if not can_drop(model):
        raise no_dropout(model)
    keep_freed_memory()
    source = open_source(model)
    with source.isolated(seed), torch.no_grad():
        batches = iter(source.batches(X))
        first = next(batches, None)
        if first is None:
            raise ValueError(f"{source.name} was asked for draws of X, which has no rows")
        found = probe(source, first)
        if source.device.type == "cpu" and source.chooses_rows():
            batches = source.batches(X, found.batch_rows)
        else:
            batches = chain([first], batches)
        passes = Passes(source, Masks(seed, consistent), found, n_draws)
        result, start = None, 0
        for batch in batches:
            outputs = passes.run(batch)
            proba = source.proba(torch.cat(outputs).cpu().double()).numpy()
            drawn = reduce(proba.reshape(n_draws, len(outputs[0]), -1))
            if result is None:  # at once: arrays of batches would lie scattered among what batches free
                result = np.empty((*drawn.shape[:-2], source.n_rows(X), drawn.shape[-1]))
            rows = slice(start, start := start + drawn.shape[-2])
            result[..., rows, :] = drawn
        return result


def can_drop(model):
    """Whether a net or module, fitted or not, has active dropout; True where only running it can tell.

    A fitted net is judged by its modules; an unfitted one by the module that it would build.
    """
    if isinstance(model, nn.Module):
        return may_drop(model)
    if model.initialized_:
        return any(may_drop(getattr(model, name + "_")) for name in model._modules)
    module = getattr(model, "_stand_in", None) if model.module is None else model.module
    return may_drop_once_built(module, model.get_params_for("module"))
