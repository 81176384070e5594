"""(c) The theory of core-sets by its terms, and why a core-set can be worse than random labels.

    python benchmarks/representation/decomposition.py --data mnist --part terms --trial    # what it will take
    python benchmarks/representation/decomposition.py --data mnist --part terms --jobs 2   # runs, or goes on
    python benchmarks/representation/decomposition.py --data mnist --part features --jobs 2
    python benchmarks/representation/decomposition.py --data mnist --part outliers --jobs 2

``terms``: Sener & Savarese (2018) bound the loss on new rows by three terms: the generalisation error, the
distance between the losses on new rows and on the whole pool; the training error, the loss on labelled
rows; and the core-set loss, the distance between the losses on pool and labelled rows. The choice of rows
is to make the last one small, they say, which the cover radius bounds where the training error is 0. Here
all of them, and the radius, after each round of CoreSet, Random and Margin. Losses are cross-entropies, of
probabilities of at least 1e-6.

``features``: others found core-sets worse than random labels, and blamed the net whose features are used:
trained on few labels, it may see nothing. The same small CNN is trained on the same number of labels that
were chosen by its own features, by frozen self-supervised ones, or by raw pixels.

``outliers``: or they blamed outliers, which are farthest from everything. Greedy against robust core-sets
that may leave out no row, 1e-4 or 1e-2 of the rows, with logistic regression on frozen features.

On two cores: pools of 5,000 images and 10,000 others to test on (``outliers``: 10,500, of whose unlabelled
rows a share of 1e-4 is one, and 21,000; ``features``: 5,000 and 5,000), drawn anew in each seed; 64 principal
components of the features; 100 + 100 labels a round, to 1,000 (``features``: to 500, ``outliers``: 50 + 50,
to 250). Robust core-sets choose among the greedy batch and 100 other rows, which is proven to an end in about
a second.

O. Sener, S. Savarese: Active Learning for Convolutional Neural Networks: A Core-Set Approach. ICLR 2018.
"""

from functools import partial

import contenders
import experiment
import numpy as np
from features import images
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from skal import ActiveLearner, NetClassifier
from skal.nets import SmallCNN
from skal.selection import cover_radius
from skal.strategies import CoreSet, Margin, Random

TERMS = ["accuracy", "test_loss", "generalisation_error", "training_error", "core_set_loss", "cover_radius"]


def main():
    parser = experiment.parser(__doc__, n_seeds=contenders.MIN_SEEDS)
    parser.add_argument("--data", choices=("mnist", "cifar10"), required=True)
    parser.add_argument("--part", choices=("terms", "features", "outliers"), required=True)
    args = parser.parse_args()
    name = f"representation_{args.part}_{args.data}"
    args.out = args.out or experiment.RESULTS / (f"{name}_full" if args.full else name)
    {"terms": terms, "features": net_features, "outliers": outliers}[args.part](args)


# -- terms -------------------------------------------------------------------------------------------


def terms(args):
    pool = None if args.full else 5_000
    X, y, test_size = contenders.features(args.data, pool)
    learners = {
        name: ActiveLearner(contenders.model(), strategy, n_initial=100, batch_size=100, n_rounds=9)
        for name, strategy in {"Random": Random(), "CoreSet": CoreSet(), "Margin": Margin()}.items()
    }
    args.out.mkdir(parents=True, exist_ok=True)
    if args.trial:
        data = experiment.split(X, y, test_size)
        return experiment.write_budget(args.out / "budget.csv", learners, data, args.seeds)
    report = partial(
        write_terms, args.out, about=contenders.about(args.data, pool, "100 + 100 labels a round")
    )
    return experiment.resume(
        learners, (X, y), args.out / "curves.csv", args, partial(terms_of, test_size), report, step=10
    )


def terms_of(test_size, learner, seed, X, y):
    """One learner with one seed: a row for each of its rounds."""
    pool, test = map(np.sort, train_test_split(np.arange(len(X)), test_size=test_size, random_state=seed))
    with threadpool_limits(1):
        fitted = clone(learner).set_params(random_state=seed).fit(X[pool], y[pool])
        rows = []
        for stage, history in zip(fitted.stages(), fitted.history_, strict=True):
            labelled = pool[stage.labeled_iter_ >= 0]
            on_test, on_pool, on_labelled = (
                cross_entropy(stage, X[some], y[some]).mean() for some in (test, pool, labelled)
            )
            rows.append(
                {key: history[key] for key in ("round", "n_labeled")}
                | {
                    "accuracy": stage.score(X[test], y[test]),
                    "test_loss": on_test,
                    "generalisation_error": abs(on_test - on_pool),
                    "training_error": on_labelled,
                    "core_set_loss": abs(on_pool - on_labelled),
                    "cover_radius": radius_after(history, X[pool], X[labelled]),
                }
            )
    return rows


def cross_entropy(model, X, y):
    """The loss of each row, in nats; a probability below 1e-6 counts as that."""
    column = np.searchsorted(model.classes_, y)
    proba = model.predict_proba(X)[np.arange(len(y)), column]
    return -np.log(np.maximum(proba, 1e-6))


def radius_after(history, pool, labelled):
    """The cover radius as CoreSet tells it of a batch, or as it is computed for the others."""
    if "cover_radius" in history:
        return history["cover_radius"][1]
    return cover_radius(pool, labelled)


def write_terms(out, rows, about):
    """A picture with a panel for each term, and a table of them."""
    names = list(dict.fromkeys(row["learner"] for row in rows))
    comparisons = {term: experiment.comparison_of(rows, term, names) for term in TERMS}
    any_term = comparisons["accuracy"]
    figure = Figure(figsize=(16, 9), layout="constrained")
    figure.suptitle(experiment.title(about, any_term, contenders.MIN_SEEDS), x=0.01, ha="left")
    for ax, comparison in zip(figure.subplots(2, 3).flat, comparisons.values(), strict=True):
        experiment.curves(comparison).plot(ax)
    for ax in figure.axes[1:]:
        ax.get_legend().remove()
    experiment.save(figure, out / "curves.png")
    table = experiment.markdown(
        ["mean over the seeds of", "of", *(f"at {n}" for n in (100, 200, 500, 1000)), "minus Random's", ""],
        [row for comparison in comparisons.values() for row in term_rows(comparison)],
    )
    explained = (
        "Losses in nats. The differences from Random are of the mean over all rounds, with 95 % intervals "
        "that cover together for each term; *more* and *less* stand where they exclude 0."
    )
    seeds = experiment.title("", any_term, contenders.MIN_SEEDS).strip()
    (out / "table.md").write_text(f"# {about}\n\n{seeds[0].upper()}{seeds[1:]}. {explained}\n\n{table}\n")
    print(table, flush=True)


def term_rows(comparison):
    """One term of all learners, as cells."""
    summary = experiment.claimed(comparison.summary("Random", levels=()), contenders.MIN_SEEDS)
    for learner in summary.learners:
        n_labels, scores = comparison.curve(learner.name)
        means = [f"{scores[:, n_labels == n].mean():.4f}" for n in (100, 200, 500, 1000)]
        low, high = learner.difference_interval
        interval = "" if np.isnan(low) else f"{learner.difference:+.4f} [{low:+.4f}, {high:+.4f}]"
        said = {"better": "more", "worse": "less", "baseline": ""}.get(learner.verdict, learner.verdict)
        yield [comparison.score_name.replace("_", " "), learner.name, *means, interval, said]


# -- features ----------------------------------------------------------------------------------------


def net_features(args):
    """Images and their self-supervised features side by side: the net sees the images alone."""
    args.seeds = min(args.seeds, experiment.MIN_SEEDS)
    pool = 30_000 if args.full else 5_000
    pixels, y, _, _ = images(args.data)
    pixels = pixels[: 2 * pool].astype(np.float32) / 255
    if pixels.shape[-1] > 1:  # torch's order
        pixels = pixels.transpose(0, 3, 1, 2)
    shape = pixels.shape[1:] if args.data == "cifar10" else (28, 28)
    pixels = pixels.reshape(len(pixels), -1)
    Z, y, _ = contenders.features(args.data, None if args.full else pool)
    X = np.hstack([pixels, Z[: 2 * pool]])
    n_pixels = pixels.shape[1]
    to_pixels = ColumnTransformer([("pixels", "passthrough", slice(0, n_pixels))])
    to_features = ColumnTransformer([("features", "passthrough", slice(n_pixels, X.shape[1]))])
    cnn = {"module": SmallCNN, "module__channels": (16, 32), "image_shape": tuple(shape), "max_epochs": 20}
    net = make_pipeline(to_pixels, NetClassifier(**cnn, n_threads=1))
    strategies = {
        "Random": Random(),
        "CoreSet, the net's features": CoreSet(),
        "CoreSet, self-supervised": CoreSet(embedding=to_features),
        "CoreSet, pixels": CoreSet(embedding=to_pixels),
        "Margin": Margin(),
    }
    learners = {
        name: ActiveLearner(net, strategy, n_initial=100, batch_size=100, n_rounds=4)
        for name, strategy in strategies.items()
    }
    experiment.run(
        learners,
        (X, y[: 2 * pool]),
        args.out,
        args,
        test_size=pool,
        about=f"{contenders.NAMES[args.data]}, a small CNN, and where core-sets measure distances, "
        f"100 + 100 labels a round{'' if args.full else f'; reduced: pools of {pool:,}'}",
        levels={"mnist": (0.9, 0.95), "cifar10": (0.3, 0.4)}[args.data],
        at=(100, 200, 300, 400, 500),
        contrasts=[("CoreSet, self-supervised", "CoreSet, the net's features")],
    )


# -- outliers ----------------------------------------------------------------------------------------


def outliers(args):
    pool = None if args.full else 10_500
    X, y, test_size = contenders.features(args.data, pool)
    candidates = 2000 if args.full else 150
    strategies = {"Random": Random(), "CoreSet, greedy": CoreSet()}
    for share in (0, 1e-4, 1e-2):
        robust = CoreSet(method="robust", outliers=share, max_candidates=candidates)
        strategies[f"CoreSet, robust, {share:g}"] = robust
    learners = {
        name: ActiveLearner(contenders.model(), strategy, n_initial=50, batch_size=50, n_rounds=4)
        for name, strategy in strategies.items()
    }
    experiment.run(
        learners,
        (X, y),
        args.out,
        args,
        test_size=test_size,
        step=10,
        about=contenders.about(
            args.data,
            pool,
            "50 + 50 labels a round, and the share of outliers",
            ", 100 candidates beside the greedy batch",
        ),
        levels={"mnist": (0.9,), "cifar10": (0.4,)}[args.data],
        at=(50, 100, 150, 200, 250),
        contrasts=[
            ("CoreSet, robust, 0.01", "CoreSet, greedy"),
            ("CoreSet, robust, 0.01", "CoreSet, robust, 0"),
        ],
        min_seeds=contenders.MIN_SEEDS,
    )


if __name__ == "__main__":
    main()
