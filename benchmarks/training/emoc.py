"""Käding et al. (2016): are rows that change the model's answers most better than those it is unsure of?

    python benchmarks/training/emoc.py --data mnist --trial                  # what it will take
    python benchmarks/training/emoc.py --data mnist                          # runs, or goes on
    python benchmarks/training/emoc.py --data mnist --batch 10
    python benchmarks/training/emoc.py --data cifar10
    python benchmarks/training/emoc.py --data cifar10 --batch 10 --full      # the full size

Logistic regression on self-supervised features of MNIST or CIFAR-10 (`features.py`), frozen: a linear model
has no layer but the last, so that the closed form is all of the method. EMOC takes the mean over all
labels, and the change of probabilities or of logits; as it is, and with features scaled to length 1 for it,
since rows far from all others, which have long features, change answers most. The others are Margin,
Entropy and Random. 20 random labels, and then one a round, as EMOC is derived; or ten, the highest scores,
which may be ten times the same. Pool and test rows are drawn anew in each seed, from training images.

On two cores: 64 principal components, pools of 2,000 images, 4,000 others to test on, 200 reference rows,
to 90 labels. In full: pools of 50,000 or 40,000, all components, 500 reference rows, to 300 labels.

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
    parser.add_argument("--batch", type=int, choices=(1, 10), default=1)
    args = parser.parse_args()
    learners = {
        name: ActiveLearner(
            contenders.model(),
            strategy,
            batch_size=args.batch,
            n_rounds=(280 if args.full else 70) // args.batch,
        )
        for name, strategy in strategies(n_reference=500 if args.full else 200).items()
    }
    pool = None if args.full else 2_000
    X, y, test_size = contenders.features(args.data, pool)
    name = f"training_emoc_{args.data}_{args.batch}"
    experiment.run(
        learners,
        (X, y),
        args.out or experiment.RESULTS / (f"{name}_full" if args.full else name),
        args,
        test_size=test_size,
        step=10,
        keep_rows=False,
        about=contenders.about(
            args.data, pool, f"20 + {args.batch} labels a round", ", 200 reference rows, to 90 labels"
        ),
        levels={"mnist": (0.7, 0.8), "cifar10": (0.25, 0.3)}[args.data],
        at=(20, 30, 40, 60, 80, 90),
        contrasts=[
            ("EMOC, probabilities", "Margin"),
            ("EMOC, probabilities", "Entropy"),
            ("EMOC, probabilities, unit length", "EMOC, probabilities"),
            ("EMOC, logits", "EMOC, probabilities"),
            ("EMOC, logits, unit length", "Margin"),
            ("EMOC, logits, unit length", "Entropy"),
        ],
        min_seeds=contenders.MIN_SEEDS,
    )


def strategies(n_reference):
    """All of them by name."""
    own = {"labels": "full", "n_reference": n_reference}
    return {
        "Random": Random(),
        "Margin": Margin(),
        "Entropy": Entropy(),
        "EMOC, probabilities": EMOC(output="proba", **own),
        "EMOC, logits": EMOC(output="logit", **own),
        "EMOC, probabilities, unit length": EMOC(output="proba", normalize=True, **own),
        "EMOC, logits, unit length": EMOC(output="logit", normalize=True, **own),
    }


if __name__ == "__main__":
    main()
