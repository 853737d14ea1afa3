"""All stages of a chain over one event file, in one process: each reads from memory what those before it made.

The products are those of the staged deploys: between two stages they take the form that a store would give them, and
every network sees batches of the same size, so identifiers are equal and floats are to rounding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from weft.engine.corpus import Corpus
from weft.engine.predict import Predict
from weft.engine.task import Products, Task
from weft.errors import WeftError
from weft.io.conform import conform_all
from weft.io.products import EventId, Schema
from weft.io.provenance import collect, of_file
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.progress import Report
from weft.reco.feed import TRUTH, qualified


class Maker(Protocol):
    """What makes products among others: a stage of a chain, a module of a network."""

    @property
    def name(self) -> str: ...
    @property
    def task(self) -> Task[Any]: ...
    @property
    def providers(self) -> Mapping[str, str]:
        """``{product: maker}`` of what it reads of others."""
        ...


class Link(NamedTuple):
    """One stage of a chain, ready to predict."""

    name: str
    task: Task[Any]
    predict: Predict
    providers: Mapping[str, str]
    """``{product: stage}``: where it reads a product from, if not from the event file"""


def deploy_chain(
    links: Sequence[Link],
    events: Path,
    output: Path,
    options: Mapping[str, Any],
    models: Mapping[str, str],
    run_length: int = 8,
    progress: Report | None = None,
) -> None:
    """Write the products of all stages on one event file to ``output``, atomically, by :func:`names_of`.

    events: an event store, which need not hold labels.
    options, models: all that the products depend on, for the provenance.
    run_length: events that are in memory at a time; a multiple of the stages' batch sizes keeps their batches whole.
    """
    corpus = Corpus([{TRUTH: events}])
    first = {link.name for link in links}
    for link in links:
        corpus.require(
            [name for name in link.task.reads if qualified(name, link.providers).partition("/")[0] not in first]
        )
    names = names_of(links)
    schemas = [schema for link in links for schema in renamed(link, names)]
    store = corpus.store(0)
    parents = {TRUTH: store.content_hash}
    made_with = {name: of_file(Path(path)) for name, path in models.items()}
    provenance = collect(config=options, inputs=parents, models=made_with)
    with StoreWriter(output, schemas, provenance=provenance, parents=parents) as writer:
        for start in range(0, len(corpus), run_length):
            stretch = Stretch(corpus, range(start, min(start + run_length, len(corpus))))
            for link in links:
                stretch.add(link)
            for k, row in enumerate(stretch.rows):
                event = EventId.of(store.events[row])
                made = {
                    names[link.name, product]: value
                    for link in links
                    for product, value in stretch.made[link.name][k].items()
                }
                writer.append(event, made)
            if progress is not None:
                progress(stretch.rows.stop, len(corpus))
    corpus.close()


def names_of(makers: Sequence[Maker]) -> dict[tuple[str, str], str]:
    """What each product is called in the store of the chain, by (stage, product): as it is called itself, and where
    several stages make one of that name, ``<stage>.<product>`` for all but the last of them."""
    last = {schema.name: maker.name for maker in makers for schema in maker.task.makes}
    return {
        (maker.name, schema.name): schema.name if last[schema.name] == maker.name else f"{maker.name}.{schema.name}"
        for maker in makers
        for schema in maker.task.makes
    }


def renamed(maker: Maker, names: Mapping[tuple[str, str], str]) -> Iterator[Schema]:
    """The schemas of a stage with the names that its products, and those that they are on, have in the store."""

    def named(product: str | None) -> str | None:
        if product is None:
            return None
        own = names.get((maker.name, product))
        return own or names.get((maker.providers.get(product, TRUTH), product), product)

    for schema in maker.task.makes:
        yield dataclasses.replace(
            schema, name=names[maker.name, schema.name], on=named(schema.on), items_on=named(schema.items_on)
        )


class Stretch:
    """A run of events with what the stages have made of them so far."""

    def __init__(self, corpus: Corpus, rows: range) -> None:
        self.corpus, self.rows = corpus, rows
        self.made: dict[str, list[Products]] = {}
        """by stage: the products of each event, as a store would hold them"""
        self._read: list[dict[str, Any]] = [{} for _ in rows]

    def add(self, link: Link) -> None:
        """Have a stage predict all events."""
        view = View(self, link.providers)
        made = []
        for k, products in enumerate(link.predict(view)):
            where = f"{self.where(k)}: stage '{link.name}'"
            made.append(conform_all(link.task.makes, products, where, whole=True))
        if len(made) != len(self.rows):
            raise WeftError(f"stage '{link.name}' predicted {len(made)} of {len(self.rows)} events")
        self.made[link.name] = made

    def product(self, k: int, name: str) -> Any:
        """``<stage or truth>/<product>`` of event ``k`` of the stretch."""
        alias, _, product = name.partition("/")
        if alias in self.made:
            return self.made[alias][k][product]
        if name not in self._read[k]:
            self._read[k][name] = self.corpus[self.rows[k]][name]
        return self._read[k][name]

    def has(self, name: str) -> bool:
        alias, _, product = name.partition("/")
        if alias in self.made:
            return product in self.made[alias][0]
        return name in self.corpus[self.rows[0]]

    def where(self, k: int) -> str:
        file, row = self.corpus.locate(self.rows[k])
        return f"{self.corpus.shards[file][TRUTH]}, event {row}"


class View:
    """The events of a stretch as one stage sees them; reads like a :class:`~weft.engine.corpus.Corpus`."""

    def __init__(self, stretch: Stretch, providers: Mapping[str, str]) -> None:
        self._stretch, self._providers = stretch, providers

    @property
    def shards(self) -> Sequence[Mapping[str, Path]]:
        return self._stretch.corpus.shards

    def __len__(self) -> int:
        return len(self._stretch.rows)

    def __getitem__(self, index: int) -> _Seen:
        return _Seen(self._stretch, index, self._providers)

    def locate(self, index: int) -> tuple[int, int]:
        return self._stretch.corpus.locate(self._stretch.rows[index])

    def store(self, file: int) -> EventStore:
        return self._stretch.corpus.store(file)


class _Seen:
    """One event as a stage sees it."""

    def __init__(self, stretch: Stretch, k: int, providers: Mapping[str, str]) -> None:
        self._stretch, self._k, self._providers = stretch, k, providers

    def __getitem__(self, product: str) -> Any:
        return self._stretch.product(self._k, qualified(product, self._providers))

    def __contains__(self, product: object) -> bool:
        return self._stretch.has(qualified(str(product), self._providers))
