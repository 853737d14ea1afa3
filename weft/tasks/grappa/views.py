"""How events are varied in training: turned and mirrored, track ends exchanged, laid over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from weft.engine.task import Sample
from weft.graph.closest import farthest_pairs
from weft.io.products import TRACK
from weft.reco.views import charge_view, orientation
from weft.tasks.grappa.nodes import as_ragged, swap
from weft.tasks.grappa.options import DataOptions, OverlayOptions

_AT_INDEX = ("coords", "start", "end", "true_start", "true_end")  # voxel i is at i
_AT_CENTRE = ("vertex",)  # voxel i is at i + 1/2
_PER_AXIS = ("extent", "low", "size")
_PER_NODE = (
    "row", "shape", "start", "end", "swapped", "first", "apart", "group", "own", "parent", "primary", "pid", "momentum",
    "good", "true_start", "true_end", "vertex",
)  # fmt: skip
_IDS = (("row",), ("apart",), ("group",), ("own", "parent"))  # numbers of an event, by what they number


def random_view(sample: Sample, data: DataOptions, rng: np.random.Generator) -> Sample:
    """One of the ways in which the same event could have happened."""
    arrays = in_pieces(sample.arrays) if data.break_clusters else dict(sample.arrays)
    axes, mirrored = orientation(3, data.flip, data.rotate, rng)
    extent = arrays["extent"]
    for names, shift in ((_AT_INDEX, 1), (_AT_CENTRE, 0)):
        for name in names:
            if name in arrays:
                position = arrays[name]
                turned = np.where(mirrored, extent - shift - position, position).astype(position.dtype)
                arrays[name] = np.ascontiguousarray(turned[:, axes])
    for name in _PER_AXIS:
        arrays[name] = arrays[name][axes]
    arrays["charge"] = charge_view(arrays["charge"], data.charge_jitter, rng)
    if data.order == "random":
        arrays |= swap(arrays, rng.random(len(arrays["row"])) < 0.5)
    return Sample(arrays, sample.event)


def in_pieces(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every connected piece of a cluster as a node of its own, with the labels of the whole (spec §1.0).

    Pieces of tracks start and end at their farthest voxels, in the direction of the whole; other pieces at their voxel
    nearest to the start of the whole.
    """
    from weft.reco.dbscan import break_clusters

    count = arrays["count"]
    node = np.repeat(np.arange(len(count)), count)
    piece = break_clusters(arrays["coords"], node)
    order = np.lexsort((np.arange(len(piece)), piece, node))
    _, first, number = np.unique(piece[order], return_index=True, return_counts=True)
    by_place = np.argsort(first)
    counts, of_piece = number[by_place], node[order][first[by_place]]
    broken = {**arrays, "count": counts}
    for name in ("voxel", "coords", "charge"):
        broken[name] = arrays[name][order]
    for name in _PER_NODE:
        if name in arrays:
            broken[name] = arrays[name][of_piece]
    if len(counts) == len(count):
        return broken
    clusters, coords = as_ragged(broken), broken["coords"]
    which = np.repeat(np.arange(len(counts)), counts)
    ends = coords[farthest_pairs(coords, clusters).rows].astype(np.float32)
    whole = broken["end"] - broken["start"]
    turned = ((ends[:, 1] - ends[:, 0]) * whole).sum(1) < 0
    ends[turned] = ends[turned][:, ::-1]
    square = ((coords - broken["start"][which]) ** 2).sum(1)
    nearest = coords[np.lexsort((square, which))[clusters.offsets[:-1]]].astype(np.float32)
    track, several = broken["shape"] == TRACK, np.bincount(of_piece, minlength=len(count))[of_piece] > 1
    for k, point in enumerate(("start", "end")):
        own = np.where(track[:, None], ends[:, k], nearest)
        broken[point] = np.where(several[:, None], own, broken[point])
    return broken


def overlay(samples: Sequence[Sample], options: OverlayOptions, rng: np.random.Generator) -> list[Sample]:
    """Samples laid over each other, the first few as one, the next few as one, and so on.

    Clusters of different events stay apart even where they share voxels.
    """
    merged, first = [], 0
    while first < len(samples):
        number = options.events if options.kind == "const" else max(1, int(rng.poisson(options.events)))
        merged.append(_as_one(samples[first : first + number]))
        first += number
    return merged


def _as_one(samples: Sequence[Sample]) -> Sample:
    first = samples[0]
    if len(samples) == 1:
        return first
    shifted = [dict(sample.arrays) for sample in samples]
    for names in _IDS:
        present = [name for name in names if name in first.arrays]
        start = 0
        for arrays in shifted:
            highest = max((int(arrays[name].max(initial=-1)) for name in present), default=-1)
            for name in present:
                arrays[name] = np.where(arrays[name] >= 0, arrays[name] + start, arrays[name])
            start += highest + 1
    kept = {name: first.arrays[name] for name in _PER_AXIS}
    joined = {name: np.concatenate([arrays[name] for arrays in shifted]) for name in first.arrays if name not in kept}
    joined["rows"] = np.array([joined["row"].max(initial=-1) + 1])
    return Sample({**joined, **kept}, first.event)
