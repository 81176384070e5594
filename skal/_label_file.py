"""The CSV in which people write labels: read with care, and only ever appended to."""

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

from skal._runs import write_atomically

__all__ = ["LabelFile", "typed"]

_HEADER = ["row", "label", "round"]
# Spreadsheets and pandas write a column of integers with gaps as 3.0.
_INTEGER = re.compile(r"([+-]?\d+)(\.0*)?")


@dataclass
class LabelFile:
    """Rows asked for, and the labels that people gave.

    Text that is there stays as it is, comments in further columns too; new lines follow its delimiter
    and its line ends.
    """

    path: Path
    text: str = ",".join(_HEADER) + "\n"
    columns: list[str] = field(default_factory=lambda: list(_HEADER))
    delimiter: str = ","
    labels: dict[int, str] = field(default_factory=dict)
    """For each row asked for what stands in its label cell; "" is an open one."""
    lines: dict[int, int] = field(default_factory=dict)
    """For each row the line of the file, for messages."""
    last_round: int = -1

    @classmethod
    def read(cls, path, n_rows):
        """The file, or an empty one where there is none.

        Parameters
        ----------
        path : Path
        n_rows : int
            Of the pool; other row numbers are refused.

        Raises
        ------
        ValueError
            If anything in it is not as it must be, with the line.
        """
        if not path.exists():
            return cls(path)
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text; save it as 'CSV UTF-8'.") from error
        head = text.removeprefix("\ufeff").split("\n", 1)[0]
        delimiter = max(",;\t", key=head.count)
        lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        columns = [cell.strip().lower() for cell in next(reader, [])]
        if [columns.count(name) for name in ("row", "label")] != [1, 1] or columns.count("round") > 1:
            raise ValueError(
                f"{path} must begin with a line that names the columns row and label, each once; it "
                f"is {head!r}."
            )
        file = cls(path, text, columns, delimiter)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    file._take_in(
                        dict(zip(columns, map(str.strip, cells), strict=False)), reader.line_num, n_rows
                    )
        except csv.Error as error:
            raise ValueError(
                f"{file._place(reader.line_num)}: {error}; is there an odd quote before it?"
            ) from error
        return file

    @property
    def open(self):
        """Rows asked for that have no label yet, in the order of asking."""
        return [row for row, label in self.labels.items() if not label]

    @property
    def given(self):
        """Rows with a label, and its text."""
        return {row: label for row, label in self.labels.items() if label}

    def append(self, rows):
        """Add rows to label as a new round; the file is replaced at once or not at all."""
        line_end = "\r\n" if "\r\n" in self.text else "\n"
        added = io.StringIO()
        writer = csv.DictWriter(
            added,
            self.columns,
            restval="",
            extrasaction="ignore",
            delimiter=self.delimiter,
            lineterminator=line_end,
        )
        writer.writerows({"row": row, "round": self.last_round + 1} for row in rows)
        before = self.text if self.text.endswith("\n") else self.text + line_end
        write_atomically(self.path, before + added.getvalue())

    def _take_in(self, cells, line, n_rows):
        row = self._number(cells["row"], line, "row")
        if not 0 <= row < n_rows:
            raise ValueError(
                f"{self._place(line)}: row {row} is not in the pool, which has rows 0 to {n_rows - 1}."
            )
        if row in self.labels:
            raise ValueError(
                f"{self._place(line)}: row {row} is there already, in line {self.lines[row]}; remove one."
            )
        if "\n" in cells.get("label", ""):
            raise ValueError(f"{self._place(line)}: a label goes over lines; is there an odd quote in it?")
        self.labels[row], self.lines[row] = cells.get("label", ""), line
        if cells.get("round"):
            self.last_round = max(self.last_round, self._number(cells["round"], line, "round"))
        else:
            self.last_round = max(self.last_round, 0)

    def _number(self, text, line, column):
        match = _INTEGER.fullmatch(text)
        if match is None:
            raise ValueError(f"{self._place(line)}: {text!r} in the column {column} is not a whole number.")
        return int(match[1])

    def _place(self, line):
        return f"{self.path}, line {line}"


def typed(file, integers=None):
    """The labels of a file, all integers or all text; -> dict of row to label.

    Parameters
    ----------
    file : LabelFile
    integers : bool or None, default=None
        Whether labels known from elsewhere are integers; None where there are none, so that the file
        decides.

    Raises
    ------
    ValueError
        If types are mixed: one of them is a slip.
    """
    matches = {row: _INTEGER.fullmatch(label) for row, label in file.given.items()}
    kinds = {kind: [row for row, match in matches.items() if bool(match) == kind] for kind in (True, False)}
    if integers is None:
        integers = len(kinds[True]) >= len(kinds[False])
        odd = kinds[not integers]
    else:
        odd = kinds[False] if integers else []  # where classes are text, digits are text as well
    if odd:
        row, kind = odd[0], "a whole number" if integers else "text"
        raise ValueError(
            f"{file.path}, line {file.lines[row]}: the label {file.given[row]!r} of row {row} is not {kind}, "
            "and others are; correct it, or make all labels of one kind."
        )
    return {row: int(match[1]) for row, match in matches.items()} if integers else file.given
