"""Round bodies anywhere in the stack."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weft.simulation.stacks.drawing import Drawn, Grid, share_inside
from weft.simulation.stacks.settings import Blobs


def draw_blobs(options: Blobs, size: float, grid: Grid, rng: np.random.Generator) -> Iterator[Drawn]:
    """Spheres, whose diameters are multiplied by `size`."""
    for _ in range(int(rng.integers(options.count[0], options.count[1] + 1))):
        radius = rng.uniform(*options.diameter) * size / 2
        centre = rng.uniform(0, 1, 3) * grid.extent
        box = grid.box(centre - radius - grid.edge, centre + radius + grid.edge)
        if box is None:
            continue
        z, y, x = (c - m for c, m in zip(grid.centres(box), centre, strict=True))
        distance = np.sqrt(z**2 + y**2 + x**2) - radius
        yield Drawn(box, share_inside(distance, grid.edge), distance <= 0)
