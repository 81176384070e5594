"""BADGE, and the gradients that it shares with LCMD."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.stats import chisquare
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skal import NetClassifier
from skal.capabilities import embed
from skal.strategies.badge import BADGE, last_layer_gradients
from skal.testing import check_query_strategy

rng = np.random.RandomState(0)
X = rng.normal(size=(90, 4)) + np.arange(90)[:, np.newaxis] % 3
y = np.arange(90) % 3


def explicit(proba, Z):
    """The gradients as an array, by the definition."""
    residuals = proba - np.eye(proba.shape[1])[proba.argmax(axis=1)]
    Z = np.hstack([Z, np.ones((len(Z), 1))])
    return (residuals[:, :, np.newaxis] * Z[:, np.newaxis]).reshape(len(Z), -1)


MODELS = {
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "forest": RandomForestClassifier(3, max_depth=3, random_state=0),
    "net": NetClassifier(module__hidden=8, max_epochs=1, batch_size=-1, dtype="float64", random_state=0),
}


@pytest.mark.parametrize("model", ["forest", "net"])
def test_contract(model):
    check_query_strategy(BADGE(), MODELS[model])


def test_contract_with_a_model_of_its_own():
    check_query_strategy(BADGE(MODELS["pipeline"]))


def test_gradients_are_those_of_autograd():
    params = {"module__hidden": 8, "max_epochs": 2, "dtype": "float64", "random_state": 0, "device": "cpu"}
    net = NetClassifier(**params).fit(X[:30], y[:30])
    gradients = last_layer_gradients(net.predict_proba(X), embed(net, X))
    last = [layer for layer in net.module_.modules() if isinstance(layer, torch.nn.Linear)][-1]
    rows = []
    for row in torch.tensor(X):
        logits = last(torch.as_tensor(embed(net, row[None].numpy())))
        net.module_.zero_grad()
        torch.nn.functional.cross_entropy(logits, logits.argmax(dim=1)).backward()
        rows.append(np.concatenate([last.weight.grad.numpy().ravel(), last.bias.grad.numpy()]))
    rows = np.stack(rows)
    np.testing.assert_allclose(gradients.squared_norms(), (rows**2).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(gradients.inner(gradients[:5]), rows @ rows[:5].T, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("model", ["pipeline", "forest", "net"])
def test_the_score_is_the_squared_length_of_the_gradient(model):
    strategy = BADGE(MODELS[model], random_state=0).fit(X[:30], y[:30])
    gradients = explicit(strategy.estimator_.predict_proba(X), embed(strategy.estimator_, X))
    np.testing.assert_allclose(strategy.score(X), (gradients**2).sum(axis=1), rtol=1e-9)
    assert strategy.select(X, 10)[0] == strategy.score(X).argmax()


def test_each_class_has_its_part_also_one_that_has_no_label_yet():
    net = NetClassifier(module__hidden=8, max_epochs=1, classes=[0, 1, 2, 3], random_state=0)
    strategy = BADGE(net).fit(X[:20], y[:20] % 2)
    proba = strategy.estimator_.predict_proba(X)
    assert proba.shape[1] == 4
    lengths = (explicit(proba, embed(strategy.estimator_, X)) ** 2).sum(axis=1)
    np.testing.assert_allclose(strategy.score(X), lengths, rtol=1e-5)


def test_the_second_row_is_drawn_by_squared_distance():
    model = FrozenEstimator(LogisticRegression().fit(X, y))
    candidates = X[:7]
    gradients = explicit(model.predict_proba(candidates), candidates)
    first = (gradients**2).sum(axis=1).argmax()
    squares = ((gradients - gradients[first]) ** 2).sum(axis=1)
    counts = np.zeros(7)
    for seed in range(300):
        rows = BADGE(model, random_state=seed).fit(X, y).select(candidates, 2)
        assert rows[0] == first
        counts[rows[1]] += 1
    others = np.arange(7) != first
    expected = 300 * squares[others] / squares.sum()
    assert counts[first] == 0
    assert chisquare(counts[others], expected).pvalue > 0.001


def test_sure_rows_are_drawn():
    """Bug of scikit-activeml: with the origin as a centre, rows with gradients near 0 never come."""
    model = FrozenEstimator(LogisticRegression(C=1e3).fit([[-1.0], [1.0]], [0, 1]))
    unsure, sure = (
        np.linspace(0.001, 0.01, 5)[:, np.newaxis],
        np.full((40, 1), 9.0) + np.arange(40)[:, np.newaxis],
    )
    candidates = np.vstack([unsure, sure])
    second = [
        BADGE(model, random_state=seed).fit([[0.0]], [0]).select(candidates, 2)[1] for seed in range(40)
    ]
    assert np.mean(np.array(second) >= 5) > 0.9


def test_rows_that_are_copies_or_have_no_gradient_come_once():
    """Bugs of scikit-activeml, DISTIL (rows twice) and DeepAL+ (stops where all distances are 0)."""
    copies = np.repeat(X[:3], 20, axis=0)
    sure = np.full((20, 4), [1e4, 0, 0, 0])  # probabilities of exactly 0 and 1
    candidates = np.vstack([copies, sure])
    strategy = BADGE(LogisticRegression(), random_state=0).fit(X, y)
    assert (strategy.score(sure) == 0).all()
    rows = strategy.select(candidates, 80)
    assert sorted(rows.tolist()) == list(range(80))
    assert len({min(row // 20, 3) for row in rows[:4].tolist()}) == 4


def test_sparse_rows_and_images():
    strategy = BADGE(LogisticRegression(), random_state=0)
    dense = strategy.fit(X, y).select(X, 10)
    np.testing.assert_array_equal(
        strategy.fit(sparse.csr_matrix(X), y).select(sparse.csr_matrix(X), 10), dense
    )
    images = np.random.RandomState(0).normal(size=(30, 1, 8, 8)).astype(np.float32)
    net = NetClassifier(max_epochs=1, random_state=0)
    assert len(set(BADGE(net, random_state=0).fit(images, y[:30]).select(images, 5).tolist())) == 5


def test_an_embedding_takes_the_models_place():
    strategy = BADGE(LogisticRegression(), embedding=StandardScaler()).fit(X[:30], y[:30])
    Z = StandardScaler().fit(X[:30]).transform(X)
    gradients = explicit(strategy.estimator_.predict_proba(X), Z)
    np.testing.assert_allclose(strategy.score(X), (gradients**2).sum(axis=1), rtol=1e-9)
