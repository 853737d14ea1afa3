"""The baseline of the fragments: DBSCAN of every class, as if nobody had found any points. Nothing is fitted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from weft.engine.fitted_file import read_fitted, write_fitted
from weft.engine.task import Baseline, Event, Products
from weft.reco.dbscan_fragments import Rule, dbscan_fragments
from weft.reco.nodes import by_label, fragment_products, numbered_by_first
from weft.tasks.fragments.options import BaselineOptions


class DbscanBaseline(Baseline):
    """Predict, save and load; neither events nor the seed matter."""

    def __init__(self, options: BaselineOptions, classes: Sequence[int]) -> None:
        self.options, self.classes = options, tuple(classes)

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """There is nothing to learn, so no event is read."""

    def predict(self, event: Event) -> Products:
        """`fragments` and `fragment_voxels`."""
        semantics, options = event["semantics"][:, 0], self.options
        rule = Rule(options.eps, options.min_samples, options.min_size)
        labels = dbscan_fragments(event["voxels"], semantics, dict.fromkeys(self.classes, rule))
        items = by_label(numbered_by_first(labels))
        shapes = semantics[items.values[items.offsets[:-1]]]
        return fragment_products(items, shapes, event["voxels"], event["charge"], event["meta"])

    def save(self, path: Path) -> None:
        write_fitted(path, "dbscan", {"options": self.options.model_dump(mode="json"), "classes": self.classes})

    @classmethod
    def load(cls, path: Path) -> DbscanBaseline:
        content = read_fitted(path, "dbscan")
        return cls(BaselineOptions(**content["options"]), content["classes"])
