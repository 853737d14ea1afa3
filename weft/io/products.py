"""What an event is made of: schemas of products, and the arrays that one event reads as.

A *product* is one kind of information about every event of a file, in one of three forms (DESIGN §2):

* ``table``: rows per event (voxels, charges, particles);
* ``list``: items per event, each a variable number of rows (the voxels of every cluster);
* ``dense``: one N-D array per event (an image, a volume).

The schemas of liquid-argon events are at the end of this file, units included; docs/event_store.md explains
how to add one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from weft.errors import WeftError
from weft.io.dense import DenseBlocks

Kind = Literal["table", "list", "dense"]

_NAME = re.compile(r"[A-Za-z0-9_.+-]+")


class EventId(NamedTuple):
    """Who an event is; ``uid`` is unique and stable, see `weft.io.identity`."""

    run: int
    subrun: int
    event: int
    uid: int

    @classmethod
    def of(cls, row: np.void) -> EventId:
        """The identity that a row of a store's table of events says."""
        return cls(*(int(row[name]) for name in cls._fields))


EVENT_DTYPE = np.dtype([("run", "<i8"), ("subrun", "<i8"), ("event", "<i8"), ("uid", "<u8")])


@dataclass(frozen=True)
class Column:
    name: str
    unit: str = ""
    description: str = ""


@dataclass(frozen=True)
class Schema:
    """What a product holds.

    Attributes:
        name: letters, digits and ``_.+-``.
        kind: ``table``, ``list`` or ``dense``.
        dtype: of one value; structured for named columns, else every column has this type.
        columns: one per column (per channel of the last axis, or one for all, where dense).
        on: the product whose rows these rows belong to. A table has one row per row of it (or an index, see
            ``filtered``); in a list the values (or their first field) are row numbers of it within the event.
        items_on: lists only: the product with one row per item.
        filtered: tables only: the rows are a selection of the rows of ``on`` and come with their row numbers.
        version: raised when the meaning of the values changes.
        codes: integer-coded strings, ``{column: {code: string}}``.
    """

    name: str
    kind: Kind
    dtype: np.dtype
    columns: tuple[Column, ...]
    on: str | None = None
    items_on: str | None = None
    filtered: bool = False
    version: int = 1
    description: str = ""
    codes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dtype = _little_endian(np.dtype(self.dtype))
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "columns", tuple(self.columns))

        def refuse(why: str) -> None:
            raise WeftError(f"schema {self.name!r}: {why}")

        if not _NAME.fullmatch(self.name):
            refuse("a product is named with letters, digits and _.+- only")
        if self.kind not in ("table", "list", "dense"):
            refuse(f"kind is {self.kind!r}, expected table, list or dense")
        if not self.columns:
            refuse("at least one column is needed")
        if dtype.names is not None and dtype.names != tuple(c.name for c in self.columns):
            refuse(f"columns {[c.name for c in self.columns]} differ from the fields of dtype {dtype.names}")
        if dtype.names is not None and self.kind == "dense":
            refuse("a dense product has a plain dtype")
        for leaf in [dtype] if dtype.names is None else [dtype[n] for n in dtype.names]:
            if leaf.kind not in "iuf" or leaf.shape:
                refuse(f"values are integers or floats, not {leaf}; code strings as integers (codes=)")
        if self.items_on is not None and self.kind != "list":
            refuse("only a list has items_on")
        if self.filtered and (self.kind != "table" or self.on is None):
            refuse("only a table on a product can be filtered")
        if self.on is not None and self.kind == "dense":
            refuse("a dense product has no rows, hence no `on`")
        if self.on is not None and self.kind == "list" and self.row_dtype.kind not in "iu":
            refuse("the values (or first field) of a list on a product are its row numbers, hence integers")
        for column in self.codes:
            if column not in {c.name for c in self.columns}:
                refuse(f"codes name the column {column!r}, which does not exist")

    @property
    def width(self) -> tuple[int, ...]:
        """Shape of one row: () where structured or a list of one column, else (number of columns,)."""
        if self.dtype.names is not None or (self.kind == "list" and len(self.columns) == 1):
            return ()
        return (len(self.columns),)

    @property
    def row_dtype(self) -> np.dtype:
        """Type of the first column."""
        return self.dtype if self.dtype.names is None else self.dtype[0]

    def empty(self) -> np.ndarray:
        """An array of no rows."""
        return np.empty((0, *self.width), self.dtype)

    def conform(self, values: Any, where: str) -> np.ndarray:
        """`values` as an array of this schema, shape (n, *width); a flat array is taken for a single column.

        Raises WeftError where names, shape or type do not fit (casts within a kind, such as float64 to
        float32, are made).
        """
        array = np.asarray(values)
        if self.dtype.names is None and array.ndim == 1 and self.width == (1,):
            array = array[:, None]
        if self.width == () and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.shape[1:] != self.width or array.ndim == 0:
            shape = ", ".join(["n", *map(str, self.width)])
            raise WeftError(f"{where}: {self.name} has shape {array.shape}, expected ({shape})")
        if array.dtype == self.dtype:
            return np.ascontiguousarray(array)
        if self.dtype.names is not None:
            if array.dtype.names is None or set(array.dtype.names) != set(self.dtype.names):
                raise WeftError(f"{where}: {self.name} has fields {array.dtype.names}, expected {self.dtype.names}")
            out = np.empty(len(array), self.dtype)
            for name in self.dtype.names:
                out[name] = cast(array[name], self.dtype[name], f"{where}: {self.name}.{name}")
            return out
        return np.ascontiguousarray(cast(array, self.dtype, f"{where}: {self.name}"))

    def conform_dense(self, values: Any, where: str) -> np.ndarray | DenseBlocks:
        """`values` as one N-D array of this schema's type; slabs of one stay slabs, cast as they come."""
        if isinstance(values, DenseBlocks):
            what = f"{where}: {self.name}"
            slabs = ((start, np.ascontiguousarray(cast(s, self.dtype, what))) for start, s in values.slabs(what))
            return DenseBlocks(values.shape, self.dtype, slabs, values.axis)
        array = np.asarray(values)
        if array.ndim == 0:
            raise WeftError(f"{where}: {self.name} is a scalar, expected an array of one or more dimensions")
        return np.ascontiguousarray(cast(array, self.dtype, f"{where}: {self.name}"))

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "dtype": np.lib.format.dtype_to_descr(self.dtype),
            "columns": [{"name": c.name, "unit": c.unit, "description": c.description} for c in self.columns],
            "on": self.on,
            "items_on": self.items_on,
            "filtered": self.filtered,
            "version": self.version,
            "description": self.description,
            "codes": {c: {str(k): v for k, v in sorted(t.items())} for c, t in sorted(self.codes.items())},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        descr = data["dtype"]
        dtype = np.dtype(descr) if isinstance(descr, str) else np.dtype([(n, t) for n, t in descr])
        return cls(
            name=data["name"],
            kind=data["kind"],
            dtype=dtype,
            columns=tuple(Column(**c) for c in data["columns"]),
            on=data["on"],
            items_on=data["items_on"],
            filtered=data["filtered"],
            version=data["version"],
            description=data["description"],
            codes={c: {int(k): v for k, v in t.items()} for c, t in data["codes"].items()},
        )


def cast(array: np.ndarray, dtype: np.dtype, what: str) -> np.ndarray:
    """`array` as another type that holds all of its values; floats may lose precision.

    Raises WeftError where values would be cut or wrapped; `what` names file, event and product in it.
    """
    fits = np.can_cast(array.dtype, dtype, "same_kind" if dtype.kind == "f" else "safe")
    if not fits and array.dtype.kind in "iub" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        fits = array.size == 0 or limits.min <= array.min() <= array.max() <= limits.max
    if not fits and array.size:
        span = f" of {array.min()} to {array.max()}" if array.dtype.kind in "iuf" else ""
        raise WeftError(f"{what} has type {array.dtype}{span}, expected {dtype}")
    return array.astype(dtype, copy=False)


def _little_endian(dtype: np.dtype) -> np.dtype:
    """The packed little-endian form of a type, so that the same values have the same bytes everywhere."""
    if dtype.names is None:
        return dtype.newbyteorder("<")
    return np.dtype([(n, dtype[n].newbyteorder("<")) for n in dtype.names])


@dataclass(frozen=True)
class Ragged:
    """Arrays of different lengths, end to end: item k is ``values[offsets[k]:offsets[k + 1]]``.

    Attributes:
        values: (n, ...), all rows.
        offsets: int64 (items + 1,), from 0 to n.
    """

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, k: int) -> np.ndarray:
        n = len(self)
        if not -n <= k < n:
            raise IndexError(f"item {k} of {n}")
        k %= n
        return self.values[self.offsets[k] : self.offsets[k + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[k] for k in range(len(self)))

    @property
    def counts(self) -> np.ndarray:
        """int64 (items,): rows per item."""
        return np.diff(self.offsets)

    @classmethod
    def of(cls, items: Sequence[np.ndarray], empty: np.ndarray | None = None) -> Ragged:
        """Lay `items` end to end; `empty` gives type and width where there are none."""
        offsets = np.zeros(len(items) + 1, np.int64)
        np.cumsum([len(item) for item in items], out=offsets[1:])
        if items:
            return cls(np.concatenate(items), offsets)
        return cls(np.empty(0) if empty is None else empty, offsets)


class Nested(NamedTuple):
    """Lists of a run of events: event i has items ``event_offsets[i]:event_offsets[i + 1]``, and item k the
    rows ``item_offsets[k]:item_offsets[k + 1]`` of `values`."""

    values: np.ndarray
    item_offsets: np.ndarray
    event_offsets: np.ndarray

    def event(self, i: int) -> Ragged:
        first, last = self.event_offsets[i], self.event_offsets[i + 1]
        offsets = self.item_offsets[first : last + 1]
        return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])


@dataclass(frozen=True)
class Filtered:
    """Rows of a filtered table: `index` (n,) are the row numbers in the parent product, increasing."""

    values: np.ndarray
    index: np.ndarray


# ---------------------------------------------------------------------------------------- liquid-argon events

#: Semantic classes of a voxel; −1 is "no valid label".
SHOWER, TRACK, MICHEL, DELTA, LOW_ENERGY, GHOST = range(6)
CLASSES: Mapping[int, str] = {
    SHOWER: "shower",
    TRACK: "track",
    MICHEL: "michel",
    DELTA: "delta",
    LOW_ENERGY: "low_energy",
    GHOST: "ghost",
}


def structured(*columns: tuple[str, str, str, str]) -> tuple[np.dtype, tuple[Column, ...]]:
    """(name, type, unit, description) rows as a dtype and its columns."""
    return np.dtype([(n, t) for n, t, _, _ in columns]), tuple(Column(n, u, d) for n, _, u, d in columns)


_dtype, _columns = structured(
    *((f"min_{a}", "f8", "cm", f"lower {a} edge of the box") for a in "xyz"),
    *((f"size_{a}", "f8", "cm", f"voxel size along {a}") for a in "xyz"),
    *((f"n{a}", "i8", "", f"voxels along {a}") for a in "xyz"),
)
META = Schema("meta", "table", _dtype, _columns, description="box of voxels; one row per event")

VOXELS = Schema(
    "voxels",
    "table",
    np.dtype("i4"),
    tuple(Column(a, "voxel", f"voxel number along {a}") for a in "xyz"),
    description="occupied voxels, unique, sorted by z·nx·ny + y·nx + x",
)

CHARGE = Schema(
    "charge", "table", np.dtype("f4"), (Column("energy", "MeV", "visible energy"),), on="voxels",
    description="visible energy of a voxel",
)  # fmt: skip

SEMANTICS = Schema(
    "semantics", "table", np.dtype("i1"), (Column("class", "", "−1 where not valid"),), on="voxels",
    codes={"class": CLASSES}, description="semantic class of a voxel",
)  # fmt: skip


def semantic_scores(classes: Sequence[str] = tuple(CLASSES.values())[:5]) -> Schema:
    """float32 (n, classes): softmax scores of a segmentation."""
    columns = tuple([Column(name, "", "softmax score") for name in classes])
    return Schema("semantic_scores", "table", np.dtype("f4"), columns, on="voxels")


_dtype, _columns = structured(
    ("voxel", "i4", "", "row of `voxels` in this event"),
    ("energy", "f4", "MeV", "energy that this particle left in the voxel"),
)
CLUSTERS = Schema(
    "clusters", "list", _dtype, _columns, on="voxels", items_on="particles",
    description="voxels of each particle; clusters may overlap",
)  # fmt: skip


def _vertex(name: str, what: str) -> list[tuple[str, str, str, str]]:
    rows = [(f"{name}_{a}", "f8", "cm", f"{a} of {what}") for a in "xyz"]
    return [*rows, (f"{name}_t", "f8", "ns", f"time of {what}")]


#: LArCV's names without the underscore; integers that are not set are −1, floats that are not set are NaN.
_dtype, _columns = structured(
    ("id", "i4", "", "number of the particle in the event; entry of its cluster"),
    ("mct_index", "i4", "", "index of the generator record"),
    ("mcst_index", "i4", "", "index of the shower or track record"),
    ("shape", "i4", "", "semantic class of its energy deposits"),
    ("current_type", "i4", "", "neutrino current"),
    ("interaction_type", "i4", "", "neutrino interaction type"),
    ("trackid", "i4", "", "Geant4 track id"),
    ("genid", "i4", "", "id in the generator"),
    ("pdg", "i4", "", "PDG code"),
    ("px", "f8", "MeV/c", "momentum at creation"),
    ("py", "f8", "MeV/c", "momentum at creation"),
    ("pz", "f8", "MeV/c", "momentum at creation"),
    ("p", "f8", "MeV/c", "size of the momentum at creation"),
    ("end_px", "f8", "MeV/c", "momentum at the end"),
    ("end_py", "f8", "MeV/c", "momentum at the end"),
    ("end_pz", "f8", "MeV/c", "momentum at the end"),
    *_vertex("vtx", "the creation"),
    *_vertex("end_pt", "the end"),
    *_vertex("first_step", "the first step in the box"),
    *_vertex("last_step", "the last step in the box"),
    ("dist_travel", "f8", "cm", "path length in the box"),
    ("energy_init", "f8", "MeV", "total energy at creation"),
    ("energy_deposit", "f8", "MeV", "energy left in the box"),
    ("process", "i4", "", "creation process"),
    ("num_voxels", "i4", "", "voxels of its cluster"),
    ("parent_trackid", "i4", "", "track id of the parent"),
    ("parent_pdg", "i4", "", "PDG code of the parent"),
    *_vertex("parent_vtx", "the creation of the parent"),
    ("parent_process", "i4", "", "creation process of the parent"),
    ("ancestor_trackid", "i4", "", "track id of the ancestor"),
    ("ancestor_pdg", "i4", "", "PDG code of the ancestor"),
    *_vertex("ancestor_vtx", "the creation of the ancestor"),
    ("ancestor_process", "i4", "", "creation process of the ancestor"),
    ("parent_id", "i4", "", "id of the parent"),
    ("group_id", "i4", "", "id of the particle that leads the group"),
    ("interaction_id", "i4", "", "interaction"),
)
#: Columns of `particles` that are coded strings.
PROCESS_COLUMNS = ("process", "parent_process", "ancestor_process")
PARTICLES = Schema(
    "particles", "table", _dtype, _columns, codes={c: {} for c in PROCESS_COLUMNS},
    description="true particles; row i owns cluster i",
)  # fmt: skip
