"""Functions of single rows, applied to batches: preparation always, augmentation in training only."""

from collections.abc import Mapping
from math import prod

import torch

from skal.nets.batches import Labelled, as_tensor, unweighted, weighted
from skal.nets.seeding import isolated

__all__ = ["Transformed", "transformed_shape"]

_PROBED_ROWS = 8


class Transformed:
    """Batches whose rows have gone through functions.

    Parameters
    ----------
    batches : iterable of (X, codes)
        From memory, or a DataLoader.
    functions : list of callable
        Each takes a row, a tensor, and returns one; the last one has the last word.
    row_shape : tuple of int or None
        The shape in which a row is handed to the first function; None leaves it.
    in_shape : tuple of int
        The shape that a row must have in the end, up to a reshape.
    """

    def __init__(self, batches, functions, row_shape, in_shape):
        self._batches, self._functions = batches, functions
        self._row_shape, self._in_shape = row_shape, in_shape

    @property
    def generator(self):
        """What orders of rows are drawn from."""
        return self._batches.generator

    def __len__(self):
        return len(self._batches)

    def __iter__(self):
        for X, codes in self._batches:
            yield self._of_batch(X), codes

    def _of_batch(self, X):
        if isinstance(X, Mapping) and "sample_weight" in X:
            rows, weight = unweighted(X)
            return weighted(self._of_batch(rows), weight)
        if not isinstance(X, torch.Tensor):
            raise TypeError(
                f"transform= and train_transform= take rows that are one array each, and these come as "
                f"{type(X).__name__}; transform them before they are passed."
            )
        rows = [_applied(self._functions, row, self._row_shape) for row in X]
        for row in rows:
            if row.numel() != prod(self._in_shape):
                raise ValueError(
                    f"{self._functions!r} made a row of shape {tuple(row.shape)}, and the net learns from "
                    f"rows of shape {self._in_shape}: what augments must bring rows back to that, as a crop "
                    "does after padding, and transform= may resize them, in scoring too."
                )
        return torch.stack(rows)


def transformed_shape(transform, X, row_shape):
    """The shape of a row of X after `transform`, which must give the same values each time.

    Parameters
    ----------
    transform : callable
    X : ndarray, dict with weights, or Dataset
        What a net is fitted to.
    row_shape : tuple of int
        The shape of a row before.

    Raises
    ------
    ValueError
        If the transform draws: then scores would change from call to call.
    """
    X = X.dataset if isinstance(X, Labelled) else unweighted(X)[0]
    for number in range(min(len(X), _PROBED_ROWS)):
        answers = []
        for seed in (0, 1):
            with isolated(seed, "cpu"):
                answers.append(_applied([transform], _row(X, number), row_shape))
        once, again = answers
        if once.shape != again.shape or not torch.equal(once.nan_to_num(), again.nan_to_num()):
            raise ValueError(
                f"transform={transform!r} gave row {number} twice, with different values: it draws. It is "
                "used in scoring too, which must answer the same each time; pass what augments as "
                "train_transform=, which is used in training only."
            )
    return tuple(once.shape)


def _applied(functions, row, row_shape):
    """One row after all functions; a copy goes in, so that functions may write to it."""
    row = row if isinstance(row, torch.Tensor) else as_tensor(row, "cpu")
    row = row.reshape(row_shape if row_shape is not None else row.shape).clone()
    for function in functions:
        row = function(row)
        if not isinstance(row, torch.Tensor):
            raise TypeError(
                f"{function!r} is to take a row and return one, both tensors, and returned "
                f"{type(row).__name__}."
            )
    return row


def _row(X, number):
    row = X[number]
    return row[0] if isinstance(row, tuple | list) else row
