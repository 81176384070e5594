"""One module that computes many: each layer's twin, and the streams that it draws from."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from skal.nets.seeding import torch_states
from skal.nets.stacked import OneByOne, StackedChannels, StackedDropout, StackedLinear, Streams, stacked

N = 3
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Scaled(nn.Linear):
    """A layer that torch doesn't have."""

    def forward(self, X, factor=1.0):
        return super().forward(X) * factor


class Pair(nn.Module):
    """Has one layer twice, and none where another could be."""

    def __init__(self):
        super().__init__()
        self.layer, self.nothing = nn.Linear(4, 4), None
        self.same = self.layer
        self.scaled = Scaled(4, 4)

    def forward(self, X):
        return self.scaled(self.layer(self.same(X)), 2.0)


LAYERS = {
    "linear": (lambda: nn.Linear(4, 3), (4,), StackedLinear),
    "no bias": (lambda: nn.Linear(4, 3, bias=False), (4,), StackedLinear),
    "more axes": (lambda: nn.Linear(4, 3), (2, 5, 4), StackedLinear),
    "conv1d": (lambda: nn.Conv1d(2, 3, 2), (2, 6), StackedChannels),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 7, 7), StackedChannels),
    "padding": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), (4, 7, 7), StackedChannels),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, dilation=2, bias=False), (2, 4, 4, 4), StackedChannels),
    "norm1d": (lambda: nn.BatchNorm1d(4), (4,), StackedChannels),
    "norm2d": (lambda: nn.BatchNorm2d(4, momentum=0.3, affine=False), (4, 5, 5), StackedChannels),
    "no statistics": (lambda: nn.BatchNorm1d(4, track_running_stats=False), (4, 6), StackedChannels),
    "dropout": (lambda: nn.Dropout(0.4), (4,), StackedDropout),
    "dropout in place": (lambda: nn.Dropout(0.4, inplace=True), (4,), StackedDropout),
    "dropout2d": (lambda: nn.Dropout2d(0.4), (4, 3, 3), StackedDropout),
    "alpha dropout": (lambda: nn.AlphaDropout(0.4), (4,), OneByOne),
    "layer norm": (lambda: nn.LayerNorm(4), (4,), OneByOne),
    "embedding": (lambda: nn.Embedding(2, 3), None, OneByOne),
    "own class": (lambda: Scaled(4, 3), (4,), OneByOne),
    "used twice": (Pair, (4,), Pair),
    "no weights": (lambda: nn.MaxPool2d(2), (2, 4, 4), nn.MaxPool2d),
}  # fmt: skip


def rows(shape, batch=5):
    if shape is None:
        return torch.randint(2, (N * batch, 6), device=DEVICE)
    return torch.randn(N * batch, *shape, dtype=torch.float64, device=DEVICE, requires_grad=True)


def streams_at(seed):
    streams = Streams(N, DEVICE)
    for number in range(N):
        torch.manual_seed(seed + number)
        streams.keep(number)
    return streams


def results(modules, X, streams):
    """Outputs, gradients, buffers and streams of the modules one by one, stacked."""
    outputs, gradients = [], []
    for number, (module, own) in enumerate(zip(modules, X.chunk(N), strict=True)):
        with streams.of(number):
            outputs.append(module(own.clone()))  # which a layer in place may write to
        outputs[-1].square().sum().backward()
        gradients.append({name: part.grad for name, part in module.named_parameters()})
    names = [name for name, _ in modules[0].named_buffers()]
    buffers = {
        name: torch.stack([dict(module.named_buffers())[name] for module in modules]) for name in names
    }
    gradients = {name: torch.stack([own[name] for own in gradients]) for name in gradients[0]}
    return torch.cat(outputs), gradients, buffers, streams.states


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_the_twin_of_a_layer_does_what_the_layers_do(name, training):
    make, shape, kind = LAYERS[name]
    torch.manual_seed(0)
    modules = [make().double().to(DEVICE) for _ in range(N)]
    X = rows(shape)
    streams = streams_at(3)
    twin = stacked(modules, streams).train(training)
    assert type(twin) is kind
    for _ in range(2):  # the second time the streams go on, and buffers are others
        found = twin(X)
        twin.zero_grad()
        found.square().sum().backward()
    expected_streams = streams_at(3)
    own = [deepcopy(module).train(training) for module in modules]
    for _ in range(2):
        for module in own:
            module.zero_grad(set_to_none=True)
        outputs, gradients, buffers, states = results(own, X, expected_streams)
    torch.testing.assert_close(found, outputs)
    torch.testing.assert_close({name: part.grad for name, part in twin.named_parameters()}, gradients)
    torch.testing.assert_close(dict(twin.named_buffers()), buffers)
    assert all(map(torch.equal, streams.states, states))


@pytest.mark.parametrize("name", LAYERS)
def test_the_modules_stay_as_they_are(name):
    make, shape, _ = LAYERS[name]
    modules = [make().double().to(DEVICE) for _ in range(N)]
    before = deepcopy([module.state_dict() for module in modules])
    stacked(modules, streams_at(0)).train()(rows(shape)).sum().backward()
    torch.testing.assert_close([module.state_dict() for module in modules], before)
    assert all(part.grad is None for module in modules for part in module.parameters())


def test_what_is_not_trained_is_not_trained_in_the_stack():
    modules = [nn.Linear(4, 3) for _ in range(N)]
    for module in modules:
        module.bias.requires_grad_(False)
    twin = stacked(modules, streams_at(0))
    assert twin.weight.requires_grad
    assert not twin.bias.requires_grad


def test_a_stream_goes_on_where_it_was_and_the_generator_too():
    streams = streams_at(5)
    torch.manual_seed(1)
    before = torch_states()
    with streams.of(2):
        first = torch.randn(3, device=DEVICE)
    with streams.of(0):
        torch.randn(7, device=DEVICE)
    with streams.of(2):
        second = torch.randn(2, device=DEVICE)
    assert torch.equal(torch_states(), before)
    torch.manual_seed(7)
    assert torch.equal(first, torch.randn(3, device=DEVICE))
    assert torch.equal(second, torch.randn(2, device=DEVICE))
