"""What the features of a node may be made of; apart from the features, whose kernels not every environment has."""

from __future__ import annotations

from typing import NamedTuple


class Composition(NamedTuple):
    """What a node's feature vector is made of: 16 numbers of geometry, then these, in this order."""

    value: bool = False
    """mean and population standard deviation of the voxels' values (2)"""
    shape: bool = False
    """semantic class (1)"""
    points: int = 0
    """1: the start (3); 2: the start and the end (6)"""
    directions: int = 0
    """1: the direction at the start (3); 2: at the start and at the end (6)"""
    dedx: int = 0
    """1: energy loss at the start (1); 2: at the start and at the end (2)"""

    @property
    def width(self) -> int:
        """Number of features."""
        return 16 + 2 * self.value + self.shape + 3 * self.points + 3 * self.directions + self.dedx


#: The documented forms, by their width.
COMPOSITIONS: dict[int, Composition] = {
    16: Composition(),
    19: Composition(value=True, shape=True),
    22: Composition(points=1, directions=1),
    28: Composition(value=True, shape=True, points=2, directions=1),
    32: Composition(value=True, points=2, directions=2, dedx=2),
    33: Composition(value=True, shape=True, points=2, directions=2, dedx=2),
}
