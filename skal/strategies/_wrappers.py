"""Strategies around a strategy: they take only `strategy` and parameters of their own."""

import math
from numbers import Integral, Real

import numpy as np

from skal._compat import Interval, StrOptions
from skal._rows import n_rows, take
from skal._seeds import derive, seed_open_states
from skal.selection import top
from skal.strategies._base import QueryStrategy, check_is_strategy
from skal.strategies._embedding import settle_embedding

__all__ = ["StochasticBatch", "StrategyWrapper", "Subsample"]


class StrategyWrapper(QueryStrategy):
    """Base class of strategies that change the answer of another one.

    Its model, what it requires and its scores are those of the strategy inside.

    Parameters
    ----------
    strategy : QueryStrategy
        A clone of it is fitted in `fit`.
    random_state : int, RandomState or None, default=None
        Seeds the wrapper, and the strategy inside where that has no seed of its own.

    Attributes
    ----------
    strategy_ : QueryStrategy
        The fitted strategy.
    seed_ : int
        Fixes all answers of the fitted strategy.
    """

    _parameter_constraints = {
        "strategy": [QueryStrategy],
        "random_state": ["random_state"],
    }

    def __init__(self, strategy, *, random_state=None):
        self.strategy = strategy
        self.random_state = random_state

    @property
    def requires(self):
        """What the strategy inside requires."""
        return self.strategy.requires

    @property
    def takes_pixels(self):
        """Whether the strategy inside has a meaning for models that label pixels."""
        return self.strategy.takes_pixels

    @property
    def needs_labels(self):
        """Whether the strategy inside needs labels."""
        return self.strategy.needs_labels

    @property
    def _model(self):
        return self.strategy._model

    @property
    def _allows_nan(self):
        return self.strategy._allows_nan

    def _check_parameters(self):
        self._check_strategies()
        super()._check_parameters()

    def _check_strategies(self):
        check_is_strategy(self.strategy)
        self.strategy._check_strategies()

    def _check_model(self, model):
        self.strategy._check_model(model)

    def _look(self, X):
        settled = settle_embedding(self.strategy, X, derive(self.seed_, "embedding"))
        self.strategy_ = seed_open_states(settled, derive(self.seed_, "strategy"))

    def _fit(self, X, y, fit_params):
        self.strategy_._fit_rows(X, y, fit_params, may_have_gaps=False)

    def _score(self, X, rng):
        return self.strategy_.score(X)


class Subsample(StrategyWrapper):
    """Select among a random part of the pool, which makes a slow strategy affordable.

    Draws `size` candidates without replacement and lets the strategy choose among them. *Stochastic*;
    `score` is that of the strategy inside.

    Parameters
    ----------
    strategy : QueryStrategy
        Chooses among the candidates.
    size : int or float, default=10_000
        How many candidates, at least 1; a float in (0, 1) is a share of the pool, rounded up, and never
        less than the rows to select, so that the last rows of a pool can be labelled too. A pool that
        has no more rows is taken whole.
    random_state : int, RandomState or None, default=None
        Fixes the candidates, and seeds the strategy inside.

    References
    ----------
    D. Yoo and I. S. Kweon, "Learning loss for active learning", CVPR 2019 (a random subset of 10,000).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import Margin, Subsample
    >>> X, y = load_digits(return_X_y=True)
    >>> strategy = Subsample(Margin(LogisticRegression(max_iter=1000)), size=200, random_state=0)
    >>> strategy.fit(X[:50], y[:50]).select(X, n=5).shape
    (5,)
    """

    nature = "stochastic"

    _parameter_constraints = {
        **StrategyWrapper._parameter_constraints,
        "size": [Interval(Integral, 1, None, closed="left"), Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(self, strategy, *, size=10_000, random_state=None):
        super().__init__(strategy, random_state=random_state)
        self.size = size

    def _select(self, X, n, rng):
        pool_size = n_rows(X)
        size = self.size if isinstance(self.size, Integral) else max(n, math.ceil(self.size * pool_size))
        if size >= pool_size:
            return self.strategy_.select(X, n)
        if n > size:
            raise ValueError(
                f"{self!r} can't select n={n} rows of a sample of {size}; raise size or lower n."
            )
        rows = np.sort(rng.choice(pool_size, size, replace=False))
        return rows[self.strategy_.select(take(X, rows), n)]

    def _put_forward(self, X, n, rng):
        return super()._put_forward(X, min(n, self.size) if isinstance(self.size, Integral) else n, rng)


class StochasticBatch(StrategyWrapper):
    """Draw the batch at random, rows with higher scores more often: a diverse batch at no cost.

    The rows with the n highest scores are often near copies of each other; here each row is drawn,
    without replacement, with a probability that grows with its score s. *Stochastic*; `score` is that
    of the strategy inside.

    Parameters
    ----------
    strategy : QueryStrategy
        Its scores are used, and no more: those of all rows, so that for a part of the pool the order is
        ``Subsample(StochasticBatch(...))``.
    kind : {"power", "softmax", "softrank"}, default="power"
        Probability in proportion to ``s ** beta``, ``exp(beta * s)`` or ``rank ** -beta``, where the highest
        score has rank 1. "power" needs scores of 0 or more; rows that score 0 are drawn only where
        others have run out, all with the same chance.
    beta : float >= 0, default=1.0
        0 draws all rows alike (with "power" all that score above 0); the larger, the closer to the n
        highest scores.
    random_state : int, RandomState or None, default=None
        Fixes what is drawn, and seeds the strategy inside.

    References
    ----------
    A. Kirsch, S. Farquhar, P. Atighehchian, A. Jesson, F. Branchaud-Charron and Y. Gal, "Stochastic batch
    acquisition: a simple baseline for deep active learning", TMLR 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skal.strategies import BALD, StochasticBatch
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = StochasticBatch(BALD(RandomForestClassifier()), beta=4, random_state=0)
    >>> strategy.fit(X[::10], y[::10]).select(X, n=5).shape
    (5,)
    """

    nature = "stochastic"

    _parameter_constraints = {
        **StrategyWrapper._parameter_constraints,
        "kind": [StrOptions({"power", "softmax", "softrank"})],
        "beta": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, strategy, *, kind="power", beta=1.0, random_state=None):
        super().__init__(strategy, random_state=random_state)
        self.kind = kind
        self.beta = beta

    def _select(self, X, n, rng):
        scores = self.strategy_.score(X)
        # The n largest of weights in log plus Gumbel noise are n draws without replacement.
        noise = rng.gumbel(size=len(scores))
        return top(self._log_weights(scores) + noise, n, self.seed_)

    def _log_weights(self, scores):
        if self.kind == "softmax":
            return self.beta * scores
        if self.kind == "softrank":
            ranks = np.empty(len(scores))
            ranks[top(scores, len(scores), self.seed_)] = np.arange(1, len(scores) + 1)
            return -self.beta * np.log(ranks)
        if (scores < 0).any():
            raise ValueError(
                f"{self!r} needs scores of 0 or more, and {self.strategy!r} gave {scores.min():.3g}; use "
                "kind='softmax' or kind='softrank'."
            )
        # Rows without any weight tie at minus infinity, where their seeded priority decides.
        return np.where(scores > 0, self.beta * np.log(np.where(scores > 0, scores, 1)), -np.inf)
