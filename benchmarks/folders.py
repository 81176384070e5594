"""Folders of images: `skal ingest` beside a plain loop of Pillow, and how busy scoring keeps two cores.

    python benchmarks/folders.py             # 5 minutes of two quiet cores

Images are made up, a smooth field of colours with noise, and saved as JPEG at quality 90: 8,000 photos of
640 x 480, and 20,000 thumbnails of 64 x 64, copies of 400. Both are brought to 64 x 64.

* ingest: `skal ingest` with two processes, into a zarr store, as the command line calls it.
* plain: the same files over two processes of joblib, 64 at a time: ``Image.open(path).convert("RGB")
  .resize((64, 64))`` to an array, stacked at the end. It stores nothing, and does not look for links,
  bombs, or how the camera was held.
* plain, draft: the same, and asks a JPEG for a smaller version first, as `skal` does.

Images a second of the clock, median of three rounds in turn, after a small call each. Busy is the processor
time of the process and its children over the seconds of the clock times two, while Margin scores the folder:
by a net with two convolutions, whose threads are two (no engine: images are decoded beside the
inference), and by two processes of joblib (each with one thread), after they have started.

Writes benchmarks/results/folders.csv.
"""

import argparse
import csv
import os
import shutil
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

import joblib
import numpy as np
from PIL import Image
from sklearn.frozen import FrozenEstimator

from skal import NetClassifier, as_pool
from skal._ingest import ingest
from skal.strategies import Margin

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("images", "what", "images_a_second", "ratio_to_plain", "busy_share_of_two_cores")
SETS = {"photos 640 x 480": (8000, 640, 480), "thumbnails 64 x 64": (20_000, 64, 64)}
SIZE, ROUNDS, N_JOBS, AT_ONCE, DISTINCT = 64, 3, 2, 64, 400


def write_images(folder, n, width, height):
    """n JPEG files, in ten folders."""
    rng = np.random.RandomState(0)
    paths = [Path(folder, str(number % 10), f"{number}.jpg") for number in range(n)]
    for label in range(10):
        Path(folder, str(label)).mkdir(parents=True)
    for path in paths[:DISTINCT]:
        coarse = rng.randint(0, 256, size=(4, 5, 3)).astype(np.uint8)
        field = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        noisy = np.clip(field + rng.normal(0, 8, size=field.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(path, quality=90)
    for number, path in enumerate(paths[DISTINCT:]):
        shutil.copyfile(paths[number % DISTINCT], path)


def plain_decode(paths, draft):
    """What a user would write; -> (n, 64, 64, 3)."""
    decoded = []
    for path in paths:
        with Image.open(path) as image:
            if draft:
                image.draft(None, (2 * SIZE, 2 * SIZE))
            decoded.append(np.asarray(image.convert("RGB").resize((SIZE, SIZE))))
    return np.stack(decoded)


def plain_loop(folder, draft):
    """All images of a folder, by two processes."""
    paths = sorted(str(path) for path in Path(folder).rglob("*.jpg"))
    parts = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)]
    parallel = joblib.Parallel(n_jobs=N_JOBS)
    return np.concatenate(parallel(joblib.delayed(plain_decode)(part, draft) for part in parts))


def by_ingest(folder):
    """The same into a store."""
    store = Path(tempfile.mkdtemp(), "pool.zarr")
    try:
        return ingest(folder, store, size=SIZE, mode="RGB", n_jobs=N_JOBS, progress=False).n_rows
    finally:
        shutil.rmtree(store.parent)


def processor_seconds():
    """Of this process and of all that it has started, alive or not."""
    ticks, own = os.sysconf("SC_CLK_TCK"), os.getpid()
    parents, seconds = {}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended meanwhile
            continue
        parents[int(entry)] = int(fields[1])
        seconds[int(entry)] = sum(map(int, fields[11:15])) / ticks

    def is_ours(process):
        while process not in (0, own):
            process = parents.get(process, 0)
        return process == own

    return sum(spent for process, spent in seconds.items() if is_ours(process))


def busy(strategy, folder, engine):
    """Images a second, and the share of two cores that was busy."""
    pool = as_pool(folder, size=(SIZE, SIZE), mode="RGB")
    with joblib.parallel_config(n_jobs=N_JOBS):
        strategy.score(pool[:3000], engine=engine)
        spent, started = processor_seconds(), perf_counter()
        strategy.score(pool, engine=engine)
        seconds = perf_counter() - started
    return len(pool) / seconds, (processor_seconds() - spent) / seconds / 2


def main():
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    table = []
    for name, (n, width, height) in SETS.items():
        with tempfile.TemporaryDirectory() as folder:
            write_images(Path(folder, "all"), n, width, height)
            write_images(Path(folder, "few"), 200, width, height)
            contestants = {
                "plain": lambda path: plain_loop(path, draft=False),
                "plain, draft": lambda path: plain_loop(path, draft=True),
                "ingest": by_ingest,
            }
            seconds = {what: [] for what in contestants}
            for call in contestants.values():
                call(Path(folder, "few"))
            for _ in range(ROUNDS):
                for what, call in contestants.items():
                    started = perf_counter()
                    call(Path(folder, "all"))
                    seconds[what].append(perf_counter() - started)
            medians = {what: statistics.median(spent) for what, spent in seconds.items()}
            for what, median in medians.items():
                table.append([name, what, f"{n / median:.0f}", f"{medians['plain'] / median:.2f}", ""])
            images = np.random.RandomState(0).randint(0, 256, size=(20, 3, SIZE, SIZE)).astype(np.uint8)
            for threads, engine in ((2, None), (1, "joblib")):
                net = NetClassifier(max_epochs=1, n_threads=threads, random_state=0)
                net.fit(images, np.arange(20) % 2)
                strategy = Margin(FrozenEstimator(net), random_state=0).fit(images, np.arange(20) % 2)
                rate, share = busy(strategy, Path(folder, "all"), engine)
                what = "score, two threads" if engine is None else "score, two processes"
                table.append([name, what, f"{rate:.0f}", "", f"{share:.2f}"])
            for row in table[-5:]:
                print(*row, sep=" | ", flush=True)
            with open(RESULTS / "folders.csv", "w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])


if __name__ == "__main__":
    main()
