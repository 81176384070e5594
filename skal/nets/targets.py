"""Labels as codes, and the weight of each row in the loss."""

from contextlib import contextmanager

import numpy as np
import torch
from sklearn.utils.class_weight import compute_sample_weight

from skal._compat import check_sample_weight


def encode(y, classes):
    """Position of each label in `classes`; (n,) -> (n,) int64. A label not in it is refused."""
    labels, place = np.unique(y, return_inverse=True)
    position = {label: code for code, label in enumerate(classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in position]
    if unknown:
        raise ValueError(
            f"y has labels that the net does not know: {unknown[:5]}; it knows {classes.tolist()[:20]}. "
            "Name all labels that may ever come with classes=, or call fit without warm_start"
        )
    return np.array([position[label] for label in labels.tolist()], dtype=np.int64)[place]


def row_weights(y, sample_weight, class_weight):
    """Weight of each row with mean 1, or None where all are equal; (n,) -> (n,) float64.

    The mean is taken over all rows and not over a batch, so that no row's share depends on its neighbours.
    """
    if sample_weight is None and class_weight is None:
        return None
    weight = check_sample_weight(sample_weight, y)
    if class_weight is not None:
        if isinstance(class_weight, dict):  # scikit-learn refuses a class that has no row yet
            class_weight = {label: class_weight[label] for label in class_weight if (y == label).any()}
        weight = weight * (compute_sample_weight(class_weight, y) if class_weight else 1)
    if not weight.sum() > 0:
        raise ValueError("the weights of all rows are zero: there is nothing to learn from")
    return weight / weight.mean()


def check_width(y_pred, net):
    """Refuse a module with another number of outputs than classes; on a GPU, torch would just die."""
    width = y_pred.shape[-1] if isinstance(y_pred, torch.Tensor) and y_pred.ndim == 2 else None
    if width not in (None, len(net.classes_)):
        raise ValueError(
            f"{net} has {len(net.classes_)} classes, and its module returns {width} values for a row: make "
            "them as many (a module class with a parameter n_classes is given it), or name all labels with "
            "classes="
        )


@contextmanager
def per_row(criterion):
    """Let a torch criterion return one loss for each row, as weights need it."""
    if getattr(criterion, "reduction", None) not in ("mean", "sum", "none"):
        raise TypeError(
            f"sample_weight and class_weight need a criterion with `reduction`, which {criterion} lacks: "
            "take one of torch.nn's losses, or leave the weights out"
        )
    reduction, criterion.reduction = criterion.reduction, "none"
    try:
        yield
    finally:
        criterion.reduction = reduction


def as_distribution(proba, net):
    """Rows that sum to 1 exactly, or an error that says why they don't; (..., k) -> (..., k)."""
    total = proba.sum(axis=-1, keepdims=True)
    if not np.isfinite(total).all():
        raise ValueError(
            f"{net} predicts probabilities that are not finite: its training diverged (take a smaller lr), "
            f"or X has values that its number type {net._torch_dtype()} can't hold"
        )
    if (proba < 0).any() or np.abs(total - 1).max() > 1e-3:
        raise ValueError(
            f"{net} returns no probabilities, rows sum to {total.min():.3g} or {total.max():.3g}: "
            "with CrossEntropyLoss the module returns logits, with NLLLoss it returns probabilities; for "
            "another criterion predict_nonlinearity makes them, such as torch.nn.Softmax(dim=-1)"
        )
    return proba / total
