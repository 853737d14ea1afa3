"""Whether a classifier is right as often as it says, from binned counts.

The reliability diagram bins predictions by their confidence (the score of the answer) and compares, bin by
bin, how many were right with how many should have been (Guo et al., On Calibration of Modern Neural Networks,
ICML 2017).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weft.errors import WeftError


def confidence_bins(confidence: ArrayLike, n_bins: int) -> NDArray[np.int64]:
    """Number of the bin, of `n_bins` equal ones over [0, 1] with 1 in the last; WeftError outside [0, 1]."""
    confidence = np.asarray(confidence, dtype=np.float64)
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1 + 1e-6):
        worst = confidence[~((confidence >= 0) & (confidence <= 1 + 1e-6))][0]
        raise WeftError(f"confidence {worst:g} is not a probability: expected softmax scores within [0, 1]")
    return np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)


def expected_calibration_error(n: ArrayLike, n_correct: ArrayLike, sum_confidence: ArrayLike) -> float:
    """Mean over predictions of |accuracy - mean confidence| of a bin, from counts [K]; NaN without any."""
    n, n_correct, sum_confidence = (np.asarray(a, dtype=np.float64) for a in (n, n_correct, sum_confidence))
    total = n.sum()
    return float(np.abs(n_correct - sum_confidence).sum() / total) if total > 0 else float("nan")
