"""Pools in image files: paths, or a folder whose folders are named by class. Read with Pillow."""

import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from numbers import Integral
from pathlib import Path

import joblib
import numpy as np

from skal.containers._protocol import Container, as_numpy, fingerprint_of

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "ImageFiles",
    "as_array",
    "decode",
    "image_folder",
    "is_paths",
    "leads_outside",
    "list_images",
]

SUFFIXES = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
#: The most pixels of an image that is opened; a small file may claim to be a huge image.
MAX_PIXELS = 2**26

_opening = threading.Lock()


class ImageFiles(Container):
    """Image files, decoded when they are read; (n, h, w) for gray ones, (n, 3, h, w) for colours.

    Of a file that holds several images, such as a film or a stack, the first is read.

    Parameters
    ----------
    paths : sequence of str or Path
    folder : Path or None
        Nothing outside of it is read; relative paths start there.
    labels : ndarray of shape (n,) or None
    size : (height, width), int or None
        Resizes all images; None leaves them as they are, and then they must be of one size.
    mode : "L", "RGB" or None
        Gray or colours, with 8 bits: of 16-bit pixels the upper byte. None takes gray images as gray, of
        whatever depth, and all others in colours.
    max_pixels : int
        Larger images are refused.
    n_jobs : int or None
        Threads that decode; None and -1 are one for each core.
    """

    block_rows = 64
    is_fixed = is_portable = reads_ahead = True

    def __init__(
        self, paths, folder=None, labels=None, *, size=None, mode=None, max_pixels=MAX_PIXELS, n_jobs=None
    ):
        self.paths = list(map(_checked_path, range(len(paths)), paths))
        self.folder = None if folder is None else Path(folder).resolve()
        self.labels = labels
        if labels is not None:
            self.classes = np.unique([label for label in labels if label is not None])
        if mode not in (None, "L", "RGB"):
            raise ValueError(f"mode={mode!r} is none of 'L', for gray images, 'RGB' and None.")
        size = (size, size) if isinstance(size, Integral) else size
        if size is not None and not _is_size(size):
            raise ValueError(f"size={size!r} is no height and width, such as size=(224, 224).")
        if not isinstance(max_pixels, Integral) or max_pixels < 1:
            raise ValueError(f"max_pixels={max_pixels!r} is no number of pixels, such as {MAX_PIXELS}.")
        self._decode = partial(decode, size=size, mode=mode, max_pixels=max_pixels)
        self._n_jobs = joblib.cpu_count() if n_jobs is None else joblib.effective_n_jobs(n_jobs)
        self.shape, self.dtype = (len(self.paths),), np.dtype(np.uint8)
        if len(self.paths):
            first = self._read(0)
            self.shape, self.dtype = (len(self.paths), *first.shape), first.dtype
        self._form = fingerprint_of(size, mode)

    @property
    def origin(self):
        """The folder, or all paths, and how images are decoded."""
        if self.folder is not None:
            return "folder", str(self.folder), self._form
        return "images", fingerprint_of(list(map(os.path.abspath, self.paths))), self._form

    def take(self, rows):
        """Decoded images; (n,) -> (n, h, w) or (n, 3, h, w)."""
        images = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        with ThreadPoolExecutor(self._n_jobs) as pool:
            for place, image in enumerate(pool.map(self._read, rows.tolist())):
                row = rows[place]
                if image.shape != self.shape[1:] or image.dtype != self.dtype:
                    raise ValueError(
                        f"{self.name(row)} has the shape {image.shape} and type {image.dtype}, and row 0 "
                        f"has {self.shape[1:]} and {self.dtype}; bring images to one shape with as_pool(..., "
                        "size=(height, width), mode='RGB' or 'L'), or once for all with `skal ingest`."
                    )
                images[place] = image
        return images

    def fingerprint(self):
        """The names and sizes of all files, and the content of a sample of them."""
        sizes = [self._size_of_file(row) for row in range(len(self))]
        return fingerprint_of(
            self.paths if self.folder is None else self._names(), sizes, super().fingerprint()
        )

    def name(self, row):
        """The row and its path."""
        return f"Row {row} of the pool ({self.paths[row]})"

    def _names(self):
        return [os.path.relpath(self.folder / path, self.folder) for path in self.paths]

    def _size_of_file(self, row):
        try:
            return os.stat(self._path(row)).st_size
        except OSError:
            return None

    def _path(self, row):
        path = self.paths[row]
        return path if self.folder is None else self.folder / path

    def _read(self, row):
        path = self._path(row)
        if self.folder is not None and leads_outside(path, self.folder):
            raise ValueError(f"{self.name(row)} leads out of the folder {self.folder}, and is not read.")
        try:
            return self._decode(path)
        except (OSError, ValueError, SyntaxError) as error:  # SyntaxError is Pillow's word for a broken PNG
            raise ValueError(f"{self.name(row)} can't be read: {error}") from error


def decode(path, *, size=None, mode=None, max_pixels=MAX_PIXELS):
    """The pixels of an image file, upright; -> (h, w) or (3, h, w), uint8 but for images of more depth.

    Raises
    ------
    ValueError
        If the image has more pixels than `max_pixels`.
    OSError
        If the file is no image, or a broken one.
    """
    images, operations = _pillow()
    with _opened(images, path) as image:
        if image.width * image.height > max_pixels:
            raise ValueError(
                f"the image has {image.width} x {image.height} pixels, more than max_pixels={max_pixels}; "
                "raise that if it is no bomb."
            )
        if size is not None and image.format == "JPEG":
            # Of a large photo the file gives a smaller version, twice the size that is wanted, in a part of
            # the time; the resampling below does the rest.
            image.draft(None, (2 * max(size), 2 * max(size)))
        operations.exif_transpose(image, in_place=True)  # a camera notes how it was held
        image = as_mode(image, mode)
        if size is not None and image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), images.Resampling.BILINEAR)
        return as_array(image)


def as_mode(image, mode=None):
    """A Pillow image in the mode; None is gray for gray ones, of whatever depth, and RGB for all others."""
    if mode is None:
        if image.mode in ("L", "RGB", "F", "I") or image.mode.startswith("I;16"):
            return image
        mode = "L" if image.mode in ("1", "LA", "La") else "RGB"
    if image.mode == mode:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        image = _eight_bits(image)  # `convert` would cut all values above 255
    elif image.mode in ("I", "F"):
        raise ValueError(
            f"its pixels are numbers of 32 bits, of which mode={mode!r} keeps 8; write them as 0 to 255 first"
        )
    return image.convert(mode)


def _eight_bits(image):
    """The upper byte of 16-bit pixels."""
    images, _ = _pillow()
    return images.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))


def as_array(row):
    """A row as an array: of a tensor, a Pillow image (channels first), or a list of numbers."""
    if hasattr(row, "getbands") and hasattr(row, "convert"):
        array = np.asarray(as_mode(row))
        return np.ascontiguousarray(np.moveaxis(array, 2, 0)) if array.ndim == 3 else array
    return np.asarray(as_numpy(row))


def image_folder(folder, **options):
    """A folder of images, those of a class in a folder of its name; sorted by their paths.

    The label of an image is the name of the folder at the top that it is in; None for one that is in
    none. Files with other suffixes than those of images are left out, as is what lies outside of the folder.
    """
    folder = Path(folder)
    paths, outside, _ = list_images(folder)
    if outside:
        warnings.warn(
            f"{len(outside)} files below {folder} are links that leave it and are left out; the first is "
            f"{outside[0]}.",
            stacklevel=3,
        )
    if not paths:
        raise ValueError(f"{folder} has no images; their names end in {', '.join(SUFFIXES)}.")
    labels = np.array([path.split("/")[0] if "/" in path else None for path in paths], dtype=object)
    return ImageFiles(paths, folder, labels if (labels != None).any() else None, **options)  # noqa: E711


def list_images(folder):
    """Images below a folder, links that leave it, and other files; -> three sorted lists of paths in it."""
    root, inside, outside, others = os.path.realpath(folder), [], [], []
    if not os.path.isdir(root):
        raise ValueError(
            f"{folder} is no folder; pass the path of a folder of images, or of a store that skal ingest has "
            "written, and check its spelling."
        )
    for where, folders, files in os.walk(root, followlinks=False):
        linked = {name for name in folders if os.path.islink(os.path.join(where, name))}
        for name in [*files, *linked]:
            if name.startswith("."):
                continue
            path = os.path.join(where, name)
            shown = path[len(os.path.join(root, "")) :].replace(os.sep, "/")
            if not (name in linked or name.lower().endswith(SUFFIXES)):
                others.append(shown)
            elif os.path.islink(path) and leads_outside(path, root):
                outside.append(shown)
            elif name not in linked:  # what a linked folder inside holds is found where it is
                inside.append(shown)
        folders[:] = [name for name in folders if not name.startswith(".")]
    return sorted(inside), sorted(outside), sorted(others)


def leads_outside(path, folder):
    """Whether a path, with all links followed, lies outside of a folder, which is resolved already."""
    path = os.path.realpath(path)
    return path != os.fspath(folder) and not path.startswith(os.path.join(folder, ""))


def _checked_path(row, path):
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"Row {row} of the pool is {path!r}, and no path of an image; leave that row out.")
    return os.fspath(path)


def _is_size(size):
    try:
        return len(size) == 2 and all(isinstance(side, Integral) and side > 0 for side in size)
    except TypeError:  # a number that is no integer
        return False


def is_paths(X):
    """Whether a list or array holds paths of images: Paths, or texts that end as names of images do."""
    first = next(iter(X), None)
    if isinstance(first, Path):
        return True
    return isinstance(first, str) and all(
        isinstance(entry, str | Path) and str(entry).lower().endswith(SUFFIXES) for entry in X
    )


def _opened(images, path):
    # Pillow's own limit is one for the whole process, and asks for nobody's file in particular.
    with _opening:
        before, images.MAX_IMAGE_PIXELS = images.MAX_IMAGE_PIXELS, None
        try:
            return images.open(path)
        finally:
            images.MAX_IMAGE_PIXELS = before


def _pillow():
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError("Reading image files needs Pillow; pip install skal[images].") from error
    return Image, ImageOps
