import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer, Normalizer

from skal import ActiveLearner, EnsembleClassifier, NetClassifier
from skal.acquisition import variance
from skal.strategies import SuggestiveAnnotation
from skal.strategies.suggestive import mean_cosine


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:400] / 16, y[:400]


def fitted(X, y, **params):
    ensemble = EnsembleClassifier(LogisticRegression(max_iter=500), 4, bootstrap=True, random_state=0)
    return SuggestiveAnnotation(ensemble, random_state=0, **params).fit(X[:60], y[:60])


def by_hand(draws, Z, n_candidates, n):
    """The paper's two steps, word for word."""
    uncertainty = draws.var(axis=0).mean(axis=-1)
    candidates = np.argsort(-uncertainty)[:n_candidates]
    unit = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    chosen = []
    while len(chosen) < n:
        left = [i for i in candidates if i not in chosen]
        values = [(unit @ unit[[*chosen, i]].T).clip(0).max(axis=1).sum() for i in left]
        chosen.append(left[np.argmax(values)])
    return chosen


@pytest.mark.parametrize(("n_candidates", "n"), [(16, 8), (40, 5), (4, 4)])
def test_the_rows_are_those_of_the_two_steps_written_out(digits, n_candidates, n):
    X, y = digits
    strategy = fitted(X, y, n_candidates=n_candidates)
    expected = by_hand(strategy.estimator_.sample_proba(X), X, n_candidates, n)
    np.testing.assert_array_equal(strategy.select(X, n), expected)


def test_the_cosine_is_normalised(digits):
    # A public port divides by 1: then long rows win, whatever their direction.
    X, y = digits
    lengths = np.random.RandomState(0).uniform(0.1, 100, size=(len(X), 1))
    stretched = fitted(X * 1.0, y, embedding=FunctionTransformer(lambda Z: Z))
    stretched._embed = lambda Z: Z * lengths
    np.testing.assert_array_equal(stretched.select(X, 8), fitted(X, y).select(X, 8))
    np.testing.assert_allclose(stretched.score(X), fitted(X, y).score(X))


def test_representativeness_is_of_all_rows_and_the_choice_among_candidates_only(digits):
    X, y = digits
    strategy = fitted(X, y, n_candidates=10)
    draws = strategy.estimator_.sample_proba(X)
    candidates = np.argsort(-variance(draws))[:10]
    rows = strategy.select(X, 3)
    assert set(rows) <= set(candidates)
    # Were the sum over the candidates only, others would be chosen.
    assert rows.tolist() != [candidates[i] for i in by_hand(draws[:, candidates], X[candidates], 10, 3)]


def test_a_batch_larger_than_the_candidates_takes_the_most_uncertain(digits):
    X, y = digits
    strategy = fitted(X, y, n_candidates=2)
    most = np.argsort(-variance(strategy.estimator_.sample_proba(X)))[:20]
    assert set(strategy.select(X, 20)) == set(most)


def test_the_score_ranks_candidates_above_all_others(digits):
    X, y = digits
    strategy = fitted(X, y)
    scores, draws = strategy.score(X), strategy.estimator_.sample_proba(X)
    candidates = np.argsort(-variance(draws))[:16]
    others = np.setdiff1d(np.arange(len(X)), candidates)
    assert scores[candidates].min() >= 1
    np.testing.assert_allclose(scores[others], variance(draws)[others])
    np.testing.assert_allclose(scores[candidates], 1 + mean_cosine(X, candidates))
    assert strategy.select(X, 1) == scores.argmax()


def test_mean_cosine_of_sparse_of_opposite_and_of_empty_rows():
    Z = np.array([[1.0, 0], [-2, 0], [0, 3], [0, 0]])
    expected = [0.25, 0.25, 0.25, 0]
    np.testing.assert_allclose(mean_cosine(Z, np.arange(4)), expected)
    np.testing.assert_allclose(mean_cosine(sparse.csr_matrix(Z), np.arange(4)), expected)


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(10, random_state=0),
        NetClassifier(module__hidden=16, max_epochs=2, random_state=0),
        EnsembleClassifier(NetClassifier(module__hidden=16, max_epochs=2), 3, bootstrap=True, random_state=0),
    ],
    ids=["forest", "net", "ensemble"],
)
def test_any_model_with_draws_will_do(digits, model):
    X, y = digits
    learner = ActiveLearner(model, SuggestiveAnnotation(), n_rounds=2, batch_size=8, random_state=0)
    assert (learner.fit(X, y).labeled_iter_ >= 0).sum() == 36


def test_an_embedding_of_ones_own(digits):
    X, y = digits
    assert len(set(fitted(X, y, embedding=Normalizer()).select(X, 8))) == 8


def test_a_model_without_draws_is_refused_before_training(digits):
    X, y = digits
    with pytest.raises(TypeError, match=r"SuggestiveAnnotation.*needs a model with sample_proba"):
        SuggestiveAnnotation(LogisticRegression()).fit(X, y)


def test_rows_tied_with_the_last_candidate_are_candidates():
    X, y = load_digits(return_X_y=True)
    strategy = SuggestiveAnnotation(RandomForestClassifier(3, max_depth=3, random_state=0), random_state=0)
    strategy.fit(X[:100], y[:100])
    order = np.random.RandomState(0).permutation(len(X))
    np.testing.assert_allclose(strategy.score(X[order]), strategy.score(X)[order])
