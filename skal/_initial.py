"""The first rows of a pool loop."""

import numpy as np
from sklearn.base import clone

from skal import labels
from skal._rows import take
from skal._seeds import seed_open_states
from skal.selection import priority

__all__ = ["initial_rows"]


def initial_rows(initial, X, y, is_known, n, max_labels, seed, mark="auto"):
    """The rows to start with, as `ActiveLearner` describes them; -> (n,) int.

    `y` is read only by "stratified", and only after that for the rows it picks. `mark` is that of pixels.
    """
    candidates = np.flatnonzero(is_known)
    limit = len(candidates) if max_labels is None else min(max_labels, len(candidates))
    if hasattr(initial, "select"):
        return candidates[_selected(initial, take(X, candidates), min(n, limit), seed)]
    if not isinstance(initial, str):
        return _given(initial, is_known, limit)
    at_random = candidates[np.argsort(priority(seed, candidates))]
    if initial == "stratified":
        of_rows = y[at_random]
        classes = _rarest(of_rows, mark) if labels.are_masks(y) else of_rows
        at_random = at_random[_stratified_order(classes)]
    return at_random[: min(n, limit)]


def _given(initial, is_known, limit):
    rows = np.asarray(initial)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
        raise ValueError("initial must be 'random', 'stratified', a strategy, or a list of row numbers.")
    if not (rows.min() >= 0 and rows.max() < len(is_known)) or len(np.unique(rows)) < len(rows):
        raise ValueError(f"The rows of initial must be distinct and lie between 0 and {len(is_known) - 1}.")
    if not is_known[rows].all():
        raise ValueError(f"Row {rows[~is_known[rows]][0]} of initial has no label in y.")
    if len(rows) > limit:
        raise ValueError(f"initial has {len(rows)} rows, but max_labels allows {limit}.")
    return rows


def _selected(strategy, X, n, seed):
    if strategy.needs_labels:
        raise TypeError(
            f"initial={strategy!r} needs labels, and at the start there are none; use a strategy that needs "
            "none, such as Random()."
        )
    nothing = take(X, np.arange(0))
    return seed_open_states(clone(strategy), seed).fit(nothing).select(X, n)


def _rarest(masks, mark):
    """Of the classes in each mask, the one that the fewest masks have; the lower one of equals; -> (n,)."""
    present = [labels.vocabulary([mask], mark) for mask in masks]
    classes, counts = np.unique(np.concatenate(present), return_counts=True)
    return np.array([here[counts[np.searchsorted(classes, here)].argmin()] for here in present])


def _stratified_order(y):
    """An order whose every beginning keeps the shares of the classes; each class's first row leads."""
    rank, share = np.empty(len(y)), np.empty(len(y))
    for label in np.unique(y):
        of_class = np.flatnonzero(y == label)
        rank[of_class] = np.arange(len(of_class))
        share[of_class] = (rank[of_class] + 0.5) / len(of_class)
    return np.lexsort((share, rank > 0))
