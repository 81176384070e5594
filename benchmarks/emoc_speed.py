"""How long EMOC takes for 60,000 rows and 500 reference rows, in its forms, and what it needs of memory.

    python benchmarks/emoc_speed.py                # the last layer: under 5 minutes
    python benchmarks/emoc_speed.py --only last    # without all weights of a small CNN, on a few rows

No maintained library has this method for classification, so that the others in the table are skal's own
relatives and one floor, "blocks of C^2": the same numbers by broadcasting ``(diag(q) - q q^T)(p - e_y)`` over
rows, references, labels and classes, in blocks, as one writes it down; it takes 2,000 rows and is scaled.

Features are 128 positive numbers in float32, ten classes by a linear layer on them, from sure rows to open
ones. "strategy" is ``EMOC(net).score(X)`` on a fitted net whose last hidden layer has 128 units, with its
predictions and embeddings; the other times are those of `skal.acquisition`. Forms take turns. Seconds of
the processor stand beside those of the clock, since machines are shared. Memory is the peak of the arrays
that are made meanwhile, as tracemalloc counts them.

Writes benchmarks/results/emoc_speed.csv.
"""

import argparse
import csv
import statistics
import time
import tracemalloc
from pathlib import Path

import numpy as np
import torch

from skal.acquisition import emoc, expected_gradient_length
from skal.nets import NetClassifier, SmallCNN
from skal.nets.output_change import output_change
from skal.strategies import EMOC

RESULTS = Path(__file__).parent / "results" / "emoc_speed.csv"
COLUMNS = ("form", "rows", "references", "features", "classes", "round", "wall_s", "cpu_s")
N_ROWS, N_REFERENCES, N_FEATURES, N_CLASSES = 60_000, 500, 128, 10


def rows_of_a_net(n, seed=0):
    """Probabilities and features, (n, N_CLASSES) float64 and (n, N_FEATURES) float32."""
    rng = np.random.RandomState(seed)
    Z = np.maximum(rng.normal(size=(n, N_FEATURES)), 0).astype(np.float32)
    logits = Z @ rng.normal(size=(N_FEATURES, N_CLASSES)) * rng.uniform(0.05, 0.6, size=(n, 1))
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    return proba / proba.sum(axis=1, keepdims=True), Z


def blocks_of_c_squared(proba, Z, of_references, references, size=20):
    """The definition, by broadcasting."""
    jacobians = np.eye(N_CLASSES) * of_references[:, np.newaxis]
    jacobians = jacobians - of_references[:, :, np.newaxis] * of_references[:, np.newaxis]
    scores = np.empty(len(proba))
    for start in range(0, len(proba), size):
        p, h = proba[start : start + size], Z[start : start + size]
        kernel = np.abs(h.astype(np.float64) @ references.T.astype(np.float64) + 1)
        steps = p[:, np.newaxis] - np.eye(N_CLASSES)  # (b, y, c)
        changes = np.abs(np.einsum("mcd,byd->bmyc", jacobians, steps, optimize=True)).sum(axis=-1)
        scores[start : start + size] = np.einsum("by,bm,bmy->b", p, kernel, changes) / len(references)
    return scores


def last_layer(n_rows, n_rounds):
    """Yields one dict for each form and round."""
    proba, Z = rows_of_a_net(n_rows)
    of = proba[:: n_rows // N_REFERENCES][:N_REFERENCES], Z[:: n_rows // N_REFERENCES][:N_REFERENCES]
    few = min(n_rows, 2000)
    X = np.random.RandomState(0).normal(size=(n_rows, N_FEATURES)).astype(np.float32)
    net = NetClassifier(max_epochs=5, random_state=0).fit(X[:500], np.arange(500) % N_CLASSES)
    strategy = EMOC(net, n_reference=N_REFERENCES, random_state=0).fit(X[:500], np.arange(500) % N_CLASSES)
    forms = {
        "emoc": lambda: emoc(proba, Z, *of),
        "emoc, labels=max": lambda: emoc(proba, Z, *of, labels="max"),
        "emoc, output=logit": lambda: emoc(proba, Z, *of, output="logit"),
        "expected_gradient_length": lambda: expected_gradient_length(proba, Z),
        "strategy": lambda: strategy.score(X),
        "blocks of C^2": lambda: blocks_of_c_squared(proba[:few], Z[:few], *of),
    }
    expected = blocks_of_c_squared(proba[:200], Z[:200], *of)
    np.testing.assert_allclose(emoc(proba[:200], Z[:200], *of), expected, rtol=1e-9)
    for i in range(n_rounds):
        for name, form in forms.items():
            seconds = timed(form)
            n = few if name == "blocks of C^2" else n_rows
            yield dict(zip(COLUMNS, (name, n, N_REFERENCES, N_FEATURES, N_CLASSES, i, *seconds), strict=True))


def all_weights(n_rounds, n_rows=8, n_references=100):
    """The same for all weights of a CNN for images of 28 x 28, and for all labels or the likeliest."""
    torch.manual_seed(0)
    module, images = (
        SmallCNN((28, 28), n_classes=N_CLASSES),
        torch.randn(n_rows + n_references, 28, 28).numpy(),
    )
    for i in range(n_rounds):
        for labels in ("full", "max"):
            seconds = timed(
                lambda labels=labels: output_change(module, images[:n_rows], images[n_rows:], labels=labels)
            )
            row = (f"all weights, labels={labels}", n_rows, n_references, 28 * 28, N_CLASSES, i, *seconds)
            yield dict(zip(COLUMNS, row, strict=True))


def timed(form):
    """Seconds of the clock, and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    form()
    return round(time.perf_counter() - wall, 4), round(time.process_time() - cpu, 4)


def peak_memory(n_rows):
    """By how many MB the arrays grow in `emoc`, at most."""
    proba, Z = rows_of_a_net(n_rows)
    tracemalloc.start()
    emoc(proba, Z, proba[:N_REFERENCES], Z[:N_REFERENCES])
    return tracemalloc.get_traced_memory()[1] / 2**20


def report(rows):
    """Medians, per call and per 1,000 rows."""
    for name in dict.fromkeys(row["form"] for row in rows):
        mine = [row for row in rows if row["form"] == name]
        wall, cpu = (statistics.median(row[column] for row in mine) for column in ("wall_s", "cpu_s"))
        n = mine[0]["rows"]
        print(
            f"{name:26} {n:6} rows {wall:8.2f} s, processor {cpu:8.2f} s; 1,000 rows {1000 * wall / n:8.3f} s"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["last", "all"])
    parser.add_argument("--rows", type=int, default=N_ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows = []
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for only, measured in (
            ("last", last_layer(args.rows, args.rounds)),
            ("all", all_weights(args.rounds)),
        ):
            for row in measured if args.only in (None, only) else ():
                writer.writerow(row)
                file.flush()
                rows.append(row)
    report(rows)
    if args.only != "all":
        print(f"peak memory of emoc: {peak_memory(args.rows):.0f} MB above its input, {args.rows} rows")


if __name__ == "__main__":
    main()
