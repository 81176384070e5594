"""What the experiments of this folder share: MNIST, and the net of Kirsch et al. The rest is `experiment`."""

import sys
from pathlib import Path

import numpy as np
from torch import nn

from skal import NetClassifier, datasets

sys.path.insert(0, str(Path(__file__).parents[1]))
from experiment import (  # noqa: F401
    RESULTS,
    arguments,
    at_labels,
    comparison_of,
    curves,
    resume,
    run,
    save,
    title,
    write_budget,
)

MEAN, STD = 0.1307, 0.3081  # of MNIST's pixels: the authors normalise images with them


class KirschCNN(nn.Module):
    """The net of Kirsch et al. (2019) for MNIST; (b, 1, 28, 28) -> (b, n_classes) logits.

    Two 5 x 5 convolutions and a dense layer, each followed by dropout of a half; `width` scales all three.
    """

    def __init__(self, n_classes=10, width=1.0):
        super().__init__()
        first, second, hidden = (int(width * full) for full in (32, 64, 128))
        self.layers = nn.Sequential(
            nn.Conv2d(1, first, 5),
            nn.Dropout2d(0.5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(first, second, 5),
            nn.Dropout2d(0.5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * second, hidden),
            nn.Dropout(0.5),
            nn.ReLU(),
            nn.Linear(hidden, n_classes),
        )

    def forward(self, X):
        return self.layers(X)


def net(module=KirschCNN, **params):
    """The net of an experiment, trained for so many epochs: validation rows would be labels, too.

    100 epochs of batches of 32 at a rate of 0.002 came closest to the authors' longer training, in trials on
    50 to 200 random labels, of 50 to 400 epochs, batches of 16 to 64, and rates of 0.001 to 0.004.
    """
    settings = {"lr": 0.002, "max_epochs": 100, "batch_size": 32, "n_threads": 1} | params
    return NetClassifier(module, **settings)


def mnist(pool_size, *, test_size=10_000, copies=1, noise=0.0):
    """A pool, the same for all seeds, and test rows; -> X, y, X_test, y_test, images (n, 1, 28, 28).

    Each of ``pool_size / copies`` images is there `copies` times, each time with normal noise of its own.
    """
    data = datasets.load("mnist")
    rng = np.random.RandomState(0)
    rows = np.sort(rng.permutation(len(data.X))[: pool_size // copies])
    X, y = np.tile(_normalised(data.X[rows]), (copies, 1, 1, 1)), np.tile(data.y[rows], copies)
    X += noise * rng.standard_normal(X.shape).astype(np.float32) if noise else 0
    test = np.arange(0, len(data.X_test), len(data.X_test) // test_size)  # the first half is the harder one
    return X, y.astype(int), _normalised(data.X_test[test]), data.y_test[test].astype(int)


def _normalised(images):
    return (images[:, None].astype(np.float32) / 255 - MEAN) / STD
