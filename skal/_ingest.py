"""What `skal ingest` does: a folder of images of any size, decoded once, into blocks of a zarr store."""

import csv
import io
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
from tqdm import tqdm

from skal._runs import writable_folder, write_atomically
from skal.containers._images import MAX_PIXELS, decode, leads_outside, list_images
from skal.containers._protocol import fingerprint_of
from skal.containers._store import IMAGES, MANIFEST, load_zarr

__all__ = ["Skipped", "ingest", "run"]

STATE, SKIPPED = "ingest.json", "skipped.csv"

_AT_ONCE = 64  # images that a worker decodes before it reports
_BLOCK_VALUES = 2**22  # of a block, 4 MiB of uint8
_MANIFEST_FIELDS = ("row", "path", "label")


class Skipped(NamedTuple):
    """An image that was left out."""

    path: str
    reason: str


class Ingested(NamedTuple):
    """What `ingest` has done: rows written, images left out, and files that are no images by their names."""

    n_rows: int
    skipped: list[Skipped]
    others: list[str]


def ingest(folder, store, *, size=224, mode="RGB", max_pixels=MAX_PIXELS, n_jobs=None, progress=None):
    """Write the images of a folder into a zarr store, resized, in the order of their paths.

    Interrupted, the same call goes on after the last block that was written. Of a file with several images,
    the first is taken. The store holds the array ``images``, (n, size, size) or (n, 3, size, size) of uint8,
    and two tables: ``manifest.csv`` with the row, the path and the label (the name of the folder at the top)
    of each image, and ``skipped.csv`` with each file that is left out and the reason: broken or huge images,
    links that leave the folder.

    Parameters
    ----------
    folder : str or Path
    store : str or Path
        The folder of the store.
    size : int or (height, width), default=224
    mode : {"RGB", "L"}, default="RGB"
        Colours, or gray.
    max_pixels : int, default=2**26
        Larger images are skipped.
    n_jobs : int or None, default=None
        Processes that decode; None is one.
    progress : bool or None, default=None
        Whether to show a progress bar on stderr; None shows it on a terminal.

    Returns
    -------
    Ingested
        The number of rows, what was skipped, and other files, whose names don't end as those of images do.

    Raises
    ------
    ValueError
        If the folder has no images, or the store holds those of another folder or of other settings, or is
        damaged.
    """
    folder, store = Path(folder), Path(store)
    size = (size, size) if np.ndim(size) == 0 else tuple(size)
    paths, outside, others = list_images(folder)
    nameless, paths = [path for path in paths if not _is_text(path)], list(filter(_is_text, paths))
    if not paths:
        raise ValueError(f"{folder} has no images to ingest.")
    files = [(path, os.stat(folder / path).st_size) for path in paths]
    settings = {"size": list(size), "mode": mode, "max_pixels": max_pixels, "files": fingerprint_of(files)}
    state = _state(store, settings, paths)
    images = _opened(store, len(paths), size, mode, is_new=not state["done"])
    todo = paths[state["done"] :]
    decoded = _decoded(folder, todo, {"size": size, "mode": mode, "max_pixels": max_pixels}, n_jobs)
    bar = tqdm(
        decoded,
        total=len(paths),
        initial=state["done"],
        unit="image",
        desc="ingest",
        file=sys.stderr,
        disable=None if progress is None else not progress,
    )
    with ThreadPoolExecutor(1) as writer:  # beside the next block's decoding
        writing = None
        for block in _batches(bar, images.chunks[0]):
            if writing is not None:
                writing.result()
            writing = writer.submit(_write, store, images, state, block)
        if writing is not None:
            writing.result()
    images.resize((state["n_rows"], *images.shape[1:]))
    skipped = [Skipped(_shown(path), "is a link that leaves the folder") for path in outside]
    skipped += [Skipped(_shown(path), "has a name that is no text") for path in nameless]
    skipped += [Skipped(*entry) for entry in state["skipped"]]
    left_out = {path for path, _ in state["skipped"]}
    _write_tables(store, [path for path in paths if path not in left_out], sorted(skipped))
    return Ingested(state["n_rows"], sorted(skipped), list(map(_shown, others)))


def _is_text(path):
    """Whether a name can be written down; on Linux it may be any bytes."""
    return _shown(path) == path


def _shown(path):
    return path.encode("utf-8", "replace").decode("utf-8")


def run(args):
    """Ingest as the command line says; returns the exit code."""
    done = ingest(
        args.folder,
        args.store,
        size=args.size,
        mode="L" if args.gray else "RGB",
        max_pixels=args.max_pixels,
        n_jobs=args.jobs or joblib.cpu_count(),
        progress=False if args.quiet else None,
    )
    print(f"{args.store}: {done.n_rows} images")
    for path, reason in done.skipped[:10]:
        print(f"  skipped {path}: {reason}")
    if len(done.skipped) > 10:
        print(f"  ... and {len(done.skipped) - 10} more, all of them in {Path(args.store, SKIPPED)}")
    if done.others:
        print(f"  {len(done.others)} files are no images by their names, such as {done.others[0]}")
    if done.n_rows == 0:
        print("skal: no image could be read, so that the store has no rows.", file=sys.stderr)
    return 0 if done.n_rows else 1


def _state(store, settings, paths):
    """How far an earlier call has come, or a new beginning."""
    path = store / STATE
    if not path.exists():
        if store.exists() and any(store.iterdir()):
            raise ValueError(f"{store} exists and was not written by `skal ingest`; name another store.")
        state = {"settings": settings, "done": 0, "n_rows": 0, "skipped": []}
        writable_folder(store, "The store")
        write_atomically(path, json.dumps(state))
        return state
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name, value in settings.items() if state["settings"].get(name) != value]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(store, f"{STATE} is not what `skal ingest` wrote") from error
    if differing:
        what = "other files in its folder" if "files" in differing else f"another {differing[0]}"
        raise ValueError(
            f"{store} was begun with {what}; name another store, or delete this one to start over."
        )
    return state


def _damaged(store, why):
    return ValueError(f"{store} is damaged: {why}; delete the store to start over, or name another.")


def _opened(store, n_images, size, mode, is_new):
    """The array of images; with room for all that there may be, cut when it is known which are broken."""
    zarr = load_zarr()
    if not is_new:
        try:
            return zarr.open_array(store / IMAGES, mode="r+")
        except Exception as error:  # zarr has several
            raise _damaged(store, f"its array {IMAGES} can't be opened") from error
    shape = size if mode == "L" else (3, *size)
    block_rows = int(np.clip(_BLOCK_VALUES // np.prod(shape), 1, n_images))
    zarr.open_group(store, mode="a")
    return zarr.create_array(
        store / IMAGES,
        shape=(n_images, *shape),
        chunks=(block_rows, *shape),
        dtype=np.uint8,
        compressors=zarr.codecs.BloscCodec(cname="lz4", clevel=1),  # pixels hardly shrink; time counts
        overwrite=True,
    )


def _decoded(folder, paths, options, n_jobs) -> Iterator:
    """The pixels of each image, or the reason why there are none, in order, from several processes."""
    parts = (paths[start : start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE))
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator", pre_dispatch="4 * n_jobs")
    root = os.path.realpath(folder)
    for part in parallel(joblib.delayed(_decode_all)(root, part, options) for part in parts):
        yield from part


def _decode_all(root, paths, options):
    return [(path, *_decode_one(root, path, options)) for path in paths]


def _decode_one(root, path, options):
    """Pixels and None, or None and a reason."""
    file = os.path.join(root, path)
    if leads_outside(file, root):  # a link that has been changed meanwhile
        return None, "is a link that leaves the folder"
    try:
        return decode(file, **options), None
    except (OSError, SyntaxError, ValueError) as error:
        return None, str(error).replace(root, os.path.basename(root))


def _batches(decoded, n_images):
    """Images until there are so many that could be decoded, with those between them that could not."""
    decoded = iter(decoded)
    while batch := list(islice(decoded, 1)):
        n_good = sum(pixels is not None for _, pixels, _ in batch)
        while n_good < n_images and (more := list(islice(decoded, n_images - n_good))):
            batch += more
            n_good += sum(pixels is not None for _, pixels, _ in more)
        yield batch


def _write(store, images, state, batch):
    """Write a block, then that it is written; if the first is interrupted, it is written once more."""
    good = [pixels for _, pixels, _ in batch if pixels is not None]
    if good:
        images[state["n_rows"] : state["n_rows"] + len(good)] = np.stack(good)
    state["n_rows"] += len(good)
    state["done"] += len(batch)
    state["skipped"] += [[path, reason] for path, pixels, reason in batch if pixels is None]
    write_atomically(store / STATE, json.dumps(state))


def _write_tables(store, paths, skipped):
    rows = [(row, path, path.split("/")[0] if "/" in path else "") for row, path in enumerate(paths)]
    write_atomically(store / SKIPPED, _table(Skipped._fields, skipped))
    write_atomically(store / MANIFEST, _table(_MANIFEST_FIELDS, rows))  # last: with it the store is complete


def _table(fields, rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows(rows)
    return text.getvalue()
