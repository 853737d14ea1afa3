"""The baseline of the reconstruction: the same steps with classical rules in place of GrapPA's answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.reco.builders import build
from weft.reco.settings import Settings
from weft.tasks.reconstruction.options import Options

_MAGIC = "weft reconstruction baseline"


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
        with atomic_path(path) as temporary:
            Path(temporary).write_text(json.dumps({"magic": _MAGIC, "options": self.options.model_dump(mode="json")}))

    @classmethod
    def load(cls, path: Path) -> ReconstructionBaseline:
        """The baseline that `save` wrote; WeftError for other files."""
        try:
            content = json.loads(Path(path).read_text())
        except (OSError, ValueError):
            content = None
        if not isinstance(content, dict) or content.get("magic") != _MAGIC:
            raise WeftError(f"{path}: not a reconstruction baseline; `weft train` with the variant baseline makes one")
        return cls(Options(**content["options"]))
