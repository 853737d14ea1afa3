"""Which validations were the best, and for how many there has been no progress."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Kept:
    """A validation among the best, and the file with its weights."""

    step: int
    value: float
    file: str


@dataclass
class Ranking:
    """The ``keep`` best validations so far, best first; of equals the earlier. A value that is NaN is worse than any.

    Progress is a value better by more than ``min_delta`` than the one of the last progress; ``waiting`` counts the
    validations since.
    """

    mode: Literal["min", "max"]
    keep: int = 1
    min_delta: float = 0.0
    kept: list[Kept] = field(default_factory=list)
    reference: float | None = None
    waiting: int = 0

    def enter(self, validation: Kept) -> bool:
        """Take note of a validation. True if it is among the best."""
        order = self._order(validation.value)
        if self.reference is None or order > self._order(self.reference) + self.min_delta:
            self.reference, self.waiting = validation.value, 0
        else:
            self.waiting += 1
        ranked = sorted([*self.kept, validation], key=lambda kept: (-self._order(kept.value), kept.step))
        self.kept = ranked[: self.keep]
        return validation in self.kept

    def _order(self, value: float) -> float:
        """Greater is better."""
        if math.isnan(value):
            return -math.inf
        return value if self.mode == "max" else -value

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return {"kept": [asdict(kept) for kept in self.kept], "reference": self.reference, "waiting": self.waiting}

    def restore(self, state: dict[str, Any]) -> None:
        """Back to :meth:`state`, with the present ``keep`` and ``mode``."""
        ranked = [Kept(**kept) for kept in state["kept"]]
        self.kept = sorted(ranked, key=lambda kept: (-self._order(kept.value), kept.step))[: self.keep]
        self.reference, self.waiting = state["reference"], state["waiting"]
