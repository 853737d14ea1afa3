"""Predictions still in memory, joined to the store they were made from: what validation scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.engine.task import Products
from weft.io.products import Schema
from weft.io.store import Product
from weft.reco.feed import Derived, FedStore, together

PREDICTION = "prediction"


class PredictedEvents:
    """``len(predictions)`` events of a store from ``first`` on, with what is predicted as ``prediction/<product>``.

    Reads like a :class:`~weft.reco.feed.FedStore` of truth, input and ``prediction``.
    """

    def __init__(self, store: FedStore, predictions: list[Products], first: int = 0) -> None:
        self._store, self._predictions, self._first = store, predictions, first

    def __len__(self) -> int:
        return len(self._predictions)

    @property
    def events(self) -> np.ndarray:
        return self._store.events[self._first : self._first + len(self)]

    def __contains__(self, product: object) -> bool:
        alias, _, name = str(product).partition("/")
        if alias == PREDICTION:
            return bool(self._predictions) and name in self._predictions[0]
        return product in self._store

    def __getitem__(self, product: str) -> Any:
        alias, _, name = product.partition("/")
        if alias == PREDICTION:
            return [event[name] for event in self._predictions]
        return _Run(self._store[product], self._first, len(self))

    def read(self, product: str, start: int, stop: int) -> Any:
        alias, _, name = product.partition("/")
        if alias != PREDICTION:
            return self._store.read(product, self._first + start, self._first + min(stop, len(self)))
        return together([event[name] for event in self._predictions[start:stop]])


class _Run:
    """``count`` events of a product from ``first`` on."""

    def __init__(self, product: Product | Derived, first: int, count: int) -> None:
        self._product, self._first, self._count = product, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Any:
        return self._product[self._first + range(self._count)[i]]

    @property
    def schema(self) -> Schema | None:
        """None of a derived product."""
        return getattr(self._product, "schema", None)

    @property
    def counts(self) -> np.ndarray:
        """int64 [count]: rows (tables) or items (lists) of each event."""
        return self._product.counts[self._first : self._first + self._count]
