"""What a model can be asked for."""

import numpy as np
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC

from skal import ActiveLearner, capabilities
from skal.capabilities import allows_nan
from skal.capabilities._models import fills_nan
from skal.strategies import Margin, QueryStrategy
from skal.testing import Stub

CONTINUING = [LogisticRegression(), SGDClassifier(), MLPClassifier()]
ADDING = [
    RandomForestClassifier(),
    ExtraTreesClassifier(),
    BaggingClassifier(),
    GradientBoostingClassifier(),
    HistGradientBoostingClassifier(),
]


def kind(model):
    return type(model).__name__


class Answers:
    """Answers predict_proba with what it was given."""

    def __init__(self, proba):
        self.proba = proba

    def predict_proba(self, X):
        return self.proba


class Naming(LogisticRegression):
    semi_supervised = True


@pytest.mark.parametrize(
    "model", [*CONTINUING, make_pipeline(StandardScaler(), LogisticRegression())], ids=kind
)
def test_models_that_go_on_from_their_weights(model):
    assert capabilities.continues_training(model)


@pytest.mark.parametrize(
    "model",
    [
        *ADDING,
        *(make_pipeline(StandardScaler(), model) for model in ADDING),
        GaussianNB(),
        AdaBoostClassifier(),
        GridSearchCV(LogisticRegression(), {}),
        GridSearchCV(RandomForestClassifier(), {}),
        make_pipeline(StandardScaler(), GridSearchCV(LogisticRegression(), {})),
        FrozenEstimator(LogisticRegression()),
    ],
    ids=lambda model: kind(model[-1]) + " in a pipeline" if isinstance(model, Pipeline) else kind(model),
)
def test_models_that_do_not(model):
    assert not capabilities.continues_training(model)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (LogisticRegression(), False),
        (HistGradientBoostingClassifier(), True),
        (FrozenEstimator(HistGradientBoostingClassifier()), True),
        (make_pipeline(SimpleImputer(), LogisticRegression()), True),
        (make_pipeline(StandardScaler(), SimpleImputer(), LogisticRegression()), True),
        (make_pipeline("passthrough", SimpleImputer(), LogisticRegression()), True),
        (make_pipeline(PolynomialFeatures(), SimpleImputer(), LogisticRegression()), False),
        (make_pipeline(make_pipeline(SimpleImputer()), LogisticRegression()), True),
        (make_pipeline(make_column_transformer((SimpleImputer(), [0])), LogisticRegression()), True),
        (GridSearchCV(make_pipeline(SimpleImputer(), LogisticRegression()), {}), True),
        (GridSearchCV(LogisticRegression(), {}), False),
        (make_pipeline("passthrough"), False),
        (None, False),
    ],
)
def test_nan_is_let_through_where_the_first_step_takes_it(model, expected):
    assert bool(capabilities.allows_nan(model)) is expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (LogisticRegression(), False),
        (Naming(), True),
        (SelfTrainingClassifier(LogisticRegression()), True),
        (LabelSpreading(), True),
        (make_pipeline(StandardScaler(), LabelSpreading()), True),
        (make_pipeline(StandardScaler(), LogisticRegression()), False),
        (None, False),
    ],
    ids=str,
)
def test_who_wants_the_unlabelled_rows(model, expected):
    assert bool(capabilities.is_semi_supervised(model)) is expected


def test_final_parameter_opens_pipelines_and_searches():
    pipeline = make_pipeline(StandardScaler(), make_pipeline(MinMaxScaler(), LogisticRegression()))
    name = capabilities.final_parameter(pipeline, "C")
    assert pipeline.get_params()[name] == 1.0
    search = GridSearchCV(pipeline, {})
    name = capabilities.final_parameter(search, "C")
    assert search.set_params(**{name: 5}).get_params()[name] == 5
    assert capabilities.final_parameter(pipeline, "copy") is None
    assert capabilities.final_parameter(object(), "C") is None


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(), Ridge()),
        GridSearchCV(Ridge(), {"alpha": [1]}),
    ],
    ids=kind,
)
def test_regressors_are_refused(model):
    with pytest.raises(TypeError, match="classifiers only"):
        capabilities.require(Margin(), model, ("predict_proba",))


@pytest.mark.parametrize(
    "model",
    [
        Perceptron(),
        SVC(),
        make_pipeline(StandardScaler(), Perceptron()),
        GridSearchCV(Perceptron(), {}),
        Stub(capabilities=()),
    ],
    ids=kind,
)
def test_a_model_without_probabilities_is_named_with_advice(model):
    assert not capabilities.supports(model, "predict_proba")
    with pytest.raises(TypeError) as caught:
        capabilities.require(Margin(), model, ("predict_proba",))
    for word in ("Margin()", "predict_proba", repr(model), "LogisticRegression"):
        assert word in str(caught.value)


@pytest.mark.parametrize("model", [LogisticRegression(), GridSearchCV(GaussianNB(), {}), Stub()], ids=kind)
def test_unfitted_models_are_judged_by_what_they_will_be_able_to_do(model):
    assert capabilities.supports(model, "predict_proba")
    capabilities.require(Margin(), model, ("predict_proba",))


def test_no_model_and_a_bare_torch_module_are_refused():
    with pytest.raises(TypeError, match="estimator="):
        capabilities.require(Margin(), None, ("predict_proba",))
    for module in (torch.nn.Linear(2, 2), torch.nn.Linear):
        with pytest.raises(TypeError, match="NetClassifier"):
            capabilities.require(Margin(), module)


@pytest.mark.parametrize(
    ("proba", "words"),
    [
        (np.full(4, 0.5), r"\(4,\) for 4 rows"),
        (np.full((3, 2), 0.5), r"\(3, 2\) for 4 rows"),
        (np.full((8, 2), 0.5), r"\(8, 2\) for 4 rows"),
        ([[0.5, np.nan]] * 4, "not finite"),
        ([[0.5, np.inf]] * 4, "not finite"),
        ([np.full((4, 2), 0.5)] * 3, r"\(3, 4, 2\) for 4 rows"),  # a multi-output forest
    ],
)
def test_answers_that_make_no_sense_are_refused_with_the_name_of_the_model(proba, words):
    with pytest.raises(ValueError, match=words) as caught:
        capabilities.predict_proba(Answers(proba), np.zeros((4, 2)))
    assert "Answers" in str(caught.value)


def test_the_model_is_named_through_a_frozen_estimator():
    model = FrozenEstimator(Stub(broken=True).fit([[0.0], [1.0]], [0, 1]))
    with pytest.raises(ValueError, match="Stub"):
        capabilities.predict_proba(model, np.zeros((4, 1)))


class Draws(QueryStrategy):
    """Needs what no model here has."""

    requires = ("sample_everything",)

    def _score(self, X, rng):
        return np.zeros(len(X))


def test_a_capability_that_skal_does_not_know_is_refused_in_a_sentence():
    X, y = np.eye(4), np.array([0, 1, 0, 1])
    for refused in (Draws(LogisticRegression()), ActiveLearner(LogisticRegression(), Draws())):
        with pytest.raises(TypeError, match="needs a model with sample_everything, which LogisticRegression"):
            refused.fit(X, y)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((SimpleImputer(), LogisticRegression()), True),
        ((StandardScaler(), SimpleImputer(), LogisticRegression()), True),
        ((StandardScaler(), LogisticRegression()), False),
        ((StandardScaler(), HistGradientBoostingClassifier()), True),
        (("passthrough", LogisticRegression()), False),
    ],
)
def test_scalers_leave_nan_to_the_next_step(steps, expected):
    assert allows_nan(make_pipeline(*steps)) is expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (None, False),
        (HistGradientBoostingClassifier(), False),
        (make_pipeline(StandardScaler(), HistGradientBoostingClassifier()), False),
        (make_pipeline(StandardScaler(), SimpleImputer(), LogisticRegression()), True),
        (make_pipeline(make_pipeline(SimpleImputer(), LogisticRegression())), True),
        (GridSearchCV(make_pipeline(SimpleImputer(), LogisticRegression()), {}), True),
        (FrozenEstimator(HistGradientBoostingClassifier()), False),
    ],
)
def test_a_model_that_takes_nan_does_not_fill_it_in(model, expected):
    assert bool(fills_nan(model)) is expected


class Told(LogisticRegression):
    """Notes what the loop tells."""

    def fit(self, X, y, *, al_round=None, al_queried=None, previous=None):
        self.told_ = al_round, len(al_queried), previous
        return super().fit(X, y)


def test_facts_of_the_loop_reach_the_end_of_a_pipeline():
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), Told())
    learner = ActiveLearner(model, n_initial=20, batch_size=5, n_rounds=2, random_state=0).fit(X, y)
    assert [model[-1].told_[:2] for model in learner.models_] == [(0, 20), (1, 5), (2, 5)]
    assert learner.models_[1][-1].told_[2] is learner.models_[0]
