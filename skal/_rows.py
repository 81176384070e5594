"""X as a sequence of rows: counted, validated at the door, taken by position."""

import sys
from collections.abc import Mapping
from contextlib import contextmanager

import joblib
import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches
from sklearn.utils.validation import assert_all_finite, validate_data

from skal._compat import n_rows, rows_of
from skal.containers import View, at_the_door
from skal.containers._protocol import as_numpy

__all__ = [
    "as_numpy",
    "as_objects",
    "at_the_door",
    "check_rows",
    "digest",
    "in_memory",
    "is_view",
    "n_rows",
    "row_keys",
    "row_named",
    "take",
]


def as_objects(entries):
    """Arrays of whatever shapes as a 1-d object array, which numpy would try to make one array of."""
    array = np.empty(len(entries), dtype=object)
    for position, entry in enumerate(entries):
        array[position] = entry
    return array


def take(X, rows):
    """Rows of X by position, whatever its container; (n, ...) -> (len(rows), ...).

    Of what does not live in memory this is a view, which nobody has read yet.
    """
    X = at_the_door(X)
    if is_view(X):
        return X[rows]
    if sparse.issparse(X) and X.format in ("bsr", "coo", "dia"):  # these have no rows
        X = X.tocsr()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.utils.data.Dataset) and not hasattr(X, "shape"):
        return torch.utils.data.Subset(X, np.asarray(rows).tolist())
    return rows_of(X, rows)


def is_view(X):
    """Whether X is a view of a pool, whose rows are yet to be read."""
    return isinstance(X, View)


def in_memory(X):
    """The rows of X as a model is trained on them: those of a view are read, anything else is as it is."""
    return X.read() if is_view(X) else X


def digest(X):
    """A text that is the same for the same rows, also as another number type or in another container."""
    X = as_numpy(in_memory(X))
    if sparse.issparse(X):
        X = X.tocsr()
        return joblib.hash((X.shape, X.indices, X.indptr, X.data.astype(np.float32)))
    try:
        array = np.asarray(X)
    except ValueError:  # rows of different shapes
        array = as_objects(X)
        if not hasattr(array[0], "ndim"):  # such as pairs
            return joblib.hash(X)
    if array.dtype == object and array.ndim == 1 and len(array) and getattr(array[0], "ndim", 0) > 0:
        return joblib.hash([np.ascontiguousarray(row, dtype=np.float32) for row in array])
    if array.dtype.kind in "biuf":
        return joblib.hash(np.ascontiguousarray(array, dtype=np.float32))
    return joblib.hash(array.astype(str).tolist())


def row_keys(X, seed):
    """Random numbers that hang on the content of a row and the seed, not on its place; -> (n,) uint64.

    Rows of the same numbers have the same key, in whatever container and number type.
    """
    X = at_the_door(X)
    if is_view(X):
        return np.concatenate([np.empty(0, np.uint64), *(row_keys(rows, seed) for _, rows in X.blocks())])
    X = as_numpy(X)
    if sparse.issparse(X):
        X = X.tocsr()
        parts = _bits(X.data) * _multipliers(X.shape[1], seed)[X.indices]
        sums = np.concatenate([[np.uint64(0)], np.cumsum(parts)])
        return _mixed(sums[X.indptr[1:]] - sums[X.indptr[:-1]])
    array = X.to_numpy() if hasattr(X, "to_numpy") else X
    array = array if isinstance(array, np.ndarray) else as_objects(array)
    if array.dtype.kind in "biuf":
        table = array.reshape(len(array), -1)
        multipliers, keys = _multipliers(table.shape[1], seed), np.empty(len(table), dtype=np.uint64)
        for rows in gen_batches(len(table), max(1, _KEYED_VALUES // max(1, table.shape[1]))):
            keys[rows] = (_bits(table[rows]) * multipliers).sum(axis=1, dtype=np.uint64)
        return _mixed(keys)
    texts = [joblib.hash((np.asarray(as_numpy(row)).tolist(), seed)) for row in array]
    return np.array([int(text[:16], 16) for text in texts], dtype=np.uint64)


_KEYED_VALUES = 2**18  # at once, so that they stay in a processor's cache


def _bits(numbers):
    numbers = np.ascontiguousarray(numbers, dtype=np.float32) + np.float32(0)  # -0.0 becomes 0.0
    return numbers.view(np.uint32).astype(np.uint64)


def _multipliers(n, seed):
    return np.random.RandomState(seed).randint(2**64, size=n, dtype=np.uint64) | np.uint64(1)


def _mixed(keys):
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # of splitmix64
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys ^ (keys >> np.uint64(31))


def check_rows(owner, X, *, allow_nan, reset, min_rows=1):
    """X as `owner` works with it: a table validated as scikit-learn does, anything else untouched.

    Sets or checks ``n_features_in_`` and ``feature_names_in_`` of `owner` where X is a table: a 2-d
    array, a list of lists, a sparse matrix or a frame. A frame stays a frame, so that a model may
    select its columns by name. Images, texts and Datasets of anything else than arrays pass; the model will
    judge them. What does not live in memory becomes a view, whose rows are checked as they are read.
    """
    X = at_the_door(X)
    if is_view(X):
        return _check_view(owner, X, allow_nan, reset, min_rows)
    if isinstance(X, Mapping) and not sparse.issparse(X):
        raise TypeError(
            f"{type(owner).__name__} takes rows, and got a {type(X).__name__} of {', '.join(map(str, X))}; "
            "only a net takes rows of several parts: put these side by side into one array, and take them "
            "apart in its module."
        )
    if _is_frame(X):
        validate_data(owner, X, reset=reset, skip_check_array=True)
        if not allow_nan and hasattr(X, "select_dtypes"):
            numbers = X.select_dtypes(include="number").to_numpy(dtype=np.float64, na_value=np.nan)
            with row_named(numbers):
                assert_all_finite(numbers, input_name="X")
        return X
    if isinstance(X, list | tuple) and len(X) == 0 and min_rows == 0:  # of texts, or of images
        return X
    X = _as_array_if_table(X)
    if not (sparse.issparse(X) or (isinstance(X, np.ndarray) and _needs_two_dimensions(X))):
        _check_number(owner, X, min_rows)
        numbers = as_numpy(X)
        if getattr(numbers, "ndim", 0) > 2 and numbers.dtype.kind == "f":  # a pixel is never missing
            with row_named(numbers):
                assert_all_finite(numbers, input_name="X")
        return X
    if X.dtype == object:
        for value in X.flat:
            if isinstance(value, dict | list | set | tuple):
                float(value)  # raises TypeError, as in scikit-learn, whether the row will be used or not
    with row_named(X):
        return validate_data(
            owner,
            X,
            reset=reset,
            accept_sparse=["csr"],
            dtype=None if sparse.issparse(X) or X.dtype.kind in "OUS" else "numeric",
            ensure_all_finite="allow-nan" if allow_nan else True,
            ensure_min_samples=min_rows,
        )


@contextmanager
def row_named(X):
    """Let scikit-learn's error about NaN or infinity in the block say in which row of X the first is."""
    try:
        yield
    except ValueError as error:
        is_bad = next((found for word, found in _NOT_FINITE.items() if word in str(error)), None)
        if is_bad is None or getattr(getattr(X, "dtype", None), "kind", "") not in "fc":
            raise
        if sparse.issparse(X):
            rows = X.tocoo().row[is_bad(X.tocoo().data)]
        else:
            rows = np.flatnonzero(is_bad(X).reshape(len(X), -1).any(axis=1))
        if not len(rows):  # too large for a smaller number type
            raise
        raise ValueError(f"Row {rows.min()} is not finite. {error}") from error


_NOT_FINITE = {"contains NaN": np.isnan, "contains infinity": np.isinf}


def _check_view(owner, X, allow_nan, reset, min_rows):
    _check_number(owner, X, min_rows)
    if X.ndim != 2:
        if X.ndim == 1 and X.dtype is not None and X.dtype.kind in "biufc":
            validate_data(owner, X[:1].read(), reset=reset)
        return X
    validate_data(owner, X[:1].read(), reset=reset, skip_check_array=True)
    return X.checked("but NaN" if allow_nan else "all")


def _check_number(owner, X, min_rows):
    if n_rows(X) < min_rows:
        raise ValueError(f"{type(owner).__name__} got 0 rows in X; it needs at least {min_rows}.")


def _is_frame(X):
    return hasattr(X, "columns") and getattr(X, "ndim", 2) == 2


def _as_array_if_table(X):
    if isinstance(X, (np.ndarray, str, bytes)) or sparse.issparse(X):
        return X
    if isinstance(X, (list, tuple)) or (hasattr(X, "__array__") and not hasattr(X, "__getitem__")):
        try:
            array = np.asarray(X)
        except ValueError:  # rows of different shapes, such as images of different sizes
            return X
        return array if _needs_two_dimensions(array) else X
    return X


def _needs_two_dimensions(array):
    # One dimension of numbers is scikit-learn's classical mistake; of text it is a list of documents.
    return array.ndim == 2 or (array.ndim < 2 and array.dtype.kind in "biufc")
