"""Pools by position, whatever holds them: the same rows, in any order, however chunked."""

import pickle
import subprocess
import sys

import dask.array
import datasets
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from PIL import Image
from scipy import sparse

from skal import as_pool
from skal.containers import Container, View, at_the_door
from skal.strategies import Random

TABLE = np.random.RandomState(0).normal(size=(50, 3)).astype(np.float32)
IMAGES = np.random.RandomState(0).randint(256, size=(50, 4, 5)).astype(np.uint8)


class Pairs:
    """Made a torch Dataset by `dataset`."""

    def __init__(self, X, y=None):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, row):
        return self.X[row] if self.y is None else (self.X[row], self.y[row])


def dataset(X, y=None, base=Pairs):
    import torch

    return type("OfTorch", (base, torch.utils.data.Dataset), {})(X, y)


class Batched(Pairs):
    def __getitems__(self, rows):
        self.asked = list(rows)
        return [self[row] for row in rows]


def containers(X, folder):
    """X in all containers that keep it as it is."""
    import torch
    from skorch.helper import SliceDataset

    X.tofile(folder / "X.bin")
    for chunk in (1, 7, 64):
        stored = zarr.create_array(folder / f"{chunk}.zarr", data=X, chunks=(chunk, *X.shape[1:]))
        yield f"zarr {chunk}", stored
    # Written whole: zarr 3.0 loses rows where it writes the chunks of a shard by themselves.
    shards = {"shape": X.shape, "chunks": (4, *X.shape[1:]), "shards": (16, *X.shape[1:])}
    stored = zarr.create_array(folder / "shards.zarr", dtype=X.dtype, **shards)
    stored[:] = X
    yield "sharded", stored
    with h5py.File(folder / "X.h5", "w") as file:
        file["whole"] = X
        file.create_dataset("chunked", data=X, chunks=(7, *X.shape[1:]))
    file = h5py.File(folder / "X.h5", "r")
    yield "h5py", file["whole"]
    yield "h5py chunked", file["chunked"]
    yield "memmap", np.memmap(folder / "X.bin", dtype=X.dtype, mode="r", shape=X.shape)
    yield "array", X
    yield "lists", X.astype(float).tolist() if X.dtype.kind == "f" else X.tolist()
    yield "tensor", torch.as_tensor(X)
    yield "Dataset", dataset(X)
    yield "Dataset of tensors", dataset(torch.as_tensor(X))
    yield "Dataset with labels", dataset(X, np.arange(50))
    yield "Dataset with __getitems__", dataset(X, base=Batched)
    yield "TensorDataset", torch.utils.data.TensorDataset(torch.as_tensor(X), torch.arange(50))
    yield "SliceDataset", SliceDataset(dataset(X, np.arange(50)))


@pytest.mark.parametrize("X", [TABLE, IMAGES], ids=["table", "images"])
def test_rows_come_by_position_in_any_order_with_repeats(X, tmp_path):
    rng = np.random.RandomState(1)
    for name, held in containers(X, tmp_path):
        pool = as_pool(held)
        assert isinstance(pool, View), name
        assert pool.shape == X.shape, name
        assert len(pool) == 50
        np.testing.assert_array_equal(np.asarray(pool), X, err_msg=name)
        for rows in (rng.randint(50, size=30), [49, 0, 0, 3], np.arange(0), [-1, 5], np.arange(8, 30)):
            np.testing.assert_array_equal(
                np.asarray(pool[rows]), X[np.asarray(rows, dtype=int)], err_msg=name
            )
        mask = rng.rand(50) < 0.5
        np.testing.assert_array_equal(pool[mask][::-2][[1, 0]].read(), X[mask][::-2][[1, 0]], err_msg=name)
        np.testing.assert_array_equal(pool[-3], X[-3], err_msg=name)
        covered = [row for part in pool.container.blocks() for row in range(part.start, part.stop)]
        assert covered == list(range(50)), name


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame(TABLE, columns=list("abc"), index=np.arange(50)[::-1]),
        pd.Series(TABLE[:, 0], index=np.arange(50)[::-1]),
        sparse.csr_array(TABLE),
        sparse.coo_matrix(TABLE),
        [f"text {i}" for i in range(50)],
        [np.zeros((i + 1, 2)) for i in range(50)],
    ],
    ids=["frame", "series", "csr", "coo", "texts", "ragged"],
)
def test_what_is_no_array_keeps_its_kind(X):
    pool = as_pool(X)
    read = pool[[40, 2]].read()
    if hasattr(X, "iloc"):
        assert read.equals(X.iloc[[40, 2]])
    elif sparse.issparse(X):
        np.testing.assert_array_equal(read.toarray(), TABLE[[40, 2]])
    else:
        assert read[0] is X[40]
        assert read[1] is X[2]
    assert len(pool[10:]) == 40


def test_h5py_datasets_are_opened_again_elsewhere(tmp_path):
    with h5py.File(tmp_path / "X.h5", "w") as file:
        file["X"] = IMAGES
    pool = as_pool(h5py.File(tmp_path / "X.h5", "r")["X"])[[3, 1]]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pool)).read(), IMAGES[[3, 1]])


def test_labels_of_datasets_are_known():
    import torch

    tensors = torch.utils.data.TensorDataset(torch.as_tensor(IMAGES), torch.arange(50) % 3)
    for held in (tensors, dataset(IMAGES, np.arange(50) % 3)):
        pool = as_pool(held)
        np.testing.assert_array_equal(pool[[4, 8]].y, [1, 2])
        part = torch.utils.data.Subset(held, [7, 9])
        np.testing.assert_array_equal(as_pool(part).y, [1, 0])
        np.testing.assert_array_equal(as_pool(part).read(), IMAGES[[7, 9]])
    assert as_pool(dataset(IMAGES)).y is None


def test_a_dataset_is_read_by_getitems_where_it_can():
    held = dataset(IMAGES, base=Batched)
    as_pool(held)[[5, 3]].read()
    assert held.asked == [5, 3]


def test_a_dataset_that_answers_twice_with_different_values_is_refused():
    import torch

    class Noisy(torch.utils.data.Dataset):
        def __len__(self):
            return 5

        def __getitem__(self, row):
            return torch.rand(3) + np.random.rand()

    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    with pytest.raises(ValueError, match="train_transform"):
        as_pool(Noisy())
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])


def test_streams_are_refused_with_advice():
    import torch

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield torch.zeros(3)

    for stream in (Stream(), iter([1, 2]), (row for row in TABLE)):
        with pytest.raises(TypeError, match="by row number; write"):
            as_pool(stream)
        with pytest.raises(TypeError, match="by row number; write"):
            at_the_door(stream)


def test_rows_of_other_shapes_and_nan_are_named():
    with pytest.raises(ValueError, match=r"Row 2 of the pool has the shape \(3, 2\), and row 0 has \(2, 2\)"):
        as_pool(dataset([np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((3, 2))])).read()
    images = np.zeros((9, 2, 2))
    images[7, 1, 0] = np.nan
    with pytest.raises(ValueError, match="Row 7 of the pool has a pixel that is NaN"):
        as_pool(images)[[2, 7]].read()


@pytest.mark.parametrize("key", [[50], [-51], [True, False], [[1, 2]], [0.5], "a"])
def test_what_is_no_row_is_refused(key):
    with pytest.raises(IndexError):
        as_pool(IMAGES)[key]


def test_groups_are_refused_and_texts_pass(tmp_path):
    with pytest.raises(TypeError, match="pass it, such as group"):
        as_pool(zarr.create_group(tmp_path / "group.zarr"))
    with h5py.File(tmp_path / "X.h5", "w") as file, pytest.raises(TypeError, match="pass it, such as group"):
        as_pool(file)
    texts = as_pool(np.array([f"text {i}" for i in range(50)]))
    assert Random().fit(texts).select(texts, 3).shape == (3,)
    assert texts.fingerprint() != as_pool(np.array(["other"] * 50)).fingerprint()
    with pytest.raises(ValueError, match="Expected 2D array"):
        Random().fit(as_pool(np.arange(5)))


def test_blocks_may_be_left_before_their_end_and_errors_come_through(tmp_path):
    class Broken(Container):
        shape, dtype, reads_ahead, is_fixed = (9000, 1), np.dtype(float), True, True

        def take(self, rows):
            if 5000 in rows:
                raise OSError("the disk is gone")
            return np.zeros((len(rows), 1))

    blocks = as_pool(Broken()).blocks()
    assert next(blocks)[0] == slice(0, 4096)
    blocks.close()
    with pytest.raises(OSError, match="the disk is gone"):
        list(as_pool(Broken()).blocks())


def test_options_without_a_use_are_refused():
    with pytest.raises(TypeError, match="no use for size with ndarray"):
        as_pool(IMAGES, size=(3, 3))


def test_a_fingerprint_follows_content_and_not_the_container(tmp_path):
    prints = {as_pool(held).fingerprint() for name, held in containers(IMAGES, tmp_path) if name != "lists"}
    assert len(prints) == 1
    changed = IMAGES.copy()
    changed[20, 1, 1] ^= 1
    assert as_pool(changed).fingerprint() not in prints
    assert as_pool(IMAGES[:49]).fingerprint() not in prints
    assert as_pool(IMAGES)[[1, 2]].fingerprint() != as_pool(IMAGES)[[2, 1]].fingerprint()


def test_only_what_is_not_in_memory_becomes_a_view_at_the_door(tmp_path):
    texts, tensors = ["a.png is an image", "text"], dataset([{"a": 1}] * 3)
    for X in (
        TABLE,
        TABLE.tolist(),
        sparse.csr_array(TABLE),
        pd.DataFrame(TABLE),
        texts,
        tensors,
        np.array(texts),
    ):
        assert at_the_door(X) is X
    for _, held in containers(IMAGES, tmp_path):
        stays = isinstance(held, list) or type(held) is np.ndarray or type(held).__name__ == "Tensor"
        assert isinstance(at_the_door(held), View) != stays


def test_a_container_of_ones_own_is_a_pool():
    class Squares(Container):
        shape, dtype = (10, 1), np.dtype(float)

        def take(self, rows):
            return (rows[:, np.newaxis] ** 2).astype(float)

    np.testing.assert_array_equal(as_pool(Squares())[[3, 2]].read(), [[9], [4]])


def test_nobodys_library_is_imported_without_need():
    code = (
        "import sys, numpy; from skal import as_pool; as_pool(numpy.zeros((3, 2)))[[1]].read();"
        "print({'zarr', 'h5py', 'dask', 'datasets', 'torch', 'PIL', 'pandas'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_dask_arrays(tmp_path):
    pool = at_the_door(dask.array.from_array(IMAGES, chunks=(7, 2, 5)))
    assert pool.container.block_rows == 7
    np.testing.assert_array_equal(pool[[40, 3, 40]].read(), IMAGES[[40, 3, 40]])


def test_datasets_of_hugging_face():
    held = datasets.Dataset.from_dict({"pixels": IMAGES.tolist(), "label": list(range(50))})
    pool = as_pool(held, column="pixels")
    np.testing.assert_array_equal(pool[[40, 3, 40]].read(), IMAGES[[40, 3, 40]])
    np.testing.assert_array_equal(pool[[40, 3]].y, [40, 3])
    assert len(at_the_door(held)) == 50
    with pytest.raises(ValueError, match="columns pixels, label; name the one"):
        as_pool(held, column="image")
    with pytest.raises(TypeError, match="by row number"):
        as_pool(held.to_iterable_dataset())
    with pytest.raises(TypeError, match="DatasetDict holds train, test; pass one of them"):
        as_pool(datasets.DatasetDict({"train": held, "test": held}))


def test_images_and_class_names_of_hugging_face():
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    columns = {"image": list(map(Image.fromarray, IMAGES)), "label": [row % 3 for row in range(50)]}
    pool = as_pool(datasets.Dataset.from_dict(columns, features=features))
    assert (pool.shape, pool.dtype, pool.classes.tolist()) == ((50, 4, 5), np.uint8, ["a", "b", "c"])
    np.testing.assert_array_equal(pool.read(), IMAGES)
    assert pool[[4, 0]].y.tolist() == [1, 0]
    again = datasets.Dataset.from_dict(columns, features=features)
    assert as_pool(again.select(range(49, -1, -1))).fingerprint() != pool.fingerprint()


@pytest.mark.parametrize("draw", ["torch", "numpy", "random"])
def test_rare_augmentation_is_found(draw):
    import random

    import torch

    class Flipped(Pairs):
        def __getitem__(self, row):
            uniform = {
                "torch": lambda: torch.rand(1).item(),
                "numpy": np.random.rand,
                "random": random.random,
            }
            return self.X[row, :, ::-1].copy() if uniform[draw]() < 0.3 else self.X[row]

    with pytest.raises(ValueError, match="was read twice, with different values"):
        as_pool(dataset(IMAGES, base=Flipped))


def test_rows_alone_in_their_tuple():
    import torch

    held = torch.utils.data.TensorDataset(torch.from_numpy(IMAGES))
    for pool in (as_pool(held), at_the_door(held)):
        assert pool.y is None
        np.testing.assert_array_equal(pool[[40, 3]].read(), IMAGES[[40, 3]])


def test_entries_that_are_no_rows_are_named():
    class Dicts(Pairs):
        def __getitem__(self, row):
            return {"x": self.X[row], "y": row}

    class Triples(Pairs):
        def __getitem__(self, row):
            return self.X[row], 0, row

    for base, what in ((Dicts, "dicts"), (Triples, "tuples of 3")):
        with pytest.raises(TypeError, match=f"The entries of the Dataset are {what}, and a pool has rows"):
            as_pool(dataset(IMAGES, base=base))


def test_what_has_no_rows_is_refused():
    import torch

    with pytest.raises(TypeError, match="DataLoader can only be read from its beginning"):
        as_pool(torch.utils.data.DataLoader(dataset(IMAGES)))
    for nothing in (3, None, b"abc"):
        with pytest.raises(TypeError, match="has no rows; pass an array"):
            as_pool(nothing)
    with pytest.raises(TypeError, match="dict holds train, test; pass one of them"):
        as_pool({"train": IMAGES, "test": IMAGES})
    without_length = type("Endless", (torch.utils.data.Dataset,), {"__getitem__": lambda self, row: row})
    with pytest.raises(TypeError, match="Endless has no length, and a pool is read by row number"):
        as_pool(without_length())


def test_a_file_of_several_arrays_is_refused_with_advice(tmp_path):
    np.savez(tmp_path / "both.npz", X=TABLE, Z=TABLE)
    with pytest.raises(
        ValueError, match=r"several arrays; pass one of them, such as numpy\.load\('.*'\)\['X'\]"
    ):
        as_pool(tmp_path / "both.npz")
    with (
        np.load(tmp_path / "both.npz") as both,
        pytest.raises(TypeError, match="holds X, Z; pass one of them"),
    ):
        as_pool(both)


class Torn(Pairs):
    def __getitem__(self, row):
        if row == 8:
            raise OSError("truncated")
        return super().__getitem__(row)


@pytest.mark.parametrize("base", [Torn, type("BatchedTorn", (Torn, Batched), {})])
def test_an_entry_that_cannot_be_read_is_named(base):
    pool = as_pool(dataset(TABLE, base=base))
    with pytest.raises(ValueError, match="Row 8 of the pool can't be read: OSError: truncated"):
        pool[[3, 8]].read()
    np.testing.assert_array_equal(pool[[9, 7]].read(), TABLE[[9, 7]])


@pytest.mark.parametrize("answer", [lambda rows: TABLE[rows[1:]], lambda rows: TABLE[rows, :2]])
def test_a_container_must_return_what_it_is_asked_for(answer):
    class Own(Container):
        shape, is_fixed = TABLE.shape, True

        def take(self, rows):
            return answer(rows)

    with pytest.raises(ValueError, match=r"Own\.take was asked for 4 rows of shape \(3,\), and returned"):
        as_pool(Own())[[4, 1, 2, 2]].read()


def test_tensors_may_have_gradients_or_a_type_that_numpy_lacks():
    import torch

    rows = torch.from_numpy(TABLE).requires_grad_()
    np.testing.assert_array_equal(as_pool(rows).read(), TABLE)
    np.testing.assert_array_equal(as_pool(rows.bfloat16()).read(), rows.detach().bfloat16().float().numpy())
    found = as_pool(torch.utils.data.TensorDataset(rows.detach().bfloat16()))[[1]].read()
    np.testing.assert_array_equal(found, rows[1:2].detach().bfloat16().float())


def test_a_series_of_paths_holds_images(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for pixels, path in zip(IMAGES, paths, strict=False):
        Image.fromarray(pixels).save(path)
    for series in (pd.Series(paths, index=[5, 5, 7]), pd.Series(list(map(str, paths)))):
        np.testing.assert_array_equal(as_pool(series)[[2, 0]].read(), IMAGES[[2, 0]])
    assert as_pool(pd.Series(["a", "b"])).shape == (2,)


def test_a_file_that_is_written_does_not_travel_by_name(tmp_path):
    with h5py.File(tmp_path / "X.h5", "w") as file:
        assert not as_pool(file.create_dataset("X", data=IMAGES)).container.is_portable
    with h5py.File(tmp_path / "X.h5", "r") as file:
        assert as_pool(file["X"]).container.is_portable
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        assert not as_pool(file.create_dataset("X", data=IMAGES)).container.is_portable


def test_a_file_of_one_array_is_mapped(tmp_path):
    np.save(tmp_path / "X.npy", IMAGES)
    for path in (tmp_path / "X.npy", str(tmp_path / "X.npy")):
        pool = at_the_door(path)
        assert pool.container.is_portable
        np.testing.assert_array_equal(pool[[40, 3]].read(), IMAGES[[40, 3]])
    with pytest.raises(ValueError, match=r"There is no file .*nowhere\.npy; check its spelling"):
        as_pool(tmp_path / "nowhere.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").touch()
    for name in ("objects", "text", "empty"):
        with pytest.raises(ValueError, match=rf"{name}.npy holds no array of numbers .* with numpy.save"):
            as_pool(tmp_path / f"{name}.npy")
    with pytest.raises(ValueError, match=r"may hold several arrays; pass one of them, such as h5py.File"):
        as_pool(tmp_path / "X.h5")


def test_numbers_of_hugging_face_keep_their_type(tmp_path):
    """They come as lists: uint8 images that came as int64 would not be scaled, and other rows be chosen."""
    nested = datasets.Features({"x": [[datasets.Value("float32")]]})
    for features in (datasets.Features({"x": datasets.Array2D((4, 5), "uint8")}), nested):
        held = datasets.Dataset.from_dict({"x": IMAGES.tolist()}, features=features)
        dtype = "float32" if features is nested else "uint8"
        for form in (held, held.with_format("numpy"), held.with_format("torch")):
            pool = as_pool(form)
            assert (pool.dtype, pool.shape) == (dtype, (50, 4, 5))
            np.testing.assert_array_equal(pool[[7, 3]].read(), IMAGES[[7, 3]].astype(dtype))
    own = datasets.Dataset.from_dict({"x": IMAGES.tolist()}).with_transform(
        lambda rows: {"x": [np.float32(row) / 2 for row in rows["x"]]}
    )
    assert as_pool(own).dtype == np.float32


def test_an_array_of_zarr_2_is_opened_by_its_path(tmp_path):
    zarr.create_array(tmp_path / "old", data=IMAGES, zarr_format=2)
    np.testing.assert_array_equal(as_pool(tmp_path / "old").read(), IMAGES)


def test_coloured_images_have_their_channels_first_in_lists_too():
    images = [Image.fromarray(np.stack([pixels] * 3, axis=-1)) for pixels in IMAGES[:3]]
    pool = as_pool(images)
    assert pool.shape == (3, 3, 4, 5)
    np.testing.assert_array_equal(pool.read()[:, 1], IMAGES[:3])


class OnlyBatched(Pairs):
    def __getitems__(self, rows):
        return [(self.X[row], self.y[row]) for row in rows]

    def __getitem__(self, row):
        raise NotImplementedError


def test_of_a_dataset_that_is_only_read_at_once_the_broken_row_is_named():
    class TornAtOnce(OnlyBatched):
        def __getitems__(self, rows):
            if 8 in rows:
                raise OSError("truncated")
            return super().__getitems__(rows)

    pool = as_pool(dataset(TABLE, np.arange(50), TornAtOnce))
    with pytest.raises(ValueError, match="Row 8 of the pool can't be read: OSError: truncated"):
        pool[[3, 8]].read()


def test_what_comes_in_as_it_is_becomes_a_pool_or_is_refused_with_advice(tmp_path):
    import torch

    held = dataset(TABLE, np.arange(50), OnlyBatched)
    np.testing.assert_array_equal(at_the_door(held)[[4, 2]].read(), TABLE[[4, 2]])
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    for series in (pd.Series([str(tmp_path / "a.png")]), pd.Series([tmp_path / "a.png"])):
        assert at_the_door(series).shape == (1, 4, 5)
    texts = pd.Series(["a.png", "text"])
    assert at_the_door(texts) is texts
    with pytest.raises(TypeError, match="DataLoader can only be read from its beginning"):
        at_the_door(torch.utils.data.DataLoader(held))
    with pytest.raises(TypeError, match="Endless has no length"):
        at_the_door(type("Endless", (torch.utils.data.Dataset,), {})())


def test_a_mapped_file_may_be_deleted(tmp_path):
    np.save(tmp_path / "X.npy", TABLE)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    (tmp_path / "X.npy").unlink()
    np.testing.assert_array_equal(as_pool(mapped)[[3, 1]].read(), TABLE[[3, 1]])
