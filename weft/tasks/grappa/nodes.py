"""The nodes of an event as the network will see them: which clusters take part, their voxels, their ends.

Positions are in voxel units with voxel i at i, as geometric features count (spec §2.1); products have them in cm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from weft.engine.task import Event
from weft.io.products import TRACK, Ragged
from weft.reco.nodes import select
from weft.tasks.grappa.options import ModelOptions

AXES = "xyz"
_VOXELS = {"fragments": "fragment_voxels", "candidates": "candidate_voxels"}
_PRIMARY = 0.5  # score of a primary node, for bipartite graphs
_GRID = 1024
"""steps of a voxel that positions are rounded to"""


def products(options: ModelOptions) -> tuple[str, ...]:
    """What a prediction reads."""
    graph = options.graph
    more = [name for name in (graph.primaries, graph.groups) if name is not None]
    return ("voxels", "charge", "meta", options.nodes, _VOXELS[options.nodes], *dict.fromkeys(more))


def read_nodes(event: Event, options: ModelOptions) -> dict[str, np.ndarray]:
    """The clusters of an event that take part.

    Returns arrays of n nodes with M voxels:
        row int64 [n]: row of each in the product that the nodes come from; rows int64 [1]: how many that has;
        count int64 [n]: voxels of each; voxel int64 [M]: their rows in `voxels`, node by node;
        coords int32 [M, 3]; charge float32 [M], MeV; shape int64 [n]; start, end float32 [n, 3], voxels;
        swapped bool [n]: start and end stand the other way round than in the product;
        extent float64 [3]: voxels of the image; low, size float64 [3]: cm;
        first bool [n]: scored as primary, where the graph asks for it;
        apart int64 [n]: number of what nodes have edges within, where the graph asks for it.
    """
    table = event[options.nodes]
    items: Ragged = event[_VOXELS[options.nodes]]
    box = event["meta"][0]
    low, size = (np.array([box[f"{name}_{a}"] for a in AXES], np.float64) for name in ("min", "size"))
    row = np.flatnonzero(np.isin(table["shape"], options.classes) & (items.counts >= options.min_size))
    voxel = select(items, row).values.astype(np.int64)
    arrays = {
        "row": row,
        "rows": np.array([len(table)]),
        "count": items.counts[row],
        "voxel": voxel,
        "coords": np.ascontiguousarray(event["voxels"][voxel], np.int32),
        "charge": event["charge"][voxel, 0],
        "shape": table["shape"][row].astype(np.int64),
        "swapped": np.zeros(len(row), bool),
        "extent": np.array([box[f"n{a}"] for a in AXES], np.float64),
        "low": low,
        "size": size,
    }
    for point in ("start", "end"):
        position = np.stack([table[f"{point}_{a}"][row] for a in AXES], axis=1).astype(np.float64)
        # Products are in float32 cm: what that leaves of the distance to a voxel's centre is none.
        arrays[point] = (np.round(((position - low) / size - 0.5) * _GRID) / _GRID).astype(np.float32)
    if options.graph.primaries is not None:
        score = np.asarray(event[options.graph.primaries])
        score = score if score.ndim == 1 else score[:, 0]
        arrays["first"] = score[row] > _PRIMARY  # NaN, no answer, is not
    if options.graph.groups is not None:
        group = np.asarray(event[options.graph.groups], np.int64).reshape(-1)
        own = len(table) + np.arange(len(table))  # a node in no group is in one of its own
        arrays["apart"] = np.where(group >= 0, group, own)[row]
    return arrays


def as_ragged(arrays: Mapping[str, Any]) -> Ragged:
    """Rows of `coords` of each node."""
    offsets = np.concatenate([[0], np.cumsum(arrays["count"])]).astype(np.int64)
    return Ragged(np.arange(offsets[-1]), offsets)


def swap(arrays: Mapping[str, np.ndarray], which: np.ndarray) -> dict[str, np.ndarray]:
    """Start and end of the tracks among `which` (bool [n]) exchanged; other classes have one point twice."""
    which = which & (arrays["shape"] == TRACK)
    start, end = arrays["start"], arrays["end"]
    return {
        "start": np.where(which[:, None], end, start),
        "end": np.where(which[:, None], start, end),
        "swapped": arrays["swapped"] ^ which,
    }


def in_fixed_order(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tracks such that they start at the lower x, then y, then z: an order that says nothing of the truth."""
    difference = arrays["start"] - arrays["end"]
    decides = np.argmax(difference != 0, axis=1) if len(difference) else np.zeros(0, np.int64)
    return swap(arrays, difference[np.arange(len(difference)), decides] > 0)
