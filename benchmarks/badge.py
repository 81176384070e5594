"""BADGE against scikit-activeml, bmdal_reg and the plain factored form: seconds, memory, what is covered.

    SKAL_DATA=folder python benchmarks/badge.py              # 10 minutes on two cores, nearly all the others'
    SKAL_DATA=folder python benchmarks/badge.py --only fast  # without scikit-activeml, 3 minutes

60,000 rows, batch 1,000: the 128 activations of MNIST by `features.py`, and the probabilities of ten classes
by a logistic regression on the first 1,000 of them. Each contestant gets both arrays, in single precision,
and chooses the batch; seconds are those of its selection, from the residuals on.

* skal: `largest_norm` and `k_means_pp` on `OuterProducts`, without the bias column, which others don't have.
* plain: one product of the factors with those of the last row a pick, a running minimum, one draw; numpy, in
  single precision. What a careful user would write.
* scikit-activeml: `Badge.query` with a classifier that returns the two arrays.
* bmdal_reg: its `KmeansppSelectionMethod` on the product of two kernels, its form without gradients.

For LCMD, with the first 1,000 rows as labelled: `lcmd`, and `LargestClusterMaxDistSelectionMethod` of
bmdal_reg.

Each contestant runs in a process of its own, in turn, after a small call to warm up; skal's BADGE, which is
short, is the median of nine seeds. Cpu is the time of all processors together, which a busy machine changes
less than that of the clock. Memory is the peak above what stood before. Distinct says how many of the rows
differ. Uncovered is the sum over all rows of the squared distance to the nearest chosen one (or labelled one,
for LCMD), relative to the sum of squared norms: smaller is better; correct samplers differ by chance alone.

Needs an environment with the others in it: pip install torch==2.13.0 scikit-activeml==1.0.1 bmdal_reg==3.0.2
dill; pip install -e . of this project. What can't be imported is left out. Threads are the libraries' own
choice; on a busy machine set OMP_NUM_THREADS=1. Writes benchmarks/results/badge.csv. Runs on Linux.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

RESULTS = Path(__file__).parent / "results"
BATCH, N_LABELED = 1000, 1000
COLUMNS = ("round", "contestant", "seconds", "cpu", "mb", "distinct", "uncovered")


def save_rows(path):
    """The two arrays of the pool, (60000, 10) and (60000, 128), single precision."""
    import features
    from sklearn.linear_model import LogisticRegression

    Z = features.mnist_activations()
    y = features.images("mnist")[1]
    model = LogisticRegression(max_iter=1000).fit(Z[:N_LABELED], y[:N_LABELED])
    np.savez(path, proba=model.predict_proba(Z).astype(np.float32), Z=Z)


def residuals(proba):
    return proba - np.eye(proba.shape[1], dtype=proba.dtype)[proba.argmax(axis=1)]


def skal_badge(proba, Z, n, seed):
    from skal.selection import OuterProducts
    from skal.selection._k_means_pp import k_means_pp, largest_norm

    gradients = OuterProducts(residuals(proba), Z)
    return k_means_pp(gradients, n, seed, first=largest_norm(gradients, seed))


def plain_badge(proba, Z, n, seed):
    rng, A = np.random.RandomState(seed), residuals(proba)
    norms = np.einsum("ij,ij->i", A, A) * np.einsum("ij,ij->i", Z, Z)
    chosen, distances = [int(norms.argmax())], np.full(len(Z), np.inf, dtype=np.float32)
    while len(chosen) < n:
        last = chosen[-1]
        products = (A @ A[last]) * (Z @ Z[last])
        distances = np.minimum(distances, np.maximum(norms + norms[last] - 2 * products, 0))
        distances[chosen] = 0
        sums = distances.cumsum(dtype=np.float64)
        chosen.append(int(np.searchsorted(sums, rng.random_sample() * sums[-1], side="right")))
    return np.array(chosen)


def activeml_badge(proba, Z, n, seed):
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge

    class Known(SkactivemlClassifier):
        def fit(self, X, y, sample_weight=None):
            return self

        def predict_proba(self, X):
            return proba, Z

    strategy = Badge(random_state=seed, missing_label=-1)
    y = np.full(len(Z), -1)
    return np.asarray(strategy.query(Z, y, Known(missing_label=-1), fit_clf=False, batch_size=n))


def skal_lcmd(proba, Z, n, seed):
    from skal.selection import OuterProducts, lcmd

    gradients = OuterProducts(residuals(proba), Z)
    return N_LABELED + lcmd(gradients[N_LABELED:], gradients[:N_LABELED], min(n, len(Z) - N_LABELED), seed)


def bmdal(method, first, proba, Z, n, seed):
    """One of bmdal_reg's methods, on the rows from `first` on, with those before as its training rows."""
    import torch

    vars(np).setdefault("Inf", np.inf)  # which numpy 2 has dropped, and bmdal_reg needs
    from bmdal_reg.bmdal import feature_data, feature_maps, features, selection

    np.random.seed(seed)
    torch.manual_seed(seed)
    factors = [torch.from_numpy(factor) for factor in (residuals(proba), Z)]
    kernel = feature_maps.ProductFeatureMap([feature_maps.IdentityFeatureMap(f.shape[1]) for f in factors])

    def rows(which):
        parts = [feature_data.TensorFeatureData(factor[which]) for factor in factors]
        return features.Features(kernel, feature_data.ListFeatureData(parts))

    select = getattr(selection, method)(
        rows(slice(first, None)), rows(slice(0, first)), sel_with_train=first > 0, verbosity=0
    ).select
    return first + select(min(n, len(Z) - first)).numpy()


def bmdal_badge(proba, Z, n, seed):
    return bmdal("KmeansppSelectionMethod", 0, proba, Z, n, seed)


def bmdal_lcmd(proba, Z, n, seed):
    return bmdal("LargestClusterMaxDistSelectionMethod", N_LABELED, proba, Z, n, seed)


CONTESTANTS = {  # and how often each runs in a process
    "skal": (skal_badge, 9),
    "plain": (plain_badge, 1),
    "bmdal_reg": (bmdal_badge, 1),
    "skal lcmd": (skal_lcmd, 1),
    "bmdal_reg lcmd": (bmdal_lcmd, 1),
    "scikit-activeml": (activeml_badge, 1),
}


def run_one(name, path, seed):
    """Time one contestant in this process; prints a line of JSON."""
    select, n_runs = CONTESTANTS[name]
    with np.load(path) as rows:
        proba, Z = rows["proba"], rows["Z"]
    few = np.arange(2 * N_LABELED)
    try:
        select(proba[few], Z[few], 5, seed)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    proba, Z = proba.copy(), Z.copy()  # and so they are in memory, all of them
    _forget_peak()
    before = _megabytes("VmRSS")
    seconds, cpu = [], []
    for i in range(n_runs):
        started, cpu_started = perf_counter(), process_time()
        batch = select(proba, Z, BATCH, seed + i)
        seconds.append(perf_counter() - started)
        cpu.append(process_time() - cpu_started)
    result = {"seconds": np.median(seconds), "cpu": np.median(cpu), "mb": _megabytes("VmHWM") - before}
    result["distinct"] = len(set(batch.tolist()))
    labeled = np.arange(N_LABELED if name.endswith("lcmd") else 0)
    result["uncovered"] = _uncovered(proba, Z, np.concatenate([labeled, batch]))
    print(json.dumps(result))


def _uncovered(proba, Z, batch):
    A, H = residuals(proba).astype(np.float64), Z.astype(np.float64)
    norms = (A**2).sum(axis=1) * (H**2).sum(axis=1)
    total = 0.0
    for start in range(0, len(Z), 2000):
        rows = slice(start, start + 2000)
        products = (A[rows] @ A[batch].T) * (H[rows] @ H[batch].T)
        total += np.maximum(norms[rows, np.newaxis] + norms[batch] - 2 * products, 0).min(axis=1).sum()
    return total / norms.sum()


def _forget_peak():
    """From here on `VmHWM` is the peak of the resident memory, on Linux."""
    Path("/proc/self/clear_refs").write_text("5")


def _megabytes(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def measure(rounds, path, out):
    """Run (round, contestant) pairs in turn; -> {contestant: rows of numbers}, and a CSV."""
    results = {}
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, name in rounds:
            command = [sys.executable, __file__, "--one", name, str(path), str(100 * number)]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            result = json.loads(answer.splitlines()[-1])
            if "missing" in result:
                print(f"{name} is left out: {result['missing']}.")
                continue
            numbers = [result[column] for column in COLUMNS[2:]]
            writer.writerow([number, name, *(f"{x:.5g}" for x in numbers)])
            file.flush()
            print(number, name, *(f"{x:.5g}" for x in numbers), flush=True)
            results.setdefault(name, []).append(numbers)
    return results


def report(results):
    """Medians over rounds, and how they compare with skal's."""
    medians = {name: np.median(numbers, axis=0) for name, numbers in results.items()}
    for name, (seconds, cpu, mb, distinct, uncovered) in medians.items():
        ours = medians["skal lcmd" if name.endswith("lcmd") else "skal"]
        print(
            f"{name:16} {seconds:9.4f} s ({seconds / ours[0]:7.1f})  {cpu:9.4f} s of processors "
            f"({cpu / ours[1]:7.1f})  {mb:7.0f} MB  {distinct:.0f} rows, uncovered {uncovered:.4f}"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["fast"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, path, seed = arguments.one
        return run_one(name, path, int(seed))
    names = [name for name in CONTESTANTS if name != "scikit-activeml"]
    rounds = [(number, name) for number in range(arguments.rounds) for name in names]
    if arguments.only != "fast":  # once, between runs of skal
        rounds += [(arguments.rounds, "scikit-activeml"), (arguments.rounds, "skal")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.npz")
        save_rows(path)
        report(measure(rounds, path, RESULTS / "badge.csv"))
    return None


if __name__ == "__main__":
    main()
