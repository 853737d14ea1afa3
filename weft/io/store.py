"""Reading event stores: several files as one event, only the products asked for, in microseconds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from weft.errors import WeftError
from weft.io.content import hash_file
from weft.io.lineage import check_lineage, join
from weft.io.products import Nested, Ragged, Schema
from weft.io.store_file import StoreFile
from weft.io.writer import StoreWriter

__all__ = ["EventStore", "Product", "StoreWriter", "content_hash"]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]]


class Dense:
    """One event's N-D array, read lazily: slice it, or pass it to ``numpy.asarray``."""

    def __init__(self, file: StoreFile, name: str) -> None:
        self._file, self._name = file, name

    @property
    def _dataset(self) -> h5py.Dataset:
        return self._file.handle["products"][self._name]

    @property
    def source(self) -> tuple[Path, str]:
        """(file, name in the file): the same for the same array, whichever handle it is read through."""
        return self._file.path, self._name

    @property
    def shape(self) -> tuple[int, ...]:
        return self._dataset.shape

    @property
    def dtype(self) -> np.dtype:
        return self._dataset.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        return self._dataset[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._dataset[()], dtype=dtype)


class Product:
    """One product of an opened store. ``product[i]`` is event i: an array, a `Ragged`, or a lazy `Dense`."""

    def __init__(self, file: StoreFile, schema: Schema, rows: np.ndarray | None, label: str) -> None:
        self.schema = schema
        self._file = file
        self._rows = rows
        self._label = label
        self._offsets: np.ndarray | None = None
        self._values = f"{schema.name}/values"
        self._items = f"{schema.name}/item_offsets"

    def __len__(self) -> int:
        return len(self._file.events) if self._rows is None else len(self._rows)

    @property
    def offsets(self) -> np.ndarray:
        """int64: where each event of the file starts, in rows (tables) or items (lists)."""
        if self._offsets is None:
            name = "event_offsets" if self.schema.kind == "list" else "offsets"
            dataset = self._file.dataset(f"{self.schema.name}/{name}")
            self._offsets = dataset.read(0, len(self._file.events) + 1)
        return self._offsets

    @property
    def counts(self) -> np.ndarray:
        """int64 (n_events,): rows (tables) or items (lists) of each event."""
        counts = np.diff(self.offsets)
        return counts if self._rows is None else counts[self._rows]

    def _row(self, i: int) -> int:
        n = len(self)
        if not -n <= i < n:
            raise IndexError(f"{self._label}: event {i} of {n}")
        i = int(i) % n
        return i if self._rows is None else int(self._rows[i])

    def __getitem__(self, i: int) -> Any:
        if isinstance(i, slice):
            raise TypeError(f"{self._label}: a run of events is read with store.read(name, start, stop)")
        row = self._row(i)
        if self.schema.kind == "dense":
            return Dense(self._file, f"{self.schema.name}/data/{row}")
        start, stop = self.offsets[row : row + 2].tolist()
        if self.schema.kind == "table":
            return self._file.dataset(self._values).read(start, stop)
        offsets = self._file.dataset(self._items).read(start, stop + 1)
        first, last = int(offsets[0]), int(offsets[-1])
        return Ragged(self._file.dataset(self._values).read(first, last), offsets - first)

    def index(self, i: int) -> np.ndarray:
        """int32: the rows of the parent product that event i's rows are; all of them where not filtered."""
        start, stop = self.offsets[self._row(i) :][:2].tolist()
        if self.schema.filtered:
            return self._file.dataset(f"{self.schema.name}/index").read(start, stop)
        return np.arange(stop - start, dtype=np.int32)

    def read(self, start: int, stop: int) -> Ragged | Nested:
        """Events start to stop (exclusive)."""
        if self.schema.kind == "dense":
            raise WeftError(f"{self._label} is dense: read it event by event, store[{self._label!r}][i]")
        start, stop, _ = slice(start, stop).indices(len(self))
        stop = max(start, stop)
        if self._rows is not None:
            return self._gather([self[i] for i in range(start, stop)])
        offsets = self.offsets[start : stop + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        if self.schema.kind == "table":
            return Ragged(self._file.dataset(self._values).read(first, last), offsets - first)
        items = self._file.dataset(self._items).read(first, last + 1)
        values = self._file.dataset(self._values).read(int(items[0]), int(items[-1]))
        return Nested(values, items - items[0], offsets - first)

    def _gather(self, events: list[Any]) -> Ragged | Nested:
        if self.schema.kind == "table":
            return Ragged.of(events, self.schema.empty())
        values = Ragged.of([e.values for e in events], self.schema.empty()).values
        counts = [e.counts for e in events]
        items = Ragged.of(counts, np.empty(0, np.int64))
        item_offsets = np.concatenate([[0], np.cumsum(items.values)]).astype(np.int64)
        return Nested(values, item_offsets, items.offsets)


class EventStore:
    """One or several event-store files that hold the same events, read as one.

    ``store[name][i]`` is one event's product. A product is named plainly where only one file has it, else
    ``<alias>/<product>``. The object pickles as its paths; each process opens its own handles.

    Attributes:
        events: structured (run, subrun, event int64; uid uint64), one row per event.
        products: schema of each product, by the name to ask for it.
        files: the files by alias, with their `provenance`, `parents` and `content_hash`.
    """

    def __init__(self, files: Mapping[str, StoreFile]) -> None:
        self.files = dict(files)
        first = next(iter(self.files.values()))
        self.events = first.events
        self._rows = {alias: join(first, file) for alias, file in self.files.items()}
        check_lineage(self.files)
        owners: dict[str, list[str]] = {}
        for alias, file in self.files.items():
            for name in file.schemas:
                owners.setdefault(name, []).append(alias)
        self._owners = owners
        self.products: dict[str, Schema] = {
            name if len(aliases) == 1 else f"{alias}/{name}": self.files[alias].schemas[name]
            for name, aliases in owners.items()
            for alias in aliases
        }
        self._open_products: dict[str, Product] = {}

    @classmethod
    def open(cls, paths: Paths) -> EventStore:
        """Open one path, several (aliases "0", "1", …) or a mapping alias → path.

        The first file says which events there are and in which order; every other one must hold them all.
        Raises WeftError for what is not a complete event store, and for files that do not belong together:
        other events, or a recorded parent whose content hash is not that of the file opened beside it.
        """
        if isinstance(paths, str | os.PathLike):
            named = {"0": Path(paths)}
        elif isinstance(paths, Mapping):
            named = {alias: Path(path) for alias, path in paths.items()}
        else:
            named = {str(k): Path(path) for k, path in enumerate(paths)}
        if not named:
            raise WeftError("no event store to open: give at least one path")
        for alias in named:
            if not alias or "/" in alias:
                raise WeftError(f"{alias!r} cannot name an event store: an alias is a text without '/'")
        return cls({alias: StoreFile(path) for alias, path in named.items()})

    def __reduce__(self) -> tuple[Any, ...]:
        return EventStore.open, ({alias: file.path for alias, file in self.files.items()},)

    def __len__(self) -> int:
        return len(self.events)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self.products or self._qualified(name) is not None)

    def _qualified(self, name: str) -> tuple[str, str] | None:
        alias, slash, product = name.partition("/")
        if slash and alias in self.files and product in self.files[alias].schemas:
            return alias, product
        return None

    def _find(self, name: str) -> tuple[str, str]:
        """(alias, product) of a plain or qualified name."""
        qualified = self._qualified(name)
        if qualified is not None:
            return qualified
        aliases = self._owners.get(name, [])
        if len(aliases) == 1:
            return aliases[0], name
        where = ", ".join(str(file.path) for file in self.files.values())
        if aliases:
            raise WeftError(f"{where}: {name!r} is in several files; say which: {[f'{a}/{name}' for a in aliases]}")
        raise WeftError(f"{where}: no product {name!r}; there are {sorted(self.products)}")

    def __getitem__(self, name: str) -> Product:
        product = self._open_products.get(name)
        if product is None:
            alias, plain = self._find(name)
            product = Product(self.files[alias], self.files[alias].schemas[plain], self._rows[alias], name)
            self._check_parent(alias, product)
            self._open_products[name] = product
        return product

    def _check_parent(self, alias: str, product: Product) -> None:
        schema = product.schema
        for parent, per_item in ((schema.on, False), (schema.items_on, True)):
            owners = self._owners.get(parent or "", [])
            if parent is None or not owners:
                continue
            owner = alias if alias in owners else self._parent_of(alias, owners)
            if (schema.kind == "list" or schema.filtered) and not per_item:
                continue
            theirs = self[f"{owner}/{parent}"].counts
            wrong = np.flatnonzero(product.counts != theirs)
            if len(wrong):
                i = int(wrong[0])
                raise WeftError(
                    f"{self.files[alias].path}: event {i} has {product.counts[i]} of {schema.name}, but "
                    f"{theirs[i]} rows of {parent} in {self.files[owner].path}"
                )

    def _parent_of(self, alias: str, owners: Sequence[str]) -> str:
        """Of several files with a product the one that a file was made from; the first where that is not recorded."""
        parents = set(self.files[alias].parents.values())
        return next((owner for owner in owners if self.files[owner].content_hash in parents), owners[0])

    def read(self, name: str, start: int, stop: int) -> Ragged | Nested:
        """Events start to stop: `Ragged` for a table, `Nested` for a list."""
        return self[name].read(start, stop)

    @property
    def content_hash(self) -> str:
        """As recorded when the file was written; of a store of one file."""
        if len(self.files) != 1:
            raise WeftError("several files are open: ask store.files[alias].content_hash")
        return next(iter(self.files.values())).content_hash

    def close(self) -> None:
        for file in self.files.values():
            file.close()

    def __enter__(self) -> EventStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def content_hash(path: str | os.PathLike[str]) -> str:
    """Hash of a store's arrays, schemas and units, computed from the content; provenance is left out."""
    file = StoreFile(Path(path))
    try:
        return hash_file(file.handle, list(file.schemas.values()))
    finally:
        file.close()
