"""What a pool can be asked for, whatever holds it: its length, rows by position, its blocks, its content."""

import hashlib

import joblib
import numpy as np

__all__ = ["Container", "fingerprint_of"]

_SAMPLED_ROWS = 256


class Container:
    """Base class of what holds a pool, in memory or not: rows by position.

    A subclass sets `shape`, and `dtype` where rows are numbers, and has one hook, ``take(rows)``.

    Attributes
    ----------
    shape : tuple of int
        ``(n, ...)``: the number of rows, and the shape of a row, which is empty where rows are no arrays.
    dtype : dtype or None
        The type of the numbers; None where rows are something else, such as frames.
    labels : ndarray of shape (n,) or None
        What is known of the labels; an entry of None is a row without one.
    classes : ndarray or None
        The names of the classes, sorted, where the container has them.
    origin : tuple or None
        Where rows are read from, such as the path of a file; None for what lives in memory only.
    block_rows : int
        How many rows are best read at once: those of a chunk.
    """

    shape = (0,)
    dtype = None
    labels = None
    classes = None
    origin = None
    block_rows = 1024

    def __len__(self):
        return self.shape[0]

    def take(self, rows):
        """Hook: rows by position, in any order and with repeats; (n,) int64 -> what a model gets."""
        raise NotImplementedError(f"{type(self).__name__} has no take(rows).")

    def blocks(self):
        """The rows in parts that are best read at once; yields slices, in order."""
        for start in range(0, len(self), self.block_rows):
            yield slice(start, min(start + self.block_rows, len(self)))

    def fingerprint(self):
        """A text that changes with the content: the number of rows, their shape, and a sample of them.

        256 rows are read, from the first to the last at equal distances.
        """
        sampled = np.linspace(0, len(self) - 1, min(len(self), _SAMPLED_ROWS)).astype(np.int64)
        return fingerprint_of(self.shape, str(self.dtype), self.take(sampled))

    def name(self, row):
        """What an error calls a row, at its beginning."""
        return f"Row {row} of the pool"


def fingerprint_of(*parts):
    """A text that is the same for the same content: of arrays, sparse matrices, frames, lists."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != object:
            digest.update(repr((part.shape, part.dtype.str)).encode())
            digest.update(np.ascontiguousarray(part).data.cast("B") if part.size else b"")
        else:
            digest.update(joblib.hash(part).encode())
    return digest.hexdigest()
