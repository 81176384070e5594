"""Stores of zarr on disk: one array, or what `skal ingest` has written, with labels and paths."""

import csv
from pathlib import Path

import numpy as np

from skal.containers._arrays import ZarrArray

__all__ = ["IMAGES", "MANIFEST", "open_store"]

IMAGES, MANIFEST = "images", "manifest.csv"


class IngestedImages(ZarrArray):
    """Images that `skal ingest` has written."""

    def __init__(self, array, paths, labels):
        super().__init__(array)
        self.paths, self.labels = paths, labels
        if labels is not None:
            self.classes = np.unique([label for label in labels if label is not None])

    def name(self, row):
        """The row and the path that it came from."""
        return f"Row {row} of the pool ({self.paths[row]})"


def open_store(path):
    """The container of a zarr store: an array, or the images of `skal ingest`.

    Raises
    ------
    ValueError
        If there is neither, or if writing has not come to its end.
    """
    zarr, path = load_zarr(), Path(path)
    if (path / IMAGES).exists() and not (path / MANIFEST).exists():
        raise ValueError(
            f"{path} is not complete; call `skal ingest` once more, which goes on where it stopped."
        )
    try:
        if (path / MANIFEST).exists():
            array = zarr.open_array(path / IMAGES, mode="r")
            paths, labels = _read_manifest(path / MANIFEST)
            if len(paths) != array.shape[0]:
                raise ValueError(f"{MANIFEST} names {len(paths)} images, and there are {array.shape[0]}")
            return IngestedImages(array, paths, labels)
        return ZarrArray(zarr.open_array(path, mode="r"))
    except Exception as error:  # zarr has several, by the kind of store
        raise ValueError(f"{path} is no zarr array, nor images of `skal ingest`: {error}") from error


def _read_manifest(path):
    with path.open(newline="", encoding="utf-8") as file:
        entries = [(line["path"], line["label"] or None) for line in csv.DictReader(file)]
    labels = np.array([label for _, label in entries], dtype=object)
    return [path for path, _ in entries], None if all(label is None for label in labels) else labels


def load_zarr():
    """The module zarr, or a sentence that says how to get it."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError("Stores of zarr need zarr 3; pip install skal[zarr].") from error
    return zarr
