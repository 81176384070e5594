"""The net of `DiscriminativeAL`: gradients and steps beside torch's, weights, and when training ends."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.metrics import balanced_accuracy_score

from skal.selection._farthest_threads import shared_work
from skal.strategies import _discriminator
from skal.strategies._discriminator import Discriminator, _epochs, _Net

RNG = np.random.RandomState(0)
# Two overlapping clouds, one labelled row to ten others.
Z = np.concatenate([RNG.normal(size=(20, 3)), RNG.normal(size=(200, 3)) + 1])
Y = np.repeat([0, 1], [20, 200])


def n_epochs(monkeypatch, Z, y, stop_accuracy=0.98, class_weight=None):
    """How many epochs a fit takes, and the net."""
    counted = []

    def counting(y, rng):
        for epoch in _epochs(y, rng):
            counted.append(epoch)
            yield epoch

    monkeypatch.setattr(_discriminator, "_epochs", counting)
    net = Discriminator(stop_accuracy, class_weight, random_state=0).fit(Z, y)
    return len(counted), net


def each(function, items):
    for item in items:
        function(item)


def test_steps_are_those_of_torch():
    net = _Net([3, 5, 5, 5, 1], 0.3, np.random.RandomState(1))
    layers = [torch.nn.Linear(n_in, n_out) for n_in, n_out in [(3, 5), (5, 5), (5, 5), (5, 1)]]
    for layer, weight in zip(layers, net._weights, strict=True):
        layer.weight.data = torch.tensor(weight[:-1].T.copy())
        layer.bias.data = torch.tensor(weight[-1].copy())
    relu = torch.nn.ReLU()
    module = torch.nn.Sequential(layers[0], relu, layers[1], relu, layers[2], relu, layers[3])
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    X, y = Z[:50].astype(np.float32), Y[:50].astype(np.float32)
    shares = RNG.uniform(0.5, 2, size=50).astype(np.float32)
    for _ in range(5):
        logits = module(torch.tensor(X))[:, 0]
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.tensor(y), reduction="none"
        )
        optimizer.zero_grad()
        (losses * torch.tensor(shares)).mean().backward()
        optimizer.step()
        np.testing.assert_allclose(net.step(X, y, shares, 0.01, each), logits.detach(), rtol=1e-3, atol=1e-3)
    # Where a gradient is all rounding, Adam makes a step of it; moments are compared more closely.
    for of_net, name, atol in [
        (net._flat, None, 5e-3),
        (net._mean, "exp_avg", 1e-5),
        (net._square, "exp_avg_sq", 1e-7),
    ]:
        for layer, of_layer in zip(layers, net._views(of_net), strict=True):
            weight, bias = (
                part.detach() if name is None else optimizer.state[part][name] for part in layer.parameters()
            )
            np.testing.assert_allclose(of_layer[:-1].T, weight, rtol=1e-3, atol=atol)
            np.testing.assert_allclose(of_layer[-1], bias, rtol=1e-3, atol=atol)


def test_a_batch_in_parts_on_threads_is_a_batch(monkeypatch):
    X, y, shares = (np.concatenate([part] * 3).astype(np.float32) for part in (Z, Y, np.ones(len(Y))))
    nets = [_Net([3, 5, 5, 5, 1], 0.0, np.random.RandomState(1)) for _ in range(3)]
    for net, size in zip(nets, (1000, 100, 100), strict=True):
        monkeypatch.setattr(_discriminator, "_PART_ROWS", size)
        with shared_work(2**40 if net is nets[2] else 1) as on_threads:
            for _ in range(3):
                net.step(X, y, shares, 0.01, on_threads)
    np.testing.assert_allclose(nets[1]._flat, nets[0]._flat, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(nets[2]._flat, nets[1]._flat)


@pytest.mark.parametrize(("class_weight", "expected"), [(None, 10 / 11), ("balanced", 1 / 2)])
def test_rows_that_are_alike_get_the_share_of_their_weight(class_weight, expected):
    """Weights from one-hot labels would be 1 for both classes, and "balanced" would be no other than None."""
    net = Discriminator(0.98, class_weight, random_state=0).fit(np.ones((220, 40)), Y)
    np.testing.assert_allclose(net.predict_proba(np.ones((3, 40)))[:, 1], expected, atol=1e-4)


def test_training_ends_at_the_accuracy_that_is_asked_for(monkeypatch):
    few, _ = n_epochs(monkeypatch, Z, Y, stop_accuracy=0.92)
    more, net = n_epochs(monkeypatch, Z, Y, stop_accuracy=0.96)
    assert few < more < 1000
    assert net.score(Z, Y) > 0.94


def test_balanced_weights_stop_at_balanced_accuracy(monkeypatch):
    # Half of the unlabelled rows lie where the labelled ones do, and look labelled: a balanced accuracy of
    # 0.75, and a plain one of 0.55.
    points = np.repeat([[0.0, 0.0], [0.0, 0.0], [9.0, 9.0]], [20, 100, 100], axis=0)
    counted, net = n_epochs(monkeypatch, points, Y, stop_accuracy=0.7, class_weight="balanced")
    assert counted < 50
    assert balanced_accuracy_score(Y, net.predict(points)) == 0.75


def test_training_ends_where_nothing_can_be_learned(monkeypatch):
    counted, _ = n_epochs(monkeypatch, np.ones((220, 40)), Y)
    assert counted < 60


def test_an_epoch_is_worth_all_rows_and_all_come_in_turn():
    epochs = _epochs(Y, np.random.RandomState(0))
    seen = np.zeros(len(Y))
    for _ in range(10):
        rows, stand_for = next(epochs)
        np.testing.assert_allclose([stand_for[Y[rows] == side].sum() for side in (0, 1)], [20, 200])
        seen += np.bincount(rows, minlength=len(Y))
    assert set(seen[Y == 0]) == {10}
    assert set(seen[Y == 1]) == {3}
    rows, stand_for = next(_epochs(Y[10:60], np.random.RandomState(0)))  # 10 and 40 rows
    assert len(rows) == 40
    rows, stand_for = next(_epochs(1 - Y[10:40], np.random.RandomState(0)))  # 20 and 10: all
    assert sorted(rows) == list(range(30))
    assert set(stand_for) == {1}


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_the_points_does_not_matter(unit):
    proba = Discriminator(0.98, None, random_state=0).fit(Z, Y).predict_proba(Z)
    other = (
        Discriminator(0.98, None, random_state=0)
        .fit(Z * unit + 5 * unit, Y)
        .predict_proba(Z * unit + 5 * unit)
    )
    np.testing.assert_allclose(other, proba, atol=0.05)


def test_sparse_points():
    dense = RNG.poisson(0.3, size=(200, 40)) * 1.0
    y = np.repeat([0, 1], [50, 150])
    dense[:50, 0] += 3
    net = Discriminator(0.98, None, random_state=0).fit(sparse.csr_matrix(dense), y)
    assert net.score(sparse.csr_matrix(dense), y) > 0.95
