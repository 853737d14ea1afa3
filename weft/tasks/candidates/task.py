"""The candidates task: groups of fragments become particles, each with the fragment in which it starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from weft.engine.task import Event, FixedTask, Products, Store
from weft.io.products import LOW_ENERGY, Schema
from weft.io.reco_products import CANDIDATE_FRAGMENTS, CANDIDATE_VOXELS, CANDIDATES
from weft.metrics.scores import Scores
from weft.report.figure import Figure
from weft.tasks.candidates.options import Options

if TYPE_CHECKING:
    from weft.tasks.candidates.baseline import DistanceBaseline


class Candidates(FixedTask[Options]):
    """Reads fragments and their groups; writes candidates, numbered by their first fragment."""

    name = "candidates"
    options_model = Options
    fitted_with = ("data", "model")
    headline = ("ari", "purity", "efficiency")

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        model = self.options.model
        groups = [f"{name}_groups" for name in model.groups] + [f"{name}_primary" for name in model.primary]
        semantics = ("semantics",) if model.attached_within is not None else ()
        return ("fragments", "fragment_voxels", "voxels", "charge", "meta", *groups, *semantics)

    @property
    def makes(self) -> tuple[Schema, ...]:
        return CANDIDATES, CANDIDATE_VOXELS, CANDIDATE_FRAGMENTS

    def predict_event(self, event: Event) -> Products:
        from weft.reco.assembly import assemble

        model = self.options.model
        return assemble(event, model.groups, model.primary, model.attached_within)

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.reco.clustering_scores import score_answers
        from weft.tasks.candidates.score import answers

        attached = self.options.model.attached_within is not None
        classes = (0, 1, 2, 3, LOW_ENERGY) if attached else (0, 1, 2, 3)
        return score_answers(answers(store, attached), store.events, split, shard, classes)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.metrics.clustering_counts import metrics

        return metrics(counts)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.report.clustering import clustering_figures

        return clustering_figures(scores, split, "particles")

    def baseline(self) -> DistanceBaseline:
        from weft.tasks.candidates.baseline import DistanceBaseline

        return DistanceBaseline(self.options.baseline, self.options.model)

    def load_baseline(self, path: Path) -> DistanceBaseline:
        from weft.tasks.candidates.baseline import DistanceBaseline

        return DistanceBaseline.load(path)
