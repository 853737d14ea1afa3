"""How much of a volume one voxel of the output of ``unet_xy`` and ``unet_xy_zoom`` depends on. No torch in here."""

from __future__ import annotations

from weft.dense.options import UNetXYOptions
from weft.dense.size_law import Size

_LEVELS = 3  # that pool by 2 in the plane


def field_of_view(options: UNetXYOptions) -> Size:
    """Voxels [Z, Y, X] of the smallest box that holds all that an output voxel depends on.

    In the plane it is that of the voxels which pooling serves best; others depend on up to 8 (with a zoom 8k) fewer.
    """
    zoom, dilation = options.zoom, options.dilation
    period = 2**_LEVELS * (zoom or 1)
    plane = max(_width(voxel, zoom, dilation) for voxel in range(period))
    blocks = 2 * _LEVELS + 1 + (zoom is not None)
    return 1 + 4 * blocks, plane, plane


def _width(voxel: int, zoom: int | None, dilation: int) -> int:
    """Of output voxel ``voxel`` along an axis of the plane: from the output down to the bottom, and up to the input.

    The two convolutions of a block widen an interval by 4 of its own voxels, a transposed convolution of factor k reads
    the voxels of index // k, pooling by k those from k · index on.
    """
    first = last = voxel
    if zoom is not None:
        first, last = first // zoom, (last + 4) // zoom
    for _ in range(_LEVELS):
        first, last = first // 2, (last + 4) // 2
    last += 4 * dilation
    for _ in range(_LEVELS):
        first, last = 2 * first, 2 * last + 1 + 4
    return last - first + 1 if zoom is None else zoom * (last - first + 1)
