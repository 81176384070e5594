"""BGADL on MNIST against its two ablations: does a generator help where labels are few, and chosen?

    python benchmarks/generative_mnist.py --trial     # what it will take: results/generative_mnist/budget.csv
    python benchmarks/generative_mnist.py             # runs, or goes on; picture and table after each seed
    python benchmarks/generative_mnist.py --full      # 1,000 labels, 50 draws, the whole pool, on a GPU

100 random labels to start with, then 50 a round; in each round all nets are trained anew, for 50 epochs.
"BGADL" chooses by BALD and generates; "BALD" has no generator; "Generator" generates, and chooses at random,
which is Bayesian data augmentation; "Random" does neither. What differs from the protocol of Tran et al.:
small nets and other weights of the losses (see `GenerativeAugmentationClassifier`), 300 labels in place of
10,000, and scores of the last epoch of each round, on test images that nothing was chosen by.

T. Tran, T.-T. Do, I. Reid, G. Carneiro: Bayesian generative active deep learning. ICML 2019.
"""

import numpy as np
from experiment import RESULTS, arguments, run

from skal import ActiveLearner, GenerativeAugmentationClassifier, datasets
from skal.nets import SmallCNN
from skal.strategies import BALD, Random, Subsample


def main():
    args = arguments(__doc__)
    n_draws, n_rounds, size = (50, 18, 60_000) if args.full else (20, 4, 2_000)
    settings = {"module__channels": (16, 32), "max_epochs": 50, "n_threads": 1}
    bgadl = GenerativeAugmentationClassifier(SmallCNN, **settings)
    plain = GenerativeAugmentationClassifier(SmallCNN, generated_weight=0, **settings)
    bald = Subsample(BALD(n_draws=n_draws), size=size)
    learners = {
        name: ActiveLearner(net, strategy, n_initial=100, batch_size=50, n_rounds=n_rounds)
        for name, net, strategy in [
            ("BGADL", bgadl, bald),
            ("BALD", plain, bald),
            ("Generator", bgadl, Random()),
            ("Random", plain, Random()),
        ]
    }
    reduced = "" if args.full else f"; reduced: 300 labels, {size:,} candidates a round, small nets"
    run(
        learners,
        mnist(test_size=10_000 if args.full else 5_000),
        args.out or RESULTS / ("generative_mnist_full" if args.full else "generative_mnist"),
        args,
        about=f"MNIST, BGADL and its ablations, 100 + 50 labels a round{reduced}",
        levels=(0.85, 0.9),
        at=(100, 150, 200, 250, 300),
        contrasts=[("BGADL", "BALD"), ("BGADL", "Generator"), ("Generator", "Random")],
    )


def mnist(test_size):
    """X, y, X_test, y_test; test images from all of the test set, whose first half is the harder one."""
    data = datasets.load("mnist")
    test = np.arange(0, len(data.X_test), len(data.X_test) // test_size)
    return data.X, data.y, data.X_test[test], data.y_test[test]


if __name__ == "__main__":
    main()
