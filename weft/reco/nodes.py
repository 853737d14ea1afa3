"""Tables of clusters: what fragments and candidates are made of, from the voxels of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.io.products import Ragged
from weft.io.reco_products import FRAGMENTS
from weft.reco.ends import Ends, cluster_ends
from weft.reco.positions import to_cm


def by_label(labels: np.ndarray, n_clusters: int | None = None) -> Ragged:
    """The rows of each cluster, increasing: item k has those whose label is k; rows with a negative one are in none.

    labels: integer [N]. n_clusters: how many items there are; default: the highest label and one.
    """
    labels = np.asarray(labels).reshape(-1)
    rows = np.flatnonzero(labels >= 0)
    chosen = labels[rows]
    n_clusters = int(chosen.max(initial=-1)) + 1 if n_clusters is None else n_clusters
    offsets = np.zeros(n_clusters + 1, np.int64)
    np.cumsum(np.bincount(chosen, minlength=n_clusters), out=offsets[1:])
    return Ragged(rows[np.argsort(chosen, kind="stable")].astype(np.int32), offsets)


def numbered_by_first(labels: np.ndarray) -> np.ndarray:
    """int64 [N]: the same clusters numbered from 0 in the order of their first rows; labels below zero become −1."""
    found, first, number = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.full(len(found), -1, np.int64)
    clusters = np.flatnonzero(found >= 0)
    rank[clusters[np.argsort(first[clusters])]] = np.arange(len(clusters))
    return rank[number.reshape(-1)]


def voxel_labels(items: Ragged, n_voxels: int, groups: np.ndarray | None = None) -> np.ndarray:
    """int64 [n_voxels]: the item that each voxel is in, or the group of that item; −1 where it is in none.

    items: rows of voxels of clusters that do not overlap, such as `fragment_voxels`.
    groups: integer [items] or [items, 1], such as `shower_groups`; −1: in none.
    """
    labels = np.full(n_voxels, -1, np.int64)
    number = np.arange(len(items)) if groups is None else np.asarray(groups, np.int64).reshape(-1)
    labels[items.values] = np.repeat(number, items.counts)
    return labels


def select(items: Ragged, chosen: np.ndarray) -> Ragged:
    """The items with the numbers `chosen`, in that order."""
    counts = items.counts[chosen]
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    return Ragged(items.values[np.repeat(items.offsets[:-1][chosen], counts) + within], offsets)


def node_table(items: Ragged, shapes: np.ndarray, charge: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Rows of `fragments` or `candidates`: shape, size, energy [MeV]; other fields are 0.

    items: rows of voxels of n clusters. shapes: integer [n]. charge: float32 [N, 1], MeV.
    """
    table = np.zeros(len(items), dtype)
    table["shape"], table["size"] = shapes, items.counts
    node = np.repeat(np.arange(len(items)), items.counts)
    table["energy"] = np.bincount(node, charge[items.values, 0], len(items))
    return table


def place_ends(table: np.ndarray, rows: np.ndarray, ends: Ends, meta: np.ndarray) -> None:
    """Write start and end [cm] of some rows of `fragments` or `candidates`; ends: of those rows, voxel units."""
    for point, position in (("start", ends.start), ("end", ends.end)):
        for axis, values in zip("xyz", to_cm(position, meta).T, strict=True):
            table[f"{point}_{axis}"][rows] = values


def fragment_products(
    items: Ragged,
    shapes: np.ndarray,
    voxels: np.ndarray,
    charge: np.ndarray,
    meta: np.ndarray,
    proposals: np.ndarray | None = None,
) -> dict[str, Any]:
    """The products `fragments` and `fragment_voxels` of clusters of voxels that do not overlap.

    items: rows of voxels [N, 3] of n clusters, increasing in each, none empty. shapes: integer [n], semantic class.
    charge: float32 [N, 1], MeV. meta: one row. proposals: `point_proposals` [N, 10], where showers start, if known.
    """
    fragments = node_table(items, shapes, charge, FRAGMENTS.dtype)
    place_ends(fragments, np.arange(len(items)), cluster_ends(voxels, items, shapes, proposals), meta)
    return {"fragments": fragments, "fragment_voxels": items}
