"""The reconstruction task: from what the stages say of fragments and candidates to tables of physics objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from weft.engine.task import Event, FixedTask, Products, Store
from weft.io.products import Schema
from weft.io.reco_objects import RECO_PARTICLE_POINTS, RECONSTRUCTED
from weft.metrics.scores import Scores
from weft.reco.settings import needed
from weft.report.figure import Figure
from weft.tasks.reconstruction.options import Options

if TYPE_CHECKING:
    from weft.tasks.reconstruction.baseline import ReconstructionBaseline


class Reconstruction(FixedTask[Options]):
    """Reads candidates and what GrapPA says of them, as far as `sources` asks for it; learns nothing."""

    name = "reconstruction"
    options_model = Options
    fits = False
    fitted_with = ("data", "model")
    headline = ("pid_accuracy", "vertex_within_3cm", "interaction_efficiency")

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        return needed(self.options.model)

    @property
    def makes(self) -> tuple[Schema, ...]:
        return (*RECONSTRUCTED, RECO_PARTICLE_POINTS) if self.options.model.sources.points == "ppn" else RECONSTRUCTED

    def predict_event(self, event: Event) -> Products:
        from weft.reco.builders import build

        return build(event, self.options.model)

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.tasks.reconstruction.score import score_shard

        return score_shard(store, split, shard, self.options.model)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.tasks.reconstruction.metrics import metrics

        return metrics(counts)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.tasks.reconstruction.figures import figures

        return figures(scores, split)

    def baseline(self) -> ReconstructionBaseline:
        from weft.tasks.reconstruction.baseline import ReconstructionBaseline

        return ReconstructionBaseline(self.options)

    def load_baseline(self, path: Path) -> ReconstructionBaseline:
        from weft.tasks.reconstruction.baseline import ReconstructionBaseline

        return ReconstructionBaseline.load(path)
