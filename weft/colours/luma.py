"""How light a colour is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Shares of red, green and blue (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def grey(colours: np.ndarray) -> NDArray[np.float32]:
    """float32 [...], the luma of colours float32 [..., 3]."""
    made: NDArray[np.float32] = colours @ LUMA
    return made
