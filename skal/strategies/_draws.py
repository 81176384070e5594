"""The base of strategies that look at draws of a model, streamed over the rows of a pool."""

from functools import partial
from numbers import Integral, Real

import numpy as np

from skal._block_wise import answered
from skal._compat import Interval, StrOptions
from skal._rows import n_rows
from skal._seeds import derive
from skal.acquisition import over_pixels
from skal.capabilities import count_members, draw_blocks, proba_blocks
from skal.strategies._base import QueryStrategy

__all__ = [
    "PIXELS",
    "DrawsStrategy",
    "check_draws",
    "check_members",
    "draws_seed",
    "score_draws",
    "score_proba",
]

# What a parameter `pixels` takes; see `skal.acquisition.over_pixels`.
PIXELS = [StrOptions({"mean", "max"}), Interval(Real, 0, 1, closed="right")]


class DrawsStrategy(QueryStrategy):
    """Base class of strategies that score a row by what the draws of a model say of it.

    A subclass has one hook, ``_score_draws(draws)``: (n_draws, n, n_classes) -> (n,). It gets a part of
    the pool at a time, so that the draws of a large pool never exist at once. Where the model labels pixels,
    it gets (n_draws, n, height, width, n_classes) and returns a score for each pixel.

    Parameters
    ----------
    estimator : classifier with sample_proba or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    n_draws : int >= 2 or None, default=None
        None is every member of a committee, or 20 dropout masks of a net.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        Where the model labels pixels: how the scores of pixels make that of an image; see
        `skal.acquisition.over_pixels`.
    random_state : int, RandomState or None, default=None
        Fixes the draws, and orders ties.
    """

    requires = ("sample_proba",)

    _parameter_constraints = {
        **QueryStrategy._parameter_constraints,
        "n_draws": [Interval(Integral, 2, None, closed="left"), None],
        "pixels": PIXELS,
    }

    def __init__(self, estimator=None, *, n_draws=None, pixels="mean", random_state=None):
        super().__init__(estimator, random_state=random_state)
        self.n_draws = n_draws
        self.pixels = pixels

    def _check_model(self, model):
        super()._check_model(model)
        check_members(self, model)

    def _score(self, X, rng):
        return score_draws(self, X, self._score_draws)

    def _score_draws(self, draws):
        """Hook: one number per row, or per pixel; (n_draws, n, ..., n_classes) -> (n, ...)."""
        raise NotImplementedError(f"{type(self).__name__} has no _score_draws(draws).")


def check_members(strategy, model, min_draws=2):
    """Refuse, before any work, a committee that is too small for the draws that a strategy wants.

    Raises
    ------
    ValueError
        If the number of its members is known, and is lower than `n_draws` or `min_draws`.
    """
    n_members = count_members(model)
    n_draws = strategy.n_draws if isinstance(strategy.n_draws, Integral) else min_draws
    if n_members is not None and n_members < max(n_draws, min_draws):
        raise ValueError(
            f"{strategy!r} needs at least {max(n_draws, min_draws)} draws, and its model has {n_members} "
            "members; lower n_draws, or take more members."
        )


def check_draws(strategy, draws, min_draws=2):
    """Refuse draws that are too few for what a strategy makes of them.

    Raises
    ------
    ValueError
    """
    if len(draws) < min_draws:
        raise ValueError(
            f"{strategy!r} needs at least {min_draws} draws, and its model has {len(draws)}; a committee "
            "of one has nobody to disagree with."
        )


def score_draws(strategy, X, function, min_draws=2):
    """A function of draws over all rows of X, block by block; -> (n,) float.

    The draws follow from the strategy's seed alone, so that a row has the same score in every call.

    Parameters
    ----------
    strategy : QueryStrategy
        Fitted, with `estimator_` and `n_draws`, and with `pixels` where its model may label these.
    X : array-like of shape (n, ...)
    function : callable
        (n_draws, n, ..., n_classes) -> (n, ...).
    min_draws : int, default=2
        Fewer are refused: one draw has nobody to disagree with.
    """
    return answered(partial(_score_draws, strategy, function, min_draws), X)


def _score_draws(strategy, function, min_draws, X):
    scores = np.empty(n_rows(X))
    for rows, draws in draw_blocks(strategy.estimator_, X, strategy.n_draws, seed=draws_seed(strategy)):
        check_draws(strategy, draws, min_draws)
        scores[rows] = _of_rows(strategy, function(draws))
    return scores


def score_proba(strategy, X, function):
    """A function of predicted probabilities over all rows of X; -> (n,) float.

    Parameters
    ----------
    strategy : QueryStrategy
        Fitted, with `estimator_`, and with `pixels` where its model may label these.
    X : array-like of shape (n, ...)
    function : callable
        (n, ..., n_classes) -> (n, ...).
    """
    return answered(partial(_score_proba, strategy, function), X)


def _score_proba(strategy, function, X):
    scores = np.empty(n_rows(X))
    for rows, proba in proba_blocks(strategy.estimator_, X):
        scores[rows] = _of_rows(strategy, function(proba))
    return scores


def _of_rows(strategy, scores):
    return scores if np.ndim(scores) == 1 else over_pixels(scores, strategy.pixels)


def draws_seed(strategy):
    """The seed of a fitted strategy's draws."""
    return derive(strategy.seed_, "draws")
