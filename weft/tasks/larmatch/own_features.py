"""What is known of a triplet by itself: its three pixels, how many triplets share them, and how far it has drifted."""

from __future__ import annotations

import numpy as np

from weft.detector.wires import PLANES
from weft.tasks.larmatch.batch import triplets_through


def own_features(
    pixels: np.ndarray, triplets: np.ndarray, charge_scale: float, multiplicity: bool, drift: bool
) -> np.ndarray:
    """float64 (n, 6), with `multiplicity` six columns more, with `drift` one.

    Of the pixels of planes 0, 1, 2: ln(1 + charge/scale), whether they are dead, ln(1 + number of triplets through
    them), ln(1 + number of those of three live pixels); x of the triplet, cm. Where it lies across the drift, y and z,
    says nothing more: boosted trees are no better with them.

    Args:
        pixels, triplets: `PIXELS` and all `TRIPLETS` of one event: they are counted.
        charge_scale: ADC
    """
    members = np.stack([triplets[f"pixel_{p}"] for p in range(PLANES)], axis=1)
    of_pixels = [np.log1p(np.maximum(pixels["charge"], 0) / charge_scale), pixels["dead"]]
    if multiplicity:
        of_pixels += [np.log1p(number) for number in triplets_through(members, pixels["dead"]).values()]
    columns = [column[members] for column in of_pixels]
    if drift:
        columns.append(triplets["x"][:, None])
    return np.concatenate(columns, axis=1).astype(np.float64)
