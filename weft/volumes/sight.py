"""Whether what a window shows of a volume can tell the inside of an object from anything else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def blind_share(instances: np.ndarray, window: Sequence[int]) -> float:
    """Share of the voxels of objects around which a window shows nothing but the same object; NaN without objects.

    instances: int [Z, Y, X], 0 outside of objects. window: voxels z, y, x. Beyond the stack a window shows nothing.
    """
    objects = instances > 0
    if not objects.any():
        return float("nan")
    extremes = [
        f(instances, size=tuple(window), mode="nearest") for f in (ndimage.minimum_filter, ndimage.maximum_filter)
    ]
    return float((extremes[0] == extremes[1])[objects].mean())
