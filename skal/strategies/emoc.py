"""Expected model output change: the rows whose labels would change the model's answers most."""

from numbers import Integral

import numpy as np
from sklearn.preprocessing import normalize

from skal._changes import emoc, gaussian_process_emoc
from skal._compat import Interval, InvalidParameterError, StrOptions
from skal._rows import n_rows, row_keys, take
from skal._seeds import derive
from skal.capabilities._changes import (
    check_gaussian_process,
    has_bias,
    has_gradients,
    is_gaussian_process,
    is_linear,
    output_change,
    posterior_blocks,
)
from skal.strategies._embedding import EmbeddingStrategy

__all__ = ["EMOC"]

# "auto" looks at all labels of so many classes: the time grows with their square.
_FEW_CLASSES = 20


class EMOC(EmbeddingStrategy):
    """Expected model output change: the rows whose labels would change the model's answers most.

    Scores a row x' by ``sum_y p_y(x') mean_x |f_new(x) - f(x)|_1``: f_new is the model after one step of
    gradient descent on x' with the label y, to first order, and x runs over reference rows, a random part of
    the rows that are scored. High are rows whose label is open and that many rows resemble. *Pool-relative*.

    With ``layers="last"`` the step is one of the last layer: with h its input, and a bias, the logits at x
    change by ``(e_y - p(x')) (h(x) . h(x') + 1)``, and without a bias by the same without the 1. That is
    exact for nets, and for linear models, alone or last in a pipeline (two classes count as two logits, which
    doubles the change of a single one; of more than two, the classes of an ``SGDClassifier`` stand each
    against the rest, and the score takes them for one softmax). For all other models, such as forests, the
    row itself stands for h, flattened, and the score is a heuristic: how open a label is, times the density
    around it. Scale the columns there, with ``embedding=StandardScaler()``, or take ``normalize=True``.

    A ``GaussianProcessRegressor`` as `estimator`, alone or last in a pipeline, is the first version of the
    method (2014): it is fitted to -1 and 1, for each class against the rest, and a label's change is exactly
    that of refitting it, with the kernel that it has found. It chooses rows for whatever model learns from
    them, as in ``ActiveLearner(LogisticRegression(), EMOC(GaussianProcessRegressor(kernel, alpha=0.1)))``.
    f is then the posterior means; `output` and `layers` are left aside.

    Memory, of a pool on a disk: a block of rows, and the points of all, k + m numbers for k classes and m
    coordinates, which beyond 1 GiB lie in a temporary file.

    Parameters
    ----------
    estimator : classifier with predict_proba, GaussianProcessRegressor or None, default=None
        The model that is asked; None means the model of the `ActiveLearner` around it.
    output : {"proba", "logit"}, default="proba"
        Whether f is the probabilities or the logits. Sure rows hardly change their probabilities; all
        change their logits, those with long h the most.
    labels : {"auto", "full", "max"}, default="auto"
        "full" takes the mean over all labels, "max" the likeliest label only; "auto" is "full" with at most
        20 classes.
    layers : {"last", "all"}, default="last"
        "all" follows all weights of a net that require gradients: a pass over the reference rows for each
        row and label. Take ``labels="max"``, a lower `n_reference`, or `Subsample`. Of linear models it is
        the same as "last".
    n_reference : int >= 1, default=500
        How many of the rows passed are reference rows: the same for all that are scored.
    normalize : bool, default=False
        Scale h to length 1; else rows with long h dominate, with ``output="logit"`` most of all.
    embedding : transformer or None, default=None
        Makes h in place of the model: a clone of it is fitted on the X of `fit`, labelled or not (in
        an `ActiveLearner` once, on the pool); ``FrozenEstimator(fitted)`` is used as it is.
    layer : str or None, default=None
        The name of a layer of the net whose output is h; None takes the input of its last linear layer.
    random_state : int, RandomState or None, default=None
        Fixes the reference rows, and orders ties.

    See Also
    --------
    ExpectedGradientLength : How far the weights would move, whatever that changes.
    skal.acquisition.emoc : The same for arrays.

    References
    ----------
    A. Freytag, E. Rodner and J. Denzler, "Selecting influential examples: active learning with expected
    model output changes", ECCV 2014.
    C. Käding, E. Rodner, A. Freytag and J. Denzler, "Active and continuous exploration with deep neural
    networks and expected model output changes", arXiv:1612.06129, 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import EMOC
    >>> X, y = load_iris(return_X_y=True)
    >>> strategy = EMOC(LogisticRegression(max_iter=1000), random_state=0).fit(X[::10], y[::10])
    >>> rows = strategy.select(X, n=10)  # where versicolor meets virginica
    >>> sorted(set(y[rows].tolist()))
    [1, 2]
    """

    requires = ("predict_proba",)
    takes_pixels = False
    nature = "pool-relative"

    _parameter_constraints = {
        **EmbeddingStrategy._parameter_constraints,
        "output": [StrOptions({"proba", "logit"})],
        "labels": [StrOptions({"auto", "full", "max"})],
        "layers": [StrOptions({"last", "all"})],
        "n_reference": [Interval(Integral, 1, None, closed="left")],
        "normalize": ["boolean"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        output="proba",
        labels="auto",
        layers="last",
        n_reference=500,
        normalize=False,
        embedding=None,
        layer=None,
        random_state=None,
    ):
        super().__init__(estimator, embedding=embedding, layer=layer, random_state=random_state)
        self.output = output
        self.labels = labels
        self.layers = layers
        self.n_reference = n_reference
        self.normalize = normalize

    def _check_model(self, model):
        if is_gaussian_process(model):
            check_gaussian_process(self, model)
            if self.embedding is not None or self.layer is not None or self.normalize:
                raise InvalidParameterError(
                    f"{self!r} asks a Gaussian process, which sees the rows of X; in place of embedding=, "
                    "layer= and normalize=, put a transformer before it in a pipeline."
                )
            return
        super()._check_model(model)
        if self.layers == "all":
            _check_gradients(self, model)

    def _fit(self, X, y, fit_params):
        if is_gaussian_process(self.estimator):
            y = _against_the_rest(y)
        super()._fit(X, y, fit_params)

    def _keep(self, X):
        """Nothing: the reference rows are among those that are scored."""

    def _score(self, X, rng):
        references = np.arange(n_rows(X))
        if len(references) > self.n_reference:  # by content: scores follow rows that come in another order
            keys = row_keys(X, derive(self.seed_, "references"))
            references = np.argsort(keys, kind="stable")[: self.n_reference]
        if is_gaussian_process(self.estimator):
            return self._change_of_gaussian_process(X, references)
        if self.layers == "all" and has_gradients(self.estimator):
            labels = self._labels(len(self.estimator_.classes_))
            return output_change(self.estimator_, X, take(X, references), output=self.output, labels=labels)
        return self._change_of_last_layer(X, references)

    def _change_of_last_layer(self, X, references):
        proba, Z = self._proba_and_points(X)
        Z = normalize(Z) if self.normalize else Z
        labels = self._labels(proba.shape[1])
        how = {"output": self.output, "labels": labels, "bias": has_bias(self.estimator_)}
        return emoc(proba, Z, proba[references], Z[references], **how)

    def _change_of_gaussian_process(self, X, references):
        scores = np.empty(n_rows(X))
        for rows, mean, *variances in posterior_blocks(self.estimator_, X, take(X, references)):
            labels = self._labels(mean.shape[1])
            scores[rows] = gaussian_process_emoc(mean, *variances, labels=labels)
        return scores

    def _labels(self, n_classes):
        if self.labels != "auto":
            return self.labels
        return "full" if n_classes <= _FEW_CLASSES else "max"


def _check_gradients(strategy, model):
    """Refuse, before any work, a model whose weights can't all be followed, and features not its own."""
    if not (has_gradients(model) or is_linear(model)):
        raise TypeError(
            f"{strategy!r} follows all weights of a net or of a linear model, and {model!r} is neither; take "
            'layers="last", or NetClassifier.'
        )
    if strategy.embedding is not None or strategy.layer is not None or strategy.normalize:
        raise InvalidParameterError(
            f'{strategy!r} got layers="all", which takes the model as it is; leave embedding=, layer= and '
            'normalize= out, or take layers="last".'
        )


def _against_the_rest(y):
    """Targets of the outputs, 1 for the output's own class and -1 for all others; (n,) -> (n, k) float64.

    One output for each class, or, of two classes, for the second only.
    """
    classes = np.unique(y)
    return np.where(
        np.asarray(y)[:, np.newaxis] == (classes[1:] if len(classes) == 2 else classes), 1.0, -1.0
    )
