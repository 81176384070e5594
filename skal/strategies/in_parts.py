"""Selection of parts of the pool at a time, on as many machines, and of what they chose."""

import math
from numbers import Integral

import numpy as np

from skal._compat import Interval
from skal._rows import n_rows, take
from skal._seeds import derive
from skal.containers import as_pool
from skal.engine import mapped
from skal.strategies._wrappers import StrategyWrapper

__all__ = ["InParts"]


class InParts(StrategyWrapper):
    """Select in two rounds: the best rows of each part of the pool, then the best of those.

    Strategies that compare rows with each other need the points of all rows in one place, and one process
    that chooses. In parts, each part is chosen from by itself: by a worker, where an `engine` is in use, with
    the points of `size` rows in memory. Only positions come back, a few for each part. The rows do not
    depend on who computed them, or on how many workers there were.

    *Exact*, up to ties, around strategies that take the rows of the highest score, where a row's score is its
    own (Margin, BALD and the like): these need no parts. *Approximate* around all others; see the notes.
    `score` is that of the strategy inside, for all rows at once.

    Workers read a pool on a disk themselves; one in memory travels to each of them. With an `embedding` that
    is to be fitted on the rows that are chosen from, as at a cold start, the pool is taken whole.

    Parameters
    ----------
    strategy : QueryStrategy
        Chooses from each part, and from what was chosen.
    size : int, default=10_000
        The most rows of a part. A pool that has no more is taken whole.
    factor : int, default=2
        How many rows a part puts forward, in multiples of the rows asked for. More of them, like smaller
        parts, bring the batch closer to that of all rows at once; the second round holds the points of all
        that were put forward.
    shuffle : bool, default=False
        Whether a row's part is drawn. Otherwise parts are successive rows, which are read faster from a disk.
    random_state : int, RandomState or None, default=None
        Fixes the parts, and seeds the strategy inside.

    See Also
    --------
    Subsample : Looks at one random part only.
    skal.use_engine : Who computes the parts.

    Notes
    -----
    How far the batch may be from that of all rows at once:

    * `CoreSet` (greedy): the cover radius is at most 4 times the smallest that n rows can reach, instead of 2
      times, however the parts are cut [1]_.
    * `SuggestiveAnnotation`: where parts are drawn, each is like the pool, and what stands for it stands for
      the pool [2]_. No factor is guaranteed: candidates are the most uncertain of each part.
    * `BADGE`: a row put forward counts for all rows of its part that it is nearest to, as in k-means|| [3]_,
      whose sum of squared distances is of the order of log n times the smallest, as for all rows at once.
    * `LCMD`, `BatchBALD`, `TypiClust` and others: no factor is known.

    ``benchmarks/in_parts.py`` measures them.

    References
    ----------
    .. [1] G. Malkomes, M. Kusner, W. Chen, K. Weinberger and B. Moseley, "Fast distributed k-center
       clustering with outliers on massive data", NeurIPS 2015.
    .. [2] R. Barbosa, A. Ene, H. Nguyen and J. Ward, "The power of randomization: distributed submodular
       maximization on massive datasets", ICML 2015.
    .. [3] B. Bahmani, B. Moseley, A. Vattani, R. Kumar and S. Vassilvitskii, "Scalable k-means++", VLDB 2012;
       N. Ailon, R. Jaiswal and C. Monteleoni, "Streaming k-means approximation", NIPS 2009 (parts).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skal.selection import cover_radius
    >>> from skal.strategies import CoreSet, InParts
    >>> X, y = load_digits(return_X_y=True)
    >>> at_once = CoreSet(random_state=0).fit(X[:10])
    >>> in_parts = InParts(CoreSet(), size=500, random_state=0).fit(X[:10])
    >>> one, other = (cover_radius(X, X[s.select(X, n=50)]) for s in (at_once, in_parts))
    >>> bool(other < 1.1 * one)
    True
    """

    _parameter_constraints = {
        **StrategyWrapper._parameter_constraints,
        "size": [Interval(Integral, 1, None, closed="left")],
        "factor": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
    }

    def __init__(self, strategy, *, size=10_000, factor=2, shuffle=False, random_state=None):
        super().__init__(strategy, random_state=random_state)
        self.size = size
        self.factor = factor
        self.shuffle = shuffle

    @property
    def nature(self):
        """Row-wise around a row-wise strategy; else the first row is not the one that scores highest."""
        is_row_wise = self.strategy.nature == "row-wise" and not self.shuffle
        return "row-wise" if is_row_wise else "stochastic"

    def _select(self, X, n, rng):
        n_parts = math.ceil(n_rows(X) / self.size)
        if n_parts == 1 or _fits_embedding(self.strategy_):
            return self.strategy_.select(X, n)
        order = rng.permutation(n_rows(X)) if self.shuffle else np.arange(n_rows(X))
        part_rows = math.ceil(len(order) / n_parts)
        parts = mapped(_Best(self.strategy_, X, self.factor * n), as_pool(order), part_rows)
        rows, weights = zip(*(answer for _, answer in parts), strict=True)
        rows = np.concatenate(rows)
        weights = None if weights[0] is None else np.concatenate(weights)
        union = self.strategy_._check_queried(take(X, rows))
        rng = self.strategy_._rng("select among parts", union)
        return rows[self.strategy_._select_among(union, weights, n, rng)]


class _Best:
    """What a strategy puts forward from a part of the pool; goes to workers, with the name of the pool."""

    def __init__(self, strategy, X, n):
        self._strategy, self._X, self._n = strategy, X, n

    def __call__(self, rows):
        rows = np.sort(rows)  # read in the order in which they are stored
        part = self._strategy._check_queried(take(self._X, rows))
        # Parts of one size would else draw the same positions.
        rng = np.random.RandomState(derive(self._strategy.seed_, "part", int(rows[0])))
        chosen, weights = self._strategy._put_forward(part, min(self._n, len(rows)), rng)
        return rows[chosen], weights


def _fits_embedding(strategy):
    """Whether a fitted strategy has seen no rows yet by which to fit its embedding."""
    while hasattr(strategy, "strategy_"):
        strategy = strategy.strategy_
    return getattr(strategy, "embedding", None) is not None and not hasattr(strategy, "embedding_")
