"""One event in memory, as the modules see it: what the stage is fed, the truth, and what modules have made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from weft.engine.task import Event, Products, Sample
from weft.errors import WeftError
from weft.reco.truth import DERIVED, Truth
from weft.tasks.joint.turning import Turn
from weft.tasks.joint.wiring import Module

_TRUE = "truth/"


@dataclass(frozen=True)
class Record(Sample):
    """The products of an event, each read once; ``arrays`` is empty."""

    fed: Mapping[str, Any] = field(default_factory=dict)
    """by the names that modules read them by"""
    truth: Mapping[str, Any] = field(default_factory=dict)
    """true products, without `truth/`"""
    labels: bool = False
    """whether modules learn from it or are judged by it"""
    seed: int | None = None
    """of the random views of the modules; None where the event is not for training"""

    @classmethod
    def read(cls, event: Event, index: tuple[int, int], reads: Sequence[str], labels: Sequence[str] | None) -> Record:
        """labels: the true products to read, None without."""
        fed = {name: event[name] for name in reads if not name.startswith(_TRUE)}
        names = {*(labels or ()), *(name.removeprefix(_TRUE) for name in reads if name.startswith(_TRUE))} - DERIVED
        return cls({}, index, fed, {name: event[_TRUE + name] for name in sorted(names)}, labels is not None)

    def turned(self, turn: Turn, seed: int) -> Record:
        """The same event as ``turn`` shows it, for training."""
        fed = {name: turn.product(name.rpartition("/")[2], value) for name, value in self.fed.items()}
        truth = {name: turn.product(name, value) for name, value in self.truth.items()}
        return Record({}, self.event, fed, truth, self.labels, seed)

    def true(self, name: str) -> Any:
        """A true product, or one that is derived from the others."""
        if name not in self.truth and name in DERIVED:
            return getattr(self._derived, name)
        if name not in self.truth:
            raise WeftError(f"no true product '{name}' was read; there are: {', '.join(self.truth)}")
        return self.truth[name]

    @cached_property
    def _derived(self) -> Truth:
        return Truth(self.truth)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_derived"}


class Seen:
    """A record as one module sees it.

    sources: ``{product: module}`` of what it is fed by modules; made: ``{module: products}`` of the event.
    """

    def __init__(
        self, record: Record, module: Module, sources: Mapping[str, str], made: Mapping[str, Products]
    ) -> None:
        self._record, self._module, self._sources, self._made = record, module, sources, made

    def __getitem__(self, name: str) -> Any:
        if name.startswith(_TRUE):
            return self._record.true(name.removeprefix(_TRUE))
        product = name.rpartition("/")[2]
        if name in self._sources:
            return self._made[self._sources[name]][product]
        if name in self._module.providers:  # it learns from the truth
            return self._record.true(product)
        if name not in self._record.fed:
            raise WeftError(f"module '{self._module.name}' reads no '{name}'")
        return self._record.fed[name]

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except WeftError:
            return False
        return True


def rng_of(record: Record, module: Module) -> np.random.Generator:
    """What the random view of a module is drawn from."""
    assert record.seed is not None
    return np.random.default_rng([record.seed, module.number])
