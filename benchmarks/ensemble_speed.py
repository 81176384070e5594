"""What five members cost beside one: trained one by one, and in one run.

    python benchmarks/ensemble_speed.py            # CPU, 1 and 2 threads
    python benchmarks/ensemble_speed.py --gpu      # the aim is 1.5 times one member; not run yet

Each round fits one member and then five in both ways, in an order that turns, on the same rows; a figure is
the median over rounds of a way's time as a multiple of one member's in the same round: of wall time and, in
brackets, of processor time, which hardly feels other work on the machine. Peak memory is that of a fresh
process, above what it held once data and libraries were loaded. The last word of a line is the way that
`EnsembleClassifier(together="auto")` takes.
"""

import argparse
import csv
import multiprocessing
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone

from skal import EnsembleClassifier, NetClassifier
from skal.nets.together import fit_together

RESULTS = Path(__file__).parent / "results"
N_MEMBERS = 5

# Name: shape of a row, parameters of the net, epochs. Dropout is that of the default modules.
NETS = {
    "MLP 64-128-128-10": ((64,), {}, 10),
    "MLP 784-128-128-10": ((784,), {}, 5),
    "MLP 784-512-512-10": ((784,), {"module__hidden": 512}, 2),
    "CNN 8x8, 8 and 16 channels": ((8, 8), {"module__channels": (8, 16)}, 5),
    "CNN 28x28, 8 and 16 channels": ((28, 28), {"module__channels": (8, 16)}, 2),
    "CNN 28x28, 32 and 64 channels": ((28, 28), {}, 1),
}
WAYS = {
    "one member": {"n_members": 1},
    "one by one": {"together": False},
    "together": {"together": True},
}


def data(name, n_rows):
    """Rows and labels of ten classes; how long training takes does not hang on what they are."""
    rng = np.random.RandomState(0)
    return rng.rand(n_rows, *NETS[name][0]).astype(np.float32), rng.randint(10, size=n_rows)


def net(name, args, n_threads):
    """The model whose members are trained."""
    _, params, epochs = NETS[name]
    device = "cuda" if args.gpu else "cpu"
    return NetClassifier(
        max_epochs=epochs * args.epochs,
        batch_size=args.batch_size,
        device=device,
        n_threads=n_threads,
        **params,
    )


def seconds(ensemble, X, y):
    """Wall time and processor time of a fit."""
    start, cpu = time.perf_counter(), time.process_time()
    ensemble.fit(X, y)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - cpu


def rounds(args, name, n_threads):
    """One dict for each way and round, as they come."""
    torch.set_num_threads(n_threads)
    X, y = data(name, args.rows)
    model = net(name, args, n_threads)
    fits = {
        way: EnsembleClassifier(model, **({"n_members": N_MEMBERS, "random_state": 0} | WAYS[way]))
        for way in WAYS
    }
    chosen = taken_by_auto(model, X, y)
    for ensemble in fits.values():  # first calls are slower
        clone(ensemble).set_params(estimator__max_epochs=1).fit(X, y)
    for i in range(args.rounds):
        names = list(fits)
        for way in names[i % len(names) :] + names[: i % len(names)]:
            wall, cpu = seconds(fits[way], X, y)
            yield {
                "net": name,
                "threads": n_threads,
                "round": i,
                "way": way,
                "fit_s": round(wall, 4),
                "fit_cpu_s": round(cpu, 4),
                "rows": args.rows,
                "batch_size": args.batch_size,
                "epochs": model.max_epochs,
                "device": "cuda" if args.gpu else "cpu",
                "auto": chosen,
            }


def taken_by_auto(model, X, y):
    """Which way `together="auto"` takes."""
    nets = [clone(model).set_params(random_state=seed) for seed in range(N_MEMBERS)]
    return "together" if fit_together(nets, [(X, y, {})] * N_MEMBERS) is None else "one by one"


def high_water_mark():
    """Largest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def peak_memory(args, name, way, pipe):
    """Send how many MB the process grew while it fitted; run in a fresh process."""
    torch.set_num_threads(1)
    X, y = data(name, args.rows)
    model = net(name, args, 1)
    clone(model).set_params(max_epochs=1).fit(X[:20], y[:20])  # what torch loads at the first step
    before = high_water_mark()
    EnsembleClassifier(model, **({"n_members": N_MEMBERS, "random_state": 0} | WAYS[way])).fit(X, y)
    pipe.send(torch.cuda.max_memory_allocated() / 2**20 if args.gpu else high_water_mark() - before)


def report(rows):
    """Print what each way costs in multiples of one member, by net and threads."""
    for name, threads in dict.fromkeys((row["net"], row["threads"]) for row in rows):
        mine = [row for row in rows if (row["net"], row["threads"]) == (name, threads)]
        one = {row["round"]: row for row in mine if row["way"] == "one member"}
        figures = []
        for way in dict.fromkeys(row["way"] for row in mine):
            own = [row for row in mine if row["way"] == way]
            wall, cpu = (
                statistics.median(row[measure] / one[row["round"]][measure] for row in own)
                for measure in ("fit_s", "fit_cpu_s")
            )
            if way != "one member":
                figures.append(f"{way} {wall:.2f} ({cpu:.2f})")
        base = statistics.median(row["fit_s"] for row in one.values())
        figures = ",  ".join([f"one member {base:6.3f} s", *figures])
        print(f"{name:30} {threads} threads  {figures};  {mine[0]['auto']}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpu", action="store_true", help="train on a GPU")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=640)
    parser.add_argument("--epochs", type=int, default=1, help="multiplies the epochs of every net")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    out = args.out or RESULTS / ("ensemble_speed_gpu.csv" if args.gpu else "ensemble_speed.csv")

    rows = []
    with out.open("w", newline="") as file:
        for n_threads in args.threads[:1] if args.gpu else args.threads:
            for name in args.nets:
                for row in rounds(args, name, n_threads):
                    writer = csv.DictWriter(file, row)
                    if not rows:
                        writer.writeheader()
                    writer.writerow(row)
                    file.flush()
                    rows.append(row)
                report([row for row in rows if (row["net"], row["threads"]) == (name, n_threads)])
    if args.no_memory:
        return
    fresh = multiprocessing.get_context("spawn")
    for name in args.nets:
        peaks = {}
        for way in ("one member", "one by one", "together"):
            here, there = fresh.Pipe()
            process = fresh.Process(target=peak_memory, args=(args, name, way, there))
            process.start()
            peaks[way] = here.recv()
            process.join()
        print(f"{name:30} peak memory  " + ",  ".join(f"{way} {mb:.0f} MB" for way, mb in peaks.items()))


if __name__ == "__main__":
    main()
