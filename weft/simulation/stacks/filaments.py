"""Filaments: worm-like chains with a radius."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weft.simulation.stacks.drawing import Drawn, Grid, share_inside
from weft.simulation.stacks.settings import Filaments

#: Points per radius along a filament: tubes made of spheres this dense are smooth to 0.6 % of the radius.
_DENSITY = 4


def draw_filaments(options: Filaments, size: float, grid: Grid, rng: np.random.Generator) -> Iterator[Drawn]:
    """Filaments that start within the stack and may leave it; lengths are multiplied by `size`."""
    radius = options.radius * size
    for _ in range(int(rng.integers(options.count[0], options.count[1] + 1))):
        length = rng.uniform(*options.length) * size
        points = chain(length, radius / _DENSITY, options.persistence * size, options.tilt, rng)
        points += rng.uniform(0, 1, 3) * grid.extent
        reach = radius + grid.edge
        near = ((points >= -reach) & (points <= grid.extent + reach)).all(axis=1)
        points = points[near]
        box = grid.box(points.min(axis=0) - reach, points.max(axis=0) + reach) if len(points) else None
        if box is None:
            continue
        distance = distance_to(points, reach, grid, box) - radius
        yield Drawn(box, share_inside(distance, grid.edge), distance <= 0)


def chain(length: float, step: float, persistence: float, tilt: float, rng: np.random.Generator) -> np.ndarray:
    """float64 (n, 3) z, y, x: points of a worm-like chain about every `step` µm, beginning at 0.

    The direction wanders by a Gaussian angle of variance step / persistence per step and axis, along z by `tilt` of
    that (Kratky and Porod, Recueil des Travaux Chimiques 68, 1949).
    """
    steps = max(1, int(np.ceil(length / step)))
    plane = np.array([tilt, 1.0, 1.0])
    kicks = rng.normal(0, np.sqrt(step / persistence), (steps, 3)) * plane
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([tilt * rng.normal(), np.sin(angle), np.cos(angle)])
    points = np.zeros((steps + 1, 3))
    for k in range(steps):
        direction = direction + kicks[k]
        direction /= np.linalg.norm(direction)
        points[k + 1] = points[k] + direction * (length / steps)
    return points


def distance_to(points: np.ndarray, reach: float, grid: Grid, box: tuple[slice, slice, slice]) -> np.ndarray:
    """float64 [box]: distance of each voxel to the nearest point, µm; `reach` where that is farther."""
    spacing = np.array(grid.spacing)
    half = np.ceil(reach / spacing).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij"), -1).reshape(-1, 3)
    low, shape = np.array([part.start for part in box]), tuple(part.stop - part.start for part in box)
    found = np.full(int(np.prod(shape)), reach)
    for block in np.array_split(points, max(1, len(points) * len(offsets) // 1_000_000)):
        voxels = np.rint(block / spacing).astype(int)[:, None] + offsets
        local = voxels - low
        within = ((local >= 0) & (local < shape)).all(axis=-1)
        distance = np.linalg.norm(voxels * spacing - block[:, None], axis=-1)
        flat = np.ravel_multi_index(tuple(local[within].T), shape)
        np.minimum.at(found, flat, distance[within])
    return found.reshape(shape)
