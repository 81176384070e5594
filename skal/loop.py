"""The pool loop as a generator: fit, yield, select, ask, label; stop by not asking for the next round."""

from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import count
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator, clone

from skal import capabilities, labels
from skal._compat import slice_fit_params
from skal._rows import in_memory
from skal._seeds import derive, draw_seed, seed_open_states
from skal.selection import priority
from skal.strategies import QueryStrategy, with_estimator
from skal.strategies._base import check_is_strategy, check_model
from skal.strategies._embedding import settle_embedding

__all__ = ["Round", "bind", "rounds"]


@dataclass(frozen=True)
class Round:
    """One round of a pool loop: a model, and the rows whose labels were new to it."""

    number: int
    """From 0; round 0 is the model of the initial rows."""
    estimator: BaseEstimator
    """The fitted model."""
    strategy: QueryStrategy | None
    """The fitted strategy that chose `rows`; None in round 0."""
    rows: np.ndarray
    """(n,) rows labelled since the round before, best first."""
    n_labeled: int
    """Labels that the model was fitted on."""
    fit_seconds: float
    select_seconds: float
    facts: dict
    """What the strategy tells of the batch, such as the cover radius before and after it; {} in round 0."""


def rounds(
    estimator,
    strategy,
    pool,
    oracle,
    *,
    batch_size=10,
    max_labels=None,
    warm_start=False,
    fit_params=None,
    random_state=None,
):
    """Fit, yield a `Round`, select, ask the oracle, label; ends when nothing is left to ask.

    Parameters
    ----------
    estimator : classifier
        A clone is fitted each round. If its `fit` names them, it is told ``al_round`` (the number of
        the round), ``al_queried`` (where the rows just labelled stand in the X of this fit) and
        ``previous`` (the model of the round before, None at first).
    strategy : QueryStrategy
        Bound to the model of each round, unless it has a model of its own.
    pool : Pool
        With its initial rows labelled; is changed.
    oracle : callable
        ``oracle(rows) -> labels``, one label for each row; masks, where the model labels pixels.
    batch_size : int, default=10
        Rows per query; the last query takes what is left.
    max_labels : int or None, default=None
        Ends the loop at this number of labels, cutting the last batch.
    warm_start : bool, default=False
        Start each fit from a copy of the last model, for models that continue an optimisation.
    fit_params : dict or None, default=None
        For `fit` of the model; values per row are sliced to the rows in use.
    random_state : int, RandomState or None, default=None
        Seeds model and strategy in each round, where they have no seed of their own. Round r is the
        same however many rounds follow.

    Yields
    ------
    Round

    Raises
    ------
    TypeError
        If the model lacks what the strategy needs; before any training.
    ValueError
        If the pool has no labelled rows.

    Examples
    --------
    >>> from itertools import islice
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skal.pool import Pool
    >>> from skal.strategies import Margin
    >>> X, y = load_iris(return_X_y=True)
    >>> pool, initial = Pool(X), np.array([0, 1, 50, 51, 100, 101])
    >>> pool.label(initial, y[initial], number=0)
    >>> loop = rounds(GaussianNB(), Margin(), pool, lambda rows: y[rows], batch_size=5, random_state=0)
    >>> [(r.number, r.n_labeled) for r in islice(loop, 3)]
    [(0, 6), (1, 11), (2, 16)]
    """
    check_is_strategy(strategy)
    check_model(strategy, lent=estimator)
    if len(pool.labeled) == 0:
        raise ValueError(
            "The pool has no labelled rows to start from; call pool.label(rows, y, number=0) first."
        )
    fit_params = fit_params or {}
    seed = draw_seed(random_state)
    limit = len(pool) if max_labels is None else max_labels
    train = partial(_train, estimator, pool, seed, warm_start=warm_start, fit_params=fit_params)
    started = perf_counter()
    vocabulary = partial(_vocabulary, pool, capabilities.mark_for(estimator))
    model = _train_first(train, pool, oracle, limit, vocabulary, derive(seed, "initial"))
    strategy = settle_embedding(strategy, pool.X, derive(seed, "embedding"))
    rows, chosen_by, select_seconds, facts = pool.labeled, None, 0.0, {}
    for number in count(1):
        fit_seconds = perf_counter() - started
        yield Round(number - 1, model, chosen_by, rows, len(pool.labeled), fit_seconds, select_seconds, facts)
        n = min(batch_size, len(pool.candidates), limit - len(pool.labeled))
        if n <= 0:
            return
        started = perf_counter()
        chosen_by = bind(strategy, model, pool, seed, number)
        candidates = pool.candidates
        chosen, facts = chosen_by._query(pool.take(candidates), n)
        rows = candidates[chosen]
        select_seconds = perf_counter() - started
        pool.label(rows, oracle(rows), number)
        started = perf_counter()
        model = train(number, rows, model)


def bind(strategy, model, pool, seed, number):
    """The strategy that chooses the rows of a round, fitted on what the pool has labelled before it."""
    bound = seed_open_states(with_estimator(strategy, model), derive(seed, number, "strategy"))
    return bound._fit_rows(pool.take(pool.labeled), labels.at(pool.y, pool.labeled), {}, may_have_gaps=False)


def _train(estimator, pool, seed, number, rows, previous, *, warm_start, fit_params):
    """The model of a round, fitted on the labelled rows, or on all if it is semi-supervised."""
    model = seed_open_states(clone(estimator), derive(seed, number, "model"))
    if warm_start and previous is not None:
        model = _go_on_from(previous, model, pool)
    if capabilities.is_semi_supervised(estimator):
        used = np.arange(len(pool))
        X, y = pool.X, labels.hide(pool.y, pool.labeled_iter >= 0, capabilities.mark_for(estimator))
    else:
        used = pool.labeled
        X, y = pool.take(used), labels.at(pool.y, used)
    facts = {"al_round": number, "al_queried": np.searchsorted(used, rows), "previous": previous}
    named = {capabilities.fit_parameter(model, name): value for name, value in facts.items()}
    facts = {name: value for name, value in named.items() if name is not None}
    if not getattr(model, "reads_pools", False):
        X = in_memory(X)
    with capabilities.fenced(model, derive(seed, number, "draws")):
        return model.fit(X, y, **slice_fit_params(pool.X, fit_params, used), **facts)


def _vocabulary(pool, mark):
    return labels.vocabulary(labels.at(pool.y, pool.labeled), mark)


def _train_first(train, pool, oracle, limit, vocabulary, seed):
    """Round 0: where the model refuses a single class, random rows join until it does not."""
    while True:
        try:
            return train(0, pool.labeled, None)
        except ValueError:
            one_class = len(vocabulary()) == 1
            if not one_class or len(pool.candidates) == 0 or len(pool.labeled) >= limit:
                raise
        candidates = pool.candidates
        row = candidates[[priority(seed, candidates).argmax()]]
        pool.label(row, oracle(row), number=0)


def _go_on_from(previous, fresh, pool):
    """A copy of the last model that will go on training, or `fresh` if there is a class it can't hold."""
    new_classes = np.setdiff1d(_vocabulary(pool, capabilities.mark_for(previous)), previous.classes_)
    if len(new_classes):
        return fresh
    states = {name: value for name, value in fresh.get_params().items() if name.endswith("random_state")}
    return deepcopy(previous).set_params(
        **states, **{capabilities.final_parameter(fresh, "warm_start"): True}
    )
