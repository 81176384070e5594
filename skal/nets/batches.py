"""Data in memory as whole batches, without a call per row."""

import warnings
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset

from skal.containers._datasets import first_entry, is_alone, is_pair
from skal.nets.targets import encode


class Rows(Dataset):
    """Arrays in memory as a skorch dataset, labels as positions in ``classes_``.

    Parameters
    ----------
    X : ndarray of shape (n, ...) or dict of such
        What the module gets, and ``sample_weight`` beside it where there are weights.
    codes : ndarray of shape (n,), default=None
        Position of each label in ``classes_``; None where there are no labels.
    y : ndarray of shape (n,), default=None
        The labels as the user knows them, for callbacks that read a dataset's ``y``.
    """

    def __init__(self, X, codes=None, y=None):
        super().__init__(X, y)
        self.codes = codes

    def __getitem__(self, i):
        return take(self.X, i), 0 if self.codes is None else self.codes[i]


class Labelled(torch.utils.data.Dataset):
    """Someone else's dataset, with labels as positions in ``classes_``.

    Parameters
    ----------
    dataset : torch Dataset or sequence
        Where rows come from: ``dataset[i]`` is a row, or a pair of a row and its label.
    classes : ndarray of shape (k,)
        The labels, sorted; what rows bring along is looked up in it where `codes` is None.
    codes, weights : ndarray of shape (n,), default=None
        Labels and weights, where they are known beforehand.
    """

    def __init__(self, dataset, classes, codes=None, weights=None):
        self.dataset, self.classes, self.codes, self.weights = dataset, classes, codes, weights

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        x = self.dataset[i]
        x, y = x if isinstance(x, tuple | list) else (x, None)
        code = encode([y], self.classes)[0] if self.codes is None else self.codes[i]
        return (x if self.weights is None else weighted(x, self.weights[i])), code


class Unlabelled(torch.utils.data.Dataset):
    """Someone else's dataset of rows alone, in pairs with a zero: skorch wants labels in prediction, too."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        return _paired(self.dataset[i])

    def __getitems__(self, rows):
        """Entries at once, where the dataset has a way of its own to read them."""
        read = getattr(self.dataset, "__getitems__", None)
        return list(map(_paired, read(rows) if read else (self.dataset[row] for row in rows)))


def _paired(x):
    return (x[0] if is_alone(x) else x), 0


def has_no_labels(dataset):
    """Whether the first entry of a map-style dataset is a row and no pair; one without rows has none."""
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and len(dataset)):
        return False
    return not is_pair(first_entry(dataset))


class Batches:
    """Batches sliced from arrays in memory; each iteration is an epoch.

    All rows are in it once. Shuffled batches are evened out: 130 rows in batches of 64 at most are 43, 43 and
    44. A last batch of two would take a step as large as the others, in a direction that two rows chose,
    and batch normalisation can't train on one row at all.

    Parameters
    ----------
    rows : Rows
        The data.
    index : ndarray of shape (m,) or None
        Which rows, None for all.
    batch_size : int
        Rows in a batch.
    shuffle : bool
        Draw a new order in each epoch.
    device : str or torch.device
        A GPU that shall hold the data for all epochs, if it has the room.
    generator : torch.Generator or None, default=None
        What orders are drawn from; None takes torch's own.
    """

    def __init__(self, rows, index, batch_size, *, shuffle, device, generator=None):
        self.n = len(rows) if index is None else len(index)
        self.batch_size, self.shuffle, self.generator = batch_size, shuffle, generator
        data = (rows.X, rows.codes)
        self.device = device if shuffle and fits(data, device) else torch.device("cpu")
        self.X, self.codes = (as_tensor(part, self.device) for part in data)
        self.index = None if index is None else torch.as_tensor(np.asarray(index))

    def __len__(self):
        return len(self.borders())

    def __iter__(self):
        order = self.order()
        if order is not None:
            order = order.to(self.device)
        for start, stop in self.borders():
            rows = slice(start, stop) if order is None else order[start:stop]
            yield take(self.X, rows), take(self.codes, rows)

    def order(self):
        """The rows of an epoch one after another, drawn anew; None for all as they are."""
        order = torch.randperm(self.n, generator=self.generator) if self.shuffle else None
        if self.index is None:
            return order
        return self.index if order is None else self.index[order]

    def borders(self):
        """Start and stop of each batch in the order of an epoch."""
        return borders(self.n, self.batch_size, even=self.shuffle)


def is_arrays(X):
    """Whether X is an array, or a dict of arrays."""
    return all(isinstance(part, np.ndarray) for part in (X.values() if isinstance(X, Mapping) else [X]))


def borders(n, size, *, even=False):
    """Start and stop of each batch of n rows: of `size` rows and a rest, or of nearly equal sizes."""
    if not even:
        return list(pairwise([*range(0, n, size), n]))
    count = -(-n // size)
    if size > 1:  # three rows in batches of two are one batch, not one row and two
        count = max(1, min(count, n // 2))
    return list(pairwise(n * i // count for i in range(count + 1)))


def take(data, rows):
    """Rows of an array or tensor, of each value of a dict, or of nothing."""
    if data is None:
        return None
    if isinstance(data, Mapping):
        return {name: take(part, rows) for name, part in data.items()}
    if isinstance(rows, torch.Tensor):
        return data.index_select(0, rows)
    if not isinstance(rows, slice):
        return data[rows]
    # A slice shares the user's memory, where a module with operations in place would write; and its layout,
    # on which the last bits of a convolution hang.
    return data[rows].clone(memory_format=torch.contiguous_format)


def weighted(X, sample_weight):
    """Weights beside what the module gets: a dict that skorch carries through its whole loop."""
    return {**(X if isinstance(X, Mapping) else {"X": X}), "sample_weight": sample_weight}


def unweighted(X):
    """What the module gets, and the weights or None: the inverse of `weighted`."""
    if not isinstance(X, Mapping):
        return X, None
    inputs = {name: part for name, part in X.items() if name != "sample_weight"}
    return (inputs["X"] if set(inputs) == {"X"} else inputs), X.get("sample_weight")


def in_memory(dataset):
    """The `Rows` under subsets and the row numbers in it (None for all); (None, None) for strangers."""
    if isinstance(dataset, Rows):
        return dataset, None
    if not isinstance(dataset, Subset):
        return None, None
    rows, index = in_memory(dataset.dataset)
    return rows, np.asarray(dataset.indices) if index is None else index[np.asarray(dataset.indices)]


def root(dataset):
    """The dataset under subsets."""
    return root(dataset.dataset) if isinstance(dataset, Subset) else dataset


def as_tensor(data, device):
    """A tensor that shares the array's memory where it can; dicts value by value, None stays."""
    if data is None:
        return None
    if isinstance(data, Mapping):
        return {name: as_tensor(part, device) for name, part in data.items()}
    if min(data.strides, default=0) < 0 or not data.dtype.isnative or data.dtype == np.longdouble:
        native = np.float64 if data.dtype == np.longdouble else data.dtype.newbyteorder("=")
        data = np.ascontiguousarray(data, dtype=native)
    with warnings.catch_warnings():  # nothing here writes to data, so that it may be read-only
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)
        return torch.from_numpy(data).to(device)


def fits(data, device):
    """Whether a GPU has twice the room for the data; False for a CPU, where the data is already."""
    if torch.device(device).type != "cuda":
        return False
    return 2 * _n_bytes(data) < torch.cuda.mem_get_info(device)[0]


def _n_bytes(data):
    if isinstance(data, Mapping):
        return _n_bytes(data.values())
    return data.nbytes if isinstance(data, np.ndarray) else sum(map(_n_bytes, data or ()))


def as_input(x, shape, dtype):
    """One batch as the module gets it: in its shape and number type, uint8 images scaled to [0, 1].

    In a dict only floats are cast: whole numbers there may be tokens.
    """
    if isinstance(x, Mapping):
        return {name: part.to(dtype) if part.is_floating_point() else part for name, part in x.items()}
    if not isinstance(x, torch.Tensor):
        return x
    x = x if shape is None or x.shape[1:] == shape else x.reshape(len(x), *shape)
    if dtype is None:
        return x
    return x.to(dtype).div_(255) if x.dtype == torch.uint8 and x.ndim > 2 else x.to(dtype)
