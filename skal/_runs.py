"""What a comparison records, run by run, as a CSV from which an interrupted comparison resumes."""

import csv
import io
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

__all__ = ["Stage", "read_stages", "writable_folder", "write_atomically", "write_stages"]


class Stage(NamedTuple):
    """One round of one run: a learner with a seed."""

    learner: str
    seed: int
    round: int
    n_labeled: int
    score: float
    fit_seconds: float
    select_seconds: float
    rows: tuple[int, ...]
    """Rows of X that were labelled in this round, best first."""
    settings: str
    """The name of the score, then digests of data, learner and protocol; see `skal.evaluation`."""


_READ = (str, int, int, int, float, float, float, lambda rows: tuple(map(int, rows.split())), str)


def write_stages(path, stages):
    """Write stages as CSV; a reader sees the old file or the new one, never a part."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Stage._fields)
    # A float is written as its repr, which reads back as the same float.
    writer.writerows(stage._replace(rows=" ".join(map(str, stage.rows))) for stage in stages)
    write_atomically(path, text.getvalue())


def read_stages(path):
    """The stages that `write_stages` wrote.

    Raises
    ------
    ValueError
        If the file is something else.
    """
    with open(path, newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if next(lines, None) != list(Stage._fields):
            raise ValueError(
                f"{path} is not a CSV of skal's comparisons (its first line should read "
                f"{','.join(Stage._fields)}); give another path, or move that file away."
            )
        return [_stage(path, lines.line_num, cells) for cells in lines]


def write_atomically(path, content):
    """Write text or bytes to a file by replacing it at the end, so that an error loses nothing."""
    path = Path(path)
    # Beside the target, since os.replace works within one file system; by process, since two may write.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        if isinstance(content, bytes):
            unfinished.write_bytes(content)
        else:
            unfinished.write_text(content, encoding="utf-8", newline="")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _stage(path, line, cells):
    try:
        return Stage(*(read(cell) for read, cell in zip(_READ, cells, strict=True)))
    except ValueError as error:
        raise ValueError(f"{path}, line {line}, is not a line of skal's comparisons: {error}.") from error


def writable_folder(path, option):
    """The folder as a Path, made and tried before the work rather than after.

    Raises
    ------
    OSError
        With a sentence that names the option of the command line.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"{option} {path} can't be written to ({error.strerror}); name another folder."
        ) from error
    return folder
