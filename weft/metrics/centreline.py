"""Whether thin structures are connected alike: Dice of centre lines.

Shit et al., clDice, CVPR 2021 (arXiv:2003.07311): the share of the predicted centre line inside the true mask
(topology precision) and of the true centre line inside the predicted mask (topology sensitivity), and their harmonic
mean. Centre lines are thinned in voxels, by the method of Lee et al. (scikit-image); an object always keeps one voxel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weft.errors import WeftError
from weft.metrics.shares import share


class CentrelineCounts(NamedTuple):
    """Voxels of centre lines; they add up over images."""

    predicted: int
    predicted_inside: int
    """those that lie in the true mask"""
    true: int
    true_inside: int
    """those that lie in the predicted mask"""


def centreline_counts(truth: np.ndarray, predicted: np.ndarray, judged: np.ndarray | None = None) -> CentrelineCounts:
    """Counts for two masks [Z, Y, X].

    judged: bool, which voxels count; centre lines are those of the whole masks.
    Raises WeftError for shapes that differ.
    """
    if truth.shape != predicted.shape:
        raise WeftError(f"the predicted mask has shape {predicted.shape}, the true one {truth.shape}")
    truth, predicted = truth.astype(bool), predicted.astype(bool)
    ours, theirs = centreline(predicted), centreline(truth)
    if judged is not None:
        ours, theirs = ours & judged, theirs & judged
    return CentrelineCounts(
        int(ours.sum()), int((ours & truth).sum()), int(theirs.sum()), int((theirs & predicted).sum())
    )


def centreline(mask: np.ndarray) -> NDArray[np.bool_]:
    """bool [Z, Y, X]: the mask thinned to lines of one voxel."""
    from skimage.morphology import skeletonize

    mask = mask.astype(bool)
    made = np.zeros(mask.shape, bool)
    if mask.any():
        box = tuple(slice(int(where.min()), int(where.max()) + 1) for where in np.nonzero(mask))
        made[box] = skeletonize(np.pad(mask[box], 1))[1:-1, 1:-1, 1:-1] > 0
    return made


def centreline_dice(
    predicted: ArrayLike, predicted_inside: ArrayLike, true: ArrayLike, true_inside: ArrayLike
) -> NDArray[np.float64]:
    """Centre-line Dice of counts, or of sums of them; 1 where there are no lines, 0 where only one side has some."""
    precision, sensitivity = share(predicted_inside, predicted), share(true_inside, true)
    made = np.nan_to_num(share(2 * precision * sensitivity, precision + sensitivity))
    return np.where((np.asarray(predicted) == 0) & (np.asarray(true) == 0), 1.0, made)
