"""What a few rows tell about a module's dropout, and what is refused for it."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from zoo import inputs, zoo

from skal.nets._probe import Watch, probe
from skal.nets._source import open_source
from skal.nets.draws import sample_proba

ZOO = zoo()


@pytest.mark.parametrize("name", ZOO)
def test_to_watch_a_module_changes_nothing(name):
    # Attention and recurrent layers are taken apart to see their dropout: without it, they come to the same.
    module, kind = ZOO[name]
    with torch.no_grad(), Watch():
        watched = module(inputs(kind))
    with torch.no_grad():
        plain = module(inputs(kind))
    watched, plain = (out[0] if isinstance(out, tuple) else out for out in (watched, plain))
    torch.testing.assert_close(watched, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "sites"),
    [
        ("mlp", [(0, True), (0, True)]),
        ("tokens, time first", [(0, True), (1, True), (1, True), (1, True)] * 2),
        ("gru, time first", [(1, True)]),
        ("rows by steps", [(0, True)]),
        ("steps by rows", [(0, False)]),
        ("gated", [(0, True)]),
    ],
)
@pytest.mark.parametrize("n", [1, 2, 23])
def test_where_the_rows_are(name, sites, n):
    module, kind = ZOO[name]
    source = open_source(module)
    found = probe(source, inputs(kind, n))
    if n > 1:
        assert [(site.axis, site.rows_outer) for site in found.sites] == sites
    assert not found.random


class Layer(nn.Module):
    """A layer by a function of input and mode."""

    def __init__(self, function):
        super().__init__()
        self.function, self.output = function, nn.Linear(6, 3)

    def forward(self, X):
        return self.output(self.function(X, self.training))


def noisy(X, training):
    return functional.dropout(X, 0.5, training) + (torch.randn_like(X) if training else 0)


def by_hand(X, training):
    return X * torch.bernoulli(torch.full_like(X, 0.5)) * 2 if training else X


def doubled(X, training):
    return functional.dropout(X * 2, 0.5) if training else X


def mixing(X, training):
    return functional.dropout(X @ X.T, 0.5) @ X


def scripted(X, training):
    return torch.jit.script(nn.Sequential(nn.Dropout(0.5)).train(training))(X)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (noisy, "in training mode by randn_like"),
        (by_hand, "in training mode by bernoulli"),
        (doubled, "only runs in training mode"),
        (mixing, "which of its values belong to which row can't be told"),
    ],
)
def test_what_is_no_plain_dropout_is_refused(function, message):
    module = nn.Sequential(Layer(function), nn.Dropout(0.0) if function is by_hand else nn.Dropout(0.1))
    if function is by_hand:
        module.append(nn.Dropout(0.1))
    with pytest.raises(TypeError, match=message):
        sample_proba(module, inputs("rows"), 3)


def test_packed_sequences_are_refused():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers, self.output = nn.LSTM(4, 5, 2, dropout=0.5, batch_first=True), nn.Linear(5, 3)

        def forward(self, X):
            lengths = torch.full((len(X),), X.shape[1])
            packed = nn.utils.rnn.pack_padded_sequence(X, lengths, batch_first=True)
            return self.output(self.layers(packed)[1][0][-1])

    with pytest.raises(TypeError, match="PackedSequence"):
        sample_proba(Packed(), inputs("steps"), 3)


def test_noise_that_is_always_there_repeats():
    module = nn.Sequential(Layer(lambda X, training: X + torch.randn_like(X)), nn.Dropout(0.5)).eval()
    draws = sample_proba(module, inputs("rows"), 3, 0)
    assert (draws == sample_proba(module, inputs("rows"), 3, 0)).all()
    assert (draws != sample_proba(module, inputs("rows"), 3, 1)).any()
    assert len(set(draws[:, 0, 0])) == 3


def test_weights_can_drop_too():
    class DropConnect(nn.Linear):
        def forward(self, X):
            return functional.linear(X, functional.dropout(self.weight, 0.5, self.training), self.bias)

    draws = sample_proba(DropConnect(6, 3), inputs("rows"), 5)
    assert draws.std(axis=0).min() > 0
    with pytest.raises(TypeError, match="consistent=True"):
        sample_proba(DropConnect(6, 3), inputs("rows"), 5, consistent=False)


def test_a_module_that_remembers_what_it_computed_can_be_copied():
    class Remembering(nn.Module):
        def __init__(self):
            super().__init__()
            self.output, self.drop = nn.Linear(6, 3), nn.Dropout(0.5)

        def forward(self, X):
            self.last = self.output(X)
            return self.drop(self.last)

    module = Remembering()
    module(inputs("rows"))
    last = module.last
    assert sample_proba(module, inputs("rows"), 3).shape == (3, 23, 3)
    assert module.last is last


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_dropout_in_a_script_is_not_passed_over():
    """What is compiled calls nothing that can be watched; beside a visible dropout it would be left out."""

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.jit.script(nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.8)))
            self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(8, 3))

        def forward(self, X):
            return self.head(self.body(X))

    with pytest.raises(TypeError, match="training mode by a compiled function, which is no dropout"):
        sample_proba(Half(), torch.randn(5, 4), 3)


def test_one_number_for_a_row_is_no_class():
    module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 1))
    with pytest.raises(TypeError, match="one number for a row, and draws need the logit of each class"):
        sample_proba(module, torch.randn(5, 4), 3)


def test_dropout_of_some_rows_is_refused_whichever_come_first():
    class Some(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.drop, self.head = nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3)

        def forward(self, X):
            hidden, some = self.body(X), X[:, 0] > 0
            dropped = hidden.clone()
            dropped[some] = self.drop(hidden[some])
            return self.head(dropped)

    module, X = Some(), torch.randn(40, 4)
    for first in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        X[:2, 0] = torch.tensor(first)
        with pytest.raises(TypeError, match=r"MC dropout|which of its values belong to which row"):
            sample_proba(module, X, 3)


class Switched(nn.Module):
    def __init__(self, use, both=False):
        super().__init__()
        self.body, self.head, self.use, self.both = nn.Linear(4, 8), nn.Linear(8, 3), use, both

    def forward(self, X):
        hidden = functional.dropout(self.body(X), 0.5, training=self.training and self.use)
        return self.head(functional.dropout(hidden, 0.3, self.training) if self.both else hidden)


def test_a_call_that_is_off_in_training_too_is_no_dropout():
    X = torch.randn(6, 4)
    assert sample_proba(Switched(use=True), X, 5).std(axis=0).max() > 0
    with pytest.raises(TypeError, match="needs a net with active dropout, which Switched lacks"):
        sample_proba(Switched(use=False), X, 5)
    with pytest.raises(TypeError, match="a call of dropout that is off in training mode too"):
        sample_proba(Switched(use=False, both=True), X, 5)
