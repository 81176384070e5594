"""What it costs a net to learn to predict its own loss, and how well it then ranks rows by it.

    python benchmarks/loss_prediction_speed.py              # training, in multiples of the plain net
    python benchmarks/loss_prediction_speed.py --ranking    # MNIST, 1,000 labels: predicted and true loss

Training: `NetClassifier` and `LossPredictionClassifier` train the same module on the same rows, one after
another in each round, in an order that turns; a ratio compares within a round, and the figure is the median
over rounds, of wall time and of processor time. In "all epochs" the loss of pairs trains the module to the
end (detach_after=1), "60 % of epochs" is the default. The ResNet-18 gets 32 x 32 random images, the CNN is
`NetClassifier`'s own on 28 x 28, the MLP its own on 784 values.

Ranking: Spearman's correlation of the predicted with the true loss on MNIST's 10,000 test images, over seeds
that draw the 1,000 labelled rows and everything else; beside it that of the entropy of the prediction, which
is made of the answer itself, and the accuracy of this net and of a plain one.
"""

import argparse
import csv
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from net_speed import ResNet18
from scipy.stats import spearmanr

from skal import datasets
from skal.acquisition import entropy
from skal.nets import LossPredictionClassifier, NetClassifier

RESULTS = Path(__file__).parent / "results"
EPOCHS = 5
NETS = {  # module, shape of a row, rows, rows in a batch
    "ResNet-18": (ResNet18, (3, 32, 32), 32, 16),
    "CNN": (None, (28, 28), 640, 64),
    "MLP": (None, (784,), 2560, 64),
}


def contestants(module, batch_size):
    """The plain net, and the same with learning loss, by name."""
    common = {
        "module": module,
        "lr": 0.001,
        "max_epochs": EPOCHS,
        "batch_size": batch_size,
        "random_state": 0,
    }
    return {
        "plain": NetClassifier(**common),
        "60 % of epochs": LossPredictionClassifier(**common),
        "all epochs": LossPredictionClassifier(**common, detach_after=1.0),
    }


def seconds(call, *args):
    """Wall time and processor time of a call."""
    start, cpu = time.perf_counter(), time.process_time()
    call(*args)
    return time.perf_counter() - start, time.process_time() - cpu


def training(args):
    """One dict for each net, round and way, as they come."""
    torch.set_num_threads(args.threads)
    rng = np.random.RandomState(0)
    for net in args.nets:
        module, shape, n_rows, batch_size = NETS[net]
        X, y = rng.rand(n_rows, *shape).astype(np.float32), np.arange(n_rows) % 10
        ways = contestants(module, batch_size)
        for way in ways.values():  # first calls are slower
            way.fit(X[:16], y[:16])
        for i in range(args.rounds):
            names = list(ways)
            for name in names[i % 3 :] + names[: i % 3]:
                wall, cpu = seconds(ways[name].fit, X, y)
                yield {
                    "net": net,
                    "threads": args.threads,
                    "round": i,
                    "way": name,
                    "fit_s": round(wall, 4),
                    "fit_cpu_s": round(cpu, 4),
                    "rows": n_rows,
                    "batch_size": batch_size,
                    "epochs": EPOCHS,
                }


def report_training(rows):
    """Print each way's median ratio to the plain net in the same round."""
    for net in dict.fromkeys(row["net"] for row in rows):
        mine = [row for row in rows if row["net"] == net]
        plain = {row["round"]: row for row in mine if row["way"] == "plain"}
        for way in ("60 % of epochs", "all epochs"):
            chosen = [row for row in mine if row["way"] == way]
            ratios = [
                statistics.median(row[key] / plain[row["round"]][key] for row in chosen)
                for key in ("fit_s", "fit_cpu_s")
            ]
            print(f"{net:10} {way:15} {ratios[0]:5.2f} x plain (wall) {ratios[1]:5.2f} x plain (processor)")


def ranking(args):
    """One dict for each seed."""
    torch.set_num_threads(args.threads)
    mnist = datasets.load("mnist")
    X_test, y_test = mnist.X_test, mnist.y_test.astype(np.int64)
    for seed in range(args.seeds):
        rows = np.random.RandomState(seed).permutation(len(mnist.X))[:1000]
        X, y = mnist.X[rows], mnist.y[rows].astype(np.int64)
        common = {"lr": 0.001, "max_epochs": args.epochs, "random_state": seed}
        plain = NetClassifier(**common).fit(X, y)
        net = LossPredictionClassifier(**common).fit(X, y)
        proba = net.predict_proba(X_test)
        with np.errstate(divide="ignore"):
            true = -np.log(proba[np.arange(len(proba)), y_test])
        yield {
            "seed": seed,
            "labels": len(y),
            "epochs": args.epochs,
            "predicted_loss": round(spearmanr(true, net.predict_loss(X_test))[0], 4),
            "entropy": round(spearmanr(true, entropy(proba))[0], 4),
            "accuracy": round(float((proba.argmax(axis=1) == y_test).mean()), 4),
            "accuracy_plain": round(float(plain.score(X_test, y_test)), 4),
        }


def report_ranking(rows):
    """Print the mean and the range over seeds."""
    for key in ("predicted_loss", "entropy", "accuracy", "accuracy_plain"):
        values = [row[key] for row in rows]
        spread = f"{min(values):.3f} to {max(values):.3f}"
        print(f"{key:15} mean {np.mean(values):.3f}, {spread} in {len(rows)} seeds")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranking", action="store_true", help="rank rows of MNIST by their predicted loss")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="epochs on the 1,000 labels")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    name = "loss_prediction_ranking.csv" if args.ranking else "loss_prediction_speed.csv"

    rows = []
    with (args.out or RESULTS / name).open("w", newline="") as file:
        for row in ranking(args) if args.ranking else training(args):
            writer = csv.DictWriter(file, row)
            if not rows:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            rows.append(row)
    report_ranking(rows) if args.ranking else report_training(rows)


if __name__ == "__main__":
    main()
