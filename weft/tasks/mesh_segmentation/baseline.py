"""The baseline of the segmentation of meshes: gradient-boosted trees on shape and colours of faces.

Histogram gradient boosting (Ke et al., LightGBM, NeurIPS 2017; scikit-learn's implementation). It sees what the stage
that it is compared with sees: no colours where that has no texture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weft.engine.fitted_file import read_pickled, write_pickled
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.tasks.boosted_trees import class_scores, fit_drawn, versions
from weft.tasks.drawn_rows import DrawnRows
from weft.tasks.mesh_segmentation.baseline_options import BaselineOptions
from weft.tasks.mesh_segmentation.face_statistics import face_statistics, names

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

_VERSION = 1


class MeshBaseline(Baseline):
    """Fit, predict, save and load; deterministic for a seed."""

    def __init__(self, options: BaselineOptions, classes: Sequence[str], surface: bool, colours: bool) -> None:
        """surface, colours: whether heights and roughness, and textures, are read."""
        self.options, self.classes = options, tuple(classes)
        self.surface, self.colours = surface, colours
        self._classifier: HistGradientBoostingClassifier | None = None
        self.fitted_on: dict[str, int] = {}
        """meshes and faces that the fit saw, and the seed"""

    def _features(self, event: Event) -> np.ndarray:
        return face_statistics(event, self.surface, self.colours, self.options.radii)

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Learn from the labelled faces of training meshes, read one by one.

        Raises WeftError where fewer than two classes occur, or a label is none of the classes.
        """
        columns = names(self.surface, self.colours, self.options.radii)
        drawn = DrawnRows(self.options.per_mesh, self.options.max_faces, len(columns), seed)
        meshes = 0
        for event in events:
            labels = np.asarray(event["truth/face_labels"])[:, 0]
            if labels.max(initial=-1) >= len(self.classes):
                raise WeftError(f"face_labels: class {labels.max()}, expected -1 to {len(self.classes) - 1}")
            drawn.add(self._features(event), labels)
            meshes += 1
        self._classifier, n_faces = fit_drawn(drawn, self.options, seed, f"{meshes} meshes")
        self.fitted_on = {"meshes": meshes, "faces": n_faces, "seed": seed}

    def predict(self, event: Event) -> Products:
        """`face_labels` int16 [M, 1] and `face_probabilities` float32 [M, C]."""
        if self._classifier is None:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        scores = class_scores(self._classifier, self._features(event), len(self.classes))
        return {"face_labels": scores.argmax(axis=1).astype(np.int16)[:, None], "face_probabilities": scores}

    def save(self, path: Path) -> None:
        """One line of JSON that says what the file is, then the trees as joblib pickles them."""
        if self._classifier is None:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        header = {
            **versions(_VERSION, names(True, True, (1.0,))),
            "options": self.options.model_dump(mode="json"),
            "classes": list(self.classes),
            "surface": self.surface,
            "colours": self.colours,
            "fitted_on": self.fitted_on,
        }
        write_pickled(path, "mesh_segmentation", header, self._classifier)

    @classmethod
    def load(cls, path: Path) -> MeshBaseline:
        """The baseline that `save` wrote. A pickle runs code when it is loaded: load only files that you trust.

        Raises WeftError for other files, and for those of other versions of scikit-learn or of the features.
        """
        header, classifier = read_pickled(path, "mesh_segmentation", **versions(_VERSION, names(True, True, (1.0,))))
        options = BaselineOptions.model_validate(header["options"])
        baseline = cls(options, header["classes"], header["surface"], header["colours"])
        baseline.fitted_on, baseline._classifier = header["fitted_on"], classifier
        return baseline
