"""Equal seeds give equal bits, and no call leaves a trace."""

import contextlib
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from skorch.dataset import ValidSplit
from torch.backends import cudnn

from skal.nets import NetClassifier
from skal.nets.seeding import isolated

images = np.random.RandomState(0).rand(70, 8, 8).astype(np.float32)
y = np.arange(70) % 3


class Augmenting(torch.nn.Module):
    """Draws from every generator there is, when it is built and when it runs, in evaluation too."""

    def __init__(self, in_shape, n_classes):
        super().__init__()
        self.output = torch.nn.Linear(64, n_classes)
        self.shift = random.random() + np.random.rand()

    def forward(self, X):
        noise = torch.rand(len(X), 64).to(X.device) + torch.rand(64, device=X.device)
        return self.output(X.flatten(1) + noise + np.random.rand() + random.random() + self.shift)


def net(**params):
    return NetClassifier(**{"module": Augmenting, "max_epochs": 2, "random_state": 0} | params)


def state():
    _, words, *rest = np.random.get_state()
    of_torch = [state.numpy().tobytes() for state in (torch.get_rng_state(), *torch.cuda.get_rng_state_all())]
    switches = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
    of_cudnn = cudnn.benchmark, cudnn.deterministic
    return words.tobytes(), rest, random.getstate(), of_torch, switches, of_cudnn


misfit = torch.nn.Linear(3, 3)

CALLS = {
    "fit": lambda fitted: fitted.fit(images, y),
    "fit_valid": lambda fitted: net(train_split=ValidSplit(3)).fit(images, y),
    "partial_fit": lambda fitted: fitted.partial_fit(images, y),
    "predict": lambda fitted: fitted.predict(images),
    "predict_proba": lambda fitted: fitted.predict_proba(images[:1]),
    "score": lambda fitted: fitted.score(images, y),
    "forward": lambda fitted: fitted.forward(images),
    "initialize": lambda fitted: fitted.initialize(),
    "set_params": lambda fitted: fitted.set_params(module__n_classes=3),
    "failing fit": lambda fitted: net(module=misfit).fit(images, y),
    "failing predict": lambda fitted: fitted.predict(images * np.nan),
}


@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize("call", CALLS)
def test_no_call_leaves_a_trace(call, random_state):
    fitted = net(random_state=random_state, n_threads=2).fit(images, y)
    before = state()
    with contextlib.suppress(ValueError, RuntimeError):
        CALLS[call](fitted)
    assert state() == before


def test_cudnn_is_held_to_what_gives_the_same_bits(monkeypatch):
    """Its backward convolutions add in any order where they may, and it times algorithms to choose one."""
    monkeypatch.setattr(cudnn, "benchmark", True)
    seen = set()

    class Watching(Augmenting):
        def forward(self, X):
            seen.add((cudnn.benchmark, cudnn.deterministic))
            return super().forward(X)

    before = state()
    net(module=Watching).fit(images, y).predict(images)
    assert (seen, state()) == ({(False, True)}, before)


@pytest.mark.parametrize("module", [None, Augmenting])
def test_refits_are_equal_bit_for_bit_whatever_was_drawn_before(module):
    first = net(module=module).fit(images, y).predict_proba(images)
    torch.rand(3), np.random.rand(3), random.random()
    assert_array_equal(net(module=module).fit(images, y).predict_proba(images), first)
    assert (net(module=module, random_state=1).fit(images, y).predict_proba(images) != first).any()
    one, two = (net(module=module, random_state=None).fit(images, y) for _ in range(2))
    assert (one.predict_proba(images) != two.predict_proba(images)).any()


def test_prediction_repeats_itself_even_where_the_module_draws():
    fitted = net(random_state=None).fit(images, y)
    assert_array_equal(fitted.predict_proba(images), fitted.predict_proba(images))


def test_a_random_state_is_advanced_once_a_fit():
    shared, twin = np.random.RandomState(5), np.random.RandomState(5)
    net(random_state=shared).fit(images, y)
    twin.randint(2**31 - 1)
    assert shared.randint(2**31 - 1) == twin.randint(2**31 - 1)


def test_a_shorter_fit_is_the_beginning_of_a_longer_one():
    longer = net(max_epochs=4).fit(images, y)
    shorter = net(max_epochs=2).fit(images, y)
    assert shorter.history[:, "train_loss"] == longer.history[:2, "train_loss"]
    assert_array_equal(shorter.partial_fit(images, y).predict_proba(images), longer.predict_proba(images))


def test_a_fresh_process_gives_the_same_bits():
    code = """
import numpy as np, torch
from skal.nets import NetClassifier
torch.set_num_threads(1)
images = np.random.RandomState(0).rand(70, 8, 8).astype(np.float32)
net = NetClassifier(max_epochs=2, random_state=0).fit(images, np.arange(70) % 3)
print(net.predict_proba(images).tobytes().hex())
"""
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = net(module=None).fit(images, y).predict_proba(images)
    assert fresh.stdout.strip() == here.tobytes().hex()


def test_threads_are_pinned_inside_and_restored():
    seen = []

    class Watching(torch.nn.Linear):
        def __init__(self, n_classes):
            super().__init__(8, n_classes)

        def forward(self, X):
            seen.append(torch.get_num_threads())
            return super().forward(X).mean(dim=1)

    net(module=Watching, n_threads=2, max_epochs=1).fit(images, y).predict(images)
    assert set(seen) == {2}
    assert torch.get_num_threads() == 1


def test_isolated_restores_when_the_block_raises():
    before = state()
    with contextlib.suppress(KeyError), isolated(3, "cpu", dtype=torch.float64, n_threads=2):
        torch.rand(1), np.random.rand(), random.random()
        raise KeyError
    assert state() == before


def weights(net):
    return torch.cat([weight.detach().flatten() for weight in net.module_.parameters()])


def test_init_seed_fixes_the_initial_weights_and_nothing_else():
    one, two = (
        net(module=None, max_epochs=0, random_state=seed, init_seed=7).fit(images, y) for seed in (0, 1)
    )
    assert torch.equal(weights(one), weights(two))
    other = net(module=None, max_epochs=0, random_state=0, init_seed=8).fit(images, y)
    assert not torch.equal(weights(one), weights(other))
    trained = [net(module=None, random_state=seed, init_seed=7).fit(images, y) for seed in (0, 1)]
    assert not torch.equal(weights(trained[0]), weights(trained[1]))


class Recording(torch.nn.Linear):
    """Keeps what it was given."""

    def __init__(self, n_classes):
        super().__init__(64, n_classes)
        self.seen = []

    def forward(self, X):
        self.seen.append(X.clone())
        return super().forward(X.flatten(1))


@pytest.mark.parametrize("way", [{}, {"iterator_train__num_workers": 0}], ids=["memory", "DataLoader"])
def test_order_seed_fixes_the_batches_and_nothing_else(way):
    def fitted(seed, order_seed):
        params = {"module": Recording, "batch_size": 16, "order_seed": order_seed, "random_state": seed}
        return net(**params, **way).fit(images, y)

    one, two, other = fitted(0, 7), fitted(1, 7), fitted(0, 8)
    seen = [torch.cat(fit.module_.seen) for fit in (one, two, other)]
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0][:70], seen[0][70:])  # each epoch has an order of its own
    assert not torch.equal(weights(one), weights(two))
    assert torch.equal(weights(one), weights(fitted(0, 7)))
