"""What users pass as rows and labels, checked as scikit-learn does, and refused in sentences."""

from collections.abc import Mapping
from math import prod

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d, validate_data
from skorch.utils import data_from_dataset, is_dataset, is_skorch_dataset

from skal._rows import as_numpy, at_the_door, in_memory, row_named
from skal.labels import vocabulary
from skal.nets.batches import Labelled, Rows, weighted
from skal.nets.seeding import isolated
from skal.nets.targets import encode, row_weights


def is_foreign(X):
    """Whether X is a torch Dataset or a skorch SliceDataset, which is read row by row."""
    return is_dataset(X) or all(hasattr(X, name) for name in ("dataset", "idx", "indices"))


def at_the_net(X):
    """A view of what is not in memory, but for what a net reads batch by batch anyhow."""
    return X if is_foreign(X) or isinstance(X, Mapping | np.memmap) else at_the_door(X)


def training_set(net, X, y, sample_weight, classes, fitted):
    """X and labels as skorch takes them, and what is learned from them.

    Parameters
    ----------
    net : NetClassifier
        Whose parameters count.
    X, y, sample_weight
        What the user passed to `fit`.
    classes : array-like or None
        All labels that may ever come, where the user named them.
    fitted : ndarray or None
        ``classes_`` of a net that goes on from its weights.

    Returns
    -------
    X : ndarray, dict or Dataset
        The rows, with their weights if there are any.
    codes : ndarray of shape (n,) or None
        Position of each label in `known`; None for a Dataset that is yet to be read.
    known : ndarray of shape (k,)
        The labels, sorted.
    in_shape : tuple of int or None
        Shape of a row as the module gets it.
    """
    X = in_memory(at_the_net(X))
    foreign = is_foreign(X)
    X = X if foreign else check_rows(net, X, reset=fitted is None)
    y = known_labels(X) if foreign and y is None else y
    if not foreign or y is not None:
        y = check_labels(net, X, y)
    elif fitted is None and classes is None:
        raise ValueError(
            f"the labels of {type(X).__name__} can't be seen without reading all of it: pass them as y, or "
            "name all labels with classes="
        )
    elif sample_weight is not None or net.class_weight is not None:
        raise ValueError(f"sample_weight and class_weight need the labels of {type(X).__name__}: pass y")
    known = fitted if fitted is not None else vocabulary(y if classes is None else classes)
    codes = None if y is None else encode(y, known)
    weight = None if y is None else row_weights(y, sample_weight, net.class_weight)
    in_shape = row_shape(X, net.image_shape)
    if foreign:
        X = Labelled(X, known, codes, weight)
    elif weight is not None:
        X = weighted(X, weight)
    return X, codes, known, in_shape


def check_rows(net, X, *, reset):
    """X as an array, or a dict of arrays; finite, and of the shape that the net was fitted on."""
    if isinstance(X, Mapping) and not issparse(X):  # some sparse matrices are mappings too
        X = {name: _checked_part(as_numpy(part)) for name, part in X.items()}
        check_consistent_length(*X.values())
        return X
    X = as_numpy(X)
    _check_one_shape(X)
    if not reset and getattr(X, "ndim", 0) > 1:  # before scikit-learn, which would count the rows of an image
        _check_shape(net, tuple(X.shape[1:]))
    with row_named(X):
        X = validate_data(net, X, reset=reset, allow_nd=True)
    if not reset:
        _check_shape(net, X.shape[1:])
    return X


def _check_one_shape(X):
    """Refuse a list of arrays of several shapes, of which numpy would not say which row it is."""
    if not isinstance(X, list | tuple) or not all(hasattr(row, "shape") for row in X):
        return
    other = next((i for i, row in enumerate(X) if row.shape != X[0].shape), None)
    if other is not None:
        raise ValueError(
            f"Of the rows that a net got, row {other} has the shape {tuple(X[other].shape)}, and row 0 has "
            f"{tuple(X[0].shape)}; bring all rows to one shape."
        )


def _checked_part(part):
    with row_named(part):
        return check_array(part, ensure_2d=False, allow_nd=True)


def check_labels(net, X, y):
    """The labels as an array of shape (n,), one for each row of X."""
    if y is None:
        raise ValueError(f"This {type(net).__name__} requires y to be passed, but the target y is None.")
    y = column_or_1d(as_numpy(y), warn=True)
    assert_all_finite(y, input_name="y")
    check_consistent_length(*X.values(), y) if isinstance(X, Mapping) else check_consistent_length(X, y)
    if y.dtype == object:  # scikit-learn would fail on labels that can't be sorted, without advice
        vocabulary(y)
    check_classification_targets(y)
    return y


def row_shape(X, image_shape):
    """The shape of one row as the module gets it; None where X is a dict."""
    if isinstance(X, Mapping):
        return None
    if is_foreign(X):
        with isolated(0, "cpu"):  # a Dataset may draw when it is read
            row = X[0]
        return tuple(np.shape(row[0] if isinstance(row, tuple | list) else row))
    if image_shape is None:
        return X.shape[1:]
    if prod(image_shape) != prod(X.shape[1:]):
        raise ValueError(
            f"image_shape={tuple(image_shape)} takes {prod(image_shape)} values, and X has rows of shape "
            f"{X.shape[1:]}, {prod(X.shape[1:])} values: set image_shape to height and width of the images"
        )
    return tuple(image_shape)


def known_labels(dataset):
    """The labels that a dataset shows without reading its rows, or None."""
    if isinstance(getattr(dataset, "targets", None), list | np.ndarray | torch.Tensor):
        return np.asarray(dataset.targets)
    try:
        _, y = data_from_dataset(dataset)
    except AttributeError:  # skorch's answer for datasets that it does not know
        return None
    return None if y is None else np.asarray(y)


def with_codes(dataset, classes, y=None):
    """Someone else's dataset with labels as codes, in memory if it holds arrays."""
    y = known_labels(dataset) if y is None else y
    codes = None if y is None else encode(y, classes)
    if is_skorch_dataset(dataset) and codes is not None:
        X, _ = data_from_dataset(dataset)
        if isinstance(X, np.ndarray):
            return Rows(X, codes, y)
    return Labelled(dataset, classes, codes)


def _check_shape(net, shape):
    """Refuse rows of another shape than at `fit`; flat rows are left to scikit-learn's count of columns."""
    fitted = getattr(net, "row_shape_", getattr(net, "in_shape_", None))
    flat = len(shape) == 1 and (net.image_shape is not None or len(fitted or ()) == 1)
    if fitted is None or flat or (prod(shape) == prod(fitted) and (net.image_shape or shape == fitted)):
        return
    hint = "one image goes in as X[None]" if shape == fitted[1:] else "resize them, or fit a net on such rows"
    raise ValueError(f"{net} was fitted on rows of shape {fitted}, and X has rows of shape {shape}: {hint}")
