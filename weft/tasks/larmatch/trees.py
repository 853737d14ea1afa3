"""Gradient-boosted trees, scikit-learn's (histogram boosting; Ke et al., LightGBM, NeurIPS 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.tasks.boosted_trees import settings
from weft.tasks.larmatch.baseline_options import TreeOptions


@dataclass(frozen=True)
class TreeClasses:
    """Probabilities of `n` classes, 0 but for those `present`; model None: these are all alike."""

    model: Any
    present: np.ndarray
    n: int

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float64 [rows, n] of features [rows, in]."""
        said = np.zeros((len(features), self.n))
        if len(said):
            said[:, self.present] = 1 / len(self.present) if self.model is None else self.model.predict_proba(features)
        return said


@dataclass(frozen=True)
class TreeValues:
    """One model for each of k numbers."""

    models: Sequence[Any]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float64 [rows, k] of features [rows, in]."""
        if not len(features):
            return np.zeros((0, len(self.models)))
        return np.stack([np.zeros(len(features)) if m is None else m.predict(features) for m in self.models], axis=1)


def fit_classes(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, n_classes: int, options: TreeOptions, seed: int
) -> TreeClasses:
    """Trees with the probability of each of `n_classes` classes; 0 of those that no label (n,) names.

    What always gives what there is where there is one class, or none: all alike then.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    present = np.unique(labels)
    if len(present) < 2:
        return TreeClasses(None, present if len(present) else np.arange(n_classes), n_classes)
    model = HistGradientBoostingClassifier(**settings(options, seed))
    return TreeClasses(model.fit(features, labels, sample_weight=weights / weights.mean()), present, n_classes)


def fit_values(
    features: np.ndarray, values: np.ndarray, weights: np.ndarray, options: TreeOptions, seed: int
) -> TreeValues:
    """Trees with the values [n, k] of least squared error; zeros where there are none to learn from."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    if not len(values):
        return TreeValues([None] * values.shape[1])
    made = [HistGradientBoostingRegressor(**settings(options, seed)) for _ in range(values.shape[1])]
    weight = weights / weights.mean()
    return TreeValues([m.fit(features, column, sample_weight=weight) for m, column in zip(made, values.T, strict=True)])
