"""The shape of a U-Net from the sizes of a voxel and of a patch, after nnU-Net (Isensee et al., Nat. Methods 18, 2021).

No torch in here.
"""

from __future__ import annotations

from typing import NamedTuple

from weft.dense.options import ResidualUNetOptions
from weft.dense.size_law import Size

_SIMILAR = 2.0
"""axes whose voxels are at most so many times coarser than the finest are treated alike"""


class Plan(NamedTuple):
    """A U-Net, level by level from full resolution to the bottom.

    Attributes:
        strides: into each level; the first is (1, 1, 1).
        kernels: of its convolutions: 3, or 1 across an axis that is still much coarser than the others.
        channels: of its features.
        blocks: residual blocks of the encoder.
    """

    strides: tuple[Size, ...]
    kernels: tuple[Size, ...]
    channels: tuple[int, ...]
    blocks: tuple[int, ...]

    @property
    def step(self) -> Size:
        """Product of the strides: what the size of an input must be a multiple of."""
        step = [1, 1, 1]
        for stride in self.strides:
            step = [a * b for a, b in zip(step, stride, strict=True)]
        return step[0], step[1], step[2]


def planned(options: ResidualUNetOptions) -> Plan:
    """Levels until no axis can be halved any more and keep ``smallest_edge`` voxels.

    At each level the axes are halved whose voxels are less than twice the finest one of those that can be.
    """
    spacing, size = list(options.spacing), [float(n) for n in options.patch]
    kernel = [1, 1, 1]
    strides: list[Size] = [(1, 1, 1)]
    kernels = [_kernel(spacing, kernel)]
    while True:
        open_axes = [axis for axis in range(3) if size[axis] >= 2 * options.smallest_edge]
        finest = min((spacing[axis] for axis in open_axes), default=0.0)
        halved = [axis for axis in open_axes if spacing[axis] < _SIMILAR * finest]
        if not halved:
            break
        for axis in halved:
            spacing[axis] *= 2
            size[axis] /= 2
        strides.append(_triple([2 if axis in halved else 1 for axis in range(3)]))
        kernels.append(_kernel(spacing, kernel))
    levels = range(len(strides))
    channels = tuple(min(options.base_channels * 2**level, options.most_channels) for level in levels)
    blocks = tuple(options.blocks[min(level, len(options.blocks) - 1)] for level in levels)
    return Plan(tuple(strides), tuple(kernels), channels, blocks)


def _kernel(spacing: list[float], before: list[int]) -> Size:
    """3 along axes that are about as fine as the finest, and below a level where they were; ``before`` is updated."""
    finest = min(spacing)
    for axis in range(3):
        if spacing[axis] < _SIMILAR * finest:
            before[axis] = 3
    return _triple(before)


def _triple(values: list[int]) -> Size:
    return values[0], values[1], values[2]
