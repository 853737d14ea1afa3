"""Reading SPINE's HDF5 event by event, in both of its layouts (spec §4.4).

V1: flat datasets, and in `events` a region reference per event and product; objects are compound rows with lists of
variable length. V2: a group per product with `values` and `event_offsets`; objects have the fields of fixed size in
`fixed`, the others in pools, each pool with the ends of its fields in the column `_var_offsets_<i>` of `fixed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from weft.errors import WeftError

_OFFSETS = "_var_offsets_"


def is_spine(file: h5py.File) -> bool:
    """Whether an HDF5 file is one of SPINE's."""
    return (
        "info" in file and "events" in file and ("cfg" in file["info"].attrs or "spine_version" in file["info"].attrs)
    )


class SpineFile:
    """An open file; close it.

    Attributes:
        version: of the layout, 1 or 2.
        events: how many there are.
        products: names of all products.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._reading("the file"):
            self._file = h5py.File(path, "r", locking=False)
            info = self._file["info"].attrs
            self.version = int(info.get("format_version", 1))
            self.about = {name: str(info[name]) for name in ("spine_version", "format") if name in info}
            complete = bool(info.get("complete", True))
            self.events = len(self._file["events"])
        if self.version not in (1, 2):
            raise WeftError(f"{path}: SPINE's layout {self.version}, expected 1 or 2")
        if not complete:
            raise WeftError(f"{path}: marked as incomplete: what wrote it did not finish")
        names = self._file["events"].dtype.names or () if self.version == 1 else self._file["products"]
        self.products = sorted(names)

    def __contains__(self, name: str) -> bool:
        return name in self.products

    def array(self, name: str, event: int) -> np.ndarray:
        """Rows [n] or [n, width] of one event."""
        with self._reading(f"{name} of event {event}"):
            if self.version == 1:
                dataset = self._file[name]
                rows = dataset[self._file["events"][event][name]]
                return rows.reshape(-1, *dataset.shape[1:])
            group = self._file["products"][name]
            start, stop = group["event_offsets"][event : event + 2]
            return group["values"][start:stop]

    def objects(self, name: str, event: int) -> dict[str, Any]:
        """Fields of the objects of one event: arrays, or lists of arrays or of strings where lengths vary."""
        with self._reading(f"{name} of event {event}"):
            return self._compound(name, event) if self.version == 1 else self._pooled(name, event)

    def _compound(self, name: str, event: int) -> dict[str, Any]:
        rows = self._file[name][self._file["events"][event][name]]
        return {field: _column(rows[field], rows.dtype[field]) for field in rows.dtype.names}

    def _pooled(self, name: str, event: int) -> dict[str, Any]:
        group = self._file["products"][name]
        start, stop = group["event_offsets"][event : event + 2]
        rows = group["fixed"][start:stop]
        columns = {field: rows[field] for field in rows.dtype.names if not field.startswith(_OFFSETS)}
        for name, pool in group["variables"].items():
            offsets = rows[_OFFSETS + name.removeprefix("pool_")]
            fields = yaml.safe_load(pool.attrs["fields"])
            first, last = (int(offsets.min()), int(offsets.max())) if len(offsets) else (0, 0)
            values = pool["values"][first:last]
            for k, field in enumerate(fields):
                cells = [values[a - first : b - first] for a, b in offsets[:, k : k + 2].tolist()]
                text = pool.attrs["kind"] == "string"
                columns[field] = [cell.tobytes().decode() for cell in cells] if text else cells
        return columns

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Whatever h5py raises on damaged bytes or other layouts, as one line."""
        try:
            yield
        except (OSError, KeyError, ValueError, TypeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise WeftError(f"{self.path}: {what} cannot be read (truncated or damaged?): {reason}") from error

    def close(self) -> None:
        self._file.close()


def _column(values: np.ndarray, dtype: np.dtype) -> Any:
    if h5py.check_string_dtype(dtype) is not None:
        return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
    return list(values) if dtype.kind == "O" else values
