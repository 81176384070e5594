"""Wang et al. (2016): do pseudo-labels for the rows that the model is sure of save labels for the others?

    python benchmarks/training/ceal.py --data mnist --trial               # what it will take
    python benchmarks/training/ceal.py --data mnist                       # runs, or goes on
    python benchmarks/training/ceal.py --data cifar10
    python benchmarks/training/ceal.py --data mnist --model net           # a small CNN, ten seeds
    python benchmarks/training/ceal.py --data mnist --model net --full    # the full size, on a GPU

Each strategy stands against itself: its model alone, and inside a `PseudoLabelClassifier` with the authors'
threshold of 0.05 nats, that falls by 0.0033 a round and so ends in round 16 (by the recursive reading of
the schedule, shown for Entropy and logistic regression, in round 6). How many pseudo-labels there were, and
how many of them were right, is counted after the fit, by labels that nothing learned from.

Models: logistic regression on frozen self-supervised features (`features.py`), or a small CNN, which goes
on from its weights with the pseudo-labels; alone it is trained for twice as many epochs, so that nothing is
gained by training longer. The penalty of the logistic regression is 1: at 0.1, that of the other
experiments, it is hardly ever so sure, and nothing would be seen.

On two cores: ``linear``: 64 principal components, pools of 5,000 images, 10,000 others to test on, 40 + 20
labels a round, to 400; ``net``: pools of 1,000 images, 2,000 others to test on, 30 + 30 labels a round, to
180, two convolutions of 16 and 32 channels, 20 epochs of batches of 16, Random and Entropy only. Pool and
test rows are drawn anew in each seed. In full, pools are 50,000 or 40,000 images, the net is
`NetClassifier`'s own with 50 epochs, and runs have 18 rounds of 20, or of 100 for the net.

K. Wang, D. Zhang, Y. Li, R. Zhang, L. Lin: Cost-Effective Active Learning for Deep Image Classification.
IEEE TCSVT 2017.
"""

from functools import partial

import numpy as np
import setting
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from setting import contenders, experiment
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from skal import ActiveLearner, LearningCurveDisplay, NetClassifier, PseudoLabelClassifier
from skal._statistics import mean_interval
from skal.report import text_table
from skal.strategies import Entropy, LeastConfidence, Margin, Random

STRATEGIES = {
    "linear": {
        "Random": Random(),
        "LeastConfidence": LeastConfidence(),
        "Margin": Margin(),
        "Entropy": Entropy(),
    },
    "net": {"Random": Random(), "Entropy": Entropy()},
}
WITH = " + pseudo-labels"
RECURSIVE = "Entropy + pseudo-labels, recursive"
MODELS = {"linear": "logistic regression on frozen self-supervised features", "net": "a small CNN"}
# Labels at first, in each round, and rounds, by model and whether in full.
SIZES = {
    ("linear", False): (40, 20, 18),
    ("linear", True): (40, 20, 18),
    ("net", False): (30, 30, 5),
    ("net", True): (100, 100, 18),
}


def main():
    parser = experiment.parser(__doc__, n_seeds=None)
    parser.add_argument("--data", choices=setting.NAMES, required=True)
    parser.add_argument("--model", choices=MODELS, default="linear")
    args = parser.parse_args()
    min_seeds = contenders.MIN_SEEDS if args.model == "linear" else experiment.MIN_SEEDS
    args.seeds = args.seeds or min_seeds
    name = f"training_ceal_{args.data}" + ("" if args.model == "linear" else "_net") + "_full" * args.full
    out = args.out or experiment.RESULTS / name
    out.mkdir(parents=True, exist_ok=True)
    X, y, test_size, reduced = data(args)
    n_initial, batch_size, n_rounds = SIZES[args.model, args.full]
    learners = {
        name: ActiveLearner(model, strategy, n_initial=n_initial, batch_size=batch_size, n_rounds=n_rounds)
        for name, (model, strategy) in contestants(args).items()
    }
    if args.trial:
        parts = experiment.split(X, y, test_size)
        return experiment.write_budget(out / "budget.csv", learners, parts, args.seeds)
    about = (
        f"{setting.NAMES[args.data]}, {MODELS[args.model]}, with and without pseudo-labels (CEAL), "
        f"{n_initial} + {batch_size} labels a round{reduced}"
    )
    report = partial(write_report, out, about=about, strategies=STRATEGIES[args.model], min_seeds=min_seeds)
    step = 10 if args.model == "linear" else 1
    run = partial(run_of, test_size)
    return experiment.resume(learners, (X, y), out / "curves.csv", args, run, report, step)


def data(args):
    """X, y, how many of the rows are for tests in each seed, and what is reduced."""
    if args.model == "linear":
        pool = None if args.full else 5_000
        X, y, test_size = contenders.features(args.data, pool)
        return X, y, test_size, "" if args.full else "; reduced: pools of 5,000, 64 principal components"
    X, y, _, _ = setting.pictures(args.data)
    if args.full:
        return X, y, 10_000, ""
    return (
        X[:3_000],
        y[:3_000],
        2_000,
        "; reduced: pools of 1,000, 20 epochs and 20 with pseudo-labels (alone 40), two narrow convolutions",
    )


def contestants(args):
    """Model and strategy of each, by name."""
    net = (
        {"max_epochs": 50}
        if args.full
        else setting.HALF_WIDTH | {"max_epochs": 20, "batch_size": 16, "n_threads": 1}
    )
    model = alone = LogisticRegression(max_iter=500)
    if args.model == "net":
        model = NetClassifier(**net)
        alone = clone(model).set_params(max_epochs=2 * net["max_epochs"])
    pseudo = PseudoLabelClassifier(model, diagnostics=True)
    asked = {}
    for name, strategy in STRATEGIES[args.model].items():
        asked |= {name: (alone, strategy), name + WITH: (pseudo, strategy)}
    if args.model == "net":
        return asked
    return asked | {RECURSIVE: (clone(pseudo).set_params(schedule="recursive"), Entropy())}


def run_of(test_size, learner, seed, X, y):
    """One learner with one seed: a row for each of its rounds."""
    pool, test = map(np.sort, train_test_split(np.arange(len(X)), test_size=test_size, random_state=seed))
    with threadpool_limits(1):
        fitted = clone(learner).set_params(random_state=seed).fit(X[pool], y[pool])
        return [
            {
                "round": stage["round"],
                "n_labeled": stage["n_labeled"],
                "accuracy": accuracy,
                "pseudo_labels": stage.get("n_pseudo_labels", 0),
                "pseudo_precision": stage.get("pseudo_precision", np.nan),
            }
            for stage, accuracy in zip(fitted.history_, fitted.staged_score(X[test], y[test]), strict=True)
        ]


def write_report(out, rows, about, strategies, min_seeds):
    """Picture and table of the seeds that all learners have by now."""
    names = list(dict.fromkeys(row["learner"] for row in rows))
    accuracy = experiment.comparison_of(rows, "accuracy", names)
    counts = experiment.comparison_of(rows, "pseudo_labels", names)
    precision = experiment.comparison_of(rows, "pseudo_precision", names)
    pairs = [(name + WITH, name) for name in strategies]
    pairs += [(RECURSIVE, "Entropy")] if RECURSIVE in names else []
    with_pseudo = [name for name, _ in pairs]
    figure = Figure(figsize=(15, 11), layout="constrained")
    figure.suptitle(experiment.title(about, accuracy, min_seeds), x=0.01, ha="left")
    (top_left, top_right), (low_left, low_right) = figure.subplots(2, 2)
    experiment.curves(accuracy, with_pseudo).plot(top_left)
    draw_without(top_left, accuracy, strategies)
    top_left.set_title("accuracy; dotted: the same strategy without pseudo-labels", loc="left")
    paired_gains(accuracy, pairs, min_seeds).plot(top_right)
    top_right.axhline(0, color="black", linewidth=1)
    top_right.set_title("what pseudo-labels add: the same strategy with them, minus without", loc="left")
    experiment.curves(counts, with_pseudo).plot(low_left)
    low_left.set_title("rows with a pseudo-label", loc="left")
    right_of_them(precision, counts, with_pseudo).plot(low_right)
    low_right.yaxis.set_major_formatter(PercentFormatter(1, decimals=2))
    low_right.set_title("share of the pseudo-labels that are right", loc="left")
    for ax in (top_right, low_left, low_right):
        ax.get_legend().remove()  # colours and markers are the same in all
    experiment.save(figure, out / "curves.png")
    summary = text_table(experiment.claimed(accuracy.summary("Random"), min_seeds))
    at = accuracy.curve("Random")[0][:: 4 if len(accuracy.curve("Random")[0]) > 10 else 2].astype(int)
    parts = [
        f"# {about}",
        experiment.title("", accuracy, min_seeds).strip().capitalize() + ".",
        experiment.gains(accuracy, pairs, min_seeds),
        f"```\n{summary}\n```",
        experiment.at_labels(accuracy, at),
        pseudo_table(precision, counts, with_pseudo, at),
    ]
    (out / "table.md").write_text("\n\n".join(parts) + "\n")
    print(parts[2], flush=True)


def draw_without(ax, comparison, strategies):
    """Dotted lines of the strategies without pseudo-labels, in the colours of those with them."""
    for line, name in zip(list(ax.lines), strategies, strict=False):
        n_labels, scores = comparison.curve(name)
        ax.plot(n_labels, scores.mean(axis=0), color=line.get_color(), linestyle=":", linewidth=1.8)


def paired_gains(comparison, pairs, min_seeds):
    """Curves of the mean paired differences, with intervals where there are seeds enough."""
    drawn = {}
    for name, baseline in pairs:
        n_labels, scores = comparison.curve(name)
        gain = scores - comparison.curve(baseline)[1]
        enough = comparison.n_seeds >= experiment.MIN_SEEDS
        low, high = mean_interval(gain) if enough else (None, None)
        drawn[name] = n_labels, gain.mean(axis=0), low, high
    return LearningCurveDisplay(drawn, score_name="difference of accuracy")


def right_of_them(precision, counts, names):
    """Curves of the share of a round's pseudo-labels, of all seeds together, that are right."""
    drawn = {name: (*right(precision, counts, name), None, None) for name in names}
    return LearningCurveDisplay(drawn, score_name="precision")


def right(precision, counts, name):
    """Numbers of labels, and the share of pseudo-labels that are right there; NaN where there are none."""
    n_labels, shares = precision.curve(name)
    n_pseudo = counts.curve(name)[1]
    total = n_pseudo.sum(axis=0)
    n_right = np.where(n_pseudo > 0, shares * n_pseudo, 0).sum(axis=0)
    return n_labels, np.divide(n_right, total, out=np.full(len(total), np.nan), where=total > 0)


def pseudo_table(precision, counts, names, at):
    """A table of the pseudo-labels, means over seeds, and the share that is right, at some labels."""
    rows = []
    for name in names:
        n_labels, shares = right(precision, counts, name)
        means = counts.curve(name)[1].mean(axis=0)
        cells = dict(zip(n_labels, zip(means, shares, strict=True), strict=True))
        rows.append([name, *("none" if not cells[n][0] else "{:.0f}, {:.1%}".format(*cells[n]) for n in at)])
    return experiment.markdown(["pseudo-labels, and how many are right, at", *map(str, at)], rows)


if __name__ == "__main__":
    main()
