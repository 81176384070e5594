import numpy as np
import pytest
from PIL import Image

from skal import ActiveLearner
from skal.datasets import load_mask_folder

RNG = np.random.RandomState(0)
GREY = RNG.randint(256, size=(6, 8)).astype(np.uint8)
COLOR = RNG.randint(256, size=(6, 8, 3)).astype(np.uint8)
MASK = RNG.choice([0, 128, 255], size=(6, 8)).astype(np.uint8)
BINARY = np.where(MASK == 128, -1, MASK.astype(int) // 255)


@pytest.fixture
def folders(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    return tmp_path / "images", tmp_path / "masks"


def save(folder, **files):
    for name, array in files.items():
        Image.fromarray(array).save(folder / name.replace("__", "."))


def test_images_and_masks_are_paired_by_name(folders):
    images, masks = folders
    save(images, b__png=GREY, a__tif=GREY[::-1].copy(), c__png=GREY)
    save(masks, a__png=MASK, b__tif=MASK[::-1].copy(), other__png=MASK)
    (images / "notes.txt").write_text("no image")
    (images / ".hidden.png").write_text("no image")
    X, y, names = load_mask_folder(*folders)
    assert names == ["a.tif", "b.png", "c.png"]
    np.testing.assert_array_equal(X, [GREY[::-1], GREY, GREY])
    assert X.dtype == np.uint8
    np.testing.assert_array_equal(y[0], MASK)
    np.testing.assert_array_equal(y[1], MASK[::-1])
    assert y[2] is None
    save(masks, c__png=MASK)
    X, y, _ = load_mask_folder(*folders, classes={0: 0, 255: 1, 128: -1})
    assert (y.shape, y.dtype) == ((3, 6, 8), np.int64)
    np.testing.assert_array_equal(y[0], BINARY)
    np.testing.assert_array_equal(load_mask_folder(*folders, classes=[0, 128, 255])[1][0], MASK // 127)


def test_masks_may_lie_among_the_images(folders):
    save(folders[0], a__png=GREY, a_mask__png=MASK, b__png=GREY)
    _, y, names = load_mask_folder(folders[0], str(folders[0]), suffix="_mask")
    assert names == ["a.png", "b.png"]
    np.testing.assert_array_equal(y[0], MASK)
    with pytest.raises(ValueError, match="suffix= says which files are masks"):
        load_mask_folder(folders[0], folders[0])


def test_different_sizes_are_objects_and_may_be_scaled(folders):
    save(folders[0], a__png=GREY, b__png=GREY[:4])
    save(folders[1], a__png=MASK, b__png=MASK[:4])
    X, y, _ = load_mask_folder(*folders)
    assert X.shape == y.shape == (2,)
    np.testing.assert_array_equal(X[1], GREY[:4])
    np.testing.assert_array_equal(y[1], MASK[:4])
    for size, shape in ((12, (12, 12)), ((3, 5), (3, 5))):
        X, y, _ = load_mask_folder(*folders, image_size=size)
        assert X.shape == y.shape == (2, *shape)
        assert set(np.unique(y)) <= {0, 128, 255}


def test_colours_and_sixteen_bits(folders):
    images, masks = folders
    save(images, a__png=COLOR, b__png=GREY, c__tif=GREY.astype(np.uint16) * 257)
    Image.fromarray(COLOR).quantize(256).save(images / "d.png")
    Image.fromarray(np.dstack([COLOR, GREY])).save(images / "e.png")
    save(masks, a__png=MASK)
    X, _, _ = load_mask_folder(*folders)
    assert (X.shape, X.dtype) == ((5, 3, 6, 8), np.float32)
    np.testing.assert_allclose(X[0], np.moveaxis(COLOR, -1, 0) / 255, rtol=1e-6)
    np.testing.assert_allclose(X[1], np.stack([GREY] * 3) / 255, rtol=1e-6)
    np.testing.assert_allclose(X[2], X[1], rtol=1e-6)
    np.testing.assert_allclose(X[4], X[0], rtol=1e-6)
    assert load_mask_folder(*folders, image_size=4)[0].shape == (5, 3, 4, 4)


def test_masks_as_people_save_them(folders):
    classes = MASK // 127
    save(folders[0], **{f"{name}__png": GREY for name in "abcd"})
    palette = Image.fromarray(classes).convert("P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.save(folders[1] / "a.png")
    Image.fromarray(classes == 2).save(folders[1] / "b.png")
    save(folders[1], c__png=np.dstack([classes] * 3), d__tif=classes.astype(np.uint16))
    _, y, _ = load_mask_folder(*folders)
    np.testing.assert_array_equal(y, [classes, classes == 2, classes, classes])


def test_links_are_followed(folders, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    save(tmp_path / "elsewhere", x__png=GREY)
    (folders[0] / "a.png").symlink_to(tmp_path / "elsewhere" / "x.png")
    save(folders[1], a__png=MASK)
    assert load_mask_folder(*folders)[2] == ["a.png"]
    (folders[0] / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert load_mask_folder(*folders)[2] == ["a.png"]


def test_a_file_of_too_many_pixels_is_not_read(folders):
    save(folders[0], a__png=GREY)
    save(folders[1], a__png=MASK)
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ValueError, match=r"a\.png has 6 x 8 pixels, more than max_pixels=47"):
        load_mask_folder(*folders, max_pixels=47)
    load_mask_folder(*folders, max_pixels=48)
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("files", "params", "said"),
    [
        (
            {"a__png": MASK[:3]},
            {},
            r"masks/a\.png is a mask of 3 x 8 pixels, and its image .*images/a\.png has 6 x 8",
        ),
        ({"a__png": COLOR}, {}, r"masks/a\.png is in colour"),
        ({"a__tif": MASK / np.float32(7)}, {}, r"masks/a\.tif holds numbers that are not whole"),
        ({"a__png": MASK}, {"classes": [0, 255]}, r"masks/a\.png has the grey values \[128\]"),
        ({"a__jpg": MASK}, {"classes": [0, 128, 255]}, r"masks/a\.jpg has the grey .*save masks as PNG"),
        ({"a__png": MASK, "a__tif": MASK}, {}, r"masks/a\.png and .*masks/a\.tif are both the mask of 'a'"),
        ({"b__png": MASK}, {}, r"that of a\.png would be a\.png, \.tif"),
        ({"a__png": MASK}, {"suffix": "_seg"}, r"would be a_seg\.png"),
        ({"a__png": MASK}, {"suffix": "/../a"}, "can't lead to another folder"),
        ({"a__png": MASK}, {"suffix": ".."}, "can't lead to another folder|has a mask in"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(folders, files, params, said):
    save(folders[0], a__png=GREY)
    save(folders[1], **files)
    with pytest.raises(ValueError, match=said):
        load_mask_folder(*folders, **params)


def test_files_and_folders_that_are_none(folders, tmp_path):
    save(folders[1], a__png=MASK)
    with pytest.raises(ValueError, match="holds no image"):
        load_mask_folder(*folders)
    with pytest.raises(ValueError, match=r"There is no folder .*nowhere"):
        load_mask_folder(tmp_path / "nowhere", folders[1])
    save(folders[0], a__png=GREY, a__tif=GREY)
    with pytest.raises(ValueError, match="have the same name"):
        load_mask_folder(*folders)
    (folders[0] / "a.tif").unlink()
    whole = (folders[0] / "a.png").read_bytes()
    for content in (b"no image", b"", whole[:60], whole[:20]):
        (folders[0] / "a.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"images/a\.png can't be read as an image"):
            load_mask_folder(*folders)
    frames = [Image.fromarray(GREY)] * 2
    frames[0].save(folders[0] / "a.tif", save_all=True, append_images=frames[1:])
    (folders[0] / "a.png").unlink()
    with pytest.raises(ValueError, match=r"a\.tif holds 2 images"):
        load_mask_folder(*folders)


def test_what_is_loaded_is_learned_from(folders):
    from segmenter import PixelClassifier, different_sizes

    for row, (image, mask) in enumerate(zip(*different_sizes(12), strict=True)):
        Image.fromarray(np.clip(100 + 60 * image, 0, 255).astype(np.uint8)).save(folders[0] / f"{row:02}.png")
        if row % 4:
            Image.fromarray((255 * mask).astype(np.uint8)).save(folders[1] / f"{row:02}.png")
    X, y, names = load_mask_folder(*folders, classes=[0, 255])
    learner = ActiveLearner(PixelClassifier(), n_initial=3, batch_size=2, n_rounds=9, random_state=0).fit(
        X, y
    )
    assert [names[row] for row in np.sort(learner.query(X, 3))] == ["00.png", "04.png", "08.png"]
    assert np.flatnonzero(learner.labeled_iter_ < 0).tolist() == [0, 4, 8]
