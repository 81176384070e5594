"""LCMD: what rows are compared by, and scores whose best row comes first."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skal import NetClassifier
from skal.capabilities import embed
from skal.selection._lcmd import lcmd
from skal.strategies.badge import last_layer_gradients
from skal.strategies.lcmd import LCMD
from skal.testing import Stub, check_query_strategy

rng = np.random.RandomState(0)
X = rng.normal(size=(120, 4)) + np.arange(120)[:, np.newaxis] % 3
y = np.arange(120) % 3


def test_contract_with_gradients():
    check_query_strategy(LCMD(features="gradient"))


def test_gradients_need_probabilities_and_embeddings_do_not():
    assert LCMD(features="gradient").requires == ("predict_proba",)
    assert LCMD(features="embedding").requires == ()
    assert len(LCMD(features="embedding").fit(X[:9], y[:9]).select(X, 5)) == 5  # no model: rows as they are
    assert len(LCMD(Stub(capabilities=()), features="embedding").fit(X[:9], y[:9]).select(X, 5)) == 5


@pytest.mark.parametrize("features", ["gradient", "embedding"])
def test_it_is_the_function_of_that_name(features):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    strategy = LCMD(model, features=features, random_state=0).fit(X[:30], y[:30])

    def points(X):
        Z = embed(strategy.estimator_, X)
        if features == "embedding":
            return Z
        return last_layer_gradients(strategy.estimator_.predict_proba(X), Z)

    rows = lcmd(points(X[30:]), points(X[:30]), 20, strategy.seed_)
    np.testing.assert_array_equal(strategy.select(X[30:], 20), rows)


def test_the_score_tells_the_heaviest_cluster_then_the_farthest_row():
    labeled = np.array([[0.0], [100.0]])
    pool = np.array([[3.0], [-2.0], [-3.5], [95.5]])  # 25.25 around 0, and 20.25 around 100
    strategy = LCMD(features="embedding", random_state=0).fit(labeled, [0, 1])
    scores = 25.25 * np.array([9, 4, 12.25]) / 12.25
    np.testing.assert_allclose(strategy.score(pool), [*scores, 20.25])
    assert strategy.select(pool, 4)[0] == 2  # not row 3, the farthest of all
    np.testing.assert_array_equal(strategy.score(labeled), 0)


@pytest.mark.parametrize("n_labeled", [1, 4, 60])
@pytest.mark.parametrize("features", ["gradient", "embedding"])
def test_the_best_score_comes_first(features, n_labeled):
    for seed in range(6):
        Z = np.random.RandomState(seed).standard_t(3, size=(200, 5))
        model = RandomForestClassifier(5, random_state=seed)
        strategy = LCMD(model, features=features, random_state=seed).fit(Z[:n_labeled], y[:n_labeled])
        scores = strategy.score(Z[n_labeled:])
        assert scores[strategy.select(Z[n_labeled:], 3)[0]] == scores.max()


def test_sparse_rows_and_images():
    for features in ("gradient", "embedding"):
        strategy = LCMD(LogisticRegression(), features=features, random_state=0)
        rows = strategy.fit(X[:20], y[:20]).select(X[20:], 10)
        Z = sparse.csr_matrix(X)
        np.testing.assert_array_equal(strategy.fit(Z[:20], y[:20]).select(Z[20:], 10), rows)
        images = np.random.RandomState(0).normal(size=(30, 1, 8, 8)).astype(np.float32)
        net = LCMD(NetClassifier(max_epochs=1, random_state=0), features=features, random_state=0)
        assert len(set(net.fit(images[:9], y[:9]).select(images, 5).tolist())) == 5


def test_probabilities_of_labelled_rows_are_checked_when_they_are_needed():
    strategy = LCMD(Stub(broken=True), features="gradient", random_state=0).fit(X[:20], y[:20])
    with pytest.raises(ValueError, match=r"Stub.*not finite"):
        strategy.select(X[20:], 3)
