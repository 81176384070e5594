"""Many nets trained in one run end where each would have come alone."""

import pickle
import random

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn, optim

from skal.nets import NetClassifier, SmallMLP
from skal.nets.together import against, fit_together

rng = np.random.RandomState(0)
X = rng.rand(70, 5)
images = rng.rand(50, 8, 8)
y = np.arange(70) % 3
weight = rng.rand(70)


class Blocks(nn.Module):
    """Convolutions, batch normalisation, all kinds of dropout, and a shortcut."""

    def __init__(self, n_classes):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.3)
        )
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False), nn.AlphaDropout(0.1))
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 8),
            nn.LayerNorm(8),
            nn.Dropout(0.2, inplace=True),
            nn.Linear(8, n_classes),
        )

    def forward(self, X):
        X = nn.functional.max_pool2d(self.stem(X.unsqueeze(1)), 2)
        return self.head(X + self.body(X))


def net(module=SmallMLP, **params):
    return NetClassifier(
        module, **{"dtype": "float64", "max_epochs": 3, "batch_size": 16, "n_threads": 1} | params
    )


def small(**params):
    return net(**{"module__hidden": 8} | params)


def seeded(model, n=3):
    return [clone(model).set_params(random_state=seed) for seed in range(n)]


def both_ways(model, sets):
    """Nets that were fitted alone, and nets that were fitted together."""
    alone = [one.fit(X, y, **params) for one, (X, y, params) in zip(seeded(model), sets, strict=True)]
    together = seeded(model)
    assert against(together) is None
    assert fit_together(together, sets, always=True) is None
    return list(zip(alone, together, strict=True))


def assert_same(alone, together, atol=1e-9):
    for (name, value), twin in zip(
        alone.module_.state_dict().items(), together.module_.state_dict().values(), strict=True
    ):
        assert_allclose(twin.cpu(), value.cpu(), atol=atol, err_msg=name)
    assert_allclose(together.history[:, "train_loss"], alone.history[:, "train_loss"], atol=atol)


OPTIMIZERS = [
    (optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (optim.Adam, {"amsgrad": True}),
    (optim.AdamW, {}),
    (optim.Adamax, {}),
    (optim.NAdam, {}),
    (optim.RAdam, {}),
    (optim.RMSprop, {"centered": True, "momentum": 0.5}),
    (optim.Adagrad, {"initial_accumulator_value": 0.5}),
    (optim.Adadelta, {}),
    (optim.Rprop, {}),
]


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS, ids=lambda part: getattr(part, "__name__", ""))
def test_every_elementwise_optimizer(optimizer, options):
    params = {f"optimizer__{name}": value for name, value in options.items()}
    for pair in both_ways(small(optimizer=optimizer, **params), [(X, y, {})] * 3):
        assert_same(*pair)


class WorstRow(nn.CrossEntropyLoss):
    """A loss that is no mean."""

    def forward(self, logits, codes):
        losses = nn.functional.cross_entropy(logits, codes, reduction="none")
        return losses if self.reduction == "none" else losses.max()


MODELS = {
    "mlp": small(module__dropout=0.5),
    "no dropout": small(module__dropout=0.0),
    "weight decay by n": small(weight_decay_scale=2.0),
    "groups of weights": small(optimizer__param_groups=[("output*", {"lr": 0.1})]),
    "order": small(order_seed=3),
    "weights": small(init_seed=3),
    "all rows at once": small(batch_size=-1),
    "unshuffled": small(iterator_train__shuffle=False),
    "smoothed loss": small(criterion__label_smoothing=0.1),
    "weighted classes": small(criterion__weight=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)),
    "summed loss": small(criterion__reduction="sum"),
    "own loss": small(criterion=WorstRow),
}  # fmt: skip
MODELS["probabilities"] = net(
    lambda in_shape, n_classes: nn.Sequential(nn.Linear(5, n_classes), nn.Softmax(dim=1)),
    criterion=nn.NLLLoss,
)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("params", [{}, {"sample_weight": weight}], ids=["", "weighted"])
def test_nets_end_where_they_would_have_come_alone(name, params):
    for pair in both_ways(MODELS[name], [(X, y, params)] * 3):
        assert_same(*pair)


@pytest.mark.parametrize("module", [None, Blocks], ids=["SmallCNN", "Blocks"])
def test_images(module):
    for pair in both_ways(net(module), [(images, y[:50], {})] * 3):
        assert_same(*pair)


def test_single_precision(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # shorter numbers, in other kernels
    # Not with Adam: it makes steps of rounding errors where a gradient is zero, as that of a bias before a
    # normalisation is.
    model = net(Blocks, dtype="float32", optimizer=optim.SGD, lr=0.01)
    for pair in both_ways(model, [(images, y[:50], {})] * 3):
        assert_same(*pair, atol=1e-5)


def test_each_net_on_rows_of_its_own():
    draws = [np.random.RandomState(seed).randint(70, size=70) for seed in range(3)]
    sets = [(X[rows], np.array(["ash", "oak", "yew"])[y[rows]], {}) for rows in draws]
    for pair in both_ways(small(class_weight="balanced"), sets):
        assert_same(*pair)


def test_uint8_images_are_scaled():
    as_bytes = (images * 255).astype(np.uint8)
    for pair in both_ways(net(None, dtype="float32", module__channels=(2, 2)), [(as_bytes, y[:50], {})] * 3):
        assert_allclose(*(one.predict_proba(as_bytes) for one in pair), atol=1e-5)


def test_masks_and_batches_are_those_of_each_net_alone():
    """With SGD a loss tells masks and rows apart: they are equal from the first batch to the last."""
    model = small(optimizer=optim.SGD, lr=0.0, module__dropout=0.5)
    for alone, together in both_ways(model, [(X, y, {})] * 3):
        for epoch, twin in zip(alone.history, together.history, strict=True):
            assert_allclose(
                [batch["train_loss"] for batch in twin["batches"]],
                [batch["train_loss"] for batch in epoch["batches"]],
                rtol=1e-12,
            )
        assert len({batch["train_loss"] for epoch in alone.history for batch in epoch["batches"]}) == 15


def test_nets_are_ordinary_nets_afterwards():
    for alone, together in both_ways(small(optimizer=optim.Adam), [(X, y, {})] * 3):
        assert [sorted(epoch) for epoch in together.history] == [sorted(epoch) for epoch in alone.history]
        assert [sorted(batch) for batch in together.history[0]["batches"]] == [
            sorted(batch) for batch in alone.history[0]["batches"]
        ]
        again = pickle.loads(pickle.dumps(together))
        assert_array_equal(again.predict_proba(X), together.predict_proba(X))
        assert_allclose(together.sample_proba(X, 3, random_state=0), alone.sample_proba(X, 3, random_state=0))
        for one in (alone, together):  # goes on with what its optimizer remembers
            one.partial_fit(X, y)
        assert_same(alone, together)


def state():
    of_torch = [state.numpy().tobytes() for state in (torch.get_rng_state(), *torch.cuda.get_rng_state_all())]
    switches = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    return np.random.get_state()[1].tobytes(), random.getstate(), of_torch, switches


def test_no_trace_is_left():
    module = SmallMLP((5,), 3, hidden=8)
    weights, before = [part.clone() for part in module.parameters()], state()
    assert fit_together(seeded(net(module, max_epochs=1)), [(X, y, {})] * 3, always=True) is None
    assert state() == before
    assert all(map(torch.equal, module.parameters(), weights))
    assert all(part.grad is None for part in module.parameters())


def test_no_epochs_is_no_change():
    for alone, together in both_ways(small(max_epochs=0), [(X, y, {})] * 3):
        assert_array_equal(together.predict_proba(X), alone.predict_proba(X))
        assert len(together.history) == 0


class Own(NetClassifier):
    pass


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (small(callbacks=[EarlyStopping()]), "callbacks"),
        (small(train_split=ValidSplit(2)), "train_split"),
        (small(verbose=1), "verbose"),
        (small(amp=True, dtype="float32"), "amp"),
        (small(iterator_train=type("Loader", (), {})), "iterator"),
        (small(optimizer=optim.LBFGS), "optimizer"),
        (Own(SmallMLP), "class of their own"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_what_is_trained_one_by_one_by_its_parameters(model, words):
    assert words in against(seeded(model))


def test_rows_that_are_not_in_memory_are_trained_one_by_one():
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X).float(), torch.from_numpy(y))
    reason = fit_together(seeded(small(dtype="float32")), [(dataset, y, {})] * 3)
    assert "not in memory" in reason
    rows = [({"input": X}, y, {})] * 3
    assert "several parts" in fit_together(seeded(net(lambda: nn.Linear(5, 3))), rows)


def test_on_a_cpu_only_small_nets_are_trained_together_unless_asked():
    if torch.cuda.is_available():
        pytest.skip("a GPU trains together what it can")
    assert fit_together(seeded(small()), [(X, y, {})] * 3) is None
    assert "at once" in fit_together(seeded(net(module__hidden=500)), [(X, y, {})] * 3)


def test_few_steps_are_not_worth_a_rehearsal():
    assert "few steps" in fit_together(seeded(small(max_epochs=1)), [(X, y, {})] * 3)
    assert fit_together(seeded(small(max_epochs=2)), [(X, y, {})] * 3) is None
