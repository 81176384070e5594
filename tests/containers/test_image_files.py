"""Pools of image files: decoded when they are read, never from outside of their folder."""

import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skal import ActiveLearner, as_pool
from skal.containers import View, at_the_door
from skal.containers._images import list_images


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """Twelve gray images of two classes, and two of none; bright in the class "light"."""
    rng = np.random.RandomState(0)
    for i in range(12):
        name = ("dark", "light")[i % 2]
        save(
            tmp_path / "images" / name / f"{i:02}.png",
            (rng.randint(100, size=(6, 8)) + 150 * (i % 2)).astype(np.uint8),
        )
    for i in range(2):
        save(tmp_path / "images" / f"new {i}.PNG", rng.randint(255, size=(6, 8)).astype(np.uint8))
    (tmp_path / "images" / "notes.txt").write_text("no image")
    (tmp_path / "images" / ".hidden.png").write_text("no image")
    return tmp_path / "images"


def test_a_folder_of_class_named_folders_is_a_pool_with_labels(folder):
    pool = as_pool(folder)
    assert pool.shape == (14, 6, 8)
    assert pool.dtype == np.uint8
    assert pool.classes.tolist() == ["dark", "light"]
    assert pool.y.tolist() == ["dark"] * 6 + ["light"] * 6 + [None] * 2
    assert pool[[13, 0, 7]].y.tolist() == [None, "dark", "light"]
    np.testing.assert_array_equal(pool[6], np.asarray(Image.open(folder / "light" / "01.png")))
    assert as_pool(str(folder)).fingerprint() == pool.fingerprint()


def test_a_learner_goes_from_a_folder_to_the_rows_to_label(folder):
    pool = as_pool(folder)
    model = make_pipeline(FunctionTransformer(lambda X: X.reshape(len(X), -1) / 255), LogisticRegression())
    learner = ActiveLearner(model, n_rounds=0, random_state=0)
    learner.fit(folder, pool.y)
    assert sorted(learner.query(folder, n=2)) == [12, 13]
    assert learner.score(pool, pool.y) > 0.9
    save(folder / "new 0.PNG", np.zeros((6, 8), dtype=np.uint8))
    with pytest.raises(ValueError, match="has changed since"):
        learner.query(folder)


def test_lists_and_arrays_of_paths_are_pools(folder):
    paths = sorted((folder / "dark").iterdir())
    expected = as_pool(folder)[:6].read()
    for X in (paths, list(map(str, paths)), np.array(list(map(str, paths))), np.array(paths)):
        assert isinstance(at_the_door(X), View)
        np.testing.assert_array_equal(as_pool(X).read(), expected)
    relative = [path.relative_to(folder) for path in paths]
    np.testing.assert_array_equal(as_pool(relative, folder=folder).read(), expected)
    texts = ["no such file.png"]
    assert at_the_door(texts) is texts
    with pytest.raises(ValueError, match=r"Row 0 of the pool \(no such file\.png\) can't be read"):
        at_the_door(texts + list(map(str, paths)))
    with pytest.raises(TypeError, match="Row 6 of the pool is None, and no path of an image"):
        as_pool([*paths, None])


def test_paths_whose_images_have_changed_are_refused(folder):
    paths = sorted(folder.rglob("*.png"))[1:]
    y = np.where(np.arange(len(paths)) < 8, np.arange(len(paths)) % 2, -1)
    model = make_pipeline(FunctionTransformer(lambda X: X.reshape(len(X), -1) / 255), LogisticRegression())
    learner = ActiveLearner(model, n_rounds=0, random_state=0).fit(paths, y)
    assert set(learner.query(list(map(str, paths)), n=3)) <= set(np.flatnonzero(y < 0))
    assert len(learner.query(paths[::-1][:5], n=2)) == 2  # another pool
    save(paths[-1], np.zeros((6, 8), dtype=np.uint8))
    with pytest.raises(ValueError, match="has changed since"):
        learner.query(paths)


@pytest.mark.parametrize(
    ("mode", "shape", "dtype"),
    [
        *((mode, (4, 5), "uint8") for mode in ("L", "1", "LA")),
        *((mode, (3, 4, 5), "uint8") for mode in ("RGB", "RGBA", "P")),
        ("I;16", (4, 5), "uint16"),
    ],
)
def test_every_kind_of_image_is_gray_or_coloured(tmp_path, mode, shape, dtype):
    Image.new(mode, (5, 4), 1).save(tmp_path / "a.png")
    read = as_pool([tmp_path / "a.png"])
    assert read.shape == (1, *shape)
    assert read.dtype in (dtype, "int32" if dtype == "uint16" else dtype)  # older versions of Pillow
    assert as_pool([tmp_path / "a.png"], mode="RGB", size=(2, 3)).shape == (1, 3, 2, 3)


def test_an_image_is_upright(tmp_path):
    pixels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    save(tmp_path / "a.png", pixels, exif=exif)
    np.testing.assert_array_equal(as_pool([tmp_path / "a.png"])[0], np.rot90(pixels, -1))


def test_errors_name_the_row(folder):
    pool = as_pool(folder)
    save(folder / "light" / "03.png", np.zeros((3, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"Row 7 of the pool \(light/03.png\) has the shape \(3, 3\).*size="):
        pool.read()
    assert as_pool(folder, size=(4, 4)).read().shape == (14, 4, 4)
    (folder / "light" / "03.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"Row 7 of the pool \(light/03.png\) can't be read"):
        pool[[3, 7]].read()
    content = (folder / "light" / "05.png").read_bytes()
    (folder / "light" / "03.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"Row 7 .* can't be read"):
        pool[7]
    (folder / "light" / "03.png").unlink()
    with pytest.raises(ValueError, match=r"Row 7 .* can't be read: .*No such file"):
        pool[7]


def test_a_huge_image_is_refused_by_a_limit_that_can_be_raised(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    header = b"IHDR" + struct.pack(">IIBBBBB", 14_000, 14_000, 8, 0, 0, 0, 0)  # larger than Pillow allows
    chunks = [struct.pack(">I", 13), header, struct.pack(">I", zlib.crc32(header)), b"\0\0\0\0IDAT"]
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(ValueError, match=r"14000 x 14000 pixels, more than max_pixels=67108864; raise"):
        as_pool([tmp_path / "bomb.png"])
    path = save(tmp_path / "small.png", np.zeros((5, 5), dtype=np.uint8))
    with pytest.raises(ValueError, match="max_pixels=24"):
        as_pool([path], max_pixels=24)
    assert as_pool([path], max_pixels=25).shape == (1, 5, 5)
    assert before == Image.MAX_IMAGE_PIXELS


def test_nothing_outside_of_the_folder_is_read(folder, tmp_path):
    outside = save(tmp_path / "secret" / "secret.png", np.zeros((6, 8), dtype=np.uint8))
    expected = as_pool(folder).read()
    (folder / "dark" / "zz.png").symlink_to(outside)
    (folder / "other").symlink_to(outside.parent)
    (folder / "inside.png").symlink_to(folder / "dark" / "00.png")
    (folder / "round").symlink_to(folder)
    with pytest.warns(
        UserWarning, match="2 files below .* leave it and are left out; the first is dark/zz.png"
    ):
        pool = as_pool(folder)
    assert len(pool) == 15
    np.testing.assert_array_equal(pool[[row for row in range(15) if row != 6]].read(), expected)
    assert list_images(folder)[1:] == (["dark/zz.png", "other"], ["notes.txt"])
    (folder / "dark" / "00.png").unlink()
    (folder / "dark" / "00.png").symlink_to(outside)  # after it was listed
    with pytest.raises(ValueError, match=r"Row 0 of the pool \(dark/00.png\) leads out of the folder"):
        pool[0]
    with pytest.raises(ValueError, match="leads out of the folder"):
        as_pool(["../secret/secret.png"], folder=folder)
    with pytest.raises(ValueError, match="leads out of the folder"):
        as_pool([outside], folder=folder)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "CMYK"},
        {"size": (3,)},
        {"size": 0},
        {"size": 8.5},
        {"size": (8.5, 3)},
        {"max_pixels": "many"},
    ],
)
def test_sizes_and_modes_are_checked(folder, options):
    with pytest.raises(ValueError, match="is no"):
        as_pool(folder, **options)


def test_options_are_those_of_images(folder):
    assert as_pool(folder, n_jobs=-1)[[1, 0]].read().shape == (2, 6, 8)
    for X, options in ((folder, {"sizes": 3}), (folder, {"folder": folder}), (as_pool(folder), {"size": 3})):
        with pytest.raises(
            TypeError, match=f"as_pool has no use for {next(iter(options))} with .* size, mode"
        ):
            as_pool(X, **options)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no images; their names end in"):
        as_pool(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        as_pool(tmp_path / "none")


def test_without_pillow_the_error_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"needs Pillow; pip install skal\[images\]"):
        as_pool(folder)


def test_a_comparison_and_folders_go_to_other_processes(folder):
    import pickle

    pool = as_pool(folder)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pool[3:5])).read(), pool[3:5].read())


def test_a_large_photo_that_is_shrunk_is_near_the_one_shrunk_in_full(tmp_path):
    rng = np.random.RandomState(0)
    photo = Image.fromarray(rng.randint(256, size=(9, 12, 3)).astype(np.uint8)).resize((480, 360))
    photo.save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as whole:
        expected = np.moveaxis(np.asarray(whole.resize((40, 30), Image.Resampling.BILINEAR)), 2, 0)
    found = as_pool([tmp_path / "a.jpg"], size=(30, 40))[0]
    assert np.abs(found.astype(float) - expected).max() <= 3
