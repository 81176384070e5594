"""Käding et al. (2016): are rows that change the model's answers most better than those it is unsure of?

    python benchmarks/training/emoc.py --data mnist --trial     # what it will take
    python benchmarks/training/emoc.py --data mnist             # runs, or goes on; picture and table
    python benchmarks/training/emoc.py --data cifar10
    python benchmarks/training/emoc.py --data cifar10 --full    # the full size

Logistic regression on self-supervised features of MNIST or CIFAR-10 (`features.py`), frozen: of a linear
model the form for the last layer is the whole of it, to first order. EMOC takes the mean over all labels,
and the change of probabilities or of logits, at 500 reference rows; the others are Margin, Entropy and
Random. 20 random labels and ten a round, to 200. Pool and test rows are drawn anew in each seed, from
training images.

On two cores: 64 principal components, pools of 5,000 images, 10,000 others to test on. In full: pools of
50,000 or 40,000, all components, to 1,000 labels.

C. Käding, E. Rodner, A. Freytag, J. Denzler: Active and Continuous Exploration with Deep Neural Networks
and Expected Model Output Changes. NIPS workshop on continual learning, 2016.
"""

import setting
from setting import contenders, experiment

from skal import ActiveLearner
from skal.strategies import EMOC, Entropy, Margin, Random


def main():
    parser = experiment.parser(__doc__, n_seeds=contenders.MIN_SEEDS)
    parser.add_argument("--data", choices=setting.NAMES, required=True)
    args = parser.parse_args()
    strategies = {
        "Random": Random(),
        "Margin": Margin(),
        "Entropy": Entropy(),
        "EMOC, probabilities": EMOC(output="proba", labels="full"),
        "EMOC, logits": EMOC(output="logit", labels="full"),
    }
    learners = {
        name: ActiveLearner(contenders.model(), strategy, n_rounds=98 if args.full else 18)
        for name, strategy in strategies.items()
    }
    pool = None if args.full else 5_000
    X, y, test_size = contenders.features(args.data, pool)
    name = f"training_emoc_{args.data}"
    experiment.run(
        learners,
        (X, y),
        args.out or experiment.RESULTS / (f"{name}_full" if args.full else name),
        args,
        test_size=test_size,
        step=10,
        keep_rows=False,
        about=contenders.about(args.data, pool, "20 + 10 labels a round"),
        levels={"mnist": (0.8, 0.9), "cifar10": (0.3, 0.35)}[args.data],
        at=(20, 50, 100, 150, 200),
        contrasts=[
            ("EMOC, probabilities", "Margin"),
            ("EMOC, probabilities", "Entropy"),
            ("EMOC, probabilities", "EMOC, logits"),
        ],
        min_seeds=contenders.MIN_SEEDS,
    )


if __name__ == "__main__":
    main()
