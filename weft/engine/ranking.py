"""Which validations were the best, and for how many there has been no progress."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Mode = Literal["min", "max"]


def order(value: float, mode: Mode) -> float:
    """Greater is better; NaN is worse than any number."""
    if math.isnan(value):
        return -math.inf
    return value if mode == "max" else -value


def is_progress(value: float, reference: float | None, mode: Mode, min_delta: float) -> bool:
    """Whether a value is better by more than ``min_delta`` than the one of the last progress; the first one is."""
    return reference is None or order(value, mode) > order(reference, mode) + min_delta


@dataclass(frozen=True)
class Kept:
    """A validation among the best, and the file with its weights."""

    step: int
    value: float
    file: str


@dataclass
class Ranking:
    """The ``keep`` best validations so far, best first; of equals the earlier. A value that is NaN is worse than any.

    ``reference`` is the value of the last progress (:func:`is_progress`); ``waiting`` counts the validations since.
    """

    mode: Mode
    keep: int = 1
    min_delta: float = 0.0
    kept: list[Kept] = field(default_factory=list)
    reference: float | None = None
    waiting: int = 0

    def enter(self, validation: Kept) -> bool:
        """Take note of a validation. True if it is among the best."""
        if is_progress(validation.value, self.reference, self.mode, self.min_delta):
            self.reference, self.waiting = validation.value, 0
        else:
            self.waiting += 1
        self.kept = self._best_of([*self.kept, validation])
        return validation in self.kept

    def _best_of(self, validations: list[Kept]) -> list[Kept]:
        return sorted(validations, key=lambda kept: (-order(kept.value, self.mode), kept.step))[: self.keep]

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return {"kept": [asdict(kept) for kept in self.kept], "reference": self.reference, "waiting": self.waiting}

    def restore(self, state: dict[str, Any]) -> None:
        """Back to :meth:`state`, with the present ``keep`` and ``mode``."""
        self.kept = self._best_of([Kept(**kept) for kept in state["kept"]])
        self.reference, self.waiting = state["reference"], state["waiting"]
