"""Clustering metrics: how well two ways to divide the same voxels into clusters agree (spine_full_chain §1.9).

The argument order is (truth, prediction) throughout. All comes from the contingency table, kept as its non-empty
cells: n_tp voxels of true cluster t that are in predicted cluster p.

Labels below zero are no clusters. A voxel whose *true* label is negative is left out: nobody knows where it belongs.
A voxel whose *predicted* label is negative was left alone by the prediction, and costs it:

* efficiency counts it among the voxels of its true cluster and never as found;
* purity is that of the predicted clusters, which it is in none of;
* ARI, AMI and SBD take it for a cluster of its own, which for SBD does not count among the predicted ones.

(Codes that treat −1 as one more cluster, such as `spine.math.metrics`, give the same where nothing is left alone.)

Where there is nothing to judge the answer is NaN, never a number that could be meant: purity without predicted
clusters, the rest without voxels, ARI and AMI below two voxels, of which no pair can be made. (SPINE before 1.4 gave
−1, later NaN; scikit-learn gives 1.) With true but without predicted clusters SBD is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weft.compiled import kernel
from weft.errors import WeftError

By = Literal["cluster", "voxel"]


@dataclass(frozen=True)
class Contingency:
    """The table of two clusterings of the same voxels: T true, P predicted clusters, K cells that are not empty."""

    truth: NDArray[np.int64]
    """[K] true cluster of each cell, 0..T-1; cells are sorted by (truth, prediction)"""
    prediction: NDArray[np.int64]
    """[K] predicted cluster of each cell, 0..P-1"""
    count: NDArray[np.int64]
    """[K] voxels of each cell, n_tp"""
    truth_sizes: NDArray[np.int64]
    """[T] voxels of each true cluster, those in no predicted cluster included"""
    prediction_sizes: NDArray[np.int64]
    """[P] voxels of each predicted cluster that have a true one"""
    truth_labels: NDArray[np.int64]
    """[T] the label of each true cluster, increasing"""
    prediction_labels: NDArray[np.int64]
    """[P] the label of each predicted cluster, increasing"""

    @property
    def n_voxels(self) -> int:
        """Voxels with a true cluster."""
        return int(self.truth_sizes.sum())

    @property
    def n_assigned(self) -> int:
        """Those of them that are in a predicted cluster."""
        return int(self.prediction_sizes.sum())

    @cached_property
    def unassigned(self) -> NDArray[np.int64]:
        """[T] voxels of each true cluster that are in no predicted one."""
        return self.truth_sizes - _total(self.truth, self.count, len(self.truth_sizes))

    # --- best matches -------------------------------------------------------------------------------------

    @cached_property
    def match_of_truth(self) -> NDArray[np.int64]:
        """[T] cell of the predicted cluster that holds most of each true one, the lowest of equals; −1: none does."""
        return _best(self.truth, self.prediction, self.count, len(self.truth_sizes))

    @cached_property
    def match_of_prediction(self) -> NDArray[np.int64]:
        """[P] cell of the true cluster that most of each predicted one is from, the lowest of equals."""
        return _best(self.prediction, self.truth, self.count, len(self.prediction_sizes))

    @cached_property
    def efficiencies(self) -> NDArray[np.float64]:
        """[T] share of each true cluster that is in the predicted one that holds most of it: max_p n_tp / n_t."""
        return _at(self.match_of_truth, self.count) / self.truth_sizes

    @cached_property
    def purities(self) -> NDArray[np.float64]:
        """[P] share of each predicted cluster that is from one true cluster: max_t n_tp / n_p."""
        return _at(self.match_of_prediction, self.count) / self.prediction_sizes

    @property
    def found(self) -> int:
        """Voxels that are in the predicted cluster that holds most of their true one."""
        return int(_at(self.match_of_truth, self.count).sum())

    @property
    def pure(self) -> int:
        """Voxels that are from the true cluster that most of their predicted one is from."""
        return int(_at(self.match_of_prediction, self.count).sum())

    # --- metrics ------------------------------------------------------------------------------------------

    def efficiency(self, by: By = "cluster") -> float:
        """Mean of `efficiencies`, of clusters as they are or weighted by their voxels."""
        if by == "cluster":
            return _mean(self.efficiencies)
        return _ratio(self.found, self.n_voxels)

    def purity(self, by: By = "cluster") -> float:
        """Mean of `purities`, of clusters as they are or weighted by their voxels."""
        if by == "cluster":
            return _mean(self.purities)
        return _ratio(self.pure, self.n_assigned)

    @cached_property
    def ari(self) -> float:
        """Adjusted Rand index (Hubert & Arabie 1985): pairs put together or apart alike, less those by chance."""
        n = self.n_voxels
        if n < 2:
            return np.nan
        together, true, predicted = (_pairs(c) for c in (self.count, self.truth_sizes, self.prediction_sizes))
        expected = true * predicted / (n * (n - 1) / 2)
        most = (true + predicted) / 2
        return 1.0 if most == expected else float((together - expected) / (most - expected))

    @cached_property
    def ami(self) -> float:
        """Adjusted mutual information with the arithmetic mean of the entropies (Vinh, Epps & Bailey 2010).

        The expectation is the exact one of the hypergeometric model. (`spine.math.metrics.ami` replaces it by
        H(truth)·H(prediction)/ln n, which is another number.)
        """
        n = self.n_voxels
        if n < 2:
            return np.nan
        alone = n - self.n_assigned
        if self._identical:
            return 1.0
        true, predicted = self.truth_sizes / n, self.prediction_sizes / n
        entropy = -(true @ np.log(true)), -(predicted @ np.log(predicted)) + alone * np.log(n) / n
        cells = (
            self.count
            / n
            * np.log(n * self.count / (self.truth_sizes[self.truth] * _at(self.prediction, self.prediction_sizes)))
        )
        information = cells.sum() + (self.unassigned / n) @ np.log(n / self.truth_sizes)
        sizes, number = np.unique(self.truth_sizes, return_counts=True)
        others = np.concatenate([self.prediction_sizes, np.ones(alone, np.int64)])
        other_sizes, other_number = np.unique(others, return_counts=True)
        expected = _expected_information(sizes, number, other_sizes, other_number, n)
        mean = sum(entropy) / 2
        return float((information - expected) / (mean - expected)) if mean - expected > 1e-15 else 0.0

    @cached_property
    def sbd(self) -> float:
        """Symmetric best Dice: the lower of the two means over clusters of the best 2|A∩B|/(|A|+|B|) that each has."""
        if not self.n_voxels:
            return np.nan
        if not self.n_assigned:
            return 0.0
        size = self.truth_sizes[self.truth] + self.prediction_sizes[self.prediction]
        dice = 2 * self.count / size
        means = []
        for cluster, n in ((self.truth, len(self.truth_sizes)), (self.prediction, len(self.prediction_sizes))):
            best = np.zeros(n)
            np.maximum.at(best, cluster, dice)
            means.append(best.mean())
        return float(min(means))

    @property
    def _identical(self) -> bool:
        """Whether both divide the voxels alike; voxels left alone are clusters of one."""
        whole = self.count == self.truth_sizes[self.truth]
        whole &= self.count == self.prediction_sizes[self.prediction]
        return bool(
            whole.all()
            and (self.unassigned[self.unassigned > 0] == 1).all()
            and (self.truth_sizes[self.unassigned > 0] == 1).all()
        )


def contingency(truth: ArrayLike, prediction: ArrayLike) -> Contingency:
    """Count the voxels of every pair of clusters.

    truth, prediction: integers [N], the label of each voxel; negative ones as at the top of this file.
    Raises WeftError where there are not as many labels in both.
    """
    truth, prediction = np.ravel(np.asarray(truth)), np.ravel(np.asarray(prediction))
    if truth.shape != prediction.shape:
        raise WeftError(f"{truth.size} true labels but {prediction.size} predictions: they must be of the same voxels")
    judged = truth >= 0
    truth, prediction = truth[judged].astype(np.int64), prediction[judged].astype(np.int64)
    truth_labels, truth = _dense(truth)
    truth_sizes = np.bincount(truth, minlength=len(truth_labels))
    assigned = prediction >= 0
    prediction_labels, prediction = _dense(prediction[assigned])
    prediction_sizes = np.bincount(prediction, minlength=len(prediction_labels))
    width = max(len(prediction_labels), 1)
    key, count = _counts(truth[assigned] * width + prediction)
    return Contingency(key // width, key % width, count, truth_sizes, prediction_sizes, truth_labels, prediction_labels)


def efficiency(truth: ArrayLike, prediction: ArrayLike, by: By = "cluster") -> float:
    """Mean over true clusters (or voxels) of the share that is in the best predicted cluster; labels [N] each."""
    return contingency(truth, prediction).efficiency(by)


def purity(truth: ArrayLike, prediction: ArrayLike, by: By = "cluster") -> float:
    """Mean over predicted clusters (or voxels in them) of the share from the best true cluster; labels [N] each."""
    return contingency(truth, prediction).purity(by)


def ari(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Adjusted Rand index of labels [N] each: 1 for the same clusters, 0 on average by chance, may be negative."""
    return contingency(truth, prediction).ari


def ami(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Adjusted mutual information (arithmetic mean) of labels [N] each: 1 for the same clusters, 0 by chance."""
    return contingency(truth, prediction).ami


def sbd(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Symmetric best Dice of labels [N] each, 0 to 1."""
    return contingency(truth, prediction).sbd


def _dense(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels that occur, increasing, and the number of each voxel's label among them."""
    if len(labels) and labels.max() < 4 * len(labels):  # a look-up beats a sort
        present = np.zeros(labels.max() + 1, bool)
        present[labels] = True
        return np.flatnonzero(present), (np.cumsum(present) - 1)[labels]
    return np.unique(labels, return_inverse=True)


def _counts(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The keys that occur, increasing, and how often."""
    if len(keys) and keys.max() < 4 * len(keys):
        counts = np.bincount(keys)
        found = np.flatnonzero(counts)
        return found, counts[found]
    return np.unique(keys, return_counts=True)


def _best(cluster: np.ndarray, other: np.ndarray, count: np.ndarray, n: int) -> np.ndarray:
    order = np.lexsort((other, -count, cluster))
    found, first = np.unique(cluster[order], return_index=True)
    best = np.full(n, -1, np.int64)
    best[found] = order[first]
    return best


def _at(index: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values by index, 0 where that is −1."""
    return np.append(values, 0)[index]


def _total(cluster: np.ndarray, count: np.ndarray, n: int) -> np.ndarray:
    total = np.zeros(n, np.int64)
    np.add.at(total, cluster, count)
    return total


def _pairs(sizes: np.ndarray) -> float:
    return float((sizes * (sizes - 1)).sum()) / 2


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else np.nan


@kernel
def _expected_information(a: np.ndarray, many_a: np.ndarray, b: np.ndarray, many_b: np.ndarray, n: int) -> float:
    """Expected mutual information of clusters of sizes a and b, each so many times, put over n voxels at random.

    Every pair of sizes shares k voxels with hypergeometric probability. Its terms are summed outwards from the most
    likely k until they do not count, so the work grows with the width of the distribution and not with its range.
    """
    total = 0.0
    for i in range(len(a)):
        for j in range(len(b)):
            x, y = a[i], b[j]
            low, high = max(1, x + y - n), min(x, y)
            peak = min(max((x + 1) * (y + 1) // (n + 2), low), high)
            start = (
                math.lgamma(x + 1) + math.lgamma(y + 1) + math.lgamma(n - x + 1) + math.lgamma(n - y + 1)
                - math.lgamma(n + 1) - math.lgamma(peak + 1) - math.lgamma(x - peak + 1)
                - math.lgamma(y - peak + 1) - math.lgamma(n - x - y + peak + 1)
            )  # fmt: skip
            share = math.exp(start)
            part, p, k = 0.0, share, peak
            while k <= high and p > 1e-18 * share:
                part += p * k * math.log(n * k / (x * y))
                p *= (x - k) * (y - k) / ((k + 1) * (n - x - y + k + 1))
                k += 1
            p, k = share, peak
            while k > low and p > 1e-18 * share:
                p *= k * (n - x - y + k) / ((x - k + 1) * (y - k + 1))
                k -= 1
                part += p * k * math.log(n * k / (x * y))
            total += many_a[i] * many_b[j] * part / n
    return total
