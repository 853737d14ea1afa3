"""A camera that looks along a street: from metres to pixels and back.

X is metres to the right of the camera, Z metres ahead of it, height metres over the road.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Height of the camera over the road, m.
EYE = 1.5
#: What is nearer than this is not seen, what is farther has no detail, m.
NEAREST, FARTHEST = 3.0, 80.0

Array = np.ndarray


@dataclass(frozen=True)
class Camera:
    """Attributes: rows, columns of the picture; row of the horizon; column where the street vanishes; focal length in
    pixels."""

    rows: int
    columns: int
    horizon: float
    vanishing: float
    focal: float

    def column(self, x: float, z: float) -> float:
        return self.vanishing + self.focal * x / z

    def row(self, height: float, z: float) -> float:
        return self.horizon + self.focal * (EYE - height) / z

    def grid(self) -> tuple[Array, Array]:
        """Rows [Y, 1] and columns [1, X] of the centres of the pixels."""
        return np.arange(self.rows)[:, None] + 0.5, np.arange(self.columns)[None] + 0.5

    def ground(self) -> tuple[Array, Array]:
        """(X, Z) [Y, X] of the road that a pixel shows; Z is inf at the horizon and above."""
        rows, columns = self.grid()
        below = rows - self.horizon
        z = np.where(below > 1e-6, self.focal * EYE / np.maximum(below, 1e-6), np.inf)
        z = np.broadcast_to(z, (self.rows, self.columns))
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(z), (columns - self.vanishing) * z / self.focal, np.inf), z

    def wall(self, x: float) -> tuple[Array, Array]:
        """(height, Z) [Y, X] of the upright plane along the street at X = x; Z is inf where it is not seen."""
        rows, columns = self.grid()
        beside = (columns - self.vanishing) / x
        z = np.where(beside > 1e-6, self.focal / np.maximum(beside, 1e-6), np.inf)
        z = np.broadcast_to(z, (self.rows, self.columns))
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(z), EYE - (rows - self.horizon) * z / self.focal, np.inf), z

    def front(self, x: float, z: float) -> tuple[Array, Array]:
        """(metres right of x, height) [Y, X] on the upright plane across the street at Z = z."""
        rows, columns = self.grid()
        right = (columns - self.vanishing) * z / self.focal - x
        height = EYE - (rows - self.horizon) * z / self.focal
        return np.broadcast_to(right, (self.rows, self.columns)), np.broadcast_to(height, (self.rows, self.columns))
