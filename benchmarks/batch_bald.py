"""BatchBALD against batchbald_redux and scikit-activeml: seconds, memory, information of the batch.

    python benchmarks/batch_bald.py               # up to 40 minutes on two cores, nearly all the others'
    python benchmarks/batch_bald.py --only pools  # skal alone, on 60,000 rows

The draws are those of a net whose last layer has dropout: 512 positive features around the centre of one
of ten classes, from easy rows to hard ones; weights fitted to 100 labelled rows; a mask of half of the
features for each draw. With logits of scale 12 most rows are clear, and some divide the draws, as on MNIST
at 100 labels (BALD of 0.05 nats in the median, 0.2 at the upper quartile, 1.1 at most); ten labels tell
nearly all that there is to tell, ln 100 = 4.605 nats. The batch of 50 is on a less certain net, of scale 3
(0.07, 0.12, 0.23), so that 50 labels leave something open.

Each contestant runs in a process of its own, in turn, on the same draws, after a small call to warm up.
Seconds are those of the selection; memory is its peak above what stood before it, draws included. The
others get 10,000 outcomes, as in their papers' code at the least; scikit-activeml's own default, as many as
there are draws, is listed too. What a batch tells of the model is then estimated apart from all three, by
200,000 independent outcomes.

Needs an environment with the others in it: pip install torch==2.13.0 scikit-activeml==1.0.1 toma tqdm;
pip install --no-deps batchbald_redux==2.0.5; pip install -e . of this project.
Writes benchmarks/results/batch_bald.csv and batch_bald_pools.csv.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

RESULTS = Path(__file__).parent / "results"
N_CLASSES, N_OUTCOMES = 10, 10_000
COLUMNS = ("rows", "draws", "batch", "scale", "seed", "contestant", "seconds", "mb", "nats", "error")
# rows, draws, batch, scale of the logits, repetitions
DUELS = [(1000, 100, 10, 12, 3), (200, 100, 50, 3, 2)]
POOLS = [(60_000, n_draws, batch, 12, 3) for n_draws in (20, 100) for batch in (10, 100)]


def dropout_draws(n, n_draws, scale, seed, n_features=512, dtype=np.float64):
    """Class probabilities of a net with dropout before its last layer; -> (n_draws, n, N_CLASSES)."""
    rng = np.random.RandomState(seed)
    centers = rng.normal(size=(N_CLASSES, n_features))

    def features(classes, spread):
        return np.maximum(centers[classes] + spread * rng.normal(size=(len(classes), n_features)), 0)

    classes = np.arange(100) % N_CLASSES
    labeled = features(classes, 1.0)
    gram = labeled.T @ labeled + 5 * np.eye(n_features)
    weights = scale * np.linalg.solve(gram, labeled.T @ (np.eye(N_CLASSES)[classes] - 1 / N_CLASSES))
    pool = features(rng.randint(N_CLASSES, size=n), rng.uniform(0.3, 4.0, size=(n, 1)))
    draws = np.empty((n_draws, n, N_CLASSES), dtype=dtype)
    for draw in draws:
        logits = pool @ (weights * 2 * rng.randint(2, size=(n_features, 1)))
        logits -= logits.max(axis=1, keepdims=True)
        draw[:] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return draws


def information(draws, seed=2**20, per_draw=2000):
    """Joint mutual information of all rows and its standard error, from the definition; -> (float, float).

    Outcomes y are drawn from each draw of the model in turn; the mean of ``ln p(y | draw) - ln p(y)``.
    """
    rng = np.random.RandomState(seed)
    gains = []
    for t in range(len(draws)):
        log_likelihood = np.zeros((per_draw, len(draws)))
        for row in draws.swapaxes(0, 1):
            labels = rng.choice(N_CLASSES, size=per_draw, p=row[t] / row[t].sum())
            log_likelihood += np.log(row[:, labels]).T
        shift = log_likelihood.max(axis=1)
        log_mean = np.log(np.exp(log_likelihood - shift[:, np.newaxis]).mean(axis=1)) + shift
        gains.append(log_likelihood[:, t] - log_mean)
    gains = np.array(gains)
    return gains.mean(), np.sqrt(gains.var(axis=1).mean() / gains.size)


def skal_batch(draws, n, seed):
    from skal.selection import batch_bald

    return lambda: batch_bald(draws, n, seed)


def redux_batch(draws, n, seed):
    import torch
    from batchbald_redux.batchbald import get_batchbald_batch

    torch.manual_seed(seed)
    log_probs = torch.from_numpy(np.log(draws).transpose(1, 0, 2).copy())
    return lambda: get_batchbald_batch(log_probs, n, N_OUTCOMES, dtype=torch.double).indices


def activeml_batch(draws, n, seed, n_outcomes=N_OUTCOMES):
    from skactiveml.pool import batch_bald

    draws = draws.copy()  # it clips them in place
    return lambda: np.nanargmax(batch_bald(draws, n, n_outcomes, random_state=seed), axis=1)


def activeml_default(draws, n, seed):
    return activeml_batch(draws, n, seed, n_outcomes=None)


CONTESTANTS = {
    "skal": skal_batch,
    "batchbald_redux": redux_batch,
    "scikit-activeml": activeml_batch,
    "scikit-activeml, 100 outcomes": activeml_default,
}


def run_one(name, n, n_draws, batch, scale, seed):
    """Time one contestant in this process; prints a line of JSON."""
    CONTESTANTS[name](dropout_draws(50, n_draws, scale, seed), 3, seed)()
    draws = dropout_draws(n, n_draws, scale, seed, dtype=np.float64 if n < 10_000 else np.float32)
    run = CONTESTANTS[name](draws, batch, seed)
    before = _resident_mb()
    started = perf_counter()
    rows = run()
    seconds = perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    nats, error = information(draws[:, np.asarray(rows)].astype(np.float64))
    result = {"seconds": seconds, "mb": peak - before, "nats": nats, "error": error}
    print(json.dumps({**result, "rows": [int(row) for row in rows]}))


def _resident_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(contestants, cases, path):
    """Run the contestants in turn, write a line for each run, and return them all."""
    results = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for *case, repetitions in cases:
            for seed in range(repetitions):
                for name in contestants:
                    command = [sys.executable, __file__, "--one", name, *map(str, (*case, seed))]
                    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                    result = json.loads(answer.splitlines()[-1])
                    numbers = [result[column] for column in COLUMNS[-4:]]
                    writer.writerow([*case, seed, name, *(f"{x:.4f}" for x in numbers)])
                    file.flush()
                    results.append((tuple(case), name, seed, *numbers))
                    print(*case, seed, name, *(f"{x:.4f}" for x in numbers), flush=True)
    return results


def report(results):
    """Medians, and ratios and paired differences to skal."""
    for case in sorted({result[0] for result in results}):
        print("rows, draws, batch, scale:", *case)
        values = {}
        for _, name, *numbers in (result for result in results if result[0] == case):
            values.setdefault(name, []).append(numbers[1:])
        ours = np.array(values["skal"])
        for name, theirs in values.items():
            theirs = np.array(theirs)
            seconds, mb = np.median(theirs[:, 0]), np.median(theirs[:, 1])
            faster, smaller = (np.median(theirs[:, i] / ours[:, i]) for i in (0, 1))
            lead = ours[:, 2] - theirs[:, 2]
            error = np.sqrt((ours[:, 3] ** 2 + theirs[:, 3] ** 2).sum()) / len(lead)
            print(
                f"  {name:30} {seconds:8.2f} s ({faster:6.1f})  {mb:8.1f} MB ({smaller:6.1f})  "
                f"{theirs[:, 2].mean():.4f} nats (skal's {lead.mean():+.4f}, standard error {error:.4f})"
            )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["duels", "pools"])
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return run_one(arguments.one[0], *map(int, arguments.one[1:]))
    if arguments.only != "pools":
        report(measure(CONTESTANTS, DUELS, RESULTS / "batch_bald.csv"))
    if arguments.only != "duels":
        report(measure(["skal"], POOLS, RESULTS / "batch_bald_pools.csv"))
    return None


if __name__ == "__main__":
    main()
