"""The fragments task: every class from its provider, put together into one list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from weft.config.loading import ConfigError
from weft.engine.task import Event, FixedTask, Products, Store, Task
from weft.io.products import CLASSES, Schema
from weft.io.reco_products import FRAGMENT_VOXELS, FRAGMENTS
from weft.metrics.scores import Scores
from weft.report.figure import Figure
from weft.tasks.fragments.options import DBSCAN, NUMBER, TRUTH, Options

if TYPE_CHECKING:
    from weft.tasks.fragments.baseline import DbscanBaseline


class Fragments(FixedTask[Options]):
    """Reads semantics, points and fragments of other stages; writes fragments that do not overlap.

    An earlier stage is a provider by its name: its `fragments` and `fragment_voxels` are read, of each class that it is
    to provide. Fragments are numbered by their lowest voxel.
    """

    name = "fragments"
    options_model = Options
    fits = False
    fitted_with = ("data", "model.providers")
    headline = ("ari", "purity", "efficiency")

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        model = self.options.model
        points = ("points",) if self._cut else ()
        proposals = ("point_proposals",) if self.options.data.proposals else ()
        found = [f"{stage}/{product}" for stage in model.stages for product in ("fragments", "fragment_voxels")]
        return ("voxels", "charge", "semantics", "meta", *points, *proposals, *found)

    @property
    def makes(self) -> tuple[Schema, ...]:
        return FRAGMENTS, FRAGMENT_VOXELS

    @property
    def classes(self) -> tuple[int, ...]:
        """Numbers of the classes that have fragments."""
        return tuple(sorted(NUMBER[name] for name in self.options.model.providers))

    @property
    def _cut(self) -> bool:
        model = self.options.model
        return any(name in model.dbscan.split for name in model.by_dbscan)

    def check_providers(self, providers: Mapping[str, Task[Any]]) -> None:
        """Raise ConfigError where a class would silently have no fragments: its provider is not needed, makes no
        fragments, or none of that class."""
        for name, provider in self.options.model.providers.items():
            if provider in (DBSCAN, TRUTH):
                continue
            key, task = f"model.providers.{name}: {provider}", providers.get(provider)
            if task is None:
                raise ConfigError(
                    f"{key}: no such stage among those whose predictions are needed; expected {DBSCAN}, {TRUTH}, or a "
                    f"stage with needs.{provider}.predictions: [fragments, fragment_voxels]"
                )
            if not {FRAGMENTS.name, FRAGMENT_VOXELS.name} <= {schema.name for schema in task.makes}:
                raise ConfigError(f"{key}: task '{task.name}' makes no fragments")
            divided = getattr(task, "classes", ())
            if NUMBER[name] not in divided:
                names = ", ".join(CLASSES[number] for number in divided)
                raise ConfigError(f"{key}: that stage makes fragments of {names}, not of {name}")

    def predict_event(self, event: Event) -> Products:
        from weft.reco.nodes import by_label, fragment_products

        labels, shape = self._labels(event)
        items = by_label(labels)
        shapes = shape[items.values[items.offsets[:-1]]]
        proposals = event["point_proposals"] if self.options.data.proposals else None
        return fragment_products(items, shapes, event["voxels"], event["charge"], event["meta"], proposals)

    def _labels(self, event: Event) -> tuple[np.ndarray, np.ndarray]:
        """int64 [N]: fragment of each voxel, −1 in none; int8 [N]: its class, where it is in one.

        A voxel that two providers claim, which can only be where one of them saw other semantics, is in a fragment of
        the first class of the two.
        """
        from weft.reco.dbscan_fragments import dbscan_fragments
        from weft.reco.nodes import numbered_by_first, voxel_labels

        model = self.options.model
        n = len(event["voxels"])
        labels, shape, first = np.full(n, -1, np.int64), np.full(n, -1, np.int8), 0
        rules = {NUMBER[name]: model.dbscan.rule(name) for name in model.by_dbscan}
        points = self._points(event) if self._cut else None
        by_dbscan = dbscan_fragments(event["voxels"], event["semantics"][:, 0], rules, points)
        for name, provider in sorted(model.providers.items(), key=lambda item: NUMBER[item[0]]):
            number = NUMBER[name]
            if provider == DBSCAN:
                found = np.where(event["semantics"][:, 0] == number, by_dbscan, -1)
            else:
                fragments, voxels = event[f"{provider}/fragments"], event[f"{provider}/fragment_voxels"]
                own = np.where(fragments["shape"] == number, np.arange(len(fragments)), -1)
                found = voxel_labels(voxels, n, own)
            free = (found >= 0) & (labels < 0)
            labels[free], shape[free] = found[free] + first, number
            first += int(found.max(initial=-1)) + 1
        return numbered_by_first(labels), shape

    def _points(self, event: Event) -> np.ndarray:
        from weft.reco.dbscan_fragments import splitting_points

        dbscan = self.options.model.dbscan
        classes = tuple(NUMBER[name] for name in dbscan.point_classes)
        return splitting_points(event["points"], event["meta"], classes, dbscan.point_score, dbscan.point_class_score)

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.reco.clustering_scores import score_answers
        from weft.reco.fragment_labels import fragment_answers

        answers = fragment_answers(store, self.classes, self.options.data.break_clusters)
        return score_answers(answers, store.events, split, shard, self.classes)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.metrics.clustering_counts import metrics

        return metrics(counts)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.report.clustering import clustering_figures

        return clustering_figures(scores, split, "fragments")

    def baseline(self) -> DbscanBaseline:
        from weft.tasks.fragments.baseline import DbscanBaseline

        return DbscanBaseline(self.options.baseline, self.classes)

    def load_baseline(self, path: Path) -> DbscanBaseline:
        from weft.tasks.fragments.baseline import DbscanBaseline

        return DbscanBaseline.load(path)
