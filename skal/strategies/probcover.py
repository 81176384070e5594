"""ProbCover: the rows whose surroundings hold the most rows that have no labelled one nearby."""

from numbers import Integral, Real

import numpy as np
from sklearn.preprocessing import normalize

from skal import labels
from skal._compat import Interval, StrOptions
from skal._seeds import derive
from skal.selection._coverage import Cover, max_coverage
from skal.selection._nearest import distance_to_nearest
from skal.strategies._clusters import k_means, on_a_line
from skal.strategies._embedding import EmbeddingStrategy

__all__ = ["ProbCover"]

# The pseudo-classes of the radius are found from so many rows, and its purity from balls around so many.
_ROWS_CLUSTERED, _BALLS = 10_000, 2_000

# What is guessed where no two classes have been seen.
_GUESSED_CLASSES = 10

# A ball this much smaller than the distance to a row does not reach it.
_JUST_BELOW = 1 - 1e-9


class ProbCover(EmbeddingStrategy):
    """ProbCover: the rows in whose surroundings the most rows have no labelled one nearby.

    A row is covered if a labelled or chosen one lies within `radius`. Adds, one by one, the row that covers
    the most rows that are not covered yet; when all are, the rows farthest from the labelled ones
    (`skal.selection.k_center`). Made for budgets of a few labels a class; best on a self-supervised
    `embedding`.

    *Pool-relative*. Looks at no prediction, and at labels only to count classes, so it can choose the first
    rows of all. Scores a row by the number of uncovered rows within the radius, or, when all are covered, by
    its distance to the nearest labelled one.

    Memory, of a pool on a disk: a block of rows, and the points of all, which beyond 1 GiB lie in a
    temporary file; `InParts` needs those of one part.

    Parameters
    ----------
    estimator : classifier or None, default=None
        Whose embedding is taken where `embedding` is None; None means the model of the `ActiveLearner`
        around it, and outside of one the row itself.
    radius : "auto" or float > 0, default="auto"
        In units of the embedding; with `normalize`, between 0 and 2. "auto" is the largest radius with which
        the share `purity` of the balls is pure. It is found again for each pool; a number fixes it.
    purity : float in (0, 1], default=0.95
        With "auto", the share of the balls around rows, labelled ones included, that are to hold rows
        of one pseudo-class only. Pseudo-classes are the clusters of K-means. Beyond 10,000 rows, K-means sees
        10,000 of them, and the share is that of 2,000 balls.
    n_classes : int >= 2 or None, default=None
        With "auto", the number of pseudo-classes. None is the number of classes among the labelled rows, or
        10 where fewer than two have been seen, or labels are masks: give it at a cold start.
    normalize : bool, default=True
        Whether points are scaled to length 1, as in the authors' experiments, so that distances compare
        directions. Choose False where lengths mean something, as in tables.
    embedding : transformer or None, default=None
        Makes the points in place of the model: a clone of it is fitted on the X of `fit`, labelled or not (in
        an `ActiveLearner` once, on the pool); ``FrozenEstimator(fitted)`` is used as it is.
    layer : str or None, default=None
        The name of a layer of the net whose output is the embedding.
    random_state : int, RandomState or None, default=None
        Seeds K-means, and orders ties.

    Attributes
    ----------
    labeled_embedding_ : ndarray or csr_matrix of shape (n_labelled, m)
        The points of the labelled rows.
    n_pseudo_classes_ : int
        The number of pseudo-classes.

    Notes
    -----
    All hangs on the radius. Where no gaps divide the classes, a purity of 0.95 makes balls so small that
    most hold one row: the crowded places of the pool come first, and a batch is worse than a random one.
    There, lower `purity`, to 0.5 say, or choose a radius with which the median ball holds ten rows or more.
    The authors take 0.75 for normalised SimCLR features of CIFAR-10.

    See Also
    --------
    skal.selection.max_coverage : The same for an array of points.

    References
    ----------
    O. Yehuda, A. Dekel, G. Hacohen and D. Weinshall, "Active learning through a covering lens", NeurIPS 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.metrics import pairwise_distances
    >>> from skal.strategies import ProbCover, Random
    >>> X, y = load_iris(return_X_y=True)
    >>> cover = ProbCover(radius=0.55, normalize=False, random_state=0)
    >>> batches = [strategy.fit(X[:0]).select(X, n=10) for strategy in (cover, Random(random_state=0))]
    >>> [int((pairwise_distances(X, X[rows]).min(axis=1) <= 0.55).sum()) for rows in batches]  # rows covered
    [129, 91]
    """

    needs_labels = False
    nature = "pool-relative"

    _parameter_constraints = {
        **EmbeddingStrategy._parameter_constraints,
        "radius": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "purity": [Interval(Real, 0, 1, closed="right")],
        "n_classes": [Interval(Integral, 2, None, closed="left"), None],
        "normalize": ["boolean"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        radius="auto",
        purity=0.95,
        n_classes=None,
        normalize=True,
        embedding=None,
        layer=None,
        random_state=None,
    ):
        super().__init__(estimator, embedding=embedding, layer=layer, random_state=random_state)
        self.radius = radius
        self.purity = purity
        self.n_classes = n_classes
        self.normalize = normalize

    def _fit(self, X, y, fit_params):
        super()._fit(X, y, fit_params)
        n_seen = 0 if y is None else _n_classes(y)
        self.n_pseudo_classes_ = self.n_classes or (n_seen if n_seen > 1 else _GUESSED_CLASSES)

    def _embed(self, X):
        Z = super()._embed(X)
        return normalize(Z) if self.normalize else Z

    def _score(self, X, rng):
        Z = self._embed(X)
        counts = Cover(Z, self.labeled_embedding_, self._radius(Z)).counts
        if counts.any():
            return counts.astype(np.float64)
        return distance_to_nearest(Z, self.labeled_embedding_)

    def _select(self, X, n, rng):
        Z = self._embed(X)
        return max_coverage(Z, self.labeled_embedding_, n, self._radius(Z), self.seed_)

    def _radius(self, Z):
        if self.radius != "auto":
            return self.radius
        return pure_radius(
            self._with_labeled(Z), self.n_pseudo_classes_, self.purity, derive(self.seed_, "radius")
        )


def pure_radius(Z, n_classes, purity, seed):
    """The largest radius with which a share of the balls around rows of Z is pure; -> float.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n, m)
        Points.
    n_classes : int
        How many pseudo-classes K-means finds; a ball is pure if it holds rows of one of them only.
    purity : float
        The share, above 0 and at most 1.
    seed : int

    Returns
    -------
    float
        Infinity if there is one pseudo-class only.
    """
    classes = k_means(Z, n_classes, seed, max_rows=_ROWS_CLUSTERED)
    centers = np.argsort(on_a_line(Z, seed))
    if len(centers) > _BALLS:
        centers = centers[np.random.RandomState(seed).choice(len(centers), _BALLS, replace=False)]
    pure_up_to = np.full(len(centers), np.inf)
    for pseudo_class in np.unique(classes[centers]):
        own, others = classes[centers] == pseudo_class, classes != pseudo_class
        if others.any():
            pure_up_to[own] = distance_to_nearest(Z[centers[own]], Z[others])
    n_pure = int(np.ceil(purity * len(centers) - 1e-9))
    return np.sort(pure_up_to)[len(centers) - n_pure] * _JUST_BELOW


def _n_classes(y):
    y, is_known = labels.read(y)
    return 0 if labels.are_masks(y) else len(np.unique(y[is_known]))  # classes of pixels are none of images
