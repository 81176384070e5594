"""What segmenters answer: one array for images of one size, a 1-d object array of arrays for other images."""

import numpy as np

from skal._rows import as_objects

__all__ = ["each", "member_pixel_proba", "stacked_answers"]


def each(function, answer):
    """A function of an answer as a whole, or of what is answered for each image."""
    return as_objects([function(own) for own in answer]) if answer.dtype == object else function(answer)


def stacked_answers(answers):
    """Several answers for the same images, along a new first axis; of each image where sizes differ."""
    if answers[0].dtype != object:
        return np.stack(answers)
    return as_objects([np.stack(own) for own in zip(*answers, strict=True)])


def member_pixel_proba(member, X, classes):
    """The probabilities of one member, in the columns of `classes`; a member without any casts votes.

    Parameters
    ----------
    member : segmenter
        It may have seen a part of the classes only.
    X : array-like of shape (n, ...)
    classes : ndarray of shape (n_classes,)
        Sorted.

    Returns
    -------
    ndarray of shape (n, h, w, n_classes), or object array of (h_i, w_i, n_classes)
    """
    if not hasattr(member, "predict_proba"):
        return each(lambda masks: (masks[..., None] == classes).astype(float), member.predict(X))
    columns = np.searchsorted(classes, member.classes_)

    def in_columns(proba):
        if len(columns) == len(classes):
            return proba
        spread = np.zeros((*proba.shape[:-1], len(classes)))
        spread[..., columns] = proba
        return spread

    return each(in_columns, member.predict_proba(X))
