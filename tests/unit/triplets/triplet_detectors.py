"""Small detectors of any geometry."""

import numpy as np

from weft.detector.wires import Plane, Readout, Tpc


def random_tpc(seed: int, wires: int = 14, rows: int = 3) -> Tpc:
    """Three planes of random angles, at least 15° apart, pitches and offsets, whose wires meet around the origin."""
    rng = np.random.default_rng(seed)
    while True:
        angles = rng.uniform(-90, 90, 3)
        apart = np.abs(angles - np.roll(angles, 1)) % 180
        if np.minimum(apart, 180 - apart).min() > 15:
            break
    planes = [
        Plane(name, angle, pitch, offset, int(count))
        for name, angle, pitch, offset, count in zip(
            "ABC", angles, rng.uniform(0.2, 0.6, 3), rng.uniform(3, 11, 3), rng.integers(wires - 6, wires + 1, 3),
            strict=True,
        )
    ]  # fmt: skip
    readout = Readout(0.5, 0.0, 6, rows, 0.0, 0.1)
    return Tpc((0.0, -1.0, -1.0), (1.0, 1.0, 1.0), 0.0, 1, (planes[0], planes[1], planes[2]), readout)


#: MicroBooNE's angles, with few wires: w_Y = w_U + w_V − 20.5.
SIXTY = Tpc(
    (0.0, -3.0, -3.0), (3.0, 3.0, 3.0), 0.0, 1,
    (Plane("U", 60, 0.3, 15, 30), Plane("V", -60, 0.3, 15, 30), Plane("Y", 0, 0.3, 9.5, 20)),
    Readout(0.5, 0.0, 6, 10, 0.0, 0.1),
)  # fmt: skip
