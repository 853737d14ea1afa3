"""Colours of the classes of masks, in reports and in the palettes of files."""

from __future__ import annotations

import numpy as np

_FIRST = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#666666")


def mask_colors(count: int) -> np.ndarray:
    """uint8 [count, 3]: Okabe and Ito's colours, then darker and paler ones of them."""
    first = np.array([[int(color[k : k + 2], 16) for k in (1, 3, 5)] for color in _FIRST], float)
    rounds = [first, first * 0.55, first + (255 - first) * 0.55]
    table = np.concatenate([rounds[k % 3] for k in range(-(-count // len(first)))] or [first])[:count]
    return np.rint(table).astype(np.uint8)
