"""Members of an ensemble: what sets them apart, and how they are fitted."""

import sys
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skal import capabilities
from skal._compat import routing_enabled, slice_fit_params
from skal._images import mask_values
from skal._rows import as_objects, take
from skal._seeds import derive, seed_every_state
from skal.capabilities._models import last_step

__all__ = ["TrainingSet", "bootstrap", "bootstrap_masks", "fit_members", "member"]


class TrainingSet(NamedTuple):
    """What one member is fitted to."""

    X: object
    y: np.ndarray
    params: dict
    """Parameters of `fit`."""
    rows: np.ndarray | None
    """Positions in X; None for all."""

    def taken(self):
        """X, y and parameters of the member's own rows."""
        if self.rows is None:
            return self.X, self.y, self.params
        params = slice_fit_params(self.X, self.params, self.rows)
        return take(self.X, self.rows), self.y[self.rows], params


def member(estimator, seed, open_params):
    """A clone of a model with seeds of its own.

    Parameters
    ----------
    estimator : classifier
    seed : int
        Fixes each ``random_state``, also those that the user has set.
    open_params : dict
        Values of parameters of the model inside pipelines and searches, where it has them and they are None.
    """
    estimator = seed_every_state(clone(estimator), seed)
    params = estimator.get_params()
    names = {capabilities.final_parameter(estimator, name): value for name, value in open_params.items()}
    estimator.set_params(
        **{name: value for name, value in names.items() if name is not None and params[name] is None}
    )
    return estimator


def bootstrap(y, seed):
    """As many rows as there are, with replacement, and not all of one class; (n,) -> (n,) int."""
    return _drawn(y, seed, lambda labels: len(np.unique(labels)))


def bootstrap_masks(masks, ignore_index, seed):
    """As many images as there are, with replacement, whose masks are not all of one class; -> (n,) int."""
    occurring = as_objects([mask_values([mask], ignore_index) for mask in masks])
    return _drawn(occurring, seed, lambda labels: len(np.unique(np.concatenate(list(labels)))))


def _drawn(y, seed, count_classes):
    rng = check_random_state(seed)
    n_classes = min(2, count_classes(y))
    while True:
        rows = rng.randint(len(y), size=len(y))
        if count_classes(y[rows]) >= n_classes:
            return rows


def fit_members(members, sets, *, together, n_jobs, seed=0):
    """The members, fitted to their training sets: in one run, or one by one.

    Parameters
    ----------
    members : list of classifiers
    sets : list of TrainingSet
    together : bool or "auto"
        Whether nets are trained in one run.
    n_jobs : int or None
    seed : int, default=0
        Fixes what members draw that have no ``random_state``.

    Returns
    -------
    list of classifiers

    Raises
    ------
    ValueError
        If `together` is True and can't be met.
    """
    one_by_one = Parallel(n_jobs=n_jobs)
    reason = _against(members, sets[0].params) if together else "together=False"
    if reason is not None:
        _insist(together, members, reason)
        return one_by_one(
            delayed(_fitted)(member, *own.taken(), derive(seed, "draws", number))
            for number, (member, own) in enumerate(zip(members, sets, strict=True))
        )
    from skal.nets.together import fit_together

    ends, rows = zip(
        *(_end(member, *own.taken()) for member, own in zip(members, sets, strict=True)), strict=True
    )
    reason = fit_together(ends, rows, always=together is True)
    if reason is not None:
        _insist(together, members, reason)
        ends = one_by_one(delayed(_fitted)(end, *own) for end, own in zip(ends, rows, strict=True))
    return [_ending_in(member, end) for member, end in zip(members, ends, strict=True)]


def _against(members, params):
    """What speaks against training the members in one run, as far as can be told beforehand; or None."""
    member, ends = members[0], list(map(last_step, members))
    nets = sys.modules.get("skal.nets")
    if nets is None or not isinstance(ends[0], nets.NetClassifier):
        return "no net at their end"
    if len(members) == 1:
        return "nobody to train with"
    if params and (set(params) != {capabilities.fit_parameter(member, "sample_weight")} or _routes(member)):
        return "parameters of fit besides sample_weight"
    if _remembers(member):
        return "a memory, or a transform_input"
    from skal.nets.together import against

    return against(ends)


def _routes(member):
    return isinstance(member, Pipeline) and routing_enabled()


def _remembers(member):
    while isinstance(member, Pipeline):
        if member.memory is not None or getattr(member, "transform_input", None) is not None:
            return True
        member = member.steps[-1][1]
    return False


def _insist(together, members, reason):
    if together is True:
        raise ValueError(
            f"together=True trains all members in one run, which {members[0]!r} keeps them from: they have "
            f"{reason}. together='auto' then trains them one by one."
        )


def _end(member, X, y, params):
    """The net at the end of a pipeline whose other steps are fitted here, and what it is to be fitted to."""
    weights = dict(zip(["sample_weight"], params.values(), strict=False))
    while isinstance(member, Pipeline):
        if len(member) > 1:
            X = member[:-1].fit_transform(X, y)
        member = member.steps[-1][1]
    return member, (X, y, weights)


def _ending_in(member, end):
    """The member with another object as its last step."""
    if not isinstance(member, Pipeline):
        return end
    name, last = member.steps[-1]
    member.steps[-1] = name, _ending_in(last, end)
    return member


def _fitted(model, X, y, params, seed=0):
    with capabilities.fenced(model, seed):
        return model.fit(X, y, **params)
