"""GenerativeAugmentationClassifier: siblings of the class and look of their sources, and a sound loop.

Each fault of the published BGADL demo has a test here, which is shown to see the fault.
"""

import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import estimator_checks_generator
from skorch.callbacks import Callback
from torch import nn

from skal import ActiveLearner, GenerativeAugmentationClassifier, NetClassifier, acquisition
from skal.nets import SmallCNN, SmallMLP
from skal.nets import generative_losses as losses
from skal.nets.generative_modules import ImageEncoder
from skal.pool import Pool
from skal.strategies import BALD, CoreSet, Margin, Random

X, y = load_digits(return_X_y=True)
images = (X / 16).reshape(-1, 8, 8).astype(np.float32)
rng = np.random.RandomState(0)
PARTS = ("encoder", "generator", "discriminator")
TINY = {"module__channels": (4, 8), "module__hidden": 16, **{f"{part}__width": 4 for part in PARTS}}


def small(kind=GenerativeAugmentationClassifier, **params):
    settings = {"max_epochs": 2, "batch_size": 16, "warmup_steps": 4, "n_latent": 32, "random_state": 0}
    return kind(params.pop("module", SmallCNN), **settings | TINY | params)


def weights(net, *parts):
    names = parts or ("module", *PARTS)
    return [w.detach().cpu().clone() for name in names for w in getattr(net, name + "_").parameters()]


def equal(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.fixture(scope="module")
def trained():
    parts = {f"{part}__width": 8 for part in PARTS}
    settings = {"warmup_steps": 400, "max_epochs": 10, "batch_size": 32, "random_state": 0} | parts
    return GenerativeAugmentationClassifier(**settings, module__channels=(8, 16)).fit(images[:100], y[:100])


# -- the faults of the published demo, each planted ------------------------------------------------


class NoDropout(SmallCNN):
    def __init__(self, in_shape, n_classes, channels=(4, 8), hidden=16):
        super().__init__(in_shape, n_classes, channels, hidden, dropout=0.0)


class Batches(Callback):
    """The rows of each batch of training, epoch by epoch: their first pixel is their number."""

    def on_train_begin(self, net, **kwargs):
        self.epochs = []

    def on_epoch_begin(self, net, **kwargs):
        self.epochs.append([])

    def on_batch_begin(self, net, batch, training, **kwargs):
        self.epochs[-1].append(batch[0][:, 0, 0].int().tolist())


class Last(Callback):
    def on_epoch_end(self, net, **kwargs):
        self.weights = weights(net)


class Bottleneck(ImageEncoder):
    """One number for an image, as 28 -> 14 -> 7 -> 3 -> 1 with one channel leaves it."""

    def forward(self, images):
        return super().forward(images.mean(dim=(1, 2, 3), keepdim=True).expand_as(images))


class Sigmoids(ImageEncoder):
    def forward(self, images):
        return super().forward(images).sigmoid()


class SamePasses(GenerativeAugmentationClassifier):
    def sample_proba(self, X, n_draws=20, **kwargs):
        return np.repeat(self.predict_proba(X)[None], n_draws, axis=0)


class ShuffledPasses(GenerativeAugmentationClassifier):
    def sample_proba(self, X, n_draws=20, **kwargs):
        draws = super().sample_proba(X, n_draws, **kwargs)
        return np.stack([rng.permutation(draw) for draw in draws])


class BestEpoch(GenerativeAugmentationClassifier):
    def on_epoch_end(self, net, **kwargs):
        super().on_epoch_end(net, **kwargs)
        if len(self.history) == 1:
            self.best = weights(self)

    def on_train_end(self, net, **kwargs):
        for weight, best in zip(
            (w for name in ("module", *PARTS) for w in getattr(self, name + "_").parameters()),
            self.best,
            strict=True,
        ):
            weight.data.copy_(best)
        super().on_train_end(net, **kwargs)


class TrainsOnce(GenerativeAugmentationClassifier):
    def fit(self, X, y=None, **params):
        if self.initialized_:
            _, _ = 0.0  # what the demo unpacks
        return super().fit(X, y, **params)


def draws_differ(**plant):
    draws = small(**plant).fit(images[:60], y[:60]).sample_proba(images[:20], 5)
    assert draws.std(axis=0).max() > 0.001
    with pytest.raises(TypeError, match="BALD"):  # which a net without dropout is refused for
        ActiveLearner(GenerativeAugmentationClassifier(NoDropout), BALD()).fit(images, y)


def draws_are_aligned(**plant):
    net, order = small(**plant).fit(images[:60], y[:60]), rng.permutation(200)
    draws = net.sample_proba(images[:200], 5, random_state=0)
    assert_allclose(net.sample_proba(images[order], 5, random_state=0), draws[:, order], atol=1e-5)


def queried_rows_leave_the_pool(**plant):
    learner = ActiveLearner(small(max_epochs=1), Margin(), n_initial=15, batch_size=15, n_rounds=2)
    history = learner.set_params(random_state=0).fit(images[:60], y[:60]).history_
    rows = np.concatenate([stage["rows"] for stage in history])
    assert len(set(rows.tolist())) == len(rows) == 45


def certain_rows_are_not_queried(**plant):
    draws = np.full((5, 3, 2), 0.5)
    draws[:, 0] = [0.0, 1.0]  # certain: p log p is NaN
    draws[::2, 1], draws[1::2, 1] = [0.9, 0.1], [0.1, 0.9]
    assert acquisition.mutual_information(draws).argsort()[::-1][0] == 1


def the_model_is_that_of_the_last_epoch(**plant):
    last = Last()
    net = small(callbacks=[last], max_epochs=3, **plant).fit(images[:60], y[:60])
    assert equal(weights(net), last.weights)
    net.set_params(callbacks=None)
    learner = ActiveLearner(net, Random(), n_rounds=1, random_state=0).fit(images[:60], y[:60])
    scores = [np.mean(model.predict(images[100:300]) == y[100:300]) for model in learner.models_]
    assert list(learner.staged_score(images[100:300], y[100:300])) == scores


def siblings_hang_on_their_sources(**plant):
    ones = images[y == 1][:40]
    settings = {"warmup_steps": 150, "generative_lr": 0.005, "encoder__width": 8, "generator__width": 8}
    net = small(**settings | plant).fit(ones, np.r_[0, np.ones(39)])
    siblings = net.augment(ones, np.ones(40))
    own = ((siblings - ones) ** 2).mean()
    others = ((siblings - ones[rng.permutation(40)]) ** 2).mean()
    assert own < 0.6 * others


def means_and_variances_are_free(**plant):
    net = small(warmup_steps=40, **plant).fit(images[:60], y[:60])
    with torch.no_grad():
        rows = torch.from_numpy(images[:200, None]).to(net.device)
        mean, log_variance = net.encoder_(rows).chunk(2, dim=1)
    assert mean.min() < -0.2  # a sigmoid would be above 0,
    assert log_variance.min() < -0.2  # and sigma never below 1


def batches_are_shuffled(**plant):
    seen = numbered(**plant)
    assert seen[0] != seen[1]
    assert list(chain(*seen[0])) != sorted(chain(*seen[0]))


def no_row_is_dropped(**plant):
    for epoch in numbered(**plant):
        assert sorted(chain(*epoch)) == list(range(37))


def numbered(**plant):
    rows, batches = images[:37].copy(), Batches()
    rows[:, 0, 0] = np.arange(37)
    small(callbacks=[batches], **plant).fit(rows, y[:37])
    return batches.epochs


def trains_again(**plant):
    net = small(**plant).fit(images[:60], y[:60])
    first = weights(net)
    assert equal(first, weights(net.fit(images[:60], y[:60])))
    assert not equal(first, weights(net.set_params(warm_start=True).fit(images[:80], y[:80])))
    assert len(net.history) == 4


def naive_entropy(proba):
    with np.errstate(all="ignore"):
        return -(proba * np.log(proba)).sum(axis=-1)


def keep_all_candidates(patch):
    patch.setattr(Pool, "candidates", property(lambda pool: np.arange(len(pool))))


def naive(patch):
    patch.setattr(acquisition, "entropy", naive_entropy)


FAULTS = {
    "passes without dropout": (draws_differ, {"kind": SamePasses}, AssertionError),
    "a shuffled pool for each pass": (draws_are_aligned, {"kind": ShuffledPasses}, AssertionError),
    "a pool that keeps what was queried": (queried_rows_leave_the_pool, keep_all_candidates, ValueError),
    "NaN ranks first": (certain_rows_are_not_queried, naive, AssertionError),
    "the best epoch is reported": (the_model_is_that_of_the_last_epoch, {"kind": BestEpoch}, AssertionError),
    "a bottleneck of one number": (siblings_hang_on_their_sources, {"encoder": Bottleneck}, AssertionError),
    "sigmoids on mean and variance": (means_and_variances_are_free, {"encoder": Sigmoids}, AssertionError),
    "batches as acquired": (batches_are_shuffled, {"iterator_train__shuffle": False}, AssertionError),
    "the last batch is dropped": (no_row_is_dropped, {"iterator_train__drop_last": True}, AssertionError),
    "training again crashes": (trains_again, {"kind": TrainsOnce}, TypeError),
}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_the_demo(name, monkeypatch):
    check, plant, error = FAULTS[name]
    check()
    if callable(plant):
        plant(monkeypatch)
        plant = {}
    with pytest.raises(error):
        check(**plant)


# -- what is generated -----------------------------------------------------------------------------


def test_siblings_are_of_their_class_and_close_to_their_sources(trained):
    siblings = trained.augment(images[:100], y[:100])
    judge = SVC().fit(X[100:] / 16, y[100:])
    assert judge.score(siblings.reshape(100, -1), y[:100]) > 0.9
    assert judge.score(trained.generate(y[:100]).reshape(100, -1), y[:100]) > 0.4
    off = np.sqrt(((siblings - images[:100]) ** 2).mean(axis=(1, 2)))
    facts = trained.al_facts_
    assert facts["n_generated"] == 100
    assert facts["generated_distance"] == pytest.approx(off.mean(), abs=1e-6)
    assert facts["generated_within"] == pytest.approx((off < 0.2).mean())
    assert facts["generated_distance"] < 0.7 * np.sqrt(images[:100].var(axis=0).mean())


def test_the_distance_falls_in_training_and_all_losses_are_on_record(trained):
    distance = [step["distance"] for step in trained.warmup_]
    assert distance[-1] < 0.6 * distance[0]
    for name in ("train_loss", "generated_loss", "encoder_loss", "generator_loss", "discriminator_loss"):
        values = trained.history[:, name]
        assert len(values) == 10
        assert np.isfinite(values).all()
    assert trained.history[-1, "distance"] < distance[0]
    assert trained.history[-1, "generated_loss"] < trained.history[0, "generated_loss"]


def test_siblings_have_the_label_they_are_given(trained):
    judge = SVC().fit(X[100:] / 16, y[100:])
    zeros = images[y == 0][:20]
    as_ones = trained.augment(zeros, np.ones(20, dtype=int))
    assert not np.allclose(as_ones, trained.augment(zeros, np.zeros(20, dtype=int)))
    assert (judge.predict(as_ones.reshape(20, -1)) != 0).mean() > 0.2
    with pytest.raises(ValueError, match="labels that the net does not know: \\[77\\]"):
        trained.augment(zeros, np.full(20, 77))


def test_generating_repeats_itself_and_leaves_no_trace(trained):
    state, modes = weights(trained), [layer.training for layer in trained.encoder_.modules()]
    source, before = images[:9].copy(), (np.random.get_state()[1].copy(), torch.get_rng_state())
    one = trained.augment(source, y[:9])
    assert_array_equal(one, trained.augment(source, y[:9]))
    assert_array_equal(
        trained.augment(source, y[:9], random_state=3), trained.augment(source, y[:9], random_state=3)
    )
    assert not np.array_equal(one, trained.augment(source, y[:9], random_state=3))
    assert_array_equal(trained.generate(y[:9]), trained.generate(y[:9]))
    assert_array_equal(source, images[:9])
    assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    assert equal(state, weights(trained))
    assert modes == [layer.training for layer in trained.encoder_.modules()]


COLOUR = rng.rand(24, 3, 16, 12)
FORMS = {
    "flat": (X[:24], {"image_shape": (8, 8)}),
    "bytes": ((X[:24] * 15).astype(np.uint8).reshape(-1, 8, 8), {}),
    "flat bytes": ((X[:24] * 15).astype(np.uint8), {"image_shape": (8, 8)}),
    "standardised": (images[:24] * 4 - 2, {}),
    "one channel": (images[:24, None], {}),
    "colour": (COLOUR, {}),
    "channels last": (COLOUR.transpose(0, 2, 3, 1), {}),
    "float64": (COLOUR, {"dtype": "float64"}),
    "large": (np.repeat(np.repeat(images[:24], 8, axis=1), 8, axis=2), {}),
}


@pytest.mark.parametrize("name", FORMS)
def test_siblings_have_scale_and_shape_of_their_sources(name):
    rows, params = FORMS[name]
    net = small(max_epochs=1, **params).fit(rows, y[:24])
    siblings = net.augment(rows, y[:24])
    assert (siblings.shape, siblings.dtype) == (rows.shape, rows.dtype)
    assert siblings.min() >= rows.min() - 1e-5
    assert siblings.max() <= (255 if rows.dtype == np.uint8 else rows.max() + 1e-5)
    assert abs(float(siblings.mean()) - float(rows.mean())) < 0.3 * np.ptp(rows.astype(float))
    assert net.generate(y[:5]).shape == (5, *net.in_shape_)


# -- training --------------------------------------------------------------------------------------


def test_gradients_are_those_of_each_loss_for_its_own_part():
    net = small(dtype="float64", max_epochs=1, kl_weight=0.5, reconstruction_weight=3.0, device="cpu")
    net.fit(images[:20], y[:20])
    x = torch.from_numpy(images[:20, None].astype(float))
    codes, parts = torch.from_numpy(y[:20]), ("encoder", "generator", "discriminator", "module")
    for part in parts:
        getattr(net, part + "_").zero_grad()
    net._set_training(True)
    torch.manual_seed(0)
    siblings, samples, found = net._generator_step(x, codes, None, joint=True)
    assert all(w.grad is None for part in parts[2:] for w in getattr(net, part + "_").parameters())
    torch.manual_seed(0)
    encoded = net.encoder_(x)
    made = net.generator_(losses.reparametrized(encoded, net._noise(20)), codes)
    drawn = net.generator_(net._noise(20), codes)
    off = losses.reconstruction(made, x, net.frame_.variance).mean()
    of_encoder = off + 0.5 * losses.divergence(encoded).mean()
    logits = net.module_.eval()(net.frame_.restored(drawn))
    of_generator = 3 * off + nn.functional.cross_entropy(logits, codes)
    of_generator = of_generator + 0.1 * losses.taken_for(net.discriminator_(drawn), 1).mean()
    for loss, part, scale in [(of_encoder, "encoder", 3), (of_generator, "generator", 1)]:
        own = list(getattr(net, part + "_").parameters())
        for weight, grad in zip(own, torch.autograd.grad(loss, own, retain_graph=True), strict=True):
            assert_allclose(weight.grad, scale * grad, atol=1e-10)
    assert found["encoder_loss"] == pytest.approx(of_encoder.item())
    assert found["generator_loss"] == pytest.approx(of_generator.item())
    before = [w.grad.clone() for w in net._weights("encoder", "generator")]
    net._discriminator_step(x, siblings, samples, None)
    assert equal(before, [w.grad for w in net._weights("encoder", "generator")])
    assert all(w.grad is not None for w in net.discriminator_.parameters())


def test_a_step_takes_each_optimizer_one_step_and_the_warm_up_only_encoder_and_generator():
    net = small(max_epochs=0).fit(images[:32], y[:32])
    start = weights(net)
    assert net.warmup_ == []
    net.partial_fit(images[:32], y[:32])
    assert equal(start, weights(net))
    net.set_params(max_epochs=3, warmup_steps=5).partial_fit(images[:32], y[:32])
    steps = {int(state["step"]) for state in net.generative_optimizer_.state.values()}
    assert steps == {3 * 2, 3 * 2 + 5}
    assert {int(state["step"]) for state in net.optimizer_.state.values()} == {3 * 2}
    assert len(net.warmup_) == 3
    net.partial_fit(images[:32], y[:32])
    assert max(int(state["step"]) for state in net.generative_optimizer_.state.values()) == 6 * 2 + 5


def test_without_weight_it_is_a_plain_net_bit_for_bit():
    settings = {"max_epochs": 2, "batch_size": 16, "random_state": 0}
    plain = NetClassifier(**settings).fit(images[:60], y[:60])
    net = GenerativeAugmentationClassifier(**settings, warmup_steps=4).fit(images[:60], y[:60])
    assert not equal(weights(net, "module"), weights(plain, "module"))
    net.set_params(generated_weight=0).fit(images[:60], y[:60])
    assert equal(weights(net, "module"), weights(plain, "module"))
    assert_array_equal(net.sample_proba(images[:9]), plain.sample_proba(images[:9]))
    assert net.al_facts_["n_generated"] == 0
    assert not hasattr(net, "generator_")
    net.set_params(generated_weight=1.0)
    for ask in (lambda: net.augment(images[:5], y[:5]), lambda: net.generate(y[:5])):
        with pytest.raises(ValueError, match="generates nothing"):
            ask()
    with pytest.raises(ValueError, match="no generator to go on with"):
        net.partial_fit(images[:60], y[:60])


def test_the_generator_rests_where_the_weight_is_set_to_zero():
    net = small().fit(images[:32], y[:32])
    parts, module = weights(net, *PARTS), weights(net, "module")
    steps = max(int(state["step"]) for state in net.optimizer_.state.values())
    net.set_params(generated_weight=0).partial_fit(images[:32], y[:32])
    assert equal(parts, weights(net, *PARTS))
    assert not equal(module, weights(net, "module"))
    assert max(int(state["step"]) for state in net.optimizer_.state.values()) == 2 * steps


def test_scikit_learns_checks_pass_where_nothing_is_generated():
    settings = {"dtype": "float64", "batch_size": -1, "lr": 0.05, "max_epochs": 5, "n_threads": 1}
    net = GenerativeAugmentationClassifier(SmallMLP, generated_weight=0, **settings)
    kinds = ("param", "clone", "pickle", "init", "overwrite", "dict_unchanged", "n_features", "fit_check")
    checks = [check for _, check in estimator_checks_generator(net)]
    chosen = [check for check in checks if any(kind in check.func.__name__ for kind in kinds)]
    assert len(chosen) > 9
    for check in chosen:
        check(clone(net))


def test_rows_without_weight_have_no_say():
    keep = np.arange(40) < 25
    noise = np.where(keep[:, None, None], images[:40], images[:40].mean(axis=0))
    trained = []
    for rows in (images[:40], noise):
        net = small(batch_size=-1, order_seed=0, max_epochs=0, module=NoDropout).fit(images[:40], y[:40])
        net.set_params(max_epochs=2).partial_fit(rows, y[:40], sample_weight=keep)
        trained.append(weights(net))
    for one, two in zip(*trained, strict=True):
        assert_allclose(one, two, atol=1e-4)


def test_batch_statistics_of_the_classifier_are_not_moved_by_the_generators_loss():
    class Normed(nn.Sequential):
        def __init__(self, n_classes):
            super().__init__(
                nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, n_classes)
            )

    settings = {"max_epochs": 1, "batch_size": 20, "warmup_steps": 3, "random_state": 0}
    net = GenerativeAugmentationClassifier(Normed, **settings).fit(images[:40], y[:40])
    assert net.module_[2].num_batches_tracked == 4  # of two steps: images, and what was generated


# -- in the loop, and as a citizen of scikit-learn ---------------------------------------------------


@pytest.mark.parametrize("strategy", [BALD(n_draws=5), Margin(), CoreSet(), Random()], ids=str)
def test_it_composes_with_every_strategy(strategy):
    learner = ActiveLearner(small(), strategy, n_initial=15, batch_size=6, n_rounds=2, random_state=0)
    history = learner.fit(images[:120], y[:120]).history_
    assert [stage["n_generated"] for stage in history] == [15, 6, 6]
    model, rows = learner.models_[1], history[1]["rows"]
    siblings = model.augment(images[np.sort(rows)], y[np.sort(rows)])
    assert siblings.shape == (6, 8, 8)
    for stage in history:
        assert 0 < stage["generated_distance"] < 1
        assert 0 <= stage["generated_within"] <= 1


def test_equal_seeds_give_equal_bits_and_no_trace():
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    net = small().fit(images[:40], y[:40])
    assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    for other in (clone(net).fit(images[:40], y[:40]), pickle.loads(pickle.dumps(net))):
        assert equal(weights(net), weights(other))
        assert_array_equal(other.augment(images[:5], y[:5]), net.augment(images[:5], y[:5]))
        other.partial_fit(images[:40], y[:40])
    assert not equal(weights(net), weights(small(random_state=1).fit(images[:40], y[:40])))


def test_any_labels_and_all_that_a_plain_net_does(tmp_path):
    names = np.array([f"digit {label}" for label in y])
    net = small(class_weight="balanced", mc_dropout=3).fit(images[:60], names[:60])
    assert set(net.predict(images[:60])) <= set(names)
    assert net.embed(images[:5]).shape == (5, 16)
    assert net.augment(images[:5], names[:5]).shape == (5, 8, 8)
    files = {f"f_{part}": tmp_path / part for part in ("params", *PARTS, "optimizer", "generative_optimizer")}
    net.save_params(**files)
    other = small(max_epochs=0, random_state=1, mc_dropout=3).fit(images[:60], names[:60])
    other.load_params(**files)
    assert equal(weights(net), weights(other))


def test_it_is_searched_in_a_pipeline():
    scale = FunctionTransformer(lambda rows: rows * 2)
    model = make_pipeline(scale, small(max_epochs=1))
    name = "generativeaugmentationclassifier"
    grid = {f"{name}__generated_weight": [0, 1.0], f"{name}__encoder__width": [4, 5]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(images[:60], y[:60] % 3)
    assert search.predict(images[:4]).shape == (4,)
    learner = ActiveLearner(model, BALD(n_draws=3), n_rounds=1, random_state=0).fit(images[:60], y[:60])
    assert learner.history_[1]["n_generated"] == 10


def test_parts_can_be_ones_own():
    class Dense(nn.Module):
        def __init__(self, n_latent, n_classes, in_shape):
            super().__init__()
            self.n_classes, self.in_shape = n_classes, in_shape
            self.layer = nn.Linear(n_latent + n_classes, int(np.prod(in_shape)))

        def forward(self, latent, codes):
            classes = nn.functional.one_hot(codes, self.n_classes).to(latent)
            return self.layer(torch.cat([latent, classes], 1)).sigmoid().unflatten(1, self.in_shape)

    settings = {"max_epochs": 1, "warmup_steps": 3, "n_latent": 32, "random_state": 0}
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    start = own[1].weight.detach().clone()
    net = GenerativeAugmentationClassifier(generator=Dense, discriminator=own, device="cpu", **settings)
    net.fit(images[:40], y[:40])
    assert isinstance(net.generator_, Dense)
    assert torch.equal(own[1].weight, start)
    assert not torch.equal(net.discriminator_[1].weight, start)
    assert clone(net).discriminator is not None
    with pytest.raises(ValueError, match="needs of its encoder, for two images, an array of shape"):
        net.set_params(encoder=nn.Identity()).fit(images[:40], y[:40])


@pytest.mark.parametrize(
    ("rows", "params", "error", "words"),
    [
        (X[:20], {}, ValueError, "flat rows"),
        (images[:20, :7], {}, ValueError, "8 to 64 pixels, and got 7 x 8"),
        (np.zeros((20, 4, 8, 8)), {}, ValueError, "one or three channels"),
        (images[:20], {"n_latent": 16}, ValueError, "'n_latent' parameter"),
        (images[:20], {"generated_weight": -1}, ValueError, "'generated_weight' parameter"),
        (images[:20], {"dtype": None}, ValueError, "'dtype' parameter"),
        (images[:20], {"module": NetClassifier()}, TypeError, "takes the torch module of one"),
        (images[:20], {"encoder__wide": 3}, TypeError, "wide"),
        ({"X": images[:20]}, {}, TypeError, "from arrays in memory, and got dict"),
    ],
)
def test_what_cannot_work_is_refused_before_training(rows, params, error, words):
    with pytest.raises(error, match=words):
        GenerativeAugmentationClassifier(**{"max_epochs": 1} | params).fit(rows, y[:20])


def test_labels_are_needed():
    with pytest.raises(ValueError, match="requires y to be passed"):
        small().fit(images[:20])
    with pytest.raises(ValueError, match="call fit first"):
        GenerativeAugmentationClassifier(nn.Linear(64, 2), classes=[0, 1]).initialize()
