"""ActiveLearner: every sentence of its docstring, tried out."""

import os
import pickle
import random
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import LabelPropagation, SelfTrainingClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

from skal import ActiveLearner
from skal.strategies import Entropy, LeastConfidence, Margin, Random, Subsample

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
ORDER = np.random.RandomState(0).permutation(len(X))
X, Y = X[ORDER], Y[ORDER]
NAMES = np.array(["setosa", "versicolor", "virginica"])
STRATEGIES = [None, Random(), LeastConfidence(), Margin(), Entropy(), Subsample(Margin(), size=0.5)]
MODELS = [
    GaussianNB(),
    DecisionTreeClassifier(),
    RandomForestClassifier(5),
    make_pipeline(StandardScaler(), LogisticRegression()),
    GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-2]}, cv=2),
]
unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
few_of_a_class = pytest.mark.filterwarnings("ignore:The least populated class")


def kind(thing):
    return type(thing).__name__


def learner(model=None, strategy=None, **params):
    params = {"n_initial": 6, "batch_size": 4, "n_rounds": 3, "random_state": 0} | params
    return ActiveLearner(GaussianNB() if model is None else model, strategy, **params)


def global_state():
    return pickle.dumps((np.random.get_state(), random.getstate()))


def with_gaps(y, share=0.4, mark=-1, seed=0):
    y = y.copy()
    y[np.random.RandomState(seed).uniform(size=len(y)) < share] = mark
    return y


class MeanImage(ClassifierMixin, BaseEstimator):
    """Takes rows of any shape, by their mean."""

    def fit(self, X, y):
        self.model_ = GaussianNB().fit(self._means(X), y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(self._means(X))

    def predict_proba(self, X):
        return self.model_.predict_proba(self._means(X))

    def _means(self, X):
        return np.array([[np.mean(x), np.max(x)] for x in X])


class Misbehaves(GaussianNB):
    """Answers with what `answer` makes of the probabilities."""

    def __init__(self, answer="nan"):
        self.answer = answer
        super().__init__()

    def predict_proba(self, X):
        proba = super().predict_proba(X)
        return {"nan": np.full_like(proba, np.nan), "short": proba[:-1], "flat": proba[:, 0]}[self.answer]


class MustNotTrain(GaussianNB):
    def fit(self, X, y):
        raise AssertionError("trained before it was refused")


class LacksProba(MustNotTrain):
    @property
    def predict_proba(self):
        raise AttributeError("no probabilities")


# --- scikit-learn's own checks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        ActiveLearner(LogisticRegression()),
        learner(RandomForestClassifier(3), Entropy(), n_initial=30),
        learner(make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss")), Random(), n_initial=40),
        learner(DecisionTreeClassifier(), Subsample(Margin(), size=0.5), n_initial=40),
        learner(
            SGDClassifier(loss="log_loss"), Margin(DecisionTreeClassifier()), warm_start=True, n_initial=40
        ),
    ],
    ids=lambda e: f"{kind(e.estimator)}-{kind(e.strategy)}",
)
@unconverged
def test_scikit_learn_checks(estimator):
    with threadpool_limits(1):  # small fits, which threads would only slow down
        check_estimator(estimator, on_skip=None)


# --- the loop, seen from outside ---------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=kind)
@pytest.mark.parametrize("strategy", STRATEGIES, ids=kind)
@few_of_a_class
def test_history_rows_and_stages_tell_one_story(model, strategy):
    fitted = learner(model, strategy, initial="stratified").fit(X, Y)
    assert [h["round"] for h in fitted.history_] == [0, 1, 2, 3]
    assert [h["n_labeled"] for h in fitted.history_] == [6, 10, 14, 18]
    rows = np.concatenate([h["rows"] for h in fitted.history_])
    assert len(set(rows.tolist())) == len(rows) == 18
    np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(fitted.labeled_iter_ >= 0))
    for h in fitted.history_:
        assert (fitted.labeled_iter_[h["rows"]] == h["round"]).all()
        assert h["fit_seconds"] > 0 or h["select_seconds"] >= 0
    stages = list(fitted.stages())
    assert len(stages) == len(fitted.models_) == 4
    for number, stage in enumerate(stages):
        assert (stage.labeled_iter_ >= 0).sum() == stage.history_[-1]["n_labeled"]
        assert len(stage.history_) == number + 1
    assert stages[-1].estimator_ is fitted.estimator_ is fitted.models_[-1]
    assert fitted.strategy_.score(X).shape == (len(X),)
    for ask in ("predict", "predict_proba"):
        answers = list(getattr(fitted, f"staged_{ask}")(X))
        assert len(answers) == 4
        np.testing.assert_array_equal(answers[-1], getattr(fitted, ask)(X))
    scores = list(fitted.staged_score(X, Y))
    assert scores == [stage.score(X, Y) for stage in stages]
    assert scores[-1] == fitted.score(X, Y) == np.mean(fitted.predict(X) == Y)


def test_the_history_keeps_the_batch_in_the_order_of_its_scores():
    fitted = learner(n_rounds=1).fit(X, Y)
    scores = next(fitted.stages()).strategy_.score(X[fitted.history_[1]["rows"]])
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize(
    ("params", "sizes"),
    [
        ({"n_rounds": 0}, [150]),
        ({"n_rounds": 1}, [6, 10]),
        ({"n_rounds": None, "max_labels": 15}, [6, 10, 14, 15]),
        ({"n_rounds": 1, "max_labels": 15}, [6, 10]),
        ({"n_rounds": 9, "max_labels": 14}, [6, 10, 14]),
        ({"n_rounds": 9, "max_labels": 4}, [4]),
        ({"n_rounds": None, "max_labels": 10**6, "batch_size": 70}, [6, 76, 146, 150]),
        ({"n_rounds": 9, "batch_size": 100}, [6, 106, 150]),
        ({"n_rounds": 3, "n_initial": 1000}, [150]),
        ({"initial": [3, 70, 1], "n_rounds": 1}, [3, 7]),
    ],
    ids=str,
)
def test_how_many_labels_in_which_round(params, sizes):
    fitted = learner(DecisionTreeClassifier(), **params).fit(X, Y)
    assert [h["n_labeled"] for h in fitted.history_] == sizes
    assert (fitted.labeled_iter_ >= 0).sum() == sizes[-1]
    assert [len(s.history_) for s in fitted.stages()] == list(range(1, len(sizes) + 1))


@pytest.mark.parametrize("model", MODELS, ids=kind)
@few_of_a_class
def test_round_r_of_a_longer_run_is_round_r_of_a_shorter_one(model):
    long = learner(model, Subsample(Entropy(), size=60), initial="stratified", n_rounds=4).fit(X, Y)
    for n_rounds in (1, 3):
        short = clone(long).set_params(n_rounds=n_rounds).fit(X, Y)
        for a, b in zip(long.stages(), short.stages(), strict=False):
            np.testing.assert_array_equal(a.history_[-1]["rows"], b.history_[-1]["rows"])
            np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))


def test_without_models_the_stages_are_refused_and_the_rest_is_equal():
    kept, dropped = learner().fit(X, Y), learner(keep_models=False).fit(X, Y)
    assert not hasattr(dropped, "models_")
    np.testing.assert_array_equal(kept.predict_proba(X), dropped.predict_proba(X))
    for ask in (lambda: dropped.stages(), lambda: list(dropped.staged_score(X, Y))):
        with pytest.raises(ValueError, match="keep_models=True"):
            ask()


def test_a_second_fit_starts_over():
    again = learner(SGDClassifier(loss="log_loss"), warm_start=True).fit(X[:100], Y[:100]).fit(X, Y)
    once = learner(SGDClassifier(loss="log_loss"), warm_start=True).fit(X, Y)
    np.testing.assert_array_equal(again.labeled_iter_, once.labeled_iter_)
    np.testing.assert_array_equal(again.predict_proba(X), once.predict_proba(X))


def test_inputs_and_parameters_are_not_changed():
    X_before, y_before = X.copy(), Y.copy()
    model, strategy = RandomForestClassifier(3), Subsample(Margin())
    unfitted = learner(model, strategy, initial=Random())
    representation = repr(unfitted)
    unfitted.fit(X, Y).query(X, 3)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(Y, y_before)
    assert repr(unfitted) == representation
    assert unfitted.estimator is model
    assert not hasattr(model, "estimators_")
    assert not hasattr(strategy, "strategy_")


def test_better_than_it_began():
    digits, y = load_digits(return_X_y=True)
    fitted = ActiveLearner(LogisticRegression(C=0.01), Margin(), n_rounds=8, random_state=0).fit(
        digits[:900] / 4, y[:900]
    )
    scores = list(fitted.staged_score(digits[900:] / 4, y[900:]))
    assert scores[-1] > scores[0] + 0.1


# --- hidden labels -----------------------------------------------------------------------------------

HIDING = {
    "supervised": (learner(RandomForestClassifier(4)), Y),
    "proxy": (learner(LogisticRegression(), Entropy(GaussianNB())), Y),
    "self-training": (learner(SelfTrainingClassifier(GaussianNB())), Y),
    "propagation": (learner(LabelPropagation(gamma=2)), Y),
    "semi-supervised pipeline": (learner(make_pipeline(StandardScaler(), LabelPropagation(gamma=2))), Y),
    "floats": (learner(SelfTrainingClassifier(GaussianNB())), Y.astype(float)),
    "unsigned": (learner(SelfTrainingClassifier(GaussianNB())), Y.astype(np.uint8)),
    "objects": (learner(SelfTrainingClassifier(GaussianNB())), NAMES[Y].astype(object)),
    "gaps": (learner(), with_gaps(Y)),
    "gaps, self-training": (learner(SelfTrainingClassifier(GaussianNB())), with_gaps(Y)),
    "warm": (learner(SGDClassifier(loss="log_loss"), warm_start=True), Y),
    "weights from a strategy": (learner(initial=Random()), Y),
    "subsample": (learner(strategy=Subsample(Margin(), size=30)), Y),
    "search": (learner(MODELS[-1], n_initial=30), Y),
}


@pytest.mark.parametrize("name", HIDING)
@few_of_a_class
def test_labels_never_queried_are_never_read(name):
    unfitted, y = HIDING[name]
    first = clone(unfitted).fit(X, y)
    hidden = np.flatnonzero((first.labeled_iter_ < 0) & (y != -1))
    poisoned = y.copy()
    poisoned[hidden] = y[np.random.RandomState(1).permutation(hidden)]
    assert (poisoned != y).sum() > 20
    second = clone(unfitted).fit(X, poisoned)
    np.testing.assert_array_equal(first.labeled_iter_, second.labeled_iter_)
    for p, q in zip(first.staged_predict_proba(X), second.staged_predict_proba(X), strict=True):
        np.testing.assert_array_equal(p, q)
    np.testing.assert_array_equal(first.query(X, 5), second.query(X, 5))
    np.testing.assert_array_equal(first.strategy_.score(X), second.strategy_.score(X))


def test_after_the_first_rows_stratified_reads_no_more_than_random():
    first = learner(initial="stratified").fit(X, Y)
    rows = first.history_[0]["rows"]
    hidden = np.flatnonzero(first.labeled_iter_ < 0)
    poisoned = Y.copy()
    poisoned[hidden] = Y[np.random.RandomState(1).permutation(hidden)]
    second = learner(initial=rows).fit(X, poisoned)
    np.testing.assert_array_equal(first.labeled_iter_, second.labeled_iter_)


# --- marks of unlabelled rows ------------------------------------------------------------------------


def marked(values, mark, dtype):
    y = np.asarray(values).astype(dtype)
    y[::3] = mark
    return y


MARKED = {
    "-1 in ints": (marked(Y, -1, int), "auto"),
    "-1 in a list": (marked(Y, -1, int).tolist(), "auto"),
    "None in objects": (marked(NAMES[Y], None, object), "auto"),
    "-1 in objects": (marked(NAMES[Y], -1, object), "auto"),
    "None in numbers": (marked(Y, None, object), "auto"),
    "NaN in floats": (marked(Y, np.nan, float), "auto"),
    "255 in uint8": (marked(Y, 255, np.uint8), 255),
    "a word": (marked(NAMES[Y], "?", "<U12"), "?"),
    "series": (pd.Series(marked(NAMES[Y], None, object), index=np.arange(150) + 1000), "auto"),
    "categorical": (pd.Series(marked(NAMES[Y], None, object), dtype="category"), "auto"),
    "nullable": (pd.Series(marked(Y, None, object), dtype="Int64"), "auto"),
}


@pytest.mark.parametrize("name", MARKED)
def test_gaps_are_never_queried_nor_scored(name):
    y, unlabeled = MARKED[name]
    fitted = learner(n_rounds=None, max_labels=1000, batch_size=50, unlabeled=unlabeled).fit(X, y)
    np.testing.assert_array_equal(fitted.labeled_iter_ < 0, np.arange(150) % 3 == 0)
    assert len(fitted.classes_) == 3
    is_known = np.arange(150) % 3 != 0
    truth = fitted.classes_[Y]
    assert fitted.score(X, y) == np.mean(fitted.predict(X)[is_known] == truth[is_known])
    assert list(fitted.staged_score(X, y))[-1] == fitted.score(X, y)
    assert set(fitted.query(X, 50)) == set(range(0, 150, 3))


def test_minus_one_and_one_are_two_classes_unless_said_otherwise():
    y = np.where(Y == 0, -1, 1)
    two = learner().fit(X, y)
    assert two.classes_.tolist() == [-1, 1]
    assert two.score(X, y) > 0.9
    assert two.score(X[Y == 0], y[Y == 0]) > 0.9  # a test set of nothing but -1
    one = learner(DecisionTreeClassifier(), unlabeled=-1).fit(X, y)
    assert one.classes_.tolist() == [1]
    assert (one.labeled_iter_[Y == 0] == -1).all()


@pytest.mark.parametrize("strategy", [Margin(), Margin(DecisionTreeClassifier()), Random()], ids=repr)
def test_a_first_batch_of_minus_ones_is_of_one_class_and_not_unlabelled(strategy):
    y = np.where(Y == 0, -1, 1)
    first = np.flatnonzero(Y == 0)[:4]
    fitted = learner(DecisionTreeClassifier(), strategy, initial=first).fit(X, y)
    assert [h["n_labeled"] for h in fitted.history_] == [4, 8, 12, 16]


def test_another_mark_makes_minus_one_a_class_for_the_strategy_too():
    y = np.where(np.arange(150) % 5 == 0, 99, Y - 1)
    fitted = learner(GaussianNB(), Margin(GaussianNB()), unlabeled=99, n_initial=30).fit(X, y)
    assert fitted.classes_.tolist() == [-1, 0, 1]
    assert fitted.strategy_.estimator_.classes_.tolist() == [-1, 0, 1]


@pytest.mark.parametrize(
    ("y", "params", "words"),
    [
        (np.where(Y == 0, "-1", NAMES[Y]), {}, "object"),
        (NAMES[Y], {"unlabeled": -1}, "astype"),
        (np.full(150, -1), {}, "none of the 150 rows"),
        (np.full(150, np.nan), {}, "none of the 150 rows"),
        (np.where(Y == 0, np.inf, Y), {}, "infinity"),
        (X[:, 0], {}, "continuous"),
        (np.eye(3, dtype=int)[Y], {}, "1d array"),
        (np.stack([Y, Y], axis=1), {}, "1d array"),
        (Y[:-1], {}, "inconsistent"),
        (None, {}, "requires y"),
    ],
    ids=["string marks", "mark in strings", "no labels", "all NaN", "inf", "regression", "multi-label",
         "multi-output", "short", "None"],
)  # fmt: skip
def test_a_y_that_makes_no_sense_is_refused_before_any_training(y, params, words):
    with pytest.raises(ValueError, match=words):
        learner(MustNotTrain(), **params).fit(X, y)


def test_a_semi_supervised_model_needs_room_for_a_mark():
    for y in (NAMES[Y], np.where(Y == 0, -1, 1), Y == 0):
        with pytest.raises(ValueError, match=r"no mark|no label"):
            learner(SelfTrainingClassifier(GaussianNB())).fit(X, y)


def test_score_refuses_a_y_without_labels_and_weighs_the_rest():
    fitted = learner().fit(X, Y)
    with pytest.raises(ValueError, match="none of the 150 rows"):
        fitted.score(X, np.full(150, -1))
    y, weights = with_gaps(Y), np.random.RandomState(0).uniform(size=150)
    right = fitted.predict(X) == Y
    expected = np.average(right[y != -1], weights=weights[y != -1])
    assert fitted.score(X, y, sample_weight=weights) == pytest.approx(expected)
    assert list(fitted.staged_score(X, y, sample_weight=weights))[-1] == pytest.approx(expected)


# --- classes that the model has not seen ---------------------------------------------------------------


def test_one_class_at_the_start_is_extended_and_counted_in_round_0():
    first = np.flatnonzero(Y == 0)[:3]
    fitted = learner(LogisticRegression(), initial=first).fit(X, Y)
    rows = fitted.history_[0]["rows"]
    assert set(first) < set(rows)
    assert (fitted.labeled_iter_[rows] == 0).all()
    assert fitted.history_[0]["n_labeled"] == len(rows)
    assert len(set(Y[rows])) == 2


@pytest.mark.parametrize(
    "model",
    [GaussianNB(), LinearDiscriminantAnalysis(), LogisticRegression(), DecisionTreeClassifier()],
    ids=kind,
)
@pytest.mark.parametrize("missing", range(3))
def test_there_is_a_column_for_each_class_of_the_vocabulary(model, missing):
    seen = [label for label in range(3) if label != missing]
    first = np.concatenate([np.flatnonzero(label == Y)[:5] for label in seen])
    fitted = learner(model, initial=first, n_rounds=1, batch_size=1, strategy=Random(random_state=missing))
    stage = next(fitted.fit(X, Y).stages())
    assert stage.classes_.tolist() == [0, 1, 2]
    proba = stage.predict_proba(X)
    assert proba.shape == (150, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(proba[:, missing], 0)
    np.testing.assert_array_equal(proba[:, seen], stage.estimator_.predict_proba(X))
    np.testing.assert_array_equal(stage.classes_[proba.argmax(axis=1)], stage.predict(X))
    if hasattr(stage, "predict_log_proba") and not isinstance(model, DecisionTreeClassifier):
        assert (stage.predict_log_proba(X)[:, missing] == -np.inf).all()
    assert hasattr(stage, "decision_function") == hasattr(model, "decision_function")
    if hasattr(stage, "decision_function"):
        values = stage.decision_function(X)
        assert values.shape == (150, 3)
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(stage.classes_[values.argmax(axis=1)], stage.predict(X))


def test_two_classes_have_one_decision_value():
    fitted = learner(LogisticRegression(), initial="stratified").fit(X[Y < 2], Y[Y < 2])
    values = fitted.decision_function(X)
    assert values.shape == (150,)
    np.testing.assert_array_equal(values > 0, fitted.predict(X) == 1)


def test_a_model_of_one_class_has_columns_for_two():
    fitted = learner(DecisionTreeClassifier(), initial=np.flatnonzero(Y == 1)[:3])
    proba = next(fitted.fit(X, Y).staged_predict_proba(X))
    np.testing.assert_array_equal(proba, np.tile([0.0, 1.0, 0.0], (150, 1)))


# --- what X may be ------------------------------------------------------------------------------------

FRAME = pd.DataFrame(X, columns=list("abcd"), index=np.arange(150)[::-1]).assign(
    colour=np.array(["red", "green", "blue"])[np.random.RandomState(0).randint(3, size=150)]
)
TEXTS = [("petal " * (label + 1) + ["sun", "rain", "wind"][i % 3]) for i, label in enumerate(Y)]
IMAGES = (X[:, :, np.newaxis, np.newaxis] + np.zeros((1, 1, 2, 3))).astype(np.float32)
HOLES = np.where(np.random.RandomState(0).uniform(size=X.shape) < 0.1, np.nan, X)
by_name = make_column_transformer(
    (StandardScaler(), ["a", "b", "c", "d"]), (OneHotEncoder(handle_unknown="ignore"), ["colour"])
)
CONTAINERS = {
    "frame": (FRAME, make_pipeline(by_name, LogisticRegression())),
    "csr": (sparse.csr_array(X), LogisticRegression()),
    "csc": (sparse.csc_matrix(X), LogisticRegression()),
    "texts": (TEXTS, make_pipeline(TfidfVectorizer(), LogisticRegression())),
    "text array": (np.array(TEXTS, dtype=object), make_pipeline(TfidfVectorizer(), LogisticRegression())),
    "text series": (
        pd.Series(TEXTS, index=np.arange(150)[::-1]),
        make_pipeline(TfidfVectorizer(), LogisticRegression()),
    ),
    "images": (IMAGES, MeanImage()),
    "list of arrays": ([np.full((1 + i % 2, 3), x[2]) for i, x in enumerate(X)], MeanImage()),
    "lists": (X.tolist(), GaussianNB()),
    "integers": ((X * 50).astype(np.int8), GaussianNB()),
    "holes": (HOLES, make_pipeline(SimpleImputer(), LogisticRegression())),
    "holes, tree": (HOLES, DecisionTreeClassifier()),
    "holes, columns": (
        HOLES,
        make_pipeline(make_column_transformer((SimpleImputer(), [2, 3])), LogisticRegression()),
    ),
}


def some(container, rows):
    if hasattr(container, "iloc"):
        return container.iloc[rows]
    return [container[row] for row in rows] if isinstance(container, list) else container[rows]


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("strategy", [Entropy(), Random(), Subsample(Margin(), size=50)], ids=kind)
def test_rows_go_by_position_whatever_holds_them(name, strategy):
    container, model = CONTAINERS[name]
    fitted = learner(model, strategy, initial="stratified", n_initial=12).fit(container, Y)
    used = np.flatnonzero(fitted.labeled_iter_ >= 0)
    by_hand = clone(fitted.estimator_).fit(some(container, used), Y[used])
    np.testing.assert_array_equal(fitted.predict(container), by_hand.predict(container))
    assert fitted.score(container, Y) > 0.35
    queried = fitted.query(container, 10)
    assert not set(queried) & set(used)
    rows = np.arange(5)[::-1]
    np.testing.assert_array_equal(fitted.predict(some(container, rows)), fitted.predict(container)[rows])


def test_tables_are_checked_as_in_scikit_learn():
    fitted = learner(LogisticRegression()).fit(FRAME[list("abcd")], Y)
    assert fitted.n_features_in_ == 4
    assert fitted.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(FRAME[list("dcba")])
    for bad, words in [(X[:, :2], "features"), (X[0], "1D|2D"), (HOLES, "NaN")]:
        with pytest.raises(ValueError, match=words):
            learner().fit(X, Y).predict(bad)
    with pytest.raises(ValueError, match="NaN"):
        learner(MustNotTrain()).fit(HOLES, Y)


# --- delegation ---------------------------------------------------------------------------------------


def test_what_the_model_can_do_the_learner_can():
    fitted = learner(LinearDiscriminantAnalysis(), initial="stratified").fit(X, Y)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform"):
        np.testing.assert_array_equal(getattr(fitted, method)(X), getattr(fitted.estimator_, method)(X))
    for method in ("decision_function", "transform"):
        assert not hasattr(learner(GaussianNB()), method)
    assert not hasattr(learner(Perceptron(), Random()), "staged_predict_proba")
    assert learner(Perceptron(), Random()).fit(X, Y).score(X, Y) > 0.5  # Random needs no probabilities


@pytest.mark.parametrize(
    "ask", ["predict", "predict_proba", "query", "staged_predict", "staged_predict_proba", "stages"]
)
def test_an_unfitted_learner_says_so(ask):
    with pytest.raises(NotFittedError):
        getattr(learner(), ask)(*([] if ask == "stages" else [X]))


# --- query ----------------------------------------------------------------------------------------------


def test_query_leaves_out_labelled_rows_of_the_same_pool_only():
    fitted = learner().fit(X, Y)
    used = np.flatnonzero(fitted.labeled_iter_ >= 0)
    assert set(fitted.query(X, 132)) == set(range(150)) - set(used)
    np.testing.assert_array_equal(fitted.query(X.copy(), 5), fitted.query(X, 5))
    assert set(fitted.query(X[:40], 40)) == set(range(40))
    assert set(fitted.query(X[::-1], 150)) == set(range(150))  # as many rows, but other ones
    assert fitted.query(X, 0).shape == (0,)


@pytest.mark.parametrize("n", [133, 151, 10**9])
def test_query_for_too_many_names_both_numbers(n):
    with pytest.raises(ValueError, match=rf"{n}.*132"):
        learner().fit(X, Y).query(X, n)
    with pytest.raises(ValueError, match="-1"):
        learner().fit(X, Y).query(X, -1)


def test_query_asks_for_the_highest_scores():
    fitted = learner(strategy=Entropy()).fit(X, Y)
    rows = fitted.query(X, 7)
    scores = fitted.strategy_.score(X)
    rest = np.setdiff1d(np.flatnonzero(fitted.labeled_iter_ < 0), rows)
    assert scores[rows].min() >= scores[rest].max()
    assert (np.diff(scores[rows]) <= 0).all()
    np.testing.assert_array_equal(rows, fitted.query(X, 7))


def test_a_stage_would_have_queried_what_the_next_round_labelled():
    fitted = learner(strategy=Subsample(Entropy(), size=0.9)).fit(X, Y)
    for stage, following in zip(fitted.stages(), fitted.history_[1:], strict=False):
        np.testing.assert_array_equal(stage.query(X, 4), following["rows"])
    *_, last = fitted.stages()
    np.testing.assert_array_equal(last.query(X, 4), fitted.query(X, 4))


def test_people_without_an_oracle_fit_on_what_there_is_and_ask():
    y = np.full(150, -1)
    y[:6] = [0, 1, 2, 0, 1, 2]
    y[:6] = Y[:6]
    for _ in range(4):
        fitted = learner(DecisionTreeClassifier(), n_rounds=0).fit(X, y)
        np.testing.assert_array_equal(fitted.labeled_iter_ == 0, y != -1)
        rows = fitted.query(X, 5)
        assert (y[rows] == -1).all()
        y[rows] = Y[rows]
    assert (y != -1).sum() == 26


# --- seeds ----------------------------------------------------------------------------------------------

SEEDED = [
    learner(RandomForestClassifier(4), Subsample(Margin(), size=40)),
    learner(make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss")), Random(), warm_start=True),
    learner(MLPClassifier((4,), max_iter=10), Entropy(DecisionTreeClassifier(max_features=1))),
]


@pytest.mark.parametrize("unfitted", SEEDED, ids=lambda e: kind(e.estimator))
@unconverged
def test_an_int_gives_the_same_bits_and_another_int_others(unfitted):
    first = clone(unfitted).fit(X, Y)
    copies = [pickle.loads(pickle.dumps(original)) for original in (first, unfitted)]
    for again in (clone(unfitted).fit(X, Y), copies[0], copies[1].fit(X, Y)):
        np.testing.assert_array_equal(again.labeled_iter_, first.labeled_iter_)
        np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))
        np.testing.assert_array_equal(again.query(X, 9), first.query(X, 9))
    other = clone(unfitted).set_params(random_state=1).fit(X, Y)
    assert not np.array_equal(other.labeled_iter_, first.labeled_iter_)


def test_a_fresh_process_gives_the_same_bits():
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_learner as t;"
        "f = t.SEEDED[0].fit(t.X, t.Y); import joblib; print(joblib.hash([f.labeled_iter_, f.query(t.X, 9),"
        " [p.tobytes() for p in f.staged_predict_proba(t.X)]]))"
    )
    here = str(Path(__file__).parent)
    runs = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, here],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    f = clone(SEEDED[0]).fit(X, Y)
    runs.add(
        joblib.hash([f.labeled_iter_, f.query(X, 9), [p.tobytes() for p in f.staged_predict_proba(X)]]) + "\n"
    )
    assert len(runs) == 1


@pytest.mark.parametrize("random_state", [0, None])
@unconverged
def test_the_global_random_states_are_left_alone(random_state):
    before = global_state()
    for unfitted in SEEDED:
        fitted = clone(unfitted).set_params(random_state=random_state).fit(X, Y)
        fitted.query(X, 3)
        fitted.predict_proba(X)
        fitted.strategy_.score(X)
    with pytest.raises(ValueError):
        learner(Misbehaves(), random_state=random_state).fit(X, Y)
    assert global_state() == before


def test_none_is_fresh_and_a_random_state_is_advanced():
    def rows(seed):
        return learner(n_rounds=1, random_state=seed).fit(X, Y).labeled_iter_.tolist()

    assert rows(None) != rows(None)
    state = np.random.RandomState(0)
    assert rows(state) != rows(state)
    assert rows(np.random.RandomState(0)) == rows(np.random.RandomState(0))


def test_seeds_of_the_user_stay_and_open_ones_are_filled_anew_each_round():
    fitted = learner(RandomForestClassifier(2), n_rounds=2).fit(X, Y)
    assert len({model.random_state for model in fitted.models_}) == 3
    fitted = learner(RandomForestClassifier(2, random_state=7), n_rounds=2).fit(X, Y)
    assert {model.random_state for model in fitted.models_} == {7}


def test_two_learners_of_one_seed_start_with_the_same_rows_and_weights():
    starts = [learner(RandomForestClassifier(3), s).fit(X, Y) for s in STRATEGIES]
    for a, b in combinations(starts, 2):
        np.testing.assert_array_equal(a.history_[0]["rows"], b.history_[0]["rows"])
        np.testing.assert_array_equal(next(a.staged_predict_proba(X)), next(b.staged_predict_proba(X)))


# --- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (learner(LinearRegression()), TypeError, "classifiers only"),
        (learner(LacksProba()), TypeError, "predict_proba"),
        (learner(make_pipeline(StandardScaler(), LacksProba())), TypeError, "predict_proba"),
        (learner(LacksProba(), Subsample(Entropy())), TypeError, "predict_proba"),
        (learner(MustNotTrain(), Margin(LacksProba())), TypeError, "predict_proba"),
        (learner(LacksProba(), Random(), initial=Margin(LacksProba())), TypeError, "needs labels"),
        (learner(MustNotTrain(), n_rounds=None), ValueError, "max_labels"),
        (learner(MustNotTrain(), warm_start=True), ValueError, "warm_start=False"),
        (learner(RandomForestClassifier(), warm_start=True), ValueError, "RandomForest"),
        (learner(HistGradientBoostingClassifier(), warm_start=True), ValueError, "warm_start=False"),
        (learner(GridSearchCV(LogisticRegression(), {}), warm_start=True), ValueError, "warm_start=False"),
        (learner(MustNotTrain(), batch_size=0), ValueError, "batch_size"),
        (learner(MustNotTrain(), n_initial=0), ValueError, "n_initial"),
        (learner(MustNotTrain(), n_rounds=-1), ValueError, "n_rounds"),
        (learner(MustNotTrain(), max_labels=0), ValueError, "max_labels"),
        (learner(MustNotTrain(), batch_size=2.5), ValueError, "batch_size"),
        (learner(MustNotTrain(), initial="all"), ValueError, "initial"),
        (learner(MustNotTrain(), "margin"), ValueError, "strategy"),
        (learner(MustNotTrain(), Margin), ValueError, "strategy"),
        (learner(MustNotTrain(), LogisticRegression()), ValueError, "strategy"),
        (ActiveLearner(None), ValueError, "estimator"),
    ],
)
def test_what_can_not_work_is_refused_before_any_training(bad, error, words):
    with pytest.raises(error, match=words):
        bad.fit(X, Y)


def test_a_bare_module_is_refused_with_advice():
    with pytest.raises(TypeError, match=r"NetClassifier\(module\)"):
        ActiveLearner(torch.nn.Linear(4, 3)).fit(X, Y)


@pytest.mark.parametrize(("answer", "words"), [("nan", "not finite"), ("short", "shape"), ("flat", "shape")])
@pytest.mark.parametrize("strategy", [Margin(), Entropy(), Subsample(LeastConfidence(), size=20)], ids=kind)
def test_a_model_that_answers_nonsense_is_named(strategy, answer, words):
    """Bug G2: NaN is what a sort puts first, so the surest rows were queried."""
    with pytest.raises(ValueError, match=words) as caught:
        learner(Misbehaves(answer), strategy).fit(X, Y)
    assert "Misbehaves" in str(caught.value)


# --- fit parameters and callbacks -----------------------------------------------------------------------


@pytest.mark.parametrize("routing", [False, True])
def test_sample_weight_reaches_the_model_sliced(routing):
    weights = np.random.RandomState(0).uniform(0.1, 2, size=150)
    with sklearn.config_context(enable_metadata_routing=routing):
        model = GaussianNB()
        if routing:
            model.set_fit_request(sample_weight=True)
        fitted = learner(model, initial="stratified").fit(X, Y, sample_weight=weights)
        used = np.flatnonzero(fitted.labeled_iter_ >= 0)
        by_hand = GaussianNB().fit(X[used], Y[used], sample_weight=weights[used])
        np.testing.assert_array_equal(fitted.predict_proba(X), by_hand.predict_proba(X))
        plain = learner(model, initial="stratified").fit(X, Y)
        assert not np.array_equal(plain.predict_proba(X), fitted.predict_proba(X))


def test_routing_refuses_what_nobody_asked_for():
    weights = np.ones(150)
    with sklearn.config_context(enable_metadata_routing=True):  # noqa: SIM117
        with pytest.raises(ValueError, match="sample_weight"):
            learner().fit(X, Y, sample_weight=weights)


def test_weights_of_a_semi_supervised_model_keep_all_rows():
    class Wants(GaussianNB):
        semi_supervised = True

        def fit(self, X, y, sample_weight=None):
            self.seen_ = len(X), len(sample_weight), int((y == -1).sum())
            known = y != -1
            return super().fit(X[known], y[known], sample_weight[known])

    fitted = learner(Wants(), n_rounds=1).fit(X, Y, sample_weight=np.ones(150))
    assert fitted.estimator_.seen_ == (150, 150, 140)


def test_callbacks_of_scikit_learn(capsys):
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 and newer")
    monitored = learner(LogisticRegression())
    monitored.set_callbacks(callback.ProgressBar()).fit(X, Y)
    assert "ActiveLearner" in capsys.readouterr().out


def test_a_monitor_sees_each_round_and_changes_nothing():
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 and newer")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    watched = learner(LogisticRegression()).set_callbacks(monitor).fit(X, Y)
    plain = learner(LogisticRegression()).fit(X, Y)
    np.testing.assert_array_equal(watched.labeled_iter_, plain.labeled_iter_)
    used = [np.flatnonzero((plain.labeled_iter_ >= 0) & (plain.labeled_iter_ <= r)) for r in range(4)]
    expected = [model.score(X[rows], Y[rows]) for model, rows in zip(plain.models_, used, strict=True)]
    assert [entry["accuracy"] for entry in monitor.get_logs().data] == expected


def test_a_pool_is_known_again_in_another_form():
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    learner = ActiveLearner(GaussianNB(), n_rounds=2, random_state=0).fit(X, y)
    labeled = learner.labeled_iter_ >= 0
    for same in (X.astype(np.float32), X.tolist(), pd.DataFrame(X).to_numpy()):
        assert not labeled[learner.query(same, 260)].any()


def test_metadata_of_score_is_requested_and_used():
    X, y = load_iris(return_X_y=True)
    weight = np.where(y == 1, 100.0, 1.0)
    with config_context(enable_metadata_routing=True):
        model = GaussianNB().set_fit_request(sample_weight=False)
        learner = ActiveLearner(model, n_rounds=1, random_state=0).set_score_request(sample_weight=True)
        weighted, plain = (
            cross_validate(learner, X, y, params=params, cv=3)["test_score"]
            for params in ({"sample_weight": weight}, {})
        )
    assert not np.array_equal(weighted, plain)


def test_a_model_that_transforms_is_a_transformer_inside_too():
    check_estimator(ActiveLearner(LinearDiscriminantAnalysis()), on_skip=None)


@pytest.mark.parametrize("strategy", ["margin", Margin, GaussianNB()])
def test_what_is_no_strategy_is_refused_with_an_example(strategy):
    with pytest.raises(TypeError, match=r"is no query strategy; pass an object .* such as Margin\(\)"):
        ActiveLearner(GaussianNB(), strategy).fit(X, Y)


def test_labels_that_can_not_be_sorted_are_refused_in_a_sentence():
    mixed = np.array([1, "a"] * (len(X) // 2) + [1] * (len(X) % 2), dtype=object)
    with pytest.raises(ValueError, match="labels of the types int, str, which can't be sorted"):
        ActiveLearner(GaussianNB()).fit(X, mixed)
