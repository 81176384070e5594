"""Scorers for learners: the area under the learning curve, and scores over labelled rows only."""

import numpy as np
from scipy.integrate import trapezoid
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from skal import labels
from skal._compat import BaseSearchCV
from skal._rows import take
from skal.capabilities import final_parameter, labels_pixels, mark_for

__all__ = ["area_under_curve", "labeled_scorer", "learning_curve_auc"]


def area_under_curve(n_labeled, scores, max_labels=None):
    """Mean height of a learning curve: its trapezoid over the number of labels, divided by their range.

    A constant curve c gives c, and a single point its score.

    Parameters
    ----------
    n_labeled : array-like of int of shape (n_stages,)
        Numbers of labels, increasing.
    scores : array-like of float of shape (n_stages,)
        The score at each.
    max_labels : int or None, default=None
        Where to stop; between two stages the curve is a straight line. None means the last stage.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the curve ends before `max_labels`, or begins after it.

    Examples
    --------
    >>> round(area_under_curve([20, 30, 40], [0.5, 0.7, 0.9]), 6)
    0.7
    """
    n_labeled, scores = np.asarray(n_labeled, dtype=float), np.asarray(scores, dtype=float)
    if max_labels is not None:
        if not n_labeled[0] <= max_labels <= n_labeled[-1]:
            raise ValueError(
                f"The learning curve goes from {n_labeled[0]:g} to {n_labeled[-1]:g} labels, which does not "
                f"contain max_labels={max_labels}; give every learner the same max_labels."
            )
        inside = n_labeled < max_labels
        last = np.interp(max_labels, n_labeled, scores)
        n_labeled, scores = np.append(n_labeled[inside], max_labels), np.append(scores[inside], last)
    if len(scores) == 1:
        return float(scores[0])
    return float(trapezoid(scores, n_labeled) / (n_labeled[-1] - n_labeled[0]))


def learning_curve_auc(scoring=None, max_labels=None):
    """A scorer for `ActiveLearner`: the mean score over its learning curve.

    Measures how fast a learner learns, not only where it ends. Needs ``keep_models=True``.

    Parameters
    ----------
    scoring : str, callable or None, default=None
        Any scorer of scikit-learn, or "score", the estimator's own; None is the accuracy, or, of a model that
        labels pixels, its own score. Applied after each round.
    max_labels : int or None, default=None
        The number of labels to stop at, the same for all learners that are compared; see
        `area_under_curve`.

    Returns
    -------
    callable
        ``scorer(learner, X, y) -> float``; rows without a label are left out. A pipeline that ends in
        a learner is scored too.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skal import ActiveLearner, learning_curve_auc
    >>> from skal.strategies import Margin, Random
    >>> X, y = load_iris(return_X_y=True)
    >>> learner = ActiveLearner(LogisticRegression(max_iter=1000), random_state=0)
    >>> grid = {"strategy": [Random(), Margin()]}
    >>> search = GridSearchCV(learner, grid, scoring=learning_curve_auc()).fit(X, y)
    >>> search.cv_results_["mean_test_score"].round(2).shape
    (2,)
    """
    return _LearningCurveAUC(scoring, max_labels)


def labeled_scorer(scoring=None):
    """A scorer that leaves out rows without a label, whatever splitter made the test set.

    Parameters
    ----------
    scoring : str, callable or None, default=None
        Any scorer of scikit-learn, or "score", the estimator's own; None is the accuracy, or, of a model that
        labels pixels, its own score.

    Returns
    -------
    callable
        ``scorer(estimator, X, y) -> float``.

    Raises
    ------
    ValueError
        When it is called, if no row has a label.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> model = DummyClassifier(strategy="constant", constant=1).fit([[0], [0]], [0, 1])
    >>> labeled_scorer("accuracy")(model, np.zeros((4, 1)), [1, -1, -1, 0])
    0.5
    """
    return _LabeledScorer(scoring)


class _LabeledScorer:
    # A class, not a closure: scorers travel to other processes.
    def __init__(self, scoring):
        self.scorer = _Scorer(scoring)

    def __call__(self, estimator, X, y):
        return float(self.scorer(estimator, *_with_labels(estimator, X, y)))

    def __repr__(self):
        return f"labeled_scorer({self.scorer!r})"


class _Scorer:
    def __init__(self, scoring):
        self.scoring = scoring
        if scoring != "score":
            self.scorer = get_scorer("accuracy" if scoring is None else scoring)

    def __call__(self, estimator, X, y):
        if self.scoring == "score" or (self.scoring is None and labels_pixels(estimator)):
            return estimator.score(X, y)
        return self.scorer(estimator, X, y)

    def __repr__(self):
        return repr(self.scoring) if self.scoring in (None, "score") else repr(self.scorer)


class _LearningCurveAUC:
    def __init__(self, scoring, max_labels):
        self.scorer = _Scorer(scoring)
        self.max_labels = max_labels

    def __call__(self, learner, X, y):
        learner, X = _learner_inside(learner, X)
        X, y = _with_labels(learner, X, y)
        n_labeled = [stage["n_labeled"] for stage in learner.history_]
        return area_under_curve(
            n_labeled, [self.scorer(stage, X, y) for stage in learner.stages()], self.max_labels
        )

    def __repr__(self):
        return f"learning_curve_auc({self.scorer!r}, max_labels={self.max_labels})"


def _learner_inside(estimator, X):
    """The learner at the end of pipelines and searches, and X as it gets there."""
    while isinstance(estimator, Pipeline | BaseSearchCV):
        if isinstance(estimator, BaseSearchCV):
            estimator = estimator.best_estimator_
        else:
            X = estimator[:-1].transform(X) if len(estimator) > 1 else X
            estimator = estimator[-1]
    if not hasattr(estimator, "stages"):
        raise TypeError(
            f"learning_curve_auc scores an ActiveLearner, and {estimator!r} has no learning curve."
        )
    return estimator, X


def _with_labels(estimator, X, y):
    name = final_parameter(estimator, "unlabeled")
    unlabeled = mark_for(estimator, "auto" if name is None else estimator.get_params()[name])
    y, is_known = labels.read(y, unlabeled, getattr(estimator, "classes_", None))
    if not is_known.any():
        raise ValueError(f"A score needs labels, and none of the {len(y)} rows of y has one.")
    return take(X, np.flatnonzero(is_known)), labels.at(y, is_known)
