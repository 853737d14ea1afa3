"""Which readout pixels of the anode plane, or wires of a wire plane, are dead."""

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


def dead_runs(wires: int, share: float, run: float, key: tuple[int, int]) -> np.ndarray:
    """bool (wires,), true where dead: runs of neighbours that share a chip or touch each other.

    Args:
        wires: of a plane.
        share: of dead wires; their number is the nearest whole one, exactly.
        run: mean length of a run, geometrically distributed; runs may lie side by side.
        key: seed of the map and number of the plane; the same detector has the same map in every event.
    """
    rng = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
    number = round(share * wires)
    if number == 0:
        return np.zeros(wires, bool)
    lengths = rng.geometric(1.0 / run, number)
    ends = np.cumsum(lengths)
    lengths = lengths[: np.searchsorted(ends, number) + 1]
    lengths[-1] -= lengths.sum() - number
    # How many live wires lie before each run; the dead ones before it add themselves.
    before = np.sort(rng.integers(0, wires - number, len(lengths), endpoint=True))
    dead = np.zeros(wires, bool)
    dead[np.repeat(before, lengths) + np.arange(number)] = True
    # On a ring, so that the wires at the edges die as often as the others.
    return np.roll(dead, rng.integers(wires))
