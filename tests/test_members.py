"""Members of an ensemble: seeds, samples, and the two ways to fit them."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from skorch.callbacks import EarlyStopping

from skal import EnsembleClassifier, NetClassifier
from skal._members import TrainingSet, bootstrap, fit_members, member

torch.set_num_threads(1)

rng = np.random.RandomState(0)
X, y = rng.rand(60, 4), np.arange(60) % 3


def net(**params):
    own = {"max_epochs": 3, "batch_size": 16, "n_threads": 1, "dtype": "float64", "module__hidden": 8}
    return NetClassifier(**own | params)


MODELS = {
    "net": net(),
    "pipeline": make_pipeline(StandardScaler(), net()),
    "pipeline in a pipeline": make_pipeline(MinMaxScaler(), make_pipeline(StandardScaler(), net())),
    "pipeline of one step": make_pipeline(net()),
    "pipeline with a gap": Pipeline([("nothing", "passthrough"), ("net", net())]),
}


def test_a_member_has_seeds_of_its_own_and_what_it_is_told():
    model = make_pipeline(FunctionTransformer(), GridSearchCV(net(random_state=3), {"lr": [0.1]}))
    one, two = (member(model, seed, {"init_seed": 5, "nothing": 1}) for seed in (0, 1))
    name = "gridsearchcv__estimator__random_state"
    assert one.get_params()[name] != two.get_params()[name] != 3
    assert one.get_params()["gridsearchcv__estimator__init_seed"] == 5
    assert member(net(init_seed=2), 0, {"init_seed": 5}).init_seed == 2  # the user's own stays
    assert model.get_params()[name] == 3


def test_a_bootstrap_has_two_classes_wherever_there_are_two():
    labels = np.array([0] * 9 + [1])
    samples = [bootstrap(labels, seed) for seed in range(50)]
    assert all(len(rows) == 10 and set(labels[rows]) == {0, 1} for rows in samples)
    assert any(len(set(rows)) < 10 for rows in samples)
    assert_array_equal(samples[7], bootstrap(labels, 7))
    assert len(bootstrap(np.zeros(5), 0)) == 5


def test_rows_and_their_parameters_are_taken_together():
    rows = np.array([3, 3, 0])
    params = {"sample_weight": np.arange(60.0), "other": "all"}
    taken_X, taken_y, taken_params = TrainingSet(X, y, params, rows).taken()
    assert_array_equal(taken_X, X[rows])
    assert_array_equal(taken_y, y[rows])
    assert_array_equal(taken_params["sample_weight"], rows)
    assert taken_params["other"] == "all"
    assert TrainingSet(X, y, params, None).taken() == (X, y, params)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("bootstrapped", [False, True])
def test_members_are_the_same_together_and_one_by_one(name, bootstrapped):
    params = {"n_members": 3, "bootstrap": bootstrapped, "random_state": 0}
    one_by_one = EnsembleClassifier(MODELS[name], together=False, **params).fit(X, y)
    together = EnsembleClassifier(MODELS[name], together=True, **params).fit(X, y)
    assert_allclose(together.sample_proba(X), one_by_one.sample_proba(X), atol=1e-10)
    assert together.estimators_[0].__class__ is one_by_one.estimators_[0].__class__
    again = EnsembleClassifier(MODELS[name], **params).fit(X, y)  # small nets: together is the default
    assert_array_equal(again.sample_proba(X), together.sample_proba(X))


@pytest.mark.parametrize("name", ["net", "pipeline"])
def test_weights_reach_the_nets(name):
    weight = {"net": "sample_weight", "pipeline": "netclassifier__sample_weight"}[name]
    params = {weight: rng.rand(60)}
    one_by_one, together, unweighted = (
        EnsembleClassifier(MODELS[name], 2, together=way, random_state=0, bootstrap=True).fit(X, y, **own)
        for way, own in ((False, params), (True, params), (True, {}))
    )
    assert_allclose(together.sample_proba(X), one_by_one.sample_proba(X), atol=1e-10)
    assert np.abs(together.sample_proba(X) - unweighted.sample_proba(X)).max() > 1e-4


def test_weights_reach_the_nets_by_routing():
    weight = rng.rand(60)
    with config_context(enable_metadata_routing=True):
        model = net().set_fit_request(sample_weight=True)
        alone, together = (
            EnsembleClassifier(model, 2, together=way, random_state=0).fit(X, y, sample_weight=weight)
            for way in (False, True)
        )
        in_pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        EnsembleClassifier(in_pipeline, 2, random_state=0).fit(X, y, sample_weight=weight)
        with pytest.raises(ValueError, match="parameters of fit"):
            EnsembleClassifier(in_pipeline, 2, together=True).fit(X, y, sample_weight=weight)
    assert_allclose(together.sample_proba(X), alone.sample_proba(X), atol=1e-10)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (LogisticRegression(), "no net"),
        (net(callbacks=[EarlyStopping("train_loss")]), "callbacks"),
        (make_pipeline(StandardScaler(), net(), memory="unused"), "memory"),
        (GridSearchCV(net(), {"lr": [0.1]}, cv=2), "no net"),
        (NetClassifier(torch.nn.Linear(9, 3)), "can't be stacked"),
    ],
    ids=["classical", "callbacks", "memory", "search", "module"],
)
def test_together_is_refused_with_the_reason_where_it_is_asked_for_and_impossible(model, words):
    with pytest.raises(ValueError, match=f"(?s)together=True .* they have .*{words}"):
        EnsembleClassifier(model, 2, together=True).fit(X, y)


def test_what_can_not_be_trained_together_is_trained_all_the_same():
    model = make_pipeline(StandardScaler(), net(optimizer=torch.optim.LBFGS))
    large = make_pipeline(StandardScaler(), net(module__hidden=700, max_epochs=1))
    for estimator in (model, large):
        auto, alone = (
            EnsembleClassifier(estimator, 2, together=way, random_state=0).fit(X, y)
            for way in ("auto", False)
        )
        assert_array_equal(auto.sample_proba(X), alone.sample_proba(X))
        assert isinstance(auto.estimators_[0], Pipeline)


def test_one_member_is_fitted_alone():
    fitted = fit_members([net()], [TrainingSet(X, y, {}, None)], together="auto", n_jobs=None)
    assert fitted[0].predict_proba(X).shape == (60, 3)
