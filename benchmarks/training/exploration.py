"""Käding et al. (2016): half of the classes are not known yet; who finds them, and who is right at the end?

    python benchmarks/training/exploration.py --data mnist --trial     # what it will take
    python benchmarks/training/exploration.py --data mnist             # runs, or goes on; picture and table
    python benchmarks/training/exploration.py --data mnist --rare
    python benchmarks/training/exploration.py --data cifar10
    python benchmarks/training/exploration.py --data cifar10 --full    # the full size

The first 20 labels are of five classes, drawn anew in each seed; the other five appear when one of their
rows is queried, and until then the model has no output for them. Two labels a round, to 100. Counted are
the classes that have been found, and the accuracy on test rows of all ten. With ``--rare`` there are a
tenth as many rows of each unknown class in the pool as of a known one, so that chance does not find them;
test rows stay as they are.

Logistic regression on self-supervised features (`features.py`), frozen; pool and test rows are drawn anew
in each seed, from training images. EMOC stands there twice: as its authors have it, with the change of
probabilities, and with that of logits for features scaled to length 1, the best of the four forms of
`emoc.py` in a first look at three seeds of the same data: a choice made after looking.

On two cores: 64 principal components, pools of 2,000 images, 4,000 others to test on, 200 reference rows
for EMOC. In full: pools of 20,000, 10,000 to test on, all components, 500 reference rows, to 300 labels.

C. Käding, E. Rodner, A. Freytag, J. Denzler: Active and Continuous Exploration with Deep Neural Networks
and Expected Model Output Changes. NIPS workshop on continual learning, 2016.
"""

from functools import partial

import numpy as np
import setting
from matplotlib.figure import Figure
from setting import contenders, experiment
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from skal import ActiveLearner
from skal.report import text_table
from skal.strategies import EMOC, CoreSet, Entropy, Margin, Random

N_KNOWN = 5
N_CLASSES = 10
N_INITIAL = 20


def main():
    parser = experiment.parser(__doc__, n_seeds=contenders.MIN_SEEDS)
    parser.add_argument("--data", choices=setting.NAMES, required=True)
    parser.add_argument("--rare", action="store_true", help="a tenth as many rows of unknown classes")
    args = parser.parse_args()
    name = f"training_exploration_{args.data}" + "_rare" * args.rare + "_full" * args.full
    out = args.out or experiment.RESULTS / name
    out.mkdir(parents=True, exist_ok=True)
    n_reference = 500 if args.full else 200
    strategies = {
        "Random": Random(),
        "Margin": Margin(),
        "Entropy": Entropy(),
        "CoreSet": CoreSet(),
        "EMOC, probabilities": EMOC(n_reference=n_reference),
        "EMOC, logits, unit length": EMOC(output="logit", normalize=True, n_reference=n_reference),
    }
    learners = {
        name: ActiveLearner(contenders.model(), strategy, batch_size=2, n_rounds=140 if args.full else 40)
        for name, strategy in strategies.items()
    }
    pool_size, test_size = (20_000, 10_000) if args.full else (2_000, 4_000)
    # Enough rows for a pool of rare classes: nine of ten rows of these are left out.
    X, y, _ = contenders.features(args.data, None if args.full else 4_000)
    if args.trial:
        parts = X[:pool_size], y[:pool_size], X[pool_size:][:test_size], y[pool_size:][:test_size]
        return experiment.write_budget(out / "budget.csv", learners, parts, args.seeds)
    about = (
        f"{setting.NAMES[args.data]}, logistic regression on frozen self-supervised features, 20 + 2 labels "
        f"a round; five of ten classes are unknown at the start"
        f"{', and ten times rarer than the others' if args.rare else ''}"
        f"{'' if args.full else '; reduced: pools of 2,000, 64 principal components, 200 reference rows'}"
    )
    run = partial(run_of, pool_size, test_size, 0.1 if args.rare else 1.0)
    report = partial(write_report, out, about=about)
    return experiment.resume(learners, (X, y), out / "curves.csv", args, run, report, step=10)


def run_of(pool_size, test_size, share, learner, seed, X, y):
    """One learner with one seed: a row for each of its rounds."""
    pool, initial, test = rows_of(y, pool_size, test_size, share, seed)
    with threadpool_limits(1):
        fitted = clone(learner).set_params(initial=initial, random_state=seed).fit(X[pool], y[pool])
        found, stages = set(), []
        for stage, accuracy in zip(fitted.history_, fitted.staged_score(X[test], y[test]), strict=True):
            found.update(y[pool[stage["rows"]]].tolist())
            stages.append(
                {
                    "round": stage["round"],
                    "n_labeled": stage["n_labeled"],
                    "accuracy": accuracy,
                    "classes_found": len(found),
                }
            )
    return stages


def rows_of(y, pool_size, test_size, share, seed):
    """Rows of the pool, where in it the first labels are, and rows to test on; the same for all learners.

    The first labels are of `N_KNOWN` classes, four each; of every other class the pool holds `share` as many
    rows as of one of these, in the mean.
    """
    rng = np.random.RandomState(seed)
    order = rng.permutation(len(y))
    test, rest = order[:test_size], order[test_size:]
    is_known = np.isin(y[rest], rng.permutation(N_CLASSES)[:N_KNOWN])
    n_unknown = round(pool_size * share / (1 + share))
    pool = np.concatenate([rest[is_known][: pool_size - n_unknown], rest[~is_known][:n_unknown]])
    of_known = np.arange(pool_size - n_unknown)
    each = N_INITIAL // N_KNOWN
    initial = [of_known[y[pool[of_known]] == label][:each] for label in np.unique(y[pool[of_known]])]
    return pool, np.concatenate(initial), test


def write_report(out, rows, about):
    """Picture and table of the seeds that all learners have by now."""
    names = list(dict.fromkeys(row["learner"] for row in rows))
    found, accuracy = (experiment.comparison_of(rows, name, names) for name in ("classes_found", "accuracy"))
    figure = Figure(figsize=(15, 6.5), layout="constrained")
    figure.suptitle(experiment.title(about, accuracy, contenders.MIN_SEEDS), x=0.01, ha="left")
    left, right = figure.subplots(ncols=2)
    experiment.curves(found).plot(left)
    left.axhline(N_CLASSES, color="black", linewidth=1, linestyle=":")
    left.set_title("classes found, of ten", loc="left")
    experiment.curves(accuracy).plot(right)
    right.set_title("accuracy over all ten classes", loc="left")
    experiment.save(figure, out / "curves.png")
    at = (20, 30, 40, 60, 80, 100)
    parts = [f"# {about}", "## Labels until classes were found", discoveries(found)]
    for comparison in (accuracy, found):
        summary = experiment.claimed(comparison.summary("Random", levels=()), contenders.MIN_SEEDS)
        head = comparison.score_name.replace("_", " ").capitalize()
        parts += [f"## {head}", f"```\n{text_table(summary)}\n```", experiment.at_labels(comparison, at)]
    contrasts = [(name, other) for name in names[-2:] for other in ("Margin", "Entropy", "CoreSet")]
    for comparison in (accuracy, found):
        parts += [f"## {comparison.score_name.replace('_', ' ').capitalize()}: EMOC against the others"]
        parts += [experiment.gains(comparison, contrasts, contenders.MIN_SEEDS)]
    (out / "table.md").write_text("\n\n".join(parts) + "\n")
    print(parts[2], flush=True)


def discoveries(found):
    """A table of the labels bought after the first ones until so many classes are found: medians."""
    rows = []
    for name in found.learners:
        cells = []
        for level in (6, 8, 9, 10):
            first = [experiment.labels_to(level, *curve) - N_INITIAL for curve in found.curves(name)]
            never = sum(np.isinf(first))
            median = np.median(first)
            more = f" ({never} of {len(first)} seeds never)" if never else ""
            cells.append(("never" if np.isinf(median) else f"{median:.0f}") + more)
        rows.append([name, *cells])
    return experiment.markdown(["median labels bought until", "6", "8", "9", "10 classes"], rows)


if __name__ == "__main__":
    main()
