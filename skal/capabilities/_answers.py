"""What a model has answered, checked: shape, order of axes, finiteness, range."""

import numpy as np

from skal.capabilities._models import name_of

# Half precision and calibrated models are off by less; logits by more.
_TOLERANCE = 1e-2


def check_probabilities(proba, model, method, leading):
    """Class probabilities, without rounding below 0; refused if what was returned is none.

    A net may have columns for classes that it has not seen, and so more of them than `classes_`.

    Parameters
    ----------
    proba : ndarray of shape (*leading, ..., n_classes)
    model : classifier
        Who has answered; named in the error.
    method : str
        What it was asked for.
    leading : tuple of int
        Sizes of the first axes; -1 is any size but 0.

    Raises
    ------
    ValueError
        If the shape is another, or if numbers are not finite or no probabilities.
    """
    n_classes = len(getattr(model, "classes_", ()))
    sizes = zip(proba.shape, leading, strict=False)
    if (
        proba.ndim <= len(leading)
        or any(size != wanted and (wanted >= 0 or size == 0) for size, wanted in sizes)
        or proba.shape[-1] < n_classes
    ):
        expected = ", ".join(str(size) if size >= 0 else "n_draws" for size in leading)
        raise ValueError(
            f"{name_of(model)}.{method} returned an array of shape {proba.shape} for {leading[-1]} rows; "
            f"expected ({expected}, {n_classes or 'n_classes'})."
        )
    if not np.isfinite(proba).all():
        raise ValueError(
            f"{name_of(model)}.{method} returned probabilities that are not finite (NaN or infinity); the "
            "model may have diverged: lower its learning rate, or scale its input."
        )
    if (proba < -_TOLERANCE).any() or (np.abs(proba.sum(axis=-1) - 1) > _TOLERANCE).any():
        raise ValueError(
            f"{name_of(model)}.{method} returned no probabilities: these are not negative, and sum to 1 "
            "in each row. Logits need a softmax."
        )
    return np.maximum(proba, 0) if (proba < 0).any() else proba
