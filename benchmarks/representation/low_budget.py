"""(b) 10 to 100 labels: does it pay to choose the typical rows first, as Hacohen et al. (2022) say?

    python benchmarks/representation/low_budget.py --data mnist --trial     # what it will take
    python benchmarks/representation/low_budget.py --data mnist --jobs 2    # runs, or goes on
    python benchmarks/representation/low_budget.py --data cifar10 --jobs 2
    python benchmarks/representation/low_budget.py --data cifar10 --full    # pools of 50,000 or 40,000

Cold start: strategies that need no label choose the first ten rows, too; for the others these are random, the
same for all in one seed. Then ten a round. ProbCover's radius is the largest with which 95 % of the balls
hold one pseudo-class only, as its authors choose it, or, "half pure", 50 %. "Margin after TypiClust" has its
first ten rows of TypiClust, and so tells a good start from a good way on.

Logistic regression on self-supervised features, frozen; pool and test rows are drawn anew in each seed. On
two cores: 64 principal components, pools of 10,000 images, and 20,000 others to test on.

G. Hacohen, A. Dekel, D. Weinshall: Active Learning on a Budget: Opposite Strategies Suit High and Low
Budgets. ICML 2022. O. Yehuda, A. Dekel, G. Hacohen, D. Weinshall: Active Learning Through a Covering Lens.
NeurIPS 2022.
"""

import contenders
import experiment

from skal import ActiveLearner
from skal.strategies import BADGE, LCMD, CoreSet, Margin, ProbCover, Random, TypiClust

AUTHORS = """
The authors' gain of TypiClust on Random, with a linear classifier on self-supervised features of CIFAR-10, is
27.5 points (Hacohen et al., in the figure of their repository), with features of a stronger encoder (SimCLR)
than the one here.
"""


def main():
    parser = experiment.parser(__doc__, n_seeds=contenders.MIN_SEEDS)
    parser.add_argument("--data", choices=("mnist", "cifar10"), required=True)
    args = parser.parse_args()
    half_pure = ProbCover(n_classes=10, purity=0.5)
    starts_and_strategies = {
        "Random": ("random", Random()),
        "TypiClust": (TypiClust(), TypiClust()),
        "ProbCover": (ProbCover(n_classes=10), ProbCover(n_classes=10)),
        "ProbCover, half pure": (half_pure, half_pure),
        "CoreSet": (CoreSet(), CoreSet()),
        "Margin": ("random", Margin()),
        "Margin after TypiClust": (TypiClust(), Margin()),
        "BADGE": ("random", BADGE()),
        "LCMD": ("random", LCMD()),
    }
    learners = {
        name: ActiveLearner(
            contenders.model(), strategy, initial=initial, n_initial=10, batch_size=10, n_rounds=9
        )
        for name, (initial, strategy) in starts_and_strategies.items()
    }
    pool = None if args.full else 10_000
    X, y, test_size = contenders.features(args.data, pool)
    name = f"representation_low_budget_{args.data}"
    experiment.run(
        learners,
        (X, y),
        args.out or experiment.RESULTS / (f"{name}_full" if args.full else name),
        args,
        test_size=test_size,
        step=10,
        about=contenders.about(args.data, pool, "10 + 10 labels a round, cold start"),
        levels={"mnist": (0.7, 0.8), "cifar10": (0.25, 0.3)}[args.data],
        at=(10, 20, 30, 50, 70, 100),
        contrasts=[("TypiClust", "CoreSet"), ("TypiClust", "Margin"), ("Margin after TypiClust", "Margin")],
        authors=AUTHORS if args.data == "cifar10" else "",
        min_seeds=contenders.MIN_SEEDS,
    )


if __name__ == "__main__":
    main()
