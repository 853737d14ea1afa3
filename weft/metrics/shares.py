"""Shares of counts, where there may be none to divide by."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def share(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """float64, part / whole with the shapes broadcast; NaN where `whole` is not above 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    quotient = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    return np.divide(part, whole, out=quotient, where=whole > 0)
