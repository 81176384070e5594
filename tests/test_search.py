"""The learner in scikit-learn's searches, pipelines and cross-validation."""

import warnings
from functools import partial

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_predict,
    cross_validate,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skal import ActiveLearner, LabeledKFold, learning_curve_auc
from skal.metrics import labeled_scorer
from skal.strategies import Entropy, LeastConfidence, Margin, Random, Subsample

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
ORDER = np.random.RandomState(0).permutation(150)
X, Y = X[ORDER], Y[ORDER]


def learner(model=None, strategy=None, **params):
    params = {"n_initial": 9, "batch_size": 4, "n_rounds": 2, "random_state": 0} | params
    return ActiveLearner(GaussianNB() if model is None else model, strategy, **params)


def fresh(params):
    return {name: clone(value, safe=False) for name, value in params.items()}


def means(search):
    return search.cv_results_["mean_test_score"]


GRIDS = {
    "strategy": {
        "strategy": [Random(), Margin(), Entropy(), LeastConfidence(), Subsample(Margin(), size=40)]
    },
    "strategy's": {
        "strategy": [Subsample(Margin())],
        "strategy__size": [20, 0.5],
        "strategy__strategy": [Entropy()],
    },
    "nested": {
        "strategy": [Subsample(Margin(DecisionTreeClassifier()))],
        "strategy__strategy__estimator__max_depth": [1, 2],
    },
    "model": {"estimator": [GaussianNB(), DecisionTreeClassifier()]},
    "model's": {"estimator": [DecisionTreeClassifier()], "estimator__max_depth": [1, 3]},
    "batch": {"batch_size": [2, 10], "max_labels": [20], "n_rounds": [None]},
    "initial": {"initial": ["random", "stratified", Random()], "n_initial": [6, 12]},
}


@pytest.mark.parametrize("scoring", ["accuracy", learning_curve_auc(), None], ids=str)
@pytest.mark.parametrize("name", GRIDS)
def test_each_number_of_a_grid_is_that_of_a_learner_fitted_by_hand(name, scoring):
    search = GridSearchCV(learner(), GRIDS[name], scoring=scoring, cv=KFold(2), error_score="raise").fit(X, Y)
    for place, params in enumerate(search.cv_results_["params"]):
        for fold, (train, test) in enumerate(KFold(2).split(X)):
            by_hand = (
                learner()
                .set_params(**{key: clone(value, safe=False) for key, value in params.items()})
                .fit(X[train], Y[train])
            )
            score = by_hand.score if scoring in (None, "accuracy") else partial(scoring, by_hand)
            assert search.cv_results_[f"split{fold}_test_score"][place] == score(X[test], Y[test])


def test_a_search_of_two_workers_gives_the_numbers_of_one():
    grid = {"strategy": [Subsample(Margin(), size=30), Random()], "estimator__max_features": [1, 2]}
    numbers = [
        GridSearchCV(
            learner(DecisionTreeClassifier()), grid, scoring=learning_curve_auc(), cv=2, n_jobs=n_jobs
        ).fit(X, Y)
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(means(numbers[0]), means(numbers[1]))
    np.testing.assert_array_equal(numbers[0].predict_proba(X), numbers[1].predict_proba(X))


def test_randomized_search():
    search = RandomizedSearchCV(
        learner(LogisticRegression()),
        {"strategy": [Random(), Margin()], "estimator__C": [0.1, 1, 10], "batch_size": [2, 5]},
        n_iter=3,
        cv=2,
        random_state=0,
        error_score="raise",
    ).fit(X, Y)
    assert len(means(search)) == 3


def test_halving_over_the_rounds_compares_beginnings_of_the_same_runs():
    grid = {"strategy": [Random(), Margin(), Entropy(), LeastConfidence()]}
    search = HalvingGridSearchCV(
        learner(),
        grid,
        resource="n_rounds",
        min_resources=1,
        max_resources=4,
        factor=2,
        cv=KFold(2),
        random_state=0,
    ).fit(X, Y)
    assert search.n_resources_ == [1, 2, 4]
    assert search.best_estimator_.n_rounds == 4
    train, test = next(KFold(2).split(X))
    for place, n_rounds in enumerate(search.cv_results_["n_resources"]):
        strategy = search.cv_results_["param_strategy"][place]
        long = learner(strategy=clone(strategy), n_rounds=4).fit(X[train], Y[train])
        stage = list(long.stages())[n_rounds]
        assert search.cv_results_["split0_test_score"][place] == stage.score(X[test], Y[test])


def test_cross_validation():
    scores = cross_validate(
        learner(), X, Y, cv=3, scoring={"acc": "accuracy", "auc": learning_curve_auc()}, return_estimator=True
    )
    assert {"test_acc", "test_auc"} <= set(scores)
    for fitted in scores["estimator"]:
        assert (fitted.labeled_iter_ >= 0).sum() == 17
    assert cross_val_predict(learner(), X, Y, cv=3, method="predict_proba").shape == (150, 3)


def test_a_learner_in_a_pipeline_and_a_pipeline_in_a_learner():
    outside = make_pipeline(StandardScaler(), learner()).fit(X, Y)
    scaled = StandardScaler().fit_transform(X)
    np.testing.assert_array_equal(outside.predict_proba(X), learner().fit(scaled, Y).predict_proba(scaled))
    steps = Pipeline([("scale", StandardScaler()), ("tree", DecisionTreeClassifier())])
    for model, grid in [
        (
            Pipeline([("scale", StandardScaler()), ("learn", learner())]),
            {"learn__strategy": [Random(), Margin()]},
        ),
        (learner(steps), {"estimator__tree__max_depth": [1, 2]}),
    ]:
        for scoring in (None, learning_curve_auc()):
            search = GridSearchCV(model, grid, cv=2, scoring=scoring, error_score="raise").fit(X, Y)
            assert np.isfinite(means(search)).all()


def test_a_search_in_a_learner():
    inner = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 3]}, cv=2)
    fitted = learner(inner, n_initial=15, initial="stratified").fit(X, Y)
    assert fitted.estimator_.best_params_["max_depth"] in (1, 3)
    assert fitted.score(X, Y) > 0.6


def test_labels_partly_missing():
    y = np.where(np.random.RandomState(0).uniform(size=150) < 0.4, -1, Y)
    known = y != -1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = cross_validate(
            learner(),
            X,
            y,
            cv=LabeledKFold(3),
            scoring="accuracy",
            return_indices=True,
            return_estimator=True,
        )
    for number, test in enumerate(scores["indices"]["test"]):
        assert known[test].all()
        fitted = scores["estimator"][number]
        assert scores["test_score"][number] == np.mean(fitted.predict(X[test]) == Y[test])
    scores = cross_validate(
        learner(), X, y, cv=KFold(3), scoring=labeled_scorer(), return_indices=True, return_estimator=True
    )
    for number, test in enumerate(scores["indices"]["test"]):
        test = test[known[test]]
        fitted = scores["estimator"][number]
        assert scores["test_score"][number] == np.mean(fitted.predict(X[test]) == Y[test])
    # The learner's own score needs neither.
    assert (cross_validate(learner(), X, y, cv=KFold(3))["test_score"] > 0.5).all()
    search = GridSearchCV(learner(), GRIDS["strategy"], cv=LabeledKFold(2), error_score="raise").fit(X, y)
    assert search.best_estimator_.labeled_iter_[~known].max() == -1
