"""Which readout pixels of the anode plane are dead."""

from __future__ import annotations

import numpy as np


def dead_pixels(ny: int, nz: int, pixels: float, tiles: float, tile: int, seed: int) -> np.ndarray:
    """bool (ny, nz), true where dead: single pixels and square tiles that share an electronics board.

    Args:
        ny, nz: pixels of the anode plane, which is normal to x.
        pixels: share of single dead pixels.
        tiles: share of dead tiles.
        tile: pixels along the edge of a tile.
        seed: of the map; the same detector has the same map in every event.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    dead = rng.random((ny, nz)) < pixels
    boards = rng.random((-(-ny // tile), -(-nz // tile))) < tiles
    return dead | np.repeat(np.repeat(boards, tile, 0), tile, 1)[:ny, :nz]
