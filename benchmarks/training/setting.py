"""What the experiments of this folder share: images for nets, and features and models of the one beside."""

import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "representation")]
import contenders  # noqa: E402, F401
import experiment  # noqa: E402, F401
from features import images  # noqa: E402

from skal.nets import SmallCNN  # noqa: E402

NAMES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
# Half as wide as `NetClassifier`'s own, and with that a third of its time.
HALF_WIDTH = {"module": SmallCNN, "module__channels": (16, 32), "module__hidden": 64}


def pictures(name, n_test=10_000):
    """Images as they are stored, uint8; -> X (n, 28, 28) or (n, 3, 32, 32), y, X_test, y_test.

    Fewer test rows of MNIST are taken at equal distances, since the first half is the harder one; of CIFAR-10
    the first, since its rows go round the classes, and equal distances would meet few of them.
    """
    X, y, X_test, y_test = images(name)
    some = slice(n_test) if name == "cifar10" else slice(None, None, len(X_test) // n_test)
    return _channels_first(X), y.astype(int), _channels_first(X_test[some]), y_test[some].astype(int)


def _channels_first(X):
    return X[..., 0] if X.shape[-1] == 1 else np.ascontiguousarray(X.transpose(0, 3, 1, 2))
