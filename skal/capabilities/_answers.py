"""What a model has answered, checked: shape, order of axes, finiteness, range."""

import numpy as np

from skal._rows import as_objects, n_rows
from skal.capabilities._models import name_of, transforms_rows

# Half precision and calibrated models are off by less; logits by more.
_TOLERANCE = 1e-2

_PIXELS_ADVICE = "; a model that labels pixels says so with the class attribute labels_pixels = True"


def check_probabilities(proba, model, method, leading, pixels=()):
    """Class probabilities, without rounding below 0; refused if what was returned is none.

    A net may have columns for classes that it has not seen, and so more of them than `classes_`.

    Parameters
    ----------
    proba : ndarray of shape (*leading, *pixels, n_classes)
    model : classifier
        Who has answered; named in the error.
    method : str
        What it was asked for.
    leading : tuple of int
        Sizes of the first axes; -1 is any size but 0.
    pixels : tuple of int, default=()
        Of models that label pixels, height and width of the images; -1 where it is not known.

    Raises
    ------
    ValueError
        If the shape is another, or if numbers are not finite or no probabilities.
    """
    n_classes = len(getattr(model, "classes_", ()))
    wanted = (*leading, *pixels)
    if (
        proba.ndim != len(wanted) + 1
        or any(
            size != asked and (asked >= 0 or size == 0)
            for size, asked in zip(proba.shape, wanted, strict=False)
        )
        or proba.shape[-1] < n_classes
    ):
        names = [*(["n_draws"] * (len(leading) - 1)), "n", *["height", "width"][: len(pixels)]]
        sizes = [str(size) if size >= 0 else name for size, name in zip(wanted, names, strict=True)]
        advice = "" if pixels or proba.ndim <= len(wanted) + 1 else _PIXELS_ADVICE
        raise ValueError(
            f"{name_of(model)}.{method} returned an array of shape {proba.shape} for "
            f"{leading[-1]} {'images' if pixels else 'rows'}; expected "
            f"({', '.join(sizes)}, {n_classes or 'n_classes'}){advice}."
        )
    if not np.isfinite(proba).all():
        raise ValueError(
            f"{name_of(model)}.{method} returned probabilities that are not finite (NaN or infinity); the "
            "model may have diverged: lower its learning rate, or scale its input."
        )
    if (proba < -_TOLERANCE).any() or (np.abs(proba.sum(axis=-1) - 1) > _TOLERANCE).any():
        raise ValueError(
            f"{name_of(model)}.{method} returned no probabilities: these are not negative, and sum to 1 "
            f"in each {'pixel' if pixels else 'row'}. Logits need a softmax."
        )
    return np.maximum(proba, 0) if (proba < 0).any() else proba


def check_pixels(answer, model, method, X, n_draws=()):
    """Class probabilities of pixels, checked: an array, or an object array of one array for each image.

    Parameters
    ----------
    answer : array-like of shape (*n_draws, n, height, width, n_classes), or n arrays
        Where images differ in size, there is one of shape (*n_draws, height, width, n_classes) for each.
    model, method
        As in `check_probabilities`.
    X : array-like
        The images, of which there are n.
    n_draws : tuple of int, default=()
        How many draws, -1 where any number will do; empty for a prediction.

    Returns
    -------
    ndarray of shape (*n_draws, n, height, width, n_classes), or object array of shape (n,)
    """
    n = n_rows(X)
    if not isinstance(answer, list | tuple) and np.asarray(answer).dtype.kind != "O":
        size = _size_of(X[0]) if isinstance(X, np.ndarray) and X.ndim > 2 and n else (-1, -1)
        size = (-1, -1) if transforms_rows(model) else size
        return check_probabilities(np.asarray(answer), model, method, (*n_draws, n), size)
    if len(answer) != n:
        raise ValueError(f"{name_of(model)}.{method} returned {len(answer)} answers for {n} images.")
    sizes = [(-1, -1)] * n if transforms_rows(model) else [_size_of(image) for image in X]
    axis = len(n_draws)  # where the images lie; here there is one
    return as_objects(
        [
            check_probabilities(
                np.expand_dims(np.asarray(proba), axis), model, method, (*n_draws, 1), size
            ).squeeze(axis)
            for proba, size in zip(answer, sizes, strict=True)
        ]
    )


def _size_of(image):
    """Height and width of an image, (height, width) or (channels, height, width); (-1, -1) if it is none."""
    shape = getattr(image, "shape", ())
    is_image = len(shape) == 2 or (len(shape) == 3 and shape[-1] > 4)  # else channels come last
    return tuple(shape[-2:]) if is_image else (-1, -1)
