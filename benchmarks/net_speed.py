"""How long NetClassifier takes beside a hand-written PyTorch loop and stock skorch, on the same data.

    python benchmarks/net_speed.py                 # MNIST, two-layer CNN, CPU, 1 and 2 threads
    python benchmarks/net_speed.py --resnet18      # ResNet-18 on random 32 x 32 images, meant for a GPU

All three train the same module with the same optimizer and batch size on the same in-memory data, one after
another in each round, in an order that turns; a round is one row for each contender. A ratio compares within
a round, and the figure is the median over rounds, of wall time and of processor time (which hardly feels
other work on the machine). Peak memory is that of a fresh process, above what it held once data and libraries
were loaded.
"""

import argparse
import csv
import multiprocessing
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

from skal import datasets
from skal.nets import NetClassifier
from skal.nets.papers import ResNet18

RESULTS = Path(__file__).parent / "results"
PREDICT_BATCH = 64  # what NetClassifier takes on a CPU; on a GPU it is 1024


class TwoLayerCNN(nn.Module):
    """Conv, pool, conv, pool, dense, dropout: the MNIST example of most tutorials."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 49, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, 10),
        )

    def forward(self, X):
        return self.layers(X)


def resnet18():
    """ResNet-18 for ten classes of 32 x 32 images in colour."""
    return ResNet18((3, 32, 32), n_classes=10)


class BareLoop:
    """What one writes without a library: tensors in memory, a permutation, slices."""

    def __init__(self, module, batch_size, epochs, device):
        self.module, self.batch_size, self.epochs, self.device = module, batch_size, epochs, device

    def fit(self, X, y):
        torch.manual_seed(0)
        X, y = torch.from_numpy(X).to(self.device), torch.from_numpy(y).to(self.device)
        self.model = self.module().to(self.device).train()
        criterion = nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(self.model.parameters(), lr=0.001)
        for _ in range(self.epochs):
            order = torch.randperm(len(X)).to(self.device)
            for start in range(0, len(X), self.batch_size):
                rows = order[start : start + self.batch_size]
                optimizer.zero_grad()
                loss = criterion(self.model(X[rows].float() / 255), y[rows])
                loss.backward()
                optimizer.step()
        return self

    def predict_proba(self, X):
        self.model.eval()
        X, proba = torch.from_numpy(X), []
        with torch.inference_mode():
            for start in range(0, len(X), PREDICT_BATCH):
                batch = X[start : start + PREDICT_BATCH].to(self.device)
                proba.append(self.model(batch.float() / 255).softmax(1))
            return torch.cat(proba).cpu().numpy()


class StockSkorch(NeuralNetClassifier):
    """skorch as it is, given float32 images, which it asks for."""

    def fit(self, X, y):
        torch.manual_seed(0)
        return super().fit(X.astype(np.float32) / 255, y)

    def predict_proba(self, X):
        return super().predict_proba(X.astype(np.float32) / 255)


def contenders(module, batch_size, epochs, device):
    """The three ways to train `module`, by name."""
    common = {"lr": 0.001, "max_epochs": epochs, "batch_size": batch_size, "device": device}
    stock = StockSkorch(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        train_split=None,
        verbose=0,
        iterator_train__shuffle=True,
        iterator_valid__batch_size=PREDICT_BATCH,
        **common,
    )
    return {
        "bare loop": BareLoop(module, batch_size, epochs, device),
        "NetClassifier": NetClassifier(module, random_state=0, **common),
        "skorch": stock,
    }


def load(args):
    """Training and scoring images as uint8, and labels."""
    if args.resnet18:
        rng = np.random.RandomState(0)
        X = rng.randint(256, size=(args.rows, 3, 32, 32)).astype(np.uint8)
        return X, rng.randint(10, size=args.rows), X
    mnist = datasets.load("mnist")
    X, y = mnist.X[:, None], mnist.y.astype(np.int64)
    return X[: args.rows], y[: args.rows], X[: args.score_rows]


def seconds(call, device):
    """Wall time and processor time of a call, the GPU's work included in the first."""
    start, cpu = time.perf_counter(), time.process_time()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - cpu


def rounds(args, n_threads):
    """One dict for each contender and round, as they come."""
    torch.set_num_threads(n_threads)
    X, y, pool = load(args)
    ways = contenders(resnet18 if args.resnet18 else TwoLayerCNN, args.batch_size, args.epochs, args.device)
    for way in ways.values():  # first calls are slower
        way.fit(X[:640], y[:640]).predict_proba(pool[:640])
    for i in range(args.rounds):
        names = list(ways)
        for name in names[i % 3 :] + names[: i % 3]:
            fit, fit_cpu = seconds(lambda way=ways[name]: way.fit(X, y), args.device)
            predict, predict_cpu = seconds(lambda way=ways[name]: way.predict_proba(pool), args.device)
            yield {
                "round": i,
                "threads": n_threads,
                "contender": name,
                "fit_s": fit,
                "fit_cpu_s": fit_cpu,
                "predict_proba_s": predict,
                "predict_proba_cpu_s": predict_cpu,
                "rows": len(X),
                "scored": len(pool),
                "batch_size": args.batch_size,
                "device": args.device,
            }


def high_water_mark():
    """Largest resident memory of this process so far, in MB (getrusage would count its parent's too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def peak_memory(args, name, pipe):
    """Send how many MB the process grew while it fitted and scored; run in a fresh process."""
    torch.set_num_threads(1)
    X, y, pool = load(args)
    way = contenders(resnet18 if args.resnet18 else TwoLayerCNN, args.batch_size, 1, args.device)[name]
    before = high_water_mark()
    way.fit(X, y).predict_proba(pool)
    pipe.send(high_water_mark() - before)


def report(rows, measure):
    """Print each contender's median seconds and its median ratio to the bare loop, by threads."""
    for threads in sorted({row["threads"] for row in rows}):
        chosen = [row for row in rows if row["threads"] == threads]
        base = {row["round"]: row[measure] for row in chosen if row["contender"] == "bare loop"}
        for name in ("bare loop", "NetClassifier", "skorch"):
            mine = [row for row in chosen if row["contender"] == name]
            ratio = statistics.median(row[measure] / base[row["round"]] for row in mine)
            middle = statistics.median(row[measure] for row in mine)
            print(f"{measure:19} {threads} threads  {name:14} {middle:7.3f} s  {ratio:5.2f} x bare loop")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resnet18", action="store_true", help="ResNet-18 on 32 x 32 random images")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=2560, help="rows to train on")
    parser.add_argument("--score-rows", type=int, default=5120, help="rows to score")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    out = args.out or RESULTS / ("net_speed_resnet18.csv" if args.resnet18 else "net_speed.csv")

    rows = []
    with out.open("w", newline="") as file:
        for n_threads in args.threads:
            for row in rounds(args, n_threads):
                writer = csv.DictWriter(file, row)
                if not rows:
                    writer.writeheader()
                writer.writerow(row)
                file.flush()
                rows.append(row)
    for measure in ("fit_s", "fit_cpu_s", "predict_proba_s", "predict_proba_cpu_s"):
        report(rows, measure)

    fresh = multiprocessing.get_context("spawn")
    for name in ("bare loop", "NetClassifier", "skorch"):
        here, there = fresh.Pipe()
        peaks = []
        for _ in range(3):  # the allocator is not the same twice
            process = fresh.Process(target=peak_memory, args=(args, name, there))
            process.start()
            peaks.append(here.recv())
            process.join()
        print(f"peak memory         {name:14} {statistics.median(peaks):6.0f} MB above data and libraries")


if __name__ == "__main__":
    main()
