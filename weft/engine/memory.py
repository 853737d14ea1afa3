"""Predictions still in memory, joined to the store they were made from: what validation scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.engine.task import Products
from weft.io.products import Ragged
from weft.io.store import EventStore

PREDICTION = "prediction"


class PredictedEvents:
    """The first ``len(predictions)`` events of a store, with predicted tables as ``prediction/<product>``.

    Reads like an :class:`~weft.io.store.EventStore` opened as ``truth`` and ``prediction``.
    """

    def __init__(self, store: EventStore, predictions: list[Products]) -> None:
        self._store, self._predictions = store, predictions

    def __len__(self) -> int:
        return len(self._predictions)

    @property
    def events(self) -> np.ndarray:
        return self._store.events[: len(self)]

    def __contains__(self, product: object) -> bool:
        alias, _, name = str(product).partition("/")
        if alias == PREDICTION:
            return bool(self._predictions) and name in self._predictions[0]
        return product in self._store

    def __getitem__(self, product: str) -> Any:
        alias, _, name = product.partition("/")
        return [event[name] for event in self._predictions] if alias == PREDICTION else self._store[product]

    def read(self, product: str, start: int, stop: int) -> Any:
        alias, _, name = product.partition("/")
        if alias != PREDICTION:
            return self._store.read(product, start, stop)
        return Ragged.of([event[name] for event in self._predictions[start:stop]])
