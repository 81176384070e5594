"""Embeddings of nets: the features that the answer is linear in, and any layer by name."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from skal import NetClassifier, as_pool, capabilities
from skal.capabilities import proba_and_embedding
from skal.nets.embedding import embed, outputs
from skal.strategies import BADGE, EMOC, LCMD, ExpectedGradientLength

rng = np.random.RandomState(0)
X, y = rng.normal(size=(90, 6)).astype(np.float32), np.arange(90) % 3


class Backbone(nn.Module):
    """A body with dropout and batch normalisation, an unused layer, and the head registered first."""

    def __init__(self, n_classes=3):
        super().__init__()
        self.head = nn.Linear(5, n_classes)
        self.unused = nn.Linear(2, 2)
        self.body = nn.Sequential(
            nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5), nn.Unflatten(1, (5, 1))
        )

    def forward(self, X):
        return self.head(self.body(X).flatten(1))


class Convolutions(nn.Module):
    """A module without any linear layer."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.out = nn.Conv2d(4, 3, 1)

    def forward(self, X):
        return self.out(self.layers(X)).flatten(1)


@pytest.fixture(scope="module")
def net():
    return NetClassifier(Backbone, max_epochs=2, random_state=0).fit(X, y)


def test_the_answer_is_linear_in_the_embedding(net):
    Z = net.embed(X)
    head = net.module_.head
    with torch.no_grad():
        proba = head(torch.from_numpy(Z).to(net.device)).softmax(1).cpu().numpy()
    assert (Z.shape, Z.dtype) == ((90, 5), np.float32)
    np.testing.assert_allclose(proba, net.predict_proba(X), atol=1e-6)


def test_the_last_linear_layer_is_the_one_that_runs_last_not_the_one_registered_last(net):
    assert list(dict(net.module_.named_children())) == ["head", "unused", "body"]
    np.testing.assert_array_equal(net.embed(X), net.embed(X, layer="body"))


def test_a_layer_by_name_is_its_output_flattened(net):
    with torch.no_grad():
        expected = net.module_.body[0](torch.from_numpy(X).to(net.device)).cpu().numpy()
    np.testing.assert_allclose(net.embed(X, layer="body.0"), expected, atol=1e-6)
    assert net.embed(X, layer="body.4").shape == (90, 5)  # (90, 5, 1) in the net
    images = rng.normal(size=(10, 1, 6, 6)).astype(np.float32)
    assert embed(Convolutions(), images, layer="layers.0").shape == (10, 4 * 4 * 4)


def test_a_layer_that_is_not_there_is_refused_with_those_that_are(net):
    with pytest.raises(ValueError, match=r"no layer 'bodi'; it has head, unused, body"):
        net.embed(X, layer="bodi")
    with pytest.raises(ValueError, match="does not run the layer 'unused'"):
        net.embed(X, layer="unused")
    with pytest.raises(ValueError, match="runs no linear layer"):
        embed(Convolutions(), np.zeros((10, 1, 6, 6), dtype=np.float32))


def test_dropout_is_off_and_batch_normalisation_uses_what_it_has_learned(net):
    np.testing.assert_array_equal(net.embed(X), net.embed(X))
    alone = np.concatenate([net.embed(X[i : i + 1]) for i in range(9)])
    np.testing.assert_allclose(alone, net.embed(X)[:9], atol=1e-6)


def test_nothing_of_the_net_and_of_the_random_states_changes(net):
    net.module_.body[3].train()
    flags = [layer.training for layer in net.module_.modules()]
    state = {name: value.clone() for name, value in net.module_.state_dict().items()}
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    hooks = [len(layer._forward_hooks) for layer in net.module_.modules()]
    net.embed(X)
    assert [layer.training for layer in net.module_.modules()] == flags
    assert [len(layer._forward_hooks) for layer in net.module_.modules()] == hooks
    assert all(torch.equal(value, state[name]) for name, value in net.module_.state_dict().items())
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


def test_float64_nets_give_float64_and_uint8_images_are_scaled_as_in_training():
    wide = NetClassifier(Backbone, dtype="float64", max_epochs=1, random_state=0).fit(X, y)
    assert wide.embed(X).dtype == np.float64
    images = (np.abs(rng.normal(size=(30, 8, 8))) * 60).astype(np.uint8)
    of_images = NetClassifier(max_epochs=1, random_state=0).fit(images, np.arange(30) % 3)
    scaled = images.astype(np.float32) / 255
    np.testing.assert_allclose(of_images.embed(images), of_images.embed(scaled), atol=1e-6)


def test_plain_skorch_nets_and_bare_modules_have_embeddings_too(net):
    plain = NeuralNetClassifier(
        Backbone, max_epochs=1, train_split=None, verbose=0, iterator_train__shuffle=True
    )
    plain.fit(X, y)
    plain.module_.train()
    np.testing.assert_allclose(embed(plain, X), embed(plain.module_, X), atol=1e-6)
    assert plain.module_.training


def test_outputs_of_an_encoder_are_flattened_in_evaluation_mode():
    encoder = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.9), nn.Unflatten(1, (2, 2)))
    with torch.no_grad():
        expected = encoder[0](torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(outputs(encoder, X), expected, atol=1e-6)
    assert encoder.training


def test_no_rows_have_no_embedding(net):
    assert len(embed(net.module_, X[:0])) == 0


@pytest.mark.parametrize("n", [1, 17, 64, 90])
@pytest.mark.parametrize("layer", [None, "body"])
def test_answers_and_embedding_of_one_pass_have_the_bits_of_two(net, n, layer, monkeypatch):
    expected = net.predict_proba(X[:n]), net.embed(X[:n], layer)
    n_passes = []
    forward = Backbone.forward
    monkeypatch.setattr(Backbone, "forward", lambda self, X: n_passes.append(len(X)) or forward(self, X))
    for found in (net.proba_and_embedding(X[:n], layer), proba_and_embedding(net, X[:n], layer)):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    n_alone = len(n_passes)
    net.predict_proba(X[:n])
    assert n_alone == 2 * (len(n_passes) - n_alone)


def test_the_mean_over_masks_is_the_answer_where_the_net_drops_out(net):
    dropping = NetClassifier(Backbone, max_epochs=1, mc_dropout=3, random_state=0).fit(X, y)
    proba, Z = dropping.proba_and_embedding(X)
    np.testing.assert_array_equal(proba, dropping.predict_proba(X))
    np.testing.assert_array_equal(Z, dropping.embed(X))


@pytest.mark.parametrize("method", ["predict_proba", "embed"])
def test_a_subclass_with_an_answer_of_its_own_gives_it(method):
    class Own(NetClassifier):
        pass

    def own(self, X, *args):
        return getattr(NetClassifier, method)(self, X, *args)[:, ::-1]

    setattr(Own, method, own)
    net = Own(Backbone, max_epochs=1, random_state=0).fit(X, y)
    proba, Z = proba_and_embedding(net, X)
    np.testing.assert_array_equal(proba, net.predict_proba(X))
    np.testing.assert_array_equal(Z, net.embed(X))


@pytest.mark.parametrize("method", ["evaluation_step", "forward_iter"])
def test_a_subclass_with_an_inference_of_its_own_is_asked(method):
    class Cooler(NetClassifier):
        def evaluation_step(self, batch, training=False):
            return super().evaluation_step(batch, training) / (10 if method == "evaluation_step" else 1)

        def forward_iter(self, X, training=False, device="cpu"):
            for out in super().forward_iter(X, training, device):
                yield out / (10 if method == "forward_iter" else 1)

    cooler = Cooler(Backbone, max_epochs=1, random_state=0).fit(X, y)
    np.testing.assert_array_equal(proba_and_embedding(cooler, X)[0], cooler.predict_proba(X))


def test_an_object_with_an_answer_of_its_own_gives_it():
    own = NetClassifier(Backbone, max_epochs=1, random_state=0).fit(X, y)
    own.predict_proba = lambda X: np.full((len(X), 3), 1 / 3)
    np.testing.assert_array_equal(proba_and_embedding(own, X)[0], 1 / 3)


def test_one_pass_leaves_no_trace():
    def random_softmax(logits):
        threads.append(torch.get_num_threads())
        torch.rand(1)
        return logits.softmax(-1)

    threads = []
    net = NetClassifier(
        Backbone, max_epochs=1, n_threads=1, predict_nonlinearity=random_softmax, random_state=0
    )
    net.fit(X, y)
    threads.clear()
    before, n_threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        net.proba_and_embedding(X)
    finally:
        torch.set_num_threads(n_threads)
    assert set(threads) == {1}
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("strategy", [BADGE(), EMOC(), ExpectedGradientLength(), LCMD(features="gradient")])
def test_strategies_run_a_net_once(net, strategy, monkeypatch):
    strategy = clone(strategy).set_params(estimator=FrozenEstimator(net), random_state=0).fit(X[:9], y[:9])
    rows, forward = [], Backbone.forward
    monkeypatch.setattr(Backbone, "forward", lambda self, X: rows.append(len(X)) or forward(self, X))
    strategy.select(X, 3)
    assert sum(rows) == len(X)


def test_a_pipeline_and_a_pool_are_asked_once_too(tmp_path):
    model = make_pipeline(StandardScaler(), NetClassifier(Backbone, max_epochs=1, random_state=0)).fit(X, y)
    np.save(tmp_path / "X.npy", X)
    for rows in (X, as_pool(np.load(tmp_path / "X.npy", mmap_mode="r"))):
        proba, Z = proba_and_embedding(FrozenEstimator(model), rows)
        np.testing.assert_array_equal(proba, model.predict_proba(X))
        np.testing.assert_array_equal(Z, capabilities.embed(model, X))
