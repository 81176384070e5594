"""Pools larger than memory: whatever holds the rows, read by position and block by block.

Nobody's library is imported here unless an object of it comes in.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import sparse

from skal.containers._arrays import (
    Array,
    DaskArray,
    Frame,
    H5Array,
    Sequence,
    SparseMatrix,
    ZarrArray,
)
from skal.containers._datasets import HuggingFaceDataset, MapDataset, has_plain_rows, is_image
from skal.containers._images import ImageFiles, as_array, image_folder, is_paths
from skal.containers._protocol import Container, as_numpy, refuse_changing
from skal.containers._store import open_store
from skal.containers._view import View

__all__ = ["Container", "View", "as_pool", "at_the_door"]


def as_pool(X, **options):
    """Rows of whatever container, by position and read when they are needed; -> View.

    ``as_pool(X)[rows]`` is a lazy view that `fit`, `score` and `select` of strategies and models accept. The
    pool is read in blocks, whose size follows from the shape of a row and not from the container: the
    same rows are chosen wherever the pool is held.

    Parameters
    ----------
    X : array-like, container, path or list of paths
        * a numpy array, ``numpy.memmap``, sparse matrix, list, or frame or series (by position);
        * a zarr array, an h5py dataset, a dask array;
        * a torch tensor, a map-style Dataset with or without labels, a skorch ``SliceDataset``;
        * a Dataset of Hugging Face, with ``column=``;
        * a list, array or series of paths of images, or a folder of images, where those of a class
          are in a folder of its name;
        * the path of a file ``.npy``, which is mapped;
        * the path of a store that ``skal ingest`` has written, or of a zarr array;
        * a `Container` of your own.
    **options
        For images in files: ``size=(height, width)`` resizes them; ``mode="RGB"`` or ``"L"`` makes all of
        them coloured or gray; ``max_pixels`` (2**26) refuses larger ones; ``folder`` is where relative paths
        start and what no path may leave; ``n_jobs`` threads decode. For Hugging Face: ``column``.

    Returns
    -------
    View
        With `y` and `classes`, where the container has labels.

    Raises
    ------
    TypeError
        If X can only be read from its beginning, as a stream, or has no rows.
    ValueError
        If a Dataset answers twice with different values, or a folder has no images.

    Notes
    -----
    A block has 4096 rows, fewer where they are large: 64 MiB of float32 at most, but 64 rows at least. Beside
    it a strategy holds what it compares: a score, probabilities, or the embedding of each row. What a
    model answers is kept in a file where it is more than a gigabyte. Strategies whose `embedding` is yet
    to be fitted, semi-supervised models other than `skal.PseudoLabelClassifier`, and draws with
    ``consistent=False`` read all rows at once.

    Examples
    --------
    >>> import numpy as np
    >>> pool = as_pool(np.arange(12).reshape(6, 2))
    >>> pool[[4, 1, 4]]
    <3 rows of Array, shape (3, 2), dtype int64>
    >>> np.asarray(pool[[4, 1, 4]][:2])
    array([[8, 9],
           [2, 3]])
    """
    if not options and isinstance(X, View):
        return X
    container = X if isinstance(X, Container | View) else _adapted(X, options)
    if options:
        raise TypeError(
            f"as_pool has no use for {', '.join(options)} with {type(X).__name__}; images in files take "
            f"{', '.join(_OF_IMAGES)}, and a Dataset of Hugging Face column."
        )
    refuse_changing(container)
    return View(container)


def at_the_door(X):
    """A view of what does not live in memory, such as a zarr array or a folder; anything else as it is.

    What functions of skal do with an X that a user passes: in-memory arrays, frames and sparse matrices,
    tensors and texts go on as they are.
    """
    if isinstance(X, View):
        return X
    if (
        isinstance(X, Container | str | Path)
        or _is_stream(X)
        or _library(X) in ("zarr", "h5py", "dask", "datasets")
    ):
        return as_pool(X)
    if isinstance(X, np.memmap):  # joblib maps arrays of its caller's memory into its workers
        from_memory = X.filename is None or "joblib_memmapping_folder" in str(X.filename)
        return X if from_memory or X.ndim < 2 else as_pool(X)
    if _is_map_dataset(X):
        return as_pool(X) if has_plain_rows(X) else X
    if _is_loader(X) or _is_endless(X):
        return as_pool(X)  # which says what to do
    is_list = isinstance(X, list | tuple) or (getattr(X, "ndim", 0) == 1 and _may_hold_texts(X))
    return as_pool(X) if is_list and is_paths(X) and any(map(_is_there, X)) else X


def _adapted(X, options):
    """The container of rows; takes the options that it has a use for out of the dict."""
    library = _library(X)
    if isinstance(X, str | os.PathLike):
        if Path(X).suffix.lower() == ".zarr" or any(Path(X, of).exists() for of in ("zarr.json", ".zarray")):
            return open_store(X)
        if Path(X).suffix.lower() == ".npy":
            return _mapped(X)
        if Path(X).suffix.lower() in (".h5", ".hdf5", ".npz"):
            opened = "numpy.load" if Path(X).suffix.lower() == ".npz" else "h5py.File"
            raise ValueError(
                f"{X} may hold several arrays; pass one of them, such as {opened}({str(X)!r})['X']."
            )
        return image_folder(X, **_taken(options, _OF_IMAGES[:-1]))
    if isinstance(X, np.ndarray) and not (X.ndim == 1 and X.dtype.kind in "OU"):
        return Array(X)
    if sparse.issparse(X):
        return SparseMatrix(X)
    if library in ("zarr", "h5py") and not hasattr(X, "shape"):
        raise TypeError(f"{X!r} holds arrays, and a pool is one of them; pass it, such as group['X'].")
    if isinstance(X, Mapping):
        raise TypeError(f"{type(X).__name__} holds {', '.join(map(str, X))}; pass one of them, by its name.")
    if library == "zarr":
        return ZarrArray(X)
    if library == "h5py":
        return H5Array(X)
    if library == "dask":
        return DaskArray(X)
    if library == "datasets" and hasattr(X, "column_names") and not _is_stream(X):
        return HuggingFaceDataset(X, options.pop("column", None))
    if hasattr(X, "iloc"):
        is_series_of_paths = X.ndim == 1 and len(X) > 0 and is_paths(list(X))
        return ImageFiles(list(X), **_taken(options, _OF_IMAGES)) if is_series_of_paths else Frame(X)
    if not (hasattr(X, "__iter__") or hasattr(X, "__getitem__")) or isinstance(X, bytes):
        raise TypeError(
            f"{type(X).__name__} has no rows; pass an array, a Dataset, paths or a folder of images."
        )
    if _is_stream(X) or _is_loader(X):
        raise TypeError(
            f"{type(X).__name__} can only be read from its beginning, and a pool is read by row number; "
            "write its rows down first, as a zarr array or as images for `skal ingest`, or pass list(X) if "
            "they fit into memory."
        )
    if hasattr(X, "detach"):
        return Array(as_numpy(X))
    if _is_map_dataset(X):
        return MapDataset(X)
    if not hasattr(X, "__len__"):
        raise TypeError(
            f"{type(X).__name__} has no length, and a pool is read by row number; give it a method __len__."
        )
    if is_paths(X):
        return ImageFiles(X, **_taken(options, _OF_IMAGES))
    return _listed(X)


def _mapped(path):
    """The array in a file of numpy, which is read when its rows are."""
    try:
        return Array(np.load(path, mmap_mode="r"))
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path}; check its spelling.") from error
    except (EOFError, ValueError) as error:  # numpy would advise to unpickle it
        raise ValueError(
            f"{path} holds no array of numbers or fixed-width texts; write it anew, with numpy.save."
        ) from error


def _listed(X):
    """A list or array of anything: numbers become an array, where they have one shape."""
    if isinstance(X, np.ndarray):
        return Array(X)
    X = list(map(as_array, X)) if len(X) and is_image(X[0]) else X
    try:
        array = np.asarray(X)
    except ValueError:  # rows of different shapes
        return Sequence(X)
    return Array(array) if array.dtype.kind in "biufc" and array.ndim > 0 else Sequence(X)


_OF_IMAGES = ("size", "mode", "max_pixels", "n_jobs", "folder")


def _taken(options, names):
    """Those of the options that have one of the names, taken out of the dict."""
    return {name: options.pop(name) for name in names if name in options}


def _library(X):
    """The name of the library that the class of an object comes from."""
    return type(X).__module__.split(".")[0]


def _is_map_dataset(X):
    """Whether X is a map-style Dataset of torch, or looks like skorch's SliceDataset."""
    if all(hasattr(X, name) for name in ("dataset", "idx", "indices")):
        return True
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(X, torch.utils.data.Dataset):
        return False
    return hasattr(X, "__getitem__") and hasattr(X, "__len__")


def _is_there(path):
    """Whether a path of a list is one of a file; texts that look like one may be what a model takes."""
    return isinstance(path, Path) or os.path.exists(path)


def _is_loader(X):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.utils.data.DataLoader)


def _may_hold_texts(X):
    """Whether an array or a series is of objects or texts."""
    return str(X.dtype) in ("object", "str", "string") or getattr(X.dtype, "kind", "") == "U"


def _is_endless(X):
    """Whether X is a Dataset of torch that does not know its length."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.utils.data.Dataset) and not hasattr(X, "__len__")


def _is_stream(X):
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.utils.data.IterableDataset):
        return True
    return hasattr(X, "__iter__") and not (hasattr(X, "shape") or hasattr(X, "__len__"))
