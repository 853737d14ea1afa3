"""The lie of the land: heights, water and roads of a tile as functions of the place; and what has room where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from weft.simulation.towns.settings import Ground

Where = Literal["land", "road", "water"]
_TRIES = 40
#: Ground over the water at its bank, m, and how far from it the hills begin.
_BANK, _RISE = 0.6, 10.0


class Road(NamedTuple):
    """A straight road: a point of its axis, its direction (radians), and half its width, m."""

    point: np.ndarray
    angle: float
    half: float

    def across(self, xy: np.ndarray) -> np.ndarray:
        """float64 [n]: signed distance from the axis, m."""
        return (xy - self.point) @ np.array([-np.sin(self.angle), np.cos(self.angle)])


class Land:
    """Heights, water and roads of one tile, x and y from 0 to `edge`, m."""

    def __init__(self, options: Ground, edge: float, rng: np.random.Generator) -> None:
        self.edge = edge
        self._hills = _waves(options.hill_size, options.hills, rng)
        flat, step = rng.uniform() < options.terraces, rng.uniform(*options.step)
        self._step = step if flat else None
        steps = np.linspace(0, edge, 65)
        grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
        self._shore = self._draw_shore(options, grid, rng)
        self.roads = [
            self._draw_road(options, rng) for _ in range(int(rng.integers(options.roads[0], options.roads[1] + 1)))
        ]

    def _draw_shore(
        self, options: Ground, grid: np.ndarray, rng: np.random.Generator
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        wet, share, angle = rng.uniform() < options.water, rng.uniform(*options.water_share), rng.uniform(0, 2 * np.pi)
        river, middle = rng.uniform() < 0.4, rng.uniform(0.3, 0.7, 2) * self.edge
        wiggle = _waves(self.edge / 2, self.edge / 25, rng)
        if not wet:
            return None

        def raw(xy: np.ndarray) -> np.ndarray:
            away = (xy - middle) @ np.array([np.cos(angle), np.sin(angle)]) + wiggle(xy)
            return -np.abs(away) if river else away

        level = float(np.quantile(raw(grid), 1 - share))
        return lambda xy: raw(xy) - level

    def _draw_road(self, options: Ground, rng: np.random.Generator) -> Road:
        point = rng.uniform(0.2, 0.8, 2) * self.edge
        for _ in range(_TRIES):
            if self.water(point[None])[0] < -5:
                break
            point = rng.uniform(0.05, 0.95, 2) * self.edge
        return Road(point, rng.uniform(0, np.pi), rng.uniform(*options.road_width) / 2)

    def water(self, xy: np.ndarray) -> np.ndarray:
        """float64 [n]: about the distance from the bank, m; above 0 in the water."""
        return np.full(len(xy), -np.inf) if self._shore is None else self._shore(xy)

    def road(self, xy: np.ndarray) -> np.ndarray:
        """float64 [n]: distance from the edge of the nearest road, m, below 0 on it; in the water there is none."""
        distance = np.full(len(xy), np.inf)
        for road in self.roads:
            distance = np.minimum(distance, np.abs(road.across(xy)) - road.half)
        return np.where(self.water(xy) > -1, np.inf, distance)

    def height(self, xy: np.ndarray) -> np.ndarray:
        """float64 [n]: of the ground, m; 0 is the water, which hollows away from it may lie below."""
        away = -self.water(xy)
        rise = np.where(np.isfinite(away), 1 - np.exp(-np.maximum(away, 0) / _RISE), 1.0)
        return np.where(away < 0, 0.0, _BANK + self._relief(xy) * rise)

    def _relief(self, xy: np.ndarray) -> np.ndarray:
        """The hills, or steps of them: level over three quarters of each, and the rest a slope."""
        hills = self._hills(xy)
        if self._step is None:
            return hills
        level = np.floor(hills / self._step)
        part = hills / self._step - level
        return self._step * (level + np.clip((part - 0.75) / 0.25, 0, 1))


class Site:
    """What stands where: things are placed one after the other, where there is room."""

    def __init__(self, land: Land) -> None:
        self.land = land
        self._centres = np.zeros((0, 2))
        self._radii = np.zeros(0)

    def place(self, radius: float, where: Where, rng: np.random.Generator, gap: float = 0.0) -> np.ndarray | None:
        """A place [2] for something round, m, at least `gap` from all others; None where none was found."""
        low, high = min(radius, self.land.edge / 2), max(self.land.edge - radius, self.land.edge / 2)
        for _ in range(_TRIES):
            centre = self._along_road(low, high, rng) if where == "road" else rng.uniform(low, high, 2)
            if centre is None or not self._fits(centre, radius, where):
                continue
            apart = np.hypot(*(self._centres - centre).T) - self._radii - radius
            if (apart >= gap).all():
                self._centres = np.vstack([self._centres, centre])
                self._radii = np.append(self._radii, radius)
                return centre
        return None

    def _along_road(self, low: float, high: float, rng: np.random.Generator) -> np.ndarray | None:
        if not self.land.roads:
            return None
        road = self.land.roads[int(rng.integers(len(self.land.roads)))]
        along = rng.uniform(-1, 1) * self.land.edge
        side = rng.choice([-1, 1]) * (road.half - rng.uniform(0.2, 1.6))
        direction = np.array([np.cos(road.angle), np.sin(road.angle)])
        centre = road.point + along * direction + side * np.array([-direction[1], direction[0]])
        return centre if low <= centre.min() and centre.max() <= high else None

    def _fits(self, centre: np.ndarray, radius: float, where: Where) -> bool:
        turn = np.linspace(0, 2 * np.pi, 9)
        ring = centre + radius * np.stack([np.cos(turn), np.sin(turn)], 1)
        ring[-1] = centre
        water = self.land.water(ring)
        if where == "water":
            return bool((water > 0.5).all())
        if (water > -0.5).any():
            return False
        return where == "road" or bool((self.land.road(ring) > 0.3).all())


def _waves(size: float, height: float, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A random sum of plane waves about twice `size` long, of r.m.s. `height`."""
    count = 6
    angles, phases = rng.uniform(0, 2 * np.pi, count), rng.uniform(0, 2 * np.pi, count)
    numbers = np.pi / size * rng.uniform(0.4, 1.3, count)
    vectors = np.stack([np.cos(angles), np.sin(angles)]) * numbers
    scale = height * np.sqrt(2 / count)

    def field(xy: np.ndarray) -> np.ndarray:
        # One after the other: a picture of a large tile has ten million places.
        total = np.zeros(len(xy))
        for vector, phase in zip(vectors.T, phases, strict=True):
            total += np.cos(xy @ vector + phase)
        return np.asarray(scale * total)

    return field
