"""BatchBALD: the batch whose labels, taken jointly, tell the most about the model."""

from numbers import Integral

import numpy as np

from skal import acquisition
from skal._compat import Interval
from skal._rows import n_rows, take
from skal.capabilities import draw_blocks, sample_proba
from skal.selection import batch_bald
from skal.strategies._draws import DrawsStrategy, check_draws, draws_seed

__all__ = ["BatchBALD"]

# 256 MiB of the pool's draws are kept, those of the rows with the best scores: few others are looked at.
_KEPT_VALUES = 2**25


class BatchBALD(DrawsStrategy):
    """BatchBALD: the batch whose labels, taken jointly, tell the most about the model.

    Adds, row by row, what most increases ``H[y_1, ..., y_m] - sum_i mean_t H[y_i | t]`` over draws t: the
    mutual information between the labels of the whole batch and the model, in nats. Rows that would tell
    the same twice, such as near copies, are not chosen together, as they are by `BALD`. *Row-wise*: `score`
    is BALD, and so is the first row; `select` is joint.

    A label tells draws apart, and d draws hold ln d nats: with d = 20, ten labels may tell all that there is
    to tell, and the rows after these are chosen by little or by lot. Use more draws for larger batches.

    Memory, of a pool on a disk: a block of rows with its draws, 256 MiB of draws of the best rows, and a
    few numbers for each row.

    Parameters
    ----------
    estimator : classifier with sample_proba or None, default=None
        A net with dropout, an `EnsembleClassifier`, a forest, bagging or voting; None means the model of
        the `ActiveLearner` around it.
    n_draws : int >= 2 or None, default=None
        None is every member of a committee, or 20 dropout masks of a net, which all rows share. The authors
        use 100.
    max_outcomes : int >= 1, default=20_000
        The joint distribution of the labels is enumerated while it has at most so many outcomes, four rows
        of ten classes, and sampled after that.
    n_samples : int >= 1, default=4_000
        How many outcomes are sampled afresh for each further row.
    random_state : int, RandomState or None, default=None
        Fixes the draws and the sampled outcomes, and orders ties.

    See Also
    --------
    skal.selection.batch_bald : The same for an array of draws.

    References
    ----------
    A. Kirsch, J. van Amersfoort and Y. Gal, "BatchBALD: efficient and diverse batch acquisition for deep
    Bayesian active learning", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skal.selection import joint_mutual_information
    >>> from skal.strategies import BALD, BatchBALD
    >>> X, y = load_digits(return_X_y=True)
    >>> forest = RandomForestClassifier(random_state=0)
    >>> batches = [strategy(forest, random_state=0).fit(X[:50], y[:50]).select(X[50:], n=5)
    ...            for strategy in (BALD, BatchBALD)]
    >>> fitted = BatchBALD(forest, random_state=0).fit(X[:50], y[:50]).estimator_
    >>> draws = [tree.predict_proba(X[50:]) for tree in fitted.estimators_]
    >>> bald, batch_bald = [joint_mutual_information([draw[rows] for draw in draws]) for rows in batches]
    >>> bool(batch_bald > bald)
    True
    """

    takes_pixels = False

    _parameter_constraints = {
        **DrawsStrategy._parameter_constraints,
        "max_outcomes": [Interval(Integral, 1, None, closed="left")],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self, estimator=None, *, n_draws=None, max_outcomes=20_000, n_samples=4_000, random_state=None
    ):
        super().__init__(estimator, n_draws=n_draws, random_state=random_state)
        self.max_outcomes = max_outcomes
        self.n_samples = n_samples

    def _score_draws(self, draws):
        return acquisition.mutual_information(draws)

    def _select(self, X, n, rng):
        pool = _PoolDraws(self, X)
        return batch_bald(
            pool,
            n,
            self.seed_,
            scores=pool.scores,
            max_outcomes=self.max_outcomes,
            n_samples=self.n_samples,
        )


class _PoolDraws:
    """A function of rows of a pool that gives their draws, and the scores of all rows.

    The draws of the rows with the best scores are kept from the pass that scored them; those of the others
    are asked of the model again.
    """

    def __init__(self, strategy, X):
        self._strategy = strategy
        self._X = X
        self._draws = None
        self._n_seen = 0
        self.scores = np.empty(n_rows(X))
        seed = draws_seed(strategy)
        for _, draws in draw_blocks(strategy.estimator_, X, strategy.n_draws, seed=seed):
            check_draws(strategy, draws)
            self._score_and_keep(draws)
        self._slots = np.full(len(self.scores), -1)
        self._slots[self._held] = np.arange(len(self._held))

    def __call__(self, rows):
        rows = np.asarray(rows)
        slots = self._slots[rows]
        draws = self._draws[:, slots]
        lacking = slots < 0
        if lacking.any():
            draws[:, lacking] = sample_proba(
                self._strategy.estimator_,
                take(self._X, rows[lacking]),
                self._strategy.n_draws,
                random_state=draws_seed(self._strategy),
            )
        return draws

    def _score_and_keep(self, draws):
        if self._draws is None:
            self._reserve(draws)
        rows = np.arange(self._n_seen, self._n_seen + draws.shape[1])
        self._n_seen += len(rows)
        self.scores[rows] = scores = self._strategy._score_draws(draws)
        held = np.where(self._held < 0, -np.inf, self.scores[self._held])
        worst = np.argsort(held)[: len(rows)]
        best = np.argsort(-scores)[: len(worst)]
        better = scores[best] > held[worst]
        self._draws[:, worst[better]] = draws[:, best[better]]
        self._held[worst[better]] = rows[best[better]]

    def _reserve(self, draws):
        n_draws, _, k = draws.shape
        n_kept = min(len(self.scores), max(1, _KEPT_VALUES // (n_draws * k)))
        self._draws = np.empty((n_draws, n_kept, k), dtype=draws.dtype)
        self._held = np.full(n_kept, -1)  # which row is in each slot
