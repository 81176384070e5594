"""Random sampling: what every other strategy has to beat."""

from skal._rows import n_rows
from skal.strategies._base import QueryStrategy

__all__ = ["Random"]


class Random(QueryStrategy):
    """Random sampling without replacement, the baseline.

    Every row has the same chance. Needs no model and no labels, so it also chooses the first rows of
    a pool. *Stochastic*: scores are uniform in [0, 1) and, for an int seed, repeat themselves.

    Memory: a number for each row; no row is read.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Not asked; here because every strategy has it.
    random_state : int, RandomState or None, default=None
        Fixes the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skal.strategies import Random
    >>> X = np.zeros((100, 2))
    >>> rows = Random(random_state=0).fit(X).select(X, n=5)
    >>> len(set(rows.tolist()))
    5
    """

    needs_labels = False
    nature = "stochastic"

    def _score(self, X, rng):
        return rng.uniform(size=n_rows(X))
