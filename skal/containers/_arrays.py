"""Pools in arrays: in memory, in mapped files, in zarr and HDF5 stores, in dask; and in frames."""

import mmap
import os
from itertools import pairwise

import numpy as np

from skal.containers._protocol import Container

__all__ = ["Array", "DaskArray", "Frame", "H5Array", "Sequence", "SparseMatrix", "StoredArray", "ZarrArray"]

# Single rows this close to each other are read in one go; no more rows than that at once.
_GAP = 8
_SPAN = 4096


class Array(Container):
    """A numpy array, in memory or mapped from a file."""

    is_fixed = True

    def __init__(self, array):
        if array.ndim == 0:
            raise TypeError(f"{array!r} is a single value, and a pool has rows.")
        self._array = array
        self.shape = array.shape
        self.dtype = array.dtype if array.dtype != object else None
        if getattr(array, "filename", None) is not None:
            path, position = os.path.abspath(array.filename), _position(array)
            self._place = path, position, array.shape, array.strides
            size = os.path.getsize(path) if os.path.exists(path) else None  # a mapped file may be deleted
            is_rest = (
                position + array.nbytes == size
            )  # then the place is the same whatever the file will hold
            self.origin = ("file", path, position) if is_rest else ("file", *self._place)
            self.is_portable = array.mode != "c"  # whose changes are in no file

    def take(self, rows):
        """Copies of rows; (n,) -> (n, ...)."""
        return np.asarray(self._array[rows])

    def __reduce__(self):
        if not self.is_portable:  # the rows themselves
            return super().__reduce__()
        return _mapped, (self.dtype, self._place, self.origin)


def _mapped(dtype, place, origin):
    """The container of an array in a file, which another process has described by its place."""
    path, position, shape, strides = place
    content = np.memmap(path, dtype=np.uint8, mode="r")
    container = Array(np.ndarray(shape, dtype, content, position, strides))
    container._place, container.origin, container.is_portable = place, origin, True
    return container


def _position(array):
    """Where in its file a mapped array begins; of a part of one numpy tells where the whole begins."""
    start = np.frombuffer(array._mmap, dtype=np.uint8).ctypes.data
    whole = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
    return whole + array.ctypes.data - start


class SparseMatrix(Container):
    """A sparse matrix, in rows."""

    is_fixed = True

    def __init__(self, matrix):
        self._matrix = matrix.tocsr()
        self.shape, self.dtype = matrix.shape, matrix.dtype

    def take(self, rows):
        """Rows as a sparse matrix; (n,) -> (n, m)."""
        return self._matrix[rows]


class Frame(Container):
    """A frame or a series, by position and not by its index."""

    is_fixed = True

    def __init__(self, frame):
        self._frame = frame
        self.shape = frame.shape

    def take(self, rows):
        """Rows as a frame or a series with the same columns."""
        from skal._compat import rows_of

        return rows_of(self._frame, rows)


class Sequence(Container):
    """A list, such as one of texts."""

    is_fixed = True

    def __init__(self, entries):
        self._entries = entries
        self.shape = (len(entries),)

    def take(self, rows):
        """Entries as a list."""
        return [self._entries[row] for row in rows.tolist()]


class StoredArray(Container):
    """An array that is read in slices: rows are sorted underneath, and each is read once.

    Parameters
    ----------
    array : array with shape, dtype and slices
    block_rows : int
        Rows of a chunk.
    """

    def __init__(self, array, block_rows):
        if not array.shape or not all(np.isfinite(array.shape)):
            raise TypeError(f"{array!r} has no known number of rows, and a pool is read by row number.")
        self._array = array
        self.shape, self.dtype = tuple(map(int, array.shape)), np.dtype(array.dtype)
        self.block_rows = max(1, int(block_rows))

    def take(self, rows):
        """Rows in memory; (n,) -> (n, ...)."""
        unique, inverse = np.unique(rows, return_inverse=True)
        read = np.empty((len(unique), *self.shape[1:]), dtype=self.dtype)
        for first, last in self._runs(unique):
            start, stop = unique[first], unique[last - 1] + 1
            part = self._slice(int(start), int(stop))
            read[first:last] = part if stop - start == last - first else part[unique[first:last] - start]
        in_order = len(unique) == len(rows) and (inverse[1:] > inverse[:-1]).all()
        return read if in_order else read[inverse]

    def _slice(self, start, stop):
        """Hook: rows from start to stop, in memory."""
        return np.asarray(self._array[start:stop])

    def _runs(self, rows):
        """Parts of ascending rows that are read in one slice: close to each other, or in one chunk."""
        chunk = rows // self.block_rows
        apart = (np.diff(rows) > _GAP) & (np.diff(chunk) > 0)
        edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(rows)]
        span = max(_SPAN, self.block_rows)
        for first, last in pairwise(edges):
            while first < last:
                end = int(np.searchsorted(rows, rows[first] + span))
                yield first, min(end, last)
                first = min(end, last)


class ZarrArray(StoredArray):
    """An array of zarr 3."""

    is_fixed = reads_ahead = True

    def __init__(self, array):
        chunks = getattr(array, "shards", None) or array.chunks
        super().__init__(array, chunks[0] if chunks else 1)
        self.origin = ("zarr", str(array.store), array.path)
        self.is_portable = not str(array.store).startswith("memory:")


class H5Array(StoredArray):
    """A dataset of h5py; it travels to other processes as the name of its file."""

    is_fixed = reads_ahead = True

    def __init__(self, dataset):
        super().__init__(dataset, dataset.chunks[0] if dataset.chunks else 1)
        # Nobody else can open a file that is being written, or one in memory.
        self.is_portable = dataset.file.mode == "r" and dataset.file.driver != "core"
        self._place = dataset.file.filename, dataset.name
        self.origin = ("h5", os.path.abspath(self._place[0]), dataset.name)

    def __getstate__(self):
        return {**vars(self), "_array": None}

    def _slice(self, start, stop):
        if self._array is None:
            import h5py

            self._array = h5py.File(self._place[0], "r")[self._place[1]]
        return self._array[start:stop]


class DaskArray(StoredArray):
    """An array of dask, whose chunks are computed when their rows are read."""

    def __init__(self, array):
        if not hasattr(array, "chunks"):
            raise TypeError(
                f"{type(array).__name__} is no array of dask; pass its rows as one, with "
                "to_dask_array(lengths=True)."
            )
        super().__init__(array, max(array.chunks[0], default=1))

    def _slice(self, start, stop):
        return np.asarray(self._array[start:stop].compute())
