"""What the experiments of the folders here share: their command line, and the files that a run leaves.

A run is `skal.compare`, or a loop like it over runs of one's own (`resume`): paired seeds, rows written as
runs end, resumed where it was stopped.
"""

import argparse
import csv
import io
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from types import SimpleNamespace

import joblib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from skal import LearningCurveDisplay, compare
from skal._runs import read_stages, write_atomically, write_stages
from skal._statistics import mean_interval
from skal.evaluation import Comparison, digest
from skal.report import text_table

MIN_SEEDS = 10  # with fewer, nothing is claimed

RESULTS = Path(__file__).parent / "results"


def parser(description, n_seeds=10):
    """The command line that all experiments have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trial", action="store_true", help="time one round of each learner: the budget")
    parser.add_argument(
        "--report", action="store_true", help="picture and table anew from the rows there are"
    )
    parser.add_argument("--full", action="store_true", help="the full protocol, meant for a GPU")
    parser.add_argument("--seeds", type=int, default=n_seeds)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--step", type=int, help="seeds between two reports")
    parser.add_argument("--out", type=Path)
    return parser


def arguments(description):
    """What was asked for on that command line."""
    return parser(description).parse_args()


def run(learners, data, out, args, *, test_size=None, step=1, keep_rows=True, **what):
    """Do what the command line asks for; after every few seeds, picture and table show what there is.

    Parameters
    ----------
    learners : dict of str to ActiveLearner
    data : X, y, X_test, y_test, or X, y and a `test_size`
    out : Path
        The folder.
    args : what `arguments` returns
    test_size : int or None, default=None
        How many rows of X each seed sets aside.
    step : int, default=1
        Seeds between two reports, where the command line doesn't say.
    keep_rows : bool, default=True
        Whether the CSV names the rows that were labelled; large batches make it large.
    **what
        For `write_report`.
    """
    path = out / "curves.csv"
    out.mkdir(parents=True, exist_ok=True)
    if args.trial:
        return write_budget(out / "budget.csv", learners, split(*data, test_size), args.seeds)
    if args.report:
        return write_report(out, Comparison.from_csv(path), **what)
    for n_seeds in in_steps(args.seeds, args.step or step):  # what is in the CSV is not run again
        settings = {} if test_size is None else {"test_size": test_size}
        comparison = compare(learners, *data, n_seeds=n_seeds, n_jobs=args.jobs, path=path, **settings)
        if not keep_rows:
            write_stages(path, [stage._replace(rows=()) for stage in read_stages(path)])
        write_report(out, comparison, **what)
    return None


def resume(learners, data, path, args, run_of, report, step=1):
    """The same for runs that are scored in a way of their own.

    Parameters
    ----------
    learners : dict of str to ActiveLearner
    data : tuple of arrays
    path : Path
        The CSV.
    args : what `arguments` returns
    run_of : callable
        ``run_of(learner, seed, *data)`` returns a dict for each round, with numbers.
    report : callable
        ``report(rows)`` draws what there is; after every few seeds.
    step : int, default=1
        Seeds between two reports, where the command line doesn't say.
    """
    rows = read(path)
    if args.report:
        return report(rows)
    settings = {name: digest(learner) + joblib.hash(data)[:8] for name, learner in learners.items()}
    if any(row["settings"] != settings.get(row["learner"]) for row in rows):
        raise SystemExit(f"{path} holds runs of other learners or data: give another --out, or move it away.")
    done = {(row["learner"], row["seed"]) for row in rows}
    for n_seeds in in_steps(args.seeds, args.step or step):
        todo = [(name, seed) for seed in range(n_seeds) for name in learners if (name, seed) not in done]
        running = joblib.Parallel(args.jobs, return_as="generator")(
            joblib.delayed(run_of)(learners[name], seed, *data) for name, seed in todo
        )
        for (name, seed), stages in zip(todo, running, strict=True):
            own = {"learner": name, "seed": seed}, {"settings": settings[name]}
            rows += [own[0] | stage | own[1] for stage in stages]
            write(path, rows)
        done.update(todo)
        report(rows)
    return None


def in_steps(n_seeds, step):
    """How many seeds there are at each report: step, 2 step, ..., n_seeds."""
    return sorted({*range(step, n_seeds, step), n_seeds})


def read(path):
    """The rows that `write` wrote, with their numbers as numbers."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{name: _cell(name, text) for name, text in row.items()} for row in csv.DictReader(file)]


def _cell(name, text):
    if name in ("learner", "settings"):
        return text
    return int(text) if name in ("seed", "round", "n_labeled") else float(text)


def write(path, rows):
    """Write all rows: the old file stays until the new one is whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def comparison_of(rows, name, learners, read_off=None):
    """The rows as `skal.Comparison` reads them; their score is the column `name`, or ``read_off(row)``."""
    return Comparison(
        [
            SimpleNamespace(
                **row | {"score": row[name] if read_off is None else read_off(row), "settings": name}
            )
            for row in rows
        ],
        learners=list(learners),
    )


def split(X, y, *rest):
    """X, y, X_test, y_test, where `rest` is test rows, or how many there shall be."""
    if len(rest) > 1:
        return X, y, *rest[:2]
    pool, test = map(np.sort, train_test_split(np.arange(len(X)), test_size=rest[0], random_state=0))
    return X[pool], y[pool], X[test], y[test]


def write_budget(path, learners, data, n_seeds):
    """Seconds of one fit, selection and scoring of each learner, half-way through its labels, and of all.

    These are seconds of one core: what other work on the machine takes away is left out.
    """
    X, y, X_test, y_test = data
    rows = []
    for name, learner in learners.items():
        n_fits = n_seeds * (learner.n_rounds + 1)
        n_selections = n_fits if hasattr(learner.initial, "select") else n_fits - n_seeds
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
        counts = n_fits, n_selections, n_fits
        total = sum(count * each for count, each in zip(counts, seconds, strict=True))
        rows.append([name, n_labels, *counts, *(f"{each:.3g}" for each in seconds), round(total)])
        print(*rows[-1], sep="\t", flush=True)
    rows.append(["together", *[""] * 7, sum(row[-1] for row in rows)])
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = ["learner", "labels", "fits", "selections", "scorings"]
        writer.writerow([*names, "fit_s", "select_s", "score_s", "total_s"])
        writer.writerows(rows)
    print(f"{rows[-1][-1] / 7200:.1f} hours on two cores")


def write_report(
    out,
    comparison,
    *,
    about,
    levels,
    at,
    baseline="Random",
    contrasts=(),
    authors="",
    min_seeds=MIN_SEEDS,
):
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
    min_seeds : int
        With fewer seeds, nothing is claimed.
    """
    figure = Figure(figsize=(15, 6), layout="constrained")
    figure.suptitle(title(about, comparison, min_seeds), x=0.01, ha="left")
    left, right = figure.subplots(ncols=2)
    curves(comparison).plot(left)
    curves(comparison, baseline=baseline).plot(right).ax_.get_legend().remove()
    save(figure, out / "curves.png")
    summary = text_table(claimed(comparison.summary(baseline, levels=levels), min_seeds))
    parts = [f"# {about}", f"```\n{summary}\n```", gains(comparison, contrasts, min_seeds)]
    one_by_one = comparison.n_seeds <= 20  # of more, the median in the summary is enough
    parts += [at_labels(comparison, at), needed(comparison, levels) if one_by_one else "", authors.strip()]
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


def claimed(summary, min_seeds):
    """A summary without verdicts, should its seeds be too few for any."""
    if summary.n_seeds >= min_seeds:
        return summary
    learners = [
        learner if learner.name == summary.baseline else replace(learner, verdict="pilot, no claim")
        for learner in summary.learners
    ]
    return replace(summary, learners=tuple(learners))


def title(about, comparison, min_seeds=MIN_SEEDS):
    """What a picture shows: in a second line what was reduced, in a third how many seeds there are."""
    pilot = "" if comparison.n_seeds >= min_seeds else ": pilot, no claim"
    return f"{about.replace('; ', chr(10))}\n{comparison.n_seeds} seeds, the same for all{pilot}"


def save(figure, path):
    """Write a figure as PNG, without pyplot."""
    FigureCanvasAgg(figure).print_figure(path, dpi=100)


def gains(comparison, contrasts, min_seeds=MIN_SEEDS):
    """A table of the area that one learner gains on another; its intervals cover together, and more."""
    rows = []
    for name, baseline in contrasts:
        gain = claimed(comparison.summary(baseline), min_seeds)[name]
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
