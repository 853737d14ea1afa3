"""How wide particles spread: round their direction, and away from their axis (spec §1.11, `particle_spread`)."""

from __future__ import annotations

import numpy as np

from weft.io.products import Ragged
from weft.simulation.matter import RADIATION_LENGTH


def directional_spread(points: np.ndarray, nodes: Ragged, start: np.ndarray) -> np.ndarray:
    """float64 [n]: mean of 1 − cos between the voxels as seen from the start and their mean direction, 0 for a ray.

    points: [N, 3] cm; nodes: rows of each of n particles; start: [n, 3] cm. Voxels weigh exp(−distance/X0), so that the
    start counts most; those at the start itself do not count. NaN where there are no others.
    """
    node, seen, distance = _seen(points, nodes, start)
    apart = distance > 0
    node, unit = node[apart], seen[apart] / distance[apart, None]
    weight = np.exp(-distance[apart] / RADIATION_LENGTH)
    total = np.bincount(node, weight, len(nodes))
    mean = np.stack([np.bincount(node, weight * unit[:, axis], len(nodes)) for axis in range(3)], axis=1)
    # The mean of cosines with the mean direction is the length of the mean vector.
    length = np.linalg.norm(mean, axis=1)
    return 1 - np.divide(length, total, out=np.full(len(nodes), np.nan), where=total > 0)


def axial_spread(points: np.ndarray, nodes: Ragged, start: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """float64 [n]: Pearson's correlation of the voxels' distances along the axis and from it; 1 for a cone that opens.

    direction: [n, 3], of the axis through the start. NaN where either distance is the same for all voxels.
    """
    node, seen, _ = _seen(points, nodes, start)
    along = (seen * direction[node]).sum(1)
    across = np.linalg.norm(seen - along[:, None] * direction[node], axis=1)
    count = np.maximum(nodes.counts, 1)

    def centred(values: np.ndarray) -> np.ndarray:
        return np.asarray(values - (np.bincount(node, values, len(nodes)) / count)[node])

    x, y = centred(along), centred(across)
    xy, xx, yy = (np.bincount(node, product, len(nodes)) for product in (x * y, x * x, y * y))
    scale = np.sqrt(xx * yy)
    return np.divide(xy, scale, out=np.full(len(nodes), np.nan), where=(xx > 1e-9) & (yy > 1e-9))


def _seen(points: np.ndarray, nodes: Ragged, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Node of each listed voxel, where it lies as seen from the start, and how far."""
    node = np.repeat(np.arange(len(nodes)), nodes.counts)
    seen = np.asarray(points, np.float64)[nodes.values] - np.asarray(start, np.float64)[node]
    return node, seen, np.linalg.norm(seen, axis=1)
