"""The baseline of the reconstruction: the same steps with classical rules in place of GrapPA's answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from weft.engine.fitted_file import read_fitted, write_fitted
from weft.engine.task import Baseline, Event, Products
from weft.reco.builders import build
from weft.reco.settings import Settings
from weft.tasks.reconstruction.options import Options


class ReconstructionBaseline(Baseline):
    """Interactions by distance, types by dE/dx, primaries by the vertex; it reads candidates and nothing of GrapPA."""

    def __init__(self, options: Options) -> None:
        self.options = options
        grouping = options.model.grouping.model_copy(update={"distance": options.baseline.distance})
        self._settings: Settings = options.model.classical().model_copy(update={"grouping": grouping})

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Nothing is learned; the events are not read."""

    def predict(self, event: Event) -> Products:
        return build(event, self._settings)

    def save(self, path: Path) -> None:
        write_fitted(path, "reconstruction", {"options": self.options.model_dump(mode="json")})

    @classmethod
    def load(cls, path: Path) -> ReconstructionBaseline:
        """The baseline that `save` wrote; WeftError for other files."""
        return cls(Options(**read_fitted(path, "reconstruction")["options"]))
