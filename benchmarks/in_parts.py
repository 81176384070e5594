"""Selection in parts beside selection from all rows at once: how good the batch is, and how long it takes.

    SKAL_DATA=folder python benchmarks/in_parts.py      # 10 minutes of one core

Points are the 60,000 x 256 self-supervised features of MNIST by `features.py`. Ten rows of each class are
labelled; batches of 100 and 1,000 are chosen from the others, by `InParts` with its default factor, and by
the strategy alone. The pool comes in four orders: as stored, by class, by the distance to the mean of all,
so that one part holds all that lies outside, and as stored with parts that are drawn (shuffle=True).

What a batch is worth, as a ratio to that of the batch from all rows at once, where less is better:

* CoreSet: the cover radius.
* BADGE, around logistic regression: the sum over all rows of the squared distance of a gradient to the
  nearest chosen one, which k-means++ keeps small. It draws: the mean of three seeds for each.
* SuggestiveAnnotation, around a forest of 50 trees, twice as many candidates as rows: 1 minus the mean
  over all rows of the largest cosine to the batch.

Seconds are of the clock, one thread, both sides one after the other. Writes benchmarks/results/in_parts.csv.
"""

import argparse
import csv
from pathlib import Path
from time import perf_counter

import numpy as np
from features import self_supervised
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from skal.selection import cover_radius
from skal.strategies import BADGE, CoreSet, InParts, SuggestiveAnnotation
from skal.strategies.badge import last_layer_gradients

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("strategy", "batch", "order", "size", "ratio", "seconds", "seconds_at_once")
BATCHES, SIZES, N_SEEDS = (100, 1000), (5000, 10_000, 20_000), 3
BLOCK = 2000


def radius(strategy, X, rows):
    """The cover radius, with the labelled rows."""
    return cover_radius(X, np.vstack([strategy.labeled_embedding_, X[rows]]))


def potential(strategy, X, rows):
    """The sum of squared distances of gradients to the nearest chosen one; from products of their factors."""
    model = strategy.estimator_
    residuals = model.predict_proba(X)
    residuals[np.arange(len(X)), residuals.argmax(axis=1)] -= 1
    Z = np.column_stack([X, np.ones(len(X))])
    squares = last_layer_gradients(model.predict_proba(X), X).squared_norms()
    total = 0.0
    for start in range(0, len(X), BLOCK):
        block = slice(start, start + BLOCK)
        inner = (residuals[block] @ residuals[rows].T) * (Z[block] @ Z[rows].T)
        total += np.maximum(squares[block] + (squares[rows] - 2 * inner).min(axis=1), 0).sum()
    return total


def unlikeness(strategy, X, rows):
    """1 minus the mean of the largest cosine to the batch."""
    directions = normalize(X)
    chosen = directions[rows]
    parts = range(0, len(X), BLOCK)
    return 1 - sum((directions[s : s + BLOCK] @ chosen.T).max(axis=1).sum() for s in parts) / len(X)


def contenders(batch):
    """Strategy, what its batch is worth, number of seeds."""
    linear = LogisticRegression(max_iter=1000)
    forest = RandomForestClassifier(50, random_state=0)
    yield CoreSet(), radius, 1
    yield BADGE(linear), potential, N_SEEDS
    yield SuggestiveAnnotation(forest, n_candidates=2 * batch), unlikeness, 1


def orders(X, y):
    """Name, order of the pool, whether parts are drawn."""
    distances = np.linalg.norm(X - X.mean(axis=0), axis=1)
    yield "stored", np.arange(len(X)), False
    yield "by class", np.argsort(y, kind="stable"), False
    yield "by distance", np.argsort(distances, kind="stable"), False
    yield "drawn", np.arange(len(X)), True


def timed(strategy, X, batch):
    """Rows, and seconds."""
    started = perf_counter()
    rows = strategy.select(X, batch)
    return rows, perf_counter() - started


def main():
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    X, y, _, _ = self_supervised("mnist")
    labeled = np.concatenate([np.flatnonzero(y == label)[:10] for label in range(10)])
    pool, truth = np.delete(X, labeled, axis=0), np.delete(y, labeled)
    table = []
    for batch in BATCHES:
        for strategy, worth, n_seeds in contenders(batch):
            at_once = []
            for seed in range(n_seeds):
                fitted = clone(strategy).set_params(random_state=seed).fit(X[labeled], y[labeled])
                rows, seconds = timed(fitted, pool, batch)
                at_once.append((worth(fitted, pool, rows), seconds))
            for name, order, shuffle in orders(pool, truth):
                Z = pool[order]
                for size in SIZES:
                    found = []
                    for seed in range(n_seeds):
                        inside = clone(strategy).set_params(random_state=seed)
                        in_parts = InParts(inside, size=size, shuffle=shuffle, random_state=seed)
                        in_parts.fit(X[labeled], y[labeled])
                        rows, seconds = timed(in_parts, Z, batch)
                        found.append((worth(in_parts.strategy_, Z, rows), seconds))
                    (value, seconds), (base, base_s) = np.mean(found, axis=0), np.mean(at_once, axis=0)
                    measured = [f"{value / base:.3f}", f"{seconds:.2f}", f"{base_s:.2f}"]
                    table.append([type(strategy).__name__, batch, name, size, *measured])
                    print(*table[-1], flush=True)
                    with open(RESULTS / "in_parts.csv", "w", newline="") as file:
                        writer = csv.writer(file, lineterminator="\n")
                        writer.writerows([COLUMNS, *table])


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
