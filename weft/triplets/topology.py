"""How much the semantic label of a triplet weighs: more at the border of two classes and near a vertex."""

from __future__ import annotations

import numpy as np

from weft.compiled import kernel
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.triplets.key_points import nearest_place, xyz
from weft.triplets.label_options import LabelOptions


def boundary_neighbours(pixels: np.ndarray, triplets: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """int64 (n,): neighbours of each triplet that have another class (specs/larmatch.md §3.5, third rule).

    Neighbours are triplets of the same volume whose row and three wires each differ by at most 1.

    Args:
        pixels: `PIXELS` of the event.
        triplets: `TRIPLETS` (n,) that have a class, in any order.
        classes: int (n,), of each.
    """
    if not len(triplets):
        return np.zeros(0, np.int64)
    members = [triplets[f"pixel_{p}"] for p in range(3)]
    row = pixels["row"][members[0]].astype(np.int64)
    row += pixels["tpc"][members[0]] * (row.max() + 3)  # volumes are no neighbours of each other
    wires = [pixels["wire"][m].astype(np.int64) for m in members]
    # Numbers of cells, in which each of the four counts from 1 to two below its size: one more or less is no other row.
    steps = np.cumprod([1, *(int(wire.max()) + 3 for wire in wires[::-1])])[::-1]
    key = sum(step * (column + 1) for step, column in zip(steps, [row, *wires], strict=True))
    order = np.argsort(key, kind="stable")
    found = np.zeros(len(triplets), np.int64)
    found[order] = _different_neighbours(key[order], np.asarray(classes, np.int64)[order], steps)
    return found


def topology_weights(
    position: np.ndarray, neighbours: np.ndarray, points: np.ndarray, options: LabelOptions
) -> np.ndarray:
    """float32 (n,): `vertex_weight` near a neutrino vertex, else `boundary_weight` at a boundary, else 1.

    Args:
        position: (n, 3), cm. neighbours: (n,), of another class, from :func:`boundary_neighbours`.
        points: `TRUE_KEY_POINTS`.
    """
    weights = np.where(neighbours > 0, options.boundary_weight, 1.0).astype(np.float32)
    vertices = xyz(points[points["kind"] == KEY_POINT_KINDS.index("nu_vertex")])
    if len(vertices) and options.vertex_radius > 0:
        _, nearest = nearest_place(position, vertices, options.vertex_radius)
        weights[nearest >= 0] = options.vertex_weight
    return weights


@kernel
def _different_neighbours(key, classes, steps):
    """int64 (n,): cells of another class that differ by at most 1 in each of their four numbers.

    key: int64 (n,), sorted. steps: by how much it grows with each number. Of each pair the later cell is looked for:
    while the first moves on, what is by a fixed step ahead of it moves on too.
    """
    found = np.zeros(len(key), np.int64)
    for block in range(14):
        # (0, 0, 0) and those after it among the steps of −1, 0, 1 in the first three numbers
        first, second, third = (block + 13) // 9 - 1, (block + 13) // 3 % 3 - 1, (block + 13) % 3 - 1
        ahead = first * steps[0] + second * steps[1] + third * steps[2]
        low = ahead + (1 if block == 0 else -1)
        j = 0
        for i in range(len(key)):
            while j < len(key) and key[j] < key[i] + low:
                j += 1
            k = j
            while k < len(key) and key[k] <= key[i] + ahead + 1:
                if classes[k] != classes[i]:
                    found[i] += 1
                    found[k] += 1
                k += 1
    return found
