"""Folders of images with a mask for each, as people have them on disk."""

from itertools import pairwise
from numbers import Integral
from pathlib import Path

import numpy as np

from skal._rows import as_objects

__all__ = ["load_mask_folder"]

_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")


def load_mask_folder(images, masks, *, suffix="", classes=None, image_size=None, max_pixels=50_000_000):
    """Images of a folder, and the mask of each where there is one.

    Parameters
    ----------
    images : str or Path
        A folder of PNG, TIFF or JPEG files, grey or in colour. Folders in it are not looked into.
    masks : str or Path
        A folder of masks, PNG or TIFF: "cell1.png" is that of the image "cell1.jpg". May be the same folder
        where there is a `suffix`.
    suffix : str, default=""
        What the name of a mask has besides, as "_mask" in "cell1_mask.png".
    classes : dict of int to int, sequence of int, or None, default=None
        The class of each grey value, as {0: 0, 255: 1}; the class -1 leaves pixels unlabelled. A sequence
        lists the grey values of the classes 0, 1, ... None takes grey values, or places in a palette, as
        classes.
    image_size : int, (height, width) or None, default=None
        Scale images to this size, and masks without new values. None leaves them as they are.
    max_pixels : int, default=50_000_000
        A file with more pixels is refused before it is read: it may be damaged, or made to fill the memory.

    Returns
    -------
    images : ndarray of shape (n, height, width) or (n, 3, height, width)
        By name; of uint8, or, where a file has more than 8 bits, all in float32 in [0, 1]. Where one is in
        colour, all are. Images of different sizes are a 1-d object array.
    masks : ndarray of int64 of shape (n, height, width)
        Where sizes differ, or a mask is missing, a 1-d object array, with None for a missing one: the row has
        no label.
    names : list of str
        Names of the images' files.

    Raises
    ------
    ValueError
        If a folder or a file is no such thing, naming it: images without any mask, two masks for an image,
        a mask of another size, in colour, or with a grey value that is not in `classes`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("a.png", "b.png", "a_mask.png"):
    ...         Image.new("L", (8, 6), 255).save(f"{folder}/{name}")
    ...     images, masks, names = load_mask_folder(folder, folder, suffix="_mask", classes=[0, 255])
    >>> images.shape, names, masks[0].shape, int(masks[0].max()), masks[1]
    ((2, 6, 8), ['a.png', 'b.png'], (6, 8), 1, None)
    """
    image_paths, mask_paths = _pairs(Path(images), Path(masks), suffix)
    size = (image_size, image_size) if isinstance(image_size, Integral) else image_size
    if classes is not None and not hasattr(classes, "items"):
        classes = {grey: number for number, grey in enumerate(classes)}
    loaded_images, loaded_masks = [], []
    for path, mask_path in zip(image_paths, mask_paths, strict=True):
        image = _read(path, max_pixels)
        mask = None if mask_path is None else _read(mask_path, max_pixels)
        if mask is not None and mask.size != image.size:
            raise ValueError(
                f"{mask_path} is a mask of {_said(mask)} pixels, and its image {path} has "
                f"{_said(image)}; a mask has the size of its image."
            )
        loaded_images.append(_image(_resized(image, size, is_mask=False)))
        loaded_masks.append(
            None if mask is None else _mask(_resized(mask, size, is_mask=True), classes, mask_path)
        )
    return _together(_alike(loaded_images)), _together(loaded_masks), [path.name for path in image_paths]


def _pairs(images, masks, suffix):
    """The images by name, and the mask of each or None."""
    for folder in (images, masks):
        if not folder.is_dir():
            raise ValueError(
                f"There is no folder {folder}; load_mask_folder takes a folder of images and one of "
                "masks with the same names."
            )
    if Path(suffix).name != suffix and suffix:
        raise ValueError(
            f"suffix={suffix!r} is a part of a name, such as '_mask', and can't lead to another folder."
        )
    same = images.resolve() == masks.resolve()
    if same and not suffix:
        raise ValueError(f"Images and masks are both in {images}; suffix= says which files are masks.")
    of_stem = {}
    for path in _files(masks):
        if path.stem.endswith(suffix):
            of_stem.setdefault(path.stem[: len(path.stem) - len(suffix)], []).append(path)
    found = [path for path in _files(images) if not (same and path.stem.endswith(suffix))]
    if not found:
        raise ValueError(f"{images} holds no image: no file that ends in {', '.join(_SUFFIXES)}.")
    stems = [path.stem for path in found]
    for path, following in pairwise(found):
        if path.stem == following.stem:
            raise ValueError(f"{path} and {following} have the same name; each image needs one of its own.")
    for stem in stems:
        if len(of_stem.get(stem, ())) > 1:
            raise ValueError(
                f"{of_stem[stem][0]} and {of_stem[stem][1]} are both the mask of {stem!r}; keep one."
            )
    pairs = [of_stem[stem][0] if stem in of_stem else None for stem in stems]
    if not any(pairs):
        raise ValueError(
            f"No image of {images} has a mask in {masks}: that of {found[0].name} would be "
            f"{stems[0]}{suffix}.png, .tif or the like; suffix= is what the names of masks have besides."
        )
    return found, pairs


def _files(folder):
    paths = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
    return sorted(
        (path for path in paths if not path.name.startswith(".")), key=lambda path: (path.stem, path.name)
    )


def _read(path, max_pixels):
    from PIL import Image

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # the limit here is `max_pixels`
    try:
        with Image.open(path) as image:
            if image.width * image.height > max_pixels:
                raise ValueError(
                    f"{path} has {_said(image)} pixels, more than max_pixels={max_pixels:,}; raise it if the "
                    "file is what it should be."
                )
            if getattr(image, "n_frames", 1) > 1:
                raise ValueError(f"{path} holds {image.n_frames} images; save each as a file of its own.")
            image.load()
    except (OSError, SyntaxError) as error:  # Pillow finds some damage to PNG files a matter of syntax
        raise ValueError(f"{path} can't be read as an image ({error}).") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return image


def _said(image):
    return f"{image.height} x {image.width}"


def _resized(image, size, is_mask):
    from PIL import Image

    if size is None:
        return image
    if image.mode.startswith("I;16"):  # which Pillow scales by the nearest pixel only
        image = image.convert("I")
    if not is_mask and image.mode in ("1", "P", "PA"):
        image = image.convert("RGB" if image.mode != "1" else "L")
    return image.resize(size[::-1], Image.Resampling.NEAREST if is_mask else Image.Resampling.BILINEAR)


def _image(image):
    """An image as numbers, grey or of 3 channels, uint8 or float32 in [0, 1]; -> (h, w) or (3, h, w)."""
    if image.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    elif image.mode in ("1", "LA"):
        image = image.convert("L")
    values = np.array(image)
    if values.ndim == 3:
        values = np.moveaxis(values[..., :3], -1, 0)
    if values.dtype != np.uint8:
        # 16 bits, which Pillow may hold in 32; floating point is taken to be in [0, 1].
        values = values.astype(np.float32) / (1 if values.dtype.kind == "f" else 65535)
    return values


def _mask(mask, classes, path):
    values = np.array(mask)
    if values.ndim == 3:
        values = values[..., :3] if values.shape[-1] > 2 else values[..., :1]
        if (values != values[..., :1]).any():
            raise ValueError(f"{path} is in colour, and a mask holds one grey value for each class.")
        values = values[..., 0]
    if values.dtype.kind == "f":
        raise ValueError(
            f"{path} holds numbers that are not whole, and a mask one grey value for each class."
        )
    values = values.astype(np.int64)
    if classes is None:
        return values
    found, places = np.unique(values, return_inverse=True)
    unknown = [value for value in found.tolist() if value not in classes]
    if unknown:
        blurred = (
            " JPEG files change grey values: save masks as PNG." if path.suffix.lower()[:3] == ".jp" else ""
        )
        raise ValueError(
            f"{path} has the grey values {unknown[:5]}, which are not in classes={classes}.{blurred}"
        )
    return np.array([classes[value] for value in found.tolist()], dtype=np.int64)[places].reshape(
        values.shape
    )


def _alike(images):
    """Images of one type, and all grey or all in colour."""
    if any(image.dtype != np.uint8 for image in images):
        images = [image.astype(np.float32) / 255 if image.dtype == np.uint8 else image for image in images]
    if any(image.ndim == 3 for image in images):
        images = [image if image.ndim == 3 else np.stack([image] * 3) for image in images]
    return images


def _together(arrays):
    if any(array is None for array in arrays) or len({array.shape for array in arrays}) > 1:
        return as_objects(arrays)
    return np.stack(arrays)
