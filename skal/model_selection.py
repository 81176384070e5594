"""Cross-validation with labels partly missing."""

import numpy as np
from sklearn.model_selection import BaseCrossValidator, KFold, StratifiedKFold
from sklearn.utils.validation import check_consistent_length

from skal import labels

__all__ = ["LabeledKFold"]


class LabeledKFold(BaseCrossValidator):
    """Stratified k-fold over the labelled rows; rows without a label are in every training part.

    Of masks, for models that label pixels, the folds are plain ones.

    So that no test set contains a row that can't be scored, and semi-supervised models and `query`
    keep all the rows that they can use.

    Parameters
    ----------
    n_splits : int, default=5
        Folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the rows of each class before they are dealt out.
    random_state : int, RandomState or None, default=None
        Fixes the shuffle.
    unlabeled : "auto" or a label, default="auto"
        The mark in y of a row without a label, as in `ActiveLearner`.

    Examples
    --------
    >>> import numpy as np
    >>> from skal.model_selection import LabeledKFold
    >>> y = np.array([0, 1, -1, 0, 1, -1])
    >>> for train, test in LabeledKFold(n_splits=2).split(np.zeros((6, 1)), y):
    ...     print(train, test)
    [2 3 4 5] [0 1]
    [0 1 2 5] [3 4]
    """

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None, unlabeled="auto"):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state
        self.unlabeled = unlabeled

    def get_n_splits(self, X=None, y=None, groups=None):
        """The number of folds; the arguments are ignored."""
        return self.n_splits

    def split(self, X, y, groups=None):
        """Row numbers of the training and test part of each fold.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Ignored, but for its length.
        y : array-like of shape (n_rows,)
            Labels, with marks where there is none.
        groups : None
            Ignored.

        Yields
        ------
        train, test : ndarray of int
            Ascending. `test` has labelled rows only.
        """
        if y is None:
            raise ValueError("LabeledKFold needs y, which says which rows have a label.")
        if self.random_state is not None and not self.shuffle:
            raise ValueError("LabeledKFold(random_state=...) has no effect unless shuffle=True is set.")
        y, is_known = labels.read(y, self.unlabeled)
        check_consistent_length(X, y)
        rows, others = np.flatnonzero(is_known), np.flatnonzero(~is_known)
        kind = KFold if labels.are_masks(y) else StratifiedKFold  # masks are of no class
        folds = kind(self.n_splits, shuffle=self.shuffle, random_state=self.random_state)
        for train, test in folds.split(rows, y[rows]):
            yield np.sort(np.concatenate([rows[train], others])), rows[test]
