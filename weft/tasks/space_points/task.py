"""The space-points task: triplets that are kept, as a table of its own, and the key points among them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from weft.config.loading import ConfigError
from weft.engine.task import Event, FixedTask, Products, Store, Task
from weft.io.larmatch_products import KEY_POINTS, space_points, triplet_scores
from weft.io.products import Schema
from weft.metrics.scores import Scores
from weft.report.figure import Figure
from weft.tasks.space_points.options import Options

if TYPE_CHECKING:
    from weft.tasks.space_points.baseline import CloudEndsBaseline

SCORES = "triplet_scores"


class SpacePoints(FixedTask[Options]):
    """Reads pixels, triplets and their scores; writes space points and key points."""

    name = "space_points"
    options_model = Options
    reads = ("pixels", "triplets", SCORES)
    fits = False
    fitted_with = ("data", "model")
    tree = "larmatch"

    @property
    def headline(self) -> tuple[str, ...]:  # type: ignore[override]
        if self.options.model.key_points is None:
            return "point_purity", "point_efficiency", "ghost_rejection"
        return "f1_within_3cm", "efficiency_within_3cm", "purity_within_3cm"

    @property
    def makes(self) -> tuple[Schema, ...]:
        points = space_points(self.scores)
        return (points,) if self.options.model.key_points is None else (points, KEY_POINTS)

    @property
    def scores(self) -> Schema:
        """`triplet_scores` with the columns that space points carry."""
        return triplet_scores(self.options.model.heads, self.options.data.labels.classes.classes)

    def check_providers(self, providers: Mapping[str, Task[Any]]) -> None:
        """Raise ConfigError where the stage that scores triplets does not say what space points are to carry, or has
        dropped what is to be kept."""
        made = {schema.name: (stage, task, schema) for stage, task in providers.items() for schema in task.makes}
        if SCORES not in made:
            return  # it is missing among the needs, which says so itself
        stage, task, schema = made[SCORES]
        names = schema.dtype.names or ()
        missing = [name for name in self.scores.dtype.names or () if name not in names]
        if missing:
            raise ConfigError(
                f"model.heads: stage '{stage}' does not say {missing[0]}"
                f"{f' and {len(missing) - 1} more' if missing[1:] else ''}; it says: {', '.join(names)}"
            )
        model = self.options.model
        written = float(getattr(getattr(task.options, "data", None), "min_score", 0.0))
        asked = {"model.min_score": model.min_score}
        if model.key_points is not None:
            asked["model.key_points.min_larmatch"] = model.key_points.min_larmatch
        for key, least in asked.items():
            if least < written:
                raise ConfigError(
                    f"{key}: {least:g}, but stage '{stage}' writes no triplet below its data.min_score, {written:g}"
                )

    def predict_event(self, event: Event) -> Products:
        from weft.triplets.points import find_key_points, kept_rows, space_points_of

        model, triplets, scores = self.options.model, event["triplets"], event[SCORES]
        rows = kept_rows(triplets, scores, model.min_score, model.best_per_pixel)
        made = {"space_points": space_points_of(event["pixels"], triplets, scores, rows, self.makes[0])}
        if (found := model.key_points) is not None:
            rows = kept_rows(triplets, scores, found.min_larmatch, model.best_per_pixel)
            made["key_points"] = find_key_points(
                triplets[scores.index[rows]], scores.values[rows], found.radius, found.least, found.min_support
            )
        return made

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.tasks.space_points.score import score_shard

        return score_shard(store, split, shard, self.options)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.tasks.space_points.score import metrics

        return metrics(counts)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.tasks.space_points.figures import figures

        return figures(scores, split)

    def event_payload(self, store: Store, index: int, subtitle: str, label: str) -> Mapping[str, Any]:
        from weft.tasks.space_points.event_views import payload

        return payload(store, index, self.options, subtitle, label)

    def event_figures(self, store: Store, index: int, note: str) -> list[Figure]:
        from weft.tasks.space_points.event_views import event_figures

        return event_figures(store, index, self.options, note)

    def baseline(self) -> CloudEndsBaseline:
        from weft.tasks.space_points.baseline import CloudEndsBaseline

        return CloudEndsBaseline(self.options)

    def load_baseline(self, path: Path) -> CloudEndsBaseline:
        from weft.tasks.space_points.baseline import CloudEndsBaseline

        return CloudEndsBaseline.load(path)
