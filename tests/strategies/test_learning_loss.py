"""LearningLoss: asks nets for the loss they predict, and learns a ranking for all other models."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import rankdata, spearmanr
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.tree import DecisionTreeClassifier

from skal import ActiveLearner, NetClassifier
from skal.nets.loss_prediction import LossPredictionClassifier
from skal.selection import top
from skal.strategies.learning_loss import LearningLoss, _kernel_ridge, _Ranker
from skal.testing import query_strategy_checks

rng = np.random.RandomState(0)
X, y = rng.normal(size=(120, 4)), np.arange(120) % 3
X[:, 0] += 2 * y
NET = {"module__hidden": 8, "max_epochs": 2, "dtype": "float64", "batch_size": -1, "random_state": 0}


@pytest.fixture(scope="module")
def net():
    return LossPredictionClassifier(**NET).fit(X[:40], y[:40])


@pytest.mark.parametrize("check", [check for _, check in query_strategy_checks(LearningLoss(subset=None))])
def test_contract(check):
    check()


def test_a_model_that_predicts_its_loss_is_asked(net):
    strategy = LearningLoss(FrozenEstimator(net), subset=None, random_state=0).fit(X[:40], y[:40])
    np.testing.assert_array_equal(strategy.score(X), net.predict_loss(X))
    np.testing.assert_array_equal(strategy.select(X, 7), top(net.predict_loss(X), 7, strategy.seed_))
    assert not {"ranker_", "labeled_loss_", "labeled_embedding_"} & set(vars(strategy))
    assert LearningLoss(FrozenEstimator(net)).fit(X[:1]).score(X).shape == (120,)  # needs no labels either


def test_candidates_are_drawn_and_the_best_of_them_taken(net):
    strategy = LearningLoss(FrozenEstimator(net), subset=30, random_state=0).fit(X[:40], y[:40])
    scores = strategy.score(X)
    everything = set(strategy.select(X, 30).tolist())
    assert len(everything) == 30
    np.testing.assert_array_equal(strategy.select(X, 5), strategy.select(X, 5))
    best = sorted(everything, key=lambda row: -scores[row])[:5]
    assert set(strategy.select(X, 5).tolist()) == set(best)
    other = strategy.set_params(random_state=1).fit(X[:40], y[:40])
    assert set(other.select(X, 30).tolist()) != everything
    with pytest.raises(ValueError, match=r"can't select n=31 rows of a sample of 30; raise subset"):
        strategy.select(X, 31)
    assert len(strategy.select(X[:30], 30)) == 30


def test_its_nature_is_stochastic_only_where_it_draws():
    assert (LearningLoss().nature, LearningLoss(subset=None).nature) == ("stochastic", "row-wise")


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        RandomForestClassifier(20, random_state=0),
        DecisionTreeClassifier(random_state=0),
        NetClassifier(**NET | {"max_epochs": 30, "lr": 0.02}),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_cheap_form_learns_where_labels_are_noise(model):
    rng = np.random.RandomState(1)
    rows = rng.normal(size=(400, 4)) * [1, 1, 10, 1]
    noisy = rows[:, 0] > 0
    labels = np.where(noisy, rng.randint(2, size=400), rows[:, 1] > 0)
    strategy = LearningLoss(model, random_state=0).fit(rows[:200], labels[:200])
    assert spearmanr(strategy.score(rows[200:]), noisy[200:])[0] > 0.35
    assert noisy[200:][strategy.select(rows[200:], 20)].mean() > 0.75


@pytest.mark.parametrize(
    "model",
    [
        LossPredictionClassifier(**NET),
        make_pipeline(StandardScaler(), LossPredictionClassifier(**NET)),
        NetClassifier(**NET),
        RandomForestClassifier(5),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=["loss net", "pipeline", "net", "forest", "linear"],
)
def test_a_learner_plays_its_rounds(model):
    learner = ActiveLearner(model, LearningLoss(subset=50), n_initial=9, n_rounds=2, random_state=0)
    first = learner.fit(X, y).labeled_iter_.copy()
    assert (first >= 0).sum() == 29
    np.testing.assert_array_equal(learner.fit(X, y).labeled_iter_, first)
    asks_model = not hasattr(learner.strategy_, "ranker_")
    assert asks_model == ("LossPrediction" in repr(model))


def test_losses_of_the_labelled_rows_are_kept(net):
    few = y[:20].copy()
    few[3] = 7
    strategy = LearningLoss(GaussianNB(), random_state=0).fit(X[:20], few)
    assert np.flatnonzero(np.isnan(strategy.labeled_loss_)).tolist() == [3]
    assert strategy.labeled_embedding_.shape == (20, 4)
    own = LearningLoss(GaussianNB(), cv=None).fit(X[:20], few)
    expected = -np.log(
        own.estimator_.predict_proba(X[:20])[np.arange(20), np.searchsorted([0, 1, 2, 7], few)]
    )
    np.testing.assert_allclose(own.labeled_loss_, expected)
    strategy.set_params(estimator=FrozenEstimator(net)).fit(X[:20], few)
    assert not hasattr(strategy, "labeled_loss_")


def test_one_row_of_each_class_is_enough():
    strategy = LearningLoss(GaussianNB(var_smoothing=0.1)).fit(X[:3], y[:3])
    assert np.isfinite(strategy.score(X)).all()
    one = LearningLoss(DecisionTreeClassifier()).fit(X[:1], y[:1])
    assert set(one.score(X).tolist()) == {0.5}


def test_without_labels_there_is_nothing_to_rank():
    with pytest.raises(ValueError, match="learns from labels"):
        LearningLoss(FrozenEstimator(GaussianNB().fit(X, y))).fit(X)


def test_an_embedding_or_a_layer_makes_any_model_take_the_cheap_form(net):
    frozen = FrozenEstimator(net)
    by_layer = LearningLoss(frozen, layer="features.1", cv=None).fit(X[:40], y[:40])
    assert by_layer.labeled_embedding_.shape == (40, 8)
    by_points = LearningLoss(frozen, embedding=PCA(2), cv=None).fit(X[:40], y[:40])
    assert by_points.labeled_embedding_.shape == (40, 2)
    gaps = np.where(rng.uniform(size=X.shape) < 0.1, np.nan, X)
    filled = make_pipeline(SimpleImputer(), StandardScaler())
    boosted = LearningLoss(HistGradientBoostingClassifier(max_iter=3), embedding=filled).fit(gaps, y)
    assert np.isfinite(boosted.score(gaps)).all()


def test_text_and_gaps_in_y():
    texts = [f"word{i % 7} another{i % 5} and{i % 3}" for i in range(60)]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    strategy = LearningLoss(model, random_state=0).fit(texts, y[:60])
    assert sparse.issparse(strategy.labeled_embedding_)
    assert len(strategy.select(texts, 5)) == 5
    gaps = np.where(np.arange(120) < 40, y, -1)
    semi = LearningLoss(SelfTrainingClassifier(GaussianNB(), threshold=0.99)).fit(X, gaps)
    assert (len(semi.labeled_loss_), len(semi.labeled_embedding_)) == (40, 40)


# -- the ranker ----------------------------------------------------------------------------------


def test_the_ranker_follows_the_order_of_losses_wherever_they_lie():
    Z = np.linspace(0, 1, 80)[:, np.newaxis] * [1, 1000]
    losses = np.exp(20 * np.abs(Z[:, 0] - 0.5))  # a valley, over five orders of magnitude
    predicted = _Ranker(Z[::2], losses[::2]).predict(Z[1::2])
    assert spearmanr(predicted, losses[1::2])[0] > 0.95
    assert predicted.min() > -0.2
    assert predicted.max() < 1.2
    as_sparse = _Ranker(sparse.csr_matrix(Z[::2]), losses[::2])
    assert spearmanr(as_sparse.predict(sparse.csr_matrix(Z[1::2])), losses[1::2])[0] > 0.9


def test_the_ranker_takes_what_is_infinite_equal_or_alone():
    Z = rng.normal(size=(30, 3))
    infinite = np.where(Z[:, 0] > 1, np.inf, Z[:, 0])
    assert np.isfinite(_Ranker(Z, infinite).predict(Z)).all()
    assert set(_Ranker(Z, np.zeros(30)).predict(Z)) == {0.5}
    assert set(_Ranker(np.ones((5, 3)), np.arange(5)).predict(Z)) == {0.5}
    assert _Ranker(Z[:1], np.ones(1)).predict(Z[:2]).tolist() == [0.5, 0.5]


def test_equal_rows_tie_to_the_last_bit_in_blocks_of_any_size():
    Z = rng.normal(size=(40, 7))
    ranker = _Ranker(Z, rng.rand(40))
    assert len(set(ranker.predict(np.tile(Z[3], (5000, 1))))) == 1


def test_ridges_are_chosen_by_leaving_one_out():
    Z = rng.normal(size=(25, 2))
    squares = ((Z[:, None] - Z) ** 2).sum(-1)
    kernel, target = np.exp(-squares), rankdata(Z[:, 0] + rng.normal(size=25)) / 25
    errors, solutions = [], []
    for ridge in np.logspace(2, -3, 11):
        left_out = []
        for i in range(25):
            rest = np.arange(25) != i
            fitted = np.linalg.solve(kernel[np.ix_(rest, rest)] + ridge * np.eye(24), target[rest])
            left_out.append((target[i] - kernel[i, rest] @ fitted) ** 2)
        errors.append(np.mean(left_out))
        solutions.append(np.linalg.solve(kernel + ridge * np.eye(25), target))
    np.testing.assert_allclose(_kernel_ridge(kernel, target), solutions[np.argmin(errors)], rtol=1e-6)
