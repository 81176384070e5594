"""The loss of the pixels that have a label, and what each of them weighs."""

import numpy as np

from skal._images import IGNORED


def pixel_loss(losses, logits, codes, pixel_weight=None, class_weight=None):
    """The mean loss of the pixels that have a label; the others are never looked at.

    Parameters
    ----------
    losses : callable
        (m, k) logits and (m,) codes -> (m,), the loss of each pixel.
    logits : tensor of shape (b, h, w, k)
    codes : tensor of int of shape (b, h, w)
        `IGNORED` where there is no label.
    pixel_weight : tensor of shape (b,) or None, default=None
        Weight of each pixel of an image. With it, the loss is the weighted sum over pixels divided by b.
    class_weight : tensor of shape (k,) or None, default=None
        Weight of the pixels of each class.

    Returns
    -------
    tensor of shape ()
    """
    image_size = codes[0].numel()
    logits, codes = logits.reshape(-1, logits.shape[-1]), codes.flatten().long()
    n_images, places = len(codes) // image_size, (codes != IGNORED).nonzero().squeeze(1)
    if len(places) < len(codes):
        logits, codes = logits.index_select(0, places), codes.index_select(0, places)
    each = losses(logits, codes)
    if class_weight is not None:
        class_weight = class_weight.to(each)[codes]
        each = each * class_weight
    if pixel_weight is None:
        return each.sum() / (len(each) if class_weight is None else class_weight.sum())
    return (each * pixel_weight.to(each)[places // image_size]).sum() / n_images


def pixel_weights(codes, classes, sample_weight, class_weight):
    """The weight of each pixel of an image in `pixel_loss`, and of each class; -> (n,), (k,) or None.

    Divided by what an image weighs in the mean over all images, and not over a batch, so that no pixel's
    share depends on its neighbours.

    Parameters
    ----------
    codes : ndarray of int of shape (n, h, w), or object array of codes of masks
    classes : ndarray of shape (k,)
    sample_weight : ndarray of shape (n,)
    class_weight : dict, "balanced" or None

    Raises
    ------
    ValueError
        If nothing has a weight.
    """
    counts = np.stack([np.bincount(own[own != IGNORED], minlength=len(classes)) for own in codes])
    if class_weight is None:
        by_class, masses = None, counts.sum(axis=1)
    else:
        by_class = _class_weights(counts.sum(axis=0), classes, class_weight)
        masses = counts @ by_class
    mean = (sample_weight * masses).mean()
    if not mean > 0:
        raise ValueError("the weights of all labelled pixels are zero: there is nothing to learn from")
    return sample_weight / mean, by_class


def _class_weights(counts, classes, class_weight):
    if isinstance(class_weight, dict):
        return np.array([class_weight.get(label, 1) for label in classes.tolist()], dtype=float)
    return counts.sum() / np.maximum(counts, 1) / (counts > 0).sum()
