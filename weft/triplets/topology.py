"""How much the semantic label of a triplet weighs: more at the border of two classes and near a vertex."""

from __future__ import annotations

import numpy as np

from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.triplets.key_points import xyz
from weft.triplets.label_options import LabelOptions


def boundary_neighbours(pixels: np.ndarray, triplets: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """int64 (n,): neighbours of each triplet that have another class (specs/larmatch.md §3.5, third rule).

    Neighbours are triplets of the same volume whose row and three wires each differ by at most 1.

    Args:
        pixels: `PIXELS` of the event.
        triplets: `TRIPLETS` (n,) that have a class, in any order.
        classes: int (n,), of each.
    """
    from scipy.spatial import cKDTree

    if not len(triplets):
        return np.zeros(0, np.int64)
    members = [triplets[f"pixel_{p}"] for p in range(3)]
    row = pixels["row"][members[0]].astype(np.int64)
    row += pixels["tpc"][members[0]] * (row.max() + 3)  # volumes are no neighbours of each other
    cell = np.stack([row, *(pixels["wire"][m] for m in members)], axis=1)
    # Built by halving space, not by medians: half the time for points that fill it so evenly.
    tree = cKDTree(cell, balanced_tree=False, compact_nodes=False)
    pairs = tree.query_pairs(1.5, p=np.inf, output_type="ndarray")
    pairs = pairs[classes[pairs[:, 0]] != classes[pairs[:, 1]]]
    return np.bincount(pairs.reshape(-1), minlength=len(triplets))


def topology_weights(
    position: np.ndarray, neighbours: np.ndarray, points: np.ndarray, options: LabelOptions
) -> np.ndarray:
    """float32 (n,): `vertex_weight` near a neutrino vertex, else `boundary_weight` at a boundary, else 1.

    Args:
        position: (n, 3), cm. neighbours: (n,), of another class, from :func:`boundary_neighbours`.
        points: `TRUE_KEY_POINTS`.
    """
    from scipy.spatial import cKDTree

    weights = np.where(neighbours > 0, options.boundary_weight, 1.0).astype(np.float32)
    vertices = xyz(points[points["kind"] == KEY_POINT_KINDS.index("nu_vertex")])
    if len(vertices) and options.vertex_radius > 0:
        distance, _ = cKDTree(vertices).query(position, distance_upper_bound=options.vertex_radius)
        weights[distance < options.vertex_radius] = options.vertex_weight
    return weights
