"""Segmentation metrics as functions of confusion counts.

Everything here takes *counts*: an array [..., C, P] whose entry (i, j) is the number of voxels of true class
i that were called j. The leading dimensions are free, so the same function gives the metric of one event, of
every event (counts [E, C, P]) or of every bootstrap replica; the pooled metric is the metric of
`counts.sum(axis=0)`. P may exceed C: columns from C on are answers that can never be right (a class taken out
of the comparison, see `without_class`).

Classes that are absent: recall is NaN where a class has no true voxel, precision where it was never
predicted, F1 and IoU where it has neither; a class that was predicted but does not occur has F1 = IoU = 0.
Means over classes leave out NaN, so a class counts unless nobody, truth or model, claims that it is there.
(Published codes differ: SPINE reports a recall of 1 for an absent class and lartpc_mlreco3d -1; both bias a
mean.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weft.errors import WeftError
from weft.metrics.shares import share

Array = NDArray[np.float64]


def confusion_counts(
    truth: ArrayLike,
    predicted: ArrayLike,
    n_classes: int,
    offsets: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Count voxels by true and predicted class, for one event or for a run of events.

    truth, predicted: integer arrays [N] (or [N, 1]); voxels with truth -1 have no valid label and are
    ignored.
    offsets: [E+1], event k being rows offsets[k]:offsets[k+1]; without it all rows are one event.
    Returns int64 [n_classes, n_classes], or [E, n_classes, n_classes] with offsets.
    Raises WeftError for labels outside [-1, n_classes) and for labelled voxels whose prediction is outside
    [0, n_classes): a model that does not answer is wrong, and must say which wrong answer it gives.
    """
    truth, predicted = np.ravel(np.asarray(truth)), np.ravel(np.asarray(predicted))
    if truth.shape != predicted.shape:
        raise WeftError(f"{truth.size} true labels but {predicted.size} predictions: they must be of the same voxels")
    bounds = np.array([0, truth.size]) if offsets is None else np.asarray(offsets, dtype=np.int64)
    if bounds[0] != 0 or bounds[-1] != truth.size:
        raise WeftError(f"offsets run from {bounds[0]} to {bounds[-1]}, expected 0 to {truth.size} labels")
    labelled = truth != -1
    true, called = truth[labelled].astype(np.int64), predicted[labelled].astype(np.int64)
    for what, values in (("true label", true), ("prediction", called)):
        outside = (values < 0) | (values >= n_classes)
        if outside.any():
            raise WeftError(f"{what} {values[outside][0]} on a labelled voxel: expected a class in 0..{n_classes - 1}")
    n_events = len(bounds) - 1
    event = np.repeat(np.arange(n_events), np.diff(bounds))[labelled]
    flat = (event * n_classes + true) * n_classes + called
    counts = np.bincount(flat, minlength=n_events * n_classes**2).reshape(n_events, n_classes, n_classes)
    return counts[0] if offsets is None else counts


def without_class(counts: ArrayLike, removed: int) -> NDArray:
    """Counts [..., C, P] -> [..., C-1, P] with the voxels of one true class taken out of the comparison.

    Published figures differ in whether low-energy deposits (class 4) are kept. Counts do not hold the
    second-best class of a voxel, so a voxel of a remaining class that was called `removed` stays, as an
    error: its column moves behind those of the remaining classes. (PoLAr-MAE removes such voxels from the
    *input*, which only a separate run can reproduce.)
    """
    counts = np.asarray(counts)
    n_classes, n_columns = counts.shape[-2:]
    if not 0 <= removed < n_classes:
        raise WeftError(f"cannot remove class {removed}: the counts have classes 0..{n_classes - 1}")
    rows = np.delete(np.arange(n_classes), removed)
    columns = np.concatenate([rows, [removed], np.arange(n_classes, n_columns)])
    return counts[..., rows[:, None], columns]


def accuracy(counts: ArrayLike) -> Array:
    """Fraction of labelled voxels called right: [..., C, P] -> [...]; NaN without labelled voxels."""
    counts = np.asarray(counts, dtype=np.float64)
    return share(_right(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def recall(counts: ArrayLike) -> Array:
    """n_ii / true voxels of i, "per-class accuracy" in SPINE: [..., C, P] -> [..., C]."""
    counts = np.asarray(counts, dtype=np.float64)
    return share(_right(counts), counts.sum(axis=-1))


def precision(counts: ArrayLike) -> Array:
    """n_ii / voxels called i: [..., C, P] -> [..., C]."""
    counts = np.asarray(counts, dtype=np.float64)
    return share(_right(counts), _called(counts))


def f1(counts: ArrayLike) -> Array:
    """2 n_ii / (true i + called i), the harmonic mean of precision and recall: [..., C, P] -> [..., C]."""
    counts = np.asarray(counts, dtype=np.float64)
    return share(2 * _right(counts), counts.sum(axis=-1) + _called(counts))


def iou(counts: ArrayLike) -> Array:
    """Intersection over union, n_ii / (true i + called i - n_ii): [..., C, P] -> [..., C]."""
    counts = np.asarray(counts, dtype=np.float64)
    right = _right(counts)
    return share(right, counts.sum(axis=-1) + _called(counts) - right)


def mean_recall(counts: ArrayLike) -> Array:
    """Mean of `recall` over the classes present: [..., C, P] -> [...]."""
    return _mean_over_classes(recall(counts))


def macro_f1(counts: ArrayLike) -> Array:
    """Mean of `f1` over the classes present or predicted: [..., C, P] -> [...]."""
    return _mean_over_classes(f1(counts))


def mean_iou(counts: ArrayLike) -> Array:
    """Mean of `iou` over the classes present or predicted: [..., C, P] -> [...]."""
    return _mean_over_classes(iou(counts))


def frequency_weighted_iou(counts: ArrayLike) -> Array:
    """Mean of `iou` weighted by the share of each true class: [..., C, P] -> [...]; NaN without labelled voxels.

    A class that does not occur has no weight, though others were called so: these are errors of their own class.
    (Long, Shelhamer and Darrell, CVPR 2015.)
    """
    counts = np.asarray(counts, dtype=np.float64)
    of_class = counts.sum(axis=-1)
    return share((of_class * np.nan_to_num(iou(counts))).sum(axis=-1), of_class.sum(axis=-1))


Metric = Callable[[ArrayLike], Array]
SCALAR_METRICS: Mapping[str, Metric] = MappingProxyType(
    {"accuracy": accuracy, "mean_iou": mean_iou, "macro_f1": macro_f1, "mean_recall": mean_recall}
)


def _right(counts: Array) -> Array:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _called(counts: Array) -> Array:
    return counts.sum(axis=-2)[..., : counts.shape[-2]]


def _mean_over_classes(values: Array) -> Array:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.nanmean(values, axis=-1)
