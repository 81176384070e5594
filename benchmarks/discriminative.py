"""DiscriminativeAL: one query on MNIST, its training beside the published one, and scikit-activeml.

    SKAL_DATA=folder python benchmarks/discriminative.py    # 3 minutes on two cores

* mnist: 60,000 rows, the 128 activations by `features.py`; the first 1,000 are labelled, the others are the
  pool; a batch of 100 in 10 mini-queries, each with a fresh net.
* training: one of these nets, on the labelled rows and 10,000 others. "published" has batches of 128, steps
  of 0.0001, all rows in each epoch, and points as they are. Agreement is the mean rank correlation of the
  scores of the 10,000 rows with those of the published nets of two other seeds.
* digits: the 1,797 rows of 64 pixels of scikit-learn's, 100 of them labelled; a batch of 10. scikit-activeml
  refits a classifier for each of the 10, on all rows; so does skal here, with n_batches=10 and a ratio that
  takes all. Both with logistic regression, where they should choose the same rows (agreement: the share of
  them), and skal's default net for comparison.

Each contestant runs in a process of its own, in turn, after a small call to warm up. Cpu is the time of all
processors together, which a busy machine changes less than that of the clock. Memory is the peak above the
one before the query.

Needs an environment with the other in it: pip install torch==2.13.0 scikit-activeml==1.0.1; pip install -e .
of this project. Without it, its row is left out. Writes benchmarks/results/discriminative.csv.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from scipy.stats import spearmanr

RESULTS = Path(__file__).parent / "results" / "discriminative.csv"
COLUMNS = ("case", "round", "contestant", "seconds", "cpu", "mb", "agreement")


def mnist_rows():
    import features

    Z = features.mnist_activations()
    return Z[:1000], Z[1000:]


def digits_rows():
    from sklearn.datasets import load_digits

    X = load_digits().data / 16
    return X[:100], X[100:]


def skal_query(labeled, pool, n, seed, **params):
    from skal.strategies.discriminative import DiscriminativeAL

    fitted = DiscriminativeAL(n_batches=10, random_state=seed, **params).fit(labeled, np.zeros(len(labeled)))
    return fitted.select(pool, n)


def skal_logistic(labeled, pool, n, seed):
    from sklearn.linear_model import LogisticRegression

    return skal_query(labeled, pool, n, seed, discriminator=LogisticRegression(), ratio=1000)


def activeml_logistic(labeled, pool, n, seed):
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import DiscriminativeAL
    from sklearn.linear_model import LogisticRegression

    X = np.concatenate([labeled, pool])
    y = np.where(np.arange(len(X)) < len(labeled), 0, -1)
    strategy = DiscriminativeAL(missing_label=-1, random_state=seed)
    discriminator = SklearnClassifier(LogisticRegression(), classes=[0, 1], missing_label=-1)
    return np.asarray(strategy.query(X, y, discriminator, batch_size=n)) - len(labeled)


def skal_training(labeled, pool, n, seed):
    """Scores by one net, of the rows it was trained on."""
    from skal.strategies._discriminator import Discriminator

    drawn = pool[np.random.RandomState(0).choice(len(pool), 10 * len(labeled), replace=False)]
    is_unlabeled = np.repeat([0, 1], [len(labeled), len(drawn)])
    net = Discriminator(0.98, None, random_state=seed).fit(np.concatenate([labeled, drawn]), is_unlabeled)
    return net.predict_proba(drawn)[:, 1]


def published_training(labeled, pool, n, seed):
    from skal.strategies import _discriminator

    _discriminator._BATCH_ROWS, _discriminator._RATE, _discriminator._MAJORITY = 128, 1e-4, len(pool)
    _discriminator.Discriminator._levelled = lambda net, Z: Z
    return skal_training(labeled, pool, n, seed)


CASES = {  # rows, batch, repetitions, contestants
    "mnist": (mnist_rows, 100, 3, {"skal": skal_query}),
    "training": (mnist_rows, None, 3, {"skal": skal_training, "published": published_training}),
    "digits": (
        digits_rows,
        10,
        3,
        {"skal": skal_logistic, "scikit-activeml": activeml_logistic, "skal, default net": skal_query},
    ),
}


def run_one(case, name, seed, path):
    """Time one contestant in this process; prints a line of JSON and saves what it answered."""
    rows, n, _, contestants = CASES[case]
    labeled, pool = rows()
    try:
        contestants[name](labeled[:20], pool[:200], 5, seed)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    before = _peak_mb()
    started, cpu_started = perf_counter(), process_time()
    answer = contestants[name](labeled, pool, n, seed)
    result = {"seconds": perf_counter() - started, "cpu": process_time() - cpu_started}
    print(json.dumps(result | {"mb": _peak_mb() - before}))
    np.save(path, answer)


def _peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(case, folder):
    """Run the contestants of a case in turn; -> {(contestant, round): numbers}, and answers in the folder."""
    _, _, n_rounds, contestants = CASES[case]
    results = {}
    for number in range(n_rounds):
        for name in contestants:
            path = folder / f"{case} {name} {number}.npy"
            command = [sys.executable, __file__, "--one", case, name, str(number), str(path)]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            result = json.loads(answer.splitlines()[-1])
            if "missing" in result:
                print(f"{name} is left out: {result['missing']}.")
                continue
            results[name, number] = result | {"answer": np.load(path)}
            print(case, number, name, *(f"{result[column]:.3f}" for column in COLUMNS[3:6]), flush=True)
    return results


def agreement(case, name, number, results):
    """With what each case compares; see above."""
    own = results[name, number]["answer"]
    if case == "training":
        others = [results[key]["answer"] for key in results if key[0] == "published" and key[1] != number]
        return np.mean([spearmanr(own, other).statistic for other in others])
    if name in ("skal", "scikit-activeml") and ("scikit-activeml", number) in results:
        return np.isin(own, results["scikit-activeml", number]["answer"]).mean()
    return np.nan


def report(case, results):
    for name in CASES[case][3]:
        rows = [result for key, result in results.items() if key[0] == name]
        if rows:
            seconds, cpu, mb, same = (np.median([row[c] for row in rows]) for c in COLUMNS[3:])
            print(
                f"  {case}, {name:18} {seconds:7.2f} s, cpu {cpu:7.2f} s, {mb:6.1f} MB, agreement {same:.3f}"
            )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        case, name, seed, path = arguments.one
        return run_one(case, name, int(seed), path)
    with tempfile.TemporaryDirectory() as folder, RESULTS.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for case in CASES:
            results = measure(case, Path(folder))
            for (name, number), result in results.items():
                result["agreement"] = agreement(case, name, number, results)
                writer.writerow([case, number, name, *(f"{result[column]:.4f}" for column in COLUMNS[3:])])
            report(case, results)
    return None


if __name__ == "__main__":
    main()
