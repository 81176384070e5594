"""Class probabilities under draws of a model: dropout masks, or the members of a committee."""

from functools import partial
from inspect import Parameter, signature
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skal._block_wise import answered
from skal._compat import BaseSearchCV, Interval, check_parameters
from skal._rows import at_the_door, in_memory, is_view, n_rows, take
from skal._seeds import draw_seed
from skal.capabilities._answers import check_pixels, check_probabilities
from skal.capabilities._blocks import BLOCK_VALUES, image_blocks, parts_of_one_size
from skal.capabilities._models import (
    fenced,
    innermost,
    is_skorch_net,
    is_torch_module,
    labels_pixels,
    last_step,
    name_of,
    opened,
)
from skal.engine import mapped

# Closed list: boosters have `estimators_` too, and are no committee.
_COMMITTEES = (BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier, VotingClassifier)

# A multiple of the rows that a net computes in one batch.
_BLOCK_ROWS = 4096
_BATCH_ROWS = 64


def can_sample(model):
    """Whether a model without a method `sample_proba` of its own can be asked for draws all the same."""
    model = innermost(model)
    return hasattr(model, "sample_proba") or isinstance(model, _COMMITTEES) or _drops(model)


def count_members(model):
    """How many members a committee, fitted or not, will have; None for a model that is none."""
    if isinstance(last_step(model), BaseSearchCV):  # may be about to choose their number
        return None
    model = innermost(model)
    if isinstance(model, VotingClassifier):
        return sum(not isinstance(member, str) for _, member in model.estimators)  # some may be "drop"
    if isinstance(model, _COMMITTEES):
        return model.n_estimators
    return getattr(model, "n_members", None)


def sample_proba(model, X, n_draws=None, *, random_state=None, consistent=True):
    """Class probabilities under draws of a fitted model; -> (n_draws, n, n_classes).

    A draw is a dropout mask of a net, or a member of a committee: of an `EnsembleClassifier`, a forest,
    bagging, or voting (whose weights are left aside). Models bring their own ``sample_proba``;
    pipelines, searches and frozen estimators are opened.

    Parameters
    ----------
    model : classifier
        Fitted.
    X : array-like of shape (n, ...)
        Rows.
    n_draws : int or None, default=None
        None is every member of a committee, or 20 draws of a net. Fewer than the members is a random
        subset of them.
    random_state : int, RandomState or None, default=None
        Fixes masks and subsets.
    consistent : bool, default=True
        Whether a net's masks are shared by all rows, which joint distributions of rows need.

    Returns
    -------
    ndarray of shape (n_draws, n, n_classes)
        Of a model that labels pixels, (n_draws, n, height, width, n_classes), or, for images of different
        sizes, an object array of one (n_draws, height, width, n_classes) for each.

    Raises
    ------
    TypeError
        If the model has no draws.
    ValueError
        If a committee has fewer than `n_draws` members, or what the model answers is no array of
        probabilities of that shape.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> sample_proba(RandomForestClassifier(30).fit(X, y), X, n_draws=7).shape
    (7, 150, 3)
    """
    check_parameters(
        {"n_draws": [Interval(Integral, 1, None, closed="left"), None]}, {"n_draws": n_draws}, "sample_proba"
    )
    draw = partial(_sample_proba, model, n_draws=n_draws, random_state=random_state, consistent=consistent)
    X = at_the_door(X)
    # Masks of its own are known by a row's number in X, which blocks don't know.
    return answered(draw, X if consistent else in_memory(X), axis=1)


def _sample_proba(model, X, n_draws, random_state, consistent):
    if not hasattr(model, "sample_proba"):
        model, X = opened(model, X)
    if hasattr(model, "sample_proba"):
        asked = {"random_state": random_state, "consistent": consistent}
        draws = model.sample_proba(X, n_draws, **_named(model.sample_proba, asked))
    elif isinstance(model, _COMMITTEES):
        check_is_fitted(model)
        draws = _members_proba(model, X, n_draws, random_state)
    elif _drops(model):
        from skal.nets.draws import sample_proba as dropout_draws

        draws = dropout_draws(model, X, n_draws, draw_seed(random_state), consistent)
    else:
        raise TypeError(
            f"{name_of(model)} has no draws: these come from a net with dropout, an EnsembleClassifier, a "
            "forest, bagging or voting."
        )
    wanted = -1 if n_draws is None else n_draws
    if labels_pixels(model):
        return check_pixels(draws, model, "sample_proba", X, (wanted,))
    return check_probabilities(np.asarray(draws), model, "sample_proba", (wanted, n_rows(X)))


def draw_blocks(model, X, n_draws=None, *, seed):
    """Draws of a fitted model for a large pool, block by block; yields (rows, draws).

    The draws of all blocks are the same ones: draw t has the same mask, or is the same member,
    everywhere.

    Parameters
    ----------
    model : classifier
    X : array-like of shape (n, ...)
    n_draws : int or None, default=None
        See `sample_proba`.
    seed : int
        Fixes the draws.

    Yields
    ------
    rows : slice or ndarray of int
        Rows of X: of an array a slice, in order; of images of different sizes positions.
    draws : ndarray of shape (n_draws, n_block, n_classes) or (n_draws, n_block, height, width, n_classes)
    """
    n = n_rows(X)
    n_draws_at_most, n_classes = n_draws or count_members(model) or 100, len(getattr(model, "classes_", ()))
    if labels_pixels(model):
        for rows, images in image_blocks(X, n_draws_at_most * (n_classes or 10)):
            draws = sample_proba(model, images, n_draws, random_state=seed)
            yield from parts_of_one_size(rows, draws, axis=1)
        return
    size = _block_rows(n_draws_at_most, n_classes or 10)
    if is_view(X):
        yield from mapped(partial(sample_proba, model, n_draws=n_draws, random_state=seed), X, size)
        return
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        block = X if n <= size else take(X, np.arange(rows.start, rows.stop))
        yield rows, sample_proba(model, block, n_draws, random_state=seed)


def choose_members(n_members, n_draws, random_state, owner):
    """Which members of a committee give the draws: all of them, or a random subset; -> (n_draws,) int.

    Raises
    ------
    ValueError
        If there are fewer than `n_draws`.
    """
    if n_draws is None or n_draws == n_members:
        return np.arange(n_members)
    if n_draws > n_members:
        raise ValueError(
            f"{name_of(owner)} was asked for n_draws={n_draws} draws and has {n_members} members; lower "
            "n_draws, or leave it at None for every member."
        )
    rng = check_random_state(draw_seed(random_state))
    return np.sort(rng.choice(n_members, n_draws, replace=False))


def member_proba(member, X, classes):
    """The probabilities of one member, in the columns of `classes`; a member without any casts votes.

    Parameters
    ----------
    member : classifier
        It may have seen a part of the classes only.
    X : array-like of shape (n, ...)
    classes : ndarray of shape (n_classes,)
        Sorted; as the member knows them.

    Returns
    -------
    ndarray of shape (n, n_classes)

    Raises
    ------
    ValueError
        If the member knows other classes.
    """
    strange = np.setdiff1d(getattr(member, "classes_", classes), classes)
    if len(strange):
        raise ValueError(
            f"The member {name_of(member)} knows the classes {strange.tolist()}, which its committee, fitted "
            f"on {classes.tolist()}, does not; train both on the same classes."
        )
    proba = np.zeros((n_rows(X), len(classes)))
    with fenced(member):
        if hasattr(member, "predict_proba"):
            proba[:, np.searchsorted(classes, member.classes_)] = member.predict_proba(X)
        else:
            proba[np.arange(len(proba)), np.searchsorted(classes, member.predict(X))] = 1
    return proba


def _members_proba(committee, X, n_draws, random_state):
    members = committee.estimators_
    chosen = choose_members(len(members), n_draws, random_state, committee)
    if hasattr(X, "columns") and not isinstance(committee, VotingClassifier):  # which has its members look
        validate_data(committee, X, reset=False, skip_check_array=True)
    if sparse.issparse(X) and X.format in ("bsr", "coo", "dia"):  # these have no columns
        X = X.tocsr()
    if not isinstance(committee, VotingClassifier):
        X = X if sparse.issparse(X) else np.asarray(X)
    if isinstance(committee, (ExtraTreesClassifier, RandomForestClassifier)):
        X = X.astype(np.float32)  # once, and not in each tree
    columns = getattr(committee, "estimators_features_", None)
    return np.stack(
        [
            member_proba(
                members[i],
                X if columns is None else X[:, columns[i]],
                # Members are trained on codes, but for those that came in fitted.
                committee.classes_ if _is_frozen(members[i]) else np.arange(len(committee.classes_)),
            )
            for i in chosen
        ]
    )


def _is_frozen(model):
    return isinstance(last_step(model), FrozenEstimator)


def _drops(model):
    """Whether a stranger, a skorch net or a bare torch module, has dropout."""
    if not (is_torch_module(model) or is_skorch_net(model)):
        return False
    from skal.nets.draws import can_drop

    return not isinstance(model, type) and can_drop(model)


def _block_rows(n_draws, n_classes):
    fitting = BLOCK_VALUES // (n_draws * n_classes)
    return min(_BLOCK_ROWS, max(_BATCH_ROWS, fitting // _BATCH_ROWS * _BATCH_ROWS))


def _named(method, values):
    """Those of some keywords that a method takes."""
    parameters = signature(method).parameters
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return values
    return {name: value for name, value in values.items() if name in parameters}
