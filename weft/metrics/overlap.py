"""How much of a structure two label volumes share: Dice, IoU, precision, recall, accuracy from confusion counts.

Counts are those of :mod:`weft.metrics.segmentation`, [..., C, P] by true and predicted class, so pooled metrics and
bootstraps come from sums. What is said of a class that neither truth nor prediction has is stated by ``empty``: 1 by
default here, as an image without the structure that is called empty is right; NaN leaves it out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weft.errors import WeftError
from weft.metrics import segmentation

Array = NDArray[np.float64]


def overlap_counts(
    truth: np.ndarray, predicted: np.ndarray, n_classes: int, cost: np.ndarray | None = None
) -> NDArray[np.int64]:
    """int64 [n_classes, n_classes] voxels by true and predicted class.

    truth, predicted: class ids of one shape; voxels with truth -1 are left out, and those with a cost of 0 or less.
    Raises WeftError for shapes that differ and for classes beyond.
    """
    for name, other in (("predicted", predicted), ("cost", cost)):
        if other is not None and other.shape != truth.shape:
            raise WeftError(f"{name} has shape {other.shape}, the true labels have {truth.shape}")
    judged = truth if cost is None else np.where(cost > 0, truth, -1)
    return segmentation.confusion_counts(judged, predicted, n_classes)


def dice(counts: ArrayLike, empty: float = 1.0) -> Array:
    """2 |A ∩ B| / (|A| + |B|) of each class: [..., C, P] -> [..., C]."""
    return _or_empty(segmentation.f1(counts), empty)


def iou(counts: ArrayLike, empty: float = 1.0) -> Array:
    """|A ∩ B| / |A ∪ B| of each class: [..., C, P] -> [..., C]."""
    return _or_empty(segmentation.iou(counts), empty)


def precision(counts: ArrayLike, empty: float = 1.0) -> Array:
    """Share of what was called a class that is: [..., C, P] -> [..., C]; ``empty`` where nothing was called so."""
    return _or_empty(segmentation.precision(counts), empty)


def recall(counts: ArrayLike, empty: float = 1.0) -> Array:
    """Share of a class that was called so: [..., C, P] -> [..., C]; ``empty`` where there is nothing of it."""
    return _or_empty(segmentation.recall(counts), empty)


def _or_empty(values: Array, empty: float) -> Array:
    return np.where(np.isnan(values), empty, values)
