"""Taps: which layers end a stage, and what of them is seen in a forward pass."""

import pytest
import torch
from resnet import ResNet18
from torch import nn
from torch.nn import functional
from zoo import inputs, zoo

from skal.nets import SmallCNN, SmallFCN, SmallMLP, SmallUNet
from skal.nets.taps import check_taps, find_encoder, find_taps, read, tapped


def found(module, *shape):
    X = torch.randn(3, *shape)
    taps = find_taps(module.eval(), lambda: module(X), 3)
    return taps, check_taps(module, taps, lambda: module(X), 3)


class Squeezed(nn.Module):
    """Squeeze and excitation by linear layers, between convolutions; one ReLU and one pooling for all."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.squeeze, self.excite = nn.Linear(4, 2), nn.Linear(2, 4)
        self.relu, self.pool, self.output = nn.ReLU(), nn.MaxPool2d(2), nn.Linear(6, 3)

    def forward(self, X):
        X = self.pool(self.relu(self.first(X)))
        X = X * self.excite(self.squeeze(X.mean((2, 3)))).sigmoid()[:, :, None, None]
        return self.output(self.relu(self.second(X)).mean((2, 3)))


class Functional(nn.Module):
    """All but the layers with weights as functions."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3)
        self.fc1, self.fc2 = nn.Linear(24, 5), nn.Linear(5, 3)

    def forward(self, X):
        X = functional.max_pool2d(functional.relu(self.conv1(X)), 2)
        X = functional.max_pool2d(functional.relu(self.conv2(X)), 2)
        return self.fc2(functional.relu(self.fc1(X.flatten(1)), inplace=True))


def test_a_resnet_is_tapped_after_its_four_stages():
    names = ("layer1", "layer2", "layer3", "layer4")
    assert found(ResNet18(), 3, 16, 16) == (names, [4, 8, 16, 32])
    # The last stage of small images has one position, as has the pooling after it; the stem has its own size.
    assert found(ResNet18(imagenet_stem=True), 3, 32, 32) == (("relu", *names), [4, 4, 8, 16, 32])


def test_other_nets_are_tapped_after_convolutions_and_hidden_layers():
    assert found(SmallCNN((8, 8), 3), 8, 8) == (("features.1", "features.4", "features.8"), [32, 64, 128])
    assert found(SmallMLP((6,), 3, hidden=5), 6) == (("features.2", "features.5"), [5, 5])
    in_place = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(inplace=True), nn.Linear(5, 3))
    assert found(in_place, 6) == (("2",), [5])
    assert found(Functional(), 1, 14, 14) == (("conv1", "conv2", "fc1"), [4, 6, 5])
    fully = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    assert found(fully, 1, 6, 6) == (("1",), [4])


def test_layers_that_run_twice_count_the_second_time_and_linear_layers_between_convolutions_do_not():
    assert found(Squeezed(), 1, 8, 8) == (("first", "relu"), [4, 6])


def test_a_container_that_ends_in_dropout_is_not_tapped_but_what_comes_before_is():
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(0.5))
    assert found(nn.Sequential(body, nn.Flatten(), nn.Linear(64, 3)), 1, 6, 6) == (("0.1",), [4])
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    assert found(nn.Sequential(body, nn.Flatten(), nn.Linear(64, 3)), 1, 6, 6) == (("0",), [4])


def test_a_module_without_hidden_layers_is_tapped_at_its_answer():
    assert found(nn.Linear(6, 3), 6) == (("",), [3])
    assert found(nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), 2, 3) == (("",), [3])


@pytest.mark.parametrize(("name", "taps"), [
    ("tokens", ("encoder",)), ("lstm", ("layers",)), ("sequences", ("2",)), ("pair", ("body.0",)),
])  # fmt: skip
def test_sequences_are_tapped_too(name, taps):
    module, kind = zoo()[name]
    names = find_taps(module, lambda: module(inputs(kind, 3)), 3)
    assert names == taps


def test_every_module_of_the_zoo_has_taps_with_one_row_for_each_row():
    for name, (module, kind) in zoo().items():
        X = inputs(kind, 11)
        taps = find_taps(module, lambda module=module, X=X: module(X), 11)
        assert taps, name
        assert min(check_taps(module, taps, lambda module=module, X=X: module(X), 11)) > 0, name


@pytest.mark.parametrize("size", [(6, 6), (7, 12), (1, 1)])
def test_what_is_seen_is_the_average_over_positions_whatever_their_number(size):
    conv, X = nn.Conv2d(2, 5, 1), torch.randn(4, 2, *size)
    module = nn.Sequential(conv, nn.ReLU(inplace=True))
    with tapped(module, ["0", "1"]) as seen:
        module(X)
    expected = functional.adaptive_avg_pool2d(conv(X), 1).flatten(1)
    torch.testing.assert_close(seen["0"], expected)  # before the ReLU that writes over it
    torch.testing.assert_close(seen["1"], functional.adaptive_avg_pool2d(conv(X).relu(), 1).flatten(1))


def test_tokens_are_averaged_over_their_places_and_flat_values_kept_as_they_were():
    norm, X = nn.LayerNorm(5), torch.randn(4, 7, 5)
    with tapped(nn.Sequential(norm), ["0"]) as seen:
        norm(X)
    torch.testing.assert_close(seen["0"], norm(X).mean(1))
    module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(inplace=True))
    with tapped(module, ["0"]) as seen:
        module(X[:, 0])
    torch.testing.assert_close(seen["0"], module[0](X[:, 0]))


def test_hooks_are_gone_after_the_block_whatever_happens_in_it():
    module = ResNet18().eval()
    with pytest.raises(ZeroDivisionError), tapped(module, ["layer1", "fc"]):
        raise ZeroDivisionError
    find_taps(module, lambda: module(torch.zeros(3, 3, 16, 16)), 3)
    assert not any(layer._forward_hooks for layer in module.modules())


def test_layers_that_cannot_be_tapped_are_refused_with_the_reason():
    module = nn.Sequential(nn.Linear(6, 5), nn.Unflatten(0, (-1, 1)), nn.Flatten(0, 1), nn.Linear(5, 3))
    module.add_module("unused", nn.Identity())
    module.forward = lambda X: module[3](module[2](module[1](module[0](X)))[:, :])

    def forward():
        return module(torch.zeros(3, 6))

    with pytest.raises(ValueError, match=r"no layer 'first' to tap; it has 0, 1, 2, 3, unused"):
        check_taps(module, ["first"], forward, 3)
    with pytest.raises(ValueError, match="'unused' can't be tapped: the module does not run it"):
        check_taps(module, ["0", "unused"], forward, 3)
    steps_first = nn.LSTM(4, 5)
    with pytest.raises(ValueError, match=r"'' can't be tapped: for 3 rows it returns.*\(7, 5\)"):
        check_taps(steps_first, [""], lambda: steps_first(torch.zeros(7, 3, 4)), 3)
    with pytest.raises(ValueError, match="'layer1' can't be tapped"):
        read({}, ["layer1"])


class Atrous(nn.Module):
    """A backbone, and a head at its resolution with a branch that pools over the image."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 9, 3, 2, 1), nn.ReLU()
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.branch, self.head, self.drop = nn.Conv2d(9, 12, 1), nn.Conv2d(9, 3, 1), nn.Dropout2d()

    def forward(self, X):
        maps = self.backbone(X)
        logits = self.head(self.drop(maps)) + self.branch(self.pool(maps))[:, :3]
        return functional.interpolate(logits, size=X.shape[2:])


class Twice(nn.Module):
    """A U-Net with a transposed convolution, and one ReLU for all."""

    def __init__(self):
        super().__init__()
        self.down, self.deep = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu, self.up, self.output = nn.ReLU(), nn.ConvTranspose2d(4, 8, 2, 2), nn.Conv2d(8, 2, 1)

    def forward(self, X):
        deep = self.relu(self.deep(self.relu(self.down(X))))
        return self.output(self.up(deep))


def encoder(module, *shape):
    X = torch.randn(3, *shape)
    return find_encoder(module.eval(), lambda: module(X), 3)


def test_an_encoder_ends_where_maps_are_smallest_and_widest():
    assert encoder(SmallUNet(1, 2), 1, 16, 16) == "encoder.2"
    assert encoder(SmallUNet(3, 2, channels=(4, 6)), 3, 9, 12) == "encoder.1"
    assert encoder(SmallFCN(1, 2), 1, 8, 8) in ("features", "features.4")
    assert encoder(Atrous(), 3, 16, 16) in ("backbone", "backbone.3")
    assert encoder(Twice(), 1, 8, 8) == "relu"


def test_maps_of_one_position_count_where_there_are_no_others():
    deep = nn.Sequential(nn.Conv2d(1, 4, 4), nn.ReLU())
    assert encoder(deep, 1, 4, 4) == "1"
    with pytest.raises(ValueError, match="no layer that returns maps"):
        encoder(nn.Sequential(nn.Flatten()), 1, 4, 4)
