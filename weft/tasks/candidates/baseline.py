"""The baseline of the candidates: fragments whose voxels come near each other are one particle.

Fragments of the classes that one instance of GrapPA puts together are compared; how near is near is chosen for each of
them on training events, out of a list in which 0 stands for every fragment by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from weft.engine.fitted_file import read_fitted, write_fitted
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.graph.closest import closest_pairs
from weft.io.products import Ragged
from weft.metrics.clustering import ari
from weft.reco.assembly import assemble
from weft.reco.nodes import voxel_labels
from weft.tasks.candidates.options import CLASSES, BaselineOptions, ModelOptions


class DistanceBaseline(Baseline):
    """Fit, predict, save and load; the seed does not matter."""

    def __init__(self, options: BaselineOptions, model: ModelOptions) -> None:
        self.options, self.model = options, model
        self.chosen: dict[str, float] | None = None
        """voxels, by instance"""

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Choose each instance's distance by the mean ARI, over events, of the true voxels of its classes."""
        distances = self.options.distances
        total = {name: np.zeros(len(distances)) for name in self.model.groups}
        for event in islice(events, self.options.events):
            items, n = event["fragment_voxels"], len(event["voxels"])
            truth = voxel_labels(event["truth/candidate_voxels"], n)
            semantics = event["truth/semantics"][:, 0]
            for name in self.model.groups:
                judged = np.where(np.isin(semantics, CLASSES[name]), truth, -1)
                if (judged >= 0).sum() < 2:  # no pair of voxels, no ARI
                    continue
                pairs, between = _distances(event, CLASSES[name], max(distances))
                for k, distance in enumerate(distances):
                    group = _groups(len(items), pairs[between <= distance])
                    total[name][k] += ari(judged, voxel_labels(items, n, group))
        self.chosen = {name: float(distances[int(sums.argmax())]) for name, sums in total.items()}

    def predict(self, event: Event) -> Products:
        """`candidates`, `candidate_voxels` and `candidate_fragments`; each starts in its largest fragment."""
        if self.chosen is None:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        made: dict[str, Any] = {}
        shapes = event["fragments"]["shape"]
        for name, distance in self.chosen.items():
            pairs, between = _distances(event, CLASSES[name], distance)  # type: ignore[index]
            group = _groups(len(shapes), pairs[between <= distance])
            made[f"{name}_groups"] = np.where(np.isin(shapes, CLASSES[name]), group, -1)[:, None]  # type: ignore[index]
        return assemble(_Beside(event, made), tuple(self.chosen), (), self.model.attached_within)

    def save(self, path: Path) -> None:
        if self.chosen is None:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        content = {
            "options": self.options.model_dump(mode="json"),
            "model": self.model.model_dump(mode="json"),
            "chosen": self.chosen,
        }
        write_fitted(path, "candidates", content)

    @classmethod
    def load(cls, path: Path) -> DistanceBaseline:
        content = read_fitted(path, "candidates")
        baseline = cls(BaselineOptions(**content["options"]), ModelOptions(**content["model"]))
        baseline.chosen = content["chosen"]
        return baseline


class _Beside:
    """An event with further products."""

    def __init__(self, event: Event, made: Mapping[str, Any]) -> None:
        self._event, self._made = event, made

    def __getitem__(self, product: str) -> Any:
        return self._made[product] if product in self._made else self._event[product]


def _distances(event: Event, classes: tuple[int, ...], most: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs [m, 2] of fragments of some classes, and how far apart their nearest voxels are; those up to `most`."""
    rows = np.flatnonzero(np.isin(event["fragments"]["shape"], classes))
    first, second = np.triu_indices(len(rows), 1)
    pairs = np.stack([rows[first], rows[second]], axis=1)
    items: Ragged = event["fragment_voxels"]
    if not most:
        pairs = pairs[:0]
    return pairs, closest_pairs(event["voxels"], items, pairs, within=np.nextafter(most, np.inf)).distance


def _groups(n: int, pairs: np.ndarray) -> np.ndarray:
    """int64 [n]: the lowest row that each of n fragments hangs together with, by pairs [m, 2]."""
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    component = connected_components(graph, directed=False)[1]
    _, first, number = np.unique(component, return_index=True, return_inverse=True)
    return first[number.reshape(-1)]
