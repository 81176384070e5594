"""Data sets by name, from an .npz file, from folders of images and masks, or drawn."""

import os
import zipfile
import zlib
from dataclasses import dataclass
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path

import numpy as np

from skal._mask_folder import load_mask_folder
from skal._nuclei import make_nuclei
from skal._rows import is_view
from skal._runs import write_atomically
from skal.containers import View, as_pool

__all__ = ["Dataset", "load", "load_mask_folder", "make_nuclei", "read_npz", "scaled"]

#: How many times as large as in its file an array may be.
MAX_EXPANSION = 200
_NO_BOMB = 2**26  # bytes


@dataclass(frozen=True)
class Dataset:
    """Arrays of a data set; `X_test` and `y_test` are None where no test rows are set apart."""

    name: str
    X: np.ndarray | View
    y: np.ndarray | None
    X_test: np.ndarray | None = None
    y_test: np.ndarray | None = None


def load(name_or_path, max_expansion=MAX_EXPANSION):
    """A data set for comparisons.

    Parameters
    ----------
    name_or_path : str or Path
        "digits": 1797 images of 8 x 8 in [0, 1], part of scikit-learn. "mnist": 70,000 images of
        28 x 28, from ``mnist.npz`` in the folder that the environment variable ``SKAL_DATA`` names,
        else from a cache in the home, filled from OpenML at the first use. Or the path of an ``.npz``
        file with arrays ``X`` and ``y`` and, optionally, ``X_test`` and ``y_test``; or that of a folder of
        class-named folders of images, or of a store of ``skal ingest``, which are not read into memory.
    max_expansion : float, default=200
        An array of 64 MiB or more in an ``.npz`` file is refused where it is more times as large as there.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If there is no such data set, or the file lacks something.
    OSError
        If a download fails.

    Examples
    --------
    >>> digits = load("digits")
    >>> digits.X.shape, digits.y.shape
    ((1797, 8, 8), (1797,))
    """
    if str(name_or_path) in _LOADERS:
        return _LOADERS[str(name_or_path)]()
    path = Path(name_or_path)
    if path.is_dir():
        pool = as_pool(path)
        if pool.y is None:
            raise ValueError(
                f"{path} has no labels: put the images of a class into a folder of its name, and for a store "
                "call `skal ingest` on that folder."
            )
        return Dataset(path.stem, pool, pool.y)
    if path.suffix != ".npz" and path.exists():
        raise ValueError(
            f"{path} holds no labels beside its rows; save both as an .npz file, with arrays X and y, or put "
            "images into folders named by class."
        )
    if path.suffix != ".npz":
        near = get_close_matches(str(name_or_path), _LOADERS, n=1, cutoff=0)[0]
        raise ValueError(
            f"There is no data set {str(name_or_path)!r}; the nearest name is {near!r}. Names are "
            f"{', '.join(_LOADERS)}; a file of your own ends in .npz, or is a folder of images, those of a "
            "class in a folder of its name."
        )
    arrays = read_npz(path, max_expansion)
    if "y" not in arrays:
        raise ValueError(f"{path} has no array 'y', the labels of X; it holds {_listed(arrays)}.")
    if ("X_test" in arrays) != ("y_test" in arrays):
        raise ValueError(f"{path} needs both of X_test and y_test, or neither; it holds {_listed(arrays)}.")
    _check_lengths(path, arrays, "X_test", "y_test")
    wanted = {name: arrays.get(name) for name in ("X", "y", "X_test", "y_test")}
    return Dataset(path.stem, **wanted)


def read_npz(path, max_expansion=MAX_EXPANSION):
    """The arrays of an ``.npz`` file, X among them, without running any code in it; -> dict.

    Raises
    ------
    ValueError
        If it is no such file, lacks X, holds Python objects, or X and y differ in length; or if an array
        of 64 MiB or more is `max_expansion` times as large as in the file: a small file may claim to be huge.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file {path}; check its spelling.")
    try:
        bomb = _bomb(path, max_expansion)
        arrays = {} if bomb else _arrays(path)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is no complete .npz file ({error}); write it with numpy.savez.") from error
    except ValueError as error:
        raise ValueError(
            f"{path} can't be read: {error} skal reads no Python objects, since a file with them can run "
            "code; save labels as integers or as fixed-width strings (y.astype(str)), images as one array."
        ) from error
    if bomb:
        raise ValueError(
            f"{path} holds {bomb}, and is refused as a bomb; if it is none, write it with numpy.savez, which "
            "does not compress, or raise max_expansion of skal.datasets.load."
        )
    if "X" not in arrays:
        raise ValueError(f"{path} has no array 'X', one entry for each row; it holds {_listed(arrays)}.")
    if arrays["X"].ndim < 2:
        raise ValueError(f"X in {path} must be a table or images, and has shape {arrays['X'].shape}.")
    _check_lengths(path, arrays, "X", "y")
    return arrays


def _bomb(path, max_expansion):
    """What the file has that is a bomb; empty for none."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            times = entry.file_size / max(entry.compress_size, 1)
            if entry.file_size >= _NO_BOMB and times > max_expansion:
                return (
                    f"{entry.filename}, {entry.file_size / 2**30:.1f} GiB, {times:.0f} times its size there"
                )
    return ""


def scaled(X, scale=None):
    """Images with values up to 1, or in uint8; tables untouched; -> (X, what it was divided by).

    Images that are not in memory are left as they are.

    `skal.NetClassifier` scales uint8 images by itself and takes other values as they are.

    Examples
    --------
    >>> X, scale = scaled(np.array([[[0, 8], [16, 4]]]))
    >>> float(X.max()), scale
    (1.0, 16.0)
    """
    if is_view(X):
        return X, 1.0
    if scale is None:
        largest = float(np.abs(X).max()) if X.ndim > 2 and X.size else 1.0
        scale = 1.0 if largest <= 1 or (X.dtype == np.uint8 and largest > 127) else largest
    return (X if scale == 1 else (X / scale).astype(np.float32)), scale


def _arrays(path):
    # numpy takes a file that is no archive for a pickle, and leaves it open; both are avoided here.
    with path.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            raise zipfile.BadZipFile("not an archive")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            members = {name: file[name] for name in file.files}
    return {name: array for name, array in members.items() if isinstance(array, np.ndarray)}


def _check_lengths(path, arrays, X, y):
    if y in arrays and arrays[y].shape != arrays[X].shape[:1]:
        raise ValueError(
            f"{path}: {y} must have one label for each of the {len(arrays[X])} rows of {X}, and has shape "
            f"{arrays[y].shape}."
        )


def _listed(arrays):
    return ", ".join(arrays) or "nothing"


def _digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Dataset("digits", (digits.images / 16).astype(np.float32), digits.target)


def _mnist():
    folder = os.environ.get("SKAL_DATA")
    if folder:
        path = Path(folder, "mnist.npz")
        if not path.is_file():
            raise ValueError(
                f"SKAL_DATA names the folder {folder}, which has no mnist.npz; unset it to download."
            )
    else:
        path = Path.home() / ".cache" / "skal" / "mnist.npz"
        if not path.is_file():
            _download_mnist(path)
    with np.load(path, allow_pickle=False) as file:
        return Dataset("mnist", file["X_train"], file["y_train"], file["X_test"], file["y_test"])


def _download_mnist(path):
    """Fill the cache from OpenML, whose rows are in the usual order: 60,000 for training, then the test."""
    from sklearn.datasets import fetch_openml

    try:
        # This parser needs no pandas.
        mnist = fetch_openml("mnist_784", version=1, as_frame=False, parser="liac-arff")
    except OSError as error:
        raise OSError(
            f"MNIST could not be downloaded from OpenML ({error}). Put mnist.npz (X_train, y_train, X_test, "
            "y_test) into a folder and name that in the environment variable SKAL_DATA, or use --data digits."
        ) from error
    X = mnist.data.reshape(-1, 28, 28).astype(np.uint8)
    y = mnist.target.astype(np.uint8)
    content = BytesIO()
    np.savez_compressed(content, X_train=X[:60000], y_train=y[:60000], X_test=X[60000:], y_test=y[60000:])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


_LOADERS = {"digits": _digits, "mnist": _mnist}
