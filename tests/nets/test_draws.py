"""Draws by MC dropout: what holds for all of them."""

import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

from skal.nets import NetClassifier, SmallMLP
from skal.nets.draws import can_drop, sample_proba
from skal.nets.seeding import isolated

rng = np.random.RandomState(0)
X = rng.rand(90, 6).astype(np.float32)
y = (X[:, :3].argmax(axis=1)).astype(int)


@pytest.fixture(scope="module")
def net():
    return NetClassifier(max_epochs=5, lr=0.01, random_state=0).fit(X, y)


def test_draws_are_distributions_that_differ_and_repeat(net):
    draws = net.sample_proba(X, 7)
    assert draws.shape == (7, 90, 3)
    assert draws.dtype == np.float64
    assert_allclose(draws.sum(axis=-1), 1)
    assert len(np.unique(draws[:, 0, 0])) == 7
    assert_array_equal(draws, net.sample_proba(X, 7))
    assert_allclose(draws[:4], net.sample_proba(X, 4), rtol=1e-5)
    assert_array_equal(draws, clone(net).fit(X, y).sample_proba(X, 7))
    assert (draws != net.sample_proba(X, 7, random_state=1)).any()
    assert net.sample_proba(X).shape == (20, 90, 3)


def test_mc_dropout_makes_predict_proba_the_mean_of_draws(net):
    mean = clone(net).set_params(mc_dropout=7).fit(X, y)
    assert_allclose(mean.predict_proba(X), net.sample_proba(X, 7).mean(axis=0), rtol=1e-12)
    with pytest.raises(TypeError, match="active dropout, which NetClassifier lacks"):
        clone(mean).set_params(module__dropout=0.0).fit(X, y)


@pytest.mark.parametrize("fit", [False, True])
def test_a_net_without_dropout_has_no_draws(fit):
    net = NetClassifier(module__dropout=0.0, max_epochs=1, random_state=0)
    net = net.fit(X, y) if fit else net
    assert not hasattr(net, "sample_proba")
    assert not can_drop(net)
    with pytest.raises(TypeError, match="needs a net with active dropout, which NetClassifier lacks"):
        sample_proba(net, X)


def test_weight_decay_is_the_scale_over_the_rows():
    net = NetClassifier(SmallMLP, max_epochs=1, weight_decay_scale=3.0, random_state=0, warm_start=True)
    assert net.fit(X, y).optimizer_.param_groups[0]["weight_decay"] == 3 / 90
    assert net.fit(X[:30], y[:30]).optimizer_.param_groups[0]["weight_decay"] == 3 / 30
    assert net.partial_fit(X[:60], y[:60]).optimizer_.param_groups[0]["weight_decay"] == 3 / 60
    plain = NetClassifier(SmallMLP, max_epochs=1, optimizer__weight_decay=3 / 90, random_state=0).fit(X, y)
    scaled = NetClassifier(SmallMLP, max_epochs=1, weight_decay_scale=3.0, random_state=0).fit(X, y)
    assert_array_equal(plain.predict_proba(X), scaled.predict_proba(X))
    with pytest.raises(ValueError, match="leave one of them out"):
        clone(plain).set_params(weight_decay_scale=1).fit(X, y)
    with pytest.raises(ValueError, match="LBFGS lacks"):
        NetClassifier(optimizer=torch.optim.LBFGS, weight_decay_scale=1).fit(X, y)


def test_a_bare_module_gives_draws_of_its_logits():
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    assert can_drop(module)
    assert sample_proba(module, X, 5, 0).shape == (5, 90, 3)
    assert_array_equal(sample_proba(module, X, 5, 0), sample_proba(module, torch.from_numpy(X), 5, 0))


class Unit(nn.Module):
    """Two logits a row: the first tells whether its one unit was kept."""

    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, X):
        kept = self.drop(X[:, :1])
        return torch.cat([kept, torch.zeros_like(kept)], dim=1)


@pytest.mark.parametrize("consistent", [True, False])
def test_a_unit_is_kept_with_probability_one_minus_p(consistent):
    kept = sample_proba(Unit(0.3), np.ones((40, 1), dtype=np.float32), 1500, 0, consistent)[..., 0] > 0.5
    assert (kept == kept[:, :1]).all() == consistent
    n = kept.size // (40 if consistent else 1)
    assert abs(kept.mean() - 0.7) < 4 * np.sqrt(0.3 * 0.7 / n)
    assert abs(kept.mean(axis=0) - 0.7).max() < 5 * np.sqrt(0.3 * 0.7 / 1500)


class Normed(nn.Module):
    """Batch normalisation, with dropout or without."""

    def __init__(self, p=0.2):
        super().__init__()
        self.norm, self.first = nn.BatchNorm1d(6), nn.Linear(6, 32)
        self.drop, self.output = nn.Dropout(p), nn.Linear(32, 3)

    def forward(self, X):
        return self.output(self.drop(torch.relu(self.first(self.norm(X)))))


def stock(module, kind=NeuralNetClassifier, **params):
    """A fitted net of skorch itself, whose training iterator shuffles."""
    params = {"max_epochs": 20, "lr": 0.1, "verbose": 0, "iterator_train__shuffle": True} | params
    with isolated(0, "cpu"):
        return kind(module, train_split=None, batch_size=32, **params)


@pytest.mark.parametrize("consistent", [True, False])
def test_row_i_of_each_draw_is_row_i_of_x(consistent):
    # Public bugs: a shuffled loader, read once for each draw, and batch normalisation left in training mode.
    own = NetClassifier(Normed, max_epochs=20, lr=0.01, random_state=0).fit(X, y)
    with isolated(0, "cpu"):
        theirs = stock(Normed, criterion=nn.CrossEntropyLoss).fit(X, y)
    for net in (own, theirs):
        buffers = {key: value.clone() for key, value in net.module_.state_dict().items()}
        draws = sample_proba(net, X, 50, 0, consistent)
        assert_allclose(draws.mean(axis=0), net.predict_proba(X), atol=0.1)
        assert np.corrcoef(draws.mean(axis=0).ravel(), net.predict_proba(X).ravel())[0, 1] > 0.99
        assert (draws.std(axis=0) > 0).all()
        assert all(torch.equal(buffers[key], value) for key, value in net.module_.state_dict().items())


def test_batch_normalisation_is_no_dropout():
    # Public bug: .train() on such a net gives "draws" that differ by the neighbours of a row alone.
    net = NetClassifier(Normed, module__p=0.0, max_epochs=1, random_state=0).fit(X, y)
    assert not hasattr(net, "sample_proba")
    with pytest.raises(TypeError, match="active dropout"):
        sample_proba(Normed(0.0), X)


def test_nets_of_skorch_keep_their_own_nonlinearity():
    net = stock(Normed, criterion=nn.CrossEntropyLoss).fit(X, y)
    assert can_drop(net)
    assert can_drop(NeuralNetClassifier(Normed))
    assert not can_drop(NeuralNetClassifier(Normed, module__p=0.0))
    module = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.1), nn.Linear(8, 1), nn.Flatten(0))
    binary = stock(module, NeuralNetBinaryClassifier).fit(X, (y > 0).astype(np.float32))
    draws = sample_proba(binary, X, 200, 0)
    assert draws.shape == (200, 90, 2)
    assert_allclose(draws.sum(axis=-1), 1, rtol=1e-6)
    assert_allclose(draws.mean(axis=0), binary.predict_proba(X), atol=0.1)


class Failing(nn.Module):
    """Fails on the second batch, or where it is told to."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.output = nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3)

    def forward(self, X):
        X = self.output(self.drop(self.norm(X)))
        if (X.abs() > 1e6).any():
            raise KeyError("planted")
        return X


@pytest.mark.parametrize("grad", [True, False])
def test_nothing_is_left_behind_also_by_an_exception(grad):
    module = Failing().train()
    module.output.eval()
    module.output.weight.grad = torch.ones(3, 6)
    huge = X.copy()
    huge[80] = 1e30
    before = [layer.training for layer in module.modules()]
    state = {key: value.clone() for key, value in module.state_dict().items()}
    with torch.set_grad_enabled(grad):
        for rows in (X, huge):
            torch.manual_seed(3), np.random.seed(3), random.seed(3)
            with nullcontext() if rows is X else pytest.raises(KeyError, match="planted"):
                sample_proba(module, rows, 3, 0)
            drawn = float(torch.rand(())), np.random.rand(), random.random()
            torch.manual_seed(3), np.random.seed(3), random.seed(3)
            assert drawn == (float(torch.rand(())), np.random.rand(), random.random())
            assert torch.is_grad_enabled() == grad
            assert [layer.training for layer in module.modules()] == before
            assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())
            assert (module.output.weight.grad == 1).all()
            assert (rows[0] == X[0]).all()


def test_n_draws_is_a_number_of_draws(net):
    for n_draws in (0, -1, 2.5):
        with pytest.raises(ValueError, match="no number of draws"):
            net.sample_proba(X, n_draws)


class NeedsData(nn.Module):
    """Can't be built without knowing the data."""

    def __init__(self, table):
        super().__init__()
        self.drop, self.output = nn.Dropout(0.5), nn.Linear(len(table), 2)


class ByFunction(nn.Module):
    """No layer of dropout, but a function that calls it."""

    def forward(self, X):
        return helped(X)


def helped(X):
    return nn.functional.dropout(X, 0.5)


def test_unfitted_nets_are_judged_by_what_they_would_build():
    without = [Normed(0.0), nn.Linear(6, 3), nn.LSTM(3, 4, 1)]
    attention = nn.MultiheadAttention(4, 2, dropout=0.1)
    state = torch.get_rng_state()
    assert can_drop(NetClassifier())
    assert can_drop(NetClassifier(NeedsData))
    assert can_drop(NetClassifier(ByFunction))
    assert can_drop(NetClassifier(Normed))
    assert not can_drop(NetClassifier(Normed, module__p=0.0))
    assert not any(can_drop(NetClassifier(module)) for module in without)
    assert can_drop(NetClassifier(attention))
    assert torch.equal(state, torch.get_rng_state())


class Named(nn.Module):
    """Two inputs by name."""

    def __init__(self):
        super().__init__()
        self.drop, self.output = nn.Dropout(0.5), nn.Linear(6, 3)

    def forward(self, left, right):
        return self.output(torch.cat([self.drop(left), right], dim=1))


def test_datasets_and_dicts_have_draws_too(net):
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    assert_allclose(net.sample_proba(dataset, 5), net.sample_proba(X, 5), rtol=1e-5)
    parts = {"left": X[:, :3], "right": X[:, 3:]}
    named = NetClassifier(Named, max_epochs=1, random_state=0).fit(parts, y)
    assert named.sample_proba(parts, 5).shape == (5, 90, 3)
    assert named.sample_proba(parts, 5).std(axis=0).min() > 0
