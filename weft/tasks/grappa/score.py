"""Scores of GrapPA: how well clusters were put together, and what was said of them. Without torch.

Grouping is judged by the voxels of the nodes that the stage was fed, with the shared clustering scores; nodes of its
classes that it leaves alone stand as groups of their own, as they will downstream. Counts of the heads stand beside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from weft.engine.task import Store
from weft.graph.grouping import group_primaries
from weft.io.reco_products import PIDS
from weft.metrics import clustering_counts
from weft.metrics.scores import Scores
from weft.metrics.shares import share
from weft.reco.clustering_scores import EVENT_COLUMNS, Answer, score_answers
from weft.tasks.grappa.labels import node_labels, right_way_round
from weft.tasks.grappa.nodes import read_nodes
from weft.tasks.grappa.options import LossOptions, ModelOptions, Options

TYPES = [PIDS[k] for k in range(5)]
#: cm; a vertex is counted as found within these.
VERTEX_MARKS = (1, 3)
CONFUSION = [f"pid_{true}_{called}" for true in TYPES for called in TYPES]
COLUMNS: Mapping[str, str] = {
    "edges": "pairs with true groups that were judged",
    "edges_right": "those of them that were put together, or apart, rightly: score above 1/2",
    "edges_on": "pairs that belong together",
    "edges_on_right": "those of them with a score above 1/2",
    "groups_primary": "predicted groups most of whose voxels are of a true group with exactly one primary node",
    "groups_primary_right": "those of them in which that node has the highest primary score",
    "nodes_primary": "nodes that are known to be primary",
    "nodes_primary_right": "those of them with a primary score above 1/2",
    "nodes_secondary": "nodes that are known not to be primary",
    "nodes_secondary_right": "those of them with a score up to 1/2",
    **dict.fromkeys(CONFUSION, "nodes of the first type that were called the second"),
    "tracks": "tracks with a known direction",
    "tracks_right": "those of them whose start and end were said to stand rightly, or wrongly, as they do",
    "momenta": "nodes with a known momentum",
    "momenta_residual": "sum of their relative residuals, (predicted - true) / true",
    "momenta_absolute": "sum of the sizes of these",
    "momenta_square": "sum of the squares of these",
    "vertices": "primary nodes whose true vertex is in the image",
    "vertices_distance": "sum of the distances of their predicted vertex from it [cm]",
    **{f"vertices_{mark}cm": f"those within {mark} cm" for mark in VERTEX_MARKS},
}
_SMALLEST = 1e-3  # MeV/c, of a true momentum that a residual is divided by


def headline(options: ModelOptions) -> tuple[str, ...]:
    """Metrics to print first."""
    by_head = {
        "edge": ("ari", "purity", "efficiency", "edge_accuracy"),
        "primary": ("primary_groups",) if options.nodes == "fragments" else ("primary_accuracy",),
        "pid": ("pid_accuracy",),
        "orientation": ("orientation_accuracy",),
        "momentum": ("momentum_error",),
        "vertex": ("vertex_distance",),
    }
    return tuple(name for head, names in by_head.items() if head in options.heads for name in names)


def score_shard(store: Store, split: str, shard: str, options: Options) -> Scores:
    """Tables of :mod:`weft.reco.clustering_scores`, with the counts of :data:`COLUMNS` in the events table."""
    counts: list[dict[str, float]] = []

    def answers() -> Iterator[Answer]:
        for i in range(len(store)):
            judged = Judged(_EventOf(store, i), options.model)
            counts.append(dict.fromkeys(COLUMNS, 0.0) | judged.counts())
            yield judged.answer()

    scores = score_answers(answers(), store.events, split, shard)
    events = pd.concat([scores.events, pd.DataFrame(counts, columns=list(COLUMNS), dtype=np.float64)], axis=1)
    events.attrs = {"columns": {**EVENT_COLUMNS, **COLUMNS}}
    return Scores(events, scores.objects, scores.curves)


class _EventOf:
    """One event of a store, as tasks read it."""

    def __init__(self, store: Store, index: int) -> None:
        self._store, self._index = store, index

    def __getitem__(self, product: str) -> Any:
        return self._store[product][self._index]

    def __contains__(self, product: object) -> bool:
        return product in self._store


class Judged:
    """One event: the nodes of the classes that take part, what is true of them and what was predicted."""

    def __init__(self, event: Any, model: ModelOptions) -> None:
        self.model, self._event = model, event
        everything = model.model_copy(
            update={"min_size": 1, "graph": model.graph.model_copy(update={"primaries": None, "groups": None})}
        )
        self.nodes = read_nodes(event, everything)
        self.truth = node_labels(event, self.nodes, everything, LossOptions())
        row = self.nodes["row"]
        self.group = row
        if "edge" in model.heads:
            predicted = self._predicted("groups")[row, 0]
            self.group = np.where(predicted >= 0, predicted, row)

    def _predicted(self, what: str) -> np.ndarray:
        values: np.ndarray = self._event[f"prediction/{self.model.instance}_{what}"]
        return values

    def answer(self) -> Answer:
        """True and predicted group of every voxel of the nodes."""
        column = "group" if self.model.nodes == "fragments" else "interaction"
        voxel = self.nodes["voxel"]
        label = np.append(self._event["truth/particle_labels"][column], -1)[self._event["truth/voxel_particles"][voxel]]
        semantics = self._event["truth/semantics"][voxel, 0]
        return Answer(label, np.repeat(self.group, self.nodes["count"]), semantics, self.nodes["charge"])

    def counts(self) -> dict[str, float]:
        by_head = {
            "edge": self._edges,
            "primary": self._primaries,
            "pid": self._types,
            "orientation": self._directions,
            "momentum": self._momenta,
            "vertex": self._vertices,
        }
        return {name: float(n) for head in self.model.heads for name, n in by_head[head]().items()}

    def _edges(self) -> dict[str, Any]:
        pairs = self._predicted("edges")
        group = np.full(int(self.nodes["rows"][0]), -1)
        group[self.nodes["row"]] = self.truth["group"]
        a, b = group[pairs["source"]], group[pairs["target"]]
        known = (a >= 0) & (b >= 0) & (pairs["source"] != pairs["target"])
        on, said = (a == b)[known], (pairs["score"] > 0.5)[known]
        return {
            "edges": len(on), "edges_right": (on == said).sum(),
            "edges_on": on.sum(), "edges_on_right": (on & said).sum(),
        }  # fmt: skip

    def _primaries(self) -> dict[str, Any]:
        score = self._predicted("primary")[self.nodes["row"], 0]
        label, told = self.truth["primary"], np.isfinite(score)
        first, other = (label == 1) & told, (label == 0) & told
        counts = {
            "nodes_primary": first.sum(), "nodes_primary_right": (score[first] > 0.5).sum(),
            "nodes_secondary": other.sum(), "nodes_secondary_right": (score[other] <= 0.5).sum(),
        }  # fmt: skip
        if not len(score) or self.model.nodes != "fragments":
            return counts
        _, group = np.unique(self.group, return_inverse=True)
        chosen = group_primaries(group, np.where(told, score, -1.0))
        known = self.truth["group"] >= 0
        width = int(self.truth["group"].max(initial=0)) + 1
        voxels = np.zeros((group.max() + 1, width))
        np.add.at(voxels, (group[known], self.truth["group"][known]), self.nodes["count"][known])
        most = np.where(voxels.any(1), voxels.argmax(1), -1)
        number = np.bincount(self.truth["group"][(label == 1) & known], minlength=width + 1)
        judged = (most >= 0) & (number[most] == 1)
        right = np.zeros(len(most), bool)
        right[group[chosen]] = (label == 1)[chosen] & (self.truth["group"][chosen] == most[group[chosen]])
        return counts | {"groups_primary": judged.sum(), "groups_primary_right": (judged & right).sum()}

    def _types(self) -> dict[str, Any]:
        scores = self._predicted("pid")[self.nodes["row"]]
        known = (self.truth["pid"] >= 0) & np.isfinite(scores).all(1)
        cell = self.truth["pid"][known] * len(TYPES) + scores[known].argmax(1)
        return dict(zip(CONFUSION, np.bincount(cell, minlength=len(CONFUSION)), strict=True))

    def _directions(self) -> dict[str, Any]:
        score = self._predicted("orientation")[self.nodes["row"], 0]
        label = right_way_round(self.nodes | self.truth)
        known = (label >= 0) & np.isfinite(score)
        return {"tracks": known.sum(), "tracks_right": ((score > 0.5) == label)[known].sum()}

    def _momenta(self) -> dict[str, Any]:
        predicted, truth = self._predicted("momentum")[self.nodes["row"], 0], self.truth["momentum"]
        known = np.isfinite(predicted) & (truth > _SMALLEST)
        residual = predicted[known] / truth[known].astype(np.float64) - 1
        return {
            "momenta": len(residual), "momenta_residual": residual.sum(),
            "momenta_absolute": np.abs(residual).sum(), "momenta_square": (residual**2).sum(),
        }  # fmt: skip

    def _vertices(self) -> dict[str, Any]:
        predicted, truth = self._predicted("vertex")[self.nodes["row"], 1:], self.truth["vertex"]
        inside = ((truth >= 0) & (truth <= self.nodes["extent"])).all(1)
        known = (self.truth["primary"] == 1) & inside & np.isfinite(predicted).all(1)
        true = self.nodes["low"] + truth[known] * self.nodes["size"]
        distance = np.sqrt(((predicted[known] - true) ** 2).sum(1))
        within = {f"vertices_{mark}cm": (distance <= mark).sum() for mark in VERTEX_MARKS}
        return {"vertices": len(distance), "vertices_distance": distance.sum(), **within}


def metrics(counts: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each row of counts: those of the clustering, then those of the heads; NaN without anything judged."""
    table = clustering_counts.metrics(counts)
    ratios = {
        "edge_accuracy": ("edges_right", "edges"),
        "edge_recall": ("edges_on_right", "edges_on"),
        "primary_groups": ("groups_primary_right", "groups_primary"),
        "primary_recall": ("nodes_primary_right", "nodes_primary"),
        "orientation_accuracy": ("tracks_right", "tracks"),
        "momentum_bias": ("momenta_residual", "momenta"),
        "momentum_error": ("momenta_absolute", "momenta"),
        "vertex_distance": ("vertices_distance", "vertices"),
        **{f"vertex_within_{mark}cm": (f"vertices_{mark}cm", "vertices") for mark in VERTEX_MARKS},
    }
    for name, (part, whole) in ratios.items():
        table[name] = share(counts[part], counts[whole])
    right = counts["nodes_primary_right"] + counts["nodes_secondary_right"]
    table["primary_accuracy"] = share(right, counts["nodes_primary"] + counts["nodes_secondary"])
    confusion = counts[CONFUSION].to_numpy(np.float64).reshape(-1, len(TYPES), len(TYPES))
    diagonal = np.diagonal(confusion, axis1=1, axis2=2)
    total = confusion.sum(axis=2)
    table["pid_accuracy"] = share(diagonal.sum(1), total.sum(1))
    recall = share(diagonal, total)
    for k, name in enumerate(TYPES):
        table[f"pid_recall_{name}"] = recall[:, k]
    present = np.isfinite(recall)
    table["pid_mean_recall"] = share(np.where(present, recall, 0).sum(1), present.sum(1))
    return table
