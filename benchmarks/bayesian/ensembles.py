"""(c) Beluch et al. (2018): are ensembles better than MC dropout, and is it number, width, start or order?

    python benchmarks/bayesian/ensembles.py --trial     # what it will take
    python benchmarks/bayesian/ensembles.py             # runs, or goes on; picture and table after each seed
    python benchmarks/bayesian/ensembles.py --full      # 60,000 images, on a GPU

Ensembles of 2, 3, 5 and 10 nets stand against 5, 25 and 100 passes of dropout through one net, and three
ensembles of 5 against the plain one: members of half the width, which have as many parameters as a pass of
dropout has active ones in the mean (46,730 of 184,586); members that start from the same weights; members
that see the same batches. All are one net, but for its width, and trained in one way, with dropout; members
predict without it. All choose by the variation ratio of the votes, which the authors found best, or at
random.

Each round is scored by accuracy, by the expected calibration error (15 bins), and by how well the entropy of
the prediction ranks errors before hits on the test rows (area under the ROC curve).

On two cores: a fixed pool of 5,000 images, 5,000 test rows, 20 + 30 labels a round up to 200.

W. H. Beluch, T. Genewein, A. Nürnberger, J. M. Köhler: The Power of Ensembles for Active Learning in Image
Classification. CVPR 2018.
"""

from functools import partial

import numpy as np
import protocol
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from skal import ActiveLearner, EnsembleClassifier
from skal.acquisition import entropy
from skal.report import text_table
from skal.strategies import Random, VariationRatio

REFERENCE = "5 members"
PANELS = {
    "members and passes": [
        "5 passes",
        "25 passes",
        "100 passes",
        "2 members",
        "3 members",
        "5 members",
        "10 members",
    ],
    "what makes a member": ["5 members", "5 of half width", "5, same start", "5, same batches", "25 passes"],
    "or chosen at random": ["5 members", "Random, 5 members", "25 passes", "Random, 25 passes"],
}
# Higher is better in all: so a difference above 0 is one for the better.
MEASURES = {
    "accuracy": lambda row: row["accuracy"],
    "minus_calibration_error": lambda row: -row["calibration_error"],
    "auroc_of_errors": lambda row: row["auroc_of_errors"],
}


def learners(n_rounds):
    """The contenders by name."""
    net = protocol.net()
    votes = VariationRatio(kind="vote")
    half = clone(net).set_params(module__width=0.5)
    contenders = {
        "Random, 25 passes": (clone(net).set_params(mc_dropout=25), Random()),
        "Random, 5 members": (EnsembleClassifier(net, n_members=5), Random()),
        "5 of half width": (EnsembleClassifier(half, n_members=5), votes),
        "5, same start": (EnsembleClassifier(net, n_members=5, shared_init=True), votes),
        "5, same batches": (EnsembleClassifier(net, n_members=5, shared_order=True), votes),
    }
    for n in (2, 3, 5, 10):
        contenders[f"{n} members"] = EnsembleClassifier(net, n_members=n), votes
    for n in (5, 25, 100):
        contenders[f"{n} passes"] = (
            clone(net).set_params(mc_dropout=n),
            VariationRatio(kind="vote", n_draws=n),
        )
    return {
        name: ActiveLearner(model, strategy, initial="stratified", batch_size=30, n_rounds=n_rounds)
        for name, (model, strategy) in contenders.items()
    }


def scores(proba, y):
    """Accuracy, expected calibration error, and the area under the ROC curve of entropy for errors."""
    wrong = proba.argmax(axis=1) != y
    confidence = proba.max(axis=1)
    bins = np.minimum((15 * confidence).astype(int), 14)
    gaps = np.bincount(bins, confidence - ~wrong, minlength=15)  # rows times mean gap, in each bin
    return {
        "accuracy": 1 - wrong.mean(),
        "calibration_error": np.abs(gaps).sum() / len(y),
        "auroc_of_errors": roc_auc_score(wrong, entropy(proba)),
    }


def run_of(learner, seed, X, y, X_test, y_test):
    """One learner with one seed: a row for each of its rounds."""
    with threadpool_limits(1):
        fitted = clone(learner).set_params(random_state=seed).fit(X, y)
        probas = fitted.staged_predict_proba(X_test)
        return [
            {key: stage[key] for key in ("round", "n_labeled", "fit_seconds", "select_seconds")}
            | scores(proba, y_test)
            for stage, proba in zip(fitted.history_, probas, strict=True)
        ]


def main():
    args = protocol.arguments(__doc__)
    out = args.out or protocol.RESULTS / ("bayesian_ensembles_full" if args.full else "bayesian_ensembles")
    out.mkdir(parents=True, exist_ok=True)
    data = protocol.mnist(60_000 if args.full else 5_000, test_size=10_000 if args.full else 5_000)
    contenders = learners(n_rounds=6)
    if args.trial:
        return protocol.write_budget(out / "budget.csv", contenders, data, args.seeds)
    report = partial(write_report, out, full=args.full)
    return protocol.resume(contenders, data, out / "curves.csv", args, run_of, report)


def write_report(out, rows, full):
    """Picture and table of the seeds that all learners have by now."""
    comparisons = {
        measure: protocol.comparison_of(rows, measure, learners(n_rounds=6), read_off)
        for measure, read_off in MEASURES.items()
    }
    about = "MNIST, ensembles and passes of dropout as in Beluch et al., 20 + 30 labels a round; " + (
        "reduced: a fixed pool of 5,000, 5,000 test images" if not full else "all 60,000 images"
    )
    figure = Figure(figsize=(18, 15), layout="constrained")
    figure.suptitle(protocol.title(about, comparisons["accuracy"]), x=0.01, ha="left")
    grid = figure.subplots(len(PANELS), len(MEASURES))
    for axes, (panel, names) in zip(grid, PANELS.items(), strict=True):
        for ax, of_measure in zip(axes, comparisons.values(), strict=True):
            protocol.curves(of_measure, names).plot(ax)
            ax.set_title(panel, loc="left", fontsize="small")
    protocol.save(figure, out / "curves.png")
    parts = [f"# {about}", "Of all measures more is better: minus_calibration_error is 0 at best."]
    for of_measure in comparisons.values():
        levels = (0.85, 0.9) if of_measure.score_name == "accuracy" else ()
        summary = of_measure.summary(baseline=REFERENCE, levels=levels)
        parts += [f"## {of_measure.score_name}, against {REFERENCE}", f"```\n{text_table(summary)}\n```"]
        parts += [protocol.at_labels(of_measure, (50, 80, 110, 140, 200))]
    (out / "table.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
