"""A large pool in parts: as many rows at a time as a model's answers leave room for."""

import numpy as np

from skal._rows import as_objects, is_view, n_rows, take

__all__ = ["BLOCK_VALUES", "image_blocks", "in_each", "parts_of_one_size"]

# About 32 MiB of float64 at once.
BLOCK_VALUES = 2**22
_UNSEEN_ROWS = 16  # of images that nobody has opened yet, such as paths


def image_blocks(X, values_per_pixel):
    """The images of X in parts, images of one size together; yields (rows, images).

    Parameters
    ----------
    X : array-like of n images
        (n, height, width) or (n, channels, height, width), or a list or object array of images of different
        sizes. What else it is, such as paths, is taken by position.
    values_per_pixel : int
        How many numbers a model answers with for each pixel. A part has one image at least.

    Yields
    ------
    rows : slice or ndarray of int
        Where the images stand in X: a slice of an array, else positions.
    images : ndarray of shape (n_part, ...), or a part of X
    """
    n = n_rows(X)
    if (isinstance(X, np.ndarray) and X.dtype != object) or (is_view(X) and X.ndim > 2):
        n_pixels = np.prod(X.shape[-2:] if X.ndim > 2 else X.shape[1:])
        size = max(1, int(BLOCK_VALUES // (values_per_pixel * max(1, n_pixels))))
        for start in range(0, n, size):
            rows = slice(start, min(start + size, n))
            yield rows, X if n <= size else X[rows]
        return
    if not (isinstance(X, list | tuple | np.ndarray) and all(np.ndim(image) > 1 for image in X)):
        for start in range(0, n, _UNSEEN_ROWS):
            rows = np.arange(start, min(start + _UNSEEN_ROWS, n))
            yield rows, take(X, rows)
        return
    for shape, rows in _by_shape(X).items():
        size = max(1, int(BLOCK_VALUES // (values_per_pixel * np.prod(shape[-2:]))))
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield part, np.stack([np.asarray(X[row]) for row in part])


def parts_of_one_size(rows, answer, axis=0):
    """Answers for some images, apart by the images' sizes; yields (rows, answer).

    Parameters
    ----------
    rows : slice or ndarray of int of shape (n,)
    answer : ndarray, or object array of shape (n,)
    axis : int, default=0
        Where the images lie in an answer.
    """
    if answer.dtype != object:
        yield rows, answer
        return
    positions = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
    for alike in _by_shape(answer).values():
        yield positions[alike], np.stack([answer[i] for i in alike], axis=axis)


def in_each(function, arrays):
    """A function of each of some arrays, whatever their shapes; (n,) objects -> (n,) objects."""
    return as_objects([function(array) for array in arrays])


def _by_shape(arrays):
    """Positions of arrays by their shapes, in order of their first; -> dict of shape to ndarray of int."""
    found = {}
    for position, array in enumerate(arrays):
        found.setdefault(np.shape(array), []).append(position)
    return {shape: np.array(positions) for shape, positions in found.items()}
