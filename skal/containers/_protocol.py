"""What a pool can be asked for, whatever holds it: its length, rows by position, its blocks, its content."""

import hashlib
import random
import sys
from contextlib import contextmanager

import joblib
import numpy as np

__all__ = ["Container", "as_numpy", "fingerprint_of", "random_states_kept", "refuse_changing"]

_SAMPLED_ROWS = 256
_PROBED_ROWS = 8


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
    #: Whether what is there can't answer twice with different values, so that nobody need try.
    is_fixed = False
    #: Whether it travels to other processes as the name of a place, where these read the rows themselves.
    is_portable = False
    #: Whether the next block may be read, by another thread, while the last one is at work.
    reads_ahead = False

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


# How often each probed row is read: what changes one row in ten is still found nine times in ten.
_N_ANSWERS = 3


def refuse_changing(container):
    """Refuse a container that answers twice with different values.

    Raises
    ------
    ValueError
        With the number of the row.
    """
    if container.is_fixed:
        return
    probed = np.linspace(0, len(container) - 1, min(len(container), _PROBED_ROWS)).astype(np.int64)
    for number, row in enumerate(probed):
        answers = set()
        for seed in range(_N_ANSWERS * number, _N_ANSWERS * (number + 1)):  # else all would draw the same
            with random_states_kept(seed):
                answers.add(fingerprint_of(container.take(np.array([row]))))
        if len(answers) > 1:
            raise ValueError(
                f"{container.name(row)} was read twice, with different values: it seems to be augmented. A "
                "pool must answer the same each time; take the augmentation out of it, and pass it as "
                "train_transform= of NetClassifier, which uses it in training only."
            )


@contextmanager
def random_states_kept(seed=None):
    """Put back what somebody's code draws from the random states of numpy, Python and torch; seed them."""
    torch = sys.modules.get("torch")
    before = np.random.get_state(), random.getstate(), None if torch is None else torch.get_rng_state()
    try:
        if seed is not None:
            np.random.seed(seed)
            random.seed(seed)
        if seed is not None and torch is not None:
            torch.default_generator.manual_seed(seed)
        yield
    finally:
        np.random.set_state(before[0])
        random.setstate(before[1])
        if torch is not None:
            torch.set_rng_state(before[2])


def as_numpy(data):
    """A tensor of torch as an array, of bfloat16 as float32, which numpy has; anything else as it is."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(data, torch.Tensor):
        return data
    data = data.detach().cpu()
    return (data.float() if data.dtype == torch.bfloat16 else data).numpy()


def fingerprint_of(*parts):
    """A text that is the same for the same content: of arrays, sparse matrices, frames, lists."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != object:
            digest.update(repr((part.shape, part.dtype.str)).encode())
            digest.update(part.tobytes())
        else:
            digest.update(joblib.hash(part).encode())
    return digest.hexdigest()
