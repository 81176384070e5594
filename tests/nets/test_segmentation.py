"""SegmentationNet: labels for pixels, which don't depend on what has no label, on neighbours, or on sizes."""

import pickle
import random
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import EpochScoring
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from torch import nn

from skal import NetClassifier, SegmentationNet, capabilities
from skal.metrics import dice_score, iou_score
from skal.nets import SmallFCN

SIZES = [(8, 8), (16, 16), (9, 13), (16, 16), (8, 8), (21, 10)]


def squares(n, height, width, seed):
    """Bright squares on a dark, noisy ground, and where they are."""
    rng = np.random.RandomState(seed)
    masks = np.zeros((n, height, width), dtype=int)
    for mask in masks:
        row, column = rng.randint(height - 5), rng.randint(width - 5)
        mask[row : row + 6, column : column + 6] = 1
    return (0.6 * masks + 0.3 * rng.rand(*masks.shape)).astype(np.float32), masks


def objects(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def weights(net):
    return [part.clone() for part in net.module_.state_dict().values()]


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def net(module=SmallFCN, **params):
    return SegmentationNet(module, **{"max_epochs": 2, "random_state": 0, "n_threads": 1} | params)


class Plain(nn.Module):
    """Convolutions without dropout, in the number type of its weights."""

    def __init__(self, in_channels, n_classes, width=4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.Tanh())
        self.output = nn.Conv2d(width, n_classes, 1)

    def forward(self, X):
        return self.output(self.body(X))


class Untouched(nn.Module):
    """Must never be built."""

    def __init__(self):
        raise AssertionError("the module was built before the data were checked")


X, y = squares(24, 16, 16, seed=0)
mixed, masks = zip(*(squares(1, *size, seed=i) for i, size in enumerate(SIZES)), strict=True)
mixed, masks = [image[0] for image in mixed], [mask[0] for mask in masks]


@pytest.fixture(scope="module")
def fitted():
    return net(max_epochs=4).fit(X, y)


# -- what it learns ----------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [None, SmallFCN], ids=["SmallUNet", "SmallFCN"])
def test_it_finds_bright_squares(module):
    model = SegmentationNet(module, module__channels=(8, 16), max_epochs=10, random_state=0)
    model.fit(X[:16], y[:16])
    assert model.score(X[16:], y[16:]) > 0.85
    assert model.history[-1, "train_loss"] < model.history[0, "train_loss"] / 2


def test_it_learns_from_images_of_different_sizes():
    sizes = [(12, 12), (16, 9), (10, 18)] * 6
    images, own = zip(*(squares(1, *size, seed=i) for i, size in enumerate(sizes)), strict=True)
    images, own = [image[0] for image in images], [mask[0] for mask in own]
    model = net(max_epochs=20, batch_size=4, lr=0.01).fit(images, own)
    assert model.score(images, own) > 0.85
    assert model.in_shape_ == (1, 16, 18)


def test_labels_with_gaps_come_back_in_their_type():
    gaps = (255 * y).astype(np.uint8)
    model = net().fit(X, gaps)
    assert_array_equal(model.classes_, [0, 255])
    assert model.predict(X).dtype == np.uint8
    assert set(np.unique(model.predict(X))) <= {0, 255}
    assert_array_equal(model.predict_proba(X), net().fit(X, y).predict_proba(X))
    assert_array_equal(net().fit(X, y > 0).classes_, [False, True])


def test_classes_that_are_not_seen_yet_have_a_probability():
    model = net(classes=[3, 0, 1]).fit(X, y)
    assert_array_equal(model.classes_, [0, 1, 3])
    assert model.predict_proba(X[:2]).shape == (2, 16, 16, 3)
    with pytest.raises(ValueError, match=r"classes=\[-1, 0, 1\] names ignore_index=-1"):
        net(Untouched, classes=[-1, 0, 1]).fit(X, y)
    with pytest.raises(ValueError, match=r"does not know: \[2\]"):
        net(warm_start=True).fit(X, y).fit(X, 2 * y)


# -- pixels and images without a label ---------------------------------------------------------------


def test_images_without_a_label_change_nothing_whatever_they_show():
    model = net().fit(X[:8], y[:8])
    more = np.concatenate([X[:8], 1e6 * np.ones((2, 16, 16), dtype=np.float32)])
    unlabelled = np.concatenate([y[:8], np.full((2, 16, 16), -1)])
    assert same_weights(model, net().fit(more, unlabelled))
    assert same_weights(model, net().fit(list(more), objects([*y[:8], None, None])))
    assert model.score(more, unlabelled) == model.score(X[:8], y[:8])
    strange = objects([*more[:8], np.ones((5, 30)), np.ones((7, 7))])
    assert same_weights(model, net().fit(strange, objects([*y[:8], None, np.full((7, 7), -1)])))


def test_another_mark_is_the_same():
    marked = np.where(np.arange(16) % 3 == 0, -1, y)
    model = net().fit(X, marked)
    other = net(ignore_index=255).fit(X, np.where(marked == -1, 255, marked).astype(np.uint8))
    assert_array_equal(other.classes_, [0, 1])
    assert same_weights(model, other)
    assert model.score(X, marked) == other.score(X, np.where(marked == -1, 255, marked))


@pytest.mark.parametrize("scoring", ["dice", "iou", "accuracy"])
def test_no_gradient_and_no_score_comes_from_an_ignored_pixel(scoring, fitted):
    marked = y.copy()
    marked[:, 4:] = -1
    model = clone(fitted).set_params(scoring=scoring).fit(X, y)
    predicted = model.predict(X)
    by_hand = {
        "dice": dice_score(y[:, :4], predicted[:, :4]),
        "iou": iou_score(y[:, :4], predicted[:, :4]),
        "accuracy": (y == predicted)[:, :4].mean(),
    }
    assert_allclose(model.score(X, marked), by_hand[scoring])
    logits = torch.randn(24, 16, 16, 2, requires_grad=True, device=model.device)
    model.get_loss(logits, torch.from_numpy(marked), training=True).backward()
    assert (logits.grad[:, 4:] == 0).all()
    assert (logits.grad[:, :4] != 0).all()


def test_an_ignored_border_leaves_a_fit_as_it_is_where_the_module_does_not_see_it():
    module = partial(nn.Conv2d, 1, 2, 1)  # a pixel at a time
    wide, wide_masks = np.full((24, 20, 18), 7, dtype=np.float32), np.full((24, 20, 18), -1)
    wide[:, 2:18, 1:17], wide_masks[:, 2:18, 1:17] = X, y
    model, other = net(module).fit(X, y), net(module).fit(wide, wide_masks)
    assert model.history[:, "train_loss"] == pytest.approx(other.history[:, "train_loss"], rel=1e-6)
    for one, two in zip(weights(model), weights(other), strict=True):
        assert_allclose(one.cpu(), two.cpu(), atol=1e-6)


def test_padding_in_a_batch_is_ignored():
    module = partial(nn.Conv2d, 1, 2, 1)
    params = {"batch_size": -1, "optimizer": torch.optim.SGD, "lr": 0.1, "dtype": "float64", "max_epochs": 3}
    ragged = net(module, **params).fit(mixed, masks)
    pixels = np.concatenate([image.ravel() for image in mixed])[None, None, :]
    row = net(module, **params).fit(pixels, np.concatenate([mask.ravel() for mask in masks])[None, None])
    for one, two in zip(weights(ragged), weights(row), strict=True):
        assert_allclose(one.cpu(), two.cpu(), rtol=1e-10)


# -- weights -----------------------------------------------------------------------------------------


def exact(**params):
    own = {"batch_size": -1, "dtype": "float64", "lr": 0.01, "max_epochs": 3}
    return net(Plain, **own | params)


def test_a_weight_of_two_is_an_image_that_is_there_twice_and_of_zero_one_that_is_not():
    partly = y.copy()
    partly[0, :, 5:] = -1  # images count by their labelled pixels
    weighted = exact().fit(X[:4], partly[:4], sample_weight=[2, 1, 0, 1])
    rows = [0, 0, 1, 3]
    repeated = exact().fit(X[rows], partly[rows])
    assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9)


def test_class_weights_multiply_the_loss_of_pixels():
    balanced = exact(class_weight="balanced").fit(X, y)
    share = (y == 1).mean()
    by_hand = exact(class_weight={0: 0.5 / (1 - share), 1: 0.5 / share}).fit(X, y)
    assert_allclose(balanced.predict_proba(X), by_hand.predict_proba(X), rtol=1e-9)
    plain = exact().fit(X, y)
    assert balanced.predict(X).mean() > plain.predict(X).mean()
    assert_allclose(exact(class_weight={0: 3, 1: 3}).fit(X, y).predict_proba(X), plain.predict_proba(X))


def test_weights_that_are_wrong_are_refused():
    with pytest.raises(ValueError, match="zero"):
        net(Untouched).fit(X, y, sample_weight=np.zeros(24))
    with pytest.raises(ValueError, match="sample_weight"):
        net(Untouched).fit(X, y, sample_weight=np.ones(23))


# -- answers -----------------------------------------------------------------------------------------


def test_shapes_and_sums(fitted):
    proba, drawn = fitted.predict_proba(X), fitted.sample_proba(X, 5)
    assert proba.shape == (24, 16, 16, 2)
    assert drawn.shape == (5, 24, 16, 16, 2)
    assert_allclose(proba.sum(axis=-1), 1, rtol=1e-12)
    assert_allclose(drawn.sum(axis=-1), 1, rtol=1e-12)
    assert_array_equal(fitted.predict(X), fitted.classes_[proba.argmax(axis=-1)])
    assert fitted.embed(X).shape == (24, 32)
    assert fitted.sample_proba(X[:1]).shape[0] == 20


def test_images_of_different_sizes_are_answered_in_object_arrays(fitted):
    sizes = [image.shape for image in mixed]
    for images in (mixed, objects(mixed)):
        assert [own.shape for own in fitted.predict_proba(images)] == [(*size, 2) for size in sizes]
        assert [own.shape for own in fitted.sample_proba(images, 3)] == [(3, *size, 2) for size in sizes]
        assert [own.shape for own in fitted.predict(images)] == sizes
        assert fitted.embed(images).shape == (6, 32)
        assert fitted.predict_proba(images).shape == (6,)


@pytest.mark.parametrize("module", [None, SmallFCN], ids=["SmallUNet", "SmallFCN"])
def test_an_image_is_answered_alone_as_among_others(module):
    model = net(module, module__channels=(6, 9), max_epochs=1).fit(X[:8], y[:8])
    ways = {
        "predict_proba": lambda images: list(model.predict_proba(images)),
        "draws": lambda images: list(
            model.sample_proba(images, 3)
            if isinstance(images, list) and len(images) > 1
            else model.sample_proba(images, 3).swapaxes(0, 1)
        ),
        "embed": model.embed,
    }
    order = np.random.RandomState(0).permutation(len(mixed))
    for name, ask in ways.items():
        together = ask(mixed)
        for image, own in zip(mixed, together, strict=True):
            assert_allclose(ask(image[None])[0], own, atol=1e-6, err_msg=name)
        shuffled = ask([mixed[row] for row in order])
        for row, own in zip(order, shuffled, strict=True):
            assert_allclose(own, together[row], atol=1e-6, err_msg=name)


def test_a_list_of_one_size_is_an_array(fitted):
    assert_array_equal(fitted.predict_proba(list(X)), fitted.predict_proba(X))
    assert_array_equal(fitted.predict_proba(torch.from_numpy(X)), fitted.predict_proba(X))
    assert same_weights(fitted, clone(fitted).fit(list(X), list(y)))
    assert same_weights(fitted, clone(fitted).fit(objects(list(X)), objects(list(y))))


def test_channels():
    colours = np.random.RandomState(0).rand(6, 3, 12, 9)
    model = net(None).fit(colours, y[:6, :12, :9])
    assert model.predict_proba(colours).shape == (6, 12, 9, 2)
    assert model.predict_proba(list(colours)).shape == (6, 12, 9, 2)
    with pytest.raises(ValueError, match=r"3 channels.*X\[None\]"):
        model.predict(colours[0])
    single = net().fit(X, y)
    assert_array_equal(single.predict_proba(X[:, None]), single.predict_proba(X))


def test_bytes_are_scaled():
    grey = (255 * X / X.max()).astype(np.uint8)
    one, other = net().fit(grey, y), net().fit(grey / np.float32(255), y)
    assert_allclose(one.predict_proba(grey), other.predict_proba(grey / np.float32(255)), atol=1e-5)
    with pytest.raises(ValueError, match="uint8"):
        one.predict([grey[0], X[0]])


def test_predictions_in_draws_are_their_mean(fitted):
    model = pickle.loads(pickle.dumps(fitted)).set_params(mc_dropout=7)
    assert_allclose(model.predict_proba(X), fitted.sample_proba(X, 7).mean(axis=0), atol=1e-6)
    assert_array_equal(model.predict(X), model.predict_proba(X).argmax(axis=-1))
    assert model.predict_proba(mixed)[2].shape == (9, 13, 2)
    with pytest.raises(TypeError, match="dropout"):
        net(Plain, mc_dropout=3).fit(X, y)


@pytest.mark.parametrize("module", [None, SmallFCN], ids=["SmallUNet", "SmallFCN"])
def test_draws_differ_by_their_masks_alone(module):
    model = net(module, module__channels=(6, 9)).fit(X, y)
    drawn = model.sample_proba(X, 4, random_state=3)
    assert drawn.std(axis=0).max() > 1e-3
    assert_allclose(model.sample_proba(X, 2, random_state=3), drawn[:2], atol=1e-6)
    assert (model.sample_proba(X, 4, random_state=4) != drawn).any()
    assert_array_equal(model.sample_proba(X, 4), model.sample_proba(X, 4))
    rowwise = model.sample_proba(np.stack([X[0]] * 3), 4, consistent=False)
    assert (rowwise[:, 0] != rowwise[:, 1]).any()
    assert_allclose(drawn.mean(axis=0), model.predict_proba(X), atol=0.2)


def test_who_has_no_dropout_has_no_draws():
    assert hasattr(net(), "sample_proba")
    assert hasattr(SegmentationNet(), "sample_proba")
    for model in (net(module__dropout=0.0), net(None, module__dropout=0.0), net(Plain)):
        assert not hasattr(model, "sample_proba")
        assert not hasattr(model.fit(X[:4], y[:4]), "sample_proba")
    assert not capabilities.supports(net(None, module__dropout=0, module__channels=(8, 8)), "sample_proba")


def test_embed_is_the_mean_of_the_map_that_is_named(fitted):
    with torch.no_grad():
        maps = fitted.module_.eval().features(torch.from_numpy(X)[:, None].to(fitted.device))
    assert_allclose(fitted.embed(X), maps.mean(dim=(2, 3)).cpu(), atol=1e-6)
    assert_allclose(fitted.embed(X, layer="features.4"), fitted.embed(X))
    assert fitted.embed(X, layer="features.0").shape == (24, 16)
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        fitted.embed(X, layer="nowhere")


def test_capabilities_know_a_segmenter(fitted):
    assert capabilities.labels_pixels(GridSearchCV(fitted, {}))
    assert not capabilities.labels_pixels(NetClassifier())
    assert_array_equal(capabilities.embed(fitted, X), fitted.embed(X))
    assert_array_equal(capabilities.predict_proba(fitted, X), fitted.predict_proba(X))
    assert capabilities.sample_proba(fitted, X, 3, random_state=0).shape == (3, 24, 16, 16, 2)


# -- traces ------------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_bits_and_leave_no_trace():
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    images, own = X.copy(), y.copy()
    small = {"module": None, "module__channels": (4, 8), "max_epochs": 1}
    one, other = net(**small).fit(images, own), net(**small).fit(images, own)
    assert same_weights(one, other)
    assert not same_weights(one, net(**small, random_state=1).fit(images, own))
    for model in (one, net(**small).fit(mixed, masks)):
        for ask in (model.predict_proba, model.predict, model.sample_proba, model.embed):
            ask(images), ask(mixed)
    assert_array_equal(one.sample_proba(images, 3), other.sample_proba(images, 3))
    assert_array_equal(images, X)
    assert_array_equal(own, y)
    assert random.getstate() == before[0]
    assert_array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("training", [True, False])
def test_flags_weights_and_grad_mode_are_as_before(training):
    model = net(None, module__channels=(4, 8)).fit(X[:4], y[:4])
    model.module_.train(training)
    model.module_.encoder[0].train(not training)
    flags, before = [layer.training for layer in model.module_.modules()], weights(model)
    for ask in (model.predict_proba, model.sample_proba, model.embed):
        ask(X), ask(mixed)
        assert [layer.training for layer in model.module_.modules()] == flags
    assert all(torch.equal(one, two) for one, two in zip(before, weights(model), strict=True))
    assert torch.is_grad_enabled()
    assert not any(layer._forward_hooks for layer in model.module_.modules())


def test_a_fit_starts_over_and_a_partial_one_goes_on():
    model = net().fit(X, y)
    assert same_weights(model, clone(model).fit(X[:3], y[:3]).fit(X, y))
    colours = np.random.RandomState(0).rand(4, 3, 16, 16)
    assert clone(model).fit(X, y).fit(colours, y[:4]).in_shape_ == (3, 16, 16)
    longer = net(max_epochs=4).fit(X, y)
    model.set_params(max_epochs=2).partial_fit(X, y)
    assert len(model.history) == 4
    assert_allclose(model.predict_proba(X), longer.predict_proba(X), atol=1e-5)


# -- as an estimator ---------------------------------------------------------------------------------


def test_clone_pickle_and_parameters(fitted):
    assert repr(clone(SegmentationNet(lr=0.1, scoring="iou"))) == "SegmentationNet(lr=0.1, scoring='iou')"
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert "image_shape" not in fitted.get_params()
    with pytest.raises(TypeError, match="image_shape"):
        SegmentationNet(image_shape=(8, 8))
    with pytest.raises(ValueError, match="scoring"):
        net(Untouched, scoring="auc").fit(X, y)


def test_grid_search_over_module_and_learning_rate():
    grid = {"module__channels": [(4, 4), (4, 8)], "lr": np.logspace(-3, -2, 2)}
    search = GridSearchCV(net(max_epochs=1), grid, cv=2, error_score="raise").fit(X[:8], y[:8])
    assert search.best_estimator_.predict(X).shape == y.shape
    assert (search.cv_results_["mean_test_score"] > 0).all()
    ragged = GridSearchCV(net(max_epochs=1), {"lr": [0.01]}, cv=2, error_score="raise")
    assert 0 < ragged.fit(objects(mixed), objects(masks)).best_score_ <= 1


def test_a_function_can_score():
    foreground = net(scoring=partial(dice_score, labels=[1])).fit(X, y)
    assert foreground.score(X, y) == dice_score(y, foreground.predict(X), labels=[1])
    weight = np.arange(24)
    assert_allclose(
        net().fit(X, y).score(X, y, sample_weight=weight),
        dice_score(y, foreground.predict(X), sample_weight=weight),
    )


def test_a_validation_set_has_a_loss():
    model = net(train_split=ValidSplit(4)).fit(X, y)
    assert len(model.history[:, "valid_loss"]) == 2
    model = net(train_split=ValidSplit(3)).fit(mixed, masks)
    assert np.isfinite(model.history[:, "valid_loss"]).all()
    own = predefined_split(Dataset(X[:4], y[:4]))
    assert len(net(train_split=own).fit(X[4:], y[4:]).history[:, "valid_loss"]) == 2


def test_a_callback_can_score_while_it_trains():
    scores = []

    def dice(model, X, y):
        scores.append(dice_score(np.asarray(y), model.predict(X)))
        return scores[-1]

    marked = np.where(np.arange(16) == 3, -1, 7 * y)
    callbacks = [EpochScoring(dice, name="valid_dice", lower_is_better=False)]
    model = net(train_split=predefined_split(Dataset(X, marked)), callbacks=callbacks).fit(X, marked)
    assert_allclose(scores[-1], model.score(X, marked))


def test_mixed_precision():
    model = net(amp=True, max_epochs=4).fit(X, y)
    assert model.predict_proba(X).dtype == np.float64
    assert model.history[-1, "train_loss"] < model.history[0, "train_loss"]


# -- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "own", "message"),
    [
        (X, None, "requires y"),
        (X, y[:20], "24 images in X and 20 masks in y"),
        (X, y[:, :8], r"mask of shape \(8, 16\) for the image 0"),
        (X, y.astype(float), "whole numbers.*float64"),
        (X, [*y[:-1], y[-1] + 0.5], "whole numbers.*float64"),
        (X, y[:, 0, 0], r"needs a mask for each image.*\(24,\)"),
        (X, np.full_like(y, -1), "none of the 24 masks"),
        (X, objects([None] * 24), "none of the 24 masks"),
        (X[0], y[0], r"X\[None\]"),
        (X.reshape(24, -1), y, r"the shape \(24, 256\)"),
        (np.where(X > 0.5, np.nan, X), y, "NaN"),
        ([X[0], X[:3]], y[:2], "channels"),
        (mixed, [*masks[:-1], masks[0]], r"mask of shape \(8, 8\) for the image 5"),
        (np.zeros((2, 16, 12, 3)), y[:2, :, :12], r"mask of shape \(16, 12\).*moveaxis"),
        ([], [], "0 images"),
    ],
)
def test_bad_input_is_refused_before_any_training(images, own, message):
    with pytest.raises(ValueError, match=message):
        net(Untouched).fit(images, own)


def test_a_net_that_is_not_fitted_says_so():
    model = net()
    for ask in (model.predict_proba, model.predict, model.sample_proba, model.embed):
        with pytest.raises(NotFittedError):
            ask(X)
    with pytest.raises(NotFittedError):
        model.score(X, y)


def test_datasets_and_strange_modules_and_criteria_are_refused(fitted):
    with pytest.raises(ValueError, match="in memory"):
        fitted.predict(torch.utils.data.TensorDataset(torch.zeros(3, 16, 16)))
    with pytest.raises(ValueError, match=r"logits \(b, n_classes, 16, 16\).*\(4, 2, 15, 15\)"):
        net(partial(nn.Conv2d, 1, 2, 2)).fit(X, y)
    with pytest.raises(ValueError, match="batches of its own"):
        net(iterator_train__drop_last=True).fit(mixed, masks)
    with pytest.raises(ValueError, match="2 classes"):
        net(partial(nn.Conv2d, 1, 5, 1)).fit(X, y)

    class NoReduction(nn.Module):
        def forward(self, y_pred, y_true):
            return y_pred.sum()

    with pytest.raises(TypeError, match="loss of each pixel"):
        net(criterion=NoReduction).fit(X, y)


def test_answers_and_embedding_of_pixels():
    images = np.random.RandomState(0).random((6, 1, 16, 16)).astype(np.float32)
    net = SegmentationNet(max_epochs=1, random_state=0).fit(images, (images[:, 0] > 0.5).astype(int))
    proba, Z = net.proba_and_embedding(images)
    np.testing.assert_array_equal(proba, net.predict_proba(images))
    np.testing.assert_array_equal(Z, net.embed(images))
