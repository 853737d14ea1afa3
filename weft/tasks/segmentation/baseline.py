"""The baseline of the segmentation: gradient-boosted trees on what a voxel's surroundings look like.

Histogram gradient boosting (Ke et al., LightGBM, NeurIPS 2017; scikit-learn's implementation) on the features
of `neighbourhood`. It sees voxels and charge and nothing of the truth but the labels that it is fitted to.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weft.engine.fitted_file import read_pickled, write_pickled
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.io.products import GHOST
from weft.tasks.boosted_trees import class_scores, fit_drawn, versions
from weft.tasks.drawn_rows import DrawnRows
from weft.tasks.segmentation.neighbourhood import FEATURES, voxel_features
from weft.tasks.segmentation.options import BaselineOptions

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

_VERSION = 1


class SegmentationBaseline(Baseline):
    """Fit, predict, save and load; deterministic for a seed."""

    def __init__(self, options: BaselineOptions) -> None:
        self.options = options
        self._classifier: HistGradientBoostingClassifier | None = None
        self._n_classes = GHOST
        self.fitted_on: dict[str, int] = {}
        """events and voxels that the fit saw, and the seed"""

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Learn from `voxels`, `charge` and `semantics` of training events, read one by one.

        Memory is bounded by `max_voxels`, whatever the number of events. Raises WeftError where fewer than
        two classes occur.
        """
        sample = DrawnRows(self.options.per_event, self.options.max_voxels, len(FEATURES), seed)
        n_events = 0
        for event in events:
            sample.add(voxel_features(event["voxels"], event["charge"]), event["truth/semantics"][:, 0])
            n_events += 1
        self._classifier, n_voxels = fit_drawn(sample, self.options, seed, f"{n_events} events")
        self._n_classes = GHOST + int(self._classifier.classes_[-1] == GHOST)
        self.fitted_on = {"events": n_events, "voxels": n_voxels, "seed": seed}

    def predict(self, event: Event) -> Products:
        """`semantics` int8 [N, 1] and `semantic_scores` float32 [N, 5], or [N, 6] if ghosts were learned."""
        if self._classifier is None:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        features = voxel_features(event["voxels"], event["charge"])
        scores = class_scores(self._classifier, features, self._n_classes)
        return {"semantics": scores.argmax(axis=1).astype(np.int8)[:, None], "semantic_scores": scores}

    def save(self, path: Path) -> None:
        """One line of JSON that says what the file is, then the trees as joblib pickles them."""
        if self._classifier is None:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        header = {
            **versions(_VERSION, FEATURES),
            "options": self.options.model_dump(),
            "n_classes": self._n_classes,
            "fitted_on": self.fitted_on,
        }
        write_pickled(path, "segmentation", header, self._classifier)

    @classmethod
    def load(cls, path: Path) -> SegmentationBaseline:
        """The baseline that `save` wrote. A pickle runs code when it is loaded: load only files that you
        trust.

        Raises WeftError for other files, and for those of other versions of scikit-learn or of the features.
        """
        header, classifier = read_pickled(path, "segmentation", **versions(_VERSION, FEATURES))
        baseline = cls(BaselineOptions(**header["options"]))
        baseline._n_classes, baseline.fitted_on = header["n_classes"], header["fitted_on"]
        baseline._classifier = classifier
        return baseline
