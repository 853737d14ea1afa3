"""Views of a volume for test-time augmentation: flips of the axes and quarter turns in the plane (spec §7)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from weft.dense.size_law import Size

ViewSet = Literal["none", "flips", "flips_rot90"]


class View(NamedTuple):
    """A symmetry of the grid, of tensors [..., Z, Y, X]: flips of z, y and x, then a quarter turn from y to x."""

    flip_z: bool = False
    flip_y: bool = False
    flip_x: bool = False
    turn: bool = False

    def of(self, volume: Tensor) -> Tensor:
        """What the view shows of a volume."""
        axes = [axis for axis, flip in zip((-3, -2, -1), self[:3], strict=True) if flip]
        volume = torch.flip(volume, axes) if axes else volume
        return torch.rot90(volume, 1, (-2, -1)) if self.turn else volume

    def back(self, volume: Tensor) -> Tensor:
        """The volume that the view shows this of."""
        volume = torch.rot90(volume, -1, (-2, -1)) if self.turn else volume
        axes = [axis for axis, flip in zip((-3, -2, -1), self[:3], strict=True) if flip]
        return torch.flip(volume, axes) if axes else volume

    def size(self, size: Sequence[int]) -> Size:
        """[Z, Y, X] of what the view shows of a volume of this size."""
        z, y, x = size
        return (z, x, y) if self.turn else (z, y, x)


IDENTITY = View()


def views(name: ViewSet) -> tuple[View, ...]:
    """1, 8 (all flips) or 16 views (all flips and quarter turns in the plane), each once; the identity first."""
    if name == "none":
        return (IDENTITY,)
    turns = (False,) if name == "flips" else (False, True)
    both = (False, True)
    return tuple(View(z, y, x, turn) for turn, z, y, x in product(turns, both, both, both))
