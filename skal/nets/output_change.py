"""How far one step on a new label would move what a net answers: all weights, without a Jacobian."""

import warnings
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from skal.nets._source import cloned, n_rows, open_source, take
from skal.nets.classifier import NetClassifier
from skal.nets.intake import check_rows, is_foreign

# Steps that are followed at once. With more, the activations of a batch of images leave a processor's cache.
_DIRECTIONS = 8


def output_change(model, X, references, *, output="proba", labels="full", seed=0):
    """Expected change of a net's outputs by one step of gradient descent on each row; (n, ...) -> (n,).

    For a row x' and a label y it is ``mean_x |J(x) g(x', y)|_1``, with J the Jacobian of the outputs at a
    reference row x and g the gradient of the cross-entropy; the score is its mean over the labels, with
    their probabilities. The products with J are directional derivatives, one pass over the references for
    each row and label (but one: the gradients, times probabilities, sum to 0), and J is never made.

    In evaluation mode, on a copy of the module that shares its weights: dropout is off, batch normalisation
    uses what it has learned, and the model is left as it is. Weights that don't require gradients are fixed.

    Parameters
    ----------
    model : NeuralNet or torch.nn.Module
        A fitted skorch net, or a module that returns logits.
    X : array-like of shape (n, ...), or what else the net predicts on
        The rows.
    references : array-like of shape (n_references, ...)
        The rows whose outputs count.
    output : {"proba", "logit"}, default="proba"
        Whether the change of the probabilities is measured, or that of what the module returns.
    labels : {"full", "max"}, default="full"
        The mean over all labels, or the likeliest label only, which takes a pass and not one for each label.
    seed : int, default=0
        Seeds what the module draws, should it draw in evaluation mode.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If no weight of the net requires gradients.
    RuntimeError
        If the module does something that ``torch.func`` can't follow.
    """
    X, references = _rows(model, X), _rows(model, references)
    source = open_source(model)
    with source.isolated(seed), _differentiable():
        source.set_training(False)
        answers = _Answers(source)
        references = list(source.batches(references))
        changes = [
            change
            for batch in source.batches(X)
            for change in _batch_changes(answers, batch, references, output, labels)
        ]
    return np.array(changes)


class _Answers(nn.Module):
    """What a net answers, as a function of its weights.

    Parameters
    ----------
    source : Source
        Its modules become parts of this one, so that ``functional_call`` finds their weights.

    Attributes
    ----------
    weights : dict of str to Tensor
        Those that training changes.
    """

    def __init__(self, source):
        super().__init__()
        self.source, self.parts = source, nn.ModuleList(source.modules)
        self.weights = {name: w.detach() for name, w in self.named_parameters() if w.requires_grad}
        if not self.weights:
            raise ValueError(f"No weight of {source.name} requires gradients: no label would change it.")

    def forward(self, batch, output):
        """Logits or probabilities of a batch, (b, k)."""
        logits = self.source.forward(cloned(batch))
        return self.source.proba(logits) if output == "proba" else logits

    def at(self, weights, batch, output):
        """The same with other weights."""
        return functional_call(self, weights, (batch, output))

    def steps(self, row, labels):
        """Gradients of minus the log-likelihood, each times the label's probability; -> dict of (s, ...).

        That is minus the gradient of the probability, so that nothing is divided by one of 0. The last
        label is left out: these steps sum to 0.
        """
        proba, pull_back = vjp(lambda weights: self.at(weights, row, "proba")[0], self.weights)
        one_hot = torch.eye(len(proba), dtype=proba.dtype, device=proba.device)
        if labels == "full":
            return vmap(pull_back)(one_hot[: max(1, len(proba) - 1)])[0]
        likeliest = proba.argmax()
        return vmap(pull_back)(one_hot[likeliest : likeliest + 1] / proba[likeliest])[0]

    def moved(self, steps, batch, output):
        """How each step moves the outputs of a batch, to first order; -> (s, b, k)."""

        def along(step):
            return jvp(lambda weights: self.at(weights, batch, output), (self.weights,), (step,))[1]

        n_steps = len(next(iter(steps.values())))
        n_chunks = -(-n_steps // _DIRECTIONS)  # of nearly equal size: one step alone gains nothing
        return vmap(along, chunk_size=-(-n_steps // n_chunks))(steps)


def _batch_changes(answers, batch, references, output, labels):
    """The change by each row of a batch, a few rows at a time; yields floats."""
    at_once = _DIRECTIONS if labels == "max" else 1
    n, n_references = n_rows(batch), sum(map(n_rows, references))
    for start in range(0, n, at_once):
        rows = range(start, min(start + at_once, n))
        of_rows = [answers.steps(take(batch, [row]), labels) for row in rows]
        steps = {name: torch.cat([step[name] for step in of_rows]) for name in answers.weights}
        total = 0
        for part in references:
            moved = answers.moved(steps, part, output).unflatten(0, (len(rows), -1))
            if labels == "full":
                moved = torch.cat([moved, -moved.sum(1, keepdim=True)], dim=1)
            total = total + moved.abs().double().sum(dim=(1, 2, 3))
        yield from (total / n_references).tolist()


@contextmanager
def _differentiable():
    """Attention as sums and products, which can be differentiated forwards; advice on what can't."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
            # torch itself, when it loads the derivatives of some functions.
            warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
            yield
    except RuntimeError as error:
        error.add_note(
            "All weights are followed by torch.func, and this module does something that it can't follow; "
            'layers="last" asks for less.'
        )
        raise
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _rows(model, X):
    """X as the net takes it."""
    if not isinstance(model, NetClassifier) or is_foreign(X):
        return X
    return check_rows(model, X, reset=False)
