"""Draws by MC dropout: what holds for all of them."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from torch import nn

from skal.nets import NetClassifier, SmallMLP
from skal.nets.draws import can_drop, sample_proba

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
    assert_array_equal(draws[:4], net.sample_proba(X, 4))
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
