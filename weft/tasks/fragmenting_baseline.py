"""What SPICE and Graph-SPICE are compared with: DBSCAN with settings chosen on the same training events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from weft.engine.fitted_file import read_fitted, write_fitted
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.reco.dbscan_choice import Choice, Setting, as_json, choose, fragments_of, from_json
from weft.reco.fragment_labels import TRUTH, fragment_labels
from weft.reco.nodes import by_label, fragment_products
from weft.tasks.fragmenting_options import BaselineOptions


class DbscanBaseline(Baseline):
    """Fit, predict, save and load; the seed does not matter."""

    def __init__(self, options: BaselineOptions, classes: Sequence[int], broken: bool) -> None:
        self.options, self.classes, self.broken = options, tuple(classes), broken
        self.chosen: dict[int, Choice] | None = None

    @property
    def settings(self) -> list[Setting]:
        """Those to try: plain DBSCAN first, so that it is taken where cutting is not better."""
        options = self.options
        plain = [Setting(eps) for eps in options.eps if 0 in options.mask_radius]
        masks = [mask for mask in options.mask_radius if mask]
        return plain + [Setting(eps, mask, line) for eps in options.eps for mask in masks for line in options.straight]

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Choose the setting of each class by the mean ARI of the first `events` events."""
        self.chosen = choose(self._examples(islice(events, self.options.events)), self.classes, self.settings)

    def _examples(self, events: Iterable[Event]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for event in events:
            semantics = event["semantics"][:, 0]
            truth = {name: event[f"truth/{name}"] for name in TRUTH}
            yield event["voxels"], semantics, fragment_labels(truth, semantics, self.classes, self.broken)

    def predict(self, event: Event) -> Products:
        """`fragments` and `fragment_voxels`."""
        if self.chosen is None:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        semantics = event["semantics"][:, 0]
        chosen = {number: choice.best for number, choice in self.chosen.items()}
        items = by_label(fragments_of(event["voxels"], semantics, chosen, self.options.min_size))
        shapes = semantics[items.values[items.offsets[:-1]]]
        return fragment_products(items, shapes, event["voxels"], event["charge"], event["meta"])

    def save(self, path: Path) -> None:
        if self.chosen is None:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        content = {
            "options": self.options.model_dump(mode="json"),
            "classes": self.classes,
            "broken": self.broken,
            "chosen": as_json(self.chosen),
        }
        write_fitted(path, "fragment", content)

    @classmethod
    def load(cls, path: Path) -> DbscanBaseline:
        content = read_fitted(path, "fragment")
        baseline = cls(BaselineOptions(**content["options"]), content["classes"], content["broken"])
        baseline.chosen = from_json(content["chosen"])
        return baseline
