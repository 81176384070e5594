"""What skal itself costs: the loop's own time a round on digits, and the import.

    python benchmarks/overhead.py

The loop's overhead is everything but the time inside the model's own `fit` and `predict_proba`,
divided by the rounds. The import is compared with `import sklearn`, in fresh processes, in turn.
Writes benchmarks/results/overhead.csv.
"""

import csv
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

from skal import ActiveLearner
from skal.strategies import Entropy, LeastConfidence, Margin, Random, Subsample

RESULTS = Path(__file__).parent / "results" / "overhead.csv"
REPEATS, N_ROUNDS = 15, 20


class Timed(GaussianNB):
    """A model that adds up the time spent inside it, over all its clones."""

    seconds = 0.0

    def fit(self, X, y):
        return self._timed(super().fit, X, y)

    def predict_proba(self, X):
        return self._timed(super().predict_proba, X)

    def _timed(self, method, *args):
        started = perf_counter()
        answer = method(*args)
        Timed.seconds += perf_counter() - started
        return answer


def overhead_ms(strategy, X, y):
    """Milliseconds a round outside the model."""
    learner = ActiveLearner(Timed(), strategy, n_rounds=N_ROUNDS, random_state=0)
    Timed.seconds, started = 0.0, perf_counter()
    learner.fit(X, y)
    return 1000 * (perf_counter() - started - Timed.seconds) / (N_ROUNDS + 1)


def import_seconds(module):
    """Wall time of a fresh interpreter that imports a module."""
    started = perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return perf_counter() - started


def main():
    X, y = load_digits(return_X_y=True)
    rows = []
    for strategy in [Random(), LeastConfidence(), Margin(), Entropy(), Subsample(Margin(), size=500)]:
        values = [overhead_ms(strategy, X, y) for _ in range(REPEATS)]
        rows.append(("loop overhead, ms a round", repr(strategy), np.median(values), max(values)))
    pairs = [(import_seconds("skal"), import_seconds("sklearn")) for _ in range(REPEATS)]
    ratios = [ours / theirs for ours, theirs in pairs]
    rows.append(("import, ratio to import sklearn", "import skal", np.median(ratios), max(ratios)))
    learner = [
        (import_seconds("skal.learner"), import_seconds("sklearn.linear_model")) for _ in range(REPEATS)
    ]
    ratios = [ours / theirs for ours, theirs in learner]
    rows.append(
        (
            "import, ratio to import sklearn.linear_model",
            "import skal.learner",
            np.median(ratios),
            max(ratios),
        )
    )
    with RESULTS.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["measure", "what", "median", "max"])
        for row in rows:
            writer.writerow([*row[:2], *(f"{value:.3f}" for value in row[2:])])
            print(f"{row[0]:45} {row[1]:45} median {row[2]:8.3f}   max {row[3]:8.3f}")


if __name__ == "__main__":
    main()
