"""The nets that NetClassifier takes where its user names none."""

import pytest
import torch

from skal.nets import SmallCNN, SmallMLP
from skal.nets.modules import default_module


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
