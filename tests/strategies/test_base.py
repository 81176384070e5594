"""What every strategy inherits."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skal.strategies import Entropy, Margin, QueryStrategy, Random, Subsample, with_estimator
from skal.testing import Stub, check_query_strategy

X, Y = load_iris(return_X_y=True)
ORDER = np.random.RandomState(0).permutation(150)
X, Y = X[ORDER], Y[ORDER]


class FirstColumn(QueryStrategy):
    """The example of the documentation: one hook, no parameters."""

    needs_labels = False

    def _score(self, X, rng):
        return np.asarray(X)[:, 0]


class Infinite(FirstColumn):
    def _score(self, X, rng):
        return np.where(np.arange(len(X)) < 2, np.inf, 0)


class MustNotTrain(GaussianNB):
    def fit(self, X, y):
        raise AssertionError("trained before it was refused")


def test_one_hook_is_a_strategy():
    strategy = FirstColumn().fit(X)
    np.testing.assert_array_equal(strategy.score(X), X[:, 0])
    assert X[strategy.select(X, 1)[0], 0] == X[:, 0].max()
    frame = strategy.set_output(transform="pandas").transform(X)
    assert frame.columns.tolist() == ["firstcolumn0"]
    with pytest.raises(NotImplementedError, match="_score"):
        QueryStrategy(GaussianNB()).fit(X, Y).score(X)


def test_a_strategy_is_a_step_of_a_pipeline():
    steps = make_pipeline(Entropy(GaussianNB()), DecisionTreeClassifier(max_depth=2))
    assert steps.fit(X, Y).predict(X).shape == (150,)
    assert clone(steps)[:-1].fit(X, Y).transform(X).shape == (150, 1)


@pytest.mark.parametrize("n", [151, -1])
def test_more_rows_than_there_are_name_both_numbers(n):
    with pytest.raises(ValueError, match=rf"n={n} of 150"):
        Margin(GaussianNB()).fit(X, Y).select(X, n)


def test_scores_that_are_not_finite_are_counted_and_named():
    for ask in (lambda s: s.score(X), lambda s: s.select(X, 3)):
        with pytest.raises(ValueError, match=r"Infinite\(\) scored 2 of 150"):
            ask(Infinite().fit(X))


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (Margin(), "estimator="),
        (Subsample(Margin()), "estimator="),
        (Margin(Perceptron()), "Perceptron()"),
        (Margin(Ridge()), "classifiers only"),
        (Subsample(Entropy(Stub(capabilities=()))), "predict_proba"),
    ],
    ids=repr,
)
def test_a_model_that_can_not_do_it_is_refused_before_anything_runs(strategy, words):
    with pytest.raises(TypeError) as caught:
        strategy.fit(X, Y)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("y", "words"),
    [(None, "requires y"), (np.full(150, -1), "none of the 150 rows"), (Y[:-1], "inconsistent")],
)
def test_labels_that_are_not_there_are_missed_before_anything_runs(y, words):
    with pytest.raises(ValueError, match=words):
        Margin(MustNotTrain()).fit(X, y)


@pytest.mark.parametrize("mark", [-1, None, np.nan], ids=str)
def test_gaps_are_left_out_of_training_with_their_weights(mark):
    gap = np.arange(150) % 3 == 0
    y = np.where(gap, mark, Y.astype({-1: int, None: object}.get(mark, float)))
    weights = np.random.RandomState(0).uniform(0.5, 2, 150)
    strategy = Margin(GaussianNB()).fit(X, y, sample_weight=weights)
    by_hand = GaussianNB().fit(X[~gap], Y[~gap], sample_weight=weights[~gap])
    np.testing.assert_array_equal(strategy.estimator_.predict_proba(X), by_hand.predict_proba(X))


@pytest.mark.parametrize(
    "container",
    [
        pd.DataFrame(X, columns=list("abcd"), index=np.arange(150)[::-1]),
        X.tolist(),
        X.astype(np.float32),
    ],
    ids=["frame", "lists", "float32"],
)
def test_tables_of_any_kind_are_asked_by_position(container):
    strategy = Margin(GaussianNB(), random_state=0).fit(container, pd.Series(Y, index=np.arange(150) + 7))
    assert strategy.n_features_in_ == 4
    rows = strategy.select(container, 10)
    np.testing.assert_allclose(
        strategy.score(container)[rows], np.sort(strategy.score(container))[::-1][:10], rtol=1e-6
    )
    with pytest.raises(ValueError, match="feature"):
        strategy.score(pd.DataFrame(X[:, :2], columns=list("ab")) if hasattr(container, "iloc") else X[:, :2])


def test_sparse_tables_go_to_models_that_take_them():
    dense, thin = (
        Margin(LogisticRegression(max_iter=500)).fit(kind(X), Y) for kind in (np.array, sparse.csr_array)
    )
    np.testing.assert_allclose(thin.score(sparse.csc_array(X)), dense.score(X), atol=1e-2)


def test_seeds_of_the_model_follow_that_of_the_strategy():
    a, b, c = (
        Margin(DecisionTreeClassifier(max_features=1), random_state=seed).fit(X[:40], Y[:40])
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a.score(X), b.score(X))
    assert a.estimator_.random_state == b.estimator_.random_state != c.estimator_.random_state
    kept = Margin(DecisionTreeClassifier(random_state=5), random_state=0).fit(X, Y)
    assert kept.estimator_.random_state == 5
    assert a.estimator.random_state is None


def test_a_lent_model_is_frozen_and_its_own_stays():
    model = GaussianNB().fit(X, Y)
    lent = with_estimator(Margin(), model)
    assert isinstance(lent.estimator, FrozenEstimator)
    assert lent.estimator.estimator is model
    own = Margin(DecisionTreeClassifier())
    assert isinstance(with_estimator(own, model).estimator, DecisionTreeClassifier)


def test_random_takes_images_texts_and_nothing_at_all():
    for rows in (np.zeros((6, 2, 2)), ["a b"] * 6, [np.zeros(i + 1) for i in range(6)]):
        assert len(Random().fit(rows).select(rows, 3)) == 3
    assert Random().fit(np.empty((0, 4))).select(X, 150).shape == (150,)
    assert Margin(GaussianNB()).fit(X, Y).select(X[:0], 0).shape == (0,)


def test_metadata_routing_leaves_a_plain_fit_alone():
    with sklearn.config_context(enable_metadata_routing=True):
        assert Margin(GaussianNB()).fit(X, Y).select(X, 2).shape == (2,)


def test_metadata_reach_the_model_where_they_are_requested():
    X, y = load_iris(return_X_y=True)
    weight = np.where(y == 1, 1000.0, 1.0)
    with config_context(enable_metadata_routing=True):
        for inside in (lambda model: Margin(model, random_state=0), lambda model: Subsample(Margin(model))):
            scores = [
                inside(GaussianNB().set_fit_request(sample_weight=request))
                .fit(X, y, **({"sample_weight": weight} if request else {}))
                .score(X)
                for request in (True, False)
            ]
            assert not np.allclose(*scores)


def test_the_contract_holds_around_an_ordinary_model():
    check_query_strategy(Margin(GaussianNB()))
    check_query_strategy(Random(make_pipeline(StandardScaler(), LogisticRegression())))
