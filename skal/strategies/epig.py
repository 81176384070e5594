"""Expected predictive information gain: labels that tell most about the predictions that matter."""

from numbers import Integral

import numpy as np

from skal import acquisition
from skal._compat import Interval
from skal._rows import check_rows, n_rows, row_keys, take
from skal._seeds import derive
from skal.capabilities import allows_nan, sample_proba
from skal.strategies._draws import DrawsStrategy, draws_seed, score_draws

__all__ = ["EPIG"]


class EPIG(DrawsStrategy):
    """Expected predictive information gain: the rows whose labels tell most about those of target rows.

    Scores a row x by the mean over target rows x* of the mutual information between the labels of both,
    in nats. Other than `BALD` it ignores what is uncertain about the model and changes no prediction that
    matters. *Pool-relative* without `targets`: these are then a random part of the rows passed; with
    them, row-wise.

    Memory, of a pool on a disk: a block of rows with its draws, the draws of the targets, and a number
    for each row.

    Parameters
    ----------
    estimator : classifier with sample_proba or None, default=None
        A net with dropout, an `EnsembleClassifier`, a forest, bagging or voting; None means the model of
        the `ActiveLearner` around it.
    targets : array-like of shape (n_targets, ...) or None, default=None
        Rows as they will come when the model is used, without labels.
    n_targets : int >= 1, default=100
        How many of the rows passed are targets, where `targets` is None.
    n_draws : int >= 2 or None, default=None
        None is every member of a committee, or 20 dropout masks of a net.
    random_state : int, RandomState or None, default=None
        Fixes draws and targets, and orders ties.

    References
    ----------
    F. Bickford Smith, A. Kirsch, S. Farquhar, Y. Gal, A. Foster and T. Rainforth, "Prediction-oriented
    Bayesian active learning", AISTATS 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skal.strategies import EPIG
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = EPIG(RandomForestClassifier(), targets=X[y != 0], random_state=0)
    >>> rows = strategy.fit(X[::10], y[::10]).select(X, n=10)
    >>> bool((y[rows] != 0).all())
    True
    """

    takes_pixels = False

    _parameter_constraints = {
        **DrawsStrategy._parameter_constraints,
        "targets": ["array-like", None],
        "n_targets": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, estimator=None, *, targets=None, n_targets=100, n_draws=None, random_state=None):
        super().__init__(estimator, n_draws=n_draws, random_state=random_state)
        self.targets = targets
        self.n_targets = n_targets

    @property
    def nature(self):
        """Row-wise where the targets are given."""
        return "pool-relative" if self.targets is None else "row-wise"

    def _fit(self, X, y, fit_params):
        if self.targets is not None:
            self.targets_ = check_rows(self, self.targets, allow_nan=allows_nan(self._model), reset=False)
        super()._fit(X, y, fit_params)

    def _score(self, X, rng):
        targets = self._target_rows(X)
        of_targets = sample_proba(self.estimator_, targets, self.n_draws, random_state=draws_seed(self))
        return score_draws(self, X, lambda draws: acquisition.epig(draws, of_targets))

    def _target_rows(self, X):
        if self.targets is not None:
            return self.targets_
        if n_rows(X) <= self.n_targets:
            return X
        # By content: scores follow their rows when these come in another order.
        keys = row_keys(X, derive(self.seed_, "targets"))
        return take(X, np.argsort(keys, kind="stable")[: self.n_targets])
