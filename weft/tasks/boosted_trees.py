"""Gradient-boosted trees as the baseline of a segmentation, of whatever is drawn: voxels, pixels, faces.

Histogram gradient boosting (Ke et al., LightGBM, NeurIPS 2017; scikit-learn's implementation).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from weft.errors import WeftError
from weft.tasks.drawn_rows import DrawnRows

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier


class Boosting(Protocol):
    """Options of trees."""

    @property
    def iterations(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def leaves(self) -> int: ...
    @property
    def min_leaf(self) -> int: ...
    @property
    def l2(self) -> float: ...


class ClassBoosting(Boosting, Protocol):
    """Options of trees that tell classes."""

    @property
    def class_weight(self) -> Literal["none", "balanced"]: ...


def settings(options: Boosting, seed: int) -> dict[str, Any]:
    """The options as scikit-learn calls them."""
    return {
        "max_iter": options.iterations,
        "learning_rate": options.learning_rate,
        "max_leaf_nodes": options.leaves,
        "min_samples_leaf": options.min_leaf,
        "l2_regularization": options.l2,
        "early_stopping": False,
        "random_state": seed,
    }


def fit_drawn(
    drawn: DrawnRows, options: ClassBoosting, seed: int, given: str
) -> tuple[HistGradientBoostingClassifier, int]:
    """Trees that tell the classes of the rows drawn, and the number of rows.

    given: what the rows were drawn from, "12 images". Raises WeftError where there are fewer than two classes.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    features, labels, weights = drawn.rows()
    present, index = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        raise WeftError(f"the baseline was given {given} with {len(present)} classes, expected at least 2")
    if options.class_weight == "balanced":
        total = np.bincount(index, weights)
        weights = weights * (total.sum() / (len(present) * total))[index]
    trees = HistGradientBoostingClassifier(**settings(options, seed))
    return trees.fit(features, labels, sample_weight=weights), len(labels)


def class_scores(trees: HistGradientBoostingClassifier, features: np.ndarray, n_classes: int) -> np.ndarray:
    """float32 [N, n_classes]: probabilities of features [N, F]; 0 of classes that no label named."""
    scores = np.zeros((len(features), n_classes), np.float32)
    if len(scores):
        scores[:, trees.classes_] = trees.predict_proba(features)
    return scores


def versions(version: int, features: Sequence[str]) -> dict[str, Any]:
    """What trees only work with as it was when they were fitted: format of the file, scikit-learn, their features."""
    import sklearn

    return {
        "version": version,
        "scikit-learn": sklearn.__version__,
        "features": sha256(" ".join(features).encode()).hexdigest()[:16],
    }
