"""Strategies and models that label pixels: one score for each image."""

import numpy as np
import pytest
from segmenter import PixelClassifier, different_sizes, same_size
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skal import ActiveLearner, EnsembleClassifier, acquisition
from skal._rows import as_objects
from skal.acquisition import over_pixels
from skal.strategies import (
    BADGE,
    BALD,
    EMOC,
    EPIG,
    LCMD,
    BatchBALD,
    ClusterMargin,
    CoreSet,
    Entropy,
    ExpectedGradientLength,
    LearningLoss,
    LeastConfidence,
    Margin,
    MeanStd,
    QueryByCommittee,
    QueryStrategy,
    StochasticBatch,
    StratifiedRandom,
    Subsample,
    SuggestiveAnnotation,
    TypiClust,
    VariationRatio,
)

SCORED = [
    Margin(),
    Entropy(pixels="max"),
    LeastConfidence(pixels=0.1),
    Margin(n_draws=2, pixels=0.5),
    BALD(),
    BALD(pixels="max"),
    VariationRatio(pixels=0.2),
    VariationRatio(kind="vote"),
    MeanStd(),
    QueryByCommittee(),
    QueryByCommittee(kind="consensus_kl", pixels=0.3),
    ClusterMargin(pixels="max"),
]
OTHERS = [
    CoreSet(),
    TypiClust(),
    StochasticBatch(BALD()),
    Subsample(Margin(), size=8),
    LCMD(),
    SuggestiveAnnotation(n_candidates=6, pixels=0.3),
    StratifiedRandom(),
]
REFUSED = [
    BADGE(),
    BatchBALD(),
    EPIG(),
    EMOC(),
    ExpectedGradientLength(),
    LearningLoss(),
    LCMD(features="gradient"),
    StochasticBatch(EPIG()),
    QueryByCommittee([PixelClassifier(), PixelClassifier()]),
]
POOLS = {"array": same_size(24, n_classes=3), "sizes": different_sizes(24, n_classes=3)}
MODEL = PixelClassifier(random_state=0)


def fitted(strategy, pool, n=8):
    X, y = POOLS[pool]
    bound = clone(strategy)
    (bound.strategy if hasattr(bound, "strategy") else bound).set_params(estimator=MODEL)
    return bound.set_params(random_state=0).fit(X[:n], y[:n]), X[n:]


def some(X, rows):
    return X[rows] if isinstance(X, np.ndarray) else [X[row] for row in rows]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("strategy", SCORED + OTHERS, ids=repr)
def test_there_is_one_score_for_each_image_and_a_batch_of_distinct_ones(strategy, pool):
    strategy, X = fitted(strategy, pool)
    scores = strategy.score(X)
    assert scores.shape == (len(X),)
    rows = strategy.select(X, 5)
    assert len(set(rows.tolist())) == 5
    if strategy.nature != "stochastic":
        assert scores[strategy.select(X, 1)[0]] == scores.max()


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("strategy", SCORED, ids=repr)
def test_scores_follow_a_permutation_and_are_those_of_an_image_alone(strategy, pool, monkeypatch):
    strategy, X = fitted(strategy, pool)
    scores = strategy.score(X)
    order = np.random.RandomState(0).permutation(len(X))
    np.testing.assert_array_equal(strategy.score(some(X, order)), scores[order])
    np.testing.assert_array_equal([strategy.score(some(X, [row]))[0] for row in range(len(X))], scores)
    monkeypatch.setattr("skal.capabilities._blocks.BLOCK_VALUES", 1500)  # one to three images at a time
    np.testing.assert_array_equal(strategy.score(X), scores)
    np.testing.assert_array_equal(strategy.score(as_objects(list(X))), scores)


OF_PROBA = {
    Margin: acquisition.margin,
    Entropy: acquisition.entropy,
    LeastConfidence: acquisition.least_confidence,
    ClusterMargin: acquisition.margin,
}
OF_DRAWS = {
    BALD: acquisition.mutual_information,
    MeanStd: acquisition.mean_std,
    VariationRatio: acquisition.variation_ratio,
    QueryByCommittee: acquisition.vote_entropy,
}


@pytest.mark.parametrize("pixels", ["mean", "max", 0.2])
@pytest.mark.parametrize("kind", [*OF_PROBA, *OF_DRAWS])
def test_the_score_is_the_function_over_the_pixels_asked_for(kind, pixels):
    strategy, X = fitted(kind(pixels=pixels), "array")
    model = strategy.estimator_
    of_pixels = (
        OF_PROBA[kind](model.predict_proba(X)) if kind in OF_PROBA else OF_DRAWS[kind](model.sample_proba(X))
    )
    np.testing.assert_array_equal(strategy.score(X), over_pixels(of_pixels, pixels))


class PixelOfTables(ClassifierMixin, BaseEstimator):
    """A forest on tables, as a model of images of one pixel, whose channels are the columns."""

    labels_pixels = True

    def fit(self, X, y):
        self.forest_ = RandomForestClassifier(5, max_depth=3, random_state=0).fit(X[:, :, 0, 0], y[:, 0, 0])
        self.classes_ = self.forest_.classes_
        return self

    def predict_proba(self, X):
        return self.forest_.predict_proba(X[:, :, 0, 0])[:, np.newaxis, np.newaxis]

    def sample_proba(self, X, n_draws=None, *, random_state=None):
        columns = X[:, :, 0, 0]
        members = [tree.predict_proba(columns) for tree in self.forest_.estimators_]
        return np.stack(members)[:, :, np.newaxis, np.newaxis]


@pytest.mark.parametrize("pixels", ["mean", "max", 0.3])
@pytest.mark.parametrize(
    "strategy",
    [s for s in SCORED if not isinstance(s, ClusterMargin) and s.get_params().get("n_draws") is None],
)
def test_classification_is_the_case_of_one_pixel(strategy, pixels):
    rng = np.random.RandomState(0)
    y = np.arange(60) % 3
    X = rng.normal(size=(60, 4)) + y[:, np.newaxis]
    forest = RandomForestClassifier(5, max_depth=3, random_state=0)
    of_rows = clone(strategy).set_params(estimator=forest, random_state=0).fit(X[:30], y[:30])
    of_pixels = clone(strategy).set_params(estimator=PixelOfTables(), random_state=0, pixels=pixels)
    of_pixels.fit(X[:30, :, None, None], y[:30, None, None])
    np.testing.assert_array_equal(of_pixels.score(X[:, :, None, None]), of_rows.score(X))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("strategy", [Margin(), BALD(pixels="max"), CoreSet()], ids=repr)
def test_what_stands_in_ignored_pixels_does_not_count(strategy, pool):
    """Marked pixels teach nothing, and images of marked pixels alone are no labelled rows."""
    X, y = POOLS[pool]
    y = [mask.copy() for mask in y]
    for mask in y[:6]:
        mask[:2] = -1
    y[6][:], y[7] = -1, (None if pool == "sizes" else np.full_like(y[7], -1))
    strategy = clone(strategy).set_params(estimator=MODEL, random_state=0)
    scores = clone(strategy).fit(X[:8], y[:8]).score(X)
    assert clone(strategy).fit(X[:8], y[:8]).estimator_.n_fitted_ == 6
    np.testing.assert_array_equal(clone(strategy).fit(X[:6], y[:6]).score(X), scores)


@pytest.mark.parametrize("strategy", REFUSED, ids=repr)
def test_what_has_no_meaning_for_pixels_is_refused_before_any_training(strategy):
    X, y = POOLS["array"]

    class MustNotTrain(PixelClassifier):
        def fit(self, X, y):
            raise AssertionError("trained")

    for model in (
        MustNotTrain(),
        make_pipeline(FunctionTransformer(), MustNotTrain()),
        EnsembleClassifier(MustNotTrain()),
    ):
        with pytest.raises(TypeError, match=r"(?s)label(s each|s) pixel.*use|EnsembleClassifier|BALD"):
            ActiveLearner(model, strategy).fit(X, y)


def test_a_model_of_the_strategys_own_must_take_the_same_labels():
    X, y = POOLS["array"]
    with pytest.raises(TypeError, match="only one of them labels pixels"):
        ActiveLearner(PixelClassifier(), Margin(LogisticRegression())).fit(X, y)
    of_rows = LogisticRegression().fit([[0], [1]], [0, 1])  # frozen, it is asked and not fitted
    ActiveLearner(PixelClassifier(), CoreSet(FrozenEstimator(of_rows)), n_initial=5, n_rounds=1).fit(X, y)


def test_a_strategy_that_scores_pixels_is_told_so():
    class OfPixels(QueryStrategy):
        requires = ("predict_proba",)

        def _score(self, X, rng):
            return acquisition.margin(self.estimator_.predict_proba(X))

    X, y = POOLS["array"]
    with pytest.raises(ValueError, match=r"scores of shape \(24, 8, 8\).*over_pixels"):
        OfPixels(PixelClassifier()).fit(X, y).score(X)


@pytest.mark.parametrize("pixels", ["median", 0, 1.5, -0.1, None])
@pytest.mark.parametrize("kind", [Margin, BALD, ClusterMargin])
def test_other_pixels_are_refused(kind, pixels):
    with pytest.raises(ValueError, match="pixels"):
        kind(PixelClassifier(), pixels=pixels).fit(*POOLS["array"])


def test_over_pixels_is_what_it_says():
    scores = np.random.RandomState(0).uniform(size=(5, 4, 3))
    np.testing.assert_allclose(over_pixels(scores), scores.mean(axis=(1, 2)))
    np.testing.assert_array_equal(over_pixels(scores, "max"), scores.max(axis=(1, 2)))
    top = np.sort(scores.reshape(5, -1))[:, -4:]
    np.testing.assert_allclose(over_pixels(scores, 0.3), top.mean(axis=1))  # 3.6 of 12, rounded up
    np.testing.assert_allclose(over_pixels(scores, 1), over_pixels(scores))
    np.testing.assert_array_equal(over_pixels(scores, 1e-9), over_pixels(scores, "max"))


@pytest.mark.parametrize("pixels", ["mean", "max", 0.1, 0.25])
def test_over_pixels_lies_between_mean_and_max_in_any_layout(pixels):
    scores = np.random.RandomState(0).uniform(size=(7, 9, 8)).astype(np.float32)
    found = over_pixels(scores, pixels)
    assert (over_pixels(scores) - 1e-12 <= found).all()
    assert (found <= over_pixels(scores, "max")).all()
    turned = np.asfortranarray(scores)
    np.testing.assert_array_equal(over_pixels(turned, pixels), found)
    np.testing.assert_array_equal(over_pixels(as_objects(list(scores)), pixels), found)
    rows = np.array([0.2, 0.7])
    assert over_pixels(rows, pixels) is rows


def test_a_noisy_image_is_asked_for_by_its_mean_and_an_odd_spot_by_its_max():
    """The mean adds up small doubts; the largest one alone is what "max" looks at."""
    doubtful, spot = np.full((6, 6), 0.4), np.zeros((6, 6))
    spot[2, 3] = 0.9
    assert over_pixels([doubtful, spot]).argmax() == 0
    assert over_pixels([doubtful, spot], "max").argmax() == 1


@pytest.mark.parametrize("pool", POOLS)
def test_the_foreground_is_looked_for_and_the_background_is_not(pool):
    strategy, X = fitted(StratifiedRandom(share=1), pool)
    predicted = strategy.estimator_.predict(X)
    np.testing.assert_allclose(strategy.score(X), [(mask > 0).mean() for mask in predicted])
    strategy.set_params(foreground=[2])
    np.testing.assert_allclose(strategy.score(X), [(mask == 2).mean() for mask in predicted])


@pytest.mark.parametrize("pixels", ["mean", "max", 0.2])
def test_candidates_of_suggestive_annotation_are_those_of_the_largest_variance(pixels):
    strategy, X = fitted(SuggestiveAnnotation(n_candidates=4, pixels=pixels), "array")
    variances = over_pixels(acquisition.variance(strategy.estimator_.sample_proba(X)), pixels)
    assert set(np.flatnonzero(strategy.score(X) >= 1)) == set(np.argsort(-variances)[:4])
