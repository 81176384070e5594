"""Pools in Datasets: those of torch and skorch, and those of Hugging Face."""

import sys
from contextlib import suppress

import numpy as np

from skal.containers._images import as_array
from skal.containers._protocol import Container, random_states_kept

__all__ = ["HuggingFaceDataset", "MapDataset", "has_plain_rows"]


class _Rows(Container):
    """Base class: rows come one by one, and must be arrays of one shape."""

    def _learn_shape(self, n):
        self.shape = (n,)
        if n > 0:
            first = self._read([0])[0]
            self.shape, self.dtype = (n, *first.shape), first.dtype

    def take(self, rows):
        """Rows in one array; (n,) -> (n, ...)."""
        if len(rows) == 0:
            return np.empty((0, *self.shape[1:]), dtype=self.dtype)
        read = self._read(rows.tolist())
        for row, array in zip(rows, read, strict=True):
            if array.shape != self.shape[1:]:
                raise ValueError(
                    f"{self.name(row)} has the shape {array.shape}, and row 0 has {self.shape[1:]}; bring "
                    "all rows to one shape."
                )
        return np.stack(read)

    def _read(self, rows):
        """Hook: the rows as arrays; list of int -> list of ndarray."""
        raise NotImplementedError

    def _one(self, read, row):
        """An entry that somebody's function reads; its errors name no row."""
        try:
            return read(row)
        except Exception as error:
            raise ValueError(f"{self.name(row)} can't be read: {type(error).__name__}: {error}") from error


class MapDataset(_Rows):
    """A map-style Dataset, whose entries are rows, or pairs of a row and its label."""

    def __init__(self, dataset):
        self._dataset = dataset
        self._learn_shape(len(dataset))

    @property
    def labels(self):
        """The labels, as the Dataset shows them, else by reading all its rows once; None without any."""
        if "_labels" not in vars(self):
            self._labels = self._find_labels()
        return self._labels

    @property
    def classes(self):
        """The names of the classes, as in torchvision."""
        names = getattr(self._dataset, "classes", None)
        return None if names is None else np.asarray(names)

    def _find_labels(self):
        shown = shown_targets(self._dataset)
        if shown is not None or len(self) == 0 or not is_pair(self._entries([0])[0]):
            return shown
        parts = [self._entries(range(part.start, part.stop)) for part in self.blocks()]
        return np.array([as_label(label) for part in parts for _, label in part])

    def _read(self, rows):
        entries = self._entries(rows)
        return [as_array(_row(entry)) for entry in entries]

    def _entries(self, rows):
        at_once = getattr(self._dataset, "__getitems__", None)
        with random_states_kept():
            if at_once is None:
                return [self._one(self._dataset.__getitem__, row) for row in rows]
            with suppress(Exception):  # one by one it will show which row it is
                return list(at_once(list(rows)))
            return [self._one(lambda row: at_once([row])[0], row) for row in rows]


class HuggingFaceDataset(_Rows):
    """One column of a Dataset of Hugging Face's `datasets`."""

    def __init__(self, dataset, column):
        names = list(dataset.column_names)
        others = [name for name in names if name not in ("label", "labels")]
        if column is None and len(others) == 1:
            column = others[0]
        if column not in names:
            raise ValueError(
                f"The Dataset has the columns {', '.join(names)}; name the one that holds the rows, such as "
                f"as_pool(dataset, column={names[0]!r})."
            )
        self._column, self._dataset = column, dataset.select_columns([column])
        # Rows come as lists, in which numbers are Python's; a transform of its user's may make them others.
        is_plain = (dataset.format or {}).get("type") != "custom"
        self._number_type = _number_type(dataset.features.get(column)) if is_plain else None
        target = next((name for name in ("label", "labels") if name in names and name != column), None)
        plain = dataset.with_format(None)  # a transform of its user's may leave the labels out
        self.labels = None if target is None else np.asarray(plain[target][:])
        names_of_classes = getattr(dataset.features.get(target), "names", None)
        self.classes = None if names_of_classes is None else np.asarray(names_of_classes)
        self._fingerprint = getattr(dataset, "_fingerprint", None)
        self._learn_shape(len(dataset))

    def fingerprint(self):
        """That of `datasets`, which follows all changes, and a sample of the rows."""
        return f"{self._fingerprint} {super().fingerprint()}"

    def _read(self, rows):
        with suppress(Exception):
            return list(map(self._as_row, self._dataset[list(rows)][self._column]))
        return [self._as_row(self._one(self._dataset.__getitem__, row)[self._column]) for row in rows]

    def _as_row(self, value):
        row = as_array(value)
        is_number = self._number_type is not None and row.dtype.kind in "biuf"
        return row.astype(self._number_type, copy=False) if is_number else row


def _number_type(feature):
    """The numpy type of the numbers in a column, however deep they lie in it; None for anything else."""
    while isinstance(feature, list) or hasattr(feature, "feature"):
        feature = feature[0] if isinstance(feature, list) else feature.feature
    try:
        found = np.dtype(getattr(feature, "dtype", None) or "O")
    except TypeError:  # such as "string" or "timestamp[s]"
        return None
    return found if found.kind in "biuf" else None


def has_plain_rows(dataset):
    """Whether the entries of a map-style Dataset are arrays, or pairs of an array and a label."""
    if len(dataset) == 0:
        return False
    entry = first_entry(dataset)
    if isinstance(entry, dict) or (
        isinstance(entry, tuple | list) and not (is_pair(entry) or is_alone(entry))
    ):
        return False
    entry = _row(entry)
    return is_image(entry) or (hasattr(entry, "shape") and hasattr(entry, "dtype"))


def first_entry(dataset):
    """Entry 0 of a map-style Dataset, read in the way in which torch's loader reads it."""
    with random_states_kept():
        return dataset.__getitems__([0])[0] if hasattr(dataset, "__getitems__") else dataset[0]


def is_pair(entry):
    """Whether an entry of a Dataset is a row and its label."""
    return isinstance(entry, tuple | list) and len(entry) == 2


def as_label(label):
    """A label as a Python value."""
    return label.item() if hasattr(label, "item") else label


def shown_targets(dataset):
    """The labels that a Dataset shows without reading its rows, or None."""
    if hasattr(dataset, "indices") and hasattr(dataset, "dataset"):  # torch's Subset
        targets = shown_targets(dataset.dataset)
        return None if targets is None else targets[np.asarray(dataset.indices)]
    targets = getattr(dataset, "targets", None)
    tensors = getattr(dataset, "tensors", ())
    if targets is None and len(tensors) == 2:
        targets = tensors[1]
    if targets is None or not hasattr(targets, "__len__") or len(targets) != len(dataset):
        return None
    return np.array([as_label(label) for label in targets])


def _row(entry):
    """The row in an entry: alone, alone in a tuple as of TensorDataset(X), or first of a pair."""
    if isinstance(entry, dict) or (isinstance(entry, tuple) and len(entry) > 2):
        what = "dicts" if isinstance(entry, dict) else f"tuples of {len(entry)}"
        raise TypeError(
            f"The entries of the Dataset are {what}, and a pool has rows, or pairs of a row and its label; "
            "wrap the Dataset in one whose __getitem__ returns these."
        )
    return entry[0] if is_pair(entry) or is_alone(entry) else entry


def is_alone(entry):
    """Whether an entry of a Dataset is a row in a tuple of one."""
    return isinstance(entry, tuple) and len(entry) == 1


def is_image(value):
    """Whether a value is an image of Pillow."""
    images = sys.modules.get("PIL.Image")
    return images is not None and isinstance(value, images.Image)
