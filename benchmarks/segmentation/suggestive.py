"""Suggestive annotation on images of nuclei: how many images have to be annotated, and how many pixels?

    python benchmarks/segmentation/suggestive.py --trial    # what it will take
    python benchmarks/segmentation/suggestive.py --jobs 2   # runs, or goes on; picture and table
    python benchmarks/segmentation/suggestive.py --full     # larger images, and more of them, on a GPU

Images and masks are made by `skal.datasets.make_nuclei`, since real medical sets can't be shipped; those that
are crowded, dim, tiny or striped are rare. The authors say that half of the images, well chosen, are as good
as all. All contestants train the same ensemble of four nets on bootstrap samples, from 8 random images,
8 more a round, and differ in how they choose:

* Random: images at random;
* StratifiedRandom: images at random, two thirds of them in proportion to the predicted foreground. A method
  is called useful only where it beats this;
* Entropy: the mean over pixels of the entropy of the mean prediction, plain uncertainty;
* Variance: the mean over pixels of the members' variance, the first step of suggestive annotation alone;
* CoreSet: the images farthest from all annotated ones, by the members' encoders;
* SuggestiveAnnotation: of the 16 images with the largest variance the 8 that stand for all others.

Scored by the Dice of the nuclei over all test pixels. Cost is counted in images and in annotated foreground
pixels. Once a seed, the ensemble is trained on the whole pool: 98 % of its Dice is the mark to reach.

On two cores: pools of 120 images of 32 x 32 and 200 to test on, made anew in each seed, 20 epochs, to 48
images. In full: pools of 400 images of 128 x 128, 100 epochs, to 168 images.

L. Yang, Y. Zhang, J. Chen, S. Zhang, D. Chen: Suggestive Annotation: A Deep Active Learning Framework for
Biomedical Image Segmentation. MICCAI 2017.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.base import clone
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1]))
import experiment

from skal import ActiveLearner, EnsembleClassifier, SegmentationNet, datasets
from skal.metrics import dice_score
from skal.report import text_table
from skal.strategies import CoreSet, Entropy, Random, StratifiedRandom, SuggestiveAnnotation

ALL = "all images"
SHARE = 0.98


def contenders(full):
    """Learners by name; the last is trained on all images at once."""
    net = SegmentationNet(max_epochs=100 if full else 20)
    if not full:
        net.set_params(n_threads=1)
    ensemble = EnsembleClassifier(net, n_members=4, bootstrap=True)
    strategies = {
        "Random": Random(),
        "StratifiedRandom": StratifiedRandom(),
        "Entropy": Entropy(),
        "Variance": SuggestiveAnnotation(n_candidates=8),
        "CoreSet": CoreSet(),
        "SuggestiveAnnotation": SuggestiveAnnotation(n_candidates=16),
    }
    learners = {
        name: ActiveLearner(ensemble, strategy, n_initial=8, batch_size=8, n_rounds=20 if full else 5)
        for name, strategy in strategies.items()
    }
    return learners | {ALL: ActiveLearner(ensemble, Random(), n_rounds=0)}


def run_of(n_pool, n_test, size, learner, seed):
    """One learner with one seed: a row for each of its rounds."""
    images, masks = datasets.make_nuclei(n_pool + n_test, size=size, random_state=seed)
    X, y = images[:n_pool], masks[:n_pool]
    with threadpool_limits(1):
        fitted = clone(learner).set_params(random_state=seed).fit(X, y)
        rows, annotated = [], 0
        for stage, history in zip(fitted.stages(), fitted.history_, strict=True):
            annotated += int((y[history["rows"]] > 0).sum())
            predicted = stage.predict(images[n_pool:])
            rows.append(
                {key: history[key] for key in ("round", "n_labeled", "fit_seconds", "select_seconds")}
                | {
                    "dice": float(dice_score(masks[n_pool:], predicted, labels=[1])),
                    "foreground_pixels": annotated,
                }
            )
    return rows


def main():
    args = experiment.arguments(__doc__)
    size = (400, 400, 128) if args.full else (120, 200, 32)
    name = "segmentation_nuclei_full" if args.full else "segmentation_nuclei"
    out = args.out or experiment.RESULTS / name
    out.mkdir(parents=True, exist_ok=True)
    learners = contenders(args.full)
    if args.trial:
        images, masks = datasets.make_nuclei(size[0] + size[1], size=size[2], random_state=0)
        data = images[: size[0]], masks[: size[0]], images[size[0] :], masks[size[0] :]
        in_rounds = {name: learner for name, learner in learners.items() if name != ALL}
        return experiment.write_budget(out / "budget.csv", in_rounds, data, args.seeds)
    return experiment.resume(
        learners, (), out / "curves.csv", args, partial(run_of, *size), partial(write_report, out, args.full)
    )


def write_report(out, full, rows):
    """Dice by images and by foreground pixels, and what share of the images reaches the mark."""
    names = [name for name in contenders(full) if name != ALL]
    in_rounds = [row for row in rows if row["learner"] != ALL]
    of_all = {row["seed"]: row["dice"] for row in rows if row["learner"] == ALL}
    comparison = experiment.comparison_of(in_rounds, "dice", names)
    about = (
        "Images of nuclei, an ensemble of four small U-Nets on bootstrap samples, 8 + 8 images a round; "
        + (
            "pools of 400 images of 128 x 128"
            if full
            else "reduced: pools of 120 images of 32 x 32, short fits"
        )
    )
    figure = Figure(figsize=(17, 6), layout="constrained")
    figure.suptitle(experiment.title(about, comparison), x=0.01, ha="left")
    left, middle, right = figure.subplots(ncols=3)
    experiment.curves(comparison).plot(left)
    mark = SHARE * np.mean(list(of_all.values()))
    left.axhline(mark, color="black", linewidth=0.8, linestyle=":")
    left.annotate(f"{SHARE:.0%} of all images' Dice", (left.get_xlim()[0], mark), va="bottom", fontsize=8)
    left.set_xlabel("annotated images")
    experiment.curves(comparison, baseline="Random").plot(middle).ax_.get_legend().remove()
    middle.set_xlabel("annotated images")
    for name, line in zip(names, left.get_lines(), strict=False):
        pixels, dice = (_means(in_rounds, name, column) for column in ("foreground_pixels", "dice"))
        right.plot(
            pixels / 1000,
            dice,
            color=line.get_color(),
            marker=line.get_marker(),
            linestyle=line.get_linestyle(),
        )
    right.set_xlabel("annotated foreground pixels, thousands")
    right.set_ylabel("dice")
    experiment.save(figure, out / "curves.png")
    parts = [f"# {about}"]
    for baseline in ("Random", "StratifiedRandom"):
        summary = experiment.claimed(comparison.summary(baseline, levels=()), experiment.MIN_SEEDS)
        parts.append(f"## Against {baseline}\n\n```\n{text_table(summary)}\n```")
    parts.append(
        experiment.gains(comparison, [("SuggestiveAnnotation", "Variance"), ("Variance", "Entropy")])
    )
    parts.append(_shares(comparison, of_all, in_rounds, names))
    (out / "table.md").write_text("\n\n".join(parts) + "\n")
    print(parts[1], flush=True)


def _means(rows, name, column):
    """The mean over seeds of a column, by round."""
    n_rounds = 1 + max(row["round"] for row in rows)
    return np.array(
        [
            np.mean([row[column] for row in rows if row["learner"] == name and row["round"] == number])
            for number in range(n_rounds)
        ]
    )


def _shares(comparison, of_all, rows, names):
    """How many images each seed needed for the mark, and how many foreground pixels were annotated then."""
    table = []
    for name in names:
        images, pixels = [], []
        for seed, mark in of_all.items():
            run = [row for row in rows if row["learner"] == name and row["seed"] == seed]
            reached = [row for row in run if row["dice"] >= SHARE * mark]
            images.append(reached[0]["n_labeled"] if reached else np.inf)
            pixels.append(reached[0]["foreground_pixels"] if reached else np.inf)
        never = sum(np.isinf(images))
        cells = (
            f"{value:,.0f}" if np.isfinite(value) else "not reached"
            for value in map(np.median, (images, pixels))
        )
        table.append([name, *cells, f"{never} of {len(images)}"])
    head = [
        f"to {SHARE:.0%} of the Dice of all images",
        "images (median)",
        "foreground pixels (median)",
        "never",
    ]
    full = (
        f"The ensemble trained on all images has a Dice of {np.mean(list(of_all.values())):.3f} in the mean."
    )
    return experiment.markdown(head, table) + "\n\n" + full


if __name__ == "__main__":
    main()
