"""Modules of many kinds, small, each with a batch of input: for tests of dropout in all of them."""

import torch
from torch import nn
from torch.nn import functional


class Residual(nn.Module):
    """Branches before and after dropout that meet again."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.output = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(16, 3)

    def forward(self, X):
        before = torch.relu(self.first(X))
        after = before + self.second(functional.dropout(before, 0.4, self.training))
        return self.output(torch.cat([after.tanh(), before.sigmoid()], dim=1))


class Functional(nn.Module):
    """Dropout that only calls of functions show, on a view and in place."""

    def __init__(self):
        super().__init__()
        self.conv, self.output = nn.Conv2d(1, 4, 3), nn.Linear(4 * 25, 3)

    def forward(self, X):
        X = functional.dropout2d(self.conv(X), 0.3, training=self.training)
        X = functional.max_pool2d(functional.relu_(X), 2)
        X = functional.dropout(X.view(len(X), -1), 0.4, training=self.training, inplace=True)
        return functional.log_softmax(self.output(X), dim=-1)


class Gated(nn.Module):
    """Dropout that only runs in training mode."""

    def __init__(self):
        super().__init__()
        self.norm, self.output = nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, X):
        X = self.norm(X)
        if self.training:
            X = functional.dropout(X, 0.5)
        return self.output(X)


class Tokens(nn.Module):
    """Embedded tokens through a transformer."""

    def __init__(self, batch_first):
        super().__init__()
        self.batch_first, self.embedding = batch_first, nn.Embedding(9, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.output = nn.Linear(8, 3)

    def forward(self, X):
        X = self.embedding(X if self.batch_first else X.T)
        return self.output(self.encoder(X).mean(1 if self.batch_first else 0))


class Attention(nn.Module):
    """Attention by hand, with dropout of its own in training mode."""

    def __init__(self):
        super().__init__()
        self.key, self.output = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, X):
        p = 0.3 if self.training else 0.0
        X = functional.scaled_dot_product_attention(X, self.key(X), X, dropout_p=p, is_causal=True)
        return self.output(X.mean(1))


class Recurrent(nn.Module):
    """Recurrent layers with dropout between them, or flattened steps of time."""

    def __init__(self, kind, batch_first=True, **params):
        super().__init__()
        self.layers = kind(4, 5, 2, dropout=0.4, batch_first=batch_first, **params)
        self.batch_first, self.output = batch_first, nn.LazyLinear(3)

    def forward(self, X):
        states, _ = self.layers(X if self.batch_first else X.transpose(0, 1))
        return self.output(states.mean(1 if self.batch_first else 0))


class Flattened(nn.Module):
    """Rows and steps of time on one axis, rows first or last."""

    def __init__(self, rows_first):
        super().__init__()
        self.rows_first, self.first, self.output = rows_first, nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, X):
        n, steps = X.shape[:2]
        X = X if self.rows_first else X.transpose(0, 1)
        X = functional.dropout(torch.relu(self.first(X.reshape(-1, 4))), 0.4, self.training)
        X = X.reshape(n, steps, 5) if self.rows_first else X.reshape(steps, n, 5).transpose(0, 1)
        return self.output(X.mean(1))


class Pair(nn.Module):
    """A tuple comes back, of which the first counts."""

    def __init__(self):
        super().__init__()
        self.body, self.output = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5)), nn.Linear(8, 3)

    def forward(self, X):
        hidden = self.body(X)
        return self.output(hidden), hidden


class Branching(nn.Module):
    """Control flow by the data, before dropout: each batch takes its way."""

    def __init__(self):
        super().__init__()
        self.one, self.other, self.drop = nn.Linear(6, 3), nn.Linear(6, 3), nn.Dropout(0.5)

    def forward(self, X):
        X, sign = self.drop(X), float(X.sum())
        return self.one(X) if sign > 0 else self.other(X) * 2


class LateBranching(Branching):
    """Control flow by what dropout has made."""

    def forward(self, X):
        X = self.drop(X)
        return self.one(X) if X.sum() > 0 else self.other(X) * 2


class Overwriting(nn.Module):
    """What was combined with dropout's result is overwritten later."""

    def __init__(self):
        super().__init__()
        self.drop, self.output = nn.Dropout(0.5), nn.Linear(6, 3)

    def forward(self, X):
        X = X * 2
        hidden = self.drop(X) + X.sin()
        X.add_(1)
        other = hidden * X
        X.mul_(3)
        return self.output(other)


class WritingInto(nn.Module):
    """Results of dropout are written into a tensor that was there before."""

    def __init__(self):
        super().__init__()
        self.drop, self.output = nn.Dropout(0.5), nn.Linear(12, 3)

    def forward(self, X):
        both = torch.zeros(len(X), 12)
        both[:, 6:] = self.drop(X)
        both[:, :6] = X
        return self.output(both)


class SharedInput(nn.Module):
    """Dropout in place, whose input is used again under its old name."""

    def __init__(self):
        super().__init__()
        self.first, self.output = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, X):
        X = self.first(X)
        view = X[:]
        functional.dropout(X, 0.5, self.training, inplace=True)
        return self.output(view + X)


class Double(torch.autograd.Function):
    """A function that torch's overrides don't show."""

    @staticmethod
    def forward(ctx, X):
        return X * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


class Unseen(nn.Module):
    """A call that no mode sees, after dropout."""

    def __init__(self):
        super().__init__()
        self.drop, self.output = nn.Dropout(0.5), nn.Linear(6, 3)

    def forward(self, X):
        return self.output(Double.apply(self.drop(X)) + X)


class Selecting(nn.Module):
    """Shapes that hang on what dropout has left."""

    def __init__(self):
        super().__init__()
        self.drop, self.output = nn.Dropout(0.5), nn.Linear(6, 3)

    def forward(self, X):
        X = self.drop(X)
        return self.output(X) * X[X != 0].mean()


class Leaving(nn.Module):
    """Numbers that hang on dropout leave torch and come back."""

    def __init__(self):
        super().__init__()
        self.drop, self.output = nn.Dropout(0.5), nn.Linear(6, 3)

    def forward(self, X):
        X = self.drop(X)
        return self.output(X) + torch.from_numpy(X.numpy().mean(axis=1, keepdims=True))


def _conv(*layers):
    return nn.Sequential(nn.Conv2d(1, 4, 3), *layers, nn.Flatten(), nn.LazyLinear(3))


def zoo():
    """Names, modules in evaluation mode with moved buffers, kinds of input."""
    torch.manual_seed(0)
    relu = nn.ReLU(inplace=True)
    modules = {
        "mlp": (
            nn.Sequential(
                nn.Linear(6, 8),
                nn.ReLU(),
                nn.Dropout(0.3),
                nn.Linear(8, 8),
                nn.ReLU(),
                nn.Dropout(0.5),
                nn.Linear(8, 3),
            ),
            "rows",
        ),
        "dropout first": (nn.Sequential(nn.Dropout(0.2), nn.Linear(6, 3)), "rows"),
        "cnn": (
            _conv(
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Dropout(0.25),
                nn.Flatten(),
                nn.LazyLinear(16),
                nn.ReLU(),
                nn.Dropout(0.5),
            ),
            "images",
        ),
        "in place": (
            _conv(
                relu, nn.Dropout(0.25), relu, nn.Conv2d(4, 4, 3), relu, nn.Dropout(0.5, inplace=True), relu
            ),
            "images",
        ),
        "batch norm": (_conv(nn.BatchNorm2d(4), nn.Dropout(0.25), nn.BatchNorm2d(4), nn.ReLU()), "images"),
        "channels": (
            _conv(
                nn.Dropout2d(0.5),
                nn.MaxPool2d(2),
                nn.ReLU(),
                nn.Conv2d(4, 6, 3),
                nn.Dropout2d(0.5),
                nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Flatten(),
                nn.LazyLinear(8),
                nn.Dropout(0.5),
            ),
            "images",
        ),
        "channels, relu in place": (
            _conv(
                nn.ReLU(),
                nn.Dropout2d(0.25),
                relu,
                nn.AvgPool2d(2, padding=1),
                nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False),
                relu,
            ),
            "images",
        ),
        "channels, grouped": (_conv(nn.Dropout2d(0.25), nn.Conv2d(4, 8, 3, groups=2), nn.ReLU()), "images"),
        "channels, tanh": (_conv(nn.Dropout2d(0.25), nn.Tanh(), nn.Conv2d(4, 8, 3), nn.ReLU()), "images"),
        "units of maps": (_conv(nn.Dropout(0.25), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.ReLU()), "images"),
        "selu": (
            nn.Sequential(
                nn.Linear(6, 8),
                nn.SELU(),
                nn.AlphaDropout(0.3),
                nn.Linear(8, 8),
                nn.SELU(),
                nn.FeatureAlphaDropout(0.2),
                nn.Linear(8, 3),
            ),
            "rows",
        ),
        "sequences": (
            nn.Sequential(nn.Conv1d(5, 4, 2), nn.Dropout1d(0.4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)),
            "steps",
        ),
        "layer norm": (
            nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)),
            "rows",
        ),
        "residual": (Residual(), "rows"),
        "functional": (Functional(), "images"),
        "gated": (Gated(), "rows"),
        "tokens": (Tokens(True), "tokens"),
        "tokens, time first": (Tokens(False), "tokens"),
        "attention": (Attention(), "steps"),
        "lstm": (Recurrent(nn.LSTM, bidirectional=True), "steps"),
        "gru, time first": (Recurrent(nn.GRU, batch_first=False), "steps"),
        "rows by steps": (Flattened(True), "steps"),
        "steps by rows": (Flattened(False), "steps"),
        "pair": (Pair(), "rows"),
        "branching": (Branching(), "rows"),
    }
    return _ready(modules)


def hazards():
    """The same, where a tape alone would be wrong: full passes are right."""
    torch.manual_seed(0)
    kinds = [LateBranching, Overwriting, WritingInto, SharedInput, Unseen, Selecting, Leaving]
    return _ready({kind.__name__: (kind(), "rows") for kind in kinds})


def inputs(kind, n=23):
    """A batch for modules of a kind."""
    generator = torch.Generator().manual_seed(1)
    if kind == "tokens":
        return torch.randint(9, (n, 7), generator=generator)
    shape = {"rows": (6,), "images": (1, 12, 12), "steps": (5, 4)}[kind]
    return torch.randn(n, *shape, generator=generator)


def _ready(modules):
    for module, kind in modules.values():
        module.train()
        for _ in range(2):  # lazy layers get their shape, batch normalisation its statistics
            module(inputs(kind))
        module.eval()
    return modules
