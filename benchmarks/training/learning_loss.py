"""Yoo & Kweon (2019): does a net that predicts its own loss choose better rows than its entropy does?

    python benchmarks/training/learning_loss.py --data mnist --trial      # what it will take
    python benchmarks/training/learning_loss.py --data mnist              # runs, or goes on
    python benchmarks/training/learning_loss.py --data cifar10
    python benchmarks/training/learning_loss.py --data cifar10 --full     # the authors' protocol, on a GPU

All four strategies stand around the same `LossPredictionClassifier`, so that nets are trained in the same
way, with the loss of pairs, whatever chooses the rows: LearningLoss, Random, Entropy and CoreSet. On MNIST,
Random and Entropy run around the plain net besides, which tells what the loss of pairs does to the net
itself. Entropy and CoreSet choose, as LearningLoss does, from a random part of the pool, ten times as large
as the batch. In each round the net is trained anew.

On two cores: a CNN of two convolutions of 16 and 32 channels, 20 epochs of batches of 32, no augmentation;
MNIST with 100 + 100 labels a round to 500, CIFAR-10 with 300 + 300 to 1,200, candidates 1,000 and 3,000;
2,000 test images. Pools are whole. In full, CIFAR-10 as in the paper: ResNet-18, 1,000 + 1,000 labels a
round to 10,000, 10,000 candidates, 200 epochs of batches of 128, SGD at a rate of 0.1, 0.01 after 160
epochs, momentum 0.9, weight decay 5e-4, images flipped and shifted, and no gradient from the loss of pairs
to the net after 120 epochs. Not known from the paper: whether nets go on from the round before; here they
don't. MNIST, which is not in the paper, gets the CNN of `NetClassifier` and 2,000 labels.

D. Yoo, I. S. Kweon: Learning Loss for Active Learning. CVPR 2019.
"""

import setting
import torch
from net_speed import ResNet18
from setting import experiment
from skorch.callbacks import LRScheduler
from torch import nn

from skal import ActiveLearner, LossPredictionClassifier, NetClassifier
from skal.strategies import CoreSet, Entropy, LearningLoss, Random, Subsample

AUTHORS = """
The authors' figure, read off to about 0.01: CIFAR-10, ResNet-18, mean of 5 runs.

| authors, accuracy at | 1,000 | 2,000 | 3,000 | 5,000 | 10,000 |
| --- | --- | --- | --- | --- | --- |
| learning loss | 0.51 | 0.65 | 0.765 | 0.85 | 0.91 |
| Random | 0.51 | 0.62 | 0.70 | 0.805 | 0.877 |
| Entropy | | | | 0.83 | 0.906 |
| CoreSet | | | | 0.82 | 0.90 |
"""


class AugmentedResNet18(nn.Module):
    """ResNet-18 that flips and shifts its images while it is trained; (b, 3, 32, 32) -> (b, 10) logits."""

    def __init__(self):
        super().__init__()
        self.net = ResNet18()
        # Mean and standard deviation of each colour in CIFAR-10.
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465])[:, None, None])
        self.register_buffer("std", torch.tensor([0.2023, 0.1994, 0.2010])[:, None, None])

    def forward(self, X):
        X = (X - self.mean) / self.std
        return self.net(flipped_and_shifted(X) if self.training else X)


def flipped_and_shifted(X, reach=4):
    """Each image flipped or not, and moved by up to 4 pixels in both directions; (b, c, h, w) -> the same."""
    b, _, height, width = X.shape
    flip = torch.rand(b, 1, 1, 1, device=X.device) < 0.5
    padded = nn.functional.pad(torch.where(flip, X.flip(-1), X), [reach] * 4)
    top, left = torch.randint(2 * reach + 1, (2, b, 1), device=X.device)
    rows = top + torch.arange(height, device=X.device)
    columns = left + torch.arange(width, device=X.device)
    image = torch.arange(b, device=X.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


AUTHORS_NET = {
    "module": AugmentedResNet18,
    "optimizer": torch.optim.SGD,
    "optimizer__momentum": 0.9,
    "optimizer__weight_decay": 5e-4,
    "lr": 0.1,
    "max_epochs": 200,
    "batch_size": 128,
    "callbacks": [("rate", LRScheduler("MultiStepLR", milestones=[160], gamma=0.1))],
}
SMALL_NET = setting.HALF_WIDTH | {"max_epochs": 20, "batch_size": 32, "n_threads": 1}
# What a net is, labels at first and in each round, rounds, candidates, test rows.
PROTOCOLS = {
    ("mnist", False): (SMALL_NET, 100, 4, 1_000, 2_000),
    ("cifar10", False): (SMALL_NET, 300, 3, 3_000, 2_000),
    ("mnist", True): ({"max_epochs": 50}, 100, 19, 1_000, 10_000),
    ("cifar10", True): (AUTHORS_NET, 1_000, 9, 10_000, 10_000),
}


def main():
    parser = experiment.parser(__doc__)
    parser.add_argument("--data", choices=setting.NAMES, required=True)
    args = parser.parse_args()
    net, batch, n_rounds, n_candidates, n_test = PROTOCOLS[args.data, args.full]
    learners = {
        name: ActiveLearner(model, strategy, n_initial=batch, batch_size=batch, n_rounds=n_rounds)
        for name, (model, strategy) in contestants(net, n_candidates, plain=args.data == "mnist").items()
    }
    reduced = "; reduced: a small CNN, 20 epochs, no augmentation, 2,000 test images"
    name = f"training_learning_loss_{args.data}"
    experiment.run(
        learners,
        setting.pictures(args.data, n_test),
        args.out or experiment.RESULTS / (f"{name}_full" if args.full else name),
        args,
        keep_rows=False,
        about=f"{setting.NAMES[args.data]}, nets that learn to predict their loss, {batch:,} + {batch:,} "
        f"labels a round, chosen from {n_candidates:,} candidates{'' if args.full else reduced}",
        levels={
            ("mnist", False): (0.9, 0.95),
            ("cifar10", False): (0.35, 0.4),
            ("mnist", True): (0.95, 0.98),
            ("cifar10", True): (0.8, 0.9),
        }[args.data, args.full],
        at=[batch * (i + 1) for i in range(n_rounds + 1)],
        contrasts=contrasts(args.data),
        authors=AUTHORS if args.data == "cifar10" else "",
    )


def contestants(net, n_candidates, plain):
    """Model and strategy of each, by name."""
    model = LossPredictionClassifier(**net)
    by_entropy = Subsample(Entropy(), size=n_candidates)
    asked = {
        "Random": (model, Random()),
        "LearningLoss": (model, LearningLoss(subset=n_candidates)),
        "Entropy": (model, by_entropy),
        "CoreSet": (model, Subsample(CoreSet(), size=n_candidates)),
    }
    if not plain:
        return asked
    return asked | {
        "Random, plain net": (NetClassifier(**net), Random()),
        "Entropy, plain net": (NetClassifier(**net), by_entropy),
    }


def contrasts(data):
    """What LearningLoss gains on the others, and the loss of pairs on the plain net."""
    pairs = [("LearningLoss", "Entropy"), ("LearningLoss", "CoreSet")]
    if data == "cifar10":
        return pairs
    return [
        *pairs,
        ("LearningLoss", "Entropy, plain net"),
        ("Random", "Random, plain net"),
        ("Entropy", "Entropy, plain net"),
    ]


if __name__ == "__main__":
    main()
