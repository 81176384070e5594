"""(a) MNIST as in Kirsch et al. (2019): which strategy needs how many labels for 90 % and 95 %?

    python benchmarks/bayesian/mnist.py --trial     # what it will take: results/bayesian_mnist/budget.csv
    python benchmarks/bayesian/mnist.py             # runs, or goes on; picture and table after each seed
    python benchmarks/bayesian/mnist.py --full      # all 60,000 images and 100 draws, on a GPU

20 labels to start with, two of each class, then 10 a round; the net is trained from scratch in each round.
Strategies and predictions take draws of MC dropout. What differs from the authors' protocol: other first
labels in each seed, and no validation images (theirs are 1,024 more labels, to stop the training early;
here it has a fixed number of epochs). On two cores, besides: one fixed pool of 10,000 images, 20 draws,
5,000 test images.

A. Kirsch, J. van Amersfoort, Y. Gal: BatchBALD: Efficient and Diverse Batch Acquisition for Deep Bayesian
Active Learning. NeurIPS 2019.
"""

import protocol

from skal import ActiveLearner
from skal.strategies import BALD, BatchBALD, Entropy, MeanStd, Random, StochasticBatch, VariationRatio

AUTHORS = """
The authors' figures, from the logs in their repository (BlackHC/BatchBALD), of 6 runs, 12 with 20 draws:

| authors, median accuracy at | 50 | 70 | 100 | 150 | 200 | 250 |
| --- | --- | --- | --- | --- | --- | --- |
| BatchBALD, 100 draws | 0.816 | 0.847 | 0.896 | 0.925 | 0.947 | 0.955 |
| BALD, 100 draws | 0.768 | 0.795 | 0.861 | 0.896 | 0.920 | 0.944 |
| BALD, 20 draws | 0.773 | 0.796 | 0.857 | 0.912 | 0.937 | 0.951 |

| authors, labels of each run to | 90% | 95% |
| --- | --- | --- |
| BatchBALD, 100 draws | 80 80 100 110 120 120 | 180 200 210 240 240 260 |
| BALD, 100 draws | 130 130 130 180 180 200 | 250 260 260 (3 never, by 290) |
| BALD, 20 draws | 110 to 170, median 140 | 210 to 280, median 240 |
"""


def main():
    args = protocol.arguments(__doc__)
    pool_size, n_draws = (60_000, 100) if args.full else (10_000, 20)
    strategies = {
        "Random": Random(),
        "BALD": BALD(n_draws=n_draws),
        "BatchBALD": BatchBALD(n_draws=n_draws),
        "StochasticBatch(BALD)": StochasticBatch(BALD(n_draws=n_draws)),
        "VariationRatio": VariationRatio(n_draws=n_draws),
        "MeanStd": MeanStd(n_draws=n_draws),
        "Entropy": Entropy(n_draws=n_draws),
    }
    net = protocol.net(mc_dropout=n_draws)
    learners = {
        name: ActiveLearner(net, strategy, initial="stratified", n_initial=20, batch_size=10, n_rounds=23)
        for name, strategy in strategies.items()
    }
    reduced = "" if args.full else f"; reduced: a fixed pool of {pool_size:,}, {n_draws} draws, no validation"
    protocol.run(
        learners,
        protocol.mnist(pool_size, test_size=10_000 if args.full else 5_000),
        args.out or protocol.RESULTS / ("bayesian_mnist_full" if args.full else "bayesian_mnist"),
        args,
        about=f"MNIST, net and protocol of Kirsch et al., 20 + 10 labels a round{reduced}",
        levels=(0.9, 0.95),
        at=(50, 70, 100, 150, 200, 250),
        contrasts=[("BatchBALD", "BALD"), ("StochasticBatch(BALD)", "BALD")],
        authors=AUTHORS,
    )


if __name__ == "__main__":
    main()
