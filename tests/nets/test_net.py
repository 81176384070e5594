"""NetClassifier as a skorch net."""

import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_blobs
from skorch.callbacks import BatchScoring, Callback, Checkpoint, EarlyStopping, EpochScoring, LRScheduler
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import SliceDataset, predefined_split
from torch.utils.data import DataLoader, TensorDataset

from skal import as_pool
from skal.nets import NetClassifier, SmallMLP

X, codes = make_blobs(90, centers=3, random_state=0)
X = X.astype(np.float32)
names = np.array(["ash", "birch", "oak"])[codes]


def small(**params):
    return NetClassifier(**{"module__hidden": 16, "max_epochs": 3, "lr": 0.01, "random_state": 0} | params)


class Normalised(torch.nn.Module):
    """A module with buffers: batch normalisation."""

    def __init__(self, in_shape, n_classes):
        super().__init__()
        parts = torch.nn.Linear(*in_shape, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout()
        self.layers = torch.nn.Sequential(*parts, torch.nn.Linear(8, n_classes))

    def forward(self, X):
        return self.layers(X)


def test_losses_of_each_epoch_are_in_the_history_and_nothing_is_printed(capsys):
    net = small().fit(X, names)
    losses = net.history[:, "train_loss"]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert sum(net.history[0, "batches", :, "train_batch_size"]) == 90
    assert capsys.readouterr() == ("", "")
    small(verbose=1, max_epochs=1).fit(X, names)
    assert "train_loss" in capsys.readouterr().out


@pytest.mark.parametrize("caching", [True, False])
def test_scores_of_callbacks_are_those_of_the_decoded_predictions(caching):
    gaps = np.array([3, 7, 50])[codes]
    callbacks = [
        (
            "acc",
            EpochScoring("accuracy", name="acc", on_train=False, lower_is_better=False, use_caching=caching),
        ),
        ("loss", EpochScoring("neg_log_loss", name="nll", lower_is_better=False, use_caching=caching)),
    ]
    for y in (names, gaps):
        net = small(train_split=ValidSplit(3, stratified=True), callbacks=callbacks, max_epochs=20)
        net.fit(X, y, sample_weight=np.full(90, 2.0))
        assert net.history[-1, "acc"] == net.history[-1, "valid_acc"] > 0.6
        assert net.history[-1, "nll"] > -1
        assert net.history[-1, "valid_loss"] < net.history[0, "valid_loss"]


def test_batch_scoring_and_early_stopping_with_string_labels():
    callbacks = [
        BatchScoring("accuracy", name="batch_acc", on_train=True, lower_is_better=False),
        EarlyStopping(monitor="train_loss", patience=2, threshold=10),
    ]
    net = small(callbacks=callbacks, max_epochs=20).fit(X, names)
    assert len(net.history) == 3
    assert 0 <= net.history[-1, "batch_acc"] <= 1


def test_a_checkpoint_restores_the_best_epoch(tmp_path):
    checkpoint = Checkpoint(dirname=tmp_path, monitor="valid_loss_best", load_best=True)
    net = small(train_split=ValidSplit(3), callbacks=[checkpoint, LRScheduler("StepLR", step_size=1)]).fit(
        X, names
    )
    other = small().fit(X, names)
    other.load_params(checkpoint=checkpoint)
    assert_array_equal(other.predict_proba(X), net.predict_proba(X))
    assert other.get_params()["device"] == "auto"


def test_a_callback_may_rebuild_the_module_from_the_shape_of_its_rows():
    class Widen(Callback):
        def on_train_begin(self, net, X=None, y=None, **kwargs):
            net.set_params(module__hidden=X.shape[1] * 3)

    assert small(callbacks=[Widen()]).fit(X, names).module_.output.in_features == 6


def test_predefined_split_has_its_labels_encoded():
    valid = Dataset(X[:30], names[:30])
    net = small(train_split=predefined_split(valid), max_epochs=20).fit(X[30:], names[30:])
    assert net.history[-1, "valid_acc"] == net.score(X[:30], names[:30]) > 0.6


def test_a_net_with_initial_weights_only_predicts_when_it_knows_its_classes(tmp_path):
    fitted = small(module=SmallMLP, classes=["ash", "birch", "oak"]).fit(X, names)
    fitted.save_params(f_params=tmp_path / "weights.pt")
    net = small(module=SmallMLP, classes=["ash", "birch", "oak"], module__in_shape=(2,)).initialize()
    net.load_params(f_params=tmp_path / "weights.pt")
    assert_array_equal(net.predict(X), fitted.predict(X))


def test_set_params_on_a_fitted_net():
    net = small().fit(X, names)
    net.set_params(iterator_valid__batch_size=7)  # stock skorch raises
    assert net.predict_proba(X).shape == (90, 3)
    net.set_params(lr=np.float64(0.5), callbacks=[])
    assert net.optimizer_.param_groups[0]["lr"] == 0.5
    net.set_params(module__hidden=5)
    assert net.module_.output.in_features == 5
    net.set_params(module=SmallMLP((2,), 3))
    net.fit(X, names)


def test_misspelt_parameters_are_refused():
    with pytest.raises(ValueError, match="did you mean iterator_train__shuffle"):
        small(iterator_train_shuffle=True).fit(X, names)


def test_warm_start_goes_on_and_a_cold_start_does_not():
    warm = small(warm_start=True).fit(X, names).fit(X, names)
    assert_array_equal(warm.predict_proba(X), small(max_epochs=6).fit(X, names).predict_proba(X))
    cold = small().fit(X, names).fit(X, names)
    assert_array_equal(cold.predict_proba(X), small().fit(X, names).predict_proba(X))


def test_prediction_leaves_modes_and_buffers_as_they_are():
    net = NetClassifier(Normalised, max_epochs=2, random_state=0).fit(X, names)
    net.module_.train()
    net.module_.layers[1].eval()
    flags = [layer.training for layer in net.module_.modules()]
    state = {name: value.clone() for name, value in net.module_.state_dict().items()}
    first = net.predict_proba(X)
    list(net.forward_iter(X, training=False))
    net.forward(X)
    assert [layer.training for layer in net.module_.modules()] == flags
    assert all((state[name] == value).all() for name, value in net.module_.state_dict().items())
    assert_array_equal(net.predict_proba(X), first)


def test_forward_iter_keeps_the_order_of_rows_in_training_mode_too():
    net = NetClassifier(SmallMLP, module__dropout=0.0, max_epochs=2, random_state=0).fit(X, names)
    assert_allclose(net.forward(X, training=True).detach(), net.forward(X), atol=1e-5)


@pytest.mark.parametrize("n", [1, 64, 65, 129])
def test_batch_normalisation_never_sees_a_single_row(n):
    rows, y = np.tile(X, (2, 1))[:n], np.tile(names, 2)[:n]
    if n == 1:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            NetClassifier(Normalised, max_epochs=1).fit(rows, y)
    else:
        NetClassifier(Normalised, max_epochs=1).fit(rows, y)


@pytest.mark.parametrize("params", [{"iterator_train__num_workers": 0}, {"iterator_train": DataLoader}])
def test_a_dataloader_trains_as_well_as_batches_from_memory(params):
    params = params | {"iterator_train__drop_last": False}
    net = small(max_epochs=20, **params).fit(X, names, sample_weight=np.ones(90))
    assert net.score(X, names) > 0.8


def test_torch_datasets():
    y = np.array([3, 7, 50])[codes]
    pairs = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    for net in (
        small(max_epochs=20).fit(pairs),
        small(max_epochs=20).fit(pairs, y, sample_weight=np.ones(90)),
        small(max_epochs=20, class_weight="balanced").fit(SliceDataset(pairs), y),
        small(max_epochs=20, classes=[3, 7, 50]).fit(Unlabelled(pairs)),
    ):
        assert_array_equal(net.classes_, [3, 7, 50])
        assert net.score(X, y) > 0.8
        assert_allclose(net.predict_proba(pairs), net.predict_proba(X), atol=1e-6)


class Unlabelled(torch.utils.data.Dataset):
    """A dataset that shows its labels only with its rows."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        x, y = self.pairs[i]
        return x, int(y)


def test_a_dataset_that_hides_its_labels_needs_classes():
    pairs = Unlabelled(TensorDataset(torch.from_numpy(X), torch.from_numpy(codes)))
    with pytest.raises(ValueError, match="classes="):
        small().fit(pairs)
    with pytest.raises(ValueError, match="pass y"):
        small(classes=[0, 1, 2]).fit(pairs, sample_weight=np.ones(90))


class TwoInputs(torch.nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.tokens, self.output = torch.nn.Embedding(5, 4), torch.nn.Linear(6, n_classes)

    def forward(self, words, numbers):
        return self.output(torch.cat([self.tokens(words), numbers], dim=1))


def test_a_dict_of_arrays_goes_to_the_module_by_name():
    rows = {"words": codes.astype(np.int64), "numbers": X.astype(np.float64)}
    net = NetClassifier(TwoInputs, max_epochs=30, lr=0.05, random_state=0)
    assert net.fit(rows, names, sample_weight=np.ones(90)).score(rows, names) > 0.9


def test_a_module_that_takes_whole_numbers():
    class Words(torch.nn.Sequential):
        def __init__(self, n_classes):
            super().__init__(torch.nn.Embedding(5, 4), torch.nn.Flatten(), torch.nn.Linear(8, n_classes))

    rows = np.stack([codes, codes], axis=1)
    assert NetClassifier(Words, dtype=None, max_epochs=30, lr=0.05).fit(rows, names).score(rows, names) > 0.9


@pytest.mark.parametrize("amp", [True, "bfloat16", "float16"])
def test_mixed_precision_learns(amp):
    seen = []

    class Precision(SmallMLP):
        def forward(self, X):
            logits = super().forward(X)
            seen.append(logits.dtype)
            return logits

    net = NetClassifier(Precision, amp=amp, max_epochs=20, lr=0.01, random_state=0).fit(X, names)
    assert net.score(X, names) > 0.8
    assert set(seen) == {torch.float16 if amp == "float16" else torch.bfloat16}
    assert net.history[-1, "train_loss"] < net.history[0, "train_loss"]


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_module_that_works_in_place_does_not_write_to_the_users_data(shuffle):
    class InPlace(SmallMLP):
        def forward(self, X):
            return super().forward(X.zero_())

    rows = X.copy()
    NetClassifier(InPlace, max_epochs=1, iterator_train__shuffle=shuffle).fit(rows, names).predict(rows)
    assert_array_equal(rows, X)


def test_an_optimizer_with_a_closure():
    net = small(module__dropout=0.0, optimizer=torch.optim.LBFGS, lr=0.1, batch_size=-1).fit(X, names)
    assert net.history[-1, "train_loss"] < net.history[0, "train_loss"]


def test_a_float64_default_changes_nothing():
    expected = small().fit(X, names).predict_proba(X)
    torch.set_default_dtype(torch.float64)
    try:
        assert_array_equal(small().fit(X, names).predict_proba(X), expected)
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_fitting_inside_no_grad_and_inference_mode():
    expected = small().fit(X, names).predict_proba(X)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            assert_array_equal(small().fit(X, names).predict_proba(X), expected)
            assert not torch.is_grad_enabled()


@pytest.mark.parametrize("device", [None, "cpu", torch.device("cpu")])
def test_a_device_may_be_named_in_any_way(device):
    net = small(device=device).fit(X, names)
    assert net.get_params()["device"] == device
    assert_array_equal(net.predict_proba(X), small(device="cpu").fit(X, names).predict_proba(X))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_found_and_its_net_is_pickled_with_its_place():
    net = small(module=None, amp=True).fit(X, names)
    state = torch.cuda.get_rng_state()
    assert next(net.module_.parameters()).is_cuda
    assert net.fit(X, names).score(X, names) > 0.3
    assert (torch.cuda.get_rng_state() == state).all()


def test_a_net_that_was_on_a_gpu_loads_where_there_is_none(monkeypatch):
    net = small(device="cuda")
    net.device = "cpu"
    state = net.fit(X, names).__getstate__() | {"device": "cuda"}
    loaded = NetClassifier.__new__(NetClassifier)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skorch says that it takes the CPU
        loaded.__setstate__(state)
    assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))


@pytest.mark.parametrize(
    ("shape", "rows"), [((64,), 1024), ((3, 32, 32), 1024), ((3, 96, 96), 128), ((3, 224, 224), 64)]
)
def test_a_gpu_predicts_in_whole_parts_of_the_blocks_in_which_a_pool_is_read(shape, rows, monkeypatch):
    """Bits hang on how many rows there are in a batch; and 1,024 photos would fill the GPU."""
    net = small()
    monkeypatch.setattr(net, "_place", lambda: torch.device("cuda"))
    net.row_shape_ = net.in_shape_ = shape
    assert net._inference_rows(None) == rows
    assert as_pool(np.broadcast_to(np.float32(0), (5000, *shape))).block_rows % rows == 0
    net.in_shape_ = (3, 16, 16)  # after a transform; rows are read at the size that they have
    assert net._inference_rows(None) == rows
