"""Images on disk, decoded once into a store of blocks."""

import csv
import os

import numpy as np
import pytest
import zarr
from PIL import Image

from skal import _ingest, as_pool
from skal._ingest import ingest
from skal.cli import main
from skal.containers._images import decode


@pytest.fixture
def folder(tmp_path):
    """Twenty images of many sizes in two classes, and what has to be skipped."""
    rng = np.random.RandomState(0)
    root = tmp_path / "folder"
    for i in range(20):
        path = root / ("cat", "dog")[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.randint(256, size=(10 + i, 30 - i, 3)).astype(np.uint8)).save(path)
    (root / "cat" / "06.png").write_bytes(b"broken")
    content = (root / "dog" / "11.png").read_bytes()
    (root / "dog" / "11.png").write_bytes(content[: len(content) // 2])
    Image.new("1", (300, 300)).save(root / "dog" / "bomb.png")
    Image.new("L", (5, 5)).save(tmp_path / "secret.png")
    (root / "dog" / "link.png").symlink_to(tmp_path / "secret.png")
    return root


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(_ingest, "_BLOCK_VALUES", 4 * 3 * 8 * 8)


OPTIONS = {"size": 8, "max_pixels": 10_000}


def test_what_is_written_is_what_is_read_from_the_files(folder, tmp_path):
    done = ingest(folder, tmp_path / "pool.zarr", **OPTIONS)
    assert done.n_rows == 18
    assert [entry.path for entry in done.skipped] == [
        "cat/06.png",
        "dog/11.png",
        "dog/bomb.png",
        "dog/link.png",
    ]
    pool = as_pool(str(tmp_path / "pool.zarr"))
    assert pool.shape == (18, 3, 8, 8)
    assert pool.container.block_rows == 4
    assert pool.classes.tolist() == ["cat", "dog"]
    assert pool.y.tolist() == ["cat"] * 9 + ["dog"] * 9
    expected = as_pool(pool.container.paths, folder=folder, size=(8, 8), mode="RGB")
    np.testing.assert_array_equal(pool.read(), expected.read())
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "pool.zarr", mode="r")["images"][:], pool.read())
    with (tmp_path / "pool.zarr" / "skipped.csv").open() as file:
        reasons = {line["path"]: line["reason"] for line in csv.DictReader(file)}
    assert "300 x 300 pixels, more than max_pixels=10000" in reasons["dog/bomb.png"]
    assert "leaves the folder" in reasons["dog/link.png"]
    assert str(tmp_path) not in "".join(reasons.values())


@pytest.mark.parametrize("n_blocks", [0, 1, 3])
def test_an_interrupted_call_goes_on(folder, tmp_path, monkeypatch, n_blocks):
    ingest(folder, tmp_path / "whole.zarr", **OPTIONS)
    write, written, decoded = _ingest._write, [], []

    def interrupted(store, images, state, batch):
        if len(written) == n_blocks:
            images[state["n_rows"] : state["n_rows"] + 2] = 77  # half a block
            raise KeyboardInterrupt
        written.append(batch)
        write(store, images, state, batch)

    monkeypatch.setattr(_ingest, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ingest(folder, tmp_path / "parts.zarr", **OPTIONS)
    with pytest.raises(ValueError, match="is not complete; call `skal ingest` once more"):
        as_pool(tmp_path / "parts.zarr")
    monkeypatch.setattr(_ingest, "_write", write)
    monkeypatch.setattr(_ingest, "decode", lambda path, **how: decoded.append(path) or decode(path, **how))
    done = ingest(folder, tmp_path / "parts.zarr", **OPTIONS)
    whole, parts = as_pool(tmp_path / "whole.zarr"), as_pool(tmp_path / "parts.zarr")
    assert done.n_rows == 18
    assert len(decoded) == 21 - sum(map(len, written))
    np.testing.assert_array_equal(parts.read(), whole.read())
    assert parts.container.paths == whole.container.paths
    ingest(folder, tmp_path / "parts.zarr", **OPTIONS)  # nothing is left to do
    assert len(decoded) == 21 - sum(map(len, written))


def test_another_folder_or_size_is_refused(folder, tmp_path):
    ingest(folder, tmp_path / "pool.zarr", **OPTIONS)
    with pytest.raises(ValueError, match="begun with another size"):
        ingest(folder, tmp_path / "pool.zarr", size=9, max_pixels=10_000)
    (folder / "cat" / "00.png").unlink()
    with pytest.raises(ValueError, match="begun with other files"):
        ingest(folder, tmp_path / "pool.zarr", **OPTIONS)
    with pytest.raises(ValueError, match="was not written by `skal ingest`"):
        ingest(folder, folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no images"):
        ingest(tmp_path / "empty", tmp_path / "other.zarr")


def test_the_command_says_what_it_skipped(folder, tmp_path, capsys):
    command = ["ingest", str(folder), str(tmp_path / "pool.zarr"), "--size", "6x9", "--gray", "--jobs", "2"]
    assert main([*command, "--max-pixels", "10000"]) == 0
    said = capsys.readouterr()
    assert "18 images" in said.out
    assert "skipped dog/link.png: is a link that leaves the folder" in said.out
    assert as_pool(tmp_path / "pool.zarr").shape == (18, 6, 9)
    assert main([*command, "--max-pixels", "20000"]) == 2
    assert "begun with another max_pixels" in capsys.readouterr().err


def test_more_than_ten_skipped_images_are_counted(tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    Image.new("L", (5, 5)).save(tmp_path / "folder" / "good.png")
    for i in range(12):
        (tmp_path / "folder" / f"{i}.png").write_text("broken")
    assert main(["ingest", str(tmp_path / "folder"), str(tmp_path / "pool.zarr"), "--jobs", "1"]) == 0
    assert "... and 2 more, all of them in" in capsys.readouterr().out
    assert as_pool(tmp_path / "pool.zarr").y is None


def test_a_plain_array_of_zarr_is_opened_by_its_path(tmp_path):
    zarr.create_array(tmp_path / "X.zarr", data=np.arange(6).reshape(3, 2))
    np.testing.assert_array_equal(as_pool(tmp_path / "X.zarr")[[2, 0]].read(), [[4, 5], [0, 1]])
    with pytest.raises(ValueError, match="is no zarr array, nor images"):
        as_pool(tmp_path / "none.zarr")


def test_a_store_is_queried_and_compared(folder, tmp_path, capsys):
    store = tmp_path / "pool.zarr"
    ingest(folder, store, **OPTIONS)
    for name in ("new", "newer"):
        Image.new("RGB", (9, 9)).save(folder / f"{name}.png")
    ingest(folder, tmp_path / "more.zarr", **OPTIONS)
    command = ["query", str(tmp_path / "more.zarr"), "--n", "1", "--model", "logistic"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "18 labels (cat: 9, dog: 9)" in said
    row = (tmp_path / "more.labels.csv").read_text().splitlines()[1].split(",")[0]
    assert as_pool(tmp_path / "more.zarr").container.paths[int(row)] in ("new.png", "newer.png")
    options = ["--seeds", "1", "--rounds", "1", "--n-initial", "5", "--batch-size", "2", "--jobs", "1"]
    options += ["--strategy", "Margin()", "--model", "logistic", "--out", str(tmp_path / "out")]
    assert main(["compare", "--data", str(store), *options]) == 0
    assert "18 images of 3 x 8 x 8" in capsys.readouterr().out


def test_deep_pixels_keep_their_upper_byte_and_numbers_are_skipped(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    deep = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(deep).save(folder / "0.png")
    Image.fromarray(deep).save(folder / "1.tif")
    Image.fromarray(deep.astype(np.float32) / 65535).save(folder / "2.tif")
    for mode, shown in (("L", deep >> 8), ("RGB", np.stack([deep >> 8] * 3))):
        done = ingest(folder, tmp_path / f"{mode}.zarr", size=8, mode=mode)
        assert [path for path, _ in done.skipped] == ["2.tif"]
        assert "32 bits" in done.skipped[0].reason
        np.testing.assert_array_equal(as_pool(tmp_path / f"{mode}.zarr").read(), [shown, shown])
        np.testing.assert_array_equal(as_pool(folder / ".", mode=mode)[:2].read(), [shown, shown])
    np.testing.assert_array_equal(as_pool([folder / "0.png"])[0], deep)


def test_a_file_that_was_mended_is_not_said_to_be_broken(folder, tmp_path):
    ingest(folder, tmp_path / "pool.zarr", **OPTIONS)
    (folder / "cat" / "06.png").write_bytes((folder / "cat" / "04.png").read_bytes())
    with pytest.raises(ValueError, match="begun with other files in its folder"):
        ingest(folder, tmp_path / "pool.zarr", **OPTIONS)


def test_a_damaged_store_is_refused_in_a_sentence(folder, tmp_path, capsys):
    command = ["ingest", str(folder), str(tmp_path / "pool.zarr"), "--size", "8", "--quiet"]
    assert main(command) == 0
    state = tmp_path / "pool.zarr" / "ingest.json"
    whole = state.read_text()
    for broken in ("{", "[]", '{"done": 3}'):
        state.write_text(broken)
        assert main(command) == 2
        assert "is damaged: ingest.json is not what `skal ingest` wrote; delete" in capsys.readouterr().err
    state.write_text(whole)
    (tmp_path / "pool.zarr" / "images" / "zarr.json").unlink()
    assert main(command) == 2
    assert "is damaged: its array images can't be opened" in capsys.readouterr().err
    with pytest.raises(ValueError, match="is no zarr array, nor images of `skal ingest`"):
        as_pool(tmp_path / "pool.zarr")


def test_a_folder_of_broken_images_is_a_failure_and_other_files_are_counted(tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    for name in ("a.png", "b.jfif", "c.heic", "notes.txt", ".hidden"):
        (tmp_path / "folder" / name).write_bytes(b"broken")
    assert main(["ingest", str(tmp_path / "folder"), str(tmp_path / "pool.zarr"), "--quiet"]) == 1
    said = capsys.readouterr()
    assert "skipped b.jfif" in said.out
    assert "2 files are no images by their names, such as c.heic" in said.out
    assert "no image could be read" in said.err


@pytest.mark.parametrize("size", ["10x", "x10", "0", "3x4x5", "a"])
def test_a_size_is_one_or_two_whole_numbers(size, folder, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["ingest", str(folder), str(tmp_path / "pool.zarr"), "--size", size])
    assert "is not a whole number from 1 on" in capsys.readouterr().err
    assert not (tmp_path / "pool.zarr").exists()


def test_a_manifest_of_other_rows_is_refused(folder, tmp_path):
    ingest(folder, tmp_path / "pool.zarr", **OPTIONS)
    manifest = tmp_path / "pool.zarr" / "manifest.csv"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:4]))
    with pytest.raises(ValueError, match=r"manifest\.csv names 3 images, and there are 18"):
        as_pool(tmp_path / "pool.zarr")


def test_a_name_that_is_no_text_is_listed_and_skipped(folder, tmp_path):
    whole = (folder / "cat" / "00.png").read_bytes()
    with open(os.fsencode(folder / "cat") + b"/\xff\xfe.png", "wb") as file:
        file.write(whole)
    done = ingest(folder, tmp_path / "pool.zarr", **OPTIONS)
    assert done.n_rows == 18
    assert ("cat/??.png", "has a name that is no text") in [tuple(entry) for entry in done.skipped]
    assert as_pool(tmp_path / "pool.zarr").shape[0] == 18
