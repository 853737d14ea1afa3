"""Writing SPINE's HDF5 (layout V1, what SPINE 1.4 writes unless told otherwise; spec §4.4).

Every product is one flat dataset of the rows of all events, and `events` has, for each event and product, a region
reference to its rows. Objects are compound rows whose lists are of variable length. SPINE's reader takes what is not
stored from the defaults of its classes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from weft import __version__
from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.provenance import canonical_json

VERSION = 1
_REFERENCE = h5py.special_dtype(ref=h5py.RegionReference)


@dataclass(frozen=True)
class Rows:
    """An array per event: [n] where width is 0, else [n, width]; exactly one number where `scalar`."""

    dtype: str
    width: int = 0
    scalar: bool = False


@dataclass(frozen=True)
class Objects:
    """Objects of one of SPINE's classes, any number per event, or exactly one where `scalar`.

    fields: type of each, in numpy's letters: ``i8``, ``f8``, ``?``; ``str``; ``3f4`` for three numbers; ``[i4]`` for
        a list of any length.
    """

    class_name: str
    fields: Mapping[str, str]
    scalar: bool = False

    @property
    def dtype(self) -> np.dtype:
        return np.dtype([(name, *_field_type(kind)) for name, kind in self.fields.items()])

    def rows(self, columns: Mapping[str, Any], where: str) -> np.ndarray:
        """Compound rows [n] from a column for each field: an array, or a sequence of strings or arrays."""
        if set(columns) != set(self.fields):
            wrong = sorted(set(columns) ^ set(self.fields))
            raise WeftError(f"{where}: {self.class_name} has not the fields it is declared with: {', '.join(wrong)}")
        lengths = {len(column) for column in columns.values()}
        if len(lengths) > 1:
            raise WeftError(f"{where}: columns of {self.class_name} have different lengths: {sorted(lengths)}")
        rows = np.empty(lengths.pop(), self.dtype)
        if len(rows):  # numpy would not take an empty list for rows of three numbers
            for name, kind in self.fields.items():
                if kind[0] == "[":
                    for k, values in enumerate(columns[name]):
                        rows[name][k] = np.asarray(values, kind[1:-1])
                else:
                    rows[name] = columns[name]
        return rows


Layout = Rows | Objects


def _field_type(kind: str) -> tuple[Any, ...]:
    if kind == "str":
        return (h5py.string_dtype(),)
    if kind[0] == "[":
        return (h5py.vlen_dtype(np.dtype(kind[1:-1])),)
    if kind[0].isdigit():
        return (kind[1:], (int(kind[0]),))
    return (kind,)


class SpineWriter:
    """Context manager that writes one file event by event; it appears under `path` on a clean exit only.

    Args:
        path: the target.
        layouts: the products, all of which every event must bring.
        record: what SPINE calls the configuration, kept as text.
    """

    def __init__(self, path: str | os.PathLike[str], layouts: Mapping[str, Layout], record: Mapping[str, Any]) -> None:
        self.path, self.layouts, self.record = Path(path), dict(layouts), record
        self.events = 0

    def __enter__(self) -> SpineWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._file = file = stack.enter_context(h5py.File(temporary, "w"))
            info = file.create_group("info").attrs
            info["format"], info["format_version"], info["complete"] = "spine_hdf5", VERSION, False
            info["spine_version"] = f"weft {__version__}"  # the reader asks who wrote it, not which release of SPINE
            info["cfg"] = canonical_json(dict(self.record))  # which is YAML too
            for name, layout in self.layouts.items():
                width = (layout.width,) if isinstance(layout, Rows) and layout.width else ()
                packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if width else {}
                dataset = file.create_dataset(
                    name, (0, *width), layout.dtype, maxshape=(None, *width), chunks=True, **packed
                )
                dataset.attrs["scalar"] = layout.scalar
                if isinstance(layout, Objects):
                    dataset.attrs["class_name"] = layout.class_name
            types = [(name, _REFERENCE) for name in self.layouts]
            file.create_dataset("events", (0,), types, maxshape=(None,), chunks=True)
            self._stack = stack.pop_all()
        return self

    def append(self, products: Mapping[str, Any]) -> None:
        """Write one event: an array for :class:`Rows`, a mapping of columns for :class:`Objects`."""
        where = f"{self.path}: event {self.events}"
        if set(products) != set(self.layouts):
            wrong = sorted(set(products) ^ set(self.layouts))
            raise WeftError(f"{where}: every event brings the same products; missing or unknown: {', '.join(wrong)}")
        event = np.empty(1, self._file["events"].dtype)
        for name, layout in self.layouts.items():
            value = products[name]
            rows = layout.rows(value, f"{where}: {name}") if isinstance(layout, Objects) else np.asarray(value)
            if layout.scalar and len(rows) != 1:
                raise WeftError(f"{where}: {name} has {len(rows)} rows, expected one")
            event[name] = self._extend(self._file[name], rows)
        events = self._file["events"]
        events.resize(self.events + 1, axis=0)
        events[self.events] = event[0]
        self.events += 1

    @staticmethod
    def _extend(dataset: h5py.Dataset, rows: np.ndarray) -> Any:
        start = len(dataset)
        dataset.resize(start + len(rows), axis=0)
        if len(rows):
            dataset[start:] = rows
        return dataset.regionref[start : start + len(rows)]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file["info"].attrs["complete"] = True
        self._stack.__exit__(kind, error, trace)
