"""Farthest-first traversal against others: seconds, memory, and whether the rows are right.

    SKAL_DATA=folder python benchmarks/k_center.py                # all, 25 minutes on two quiet cores
    SKAL_DATA=folder python benchmarks/k_center.py --only mnist   # or: fast, cifar10, cold, large

The points are the activations of `features.py`, MNIST's (60,000 x 128) and CIFAR-10's (50,000 x 512), 1,000
random rows of them as labelled; and 1,000,000 x 128 made-up activations. "Cold" is MNIST without labelled
rows, as torch-quickfps knows no others; it is told the row to begin with.

* skal: `k_center`.
* plain: numpy in single precision, one product with all rows a pick and a running minimum, the labelled rows
  in blocks. What a careful user would write, and what the authors' and Google's code amounts to.
* scikit-activeml: `k_greedy_center`, the selection of its `CoreSet`. Once, as it takes minutes.
* bmdal_reg: its `MaxDistSelectionMethod` on plain features. Once.
* torch-quickfps: `sample`.

Each contestant runs in a process of its own, in turn, after a small call to warm up: three rounds, five where
they are short. Cpu is the time of all processors together, which a busy machine changes less than that of the
clock. Memory is the peak above what stood before. Passes is the time a row chosen takes in units of a pass
over all rows: one product of them with a vector, at best of five, in the same process. Behind is the
largest relative shortfall of a chosen row's squared distance from that of the farthest row then, in
double precision, from products: 0 up to 1e-10 or so is a greedy sequence; equal is the share of rows that are
skal's, in their places.

Needs an environment with the others in it: pip install torch==2.13.0 scikit-activeml==1.0.1 bmdal_reg==3.0.2
dill torch-quickfps==2.1.0; pip install -e . of this project. What can't be imported is left out. Threads are
the libraries' own choice; --threads 1 sets one. Writes benchmarks/results/k_center.csv, and goes on with what
is missing there; --fresh starts over. Runs on Linux.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

OUT = Path(__file__).parent / "results" / "k_center.csv"
N_LABELED = 1000
KEY = ("points", "batch", "threads", "round", "contestant")
NUMBERS = ("seconds", "cpu", "mb", "passes", "behind", "equal")
# points, batch, contestants, rounds
CASES = {
    "fast": [("mnist", batch, ("skal", "plain"), 5) for batch in (1000, 5000)],
    "mnist": [("mnist", batch, ("skal", "scikit-activeml", "bmdal_reg"), 1) for batch in (1000, 5000)],
    "cifar10": [
        ("cifar10", 1000, ("skal", "plain"), 3),
        ("cifar10", 1000, ("skal", "scikit-activeml", "bmdal_reg"), 1),
        ("cifar10", 5000, ("skal", "plain"), 1),
    ],
    "cold": [("cold", 1000, ("skal", "plain", "torch-quickfps"), 3)],
    "large": [
        ("made", 100, ("skal", "plain", "scikit-activeml"), 1),
        ("made", 5000, ("skal", "plain"), 1),
    ],
}


def made_activations(n=1_000_000, m=128, seed=0):
    """Positive parts of random projections of a mixture of crowds; (n, m) float32."""
    rng = np.random.RandomState(seed)
    crowds, weights = 3 * rng.normal(size=(100, 20)), rng.normal(size=(20, m)) / np.sqrt(20)
    Z = np.empty((n, m), dtype=np.float32)
    for start in range(0, n, 50_000):
        part = Z[start : start + 50_000]
        latent = crowds[rng.randint(100, size=len(part))] + rng.normal(size=(len(part), 20))
        np.maximum(latent @ weights - 0.5 + 0.1 * rng.normal(size=part.shape), 0, out=part, casting="unsafe")
    return Z


def save_points(name, path):
    """The rows, and the positions of those labelled."""
    if name == "made":
        Z = made_activations()
    else:
        import features

        Z = features.cifar10_activations() if name == "cifar10" else features.mnist_activations()
    n_labeled = 0 if name == "cold" else N_LABELED
    np.save(path / "Z.npy", Z)
    np.save(path / "labeled.npy", np.random.RandomState(0).permutation(len(Z))[:n_labeled])


def skal(Z, labeled, n):
    from skal.selection._k_center import k_center

    return k_center(Z, Z[labeled], n)


def plain(Z, labeled, n):
    squares = np.einsum("ij,ij->i", Z, Z)
    chosen = []
    if len(labeled) == 0:
        chosen = [int(((Z - Z.mean(axis=0)) ** 2).sum(axis=1).argmin())]
        labeled = chosen
    least = np.empty(len(Z), dtype=np.float32)
    for start in range(0, len(Z), 4096):
        rows = slice(start, start + 4096)
        least[rows] = (squares[labeled] - 2 * (Z[rows] @ Z[labeled].T)).min(axis=1)
    least += squares
    products = np.empty_like(least)
    while len(chosen) < n:
        least[chosen[-1:]] = -np.inf
        row = int(least.argmax())
        chosen.append(row)
        np.dot(Z, Z[row], out=products)
        products *= -2
        products += squares
        products += squares[row]
        np.minimum(least, products, out=least)
    return np.array(chosen)


def activeml(Z, labeled, n):
    from skactiveml.pool._core_set import k_greedy_center

    y = np.full(len(Z), np.nan)
    y[labeled] = 0
    return k_greedy_center(Z, y, batch_size=n, random_state=0)[0]


def bmdal(Z, labeled, n):
    import torch

    vars(np).setdefault("Inf", np.inf)  # which numpy 2 has dropped, and bmdal_reg needs
    from bmdal_reg.bmdal import feature_data, feature_maps, features, selection

    def rows(which):
        data = feature_data.TensorFeatureData(torch.from_numpy(which))
        return features.Features(feature_maps.IdentityFeatureMap(Z.shape[1]), data)

    return selection.MaxDistSelectionMethod(rows(Z), rows(Z[labeled]), verbosity=0).select(n).numpy()


def quickfps(Z, labeled, n):
    import torch
    from torch_quickfps import sample

    first = int(((Z - Z.mean(axis=0, dtype=np.float64)) ** 2).sum(axis=1).argmin())
    return sample(torch.from_numpy(Z), n, start_idx=first, return_points=False).numpy().ravel()


CONTESTANTS = {
    "skal": skal,
    "plain": plain,
    "scikit-activeml": activeml,
    "bmdal_reg": bmdal,
    "torch-quickfps": quickfps,
}


def run_one(name, path, batch):
    """Time one contestant in this process; prints a line of JSON, and saves the rows."""
    select = CONTESTANTS[name]
    Z, labeled = np.load(path / "Z.npy"), np.load(path / "labeled.npy")
    try:
        select(Z[:3000].copy(), np.arange(min(len(labeled), 900)), 5)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    passing = min(_seconds(lambda: Z @ Z[0]) for _ in range(5))
    _forget_peak()
    before = _megabytes("VmRSS")
    started, cpu_started = perf_counter(), process_time()
    rows = select(Z, labeled, batch)
    seconds, cpu = perf_counter() - started, process_time() - cpu_started
    result = {"seconds": seconds, "cpu": cpu, "mb": _megabytes("VmHWM") - before}
    result["passes"] = seconds / batch / passing
    result["behind"] = behind(Z, labeled, rows)
    np.save(path / f"{name}-{batch}.npy", rows)
    if name != "skal":
        result["equal"] = (rows == np.load(path / f"skal-{batch}.npy")).mean()
    print(json.dumps({"equal": 1.0, **result}))


def behind(Z, labeled, rows):
    """The largest relative shortfall of a row's squared distance from that of the farthest row then."""
    n_given = len(labeled) or 1  # the first row of all has no distance
    centers = np.concatenate([labeled, rows]).astype(np.intp)
    C = Z[centers].astype(np.float64)
    C -= (origin := C.mean(axis=0))
    squares, place = np.einsum("ij,ij->i", C, C), np.full(len(Z), len(centers))
    place[centers[::-1]] = np.arange(len(centers))[::-1]
    farthest, own = np.full(len(centers), -np.inf), np.full(len(centers), np.nan)
    for start in range(0, len(Z), 256):
        X = Z[start : start + 256] - origin
        gaps = squares + np.einsum("ij,ij->i", X, X)[:, np.newaxis] - 2 * (X @ C.T)
        np.minimum.accumulate(gaps, axis=1, out=gaps)  # to the nearest of the first centres
        at = place[start : start + 256]
        chosen = np.flatnonzero(at < len(centers))
        chosen = chosen[at[chosen] >= n_given]
        own[at[chosen]] = gaps[chosen, at[chosen] - 1]
        # A row no longer counts once it is chosen.
        gaps[np.arange(len(centers)) >= at[:, np.newaxis]] = -np.inf
        np.maximum(farthest, gaps.max(axis=0), out=farthest)
    return float((1 - own[n_given:] / farthest[n_given - 1 : -1]).max())


def _seconds(function):
    started = perf_counter()
    function()
    return perf_counter() - started


def _forget_peak():
    """From here on `VmHWM` is the peak of the resident memory, on Linux."""
    Path("/proc/self/clear_refs").write_text("5")


def _megabytes(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def measure(cases, threads):
    """Run what is not in the file yet."""
    for points in dict.fromkeys(case[0] for case in cases):
        with tempfile.TemporaryDirectory() as folder:
            runs = [
                (points, batch, threads, number, name)
                for named, batch, names, rounds in cases
                for number in range(rounds)
                for name in names
                if named == points
            ]
            done = {tuple(result[column] for column in KEY) for result in results()}
            left = [run for run in runs if tuple(map(str, run)) not in done]
            if left:
                save_points(points, Path(folder))
            for run in left:
                _run(run, Path(folder))


def _run(run, folder):
    _, batch, threads, _, name = run
    if name != "skal" and not (folder / f"skal-{batch}.npy").exists():  # to compare with
        _answer("skal", folder, batch, threads)
    answer = _answer(name, folder, batch, threads)
    if "missing" in answer:
        print(f"{name} is left out: {answer['missing']}.")
        return
    line = [*run, *(f"{answer[column]:.5g}" for column in NUMBERS)]
    with OUT.open("a", newline="") as file:
        csv.writer(file).writerow(line)
    print(*line, flush=True)


def _answer(name, folder, batch, threads):
    environment = dict(os.environ) if threads == "all" else {**os.environ, "OMP_NUM_THREADS": threads}
    command = [sys.executable, __file__, "--one", name, str(folder), str(batch)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return json.loads(output.splitlines()[-1])


def results():
    with OUT.open(newline="") as file:
        return list(csv.DictReader(file))


def report():
    """Medians over rounds, and how they compare with skal's."""
    groups = {}
    for result in results():
        group = groups.setdefault(tuple(result[column] for column in KEY[:3]), {})
        group.setdefault(result["contestant"], []).append([float(result[column]) for column in NUMBERS])
    for (points, batch, threads), group in groups.items():
        print(f"{points}, batch {batch}, threads: {threads}")
        ours = np.median(group.get("skal", [[np.nan] * len(NUMBERS)]), axis=0)
        for name, numbers in group.items():
            seconds, cpu, mb, passes, behind, equal = np.median(numbers, axis=0)
            print(
                f"  {name:16} {seconds:8.3f} s ({seconds / ours[0]:6.1f})  {cpu:8.3f} s of processors "
                f"({cpu / ours[1]:6.1f})  {mb:6.0f} MB  {passes:7.3f} passes a row  behind {behind:8.1e}  "
                f"equal {equal:.4f}"
            )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--threads", default="all", help="a number, or all (the default)")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, folder, batch = arguments.one
        return run_one(name, Path(folder), int(batch))
    if arguments.fresh or not OUT.exists():
        with OUT.open("w", newline="") as file:
            csv.writer(file).writerow(KEY + NUMBERS)
    chosen = [arguments.only] if arguments.only else CASES
    measure([case for name in chosen for case in CASES[name]], arguments.threads)
    report()
    return None


if __name__ == "__main__":
    main()
