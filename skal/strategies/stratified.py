"""Random sampling that looks for each class where the model sees it."""

from numbers import Real

import numpy as np

from skal._compat import Interval
from skal._rows import n_rows
from skal.capabilities import labels_pixels, proba_blocks
from skal.strategies._base import QueryStrategy

__all__ = ["StratifiedRandom"]


class StratifiedRandom(QueryStrategy):
    """Random sampling that looks for each class where the model sees it.

    A share of the batch is for the foreground: a class is drawn, each with the same chance, and then a row,
    with a chance in proportion to how much of the class the model predicts there: 0 or 1 for a row with one
    label, a share of the pixels for an image that is labelled by the pixel. The rest of the batch is drawn
    from all rows alike, and so is all of it where nothing is predicted. In segmentation this is the baseline
    to beat. *Stochastic*: `score` is the share of the row that is predicted to be foreground.

    Memory, of a pool on a disk: a block of rows, and a number for each row and class.

    Parameters
    ----------
    estimator : classifier with predict_proba or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    share : float in [0, 1], default=2/3
        The share of the batch that is drawn for the foreground, in expectation.
    foreground : array-like of labels or None, default=None
        The classes to look for. None is all of them, and where the model labels pixels, all but the first
        of its `classes_`, which is taken for the background.
    random_state : int, RandomState or None, default=None
        Fixes the rows.

    References
    ----------
    C. Lüth et al., "nnActive: a framework for evaluation of active learning in 3D biomedical segmentation",
    arXiv:2511.19183, 2025: of the methods they tried, none reliably beat random sampling that is aware of the
    foreground.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import StratifiedRandom
    >>> X = np.linspace(0, 1, 1000)[:, np.newaxis]
    >>> y = (X[:, 0] > 0.95).astype(int)  # a rare class
    >>> strategy = StratifiedRandom(LogisticRegression(C=1e4), share=1, random_state=0).fit(X, y)
    >>> bool(0.3 < y[strategy.select(X, n=40)].mean() < 0.7)
    True
    """

    requires = ("predict_proba",)
    nature = "stochastic"

    _parameter_constraints = {
        **QueryStrategy._parameter_constraints,
        "share": [Interval(Real, 0, 1, closed="both")],
        "foreground": ["array-like", None],
    }

    def __init__(self, estimator=None, *, share=2 / 3, foreground=None, random_state=None):
        super().__init__(estimator, random_state=random_state)
        self.share = share
        self.foreground = foreground

    def _score(self, X, rng):
        return self._foreground(X).sum(axis=1)

    def _select(self, X, n, rng):
        return drawn(self._foreground(X), n, self.share, rng)

    def _foreground(self, X):
        """How much of each class to look for the model predicts in each row; -> (n, n_foreground)."""
        classes = self.estimator_.classes_
        if self.foreground is None:
            wanted = np.arange(1 if labels_pixels(self.estimator_) else 0, len(classes))
        else:
            wanted = np.flatnonzero(np.isin(classes, self.foreground))
            if len(wanted) == 0:
                raise ValueError(
                    f"{self!r} looks for classes that its model does not know; it knows {classes.tolist()}."
                )
        shares = np.empty((n_rows(X), len(wanted)))
        for rows, proba in proba_blocks(self.estimator_, X):
            shares[rows] = class_shares(proba)[:, wanted]
        return shares


def class_shares(proba):
    """The share of the pixels of each row whose likeliest class is each; (n, ..., k) -> (n, k).

    A row with one distribution counts as one pixel.

    Examples
    --------
    >>> class_shares(np.array([[0.1, 0.9], [0.8, 0.2]]))
    array([[0., 1.],
           [1., 0.]])
    """
    winners = proba.argmax(axis=-1)
    pixels = tuple(range(1, winners.ndim))
    return np.stack([(winners == c).mean(axis=pixels) for c in range(proba.shape[-1])], axis=1)


def drawn(shares, n, share, rng):
    """Rows drawn without replacement, some of them for a class; -> (n,) int, in the order of drawing.

    Parameters
    ----------
    shares : ndarray of shape (n_rows, n_classes)
        How much of each class there is in each row.
    n : int
        At most n_rows.
    share : float in [0, 1]
        The chance that a draw is for a class, each class alike, and a row then in proportion to `shares`.
    rng : RandomState

    Returns
    -------
    ndarray of int of shape (n,)
    """
    is_left = np.ones(len(shares), dtype=bool)
    n_with = np.count_nonzero(shares, axis=0)  # rows left that have some of the class
    rows = []
    for is_for_class in rng.uniform(size=n) < share:
        chances = is_left
        if is_for_class and n_with.any():
            chances = is_left * shares[:, rng.choice(np.flatnonzero(n_with))]
        rows.append(rng.choice(len(shares), p=chances / chances.sum()))
        is_left[rows[-1]] = False
        n_with -= shares[rows[-1]] > 0
    return np.array(rows, dtype=np.intp)
