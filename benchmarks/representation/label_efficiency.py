"""(a) Which strategy needs how many labels on features that have seen none, in small and in large batches?

    python benchmarks/representation/label_efficiency.py --data mnist --batch 100 --trial    # budget
    python benchmarks/representation/label_efficiency.py --data mnist --batch 100 --jobs 2   # runs
    python benchmarks/representation/label_efficiency.py --data cifar10 --batch 1000 --jobs 2
    python benchmarks/representation/label_efficiency.py --data cifar10 --batch 1000 --full  # the full size

Logistic regression on self-supervised features of MNIST or CIFAR-10 (`features.py`), frozen, so that all
strategies see the same points. The first labels are random, as many as a batch. Pool and test rows are drawn
anew in each seed, from training images.

On two cores: 64 principal components; pools of 5,000 images, 10,000 others to test on, and 100 labels to
start with and 5 rounds of 100; or 10,000 and 20,000, and 1,000 with 3 rounds of 1,000; discriminative
active learning with a discriminator of 64 hidden units, 20 epochs and 4 mini-queries; robust core-sets
choose among the greedy batch and 100 other rows. In full: pools of 50,000 or 40,000, all components, 20
rounds of 100 or 9 of 1,000, and strategies with their defaults.
"""

import contenders
import experiment

from skal import ActiveLearner


def main():
    parser = experiment.parser(__doc__, n_seeds=contenders.MIN_SEEDS)
    parser.add_argument("--data", choices=("mnist", "cifar10"), required=True)
    parser.add_argument("--batch", type=int, choices=(100, 1000), required=True)
    args = parser.parse_args()
    rounds = {100: (20 if args.full else 5), 1000: (9 if args.full else 3)}
    learners = {
        name: ActiveLearner(
            contenders.model(),
            strategy,
            n_initial=args.batch,
            batch_size=args.batch,
            n_rounds=rounds[args.batch],
        )
        for name, strategy in contenders.strategies(args.batch, args.full).items()
    }
    pool = None if args.full else {100: 5_000, 1000: 10_000}[args.batch]
    X, y, test_size = contenders.features(args.data, pool)
    name = f"representation_{args.data}_{args.batch}"
    levels = {
        ("mnist", 100): (0.93, 0.95),
        ("mnist", 1000): (0.95, 0.97),
        ("cifar10", 100): (0.4, 0.45),
        ("cifar10", 1000): (0.5, 0.55),
    }
    experiment.run(
        learners,
        (X, y),
        args.out or experiment.RESULTS / (f"{name}_full" if args.full else name),
        args,
        test_size=test_size,
        step=10,
        keep_rows=False,
        about=contenders.about(
            args.data,
            pool,
            f"{args.batch:,} + {args.batch:,} labels a round",
            ", a small discriminator with 4 mini-queries, 100 candidates beside the greedy batch",
        ),
        levels=levels[args.data, args.batch],
        at={100: (100, 200, 300, 400, 500, 600), 1000: (1000, 2000, 3000, 4000)}[args.batch],
        contrasts=[
            ("CoreSet, robust", "CoreSet"),
            ("BADGE", "Margin"),
            ("DiscriminativeAL", "CoreSet"),
            ("ClusterMargin", "Margin"),
        ],
        min_seeds=contenders.MIN_SEEDS,
    )


if __name__ == "__main__":
    main()
