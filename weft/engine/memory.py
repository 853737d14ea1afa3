"""Predictions still in memory, joined to the store they were made from: what validation scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.engine.task import Products
from weft.io.products import Schema
from weft.io.store import Product
from weft.reco.feed import Derived, FedStore, together

PREDICTION = "prediction"


class PredictedEvents:
    """Events of a store, from ``first`` on or those in ``rows``, with what is predicted as ``prediction/<product>``.

    Reads like a :class:`~weft.reco.feed.FedStore` of truth, input and ``prediction``.
    """

    def __init__(
        self, store: FedStore, predictions: list[Products], first: int = 0, rows: Sequence[int] | None = None
    ) -> None:
        self._store, self._predictions = store, predictions
        self._rows = np.arange(first, first + len(predictions)) if rows is None else np.array(rows, np.int64)

    def __len__(self) -> int:
        return len(self._predictions)

    @property
    def events(self) -> np.ndarray:
        return self._store.events[self._rows]

    def __contains__(self, product: object) -> bool:
        alias, _, name = str(product).partition("/")
        if alias == PREDICTION:
            return bool(self._predictions) and name in self._predictions[0]
        return product in self._store

    def __getitem__(self, product: str) -> Any:
        alias, _, name = product.partition("/")
        if alias == PREDICTION:
            return [event[name] for event in self._predictions]
        return _Run(self._store[product], self._rows)

    def read(self, product: str, start: int, stop: int) -> Any:
        alias, _, name = product.partition("/")
        if alias != PREDICTION:
            rows = self._rows[start:stop].tolist()
            if rows and rows != list(range(rows[0], rows[0] + len(rows))):
                return together([self._store[product][row] for row in rows])
            first = rows[0] if rows else 0
            return self._store.read(product, first, first + len(rows))
        return together([event[name] for event in self._predictions[start:stop]])


class _Run:
    """Some events of a product."""

    def __init__(self, product: Product | Derived, rows: np.ndarray) -> None:
        self._product, self._rows = product, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: int) -> Any:
        return self._product[int(self._rows[i])]

    @property
    def schema(self) -> Schema | None:
        """None of a derived product."""
        return getattr(self._product, "schema", None)

    @property
    def counts(self) -> np.ndarray:
        """int64 [count]: rows (tables) or items (lists) of each event."""
        return self._product.counts[self._rows]
