"""Tapes beside full passes, for modules of many kinds."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional
from zoo import hazards, inputs, zoo

from skal.nets import _fused, _layers, _tape
from skal.nets._faster import call
from skal.nets._masks import Masks
from skal.nets._passes import Passes
from skal.nets._probe import probe
from skal.nets._source import open_source
from skal.nets.draws import sample_proba

ZOO, HAZARDS = zoo(), hazards()
# The rule that finds out before draws differ. "Unseen" is seen: without gradients its calls are plain.
WHY = {
    "LateBranching": "leaves torch",
    "Overwriting": "written to in place",
    "WritingInto": "does not visibly derive",
    "SharedInput": "is used again",
    "Unseen": "",
    "Selecting": "shapes hang on dropout",
    "Leaving": "numpy shows values",
}


def logits(module, X, consistent, *, full=False, n_draws=4, size=None):
    """All draws of all rows, and why full passes were taken."""
    with torch.no_grad():
        source = open_source(module)
        passes = Passes(source, Masks(1, consistent), probe(source, X), n_draws)
        passes.unsafe = "on demand" if full else passes.unsafe
        blocks = [torch.stack(passes.run(part)) for part in X.split(size or len(X))]
    return torch.cat(blocks, dim=1).numpy(), passes.unsafe


@pytest.fixture(params=["as it pays", "wherever it can"])
def shortcuts(request, monkeypatch):
    """Shortcuts also where layers are too small for them to pay, and in many blocks."""
    if request.param == "wherever it can":
        monkeypatch.setattr(_layers, "_MANY_DRAWS", 0)
        monkeypatch.setattr(_layers, "_WORTHWHILE", 0)
        monkeypatch.setattr(_layers, "_RESPONSE_VALUES", 1000)


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize("name", ZOO)
def test_a_tape_equals_full_passes(name, consistent, shortcuts):
    module, kind = ZOO[name]
    taped, unsafe = logits(module, inputs(kind), consistent)
    full, _ = logits(module, inputs(kind), consistent, full=True)
    assert not unsafe
    assert full.std(axis=0).mean() > 1e-3
    assert_allclose(taped, full, rtol=1e-5, atol=1e-6 * np.abs(full).max())


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize("name", HAZARDS)
def test_what_no_tape_can_hold_takes_full_passes(name, consistent):
    module, kind = HAZARDS[name]
    taped, unsafe = logits(module, inputs(kind), consistent)
    full, _ = logits(module, inputs(kind), consistent, full=True)
    assert_allclose(taped, full, rtol=1e-5, atol=1e-6)
    assert WHY[name] in unsafe
    assert bool(unsafe) == bool(WHY[name])


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize("name", [name for name in ZOO if name != "branching"])
def test_batches_don_t_matter(name, consistent):
    module, kind = ZOO[name]
    whole, _ = logits(module, inputs(kind), consistent)
    parts, _ = logits(module, inputs(kind), consistent, size=7)
    assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize("name", ["mlp", "cnn", "channels", "steps by rows"])
def test_batches_of_one_row_don_t_matter(name, consistent, shortcuts):
    module, kind = ZOO[name]
    whole, _ = logits(module, inputs(kind, 5), consistent)
    parts, _ = logits(module, inputs(kind, 5), consistent, size=1)
    assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in ZOO if name not in ("branching", "attention")])
def test_rows_keep_their_shared_draws_in_any_company_and_order(name):
    module, kind = ZOO[name]
    X, order = inputs(kind), torch.randperm(23, generator=torch.Generator().manual_seed(2))[:11]
    draws = sample_proba(module, X, 3, seed=5)
    assert_allclose(sample_proba(module, X[order], 3, seed=5), draws[:, order.numpy()], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "channels", "tokens", "branching"])
def test_modules_stay_as_they_were(name):
    module, kind = ZOO[name]
    modes = [layer.training for layer in module.train().modules()]
    before = {key: value.clone() for key, value in module.state_dict().items()}
    state = torch.get_rng_state()
    sample_proba(module, inputs(kind), 3)
    assert [layer.training for layer in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in module.parameters())
    module.eval()


def test_a_tape_that_differs_from_a_full_pass_is_not_used(monkeypatch):
    module, kind = ZOO["mlp"]
    full, _ = logits(module, inputs(kind), True, full=True)
    monkeypatch.setattr(_tape.Tape, "replay", lambda tape, draw, steps: torch.zeros(3, 3))
    taped, unsafe = logits(module, inputs(kind), True)
    assert unsafe == "a tape and a full pass differ"
    assert_allclose(taped, full, rtol=1e-6)


def test_shortcuts_are_taken_where_they_can(shortcuts):
    kinds = {}
    for name in (
        "cnn",
        "channels",
        "channels, relu in place",
        "channels, tanh",
        "channels, grouped",
        "units of maps",
    ):
        module, kind = ZOO[name]
        X = inputs(kind)
        with torch.no_grad():
            source = open_source(module)
            passes = Passes(source, Masks(1, True), probe(source, X), 9)
            tape = _tape.Tape(partial(passes.factors, range(len(X))), [*source.tensors(), X])
            tape.record(source.forward, X)
            steps = _fused.fused(tape, 9, {id(tensor) for tensor in source.tensors()}, {})
        kinds[name] = [type(step).__name__ for step in steps]
    if _layers._WORTHWHILE:  # the layers of the zoo are small
        assert "LinearStep" not in kinds["cnn"]
    else:
        assert kinds["cnn"][0] == "LinearStep"
    assert kinds["channels"][0] == kinds["channels, relu in place"][0] == "ConvolutionStep"
    assert (
        "ConvolutionStep" not in kinds["channels, tanh"] + kinds["channels, grouped"] + kinds["units of maps"]
    )


def test_maxima_of_slices_are_max_pooling():
    for shape, kernel in [((2, 3, 9, 7), 2), ((3, 9, 7), (2, 3)), ((2, 3, 9, 7), (1, 2)), ((1, 2, 8, 8), 4)]:
        X = torch.randn(shape)
        X.view(-1)[[3, 9, 17]] = torch.tensor([torch.nan, torch.inf, -torch.inf])
        fast = call(functional.max_pool2d, (X, kernel), {})
        torch.testing.assert_close(fast, functional.max_pool2d(X, kernel), rtol=0, atol=0, equal_nan=True)
    X = torch.randn(1, 2, 9, 8)
    for params in [
        {"stride": 1},
        {"padding": 1},
        {"ceil_mode": True},
        {"dilation": 2},
        {"return_indices": 1},
    ]:
        torch.testing.assert_close(
            call(functional.max_pool2d, (X, 2), params), functional.max_pool2d(X, 2, **params), rtol=0, atol=0
        )


def test_the_mean_of_many_draws_is_the_expectation():
    module = nn.Sequential(nn.Dropout(0.3), nn.Linear(6, 3)).eval()
    for consistent in (True, False):
        draws, _ = logits(module, inputs("rows"), consistent, n_draws=2000)
        with torch.no_grad():
            expected = module(inputs("rows")).numpy()
        assert (np.abs(draws.mean(axis=0) - expected) < 5 * draws.std(axis=0) / np.sqrt(2000)).all()


class Counting(nn.Module):
    """Another function in each call, of which one class can't be."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 4))
        self.n_calls = 0

    def forward(self, X):
        self.n_calls += 1
        logits = self.layers(X) * (1 + 0.1 * (self.n_calls % 3))
        return logits.masked_fill(torch.arange(4) == 3, -torch.inf)


def test_classes_that_cannot_be_don_t_hide_that_a_tape_is_wrong():
    _, unsafe = logits(Counting(), torch.randn(20, 5), True)
    assert unsafe == "a tape and a full pass differ"


def test_outputs_that_are_not_finite_stay_so():
    module = nn.Sequential(nn.Linear(5, 8), nn.Dropout(), nn.Linear(8, 3))
    with torch.no_grad():
        module[0].weight.fill_(torch.nan)
    assert np.isnan(sample_proba(module, torch.randn(6, 5), 3)).all()
