"""What the experiments of this folder share: features that have seen no label, a model, the strategies."""

import os
import sys
import warnings
from pathlib import Path

from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from skal.strategies import (
    BADGE,
    LCMD,
    ClusterMargin,
    CoreSet,
    DiscriminativeAL,
    Margin,
    ProbCover,
    Random,
    TypiClust,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
from features import self_supervised

# The small discriminator ends after its epochs, as planned; the variable tells the processes of --jobs.
warnings.filterwarnings("ignore", "Stochastic Optimizer")
os.environ.setdefault("PYTHONWARNINGS", "ignore:Stochastic Optimizer")

MIN_SEEDS = 50  # the features are frozen and the model is cheap: fewer would be a pilot
NAMES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}


def features(name, pool=None):
    """Features and labels of training images, and how many of them are test rows in each seed.

    The test images of the data set stay out. Pool and test rows are drawn anew in each seed, since strategies
    that draw nothing would make one and the same run of all seeds otherwise.

    Parameters
    ----------
    name : "mnist" or "cifar10"
    pool : int or None, default=None
        Pools of so many rows, of twice as many more for tests, and of the first 64 principal components. None
        is all that there is, 10,000 of them for tests.
    """
    X, y, _, _ = self_supervised(name, None if pool is None else 3 * pool)
    X = X if pool is None else X[:, :64]
    # One factor for all: one for each principal component would blow up the least of them.
    return X / X.std(), y, 10_000 if pool is None else 2 * pool


def model():
    """Logistic regression; of three penalties the best on random labels of both data sets."""
    return LogisticRegression(C=0.1, max_iter=500)


def strategies(batch_size, full=False):
    """All of them by name; those that take long are reduced, unless `full`."""
    dal, robust = DiscriminativeAL(), CoreSet(method="robust")
    if not full:
        robust = CoreSet(method="robust", max_candidates=batch_size + 100)
        discriminator = MLPClassifier((64,), learning_rate_init=1e-3, max_iter=20)
        dal = DiscriminativeAL(discriminator=discriminator, n_batches=4)
    return {
        "Random": Random(),
        "Margin": Margin(),
        "CoreSet": CoreSet(),
        "CoreSet, robust": robust,
        "DiscriminativeAL": dal,
        "BADGE": BADGE(),
        "LCMD": LCMD(),
        "ClusterMargin": ClusterMargin(),
        "TypiClust": TypiClust(),
        "ProbCover": ProbCover(n_classes=10),
        "ProbCover, half pure": ProbCover(n_classes=10, purity=0.5),
    }


def about(name, pool, labels, also=""):
    """The title of a picture, with what was reduced."""
    head = f"{NAMES[name]}, logistic regression on frozen self-supervised features, {labels}"
    return head if pool is None else f"{head}; reduced: pools of {pool:,}, 64 principal components{also}"
