"""Nets of skorch's own classes have no random_state: skal fixes what they draw, and leaves no trace."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from skal import ActiveLearner, EnsembleClassifier, capabilities
from skal.strategies import BALD, Margin

X = np.random.RandomState(0).rand(90, 5).astype(np.float32)
y = (X[:, 0] * 3).astype(np.int64)


def net():
    params = {"criterion": nn.CrossEntropyLoss, "max_epochs": 2, "train_split": None, "verbose": 0}
    return NeuralNetClassifier(Fresh, **params)


class Fresh(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 3))


ASKED = {
    "ensemble": lambda seed: EnsembleClassifier(net(), 2, random_state=seed).fit(X, y).sample_proba(X),
    "strategy": lambda seed: BALD(net(), random_state=seed).fit(X, y).score(X),
    "learner": lambda seed: (
        ActiveLearner(net(), Margin(), n_initial=10, n_rounds=1, random_state=seed).fit(X, y).predict_proba(X)
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_seed_fixes_all_and_random_states_stay(name):
    first, before = ASKED[name](0), torch.get_rng_state()
    np.testing.assert_array_equal(ASKED[name](0), first)
    assert (ASKED[name](1) != first).any()
    if name != "learner":  # whose predict_proba is the net's own
        assert torch.equal(torch.get_rng_state(), before)


def test_members_differ_and_keep_their_modes():
    fitted = EnsembleClassifier(net(), 2, random_state=0).fit(X, y)
    for member in fitted.estimators_:
        member.module_.train()
    one, other = fitted.sample_proba(X)
    assert (one != other).any()
    assert all(layer.training for member in fitted.estimators_ for layer in member.module_.modules())


def test_probabilities_leave_no_trace():
    fitted = net().fit(X, y)
    before = torch.get_rng_state()
    capabilities.predict_proba(fitted, X)
    assert torch.equal(torch.get_rng_state(), before)
