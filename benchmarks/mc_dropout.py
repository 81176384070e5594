"""How long 20 draws of MC dropout take on MNIST, beside stock skorch and baal, and how much memory.

    python benchmarks/mc_dropout.py                   # two-layer CNN: dropout after the convolutions
    python benchmarks/mc_dropout.py --net channels    # Dropout2d between the convolutions
    python benchmarks/mc_dropout.py --net small       # NetClassifier's own CNN

It needs baal, in an environment of its own: ``pip install torch==2.13.0 scikit-learn skorch baal==2.1.0``,
and skal by ``pip install --no-deps -e .``. Without baal, its row is left out.

Contenders take turns within a round, and ratios compare within a round; the figure is their median. skal
scores all rows; the peers, whose time is the same for each batch, score the first few and are scaled by the
row. skorch is called 20 times with dropout on, as one does it by hand: ``forward_iter(X, training=True)`` (on
this net that is right: the iterator does not shuffle, and there is no batch normalisation). "full passes" is
skal without what it shares between draws: as many forwards as draws, with the same masks. Weights are as
initialised: no time hangs on them. Peak memory is that of a fresh process, above what it held once data and
libraries were loaded.
"""

import argparse
import csv
import importlib.util
import multiprocessing
import os
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

from skal import datasets
from skal.nets import NetClassifier, SmallCNN
from skal.nets._passes import Passes

RESULTS = Path(__file__).parent / "results" / "mc_dropout.csv"


def after_convolutions():
    """The net of Gal et al. 2017: dropout after the convolutions, and after the dense layer."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def channels():
    """The net of Kirsch et al. 2019: channels dropped after each convolution."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5),
        nn.Dropout2d(0.5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 5),
        nn.Dropout2d(0.5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def small():
    """What NetClassifier takes for MNIST: one dropout, before the output."""
    return SmallCNN((1, 28, 28), n_classes=10)


NETS = {"convolutions": after_convolutions, "channels": channels, "small": small}


def own_net(module):
    """A fitted NetClassifier; its training is of no interest here."""
    rows = np.zeros((20, 1, 28, 28), dtype=np.uint8)
    return NetClassifier(module, max_epochs=0, random_state=0).fit(rows, np.arange(20) % 10)


def skal_shared(module, X, n_draws):
    """sample_proba with masks that all rows share."""
    return own_net(module).sample_proba(X, n_draws)


def skal_own(module, X, n_draws):
    """sample_proba with masks of its own for each row."""
    return own_net(module).sample_proba(X, n_draws, consistent=False)


def one_pass(module, X, n_draws):
    """predict_proba, without dropout."""
    return own_net(module).predict_proba(X)


def full_passes(module, X, n_draws):
    """sample_proba with its shortcuts off."""
    shortcut, Passes._from_tape = Passes._from_tape, _refused
    try:
        return own_net(module).sample_proba(X, n_draws)
    finally:
        Passes._from_tape = shortcut


def _refused(passes, *args):
    passes.unsafe = "full passes are wanted"


def skorch_passes(module, X, n_draws):
    """forward_iter in training mode, n_draws times."""
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, batch_size=64, verbose=0).initialize()
    X = X.astype(np.float32) / 255
    draws = []
    for _ in range(n_draws):
        outputs = list(net.forward_iter(X, training=True))
        draws.append(torch.cat(outputs).detach().softmax(-1).numpy())
    return np.stack(draws)


def baal_passes(module, X, n_draws):
    """predict_on_dataset, as in baal's examples: draws as copies of the rows in one batch."""
    from baal.bayesian.dropout import patch_module
    from baal.modelwrapper import ModelWrapper, TrainingArgs

    rows = torch.from_numpy(X.astype(np.float32) / 255)
    dataset = torch.utils.data.TensorDataset(rows, torch.zeros(len(rows)))
    wrapper = ModelWrapper(patch_module(module), TrainingArgs(batch_size=64, use_cuda=False))
    draws = wrapper.predict_on_dataset(dataset, iterations=n_draws, verbose=False)
    return torch.from_numpy(draws).softmax(1).numpy().transpose(2, 0, 1)


WAYS = {
    "skal": skal_shared,
    "skal, consistent=False": skal_own,
    "skal, one pass": one_pass,
    "skal, full passes": full_passes,
    "skorch": skorch_passes,
    "baal": baal_passes,
}
PEERS = ("skal, full passes", "skorch", "baal")


def timed(args, X, name):
    """Seconds per 1,000 rows of a contender, and of its processor."""
    X = X[: args.peer_rows] if name in PEERS else X[: args.rows]
    module = NETS[args.net]().eval()
    start, cpu = time.perf_counter(), time.process_time()
    draws = WAYS[name](module, X, args.n_draws)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    if draws.shape[-2:] != (len(X), 10):
        raise ValueError(f"{name} returned an array of shape {draws.shape} for {len(X)} rows")
    return {"rows": len(X), "wall_s": wall, "cpu_s": cpu}


def rounds(args, X, names):
    """One dict for each contender and round, as they come."""
    for name in names:  # first calls are slower
        WAYS[name](NETS[args.net]().eval(), X[:64], 2)
    for i in range(args.rounds):
        turn = i % len(names)
        for name in names[turn:] + names[:turn]:
            yield {"net": args.net, "threads": args.threads, "round": i, "contender": name} | timed(
                args, X, name
            )


def report(rows):
    """Print each contender's median time for 1,000 rows, and its median ratio to skal's."""

    def per_row(row):
        return row["wall_s"] / row["rows"]

    own = {row["round"]: per_row(row) for row in rows if row["contender"] == "skal"}
    passes = {row["round"]: per_row(row) for row in rows if row["contender"] == "skal, one pass"}
    for name in dict.fromkeys(row["contender"] for row in rows):
        mine = [row for row in rows if row["contender"] == name]
        middle = statistics.median(1000 * per_row(row) for row in mine)
        ratio = statistics.median(per_row(row) / own[row["round"]] for row in mine)
        in_passes = statistics.median(per_row(row) / passes[row["round"]] for row in mine)
        print(f"{name:24} {middle:8.3f} s for 1,000 rows {ratio:7.2f} x skal {in_passes:7.2f} x one pass")


def peak_memory(args, name, pipe):
    """Send how many MB a process grows while it scores all rows; run in a fresh one."""
    torch.set_num_threads(args.threads)
    X = load()[: args.rows]
    module = NETS[args.net]().eval()
    own_net(module).predict_proba(X[:64])
    before = high_water_mark()
    WAYS[name](module, X, args.n_draws)
    pipe.send(high_water_mark() - before)


def high_water_mark():
    """Largest resident memory of this process so far, in MB (getrusage would count its parent's too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def load():
    """MNIST's training images, uint8, (60000, 1, 28, 28)."""
    return datasets.load("mnist").X[:, None]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", choices=NETS, default="convolutions")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=60000)
    parser.add_argument("--peer-rows", type=int, default=640)
    parser.add_argument("--n-draws", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS, help="where rows are added")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    names = [name for name in WAYS if name != "baal" or importlib.util.find_spec("baal")]

    rows, X = [], load()
    new = not args.out.exists()
    with args.out.open("a", newline="") as file:
        for row in rounds(args, X, names):
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
                new = False
            writer.writerow(row)
            file.flush()
            rows.append(row)
    report(rows)

    fresh = multiprocessing.get_context("spawn")
    for name in ("skal", "skal, consistent=False"):
        here, there = fresh.Pipe()
        process = fresh.Process(target=peak_memory, args=(args, name, there))
        process.start()
        print(f"peak memory of {name:24} {here.recv():6.0f} MB above data and libraries, {args.rows} rows")
        process.join()


if __name__ == "__main__":
    main()
