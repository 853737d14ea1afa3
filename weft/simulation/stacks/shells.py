"""Nuclear envelopes: ellipsoids with bumps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weft.simulation.stacks.drawing import Drawn, Grid, share_inside
from weft.simulation.stacks.settings import Shells

_TRIES = 60
_WAVES = 6
#: A bumpy surface lies within this many r.m.s. of its bumps.
_BUMPS = 4.0


def draw_shells(options: Shells, size: float, grid: Grid, rng: np.random.Generator) -> Iterator[Drawn]:
    """Nuclei as far as there is room; some are cut by the sides of the stack.

    size: factor on all lengths.
    """
    placed: list[tuple[np.ndarray, float]] = []
    for _ in range(int(rng.integers(options.count[0], options.count[1] + 1))):
        width = rng.uniform(*options.diameter) * size
        stretch = rng.uniform(*options.elongation)
        height = rng.uniform(*options.height)
        axes = np.array([height, stretch, 1 / stretch]) * width / 2
        radius = axes[1] + options.thickness * size / 2
        angle = rng.uniform(0, np.pi)
        waves = rng.normal(0, 1.5, (_WAVES, 3)), rng.uniform(0, 2 * np.pi, _WAVES), rng.normal(0, 1, _WAVES)
        for _ in range(_TRIES):
            centre = rng.uniform([0.35, 0, 0], [0.65, 1, 1]) * grid.extent
            apart = [np.hypot(*(centre - other)[1:]) - radius - wide for other, wide in placed]
            if all(distance >= options.gap * size for distance in apart):
                placed.append((centre, radius))
                drawn = _shell(options, size, grid, centre, axes, angle, waves)
                if drawn is not None:
                    yield drawn
                break


def _shell(
    options: Shells,
    size: float,
    grid: Grid,
    centre: np.ndarray,
    axes: np.ndarray,
    angle: float,
    waves: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Drawn | None:
    half = options.thickness * size / 2
    reach = axes.max() * (1 + _BUMPS * options.irregularity) + half + grid.edge
    box = grid.box(centre - reach, centre + reach)
    if box is None:
        return None
    distance = _distance(grid, box, centre, axes, angle, waves, options.irregularity)
    envelope = np.abs(distance) - half
    stained = share_inside(envelope, grid.edge)
    if options.lumen:
        stained = np.maximum(stained, options.lumen * share_inside(distance, grid.edge))
    return Drawn(box, stained, (envelope if options.marks == "shell" else distance - half) <= 0)


def _distance(
    grid: Grid,
    box: tuple[slice, slice, slice],
    centre: np.ndarray,
    axes: np.ndarray,
    angle: float,
    waves: tuple[np.ndarray, np.ndarray, np.ndarray],
    irregularity: float,
) -> np.ndarray:
    """Distance to the surface, µm, to first order: (r − ρ) / |∇r| for the radius r in units of the axes and that of
    the surface ρ in the same direction."""
    z, y, x = (c - m for c, m in zip(grid.centres(box), centre, strict=True))
    along, across = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
    scaled = np.stack(np.broadcast_arrays(z / axes[0], along / axes[1], across / axes[2]), -1)
    radius = np.maximum(np.linalg.norm(scaled, axis=-1), 1e-9)
    slope = np.linalg.norm(scaled / axes, axis=-1) / radius
    surface: np.ndarray | float = 1.0
    if irregularity:
        vectors, phases, heights = waves
        bumps = np.cos(scaled / radius[..., None] @ vectors.T + phases) @ heights
        surface = 1 + irregularity * np.clip(bumps / np.sqrt((heights**2).sum() / 2), -_BUMPS, _BUMPS)
    return (radius - surface) / np.maximum(slope, 1e-9)
