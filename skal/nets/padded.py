"""Batches of images of different sizes, padded with what is ignored."""

from collections.abc import Mapping
from itertools import groupby

import numpy as np
import torch

from skal._images import IGNORED
from skal.nets.batches import Batches, borders


class ImageBatches:
    """Batches of images of different sizes; each iteration is an epoch, as of `Batches`.

    In training, images are padded with zeros at the bottom and on the right to the largest size in their
    batch, and masks with what is ignored. Else a batch ends where the next image has another size.

    Parameters
    ----------
    rows : Rows
        ``X`` and ``codes`` are object arrays of images and masks; `X` may have weights beside it.
    index, batch_size, shuffle, device, generator
        As in `Batches`; the data stay on the CPU.
    """

    def __init__(self, rows, index, batch_size, *, shuffle, device, generator=None):
        self.rows, self.batch_size, self.shuffle, self.generator = rows, batch_size, shuffle, generator
        self.index = np.arange(len(rows)) if index is None else np.asarray(index)

    def __len__(self):
        return len(self._blocks(self.index))

    def __iter__(self):
        order = self.index
        if self.shuffle:
            order = order[torch.randperm(len(order), generator=self.generator).numpy()]
        for rows in self._blocks(order):
            codes = self.rows.codes
            codes = torch.zeros(len(rows)) if codes is None else _stacked(codes[rows], IGNORED)
            yield _taken(self.rows.X, rows), codes

    def _blocks(self, order):
        """The rows of each batch."""
        if self.shuffle:
            return [order[start:stop] for start, stop in borders(len(order), self.batch_size, even=True)]
        images = self.rows.X["X"] if isinstance(self.rows.X, Mapping) else self.rows.X
        runs = (np.array(list(run)) for _, run in groupby(order, lambda row: images[row].shape))
        return [
            run[start:stop] for run in runs for start, stop in borders(len(run), self.batch_size, even=False)
        ]


def image_batches(rows, index, batch_size, **kwargs):
    """`Batches` of images of one size, or `ImageBatches`."""
    images = rows.X["X"] if isinstance(rows.X, Mapping) else rows.X
    kind = ImageBatches if images.dtype == object else Batches
    return kind(rows, index, batch_size, **kwargs)


def _taken(data, rows):
    if isinstance(data, Mapping):
        return {name: _taken(part, rows) for name, part in data.items()}
    return _stacked(data[rows], 0) if data.dtype == object else torch.from_numpy(data[rows])


def _stacked(arrays, fill):
    """Arrays in one tensor, those that are too small filled up at the end of their last two axes."""
    size = np.max([array.shape[-2:] for array in arrays], axis=0)
    stack = np.full((len(arrays), *arrays[0].shape[:-2], *size), fill, dtype=np.result_type(*arrays))
    for place, array in zip(stack, arrays, strict=True):
        place[..., : array.shape[-2], : array.shape[-1]] = array
    return torch.from_numpy(stack)
