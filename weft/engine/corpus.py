"""Many shards as one sequence of events, read at random by several processes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.store import EventStore

TRUTH = "truth"


def qualified(product: str, providers: Mapping[str, str]) -> str:
    """``<alias>/<product>``: a bare name is looked up where the stage's needs say, else in the truth."""
    return product if "/" in product else f"{providers.get(product, TRUTH)}/{product}"


class StoreEvent:
    """One event of a joined store; see :func:`qualified` for names."""

    def __init__(self, store: EventStore, index: int, providers: Mapping[str, str]) -> None:
        self._store, self._index, self._providers = store, index, providers

    def __getitem__(self, product: str) -> Any:
        return self._store[qualified(product, self._providers)][self._index]

    def __contains__(self, product: object) -> bool:
        return qualified(str(product), self._providers) in self._store


class Corpus:
    """Events of shards given as ``{alias: file}``. The index of a shard is read once and kept, and at most ``max_open``
    shards have their files open.

    Pickles as its file names, so each loader process has handles of its own.
    """

    def __init__(
        self,
        shards: Sequence[Mapping[str, str | Path]],
        providers: Mapping[str, str] | None = None,
        max_open: int = 128,
    ) -> None:
        self.shards = [{alias: Path(path) for alias, path in shard.items()} for shard in shards]
        self._providers = dict(providers or {})
        self._max_open = max_open
        self._stores: dict[int, EventStore] = {}
        self._open: OrderedDict[int, EventStore] = OrderedDict()
        counts = [len(self.store(i)) for i in range(len(self.shards))]
        self._first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self._first[-1])

    def store(self, file: int) -> EventStore:
        """The joined store of a shard; the least recently used of more than ``max_open`` is closed."""
        if file in self._open:
            self._open.move_to_end(file)
            return self._open[file]
        if file not in self._stores:
            self._stores[file] = EventStore.open(self.shards[file])
        store = self._open[file] = self._stores[file]
        while len(self._open) > self._max_open:
            self._open.popitem(last=False)[1].close()
        return store

    def locate(self, index: int) -> tuple[int, int]:
        """(file, index in the file) of an event."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        file = int(np.searchsorted(self._first, index, side="right")) - 1
        return file, index - int(self._first[file])

    def __getitem__(self, index: int) -> StoreEvent:
        file, row = self.locate(index)
        return StoreEvent(self.store(file), row, self._providers)

    def __iter__(self) -> Iterator[StoreEvent]:
        return (self[i] for i in range(len(self)))

    def require(self, products: Sequence[str]) -> None:
        """Raise unless every shard has these products, named as in :class:`StoreEvent`."""
        for i, files in enumerate(self.shards):
            for product in products:
                name = qualified(product, self._providers)
                alias, _, product = name.partition("/")
                if name not in self.store(i):
                    raise WeftError(
                        f"{files[alias]}: no product '{product}'; it has: {', '.join(self.store(i).products)}"
                    )

    def content_hashes(self) -> dict[str, str]:
        """``{file: content hash}`` of every file."""
        return {
            str(file.path): file.content_hash for i in range(len(self.shards)) for file in self.store(i).files.values()
        }

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_stores": {}, "_open": OrderedDict()}
