"""robust_k_center: seconds, proven gaps, and how much smaller than the farthest-first radius it gets.

    python benchmarks/robust_k_center.py                  # 2 minutes of one core
    python benchmarks/robust_k_center.py --only clustered  # needs no features

Clustered rows: 20 normal clusters of different widths in 8 dimensions, 20 or 30 rows of them chosen; with
30 some clusters must be divided, which is harder. MNIST: activations of a CNN (see features.py), the first
500 and 2,000 rows without labels, and all 60,000 with 1,000 labelled rows and 2,000 candidates, as `CoreSet`
does it. The share of outliers is 0, 1e-4 or 1e-2 of the rows, rounded down; the time limit 30 s.

Writes benchmarks/results/robust_k_center.csv. ``greedy`` is the radius of `k_center` with as many outliers;
``solves`` are calls of the solver (HiGHS), relaxed ones included, ``searches`` those of swaps; ``cover_rows``
is how many rows were written down for it at most. The others are fields of the answer.
"""

import argparse
import csv
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np

from skal.selection import _robust_search, distance_to_nearest, k_center, robust_k_center

RESULTS = Path(__file__).parent / "results" / "robust_k_center.csv"
COLUMNS = ("data", "rows", "labelled", "candidates", "n", "outliers", "seed")
MEASURED = ("seconds", "greedy", "radius", "lower_bound", "gap", "solves", "searches", "cover_rows")
SHARES = (0.0, 1e-4, 1e-2)


def clustered_rows(n_rows, seed, n_clusters=20, m=8):
    """Normal clusters of different widths; -> (n_rows, m) float64."""
    rng = np.random.RandomState(seed)
    spreads = rng.uniform(0.3, 1.0, size=n_clusters)
    clusters = rng.randint(n_clusters, size=n_rows)
    means = rng.uniform(-10, 10, size=(n_clusters, m))
    return means[clusters] + spreads[clusters, np.newaxis] * rng.normal(size=(n_rows, m))


def clustered():
    """Cases of clustered rows; -> (what they are, the arguments)."""
    for n_rows, n_seeds in ((100, 3), (500, 3), (1000, 1), (2000, 1), (5000, 1)):
        for n in (20, 30):
            for seed in range(n_seeds):
                Z = clustered_rows(n_rows, seed)
                for share in SHARES:
                    yield ("clustered", n_rows, 0, n_rows, n, share, seed), (Z, None, n, None)


def mnist():
    """Cases of MNIST's activations."""
    from features import mnist_activations

    X = mnist_activations()
    labeled, unlabeled = X[:1000], X[1000:]
    candidates = np.random.RandomState(0).choice(len(unlabeled), 2000, replace=False)
    for share in SHARES:
        for n_rows in (500, 2000):
            yield ("MNIST", n_rows, 0, n_rows, 20, share, 0), (X[:n_rows], None, 20, None)
        yield ("MNIST", len(unlabeled), 1000, 2000, 100, share, 0), (unlabeled, labeled, 100, candidates)


def measured(Z, centers, n, candidates, *, outliers, seed):
    """Seconds, radii and counts of one call."""
    counts = {"solve": 0, "swapped": 0, "reduced": 0}
    originals = {name: getattr(_robust_search, name) for name in counts}

    def counted(name):
        def call(*args, **kwargs):
            counts[name] = max(counts[name], len(args[0])) if name == "reduced" else counts[name] + 1
            return originals[name](*args, **kwargs)

        return call

    for name in counts:
        setattr(_robust_search, name, counted(name))
    started = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the gap says it
        answer = robust_k_center(Z, centers, n, seed, outliers=outliers, candidates=candidates)
    seconds = perf_counter() - started
    for name, original in originals.items():
        setattr(_robust_search, name, original)
    return seconds, greedy_radius(Z, centers, n, candidates, outliers, seed), *answer[1:], *counts.values()


def greedy_radius(Z, centers, n, candidates, outliers, seed):
    """The farthest-first radius but for the outliers."""
    pool = Z if candidates is None else Z[candidates]
    chosen = pool[k_center(pool, centers, n, seed)]
    distances = distance_to_nearest(Z, chosen if centers is None else np.vstack([centers, chosen]))
    return np.sort(distances)[len(Z) - 1 - int(round(outliers * len(Z), 9))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["clustered", "mnist"])
    only = parser.parse_args().only
    cases = [make for make in (clustered, mnist) if only in (None, make.__name__)]
    measured(clustered_rows(50, 0), None, 5, None, outliers=0.1, seed=0)  # to warm up
    with RESULTS.open("a" if only == "mnist" else "w", newline="") as file:
        writer = csv.writer(file)
        if only != "mnist":
            writer.writerow(COLUMNS + MEASURED)
        for make in cases:
            for case, arguments in make():
                numbers = measured(*arguments, outliers=case[-2], seed=case[-1])
                line = [*case, *(f"{x:.4f}" for x in numbers[:5]), *numbers[5:]]
                writer.writerow(line)
                file.flush()
                print(*line, flush=True)


if __name__ == "__main__":
    main()
