"""Facility location against apricot and the plain greedy search: seconds, memory, the sum that is reached.

    SKAL_DATA=folder python benchmarks/facility_location.py               # 4 minutes of one core
    SKAL_DATA=folder python benchmarks/facility_location.py --only large  # skal alone, to 60,000 rows

Rows are the first of the 60,000 x 128 activations of MNIST by `features.py`, in single precision; all may be
chosen unless the number of candidates is given. The similarity is the cosine, which for these rows is never
negative.

* skal: `facility_location`.
* apricot: `FacilityLocationSelection`, its default optimizer (lazy), on the matrix of cosines, which is
  computed by one product and counted in. Its own metric="cosine" is the square of the cosine, another
  problem.
* plain: the matrix of cosines in double precision, and at each pick the gain of each row; numpy. What a
  careful user would write.

Each contestant runs in a process of its own, in turn, after two small calls. Seconds are processor time, so
that other work on the machine counts less; set OMP_NUM_THREADS=1, else threads that wait count too. Small is
the time of the second call, on 50 rows: apricot compiles its loops anew in each call, which ratios leave out.
Memory is the peak above what stood before. The sum, of the largest cosine of each row to the batch, is
computed apart, in double precision, and given as a mean over rows. Equal says whether after each pick it is
that of the plain search, to 1e-9; of rows with the same gain each contestant takes another.

Needs an environment with the others in it: pip install apricot-select==0.6.1; pip install -e . of this
project. What can't be imported is left out. Writes benchmarks/results/facility_location.csv
and facility_location_large.csv.
"""

import argparse
import csv
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time

import numpy as np

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "rows",
    "candidates",
    "batch",
    "round",
    "contestant",
    "seconds",
    "small",
    "mb",
    "mean_similarity",
    "equal",
)
# rows, candidates, batch, rounds
DUELS = [(2000, 2000, 200, 3), (5000, 5000, 500, 1), (10_000, 10_000, 200, 1)]
LARGE = [(20_000, 500, 50, 3), (60_000, 1000, 100, 1), (20_000, 20_000, 1000, 1), (60_000, 60_000, 100, 1)]


def skal_batch(Z, candidates, n):
    from skal.selection import facility_location

    return facility_location(Z, None if candidates == len(Z) else np.arange(candidates), n)


def apricot_batch(Z, candidates, n):
    from apricot import FacilityLocationSelection

    selection = FacilityLocationSelection(n, metric="precomputed")
    return selection.fit(cosines(Z, Z)).ranking


def plain_batch(Z, candidates, n):
    similar = cosines(Z, Z)
    batch, chosen = np.zeros(len(Z)), []
    for _ in range(n):
        gains = np.array([np.maximum(row - batch, 0).sum() for row in similar])
        gains[chosen] = -1
        chosen.append(gains.argmax())
        batch = np.maximum(batch, similar[chosen[-1]])
    return np.array(chosen)


CONTESTANTS = {"skal": skal_batch, "apricot": apricot_batch, "plain": plain_batch}


def cosines(A, B):
    A, B = (np.asarray(Z, dtype=np.float64) for Z in (A, B))
    A, B = (Z / np.maximum(np.linalg.norm(Z, axis=1, keepdims=True), 1e-300) for Z in (A, B))
    return np.maximum(A @ B.T, 0)


def mean_similarities(Z, rows):
    """After each pick; -> (len(rows),)."""
    blocks = np.array_split(Z, 1 + len(Z) // 4096)
    return sum(np.maximum.accumulate(cosines(b, Z[rows]), axis=1).sum(axis=0) for b in blocks) / len(Z)


def run_one(name, path, n, candidates, batch):
    """Time one contestant in this process; prints a line of JSON."""
    Z = np.load(path)[:n].copy()
    for _ in range(2):
        small, _ = _timed(CONTESTANTS[name], Z[:50].copy(), 50, 3)
    before = _resident_mb()
    seconds, rows = _timed(CONTESTANTS[name], Z, candidates, batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"seconds": seconds, "small": small, "mb": peak - before}
    reached = mean_similarities(Z, rows).tolist()
    print(json.dumps({**found, "mean_similarity": reached[-1], "reached": reached}))


def _timed(contestant, *arguments):
    started = process_time()
    rows = contestant(*arguments)
    return process_time() - started, rows


def _resident_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(contestants, cases, path, results):
    """Run the contestants in turn, write a line for each run, and print medians."""
    with results.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for *case, rounds in cases:
            seconds = {name: [] for name in contestants}
            for i in range(rounds):
                answers = {name: _ask(name, path, case) for name in contestants}
                for name, answer in answers.items():
                    equal = _is_equal(answer, answers["plain"]) if "plain" in answers else ""
                    numbers = [f"{answer[column]:.6g}" for column in COLUMNS[5:9]]
                    writer.writerow([*case, i, name, *numbers, equal])
                    file.flush()
                    print(*case, i, name, *numbers, equal, flush=True)
                    seconds[name].append(answer["seconds"] - answer["small"])
            report(seconds)


def _is_equal(answer, plain):
    return bool(np.allclose(answer["reached"], plain["reached"], rtol=1e-9, atol=0))


def report(seconds):
    """Medians, beyond those of a small call, and of ratios."""
    ours = np.array(seconds["skal"])
    for name, theirs in seconds.items():
        times = np.median(np.array(theirs) / ours)
        print(f"  {name}: {np.median(theirs):.3f} s in the median, {times:.1f} times skal's", flush=True)


def _ask(name, path, case):
    command = [sys.executable, __file__, "--one", name, path, *map(str, case)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(answer.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["duels", "large"])
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return run_one(*arguments.one[:2], *map(int, arguments.one[2:]))
    import features

    contestants = [name for name in CONTESTANTS if name != "apricot" or _is_installed("apricot")]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "rows.npy"))
        np.save(path, features.mnist_activations())
        if arguments.only != "large":
            measure(contestants, DUELS, path, RESULTS / "facility_location.csv")
        if arguments.only != "duels":
            measure(["skal"], LARGE, path, RESULTS / "facility_location_large.csv")
    return None


def _is_installed(name):
    if importlib.util.find_spec(name) is not None:
        return True
    print(f"{name} can't be imported and is left out; pip install apricot-select==0.6.1.")
    return False


if __name__ == "__main__":
    main()
