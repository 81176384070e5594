"""`DiscriminativeAL`: mini-queries, the part of the pool they draw, and classifiers of one's own."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skal import ActiveLearner, NetClassifier
from skal.strategies import DiscriminativeAL
from skal.strategies.discriminative import _sizes

X, Y = load_digits(return_X_y=True)
X = X / 16
FITS = []  # what each discriminator was trained on: labelled and unlabelled points


class Recording(LogisticRegression):
    """Logistic regression that keeps what it is trained on."""

    def fit(self, X, y):
        FITS.append((X[y == 0], X[y == 1]))
        return super().fit(X, y)


@pytest.fixture
def fits():
    FITS.clear()
    return FITS


def strategy(labeled=X[:20], **params):
    params = {"discriminator": LogisticRegression(), "random_state": 0} | params
    return DiscriminativeAL(**params).fit(labeled, np.arange(len(labeled)) % 2)


def rows_of(points, pool):
    """Positions of points in a pool of distinct rows."""
    where = {row.tobytes(): i for i, row in enumerate(pool)}
    return [where[point.tobytes()] for point in points]


@pytest.mark.parametrize("n", [1, 2, 7, 23, 150])
@pytest.mark.parametrize("n_batches", [1, 5, 20])
def test_it_is_the_published_algorithm(n, n_batches):
    """Where the pool has no more rows than a mini-query draws, nothing is left to chance."""
    known, left, expected = X[:20], list(range(150)), []
    pool = X[20:170]
    n_per_query = max(1, n // n_batches)
    while len(expected) < n:
        is_last = len(expected) // n_per_query == min(n, n_batches) - 1
        y = np.repeat([0, 1], [len(known), len(left)])
        model = LogisticRegression().fit(np.concatenate([known, pool[left]]), y)
        order = np.argsort(-model.predict_proba(pool[left])[:, 1])
        best = [left[i] for i in order[: n - len(expected) if is_last else n_per_query]]
        expected += best
        known = np.concatenate([known, pool[best]])
        left = [row for row in left if row not in best]
    np.testing.assert_array_equal(strategy(n_batches=n_batches).select(pool, n), expected)


@pytest.mark.parametrize("n", range(1, 50))
@pytest.mark.parametrize("n_batches", [1, 2, 7, 20])
def test_mini_queries_add_up_and_none_is_empty(n, n_batches):
    sizes = _sizes(n, n_batches)
    assert sum(sizes) == n
    assert len(sizes) == min(n, n_batches)
    assert set(sizes[:-1]) <= {max(1, n // n_batches)}
    assert min(sizes) >= 1


def test_what_was_chosen_counts_as_labelled_and_is_gone_from_the_pool(fits):
    pool = X[20:]
    rows = strategy(discriminator=Recording(), n_batches=4, ratio=3).select(pool, 22)
    assert len(fits) == 4
    for i, (labeled, unlabeled) in enumerate(fits):
        np.testing.assert_array_equal(labeled, np.concatenate([X[:20], pool[rows[: 5 * i]]]))
        assert len(unlabeled) == 3 * (20 + 5 * i)
        drawn = rows_of(unlabeled, pool)
        assert len(set(drawn)) == len(drawn)
        assert not set(drawn) & set(rows[: 5 * i].tolist())
        assert set(rows[5 * i : 5 * i + 5].tolist()) <= set(drawn)


def test_each_mini_query_draws_anew(fits):
    strategy(discriminator=Recording(), n_batches=2, ratio=1).select(X[20:], 4)
    first, second = (set(rows_of(unlabeled, X[20:])) for _, unlabeled in fits)
    assert len(first & second) < 5


@pytest.mark.parametrize(("n_labeled", "n_pool", "n"), [(1, 200, 150), (2, 30, 30), (20, 15, 15), (1, 1, 1)])
def test_a_part_is_never_smaller_than_what_is_still_to_be_chosen(fits, n_labeled, n_pool, n):
    pool = X[20 : 20 + n_pool]
    fitted = strategy(X[:n_labeled], discriminator=Recording(), n_batches=3)
    assert sorted(set(fitted.select(pool, n).tolist())) == sorted(fitted.select(pool, n).tolist())
    chosen = 0
    for (_, unlabeled), size in zip(fits, _sizes(n, 3), strict=False):
        assert len(unlabeled) == min(n_pool - chosen, max(10 * (n_labeled + chosen), n - chosen))
        chosen += size


@pytest.mark.parametrize("discriminator", [None, LogisticRegression()])
@pytest.mark.parametrize("n", [1, 12])
def test_the_same_rows_are_chosen_wherever_they_stand(discriminator, n):
    fitted = strategy(X[:10], discriminator=discriminator, n_batches=3)
    pool = X[10:400]
    order = np.random.RandomState(0).permutation(len(pool))
    np.testing.assert_array_equal(order[fitted.select(pool[order], n)], fitted.select(pool, n))
    np.testing.assert_array_equal(fitted.score(pool[order]), fitted.score(pool)[order])


def test_equal_rows_have_equal_scores():
    pool = X[10:400]
    scores = strategy(X[:10], discriminator=None).score(np.concatenate([pool, pool[::-1]]))
    np.testing.assert_array_equal(scores[: len(pool)], scores[len(pool) :][::-1])


def test_each_seed_draws_other_rows(fits):
    for seed in (0, 1):
        strategy(X[:10], discriminator=Recording(), random_state=seed).select(X[10:], 2)
    assert len(set(rows_of(fits[0][1], X[10:])) & set(rows_of(fits[-1][1], X[10:]))) < 50


@pytest.mark.parametrize("discriminator", [None, LogisticRegression()])
def test_it_chooses_what_is_unlike_the_labelled_rows(discriminator):
    fitted = strategy(X[:100], discriminator=discriminator, n_batches=2)
    pool, is_other = np.concatenate([X[100:300], 1 - X[300:500]]), np.repeat([0, 1], 200)
    assert is_other[fitted.select(pool, 20)].all()
    assert is_other[np.argsort(-fitted.score(pool))[:50]].all()


def test_mini_queries_keep_a_batch_from_filling_with_neighbours():
    rng = np.random.RandomState(0)
    # Labelled rows in the middle; a large crowd far away, and a small one on the other side.
    labeled, large, small = (rng.normal(size=(n, 2)) + [at, 0] for n, at in ((40, 0), (60, 9), (20, -5)))
    pool = np.concatenate([large, small])
    of_small = [
        (strategy(labeled, discriminator=None, n_batches=n_batches).select(pool, 20) >= 60).sum()
        for n_batches in (1, 10)
    ]
    assert of_small[0] < of_small[1]


@pytest.mark.parametrize("params", [{"stop_accuracy": 0.9}, {"class_weight": "balanced"}])
def test_a_discriminator_of_ones_own_leaves_no_parameter_without_effect(params, fits):
    with pytest.raises(ValueError, match="discriminator of its own"):
        strategy(discriminator=Recording(), **params)
    learner = ActiveLearner(Recording(), DiscriminativeAL(discriminator=Recording(), **params))
    with pytest.raises(ValueError, match="discriminator of its own"):
        learner.fit(X[:50], Y[:50])
    assert not fits


def test_class_weights_and_accuracy_reach_the_default_net():
    scores = [
        strategy(discriminator=None, **params).score(X[20:400])
        for params in ({}, {"stop_accuracy": 0.999}, {"class_weight": "balanced"})
    ]
    assert scores[0].mean() > 0.8  # ten in eleven rows of the training are unlabelled
    assert scores[2].mean() < scores[0].mean() - 0.02
    assert not np.allclose(scores[0], scores[1])


@pytest.mark.parametrize("discriminator", [LinearSVC(), "logistic"])
def test_a_discriminator_gives_probabilities(discriminator):
    with pytest.raises(ValueError, match="discriminator"):
        strategy(discriminator=discriminator)


class Broken(ClassifierMixin, BaseEstimator):
    """A classifier that answers with NaN."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), np.nan)


@pytest.mark.parametrize("n", [1, 7])
def test_a_broken_discriminator_is_named(n):
    with pytest.raises(ValueError, match="Broken"):
        strategy(discriminator=Broken()).select(X[20:], n)


def test_a_net_as_discriminator_scores_without_dropout():
    net = NetClassifier(max_epochs=5)  # its default module has dropout
    fitted = strategy(discriminator=net, n_batches=2)
    np.testing.assert_array_equal(fitted.score(X[20:90]), fitted.score(X[20:90]))
    again = strategy(discriminator=clone(net), n_batches=2)
    np.testing.assert_array_equal(fitted.select(X[20:90], 9), again.select(X[20:90], 9))
    assert not hasattr(net, "classes_")


def test_dropout_and_batch_normalisation_of_the_model_are_off():
    torch.manual_seed(0)
    body = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.BatchNorm1d(32), torch.nn.Dropout(0.5)
    )
    images = X.reshape(-1, 1, 8, 8).astype(np.float32)
    net = NetClassifier(torch.nn.Sequential(body, torch.nn.Linear(32, 10)), max_epochs=3, random_state=0)
    fitted = DiscriminativeAL(net, discriminator=KNeighborsClassifier(), random_state=0)
    fitted.fit(images[:60], Y[:60])
    module = fitted.estimator_.module_
    before = {name: value.clone() for name, value in module.state_dict().items()}
    scores = fitted.score(images[60:200])
    assert len(set(fitted.select(images[60:200], 30).tolist())) == 30
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    with torch.inference_mode():
        points = module.eval()[0](torch.tensor(images, device=fitted.estimator_.device)).cpu().numpy()
    np.testing.assert_allclose(fitted.labeled_embedding_, points[:60], rtol=1e-5, atol=1e-6)
    ready = DiscriminativeAL(discriminator=KNeighborsClassifier(), random_state=0).fit(points[:60], Y[:60])
    np.testing.assert_allclose(ready.score(points[60:200]), scores)


def test_sparse_rows():
    csr, labeled = sparse.csr_matrix(X[20:170]), sparse.csr_matrix(X[:20])
    y = Y[:20]
    dense = strategy().score(X[20:170])
    fitted = DiscriminativeAL(discriminator=LogisticRegression(), random_state=0).fit(labeled, y)
    np.testing.assert_allclose(fitted.score(csr), dense, rtol=1e-6)
    fitted = DiscriminativeAL(n_batches=3, random_state=0).fit(labeled, y)
    order = np.random.RandomState(0).permutation(150)
    np.testing.assert_array_equal(order[fitted.select(csr[order], 10)], fitted.select(csr, 10))


@pytest.mark.parametrize(
    "model",
    [make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)), NetClassifier(max_epochs=3)],
    ids=["pipeline", "net"],
)
def test_it_runs_in_the_loop(model):
    pool = X[:150].reshape(-1, 1, 8, 8) if isinstance(model, NetClassifier) else X[:150]
    learner = ActiveLearner(model, DiscriminativeAL(n_batches=2), n_rounds=2, batch_size=5, random_state=0)
    queried = learner.fit(pool, Y[:150]).labeled_iter_
    assert np.bincount(queried[queried >= 0]).tolist() == [20, 5, 5]


@pytest.mark.parametrize(
    "params",
    [{"n_batches": 0}, {"ratio": 0}, {"stop_accuracy": 0}, {"stop_accuracy": 1.1}, {"class_weight": {0: 1}}],
)
def test_parameters_have_a_range(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        strategy(discriminator=None, **params)
