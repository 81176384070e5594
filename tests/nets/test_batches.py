"""Batches from memory."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skal.nets import NetClassifier
from skal.nets.batches import Batches, Rows, as_tensor, borders, in_memory, unweighted, weighted


@given(st.integers(1, 300), st.integers(1, 70), st.booleans())
def test_borders_cover_all_rows_once(n, size, even):
    pairs = borders(n, size, even=even)
    assert [row for start, stop in pairs for row in range(start, stop)] == list(range(n))
    assert all(stop - start <= size + even for start, stop in pairs)


@given(st.integers(2, 300), st.integers(2, 70))
def test_even_batches_have_no_small_rest(n, size):
    sizes = [stop - start for start, stop in borders(n, size, even=True)]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) > 1


@given(st.integers(1, 300), st.integers(1, 70))
def test_blocks_of_prediction_start_at_multiples_of_their_size(n, size):
    assert all(start % size == 0 for start, _ in borders(n, size))


@pytest.mark.parametrize("index", [None, np.array([5, 3, 9, 1])])
def test_shuffled_batches_keep_rows_and_labels_together(index):
    rows = Rows({"X": np.arange(10.0), "sample_weight": np.arange(10.0)}, np.arange(10))
    batches = Batches(rows, index, 3, shuffle=True, device="cpu")
    first, second = ([*batches] for _ in range(2))
    for X, y in first:
        assert (X["X"] == y).all()
        assert (X["sample_weight"] == y).all()
    orders = [torch.cat([y for _, y in epoch]).tolist() for epoch in (first, second)]
    assert sorted(orders[0]) == sorted(range(10) if index is None else index)
    assert index is not None or orders[0] != orders[1]
    assert len(first) == len(batches)


def test_subsets_of_subsets_are_seen_through():
    rows = Rows(np.arange(10.0), np.arange(10))
    subset = torch.utils.data.Subset(torch.utils.data.Subset(rows, [8, 6, 4]), [2, 0])
    found, index = in_memory(subset)
    assert found is rows
    assert index.tolist() == [4, 8]
    assert in_memory(torch.utils.data.TensorDataset(torch.zeros(2))) == (None, None)


def test_weights_ride_along_and_come_off_again():
    X, words, w = np.zeros(3), {"words": np.ones(3)}, np.ones(3)
    assert unweighted(weighted(X, w)) == (X, w) or unweighted(weighted(X, w))[0] is X
    assert unweighted(weighted(words, w))[0] == words
    assert unweighted(X) == (X, None) or unweighted(X)[1] is None


def test_tensors_share_memory_even_with_read_only_arrays():
    data = np.arange(6, dtype=np.uint8)
    data.flags.writeable = False
    assert as_tensor(data, "cpu").data_ptr() == data.ctypes.data


def test_uint8_images_are_never_widened_as_a_whole():
    images = np.zeros((20_000, 28, 28), dtype=np.uint8)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    net = NetClassifier(module, max_epochs=1, batch_size=1000, random_state=0)
    net.fit(images[:10], np.arange(10))  # imports and first allocations
    peak_in_torch = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                peak_in_torch.append(result.numel() * result.element_size())
            return result

    tracemalloc.start()
    with Watch():
        net.fit(images, np.arange(20_000) % 10).predict_proba(images)
    _, peak_in_numpy = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_in_numpy < images.nbytes / 2
    assert max(peak_in_torch) <= images.nbytes  # the view of the images themselves
    assert sorted(set(peak_in_torch))[-2] < images.nbytes / 4
