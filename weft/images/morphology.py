"""Opening and closing of masks with several classes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def disc(radius: int) -> np.ndarray:
    """bool [2 r + 1, 2 r + 1]"""
    place = np.arange(-radius, radius + 1)
    return place[:, None] ** 2 + place**2 <= radius**2


def opened(mask: np.ndarray, radius: int, probabilities: np.ndarray) -> np.ndarray:
    """What of a class no disc of the radius fits into goes to the class that is second most probable there; where no
    other is probable at all, the pixel stays.

    mask: int [Y, X]; −1 stays. probabilities: [K, Y, X].
    """
    shape, kept = disc(radius), np.zeros(mask.shape, bool)
    for k in np.unique(mask[mask >= 0]):
        # The border of a picture cuts nothing off: what touches it goes on beyond.
        margin = 2 * radius
        wide = ndimage.binary_opening(np.pad(mask == k, margin, mode="edge"), shape)
        inside = wide[margin : wide.shape[0] - margin, margin : wide.shape[1] - margin]
        kept |= inside & (mask == k)
    loose = ~kept & (mask >= 0)
    if not loose.any():
        return mask
    made = mask.copy()
    others = np.array(probabilities[:, loose], np.float64)
    others[mask[loose], np.arange(others.shape[1])] = 0
    best = others.argmax(0)
    made[loose] = np.where(others.max(0) > 0, best, mask[loose])
    return made


def closed(mask: np.ndarray, radius: int) -> np.ndarray:
    """Holes and gaps of a class that a disc of the radius closes are filled with it, class by class from the one with
    the most pixels to the one with the fewest, so that small things win.

    mask: int [Y, X]; −1 stays.
    """
    shape, made = disc(radius), mask.copy()
    present, counts = np.unique(mask[mask >= 0], return_counts=True)
    for k in present[np.argsort(-counts, kind="stable")]:
        wide = np.pad(mask == k, radius)
        filled = ndimage.binary_closing(wide, shape)[radius : wide.shape[0] - radius, radius : wide.shape[1] - radius]
        made[filled & (mask >= 0)] = k
    return made
