"""Are generated images of the class of their sources, and close to them? MNIST, 100 to 300 labels.

    python benchmarks/generative.py    # results/generative_quality.csv, generative_losses.csv and a picture

`GenerativeAugmentationClassifier` with its defaults, but for a smaller classifier, is fitted on random
labelled images. Another net, trained on 10,000 real images that are none of these, says of which class the
siblings ``x' = g(e(x), y)`` of the labelled images are, and samples ``g(z, y)``. Distances are roots of mean
squared differences over pixels, of images in [0, 1]; epsilon is 0.2. As a scale: the nearest of 10,000 other
images, of any class, is as far as `nearest_other` on average, another one of the class as `same_class`.
Three minutes of one core.
"""

import csv
from pathlib import Path
from time import process_time

import numpy as np
import torch

from skal import BatchDisplay, GenerativeAugmentationClassifier, NetClassifier, datasets
from skal.nets import SmallCNN
from skal.plotting import png

RESULTS = Path(__file__).parent / "results"
N_LABELS, SEEDS = (100, 200, 300), (0, 1)
SMALL = {"module": SmallCNN, "module__channels": (16, 32), "n_threads": 1}


def main():
    torch.set_num_threads(1)
    mnist = datasets.load("mnist")
    order = np.random.RandomState(0).permutation(len(mnist.X))
    real, rest = order[:10_000], order[10_000:]
    judge = NetClassifier(**SMALL, max_epochs=4, batch_size=64, random_state=0).fit(
        mnist.X[real], mnist.y[real]
    )
    print(f"judge: {judge.score(mnist.X_test[:2000], mnist.y_test[:2000]):.3f}", flush=True)
    quality, curves = [], []
    for seed in SEEDS:
        for n_labels in N_LABELS:
            rows = rest[seed * 1000 :][:n_labels]
            X, y = mnist.X[rows], mnist.y[rows]
            started = process_time()
            net = GenerativeAugmentationClassifier(**SMALL, random_state=seed).fit(X, y)
            seconds = process_time() - started
            siblings = net.augment(X, y)
            samples = np.rint(255 * net.generate(y)).astype(np.uint8)
            facts = net.al_facts_
            quality.append(
                {
                    "n_labels": n_labels,
                    "seed": seed,
                    "siblings_of_class": judge.score(siblings, y),
                    "samples_of_class": judge.score(samples, y),
                    "sources_of_class": judge.score(X, y),
                    "distance": facts["generated_distance"],
                    "within_epsilon": facts["generated_within"],
                    "nearest_other": nearest(X, mnist.X[real]),
                    "same_class": same_class(X, y),
                    "fit_s": seconds,
                }
            )
            print(*(f"{name} {value:.3g}" for name, value in quality[-1].items()), sep="  ", flush=True)
            curves += [{"n_labels": n_labels, "seed": seed, **entry} for entry in by_epoch(net)]
            if seed == 0:
                shown = np.concatenate([np.flatnonzero(y == digit)[:2] for digit in range(10)])
                display = BatchDisplay.from_images(
                    X, shown, [str(label) for label in y[shown]], siblings=siblings[shown]
                )
                title = (
                    f"MNIST, {n_labels} labels: labelled images, and below each the sibling generated from it"
                )
                (RESULTS / f"generative_{n_labels}.png").write_bytes(png(display, title=title, dpi=80))
    write(RESULTS / "generative_quality.csv", quality)
    write(RESULTS / "generative_losses.csv", curves)


def by_epoch(net):
    """Reconstruction distance and losses in each pass over the images, the warm-up first."""
    names = "train_loss", "generated_loss", "encoder_loss", "generator_loss", "discriminator_loss", "distance"
    passes = [("warm-up", entry) for entry in net.warmup_] + [("joint", entry) for entry in net.history]
    for number, (phase, entry) in enumerate(passes):
        yield {"pass": number, "phase": phase, **{name: entry.get(name, "") for name in names}}


def nearest(X, others):
    """Mean distance of images from the nearest of others."""
    X, others = (torch.from_numpy(part.reshape(len(part), -1) / 255).float() for part in (X, others))
    return float(torch.cdist(X, others).min(dim=1).values.mean()) / X.shape[1] ** 0.5


def same_class(X, y):
    """Mean distance of images from the others of their class."""
    rows = torch.from_numpy(X.reshape(len(X), -1) / 255).float()
    same = torch.from_numpy((y[:, None] == y) & ~np.eye(len(y), dtype=bool))
    return float(torch.cdist(rows, rows)[same].mean()) / rows.shape[1] ** 0.5


def write(path, rows):
    """Write a CSV, numbers with four digits."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()}
            for row in rows
        )


if __name__ == "__main__":
    main()
