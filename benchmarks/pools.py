"""Pools on disk: seconds a row, and how much memory scoring and selecting take.

    python benchmarks/pools.py                  # to 1,000,000 images, about 10 minutes on two quiet cores
    python benchmarks/pools.py --rows 10000     # a part of it

Images of 28 x 28 bytes, made up, in a numpy memmap and in a zarr store of 1,000 images a chunk. The net is a
perceptron with 64 hidden units and dropout, so that reading counts as much as computing; it is frozen, and
has seen 1,000 images. Each strategy scores the whole pool, then selects 100 rows.

Each run has a process of its own. Seconds are those of the clock, one thread: of `score` after a small call,
the median of several for small pools. Memory is the peak of anonymous memory (RssAnon of Linux, looked at
100 times a second) over score and select, less what stood before them: pages of the file that the
system keeps are not counted, as it gives them back when they are needed.

Writes benchmarks/results/pools.csv, and pools.md: how the cost grows, and what a billion rows would take on
1, 10 and 100 workers that share nothing, computed from the seconds a row of the largest pool.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
ROWS = (10_000, 100_000, 1_000_000)
CONTAINERS = ("memmap", "zarr")
STRATEGIES = ("Margin", "BALD", "CoreSet", "BADGE")
COLUMNS = ("container", "rows", "strategy", "score_s", "select_s", "us_a_row", "anonymous_mb")
BLOCK = 10_000


def blocks(n):
    """Images block by block: blobs at places that differ from image to image."""
    rng = np.random.RandomState(0)
    grid = np.arange(28, dtype=np.float32)
    for start in range(0, n, BLOCK):
        rows, columns = rng.uniform(6, 22, size=(2, BLOCK, 1, 1))
        width = rng.uniform(2, 6, size=(BLOCK, 1, 1))
        squares = (grid[:, np.newaxis] - rows) ** 2 + (grid - columns) ** 2
        yield slice(start, start + BLOCK), (255 * np.exp(-squares / width**2)).astype(np.uint8)


def write_pool(folder, container, n):
    """A pool on disk; -> its path."""
    path = Path(folder, f"{container}_{n}")
    if container == "memmap":
        images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, 28, 28))
    else:
        import zarr

        images = zarr.create_array(path, shape=(n, 28, 28), chunks=(1000, 28, 28), dtype="uint8")
    for rows, block in blocks(n):
        images[rows] = block
    return path


def open_pool(path, container):
    """The pool as a user would open it."""
    if container == "memmap":
        return np.load(path, mmap_mode="r")
    import zarr

    return zarr.open_array(path, mode="r")


def anonymous_mb():
    """Anonymous memory of this process now."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


class Peak:
    """The largest anonymous memory while it watches."""

    def __enter__(self):
        self.before = self.mb = anonymous_mb()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._ended.wait(0.01):
            self.mb = max(self.mb, anonymous_mb())

    def __exit__(self, *error):
        self._ended.set()
        self._thread.join()


def run(path, container, name):
    """One strategy on one pool, in this process; prints what was measured."""
    import torch
    from sklearn.frozen import FrozenEstimator

    from skal import NetClassifier, as_pool, strategies
    from skal.nets import SmallMLP

    torch.set_num_threads(1)
    pool = as_pool(open_pool(path, container))
    X = np.asarray(pool[:1000])
    y = X.reshape(1000, -1).argmax(axis=1) % 28 // 3
    net = NetClassifier(SmallMLP, module__hidden=64, max_epochs=3, n_threads=1, random_state=0).fit(X, y)
    strategy = getattr(strategies, name)(FrozenEstimator(net), random_state=0).fit(X, y)
    strategy.score(pool[:5000])
    seconds = []
    with Peak() as peak:
        for _ in range(max(1, min(5, 200_000 // len(pool)))):
            started = time.perf_counter()
            strategy.score(pool[1000:])
            seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        strategy.select(pool[1000:], n=100)
        select = time.perf_counter() - started
    score = float(np.median(seconds))
    print(json.dumps([score, select, 1e6 * score / (len(pool) - 1000), peak.mb - peak.before]))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        return run(*args.run)
    table, environment = [], os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        for n in args.rows:
            for container in CONTAINERS:
                path = write_pool(folder, container, n)
                for name in STRATEGIES:
                    command = [sys.executable, __file__, "--run", str(path), container, name]
                    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
                    measured = [f"{value:.4g}" for value in json.loads(done.stdout.splitlines()[-1])]
                    table.append([container, n, name, *measured])
                    print(*table[-1], flush=True)
                    write(table)
    return None


def write(table):
    """The rows as CSV, and what follows from them as Markdown."""
    with open(RESULTS / "pools.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(table)
    sizes = sorted({row[1] for row in table})
    lines = [
        "| container | strategy | "
        + " | ".join(f"us a row, {n:,} rows" for n in sizes)
        + " | MB | a billion rows: 1 worker | 10 | 100 |",
        "|" + " --- |" * (len(sizes) + 6),
    ]
    for container in CONTAINERS:
        for name in STRATEGIES:
            of_size = {row[1]: row for row in table if row[0] == container and row[2] == name}
            if len(of_size) < len(sizes):
                continue
            hours = float(of_size[sizes[-1]][5]) * 1e9 / 1e6 / 3600
            cells = [f"{float(of_size[n][5]):.1f}" for n in sizes]
            cells += [f"{float(of_size[sizes[-1]][6]):.0f}"]
            cells += [f"{hours / workers:.2g} h" for workers in (1, 10, 100)]
            lines.append(f"| {container} | {name} | " + " | ".join(cells) + " |")
    (RESULTS / "pools.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
