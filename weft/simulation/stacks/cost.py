"""Cost maps of simulated stacks: polygons that a curator might leave out, and borders of classes."""

from __future__ import annotations

import numpy as np

from weft.simulation.stacks.settings import CostMap


def cost_map(labels: np.ndarray, options: CostMap, rng: np.random.Generator) -> np.ndarray:
    """float32 [Z, Y, X]: 1, `border` where a neighbour (of six) has another class, 0 within the polygons."""
    cost = np.ones(labels.shape, np.float32)
    if options.border != 1:
        cost[borders(labels)] = options.border
    for _ in range(int(rng.integers(options.excluded[0], options.excluded[1] + 1))):
        cost[:, star(labels.shape[1:], options.excluded_size, rng)] = 0
    return cost


def borders(labels: np.ndarray) -> np.ndarray:
    """bool [Z, Y, X]: voxels that share a face with one of another class."""
    found = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(labels.ndim))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(labels.ndim))
        differs = labels[low] != labels[high]
        found[low] |= differs
        found[high] |= differs
    return found


def star(shape: tuple[int, ...], size: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """bool [Y, X]: a polygon around a random pixel, its corners at radii of `size` times the shorter side."""
    corners = 9
    centre = rng.uniform(0, 1, 2) * (np.array(shape) - 1)
    radii = rng.uniform(*size, corners) * min(shape)
    y, x = np.ogrid[: shape[0], : shape[1]]
    angle = np.arctan2(y - centre[0], x - centre[1]) % (2 * np.pi)
    at = angle / (2 * np.pi) * corners
    low = np.floor(at).astype(int) % corners
    part = at - np.floor(at)
    # The straight line between two corners in polar coordinates: 1/r is linear in cos and sin.
    step = 2 * np.pi / corners
    inverse = (np.sin((1 - part) * step) / radii[low] + np.sin(part * step) / radii[(low + 1) % corners]) / np.sin(step)
    return np.hypot(y - centre[0], x - centre[1]) * inverse <= 1
