"""Answers for a pool that does not fit into memory, block by block."""

from functools import partial, wraps
from tempfile import TemporaryFile

import numpy as np
from scipy import sparse

from skal._rows import at_the_door, is_view
from skal.engine import mapped

__all__ = ["answered", "block_wise"]

_IN_MEMORY = 2**30


def block_wise(function=None, *, axis=0, door=at_the_door):
    """Let a function of (owner, X, ...) take a pool that is not in memory: block by block.

    Blocks are of a size that follows from the shape of a row, counted from row 0, so that the answer is
    the same to the last bit whatever holds the pool.

    Parameters
    ----------
    function : callable
        ``function(owner, X, ...)`` -> an array, or a tuple of arrays; where X is in memory it is called as
        it is.
    axis : int, default=0
        The axis of the rows in an answer.
    door : callable, default=at_the_door
        What makes a view of an X that is not in memory.
    """
    if function is None:
        return partial(block_wise, axis=axis, door=door)

    @wraps(function)
    def of_any(owner, X, *args, **kwargs):
        X = door(X)
        # What a worker gets is the function by its name, and that is the one made here.
        return answered(_Asked(of_any if is_view(X) else function, owner, args, kwargs), X, axis)

    return of_any


class _Asked:
    """A function of rows whose other arguments are known; unlike a lambda it travels to workers."""

    def __init__(self, function, owner, args, kwargs):
        self.function, self.owner, self.args, self.kwargs = function, owner, args, kwargs

    def __call__(self, X):
        return self.function(self.owner, X, *self.args, **self.kwargs)


def answered(function, X, axis=0):
    """A function of rows, of each block of a view, in one array; of anything else at once.

    An answer of more than a gigabyte is kept in a file that has no name and ends with the array. Of a
    function with several answers, in a tuple, each is an array.
    """
    if not is_view(X):
        return function(X)
    if len(X) <= X.block_rows:
        return function(X.read())
    answers = None
    for rows, answer in mapped(function, X):
        parts = answer if isinstance(answer, tuple) else (answer,)
        answers = answers or [_Answer(axis, len(X)) for _ in parts]
        for whole, part in zip(answers, parts, strict=True):
            whole.add(rows, part)
    wholes = tuple(whole.array() for whole in answers)
    return wholes if isinstance(answer, tuple) else wholes[0]


class _Answer:
    """An array that is filled with the answers for blocks of rows."""

    def __init__(self, axis, n):
        self._axis, self._n = axis, n
        self._filled, self._parts = None, []

    def add(self, rows, part):
        """What a function said of a slice of the rows."""
        if isinstance(part, np.ndarray) and part.dtype.kind in "fiub" and part.ndim > self._axis:
            self._filled = _reserved(part, self._axis, self._n) if self._filled is None else self._filled
            self._filled[(slice(None),) * self._axis + (rows,)] = part
        else:  # texts of other lengths, objects, sparse rows
            self._parts.append(part)

    def array(self):
        """All of it."""
        if not self._parts:
            return self._filled
        is_sparse = sparse.issparse(self._parts[0])
        return sparse.vstack(self._parts, format="csr") if is_sparse else np.concatenate(self._parts)


def _reserved(part, axis, n):
    shape = (*part.shape[:axis], n, *part.shape[axis + 1 :])
    if part.dtype.itemsize * np.prod(shape, dtype=np.int64) <= _IN_MEMORY:
        return np.empty(shape, dtype=part.dtype)
    with TemporaryFile() as file:
        return np.memmap(file, dtype=part.dtype, mode="w+", shape=shape)
