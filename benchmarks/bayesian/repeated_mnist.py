"""(b) Repeated-MNIST as in Kirsch et al. (2019): does a batch of the highest scores fail where rows repeat?

    python benchmarks/bayesian/repeated_mnist.py --trial     # what it will take
    python benchmarks/bayesian/repeated_mnist.py             # runs, or goes on; picture and table
    python benchmarks/bayesian/repeated_mnist.py --full      # 60,000 images three times, on a GPU

Each image of the pool is there three times, each time with noise N(0, 0.1) of its own (images are
normalised, as theirs). 10 draws, as in the authors' logs. On two cores the pool has 9,999 rows, 3,333
images, and there are 5,000 test images; for the rest see mnist.py.

A. Kirsch, J. van Amersfoort, Y. Gal: BatchBALD: Efficient and Diverse Batch Acquisition for Deep Bayesian
Active Learning. NeurIPS 2019.
"""

import protocol

from skal import ActiveLearner
from skal.strategies import BALD, BatchBALD, Random, StochasticBatch

AUTHORS = """
The authors' figures, from the logs in their repository (BlackHC/BatchBALD), 6 runs each, 10 draws.

| authors | labels to 90 % |
| --- | --- |
| BatchBALD 10 | 120 to 150 |
| Random, 5 a round | 165 to 265 |
| BALD top-10 | 260 to 290 (3 never, by 290) |
"""


def main():
    args = protocol.arguments(__doc__)
    pool_size, n_draws = 180_000 if args.full else 9_999, 10
    strategies = {
        "Random": Random(),
        "BALD": BALD(n_draws=n_draws),
        "BatchBALD": BatchBALD(n_draws=n_draws),
        "StochasticBatch(BALD)": StochasticBatch(BALD(n_draws=n_draws)),
    }
    net = protocol.net(mc_dropout=n_draws)
    learners = {
        name: ActiveLearner(net, strategy, initial="stratified", n_initial=20, batch_size=10, n_rounds=23)
        for name, strategy in strategies.items()
    }
    reduced = "" if args.full else "; reduced: a fixed pool of 3,333 images, no validation"
    protocol.run(
        learners,
        protocol.mnist(pool_size, test_size=10_000 if args.full else 5_000, copies=3, noise=0.1),
        args.out
        or protocol.RESULTS / ("bayesian_repeated_mnist_full" if args.full else "bayesian_repeated_mnist"),
        args,
        about=f"Repeated-MNIST x3 with noise, net and protocol of Kirsch et al., {n_draws} draws{reduced}",
        levels=(0.8, 0.9),
        at=(50, 70, 100, 150, 200, 250),
        contrasts=[("BatchBALD", "BALD"), ("StochasticBatch(BALD)", "BALD")],
        authors=AUTHORS,
    )


if __name__ == "__main__":
    main()
