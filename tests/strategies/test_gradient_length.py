"""Expected gradient length is that of the gradients, without taking any."""

import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skal import ActiveLearner, NetClassifier
from skal.strategies import ExpectedGradientLength

X, Y = load_iris(return_X_y=True)
FOREST = RandomForestClassifier(3, max_depth=3, random_state=0)
NET = NetClassifier(module__hidden=8, max_epochs=1, batch_size=-1, dtype="float64", random_state=0)


def test_of_a_net_it_is_the_length_of_the_gradients_of_its_last_layer_in_evaluation_mode():
    strategy = ExpectedGradientLength(clone(NET).set_params(device="cpu"), random_state=0)
    strategy.fit(X[::5], Y[::5])
    module = strategy.estimator_.module_.eval()
    expected = []
    for row in torch.from_numpy(X[:20]):
        logits = module(row[np.newaxis])[0]
        proba = logits.softmax(0).detach()
        expected.append(0.0)
        for p, log_p in zip(proba, logits.log_softmax(0), strict=True):
            parts = torch.autograd.grad(-log_p, list(module.output.parameters()), retain_graph=True)
            expected[-1] += float(p * torch.cat([part.reshape(-1) for part in parts]).norm())
    module.train()  # dropout is off all the same
    np.testing.assert_allclose(strategy.score(X[:20]), expected, rtol=1e-9)


def test_of_a_linear_model_in_a_pipeline_the_features_are_those_that_it_sees():
    model = make_pipeline(StandardScaler(), LogisticRegression())
    strategy = ExpectedGradientLength(model, random_state=0).fit(X[::5], Y[::5])
    points = np.hstack([strategy.estimator_[0].transform(X), np.ones((150, 1))])
    expected = [
        sum(p[y] * np.linalg.norm(np.outer(h, p - np.eye(3)[y])) for y in range(3))
        for p, h in zip(strategy.estimator_.predict_proba(X), points, strict=True)
    ]
    np.testing.assert_allclose(strategy.score(X), expected)


def test_a_forest_sees_the_rows_themselves_scaled_on_demand():
    plain, scaled = (
        ExpectedGradientLength(FOREST, embedding=embedding, random_state=0).fit(X[::2], Y[::2]).score(X)
        for embedding in (None, StandardScaler())
    )
    length, scaled_length = (
        np.sqrt((rows**2).sum(axis=1) + 1) for rows in (X, StandardScaler().fit(X[::2]).transform(X))
    )
    np.testing.assert_allclose(plain / length, scaled / scaled_length)


def test_it_runs_in_a_learner_with_a_default_net():
    images = np.random.RandomState(0).uniform(size=(60, 8, 8)).astype(np.float32)
    learner = ActiveLearner(NetClassifier(max_epochs=1), ExpectedGradientLength(), n_rounds=1, random_state=0)
    assert (learner.fit(images, np.arange(60) % 3).labeled_iter_ >= 0).sum() == 30


def test_without_bias_the_gradient_is_that_of_the_weights_alone():
    strategy = ExpectedGradientLength(LogisticRegression(fit_intercept=False), random_state=0)
    proba = strategy.fit(X[::5], Y[::5]).estimator_.predict_proba(X)
    expected = [
        sum(p[y] * np.linalg.norm(np.outer(row, p - np.eye(3)[y])) for y in range(3))
        for p, row in zip(proba, X, strict=True)
    ]
    np.testing.assert_allclose(strategy.score(X), expected)
