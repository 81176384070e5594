"""What the experiments of this folder share: MNIST, the net of Kirsch et al., the files that a run leaves.

A run is `skal.compare`: paired seeds, rows written as runs end, resumed where it was stopped.
"""

import argparse
import csv
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.base import clone
from threadpoolctl import threadpool_limits
from torch import nn

from skal import LearningCurveDisplay, NetClassifier, compare, datasets
from skal._statistics import mean_interval
from skal.evaluation import Comparison
from skal.report import text_table

MIN_SEEDS = 10  # with fewer, nothing is claimed

RESULTS = Path(__file__).parents[1] / "results"
MEAN, STD = 0.1307, 0.3081  # of MNIST's pixels: the authors normalise images with them


class KirschCNN(nn.Module):
    """The net of Kirsch et al. (2019) for MNIST; (b, 1, 28, 28) -> (b, n_classes) logits.

    Two 5 x 5 convolutions and a dense layer, each followed by dropout of a half; `width` scales all three.
    """

    def __init__(self, n_classes=10, width=1.0):
        super().__init__()
        first, second, hidden = (int(width * full) for full in (32, 64, 128))
        self.layers = nn.Sequential(
            nn.Conv2d(1, first, 5),
            nn.Dropout2d(0.5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(first, second, 5),
            nn.Dropout2d(0.5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * second, hidden),
            nn.Dropout(0.5),
            nn.ReLU(),
            nn.Linear(hidden, n_classes),
        )

    def forward(self, X):
        return self.layers(X)


def net(module=KirschCNN, **params):
    """The net of an experiment, trained for so many epochs: validation rows would be labels, too.

    100 epochs of batches of 32 at a rate of 0.002 came closest to the authors' longer training, in trials on
    50 to 200 random labels, of 50 to 400 epochs, batches of 16 to 64, and rates of 0.001 to 0.004.
    """
    settings = {"lr": 0.002, "max_epochs": 100, "batch_size": 32, "n_threads": 1} | params
    return NetClassifier(module, **settings)


def mnist(pool_size, *, test_size=10_000, copies=1, noise=0.0):
    """A pool, the same for all seeds, and test rows; -> X, y, X_test, y_test, images (n, 1, 28, 28).

    Each of ``pool_size / copies`` images is there `copies` times, each time with normal noise of its own.
    """
    data = datasets.load("mnist")
    rng = np.random.RandomState(0)
    rows = np.sort(rng.permutation(len(data.X))[: pool_size // copies])
    X, y = np.tile(_normalised(data.X[rows]), (copies, 1, 1, 1)), np.tile(data.y[rows], copies)
    X += noise * rng.standard_normal(X.shape).astype(np.float32) if noise else 0
    test = np.arange(0, len(data.X_test), len(data.X_test) // test_size)  # the first half is the harder one
    return X, y.astype(int), _normalised(data.X_test[test]), data.y_test[test].astype(int)


def _normalised(images):
    return (images[:, None].astype(np.float32) / 255 - MEAN) / STD


def arguments(description):
    """The command line that all experiments have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trial", action="store_true", help="time one round of each learner: the budget")
    parser.add_argument(
        "--report", action="store_true", help="picture and table anew from the rows there are"
    )
    parser.add_argument("--full", action="store_true", help="the full protocol, meant for a GPU")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def run(learners, data, out, args, **what):
    """Do what the command line asks for; after each seed, picture and table show what there is.

    `what` goes to `write_report`.
    """
    path = out / "curves.csv"
    out.mkdir(parents=True, exist_ok=True)
    if args.trial:
        return write_budget(out / "budget.csv", learners, data, args.seeds)
    if args.report:
        return write_report(out, Comparison.from_csv(path), **what)
    for n_seeds in range(1, args.seeds + 1):  # what is in the CSV is not run again
        comparison = compare(learners, *data, n_seeds=n_seeds, n_jobs=args.jobs, path=path)
        write_report(out, comparison, **what)
    return None


def write_budget(path, learners, data, n_seeds):
    """Seconds of one fit, selection and scoring of each learner, half-way through its labels, and of all.

    These are seconds of one core: what other work on the machine takes away is left out.
    """
    X, y, X_test, y_test = data
    rows = []
    for name, learner in learners.items():
        n_fits = n_seeds * (learner.n_rounds + 1)
        n_labels = learner.n_initial + learner.n_rounds * learner.batch_size // 2
        trial = clone(learner).set_params(n_initial=n_labels, n_rounds=1, random_state=0)
        started = perf_counter(), process_time()
        with threadpool_limits(1):
            first, second = trial.fit(X, y).history_
            scoring = perf_counter()
            trial.score(X_test, y_test)
        ended = perf_counter(), process_time()
        had_core = (ended[1] - started[1]) / (ended[0] - started[0])
        wall = first["fit_seconds"], second["select_seconds"], ended[0] - scoring
        seconds = [had_core * each for each in wall]
        counts = n_fits, n_fits - n_seeds, n_fits
        total = sum(count * each for count, each in zip(counts, seconds, strict=True))
        rows.append([name, n_labels, *counts, *(f"{each:.2f}" for each in seconds), round(total)])
        print(*rows[-1], sep="\t", flush=True)
    rows.append(["together", *[""] * 7, sum(row[-1] for row in rows)])
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = ["learner", "labels", "fits", "selections", "scorings"]
        writer.writerow([*names, "fit_s", "select_s", "score_s", "total_s"])
        writer.writerows(rows)
    print(f"{rows[-1][-1] / 7200:.1f} hours on two cores")


def write_report(out, comparison, *, about, levels, at, baseline="Random", contrasts=(), authors=""):
    """The picture and the table of a comparison, whatever seeds it has by now.

    Parameters
    ----------
    out : Path
        The folder of ``curves.png`` and ``table.md``.
    comparison : Comparison
    about : str
        The title, with all that was reduced.
    levels : sequence of float
        How many labels does each learner need for these scores?
    at : sequence of int
        What is its score at these numbers of labels?
    baseline : str
        The learner that the others are compared with.
    contrasts : sequence of (str, str)
        Two learners each: what the first gains on the second.
    authors : str
        The authors' figures, as Markdown.
    """
    figure = Figure(figsize=(15, 6), layout="constrained")
    figure.suptitle(title(about, comparison), x=0.01, ha="left")
    left, right = figure.subplots(ncols=2)
    curves(comparison).plot(left)
    curves(comparison, baseline=baseline).plot(right).ax_.get_legend().remove()
    save(figure, out / "curves.png")
    summary = text_table(comparison.summary(baseline, levels=levels))
    parts = [f"# {about}", f"```\n{summary}\n```", gains(comparison, contrasts)]
    parts += [at_labels(comparison, at), needed(comparison, levels), authors.strip()]
    (out / "table.md").write_text("\n\n".join(part for part in parts if part) + "\n")
    print(summary, flush=True)


def curves(comparison, names=None, baseline=None):
    """Mean curves with their 95 % intervals, or those of the paired differences from a baseline.

    With few seeds the intervals are wider than the picture, so there are none: a pilot claims nothing.
    """
    drawn = {}
    for name in names or comparison.learners:
        n_labels, scores = comparison.curve(name)
        if baseline is not None:
            scores = scores - comparison.curve(baseline)[1]
        enough = comparison.n_seeds >= MIN_SEEDS
        low, high = mean_interval(scores) if enough else (None, None)
        drawn[name] = n_labels, scores.mean(axis=0), low, high
    difference = "" if baseline is None else f" minus that of {baseline}"
    return LearningCurveDisplay(drawn, score_name=comparison.score_name + difference)


def title(about, comparison):
    """What a picture shows: in a second line what was reduced, in a third how many seeds there are."""
    pilot = "" if comparison.n_seeds >= MIN_SEEDS else ": pilot, no claim"
    return f"{about.replace('; ', chr(10))}\n{comparison.n_seeds} seeds, the same for all{pilot}"


def save(figure, path):
    """Write a figure as PNG, without pyplot."""
    FigureCanvasAgg(figure).print_figure(path, dpi=100)


def gains(comparison, contrasts):
    """A table of the area that one learner gains on another; its intervals cover together, and more."""
    rows = []
    for name, baseline in contrasts:
        gain = comparison.summary(baseline)[name]
        low, high = gain.difference_interval
        interval = "" if np.isnan(low) else f"[{low:+.4f}, {high:+.4f}]"
        rows.append([f"{name} minus {baseline}", f"{gain.difference:+.4f}", interval])
        rows[-1] += ["" if np.isnan(low) else f"{gain.detectable:.4f}", gain.verdict]
    head = ["difference of the area", "mean", "95 % interval", "detectable", "verdict"]
    return markdown(head, rows) if rows else ""


def at_labels(comparison, at):
    """A table of the median score over seeds at some numbers of labels."""
    rows = []
    for name in comparison.learners:
        n_labels, scores = comparison.curve(name)
        medians = dict(zip(n_labels, np.median(scores, axis=0), strict=True))
        rows.append([name, *(f"{medians[n]:.3f}" if n in medians else "" for n in at)])
    return markdown([f"median {comparison.score_name} at", *map(str, at)], rows)


def needed(comparison, levels):
    """A table of the labels that each seed needed for some scores, in ascending order."""
    rows = []
    for name in comparison.learners:
        cells = []
        for level in levels:
            first = np.sort([labels_to(level, *curve) for curve in comparison.curves(name)])
            reached = first[np.isfinite(first)]
            never = f" ({len(first) - len(reached)} never)" if len(reached) < len(first) else ""
            cells.append(" ".join(f"{n:.0f}" for n in reached) + never)
        rows.append([name, *cells])
    return markdown(["labels of each seed to", *(f"{level:.0%}" for level in levels)], rows)


def labels_to(level, n_labels, scores):
    """The labels at which a curve first has this score; inf if it never has."""
    reached = np.asarray(scores) >= level
    return n_labels[reached.argmax()] if reached.any() else np.inf


def markdown(head, rows):
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
