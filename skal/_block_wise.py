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
        ``function(owner, X, ...)`` -> an array; where X is in memory it is called as it is.
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

    An answer of more than a gigabyte is kept in a file that has no name and ends with the array.
    """
    if not is_view(X):
        return function(X)
    if len(X) <= X.block_rows:
        return function(X.read())
    result, parts = None, []
    for rows, part in mapped(function, X):
        if isinstance(part, np.ndarray) and part.dtype.kind in "fiub" and part.ndim > axis:
            result = _reserved(part, axis, len(X)) if result is None else result
            result[(slice(None),) * axis + (rows,)] = part
        else:  # texts of other lengths, objects, sparse rows
            parts.append(part)
    if parts:
        return sparse.vstack(parts, format="csr") if sparse.issparse(parts[0]) else np.concatenate(parts)
    return result


def _reserved(part, axis, n):
    shape = (*part.shape[:axis], n, *part.shape[axis + 1 :])
    if part.dtype.itemsize * np.prod(shape, dtype=np.int64) <= _IN_MEMORY:
        return np.empty(shape, dtype=part.dtype)
    with TemporaryFile() as file:
        return np.memmap(file, dtype=part.dtype, mode="w+", shape=shape)
