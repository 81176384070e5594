"""LossPredictionClassifier: a net as any NetClassifier, which knows beside that where its loss is large."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from resnet import ResNet18
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from skorch.callbacks import EpochScoring
from skorch.dataset import ValidSplit
from torch import nn

from skal import EnsembleClassifier
from skal.nets import NetClassifier, SmallMLP
from skal.nets.loss_prediction import LossPredictionClassifier
from skal.nets.taps import tapped

rng = np.random.RandomState(0)
X = rng.normal(size=(60, 6)).astype(np.float32)
images = rng.normal(size=(40, 3, 16, 16)).astype(np.float32)
y = np.arange(60) % 3


class NoDropout(SmallMLP):
    def __init__(self, in_shape, n_classes, hidden=8):
        super().__init__(in_shape, n_classes, hidden, dropout=0.0)


class Counting(nn.Module):
    """Batch normalisation, and a count of its own forward passes."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.body = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(inplace=True))
        self.output = nn.Linear(5, 3)

    def forward(self, X):
        self.calls += 1
        return self.output(self.body(X))


class Untrained(nn.CrossEntropyLoss):
    """A criterion that trains nothing."""

    def forward(self, y_pred, y_true):
        return super().forward(y_pred.detach(), y_true)


def small(module=NoDropout, **params):
    defaults = {"max_epochs": 4, "batch_size": 16, "random_state": 0, "loss_module__hidden": 8}
    return LossPredictionClassifier(module, **defaults | params)


def weights(module):
    return {name: weight.detach().clone() for name, weight in module.named_parameters()}


def equal(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


# -- training ------------------------------------------------------------------------------------


def test_a_step_runs_the_module_once_and_updates_batch_normalisation_once():
    module, steps = Counting(), 4 * 4
    net = small(module).fit(X, y)
    assert (net.module_.calls, module.calls) == (steps, 0)
    assert net.module_.body[1].num_batches_tracked == steps
    plain = NetClassifier(module, max_epochs=4, batch_size=16, random_state=0).fit(X, y)
    detached = small(module, detach_after=0).fit(X, y)
    assert torch.equal(detached.module_.body[1].running_mean, plain.module_.body[1].running_mean)


def test_the_module_is_that_of_a_plain_net_bit_for_bit_where_pairs_do_not_train_it():
    plain = NetClassifier(SmallMLP, max_epochs=4, batch_size=16, random_state=0).fit(X, y)
    detached = small(SmallMLP, detach_after=0).fit(X, y)
    assert equal(weights(plain.module_), weights(detached.module_))
    assert_array_equal(plain.history[:, "train_loss"], detached.history[:, "train_loss"])
    assert not equal(weights(plain.module_), weights(small(SmallMLP).fit(X, y).module_))


def test_no_gradient_reaches_the_module_after_the_stop():
    class Seen(EpochScoring):
        def on_epoch_end(self, net, **kwargs):
            seen.append((weights(net.module_), weights(net.loss_module_)))

    for share, stop in [(0.5, 5), (0.0, 0), (1.0, 10), (0.24, 2)]:
        seen = []
        net = small(criterion=Untrained, detach_after=share, max_epochs=10, callbacks=[("seen", Seen(len))])
        net.fit(X, y)
        start = small(criterion=Untrained, max_epochs=0).fit(X, y)
        states = [(weights(start.module_), weights(start.loss_module_)), *seen]
        moved = [not equal(before[0], after[0]) for before, after in pairwise(states)]
        assert moved == [True] * stop + [False] * (10 - stop)
        assert all(not equal(before[1], after[1]) for before, after in pairwise(states))


def test_each_call_of_fit_counts_its_own_epochs():
    net = small(criterion=Untrained, detach_after=0.5, max_epochs=2).fit(X, y)
    before = weights(net.module_)
    net.partial_fit(X, y)
    assert not equal(before, weights(net.module_))
    before = weights(net.module_), weights(net.loss_module_)
    net.set_params(detach_after=0.0, warm_start=True).fit(X, y)
    assert equal(before[0], weights(net.module_))
    assert not equal(before[1], weights(net.loss_module_))
    assert len(net.history) == 6


def test_the_history_has_both_losses_as_numbers(tmp_path):
    net = small(train_split=ValidSplit(5)).fit(X, y)
    for entry in net.history:
        batches = [batch["pair_loss"] for batch in entry["batches"] if "pair_loss" in batch]
        assert entry["pair_loss"] == pytest.approx(np.mean(batches))
        assert "valid_loss" in entry
    net.save_params(f_history=tmp_path / "history.json")


def test_rows_without_weight_have_no_say():
    keep = np.arange(60) < 40
    whole = {"batch_size": -1, "max_epochs": 3, "order_seed": 0}
    net = small(**whole).fit(X, y, sample_weight=keep)
    noisy = np.where(keep[:, None], X, 100 * X)
    assert_array_equal(net.fit(noisy, y, sample_weight=keep).predict_loss(X), small(**whole).fit(
        noisy, np.where(keep, y, 0), sample_weight=keep).predict_loss(X))  # fmt: skip


def test_it_learns_where_labels_are_noise():
    rng = np.random.RandomState(1)
    rows = rng.normal(size=(400, 6)).astype(np.float32)
    noisy = rows[:, 0] > 0
    labels = np.where(noisy, rng.randint(2, size=400), rows[:, 1] > 0)
    net = small(max_epochs=20, lr=0.01, batch_size=32, loss_module__hidden=16).fit(rows[:300], labels[:300])
    assert spearmanr(net.predict_loss(rows[300:]), noisy[300:])[0] > 0.6
    assert net.history[-1]["pair_loss"] < net.history[0]["pair_loss"]


# -- answers -------------------------------------------------------------------------------------


def test_predicted_losses_are_what_the_loss_module_makes_of_the_taps():
    net = small(ResNet18).fit(images, y[:40])
    assert net.taps_ == ("layer1", "layer2", "layer3", "layer4")
    assert [tap.in_features for tap in net.loss_module_.taps] == [4, 8, 16, 32]
    predicted = net.predict_loss(images)
    with torch.no_grad(), tapped(net.module_.eval(), net.taps_) as seen:
        net.module_(torch.from_numpy(images).to(net.device))
        expected = net.loss_module_([seen[name] for name in net.taps_]).cpu()
    assert (predicted.shape, predicted.dtype) == ((40,), np.float64)
    assert_allclose(predicted, expected, atol=1e-5)


def test_predicting_leaves_no_trace_and_does_not_hang_on_neighbours():
    net = small(Counting).fit(X, y)
    state = pickle.dumps([net.module_.state_dict(), net.loss_module_.state_dict(), net.history])
    modes = [layer.training for layer in net.module_.modules()]
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    whole = net.predict_loss(np.tile(X, (3, 1)))[:60]
    for rows in ([0], [5, 3], range(9)):
        assert_allclose(net.predict_loss(X[list(rows)]), whole[list(rows)], atol=1e-6)
    assert_array_equal(net.predict_loss(X), net.predict_loss(X))
    assert pickle.dumps([net.module_.state_dict(), net.loss_module_.state_dict(), net.history]) == state
    assert [layer.training for layer in net.module_.modules()] == modes
    assert not any(layer._forward_hooks for layer in net.module_.modules())
    assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    with pytest.raises(ValueError, match="NaN"):
        net.predict_loss(np.full((3, 6), np.nan))


def test_all_that_a_plain_net_does_works():
    net = small(SmallMLP, module__hidden=7).fit(X, np.array(["a", "b", "c"])[y])
    assert net.predict_proba(X).shape == (60, 3)
    assert set(net.predict(X)) <= {"a", "b", "c"}
    assert net.embed(X).shape == (60, 7)
    assert net.embed(X, layer="features.1").shape == (60, 7)
    draws = net.sample_proba(X, 5)
    assert draws.std(axis=0).max() > 0
    balanced = small(class_weight="balanced", mc_dropout=3, module=SmallMLP).fit(X, y > 0)
    assert np.isfinite(balanced.predict_loss(X)).all()


@pytest.mark.parametrize("params", [{"amp": "bfloat16"}, {"dtype": "float64"}, {"batch_size": -1}], ids=str)
def test_number_types_and_batches(params):
    net = small(**params).fit(X, y)
    expected = torch.float64 if params.get("dtype") else torch.float32
    assert net.loss_module_.output.weight.dtype is expected
    assert np.isfinite(net.predict_loss(X)).all()


class Parts(nn.Module):
    """Rows of two parts, one of them token numbers."""

    def __init__(self):
        super().__init__()
        self.tokens, self.hidden, self.output = nn.Embedding(4, 5), nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, rows, words):
        return self.output(torch.relu(self.tokens(words).mean(1) + self.hidden(rows)))


class Pairs(torch.utils.data.Dataset):
    targets = y.tolist()

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return X[i], y[i]


def test_dicts_and_datasets():
    parts = {"rows": X, "words": rng.randint(4, size=(60, 3))}
    net = small(Parts).fit(parts, y, sample_weight=np.arange(60))
    assert net.taps_ == ("tokens", "hidden")
    assert net.predict_loss(parts).shape == (60,)
    from_dataset = small().fit(Pairs())
    assert_allclose(from_dataset.predict_loss(Pairs()), from_dataset.predict_loss(X), atol=1e-6)


def test_the_loss_module_can_be_asked_while_skorchs_scoring_callbacks_run():
    def mean_predicted(net, X, y):
        return float(net.predict_loss(X).mean())

    scoring = EpochScoring(mean_predicted, name="predicted", on_train=True)
    net = small(callbacks=[scoring]).fit(X, y)
    assert net.history[-1]["predicted"] == pytest.approx(net.predict_loss(X).mean(), abs=1e-6)


# -- a scikit-learn and skorch citizen -------------------------------------------------------------


def test_clones_pickles_and_refits_predict_the_same():
    net = small(loss_weight=0.5, callbacks=[]).fit(X, y)
    assert repr(clone(net)) == repr(net)
    assert repr(LossPredictionClassifier(margin=2, lr=0.1)) == "LossPredictionClassifier(lr=0.1, margin=2)"
    for other in (pickle.loads(pickle.dumps(net)), clone(net).fit(X, y), net.fit(X, y)):
        assert_array_equal(other.predict_loss(X), net.predict_loss(X))
        other.partial_fit(X, y)


def test_both_modules_are_saved_and_loaded(tmp_path):
    files = {name: tmp_path / name for name in ("f_params", "f_loss_module", "f_optimizer")}
    net = small().fit(X, y)
    net.save_params(**files)
    other = small(max_epochs=0, random_state=1).fit(X, y)
    other.load_params(**files)
    assert_array_equal(other.predict_loss(X), net.predict_loss(X))


def test_parts_can_be_set_and_searched():
    net = small().fit(X, y).set_params(loss_module__hidden=3)
    assert net.loss_module_.output.in_features == 6
    net.set_params(module__hidden=5)
    assert [tap.in_features for tap in net.loss_module_.taps] == [5, 5]
    net.fit(X, y)
    model = make_pipeline(StandardScaler(), small(max_epochs=1))
    grid = {
        "losspredictionclassifier__margin": [0.5, 1.0],
        "losspredictionclassifier__loss_module__hidden": [2, 3],
    }
    assert GridSearchCV(model, grid, cv=2).fit(X, y).best_estimator_[-1].predict_loss(X).shape == (60,)


def test_the_optimizer_knows_the_loss_module_by_its_name():
    frozen = small(optimizer__param_groups=[("loss_module.*", {"lr": 0.0})]).fit(X, y)
    start = small(max_epochs=0).fit(X, y)
    assert equal(weights(frozen.loss_module_), weights(start.loss_module_))
    assert not equal(weights(frozen.module_), weights(start.module_))


def test_taps_can_be_named():
    net = small(taps=["features.1"]).fit(X, y)
    assert net.taps_ == ("features.1",)
    for wrong in ("nothing", "Flatten"):
        with pytest.raises(ValueError, match=f"no layer '{wrong}' to tap; it has features, features.0"):
            small(taps=(wrong,)).fit(X, y)


def test_a_linear_module_is_tapped_at_its_answer_which_only_the_criterion_trains():
    net = small(nn.Linear(6, 3)).fit(X, y)
    plain = NetClassifier(nn.Linear(6, 3), max_epochs=4, batch_size=16, random_state=0)
    assert net.taps_ == ("",)
    linear = nn.Linear(6, 3)
    net, plain = small(linear).fit(X, y), plain.set_params(module=linear).fit(X, y)
    assert equal(weights(net.module_), weights(plain.module_))


def test_members_of_an_ensemble_keep_their_loss_modules():
    ensemble = EnsembleClassifier(small(), 2, random_state=0).fit(X, y)
    one, two = (member.predict_loss(X) for member in ensemble.estimators_)
    assert not np.allclose(one, two)
    alone = clone(ensemble.estimators_[0]).fit(X, y)
    assert_array_equal(one, alone.predict_loss(X))
    with pytest.raises(ValueError, match="a class of their own"):
        EnsembleClassifier(small(), 2, together=True).fit(X, y)


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"margin": 0}, ValueError, "'margin' parameter of LossPredictionClassifier"),
        ({"taps": "layer1"}, ValueError, "'taps' parameter of LossPredictionClassifier"),
        ({"detach_after": 1.1}, ValueError, "'detach_after' parameter"),
        ({"batch_size": 1}, ValueError, "no pairs of rows"),
        ({"compile": True}, ValueError, "can't be tapped"),
        ({"criterion": nn.Identity}, TypeError, "criterion with `reduction`"),
        ({"loss_modul__hidden": 3}, ValueError, "loss_modul__hidden"),
    ],
)
def test_what_cannot_work_is_refused_before_training(params, error, words):
    with pytest.raises(error, match=words):
        small(**params).fit(X, y)


def test_without_rows_nothing_can_be_tapped():
    with pytest.raises(ValueError, match="call fit first"):
        small(Counting).initialize()


def test_scikit_learns_checks():
    net = LossPredictionClassifier(
        NoDropout, dtype="float64", batch_size=-1, lr=0.05, max_epochs=20, n_threads=1
    )
    why = "pairs of repeated rows are others than those of weighted rows"
    checks = {check.func.__name__: check for _, check in estimator_checks_generator(net)}
    weighted = [name for name in checks if "weight_equivalence_on_dense" in name]
    check_estimator(net, expected_failed_checks=dict.fromkeys(weighted, why), on_skip=None)
    for name in weighted:  # no exception where pairs don't train the module
        checks[name](clone(net).set_params(detach_after=0))


@pytest.mark.parametrize("wrong", [{"taps": ()}, {"taps": []}, {"loss_module__hidden": 0}])
def test_a_loss_module_needs_something_to_read_and_a_width(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LossPredictionClassifier(max_epochs=1, **wrong).fit(X, y)
