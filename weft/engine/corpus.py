"""Many shards as one sequence of events, read at random by several processes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.store import EventStore
from weft.reco.feed import TRUTH, FedEvent, FedStore, qualified

__all__ = ["TRUTH", "Corpus", "InTurn", "TrainingCorpus", "in_turn"]


class Corpus:
    """Events of shards given as ``{alias: file}``. The index of a shard is read once and kept, and at most ``max_open``
    shards have their files open.

    rows: int64, increasing: only these of all the events.

    Pickles as its file names, so each loader process has handles of its own.
    """

    def __init__(
        self,
        shards: Sequence[Mapping[str, str | Path]],
        providers: Mapping[str, str] | None = None,
        max_open: int = 128,
        rows: np.ndarray | None = None,
    ) -> None:
        self.shards = [{alias: Path(path) for alias, path in shard.items()} for shard in shards]
        self._providers = dict(providers or {})
        self._max_open = max_open
        self._stores: dict[int, FedStore] = {}
        self._open: OrderedDict[int, EventStore] = OrderedDict()
        counts = [len(self.store(i)) for i in range(len(self.shards))]
        self._first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._rows = np.arange(self._first[-1]) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def part(self, rows: np.ndarray) -> Corpus:
        """Some of these events, by their numbers here, which increase; with handles of its own."""
        return Corpus(self.shards, self._providers, self._max_open, self._rows[rows])

    def fed(self, file: int) -> FedStore:
        """A shard as the stage sees it; the least recently used of more than ``max_open`` is closed."""
        if file not in self._stores:
            self._stores[file] = FedStore(EventStore.open(self.shards[file]), self._providers)
        fed = self._stores[file]
        self._open[file] = fed.store
        self._open.move_to_end(file)
        while len(self._open) > self._max_open:
            self._open.popitem(last=False)[1].close()
        return fed

    def store(self, file: int) -> EventStore:
        """The joined store of a shard."""
        return self.fed(file).store

    def locate(self, index: int) -> tuple[int, int]:
        """(file, index in the file) of an event."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = int(self._rows[index])
        file = int(np.searchsorted(self._first, row, side="right")) - 1
        return file, row - int(self._first[file])

    def __getitem__(self, index: int) -> FedEvent:
        file, row = self.locate(index)
        return self.fed(file).event(row)

    def __iter__(self) -> Iterator[FedEvent]:
        return (self[i] for i in range(len(self)))

    def require(self, products: Sequence[str]) -> None:
        """Raise unless every shard has these products, named as in :mod:`weft.reco.feed`, or can derive them."""
        for i, files in enumerate(self.shards):
            for name in products:
                if name not in self.fed(i):
                    alias, _, product = qualified(name, self._providers).partition("/")
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


class InTurn:
    """The same events, fed differently by each of n corpora: event i of the k-th has the number i n + k, so that the
    first events are of all of them. Files are numbered through, those of the first corpus first."""

    def __init__(self, corpora: Sequence[Corpus]) -> None:
        self.corpora = list(corpora)
        if len({(len(corpus), len(corpus.shards)) for corpus in self.corpora}) != 1:
            raise ValueError("corpora to be taken in turn have to be of the same events")

    @property
    def shards(self) -> list[dict[str, Path]]:
        return [shard for corpus in self.corpora for shard in corpus.shards]

    def __len__(self) -> int:
        return sum(map(len, self.corpora))

    def _of(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        event, which = divmod(index, len(self.corpora))
        return which, event

    def fed(self, file: int) -> FedStore:
        which, own = divmod(file, len(self.corpora[0].shards))
        return self.corpora[which].fed(own)

    def store(self, file: int) -> EventStore:
        return self.fed(file).store

    def locate(self, index: int) -> tuple[int, int]:
        """(file, index in the file) of an event."""
        which, event = self._of(index)
        file, row = self.corpora[which].locate(event)
        return which * len(self.corpora[0].shards) + file, row

    def __getitem__(self, index: int) -> FedEvent:
        which, event = self._of(index)
        return self.corpora[which][event]

    def __iter__(self) -> Iterator[FedEvent]:
        return (self[i] for i in range(len(self)))

    def require(self, products: Sequence[str]) -> None:
        """Raise unless every corpus has these products (:meth:`Corpus.require`)."""
        for corpus in self.corpora:
            corpus.require(products)

    def content_hashes(self) -> dict[str, str]:
        """``{file: content hash}`` of every file."""
        return {file: known for corpus in self.corpora for file, known in corpus.content_hashes().items()}


TrainingCorpus = Corpus | InTurn


def in_turn(corpora: Sequence[Corpus]) -> TrainingCorpus:
    """Corpora of the same events as one; of one corpus itself."""
    return corpora[0] if len(corpora) == 1 else InTurn(corpora)
