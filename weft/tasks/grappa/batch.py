"""Graphs of several events side by side: features and targets of nodes and edges, made where batches are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from weft.engine.task import Batch, Sample
from weft.graph.build import Graph, build_graph
from weft.graph.directions import directions
from weft.graph.features import EDGE_WIDTH, edge_features, node_features, reverse
from weft.graph.grouping import spanning_forest
from weft.io.products import TRACK, Ragged
from weft.reco.views import charge_feature
from weft.tasks.grappa.labels import right_way_round
from weft.tasks.grappa.nodes import as_ragged
from weft.tasks.grappa.options import GraphOptions, LossOptions, ModelOptions

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class GraphBatch(Batch):
    """Graphs of B events with n nodes and E directed edges; coords and features are those of the nodes' M voxels."""

    voxel_node: Tensor = None  # type: ignore[assignment]
    """int64 [M]: node of each voxel"""
    nodes: Tensor = None  # type: ignore[assignment]
    """float32 [n, F]: geometric features; [n, 0] where the network has others"""
    edge_index: Tensor = None  # type: ignore[assignment]
    """int64 [2, E]: source and target; rows 2k and 2k + 1 are the two directions of a pair"""
    edges: Tensor = None  # type: ignore[assignment]
    """float32 [E, 19]: geometric features; [E, 0] where the network has others"""
    node_offsets: Tensor = None  # type: ignore[assignment]
    """int64 [B+1]"""
    edge_offsets: Tensor = None  # type: ignore[assignment]
    """int64 [B+1]"""
    row: Tensor = None  # type: ignore[assignment]
    """int64 [n]: row of each node in its product"""
    rows: Tensor = None  # type: ignore[assignment]
    """int64 [B]: how many rows that has"""
    shape: Tensor = None  # type: ignore[assignment]
    """int64 [n]: semantic class"""
    start: Tensor = None  # type: ignore[assignment]
    """float32 [n, 3]: voxels, voxel i at i + 1/2"""
    end: Tensor = None  # type: ignore[assignment]
    """float32 [n, 3]: likewise"""
    swapped: Tensor = None  # type: ignore[assignment]
    """bool [n]: start and end stand the other way round than in the product"""
    first: Tensor = None  # type: ignore[assignment]
    """bool [n]: primaries that the graph was built from; none of them where it was not"""
    box: Tensor = None  # type: ignore[assignment]
    """float64 [B, 3, 3]: voxels of the image, lower edges and voxel sizes in cm, along the axes"""

    def slices(self) -> list[tuple[slice, slice]]:
        """Nodes and edges of each event."""
        nodes, edges = self.node_offsets.tolist(), self.edge_offsets.tolist()
        return [(slice(nodes[k], nodes[k + 1]), slice(edges[k], edges[k + 1])) for k in range(len(self))]


class _Graph(NamedTuple):
    nodes: np.ndarray
    edge_index: np.ndarray
    edges: np.ndarray


def build(arrays: Mapping[str, np.ndarray], options: ModelOptions) -> _Graph:
    """Features of the nodes of one event [n, F], its directed edges [E, 2] and their features [E, 19].

    Without features where convolutions take the place of geometry.
    """
    clusters, coords = as_ragged(arrays), arrays["coords"]
    if options.encoder == "cnn":
        nodes = np.zeros((len(clusters), 0), np.float32)
    else:
        nodes = node_features(
            coords,
            clusters,
            options.composition,
            values=arrays["charge"],
            shapes=arrays["shape"],
            starts=arrays["start"],
            ends=arrays["end"],
            start_directions=_chords(arrays, clusters, options) if options.features == 28 else None,
            radius=options.radius,
            optimize=options.optimize,
        )
    graph = graph_of(arrays, options.graph)
    if options.edge_encoder == "cnn":
        edges = graph.both_ways()
        return _Graph(nodes, edges, np.zeros((len(edges), 0), np.float32))
    forth = edge_features(coords, clusters, graph.edges, graph.closest)
    if options.graph.kind == "loop":
        return _Graph(nodes, graph.edges, forth)
    both = np.stack([forth, reverse(forth)], axis=1).reshape(-1, EDGE_WIDTH)
    return _Graph(nodes, graph.both_ways(), both)


def graph_of(arrays: Mapping[str, np.ndarray], settings: GraphOptions) -> Graph:
    """The pairs of nodes of one event that are judged."""
    return build_graph(
        arrays["coords"],
        as_ragged(arrays),
        settings.kind,
        classes=arrays["shape"],
        max_length=settings.max_length,
        max_count=settings.max_count,
        measure=settings.measure,
        algorithm=settings.algorithm,
        primaries=arrays.get("first"),
        groups=arrays.get("apart"),
        k=settings.neighbours,
    )


def _chords(arrays: Mapping[str, np.ndarray], clusters: Ragged, options: ModelOptions) -> np.ndarray:
    """float32 [n, 3]: directions as the interaction network of 2020 saw them: of a track from its start to its end, of
    others at their start (spec §1.10); of a track without length (1, 0, 0)."""
    local = directions(arrays["coords"], clusters, arrays["start"], options.radius, options.optimize)
    chord = arrays["end"] - arrays["start"]
    length = np.linalg.norm(chord, axis=1, keepdims=True)
    chord = np.where(length > 0, chord / np.where(length > 0, length, 1), np.array([1, 0, 0], np.float32))
    return np.where((arrays["shape"] == TRACK)[:, None], chord, local).astype(np.float32)


def collate(samples: Sequence[Sample], options: ModelOptions, loss: LossOptions) -> GraphBatch:
    """Samples of :mod:`weft.tasks.grappa.nodes`, with targets where they have labels."""
    import torch

    arrays = [sample.arrays for sample in samples]
    graphs = [build(each, options) for each in arrays]
    node_offsets, edge_offsets = _offsets([len(g.nodes) for g in graphs]), _offsets([len(g.edges) for g in graphs])
    voxel_offsets = _offsets([len(each["coords"]) for each in arrays])

    def joined(name: str) -> np.ndarray:
        return np.concatenate([each[name] for each in arrays])

    event = np.repeat(np.arange(len(arrays), dtype=np.int32), np.diff(voxel_offsets))
    edge_index = np.concatenate([g.edge_index + first for g, first in zip(graphs, node_offsets[:-1], strict=True)])
    count = joined("count")
    first = joined("first") if "first" in arrays[0] else np.zeros(len(count), bool)
    tensors = {
        "voxel_node": np.repeat(np.arange(len(count)), count),
        "nodes": np.concatenate([g.nodes for g in graphs]),
        "edge_index": np.ascontiguousarray(edge_index.T),
        "edges": np.concatenate([g.edges for g in graphs]),
        "node_offsets": node_offsets,
        "edge_offsets": edge_offsets,
        "row": joined("row"),
        "rows": joined("rows"),
        "shape": joined("shape"),
        "start": joined("start") + np.float32(0.5),
        "end": joined("end") + np.float32(0.5),
        "swapped": joined("swapped"),
        "first": first,
        "box": np.stack([np.stack([each[name] for name in ("extent", "low", "size")]) for each in arrays]),
    }
    targets: dict[str, np.ndarray] = {}
    if "group" in arrays[0]:
        parts = [targets_of(each, g.edge_index, options, loss) for each, g in zip(arrays, graphs, strict=True)]
        targets = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        targets["edge_counts"] = np.stack([part["edge_counts"] for part in parts]).sum(0)
    return GraphBatch(
        coords=torch.from_numpy(np.concatenate([event[:, None], joined("coords")], axis=1)),
        features=torch.from_numpy(charge_feature(joined("charge")[:, None], "log")),
        offsets=torch.from_numpy(voxel_offsets),
        events=[sample.event for sample in samples],
        targets={name: torch.from_numpy(value) for name, value in targets.items()},
        **{name: torch.from_numpy(value) for name, value in tensors.items()},  # type: ignore[arg-type]
    )


def targets_of(
    arrays: Mapping[str, np.ndarray], edges: np.ndarray, options: ModelOptions, loss: LossOptions
) -> dict[str, np.ndarray]:
    """What one event should be answered; −1, or NaN, where there is no label.

    Returns:
        edge int64 [E], with the target "forest" 1 for all pairs of a group; edge_counts int64 [2]: edges that will be
        judged off and on; primary, pid, orientation int64 [n]; momentum float32 [n]; vertex float32 [n, 3], voxels;
        begins int64 [n]: primary as the vertex head learns it; group int64 [n].
    """
    good, group, own = arrays["good"], arrays["group"], arrays["own"]
    primary = np.where(good, arrays["primary"], -1)
    a, b = edges[:, 0], edges[:, 1]
    together = group[a] == group[b]
    on = together
    if loss.edge.target == "particle_forest":
        parent = arrays["parent"]
        on = (parent[a] == own[b]) | (parent[b] == own[a]) | (own[a] == own[b])
    judged = (group[a] >= 0) & (group[b] >= 0) & good[a] & good[b]
    if loss.edge.high_purity:
        begins = arrays["primary"] == 1
        leaders = np.unique(np.stack([group[begins], own[begins]], axis=1), axis=0)[:, 0]
        judged &= ~together | _occurs_once(leaders, group)[a]
    edge = np.where(judged, on, -1).astype(np.int64)
    counts = np.bincount(edge[edge >= 0], minlength=2)
    if loss.edge.target == "forest":
        label, forest = spanning_forest(edges, np.full(len(edges), 0.5), np.where(good, group, -1))
        counts = np.bincount(label[forest & (edge >= 0)], minlength=2)
    learned = primary
    if loss.primary.high_purity and not loss.primary.predicted_groups:
        learned = np.where(_occurs_once(group[primary == 1], group), primary, -1)
    vertex = arrays["vertex"]
    placed = (primary == 1) & np.isfinite(vertex).all(1)
    if loss.vertex.contained:
        placed &= ((vertex >= 0) & (vertex <= arrays["extent"])).all(1)
    return {
        "edge": edge,
        "edge_counts": counts.astype(np.int64),
        "group": np.where(good, group, -1),
        "primary": learned,
        "begins": primary,
        "pid": np.where(good, arrays["pid"], -1),
        "orientation": np.where(good, right_way_round(arrays), -1),
        "momentum": np.where(good, arrays["momentum"], np.float32(np.nan)),
        "vertex": np.where(placed[:, None], vertex, np.float32(np.nan)),
    }


def _occurs_once(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """bool [n]: whether the group of each node is exactly once among `values`."""
    found, number = np.unique(values, return_counts=True)
    return np.isin(group, found[number == 1])


def _offsets(counts: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
