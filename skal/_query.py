"""What `skal query` does: labels in, rows to label next out, for people without an oracle."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.base import clone

from skal import ActiveLearner, BatchDisplay, labels
from skal._label_file import LabelFile, typed
from skal._names import model, strategy
from skal._runs import writable_folder, write_atomically
from skal._seeds import derive, seed_open_states
from skal.containers import as_pool
from skal.containers._protocol import fingerprint_of
from skal.datasets import read_npz, scaled
from skal.plotting import can_draw, png
from skal.strategies import Random

__all__ = ["run"]


def run(args):
    """Ask for the next rows as the command line says; returns the exit code."""
    pool_path = Path(args.pool)
    path = Path(args.labels) if args.labels else pool_path.with_suffix(".labels.csv")
    arrays = _read(pool_path)
    for folder in {path.parent, pool_path.parent}:
        writable_folder(folder, "The folder")
    chosen_by = strategy(args.strategy)
    file = LabelFile.read(path, len(arrays["X"]))
    _check_content(file, arrays["X"], pool_path)
    known = _known(file, arrays.get("y"), pool_path)
    open_rows = [row for row in file.open if row not in known]
    _print_state(pool_path, known, open_rows)
    if open_rows and not args.skip_open:
        raise ValueError(
            f"{len(open_rows)} of the rows asked for in {path} have no label yet (the first is row "
            f"{open_rows[0]}); fill them in, or pass --skip-open to leave them and ask for others."
        )
    X, _ = scaled(arrays["X"])
    candidates = np.setdiff1d(np.arange(len(X)), [*known, *file.labels]).astype(int)
    n = min(args.n, len(candidates))
    if n < args.n:
        print(f"{f'{n} rows are' if n else 'No row is'} left to ask for.")
    if n == 0:
        return 0
    seed = derive(args.random_state, "query", file.last_round + 1)
    picked, how = _next_rows(args, X, known, candidates, n, chosen_by, seed)
    contents = _contents(file) | _contents_of(arrays["X"], picked.tolist())
    _write(file, picked, how, X, pool_path, contents)
    return 0


def _read(path):
    """The pool and the labels in it, by name; what is a folder is not read into memory."""
    if not (path.is_dir() or path.suffix.lower() == ".npy"):
        return read_npz(path)
    pool = as_pool(path)
    return {"X": pool} if pool.y is None else {"X": pool, "y": pool.y}


def _check_content(file, X, pool_path):
    """Refuse labels that were given to other content than their rows have now."""
    before = {row: content for row, content in _contents(file).items() if row in file.labels}
    for row, content in _contents_of(X, list(before)).items():
        if content != before[row]:
            raise ValueError(
                f"Row {row} of {pool_path} is not what it was when {file.path} asked for its label: the pool "
                "has changed, and labels would go to other rows. Put the pool back as it was, or write "
                "labels of this one into another file, with --labels."
            )


def _contents(file):
    """What the rows were that were asked for; -> dict of row to digest, without rows from elsewhere."""
    path = _path_of_contents(file)
    if not path.exists():
        return {}
    try:
        return {int(row): content for row, content in json.loads(path.read_bytes()).items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is not as `skal query` wrote it ({error}); delete it to go on without a check that the "
            "pool is still the same."
        ) from error


def _contents_of(X, rows):
    """A digest of each of some rows, which are read at once; -> dict."""
    read = np.asarray(X[rows]) if rows else ()
    return {row: fingerprint_of(content)[:16] for row, content in zip(rows, read, strict=True)}


def _path_of_contents(file):
    return file.path.with_suffix(".rows.json")


def _known(file, y, pool_path):
    """Labels of the pool and of the file together; -> dict of row to label."""
    of_pool = {} if y is None else _labels_of_pool(y, pool_path)
    is_integer = all(isinstance(label, int) for label in of_pool.values()) if of_pool else None
    of_file = typed(file, is_integer)
    for row, label in of_file.items():
        if of_pool.get(row, label) != label:
            raise ValueError(
                f"{file.path}, line {file.lines[row]}: row {row} has the label {label!r} here and "
                f"{of_pool[row]!r} in {pool_path}; correct one of them."
            )
    if -1 in of_file.values() and not {*of_file.values(), *of_pool.values()} <= {-1, 1}:
        row = next(row for row, label in of_file.items() if label == -1)
        raise ValueError(
            f"{file.path}, line {file.lines[row]}: -1 is the mark of a missing label; leave the cell "
            "empty instead."
        )
    return of_pool | of_file


def _labels_of_pool(y, pool_path):
    # Fixed-width strings have no mark for a gap; in a file the natural one is an empty text.
    is_known = labels.known(y, unlabeled="") if y.dtype.kind in "US" else labels.known(y)
    rows = np.flatnonzero(is_known)
    values = y[rows]
    if values.dtype.kind == "f":
        if not (values == np.floor(values)).all():
            raise ValueError(
                f"y in {pool_path} has labels that are not whole numbers; classes are integers or text."
            )
        values = values.astype(int)
    return dict(zip(rows.tolist(), values.tolist(), strict=True))


def _next_rows(args, X, known, candidates, n, chosen_by, seed):
    """The rows to ask for, and how they were chosen."""
    classes, codes = np.unique(list(known.values()), return_inverse=True)
    if len(classes) >= 2:
        name = args.model or ("cnn" if X.ndim > 2 else "mlp")
        learner = ActiveLearner(
            model(name, X.shape[1:], args.epochs), chosen_by, n_rounds=0, random_state=derive(seed, "learner")
        )
        learner.fit(X[list(known)], codes)
        return candidates[learner.query(X[candidates], n)], f"{chosen_by!r} on {name}"
    cold = Random() if chosen_by.needs_labels else clone(chosen_by)
    fitted = seed_open_states(cold, derive(seed, "strategy")).fit(X[:0])
    why = f"all labels are {classes[0]!s} so far" if len(classes) else "there is no label yet"
    return candidates[fitted.select(X[candidates], n)], f"{cold.__class__.__name__}(), since {why}"


def _print_state(pool_path, known, open_rows):
    # The counts show a label with a slip in it, as a class of one.
    counts = sorted(Counter(known.values()).items())
    listed = f" ({', '.join(f'{label}: {count}' for label, count in counts)})" if counts else ""
    waiting = f", {len(open_rows)} rows wait for one" if open_rows else ""
    print(f"{pool_path}: {len(known)} labels{listed}{waiting}")


def _write(file, rows, how, X, pool_path, contents):
    sheet = None
    if can_draw(X.shape[1:]):
        # Drawn before the labels are touched: if this fails, nothing has been asked.
        sheet = pool_path.with_suffix(".sheet.png")
        write_atomically(sheet, png(BatchDisplay.from_images(X, rows), dpi=120))
    write_atomically(_path_of_contents(file), json.dumps(contents, indent=0))
    file.append(rows.tolist())
    print(f"{len(rows)} rows asked for by {how}")
    print(f"{file.path}  (fill in the column 'label', then call again)")
    if sheet is not None:
        print(f"{sheet}  (these images, with their row numbers)")
