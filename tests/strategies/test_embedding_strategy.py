"""EmbeddingStrategy: what rows are compared by, and what it learns of labelled and other rows."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from skal import ActiveLearner, NetClassifier
from skal.strategies import EmbeddingStrategy, Subsample
from skal.strategies._embedding import settle_embedding

rng = np.random.RandomState(0)
X, y = rng.normal(size=(60, 4)), np.arange(60) % 3


class Far(EmbeddingStrategy):
    """Scores a row by its distance to the nearest labelled row; needs no labels."""

    needs_labels = False

    def _score(self, X, rng):
        Z = self._embed(X)
        if len(self.labeled_embedding_) == 0:
            return np.linalg.norm(Z, axis=1)
        return pairwise_distances(Z, self.labeled_embedding_).min(axis=1)


class Counted(TransformerMixin, BaseEstimator):
    """Standardises, and remembers how many rows it was fitted on."""

    def fit(self, X, y=None):
        assert y is None
        self.n_fitted_, self.mean_ = len(X), X.mean(axis=0)
        return self

    def transform(self, X):
        return X - self.mean_


def test_without_a_model_the_row_is_its_own_embedding():
    strategy = Far().fit(X[:10], y[:10])
    np.testing.assert_array_equal(strategy.labeled_embedding_, X[:10])
    np.testing.assert_allclose(strategy.score(X)[:10], 0, atol=1e-7)


def test_the_model_says_where_rows_lie():
    strategy = Far(make_pipeline(StandardScaler(), LogisticRegression())).fit(X[:30], y[:30])
    np.testing.assert_allclose(strategy.labeled_embedding_, StandardScaler().fit_transform(X[:30]))


def test_a_transformer_takes_the_models_place_and_sees_all_rows_labelled_or_not():
    hidden = np.where(np.arange(60) < 20, y, -1)
    strategy = Far(LogisticRegression(), embedding=Counted()).fit(X, hidden)
    assert strategy.embedding_.n_fitted_ == 60
    np.testing.assert_array_equal(strategy.labeled_embedding_, X[:20] - X.mean(axis=0))


@pytest.mark.parametrize("hide_all", [False, True])
def test_no_labels_are_a_cold_start(hide_all):
    strategy = Far(embedding=Counted()).fit(X, np.full(60, -1) if hide_all else None)
    assert strategy.embedding_.n_fitted_ == 60
    assert strategy.labeled_embedding_.shape == (0, 0)
    np.testing.assert_allclose(strategy.score(X), np.linalg.norm(X - X.mean(axis=0), axis=1))


def test_no_rows_at_all_are_one_too_and_the_rows_scored_then_fit_the_embedding():
    strategy = Far(embedding=Counted()).fit(X[:0])
    before = set(vars(strategy))
    np.testing.assert_allclose(strategy.score(X), np.linalg.norm(X - X.mean(axis=0), axis=1))
    assert set(vars(strategy)) == before


def test_a_frozen_embedding_is_used_as_it_is():
    fitted = PCA(2).fit(X)
    strategy = Far(embedding=FrozenEstimator(fitted)).fit(X[:10], y[:10])
    np.testing.assert_allclose(strategy.labeled_embedding_, fitted.transform(X[:10]))
    np.testing.assert_allclose(Far(embedding=FrozenEstimator(fitted)).fit(X[:0]).score(X).shape, (60,))


def test_a_second_fit_forgets_the_first_embedding():
    strategy = Far(embedding=Counted()).fit(X, y)
    strategy.fit(X[:0])
    assert not hasattr(strategy, "embedding_")


def test_a_model_without_labels_has_no_embedding():
    with pytest.raises(ValueError, match="fitted on no labels"):
        Far(LogisticRegression()).fit(X).score(X)
    with_pca = Far(LogisticRegression(), embedding=PCA(2)).fit(X)
    assert with_pca.score(X).shape == (60,)


def test_a_learner_fits_the_embedding_once_on_the_pool():
    strategy = Far(embedding=Counted())
    learner = ActiveLearner(LogisticRegression(), strategy, n_initial=6, n_rounds=2, random_state=0).fit(X, y)
    assert learner.strategy_.embedding_.n_fitted_ == 60
    assert not hasattr(strategy, "embedding_")
    for stage in learner.stages():
        assert stage.strategy_.embedding_.n_fitted_ == 60


def test_wrappers_pass_all_rows_on():
    hidden = np.where(np.arange(60) < 20, y, -1)
    strategy = Subsample(Far(LogisticRegression(), embedding=Counted()), size=30).fit(X, hidden)
    assert strategy.strategy_.embedding_.n_fitted_ == 60
    nested = Subsample(Subsample(Far(embedding=Counted())), size=30).fit(X, hidden)
    assert nested.strategy_.strategy_.embedding_.n_fitted_ == 60
    assert len(nested.strategy_.strategy_.labeled_embedding_) == 20


def test_settling_leaves_what_is_frozen_and_the_strategy_itself_alone():
    strategy = Far(embedding=Counted())
    settled = settle_embedding(strategy, X, 0)
    assert isinstance(strategy.embedding, Counted)
    assert isinstance(settled.embedding, FrozenEstimator)
    assert settle_embedding(settled, X[:3], 0).embedding.n_fitted_ == 60
    assert settle_embedding(strategy, X[:0], 0).embedding.__class__ is Counted


def test_only_labelled_rows_are_kept_of_a_semi_supervised_model():
    hidden = np.where(np.arange(60) < 30, y, -1)
    strategy = Far(SelfTrainingClassifier(LogisticRegression(), threshold=0.99)).fit(X, hidden)
    np.testing.assert_array_equal(strategy.labeled_embedding_, X[:30])


def test_open_seeds_of_the_embedding_follow_the_strategys():
    wide = rng.normal(size=(40, 30))

    def points(seed):
        pca = PCA(2, svd_solver="randomized", n_oversamples=1, iterated_power=0)
        return Far(embedding=pca, random_state=seed).fit(wide).score(wide)

    np.testing.assert_array_equal(points(0), points(0))
    assert not np.array_equal(points(0), points(1))


@pytest.mark.parametrize("bad", ["pca", PCA, LogisticRegression(), np.zeros((60, 2))], ids=repr)
def test_what_makes_no_points_is_refused_before_any_work(bad):
    with pytest.raises(TypeError, match=r"needs a transformer as embedding="):
        Far(embedding=bad).fit(X, y)


def test_layer_belongs_to_nets_and_excludes_an_embedding():
    with pytest.raises(TypeError, match="names a layer of a net"):
        Far(LogisticRegression(), layer="features").fit(X, y)
    net = NetClassifier(module__hidden=5, max_epochs=1)
    with pytest.raises(ValueError, match="both embedding= and layer="):
        Far(net, layer="features", embedding=PCA(2)).fit(X, y)
    assert Far(net, layer="features.1").fit(X, y).labeled_embedding_.shape == (60, 5)


def test_images_and_text_need_no_flattening():
    images = rng.normal(size=(30, 1, 5, 5))
    assert Far(embedding=PCA(3)).fit(images, y[:30]).select(images, 4).shape == (4,)
    assert Far().fit(images[:10], y[:10]).select(images, 4).shape == (4,)
    texts = [f"word{i % 7} another{i % 5}" for i in range(30)]
    with pytest.raises(TypeError, match="gives no numbers"):
        Far().fit(texts, y[:30])


def test_gaps_are_the_embeddings_business():
    from sklearn.impute import SimpleImputer

    gaps = np.where(rng.uniform(size=X.shape) < 0.1, np.nan, X)
    strategy = Far(embedding=make_pipeline(SimpleImputer(), StandardScaler()))
    assert np.isfinite(strategy.fit(gaps, y).score(gaps)).all()
    with pytest.raises(ValueError, match="NaN"):
        Far().fit(gaps, y)


def test_clones_print_the_same():
    strategy = Far(embedding=PCA(2), layer=None)
    assert repr(clone(strategy)) == repr(strategy) == "Far(embedding=PCA(n_components=2))"
