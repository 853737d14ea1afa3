"""``log.csv``: rows are appended, columns may be added, and the end can be cut off."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from weft.io.atomic import atomic_path

LOG = "log.csv"
COLUMNS = ("step", "epoch", "split", "loss")
"""Of every log, in front of all others."""


class LogFile:
    """A CSV file whose first column is ``step``. Each row is on its way to the disk when :meth:`append` returns.

    A row with a new column has the whole file written again, which happens a few times in a run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []
        self._stream: TextIO | None = None

    def cut(self, step: int, validated: bool = True) -> None:
        """Drop the rows after ``step`` and whatever a killed process has left of a line.

        validated: keep the validation of ``step`` too.
        """
        self.close()
        lines = _whole_lines(self.path)
        kept = lines[:1]
        for line in lines[1:]:
            number, _, split, *_ = [*line.split(","), "", ""]
            if not number.isdigit() or int(number) > step:
                break
            if int(number) == step and split == "val" and not validated:
                break
            kept.append(line)
        self.columns = next(csv.reader(kept[:1]), [])
        if self.path.exists() and "".join(kept) != self.path.read_text():
            with atomic_path(self.path) as temporary:
                temporary.write_text("".join(kept))

    def append(self, row: Mapping[str, Any]) -> None:
        new = [name for name in row if name not in self.columns]
        if new:
            self._widen(new)
        if self._stream is None:
            self._stream = open(self.path, "a", newline="")  # noqa: SIM115
        csv.writer(self._stream, lineterminator="\n").writerow([row.get(name, "") for name in self.columns])
        self._stream.flush()

    def _widen(self, new: list[str]) -> None:
        self.close()
        rows = list(csv.DictReader(_whole_lines(self.path)))
        self.columns = list(dict.fromkeys([*(self.columns or COLUMNS), *new]))
        write_rows(self.path, self.columns, rows)

    def sync(self) -> None:
        """Have the rows on the disk before a checkpoint that relies on them."""
        if self._stream is not None:
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def write_rows(path: Path, columns: Sequence[str] = COLUMNS, rows: Iterable[Mapping[str, Any]] = ()) -> None:
    """A whole CSV file, atomically; what a row does not have stays empty."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _whole_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
