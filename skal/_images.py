"""Images and their masks: read as users pass them, of one size or of many, and refused in sentences.

Images of one size are an array, (n, h, w) or (n, c, h, w); of different sizes a 1-d object array of arrays.
Masks likewise: whole numbers, of which one, `ignore_index`, stands for "no label here".
"""

import numpy as np
from sklearn.utils import check_array

from skal._rows import as_numpy, as_objects

__all__ = [
    "IGNORED",
    "by_size",
    "check_pairs",
    "compact",
    "encode_masks",
    "has_pixels",
    "mask_values",
    "read_images",
    "read_masks",
]

IGNORED = -1  # the code of pixels that have no label
_SMALL_RANGE = 2**16  # of values that are looked up in a table


def read_images(X, who):
    """Images as an array, or an object array where their sizes differ; finite numbers, at least one image.

    Parameters
    ----------
    X : array-like of shape (n, h, w) or (n, c, h, w), or a list or 1-d object array of images
        A list of images of one size becomes an array.
    who : str
        Who wants them, for messages.

    Raises
    ------
    ValueError
    """
    items = _items(X)
    if items is None:
        images = check_array(as_numpy(X), ensure_2d=False, allow_nd=True)
        if images.ndim not in (3, 4) or 0 in images.shape:
            raise ValueError(
                f"{who} takes images, X of shape (n, height, width) or (n, channels, height, width) or a "
                f"list of images, and X has the shape {images.shape}: one image goes in as X[None]"
            )
        return images
    if not len(items):
        raise ValueError(f"{who} got 0 images in X; it needs at least 1")
    images = [_read_image(item, number, who) for number, item in enumerate(items)]
    channels = {(image.ndim, *image.shape[:-2]) for image in images}
    if len(channels) > 1:
        raise ValueError(
            f"{who} got images with and without channels, or with different numbers of them in X, of shapes "
            f"{_some(image.shape for image in images)}: an image is (height, width), or (channels, height, "
            "width) as np.moveaxis(image, -1, 0) makes it"
        )
    if len({image.dtype == np.uint8 for image in images}) > 1:
        raise ValueError(
            f"{who} got images of uint8, which are scaled to [0, 1], and of other number types in X: make "
            "them one type"
        )
    return compact(as_objects(images))


def read_masks(y, who):
    """Masks as an array, or an object array where sizes differ or None stands for a mask.

    Parameters
    ----------
    y : array-like of int or bool of shape (n, h, w), or a list or 1-d object array of masks and None
    who : str
        Who wants them, for messages.

    Raises
    ------
    ValueError
    """
    if y is None:
        raise ValueError(f"{who} requires y to be passed, one mask for each image, but the target y is None")
    items = _items(y)
    if items is None:
        masks = np.asarray(as_numpy(y))
        if masks.ndim != 3:
            raise ValueError(
                f"{who} labels pixels, and needs a mask for each image, y of shape (n, height, width) or a "
                f"list of masks: y has the shape {masks.shape}"
            )
        _check_whole(masks, who)
        return masks
    masks = [None if item is None else _read_mask(item, number, who) for number, item in enumerate(items)]
    return compact(as_objects(masks))


def check_pairs(images, masks, who):
    """Refuse masks that are not one for each image, and of its size.

    Raises
    ------
    ValueError
    """
    if len(images) != len(masks):
        raise ValueError(
            f"{who} got {len(images)} images in X and {len(masks)} masks in y: they must pair up"
        )
    pairs = (
        zip(images, masks, strict=True) if object in (images.dtype, masks.dtype) else [(images[0], masks[0])]
    )
    for number, (image, mask) in enumerate(pairs):
        if mask is not None and image.shape[-2:] != mask.shape:
            last = image.ndim == 3 and image.shape[:2] == mask.shape
            hint = ": channels come first, as np.moveaxis(image, -1, 0) has them" if last else ""
            raise ValueError(
                f"{who} got a mask of shape {mask.shape} for the image {number}, which is "
                f"{'x'.join(map(str, image.shape[-2:]))} pixels in an array of shape {image.shape}{hint}"
            )


def has_pixels(masks, ignore_index):
    """Which masks have a pixel with a label; -> (n,) bool. None has none."""
    return np.array([mask is not None and bool((mask != ignore_index).any()) for mask in masks], dtype=bool)


def mask_values(masks, ignore_index):
    """The labels that occur in masks, sorted, `ignore_index` left aside; -> (k,)."""
    masks = [mask for mask in masks if mask is not None]
    number_type = np.result_type(*{mask.dtype for mask in masks}) if masks else np.dtype(int)
    number_type = np.dtype(int) if number_type.kind == "f" else number_type  # of uint64 beside int64
    found = set().union(*map(_values, masks)) - {ignore_index}
    return np.array(sorted(found)).astype(number_type)


def encode_masks(masks, classes, ignore_index):
    """Masks with positions in `classes` for labels, and `IGNORED` for `ignore_index`.

    Parameters
    ----------
    masks : ndarray of shape (n, h, w), or object array of masks
    classes : ndarray of shape (k,)
        Sorted.
    ignore_index : int

    Returns
    -------
    ndarray
        As `masks`, of the smallest signed number type that holds the codes.

    Raises
    ------
    ValueError
        If a label is not in `classes`.
    """
    number_type = np.min_scalar_type(-max(1, len(classes)))
    if masks.dtype == object:
        return as_objects([_encoded(mask, classes, ignore_index, number_type) for mask in masks])
    codes = np.empty(masks.shape, dtype=number_type)
    for code, mask in zip(codes, masks, strict=True):
        code[...] = _encoded(mask, classes, ignore_index, number_type)
    return codes


def by_size(images):
    """Images of one size at a time; yields (rows, images), rows as ints."""
    if images.dtype != object:
        yield np.arange(len(images)), images
        return
    groups = {}
    for row, image in enumerate(images):
        groups.setdefault(image.shape, []).append(row)
    for rows in groups.values():
        yield np.array(rows), np.stack(list(images[rows]))


def compact(items):
    """An object array of arrays as one array, if they are of one shape."""
    shapes = {None if item is None else item.shape for item in items}
    alike = items.dtype == object and len(shapes) == 1 and None not in shapes
    return np.stack(list(items)) if alike else items


def _items(data):
    """The images or masks of a list or 1-d object array, one by one; None where data is one array."""
    if isinstance(data, list | tuple):
        return data
    array = data if hasattr(data, "dtype") else None
    if array is not None and array.dtype == object and len(np.shape(array)) == 1:
        return list(np.asarray(array))
    return None


def _read_image(item, number, who):
    image = np.asarray(as_numpy(item))
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"{who} takes images of shape (height, width) or (channels, height, width), and the image "
            f"{number} of X has the shape {image.shape}"
        )
    return check_array(image, allow_nd=True, input_name=f"the image {number} of X")


def _read_mask(item, number, who):
    mask = np.asarray(as_numpy(item))
    if mask.ndim != 2:
        raise ValueError(
            f"{who} labels pixels, and needs masks of shape (height, width): the mask {number} of y has the "
            f"shape {mask.shape}"
        )
    _check_whole(mask, who)
    return mask


def _check_whole(mask, who):
    if mask.dtype.kind not in "iub":
        raise ValueError(
            f"{who} needs masks of whole numbers, one for each class, and y has the type {mask.dtype}: "
            "y.astype(int) makes them so, if they are whole"
        )


def _values(mask):
    """The values in a mask, as Python's; by a table, since sorting pixels takes long."""
    if mask.dtype.kind == "b" or not mask.size:
        return np.unique(mask).tolist()
    low, high = int(mask.min()), int(mask.max())
    if high - low >= _SMALL_RANGE:
        return np.unique(mask).tolist()
    occurs = np.zeros(high - low + 1, dtype=bool)
    occurs[mask.astype(np.int64) - low] = True
    return (np.flatnonzero(occurs) + low).tolist()


def _encoded(mask, classes, ignore_index, number_type):
    place = np.minimum(np.searchsorted(classes, mask), len(classes) - 1)
    ignored = mask == ignore_index
    unknown = (classes[place] != mask) & ~ignored
    if unknown.any():
        raise ValueError(
            f"y has labels that the net does not know: {np.unique(mask[unknown]).tolist()[:5]}; it knows "
            f"{classes.tolist()[:20]}. Name all labels that may ever come with classes=, or call fit without "
            "warm_start"
        )
    place[ignored] = IGNORED
    return place.astype(number_type)


def _some(shapes):
    return ", ".join(str(shape) for shape in sorted(set(shapes))[:3])
