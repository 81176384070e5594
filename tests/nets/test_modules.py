"""The nets that NetClassifier and SegmentationNet take where their users name none."""

import pytest
import torch
from torch.nn import functional

from skal.nets import SmallCNN, SmallFCN, SmallMLP, SmallUNet
from skal.nets.modules import _stretched, default_module


@pytest.mark.parametrize(
    "shape", [(1, 1), (8, 8), (28, 28), (3, 32, 32), (64, 48, 3), (1, 64, 64), (2, 5, 100)]
)
def test_a_cnn_for_any_size_stays_small(shape):
    net = SmallCNN(shape, 5)
    assert net(torch.zeros(2, *shape)).shape == (2, 5)
    assert sum(parameter.numel() for parameter in net.parameters()) < 600_000


def test_channels_last_equals_channels_first():
    torch.manual_seed(0)
    net = SmallCNN((8, 8, 3), 2).eval()
    twin = SmallCNN((3, 8, 8), 2).eval()
    twin.load_state_dict(net.state_dict())
    X = torch.rand(4, 8, 8, 3)
    assert torch.equal(net(X), twin(X.permute(0, 3, 1, 2)))


def test_the_first_dropout_comes_after_the_last_convolution():
    kinds = [type(layer).__name__ for layer in SmallCNN((8, 8), 2).modules()]
    assert kinds.index("Dropout") > max(i for i, kind in enumerate(kinds) if kind == "Conv2d")


def test_rows_pick_their_net_by_shape():
    assert default_module((7,)) is SmallMLP
    assert default_module((7, 7)) is default_module((3, 7, 7)) is SmallCNN
    with pytest.raises(ValueError, match="5 dimensions"):
        default_module((1, 2, 3, 4))


@pytest.mark.parametrize("module", [SmallUNet, SmallFCN])
@pytest.mark.parametrize("size", [(8, 8), (9, 15), (16, 16), (33, 8), (1, 1)])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_a_segmenter_answers_each_pixel_of_any_image_alone_as_in_a_batch(module, size, in_channels):
    net = module(in_channels, 4).eval()
    X = torch.rand(5, in_channels, *size)
    with torch.no_grad():
        logits = net(X)
        assert logits.shape == (5, 4, *size)
        assert torch.allclose(net(X[2:3])[0], logits[2], atol=1e-5)
        if in_channels == 1:
            assert torch.equal(net(X[:, 0]), logits)
    assert not any("Norm" in type(layer).__name__ for layer in net.modules())


def test_a_u_net_has_a_resolution_for_each_width():
    net = SmallUNet(2, 3, channels=(4, 5, 6, 7), dropout=0.5)
    shapes = []
    for layer in net.encoder:
        layer.register_forward_hook(lambda layer, args, output: shapes.append(tuple(output.shape[1:])))
    assert net(torch.rand(2, 2, 30, 17)).shape == (2, 3, 30, 17)
    assert shapes == [(4, 32, 24), (5, 16, 12), (6, 8, 6), (7, 4, 3)]
    assert SmallUNet(1, 2, channels=[4])(torch.rand(1, 5, 5)).shape == (1, 2, 5, 5)


@pytest.mark.parametrize("module", [SmallUNet, SmallFCN])
def test_a_segmenter_drops_whole_channels_after_its_encoder(module):
    net = module(1, 2, dropout=0.5).train()
    encoder = net.encoder if module is SmallUNet else net.features
    assert not any(isinstance(layer, torch.nn.Dropout2d) for layer in encoder.modules())
    X = torch.rand(3, 1, 8, 8)
    assert not torch.equal(net(X), net(X))


@pytest.mark.parametrize("sizes", [((4, 5), (9, 8)), ((8, 8), (16, 16)), ((1, 1), (3, 2)), ((7, 3), (4, 2))])
def test_images_are_stretched_as_torch_does(sizes):
    """Whose gradients are not the same bits twice on a GPU."""
    X = torch.randn(2, 3, *sizes[0], dtype=torch.float64, requires_grad=True)
    found, expected = _stretched(X, sizes[1]), functional.interpolate(X, size=sizes[1], mode="bilinear")
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(part.square().sum(), X) for part in (found, expected)]
    torch.testing.assert_close(*gradients)
