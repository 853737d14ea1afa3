"""The triplets task: every set of three pixels that can come from one point, and how much of the truth is among them.

It has no baseline. The search is exact: each set of pixels that the geometry allows is found once, so another answer to
the same question would be the same answer. What it costs later stages is scored instead: true points that no candidate
stands for, which are lost to all of them, and candidates that are no points.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import pandas as pd

from weft.config.detector import build_detector
from weft.detector.wires import Detector
from weft.engine.task import Event, FixedTask, Products, Store
from weft.io.products import Schema
from weft.io.wire_products import DEAD_WIRES, PIXELS, TRIPLET_ROWS, TRIPLETS
from weft.metrics.scores import Scores
from weft.report.figure import Figure
from weft.tasks.triplets.options import Options


class Triplets(FixedTask[Options]):
    """Reads images of wire planes and the status of their channels, writes pixels, dead wires and triplets."""

    name = "triplets"
    options_model = Options
    of_data = frozenset({"detector", "mask"})
    headline = ("electron_efficiency", "efficiency", "ghost_share")

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """`chstatus_wire` is read too where it is; without it all wires work."""
        mask = self.options.model.mask
        return ("image2d_wire", "image2d_wire_meta", *(() if mask is None else (mask,)))

    @property
    def makes(self) -> tuple[Schema, ...]:
        return PIXELS, DEAD_WIRES, TRIPLETS, TRIPLET_ROWS

    @cached_property
    def _detector(self) -> Detector:
        options = self.options.model.detector
        return build_detector(options, f"detector '{options.name}'")

    def predict_event(self, event: Event) -> Products:
        from weft.triplets.produce import triplet_products

        return triplet_products(self._detector, event, self.options.model, self.options.model.mask)

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.tasks.triplets.score import score_shard

        return score_shard(store, split, shard, self.options.data.labels.min_electrons)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.tasks.triplets.score import metrics

        return metrics(counts)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.tasks.triplets.figures import figures

        return figures(scores, split)
