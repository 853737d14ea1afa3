"""The baseline of GrapPA: clusters near each other belong together, and boosted trees say what each one is.

Grouping joins two clusters whose closest voxels (or closest ends) are nearer than a distance, which is fitted for each
pair of classes by the mean adjusted Rand index of the training events. The answers of the heads come from histogram
gradient boosting (Ke et al., LightGBM, NeurIPS 2017; scikit-learn's) on the geometric features that the network sees,
and on how a node stands among its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from weft.engine.fitted_file import read_pickled, write_pickled
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.graph.closest import distance_matrix
from weft.graph.compositions import COMPOSITIONS
from weft.graph.features import node_features
from weft.graph.grouping import group_by_threshold
from weft.io.products import TRACK
from weft.io.reco_products import edges as edge_schema
from weft.tasks.grappa.batch import graph_of
from weft.tasks.grappa.labels import node_labels, right_way_round
from weft.tasks.grappa.nodes import as_ragged, in_fixed_order, read_nodes, swap
from weft.tasks.grappa.options import Options
from weft.tasks.grappa.reach import CLASSES, Pairs, Reach, fit_reach

_VERSION = 1
_SHARE = 0.5  # score of a pair that lies exactly at its distance, and is not joined


class GrappaBaseline(Baseline):
    """Fit, predict, save and load; deterministic for a seed."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.reach: Reach | None = None
        """of the measures 0: closest voxels, 1: closest of starts and ends"""
        self.trees: dict[str, Any] = {}
        self.fitted_on: dict[str, int] = {}

    # --- fitting ------------------------------------------------------------------------------------------

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Learn from the nodes of training events and their true labels, read one by one."""
        kept: list[Pairs] = []
        rows: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {head: [] for head in self._node_heads}
        count = 0
        for event in islice(events, self.options.baseline.events):
            count += 1
            arrays = read_nodes(event, self.options.model)
            arrays |= node_labels(event, arrays, self.options.model, self.options.loss)
            distances = _distances(arrays)
            kept.append(_pairs(arrays, distances))
            seen = self._seen(arrays, distances[0])
            for head in rows:
                rows[head].append(self._examples(head, arrays, distances[0], seen))
        if not count:
            raise WeftError("the baseline of grappa was given no events to learn from")
        self.reach = fit_reach(kept, self.options.baseline.grid, self.options.baseline.passes)
        for head, parts in rows.items():
            features, answers = (np.concatenate(column) for column in zip(*parts, strict=True))
            self.trees[head] = self._fitted(head, features, answers, seed)
        self.fitted_on = {"events": count, "nodes": int(sum(len(e.label) for e in kept)), "seed": seed}

    @property
    def _node_heads(self) -> list[str]:
        return [head for head in self.options.model.heads if head != "edge"]

    def _seen(self, arrays: Mapping[str, np.ndarray], distance: np.ndarray) -> np.ndarray:
        """Features of the nodes as they stand in the product, for all heads but the orientation; none without them."""
        if set(self._node_heads) <= {"orientation"}:
            return np.zeros((len(arrays["row"]), 0))
        return _features(arrays, distance)

    def _examples(
        self, head: str, arrays: dict[str, np.ndarray], distance: np.ndarray, seen: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features and answers of the nodes that have one."""
        label = {"primary": "primary", "vertex": "primary", "pid": "pid"}.get(head)
        if head == "orientation":
            # Both ways round of every track, so that neither answer is more frequent.
            ways = [in_fixed_order(arrays)]
            ways.append(swap({**arrays, **ways[0]}, np.ones(len(arrays["row"]), bool)))
            parts = [_features({**arrays, **way}, distance) for way in ways]
            answers = np.concatenate([right_way_round({**arrays, **way}) for way in ways])
            features = np.concatenate(parts)
        else:
            features = seen
            answers = np.log(np.maximum(arrays["momentum"], 1.0)) if label is None else arrays[label]
        known = np.isfinite(answers) if head == "momentum" else answers >= 0
        known = known & (arrays["good"] if len(known) == len(arrays["good"]) else np.tile(arrays["good"], 2))
        return features[known], answers[known]

    def _fitted(self, head: str, features: np.ndarray, answers: np.ndarray, seed: int) -> Any:
        settings = self.options.baseline
        if not len(answers):
            raise WeftError(f"the baseline of grappa was given no node with an answer for the head '{head}'")
        if head != "momentum" and len(np.unique(answers)) == 1:
            return DummyClassifier(strategy="prior").fit(features, answers)  # boosting needs two answers
        kind = HistGradientBoostingRegressor if head == "momentum" else HistGradientBoostingClassifier
        return kind(
            max_iter=settings.iterations,
            learning_rate=settings.learning_rate,
            max_leaf_nodes=settings.leaves,
            min_samples_leaf=settings.min_leaf,
            early_stopping=False,
            random_state=seed,
        ).fit(features, answers)

    # --- prediction ---------------------------------------------------------------------------------------

    def predict(self, event: Event) -> Products:
        """The products that the network makes. Its pairs are those of the network's graph, so that both are asked the
        same: those of one group have the score 1, others 1/2 at the distance of their classes and 0 from twice that on.
        """
        if self.reach is None:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        model = self.options.model
        arrays = read_nodes(event, model)
        row, rows = arrays["row"], int(arrays["rows"][0])
        distances = _distances(arrays)
        pairs = _pairs({**arrays, "group": row}, distances)
        near = pairs.distance[self.reach.measure] < self.reach.distance[np.divmod(pairs.kind, CLASSES)]
        found = group_by_threshold(pairs.ends[near], np.ones(int(near.sum())), len(row))
        products: Products = {}
        if "edge" in model.heads:
            groups = np.full((rows, 1), -1, np.int32)
            groups[row, 0] = row[found]
            products |= {
                f"{model.instance}_groups": groups,
                f"{model.instance}_edges": self._edges(arrays, distances, found),
            }
        seen = self._seen(arrays, distances[0])
        for head in self._node_heads:
            values = self._answers(head, arrays, distances[0], found, seen)
            table = np.full((rows, values.shape[1]), np.nan, np.float32)
            table[row] = values
            products[f"{model.instance}_{head}"] = table
        return products

    def _edges(self, arrays: Mapping[str, np.ndarray], distances: np.ndarray, group: np.ndarray) -> np.ndarray:
        """The product `<instance>_edges`; distances: those of :func:`_distances`; group: int [n]."""
        assert self.reach is not None
        model, shape = self.options.model, arrays["shape"]
        ends = np.sort(graph_of(arrays, model.graph).edges, axis=1)
        ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
        a, b = ends.T
        reach = self.reach.distance[shape[a], shape[b]]
        part = np.divide(distances[self.reach.measure, a, b], reach, out=np.full(len(ends), np.inf), where=reach > 0)
        edges = np.zeros(len(ends), edge_schema(model.instance, model.nodes).dtype)
        edges["source"], edges["target"] = arrays["row"][ends].T
        edges["score"] = np.where(group[a] == group[b], 1.0, np.clip(1.0 - _SHARE * part, 0.0, _SHARE))
        return edges

    def _answers(
        self, head: str, arrays: dict[str, np.ndarray], distance: np.ndarray, group: np.ndarray, seen: np.ndarray
    ) -> np.ndarray:
        width = {"pid": 5, "vertex": 4}.get(head, 1)
        if not len(group):
            return np.zeros((0, width))
        if head == "orientation":
            ordered = {**arrays, **in_fixed_order(arrays)}
            score = self._probabilities(head, _features(ordered, distance), 2)[:, 1]
            score = np.where(ordered["swapped"], 1 - score, score)
            return np.where(arrays["shape"] == TRACK, score, np.nan)[:, None]
        if head == "momentum":
            return np.exp(self.trees[head].predict(seen))[:, None]
        if head == "pid":
            return self._probabilities(head, seen, 5)
        score = self._probabilities(head, seen, 2)[:, 1]
        if head == "primary":
            return score[:, None]
        # The vertex of a group is where its likely primaries start.
        start = arrays["low"] + (arrays["start"] + 0.5) * arrays["size"]
        weight = np.bincount(group, score**2, minlength=len(group))
        means = [np.bincount(group, score**2 * start[:, k], minlength=len(group)) for k in range(3)]
        vertex = np.stack(means, axis=1) / np.maximum(weight, 1e-12)[:, None]
        return np.concatenate([score[:, None], vertex[group]], axis=1)

    def _probabilities(self, head: str, features: np.ndarray, classes: int) -> np.ndarray:
        scores = np.zeros((len(features), classes))
        scores[:, self.trees[head].classes_.astype(int)] = self.trees[head].predict_proba(features)
        return scores

    # --- files --------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """One line of JSON that says what the file is, then the distances and the trees as joblib pickles them."""
        if self.reach is None:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        header = _versions() | {"options": self.options.model_dump(mode="json"), "fitted_on": self.fitted_on}
        write_pickled(path, "grappa", header, (tuple(self.reach), self.trees))

    @classmethod
    def load(cls, path: Path) -> GrappaBaseline:
        """The baseline that `save` wrote. A pickle runs code when it is loaded: load only files that you trust."""
        header, (reach, trees) = read_pickled(path, "grappa", **_versions())
        baseline = cls(Options.model_validate(header["options"]))
        baseline.fitted_on = header["fitted_on"]
        baseline.reach, baseline.trees = Reach(*reach), trees
        return baseline


def _versions() -> dict[str, Any]:
    """What trees only work with as it was when they were fitted."""
    return {"version": _VERSION, "scikit-learn": sklearn.__version__}


def _distances(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """float [2, n, n]: distance of the closest voxels, and of the closest ends, of every two nodes."""
    n = len(arrays["row"])
    if not n:
        return np.zeros((2, 0, 0))
    closest = distance_matrix(arrays["coords"], as_ragged(arrays))
    ends = np.stack([arrays["start"], arrays["end"]], axis=1).astype(np.float64)
    between = np.linalg.norm(ends[:, None, :, None] - ends[None, :, None, :], axis=-1)
    return np.stack([closest, between.min(axis=(2, 3))])


def _pairs(arrays: Mapping[str, np.ndarray], distances: np.ndarray) -> Pairs:
    a, b = np.triu_indices(len(arrays["row"]), 1)
    kinds = np.sort(np.stack([arrays["shape"][a], arrays["shape"][b]]), axis=0)
    return Pairs(
        arrays["group"], arrays["count"], np.stack([a, b], axis=1), kinds[0] * CLASSES + kinds[1], distances[:, a, b]
    )


def _features(arrays: Mapping[str, np.ndarray], distance: np.ndarray) -> np.ndarray:
    """float [n, 42]: what the trees see of each node."""
    return np.concatenate([_geometry(arrays), _standing(arrays, distance)], axis=1)


def _geometry(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """float32 [n, 33]: what the network sees of each node."""
    return node_features(
        arrays["coords"],
        as_ragged(arrays),
        COMPOSITIONS[33],
        values=arrays["charge"],
        shapes=arrays["shape"],
        starts=arrays["start"],
        ends=arrays["end"],
    )


def _standing(arrays: Mapping[str, np.ndarray], distance: np.ndarray) -> np.ndarray:
    """float [n, 9]: charge, and how each node stands among the others: distance of the nearest node, track, and start;
    nodes within 3 and 20 voxels; share of the charge within 20 voxels, and rank by size among those."""
    n, count = len(arrays["row"]), arrays["count"]
    node = np.repeat(np.arange(n), count)
    charge = np.bincount(node, arrays["charge"], n)
    length = np.linalg.norm(arrays["end"] - arrays["start"], axis=1)
    if not n:
        return np.zeros((0, 9))
    apart = distance + np.where(np.eye(n, dtype=bool), np.inf, 0)
    starts = np.linalg.norm(arrays["start"][:, None] - arrays["start"][None], axis=2)
    starts = np.where(np.eye(n, dtype=bool), np.inf, starts)
    tracks = np.where(arrays["shape"] == TRACK, apart, np.inf)
    far = 1e4
    around = distance < 20
    columns = [
        charge, length, np.minimum(apart.min(1), far), np.minimum(tracks.min(1), far), np.minimum(starts.min(1), far),
        (apart < 3).sum(1), (apart < 20).sum(1), charge / np.maximum(around @ charge, 1e-9),
        (around & (count[None] > count[:, None])).sum(1),
    ]  # fmt: skip
    return np.stack(columns, axis=1)
