"""NuML files: tables of HDF5, a group each with a dataset per column, the rows of an event one after the other.

Every table names the event of each row in ``event_id`` (run, subrun, event); ``event_table`` has one row per event.
``event_id.seq_cnt``, which ph5concat adds, gives for each event that has rows its number in ``event_table`` and how
many rows; without it the numbers are compared. (HDF5Maker of github.com/cerati/numl; event_id.seq_cnt:
filecontent-hdf5.md of github.com/uboone/OpenSamples and github.com/NU-CUCIS/ph5concat.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from weft.errors import WeftError

EVENTS = "event_table"
_ID, _COUNTS = "event_id", "event_id.seq_cnt"

#: Bytes of a wide column that are held at a time.
BLOCK_BYTES = 32 << 20


class Table:
    """One table; rows ``offsets[k]`` to ``offsets[k] + counts[k]`` belong to event k.

    Attributes:
        where: names file and table in errors.
        rows: number of them, of all events.
        counts: int64 (events,).
    """

    def __init__(self, path: Path, group: h5py.Group, ids: np.ndarray, columns: Sequence[str]) -> None:
        self.where = f"{path}: {group.name.lstrip('/')}"
        self._group, self._ids = group, ids
        for name in (_ID, *columns):
            if name not in group:
                raise WeftError(f"{self.where}: no column {name}; it has {', '.join(group)}")
        self.rows = len(group[_ID])
        for name in columns:
            if len(group[name]) != self.rows:
                raise WeftError(f"{self.where}: {name} has {len(group[name])} rows, {_ID} has {self.rows}")
        if group[_ID].shape[1:] != (3,):
            raise WeftError(f"{self.where}: {_ID} has shape {group[_ID].shape}, expected (rows, 3)")
        self.starts = np.zeros(len(ids), np.int64)
        self.counts = np.zeros(len(ids), np.int64)
        number, count = self._stated() if _COUNTS in group else self._found()
        if len(np.unique(number)) < len(number):
            twice = ids[number[np.flatnonzero(np.bincount(number)[number] > 1)[0]]]
            raise WeftError(f"{self.where}: rows of event {_slashed(twice)} are in more than one place")
        self.counts[number], self.starts[number] = count, np.cumsum(count) - count

    def __contains__(self, name: str) -> bool:
        return name in self._group

    def _stated(self) -> tuple[np.ndarray, np.ndarray]:
        """Number of the event and rows of each run of rows, by ``event_id.seq_cnt``."""
        stated = self._group[_COUNTS][:]
        if stated.ndim != 2 or stated.shape[1] != 2:
            raise WeftError(f"{self.where}: {_COUNTS} has shape {stated.shape}, expected (events, 2)")
        number, count = stated.astype(np.int64).T
        if len(number) and not 0 <= number.min() <= number.max() < len(self._ids):
            raise WeftError(
                f"{self.where}: {_COUNTS} names events {number.min()} to {number.max()}, {EVENTS} has {len(self._ids)}"
            )
        if (count < 0).any() or count.sum() != self.rows:
            raise WeftError(f"{self.where}: {_COUNTS} adds up to {count.sum()} rows, the table has {self.rows}")
        return number, count

    def _found(self) -> tuple[np.ndarray, np.ndarray]:
        """The same from the numbers of the rows."""
        rows = self._group[_ID][:].astype(np.int64)
        first = np.flatnonzero(np.r_[True, (rows[1:] != rows[:-1]).any(axis=1)][: len(rows)])
        known = {tuple(event): k for k, event in enumerate(self._ids.tolist())}
        number = np.empty(len(first), np.int64)
        for k, event in enumerate(map(tuple, rows[first].tolist())):
            if event not in known:
                raise WeftError(f"{self.where}: row {first[k]} is of event {_slashed(event)}, which {EVENTS} has not")
            number[k] = known[event]
        return number, np.diff(np.r_[first, len(rows)])

    def check(self, k: int) -> None:
        """Raise WeftError unless the rows of event k bear its numbers, at both ends."""
        start, stop = self.starts[k], self.starts[k] + self.counts[k]
        for row in {start, stop - 1} if stop > start else ():
            found = self._group[_ID][row]
            if (found != self._ids[k]).any():
                raise WeftError(
                    f"{self.where}: row {row} is of event {_slashed(found)}, by {_COUNTS} of {_slashed(self._ids[k])}"
                )

    def column(self, name: str, k: int, width: int | None = None) -> np.ndarray:
        """Column of event k: (rows,), or (rows, width); text is str."""
        return self.slice(name, int(self.starts[k]), int(self.starts[k] + self.counts[k]), width)

    def slice(self, name: str, start: int, stop: int, width: int | None = None) -> np.ndarray:
        """Rows start to stop of a column: (rows,), or (rows, width)."""
        try:
            values = np.asarray(self._group[name][start:stop])
        except OSError as error:
            raise WeftError(f"{self.where}: {name}: rows {start} to {stop} cannot be read (damaged?)") from error
        # One number per row is a column of width 1 in these files.
        if width is None and values.ndim == 2 and values.shape[-1] == 1:
            values = values.ravel()
        expected = (stop - start,) if width is None else (stop - start, width)
        if values.shape != expected:
            shape = ", ".join(map(str, values.shape[1:])) or "a number"
            raise WeftError(f"{self.where}: {name} holds {shape} per row, expected {width or 1}")
        if values.dtype.kind in "OS":
            values = np.array([v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist()], np.str_)
        return values

    def width(self, name: str) -> int:
        """Numbers per row of a column."""
        shape = self._group[name].shape
        return int(shape[1]) if len(shape) == 2 else 1

    def blocks(self, name: str, k: int) -> Iterator[tuple[int, int]]:
        """Runs of rows of event k, numbered from its first: they fit into memory and hold whole chunks of `name`."""
        data = self._group[name]
        row_bytes = max(1, self.width(name) * data.dtype.itemsize)
        chunk = data.chunks[0] if data.chunks else 1
        step = max(1, BLOCK_BYTES // (row_bytes * chunk)) * chunk
        start, stop = int(self.starts[k]), int(self.starts[k] + self.counts[k])
        while start < stop:
            end = min(stop, (start // step + 1) * step)
            yield start - int(self.starts[k]), end - int(self.starts[k])
            start = end


def is_numl(file: h5py.File) -> bool:
    """Whether a file has tables of events, and of hits or waveforms."""
    return EVENTS in file and ("wire_table" in file or "hit_table" in file)


def event_numbers(path: Path, file: h5py.File) -> np.ndarray:
    """int64 (events, 3): run, subrun, event of the rows of ``event_table``."""
    ids = np.asarray(file[EVENTS][_ID]) if _ID in file[EVENTS] else np.zeros((0,))
    if ids.ndim != 2 or ids.shape[-1] != 3:
        raise WeftError(f"{path}: {EVENTS}: {_ID} has shape {ids.shape}, expected run, subrun, event of each row")
    return ids.astype(np.int64)


def _slashed(event: Sequence[int] | np.ndarray) -> str:
    return "/".join(str(int(number)) for number in event)
