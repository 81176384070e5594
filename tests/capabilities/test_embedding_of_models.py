"""embed, fit_transformer and transform: where models and transformers see rows."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skal import ActiveLearner, EnsembleClassifier, NetClassifier, capabilities
from skal.strategies import Random

rng = np.random.RandomState(0)
X, y = rng.normal(size=(60, 4)) * [1, 10, 100, 1000], np.arange(60) % 3
images = rng.normal(size=(60, 1, 4, 4)).astype(np.float32)
texts = [f"word{i % 7} another{i % 5} and{i % 3}" for i in range(60)]


def pipeline():
    return make_pipeline(StandardScaler(), LogisticRegression())


def test_a_pipeline_shows_what_its_last_step_sees():
    model = pipeline().fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    for wrapped in (model, FrozenEstimator(model)):
        np.testing.assert_allclose(capabilities.embed(wrapped, X), scaled)
    search = GridSearchCV(pipeline(), {"logisticregression__C": [1.0]}, cv=2).fit(X, y)
    np.testing.assert_allclose(capabilities.embed(search, X), scaled)


def test_a_nested_pipeline_is_opened_to_the_last_model():
    model = make_pipeline(StandardScaler(), make_pipeline(PCA(2), LogisticRegression())).fit(X, y)
    assert capabilities.embed(model, X).shape == (60, 2)


def test_other_models_show_the_row_flattened():
    forest = RandomForestClassifier(2).fit(X, y)
    np.testing.assert_array_equal(capabilities.embed(forest, X), X)
    np.testing.assert_array_equal(capabilities.embed(None, images), images.reshape(60, 16))


def test_a_net_behind_a_scaler_shows_its_penultimate_layer():
    net = NetClassifier(module__hidden=7, max_epochs=1, random_state=0)
    model = make_pipeline(StandardScaler(), net).fit(X, y)
    np.testing.assert_array_equal(capabilities.embed(model, X), model[-1].embed(model[0].transform(X)))


def test_number_types_are_kept_where_they_are_exact():
    assert capabilities.embed(None, X.astype(np.float32)).dtype == np.float32
    assert capabilities.embed(None, X).dtype == np.float64
    assert capabilities.embed(None, (images > 0).astype(np.uint8)).dtype == np.float32
    big = np.full((3, 2), 2**40 + 1)
    np.testing.assert_array_equal(capabilities.embed(None, big), big)
    assert capabilities.embed(None, sparse.random(5, 9, format="coo", random_state=0)).format == "csr"


def test_text_needs_a_pipeline_and_then_works():
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, y)
    assert sparse.issparse(capabilities.embed(model, texts))
    with pytest.raises(TypeError, match=r"gives no numbers.*embedding="):
        capabilities.embed(None, texts)


def test_what_is_not_finite_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"not finite.*SimpleImputer"):
        capabilities.embed(None, np.where(X > 0, X, np.nan))


def test_a_wrong_number_of_rows_is_refused():
    class Short(BaseEstimator):
        def embed(self, X):
            return X[:-1]

    with pytest.raises(ValueError, match=r"Short\.embed returned 59 rows of an embedding for 60 rows"):
        capabilities.embed(Short(), X)


def test_layers_belong_to_nets():
    with pytest.raises(TypeError, match="layer='features' names a layer of a net, and Pipeline"):
        capabilities.embed(pipeline().fit(X, y), X, layer="features")


def test_learners_and_ensembles_pass_the_embedding_on():
    net = NetClassifier(module__hidden=5, max_epochs=1)
    learner = ActiveLearner(net, Random(), n_rounds=1, random_state=0).fit(X, y)
    np.testing.assert_array_equal(learner.embed(X), learner.estimator_.embed(X))
    ensemble = EnsembleClassifier(net, 3, random_state=0).fit(X, y)
    parts = [member.embed(X) for member in ensemble.estimators_]
    np.testing.assert_array_equal(ensemble.embed(X), np.hstack(parts))
    forest = EnsembleClassifier(RandomForestClassifier(2), 3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(forest.embed(X), X)


class Brightness(TransformerMixin, BaseEstimator):
    """A transformer of images, which looks at their shape."""

    def fit(self, X, y=None):
        assert X.ndim == 4
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X.mean(axis=(2, 3))


def test_images_are_flattened_for_transformers_of_tables_and_only_for_them():
    pca = capabilities.fit_transformer(PCA(3, random_state=0), images)
    expected = PCA(3, random_state=0).fit_transform(images.reshape(60, 16))
    np.testing.assert_allclose(capabilities.transform(pca, images), expected, atol=1e-5)
    np.testing.assert_allclose(capabilities.transform(FrozenEstimator(pca), images), expected, atol=1e-5)
    of_images = capabilities.fit_transformer(Brightness(), images)
    assert capabilities.transform(of_images, images).shape == (60, 1)


def test_the_error_of_a_transformer_that_flattening_does_not_help_is_its_own():
    class Picky(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            raise ValueError(f"not today, {X.ndim}")

    with pytest.raises(ValueError, match="not today, 4"):
        capabilities.fit_transformer(Picky(), images)


def test_fitted_nets_and_modules_are_encoders_when_frozen():
    net = NetClassifier(max_epochs=1, random_state=0).fit(images, y)
    np.testing.assert_array_equal(capabilities.transform(FrozenEstimator(net), images), net.embed(images))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    assert capabilities.transform(FrozenEstimator(encoder), images).shape == (60, 3)
    assert capabilities.can_embed(FrozenEstimator(encoder))
    assert not capabilities.can_embed(encoder)
    assert not capabilities.can_embed(PCA)
    assert not capabilities.can_embed("pca")
    assert not capabilities.can_embed(FrozenEstimator(LogisticRegression()))
