"""Suggestive annotation: of the images that members disagree on, those that stand for all others."""

from numbers import Integral

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils import gen_batches
from sklearn.utils.extmath import safe_sparse_dot

from skal import acquisition
from skal._compat import Interval
from skal.selection import facility_location
from skal.strategies._draws import PIXELS, check_members, score_draws
from skal.strategies._embedding import EmbeddingStrategy

__all__ = ["SuggestiveAnnotation"]

_BLOCK_ROWS = 4096


class SuggestiveAnnotation(EmbeddingStrategy):
    """Suggestive annotation: of the rows that members disagree on, those that stand for all others.

    First the `n_candidates` rows whose class probabilities vary most between the members of an ensemble: the
    variance over members, mean over classes and, of images labelled by the pixel, over `pixels`. Among them,
    n times, the row that most increases ``sum_x max_{i chosen} cos(z_i, z_x)``, where x runs over *all* rows
    passed and z is their embedding. *Pool-relative*: a candidate's `score` is 1 plus its mean similarity to
    all rows, which is the first gain; that of any other row is its variance, at most 1/4.

    The authors' members are nets trained on bootstrap samples:
    ``EnsembleClassifier(net, 4, bootstrap=True)``, whose embedding is that of all members side by side. Other
    models are asked for their draws: the trees of a forest, or dropout masks of a net.

    Memory, of a pool on a disk: a block of rows, and the points of all, which beyond 1 GiB lie in a
    temporary file; `InParts` needs those of one part.

    Parameters
    ----------
    estimator : classifier with sample_proba or None, default=None
        The model that is asked, and whose embedding is taken where `embedding` is None; None means the model
        of the `ActiveLearner` around it.
    n_candidates : int, default=16
        How many of the most uncertain rows may be chosen, and with them those tied with the last; at least as
        many as rows are asked for. As many as rows are asked for is uncertainty alone; the authors take
        twice as many.
    n_draws : int >= 2 or None, default=None
        None is every member of a committee, or 20 dropout masks of a net.
    embedding : transformer or None, default=None
        Makes the points in place of the model: a clone of it is fitted on the X of `fit`, labelled or not (in
        an `ActiveLearner` once, on the pool); ``FrozenEstimator(fitted)`` is used as it is.
    layer : str or None, default=None
        The name of a layer of the net whose output is the embedding.
    pixels : {"mean", "max"} or float in (0, 1], default="mean"
        Where the model labels pixels: how the variances of pixels make that of an image; see
        `skal.acquisition.over_pixels`.
    random_state : int, RandomState or None, default=None
        Fixes the draws, and orders ties.

    Attributes
    ----------
    labeled_embedding_ : ndarray or csr_matrix of shape (n_labelled, m)
        The points of the labelled rows; the method does not look at them.

    References
    ----------
    L. Yang, Y. Zhang, J. Chen, S. Zhang and D. Chen, "Suggestive annotation: a deep active learning framework
    for biomedical image segmentation", MICCAI 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skal.strategies import SuggestiveAnnotation
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(10, random_state=0)
    >>> strategy = SuggestiveAnnotation(forest, n_candidates=16, random_state=0).fit(X[::10], y[::10])
    >>> rows = strategy.select(X, n=8)
    >>> bool((strategy.score(X)[rows] > 1).all())  # all are candidates
    True
    """

    requires = ("sample_proba",)
    nature = "pool-relative"

    _parameter_constraints = {
        **EmbeddingStrategy._parameter_constraints,
        "n_candidates": [Interval(Integral, 1, None, closed="left")],
        "n_draws": [Interval(Integral, 2, None, closed="left"), None],
        "pixels": PIXELS,
    }

    def __init__(
        self,
        estimator=None,
        *,
        n_candidates=16,
        n_draws=None,
        embedding=None,
        layer=None,
        pixels="mean",
        random_state=None,
    ):
        super().__init__(estimator, embedding=embedding, layer=layer, random_state=random_state)
        self.n_candidates = n_candidates
        self.n_draws = n_draws
        self.pixels = pixels

    def _check_model(self, model):
        super()._check_model(model)
        check_members(self, model)

    def _score(self, X, rng):
        scores = self._variances(X)
        candidates = self._candidates(scores, 1)
        scores[candidates] = 1 + mean_cosine(self._embed(X), candidates)
        return scores

    def _select(self, X, n, rng):
        candidates = self._candidates(self._variances(X), n)
        return facility_location(self._embed(X), candidates, n, self.seed_)

    def _variances(self, X):
        return score_draws(self, X, acquisition.variance)

    def _candidates(self, variances, n):
        """The most uncertain rows, and all that are tied with the last of them: no seed decides who is in."""
        n = min(max(self.n_candidates, n), len(variances))
        return np.flatnonzero(variances >= np.partition(variances, -n)[-n])


def mean_cosine(Z, rows):
    """The cosine of some points with each point, 0 where it is negative, in the mean; -> (len(rows),).

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n, m)
        Points; one of zeros is similar to none.
    rows : ndarray of int
        Positions in Z.

    Returns
    -------
    ndarray of shape (len(rows),)
        In [0, 1].
    """
    chosen = normalize(Z[rows].astype(np.float64))
    sums = np.zeros(len(rows))
    for block in gen_batches(Z.shape[0], _BLOCK_ROWS):
        directions = normalize(Z[block].astype(np.float64))
        cosines = safe_sparse_dot(chosen, directions.T, dense_output=True)
        sums += np.maximum(cosines, 0).sum(axis=1)
    return sums / Z.shape[0]
