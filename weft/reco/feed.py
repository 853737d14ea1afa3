"""What a stage is fed: products by name, from the truth, from earlier stages, or derived from the truth.

A bare name is looked up where the stage's needs say, else in the truth; ``truth/<product>`` is always the truth. True
products that a store does not hold, such as the true counterpart of what an earlier stage predicts, are derived from
its voxels, clusters and particles (:mod:`weft.reco.truth`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from weft.io.products import Filtered, Nested, Ragged
from weft.io.store import EventStore, Product
from weft.reco.truth import DERIVED, Truth

TRUTH = "truth"
SOURCES = ("meta", "voxels", "charge", "semantics", "clusters", "particles")
"""true products of a store that others are derived from"""
_KEPT = 32
"""events whose derived products are kept: scoring and sampling ask for several of the same event"""


def qualified(product: str, providers: Mapping[str, str]) -> str:
    """``<alias>/<product>``: a bare name is looked up where the stage's needs say, else in the truth.

    A stage that is fed the truth has ``<stage>/<product>`` of its needs among the providers, as ``truth``.
    """
    if product in providers:
        return f"{providers[product]}/{product.rpartition('/')[2]}"
    return product if "/" in product else f"{TRUTH}/{product}"


class Events(Protocol):
    """Events to predict: a :class:`~weft.engine.corpus.Corpus`, or a run of events in memory."""

    @property
    def shards(self) -> Sequence[Mapping[str, Path]]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Any: ...
    def locate(self, index: int) -> tuple[int, int]: ...
    def store(self, file: int) -> EventStore: ...


class FedStore:
    """A joined store as a stage sees it; reads like an :class:`~weft.io.store.EventStore`.

    providers: ``{product: alias}``, where the stage's needs say to look for a product.
    """

    def __init__(self, store: EventStore, providers: Mapping[str, str] | None = None) -> None:
        self.store, self._providers = store, dict(providers or {})
        self._truths: OrderedDict[int, Truth] = OrderedDict()

    @property
    def events(self) -> np.ndarray:
        return self.store.events

    def __len__(self) -> int:
        return len(self.store)

    def __contains__(self, product: object) -> bool:
        name = qualified(str(product), self._providers)
        return name in self.store or (
            _is_derived(name) and all(f"{TRUTH}/{source}" in self.store for source in SOURCES)
        )

    def __getitem__(self, product: str) -> Product | Derived:
        name = qualified(product, self._providers)
        if name not in self.store and name in self:
            return Derived(self, name.partition("/")[2])
        return self.store[name]

    def read(self, product: str, start: int, stop: int) -> Ragged | Nested:
        """Events start to stop: `Ragged` for a table, `Nested` for a list."""
        return self[product].read(start, stop)

    def event(self, index: int) -> FedEvent:
        return FedEvent(self, index)

    def truth(self, index: int) -> Truth:
        """What is derived from the truth of one event, kept while it is one of the last few."""
        truth = self._truths.pop(index, None) or Truth(_TrueEvent(self.store, index))
        self._truths[index] = truth
        if len(self._truths) > _KEPT:
            self._truths.popitem(last=False)
        return truth


class FedEvent:
    """One event of a :class:`FedStore`."""

    def __init__(self, store: FedStore, index: int) -> None:
        self._store, self._index = store, index

    def __getitem__(self, product: str) -> Any:
        """As a prediction gives it: a filtered table with its row numbers in the parent (`Filtered`)."""
        read = self._store[product]
        if isinstance(read, Product) and read.schema.filtered:
            return Filtered(read[self._index], read.index(self._index))
        return read[self._index]

    def __contains__(self, product: object) -> bool:
        return product in self._store

    @property
    def source(self) -> tuple[Path, int]:
        """(true file, event in it): the same for the same event, whichever handle it is read through."""
        files = self._store.store.files
        return files.get(TRUTH, next(iter(files.values()))).path, self._index

    def codes(self, product: str) -> Mapping[str, Mapping[int, str]]:
        """``{column: {code: meaning}}`` of a product that the store holds; nothing of a derived one."""
        read = self._store[product]
        return read.schema.codes if isinstance(read, Product) else {}


class Derived:
    """A true product that the store does not hold; reads like a :class:`~weft.io.store.Product`."""

    def __init__(self, store: FedStore, name: str) -> None:
        self._store, self._name = store, name

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, i: int) -> Any:
        return getattr(self._store.truth(range(len(self))[i]), self._name)

    @property
    def counts(self) -> np.ndarray:
        """int64 [events]: rows (tables) or items (lists) of each event."""
        return np.array([len(self[i]) for i in range(len(self))], np.int64)

    def read(self, start: int, stop: int) -> Ragged | Nested:
        return together([self[i] for i in range(*slice(start, stop).indices(len(self)))])


def processes_of(event: Any) -> Mapping[int, str] | None:
    """What the codes of creation processes in `truth/particles` mean; None where the event does not say."""
    name = f"{TRUTH}/particles"
    if not hasattr(event, "codes") or name not in event:
        return None
    return event.codes(name).get("process") or None


def processes_in(store: Any) -> Mapping[int, str] | None:
    """The same of a store as scoring reads it."""
    name = f"{TRUTH}/particles"
    schema = getattr(store[name], "schema", None) if name in store else None
    return None if schema is None else schema.codes.get("process") or None


def together(events: list[Any]) -> Ragged | Nested:
    """Arrays, or `Ragged`, of several events end to end, as a store reads a run of them."""
    if not events or not isinstance(events[0], Ragged):
        return Ragged.of(events)
    values = Ragged.of([event.values for event in events]).values
    items = Ragged.of([event.counts for event in events])
    item_offsets = np.concatenate([[0], np.cumsum(items.values)]).astype(np.int64)
    return Nested(values, item_offsets, items.offsets)


def _is_derived(name: str) -> bool:
    alias, _, product = name.partition("/")
    return alias == TRUTH and product in DERIVED


class _TrueEvent(Mapping[str, Any]):
    """The true products of one event, each read once."""

    def __init__(self, store: EventStore, index: int) -> None:
        self._store, self._index = store, index
        self._read: dict[str, Any] = {}

    def __getitem__(self, product: str) -> Any:
        if product not in self._read:
            self._read[product] = self._store[f"{TRUTH}/{product}"][self._index]
        return self._read[product]

    def __iter__(self) -> Iterator[str]:
        return iter(SOURCES)

    def __len__(self) -> int:
        return len(SOURCES)
