"""Modules that can't be computed as one are found out before anything is learned."""

import random

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn
from torch.nn import functional

from skal.nets import NetClassifier, SmallMLP
from skal.nets.rehearsal import values_at_once
from skal.nets.together import fit_together

rng = np.random.RandomState(0)
X, y = rng.rand(30, 4), np.arange(30) % 3


class Net(nn.Linear):
    """A container around a layer, for the modules below."""

    def __init__(self, n_classes):
        nn.Module.__init__(self)
        self.layer = nn.Linear(4, n_classes)

    def forward(self, X):
        return self.layer(X)


class MixesRows(Net):
    def forward(self, X):
        return self.layer(X - X.mean(dim=0))


class DropsByFunction(Net):
    def forward(self, X):
        return self.layer(functional.dropout(X, 0.2, self.training))


class DrawsNumpy(Net):
    def forward(self, X):
        return self.layer(X + np.random.rand())


class DrawsPython(Net):
    def forward(self, X):
        return self.layer(X) if random.random() < 2 else X


class DrawsAndForgets(Net):
    def forward(self, X):
        torch.rand(1)
        return self.layer(X)


class Counts(Net):
    n_calls = 0

    def forward(self, X):
        self.n_calls += 1
        return self.layer(X)


class Collects(Net):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.seen = []

    def forward(self, X):
        self.seen.append(X)
        return self.layer(X)


class DiffersByNet(Net):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.scale = torch.rand(()).item()

    def forward(self, X):
        return self.layer(X) * self.scale


class ReplacesABuffer(Net):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.norm = OwnNorm()

    def forward(self, X):
        return self.layer(self.norm(X))


class OwnNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, X):
        self.mean = 0.9 * self.mean + 0.1 * X.detach().mean(dim=0)
        return X - self.mean


class Tied(Net):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.other = nn.Linear(4, n_classes)
        self.other.weight = self.layer.weight

    def forward(self, X):
        return self.layer(X) + self.other(X)


class Hooked(Net):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.layer.register_forward_hook(print_nothing)


class HookedWeight(Net):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.layer.weight.register_hook(print_nothing)


class ReadsWeights(Net):
    def forward(self, X):
        return functional.linear(X, self.layer.weight, self.layer.bias)


class Attends(Net):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)

    def forward(self, X):
        return self.layer(self.encoder(X.unsqueeze(1)).squeeze(1))


class LearnedLoss(nn.CrossEntropyLoss):
    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, logits, codes):
        return super().forward(logits * self.temperature, codes)


def print_nothing(*args):
    return None


def fitted(module, n=3, **params):
    model = NetClassifier(module, max_epochs=1, n_threads=1, **params)
    nets = [clone(model).set_params(random_state=seed) for seed in range(n)]
    return fit_together(nets, [(X, y, {})] * n, always=True), nets


class DrawsByLength(Net):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, X):
        if len(X) < 20:
            self.dropout(X)
        return self.layer(X)


OBSTACLES = {
    MixesRows: "rows",
    ReplacesABuffer: "rows",
    DropsByFunction: "draws",
    DrawsNumpy: "draws",
    DrawsPython: "draws",
    DrawsAndForgets: "draws",
    DrawsByLength: "draws",
    Counts: "keeps more",
    Collects: "keeps more",
    DiffersByNet: "differ",
    Tied: "two layers",
    Hooked: "",  # the keys of hooks tell nets apart already
    HookedWeight: "hooks",
    ReadsWeights: "can't be stacked",
    Attends: "can't be stacked",
}


@pytest.mark.parametrize("module", OBSTACLES)
def test_modules_that_are_trained_one_by_one(module):
    reason, nets = fitted(module)
    assert OBSTACLES[module] in reason
    for net in nets:  # nothing of the rehearsal is left
        alone = NetClassifier(module, max_epochs=1, n_threads=1, random_state=net.random_state).fit(X, y)
        np.testing.assert_array_equal(net.fit(X, y).predict_proba(X), alone.predict_proba(X))


def test_a_loss_that_learns_is_trained_one_by_one():
    assert "loss" in fitted(Net, criterion=LearnedLoss)[0]


def test_a_container_is_no_obstacle():
    assert fitted(Net)[0] is None


def test_a_module_that_fails_is_left_to_fail_on_its_own():
    reason, nets = fitted(lambda: nn.Linear(7, 3))
    assert "RuntimeError" in reason
    with pytest.raises(RuntimeError):
        nets[0].fit(X, y)


def test_a_rehearsal_leaves_weights_and_buffers():
    class Centred(Net):
        def __init__(self, n_classes):
            super().__init__(n_classes)
            self.norm = nn.BatchNorm1d(4)

        def forward(self, X):
            return self.layer(self.norm(X) - X.mean(dim=0))

    reason, nets = fitted(Centred)
    assert "rows" in reason
    assert all((net.module_.norm.running_mean == 0).all() for net in nets)
    assert all(weight.grad is None for net in nets for weight in net.module_.parameters())


def test_values_at_once_counts_weights_and_what_layers_return():
    net = NetClassifier(SmallMLP, module__hidden=8, max_epochs=0, dtype="float64", device="cpu").fit(X, y)
    n_weights = 4 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3
    assert values_at_once(net, torch.from_numpy(X), 10) == 4 * n_weights + 10 * (8 + 8 + 3)
    assert values_at_once(net, torch.from_numpy(X), 100) == 4 * n_weights + 64 * (8 + 8 + 3)


class TwoOutputs(nn.Linear):
    def forward(self, X):
        return super().forward(X), X


class UsesOne(Net):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.two = TwoOutputs(4, 4)

    def forward(self, X):
        return self.layer(self.two(X)[0])


@pytest.mark.parametrize("always", [False, True])
def test_layers_that_return_more_than_a_tensor_are_no_obstacle_to_a_fit(always):
    nets = [NetClassifier(UsesOne, max_epochs=10, n_threads=1, random_state=seed) for seed in (0, 1)]
    assert "can't be stacked" in fit_together(nets, [(X, y, {})] * 2, always=always)
