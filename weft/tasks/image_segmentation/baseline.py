"""The baseline of the segmentation of pictures: gradient-boosted trees on what a pixel's surroundings look like.

Histogram gradient boosting (Ke et al., LightGBM, NeurIPS 2017; scikit-learn's implementation) on the features of
:mod:`weft.images.pixel_features`: colour, place in the picture, contrast and edges around.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from weft.engine.fitted_file import read_pickled, write_pickled
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.images.normalise import unit
from weft.images.pixel_features import FEATURES, pixel_features
from weft.images.sizes import Size, only_centre
from weft.tasks.image_segmentation.baseline_options import BaselineOptions

_KIND, _VERSION = "image_segmentation", 1
#: Pixels whose trees are asked at once: memory stays small for pictures of any size.
_ROWS = 1 << 18


class ImageBaseline(Baseline):
    """Fit, predict, save and load; deterministic for a seed.

    classes: their names. window: (rows, columns) in the middle of an image that alone are looked at; None: all of it.
    """

    def __init__(self, options: BaselineOptions, classes: Sequence[str], window: Size | None = None) -> None:
        self.options, self.classes, self.window = options, tuple(classes), window
        self._classifier: HistGradientBoostingClassifier | None = None
        self.fitted_on: dict[str, int] = {}
        """images and pixels that the fit saw, and the seed"""

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Learn from `picture` and `mask` of training events, read one by one.

        Memory is bounded by `max_pixels`, whatever the number of images. Raises WeftError where fewer than two classes
        occur, and for labels that are no class.
        """
        sample = _Sample(self.options, seed)
        images = 0
        for event in events:
            mask = only_centre(np.asarray(event["truth/mask"][:]), self.window)
            if int(mask.max(initial=-1)) >= len(self.classes):
                raise WeftError(f"a mask has class {int(mask.max())}, but data.classes names {len(self.classes)}")
            sample.add(pixel_features(_picture(event)).reshape(-1, len(FEATURES)), mask.ravel())
            images += 1
        features, labels, weights = sample.rows()
        present, index = np.unique(labels, return_inverse=True)
        if len(present) < 2:
            raise WeftError(f"the baseline was given {images} images with {len(present)} classes, expected at least 2")
        if self.options.class_weight == "balanced":
            total = np.bincount(index, weights)
            weights = weights * (total.sum() / (len(present) * total))[index]
        self._classifier = HistGradientBoostingClassifier(
            max_iter=self.options.iterations,
            learning_rate=self.options.learning_rate,
            max_leaf_nodes=self.options.leaves,
            min_samples_leaf=self.options.min_leaf,
            l2_regularization=self.options.l2,
            early_stopping=False,
            random_state=seed,
        ).fit(features, labels, sample_weight=weights)
        self.fitted_on = {"images": images, "pixels": len(labels), "seed": seed}

    def predict(self, event: Event) -> Products:
        """`mask` int16 [Y, X] and `mask_probabilities` float32 [K, Y, X], of the whole image."""
        if self._classifier is None:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        picture = _picture(event)
        features = pixel_features(picture).reshape(-1, len(FEATURES))
        made = np.zeros((len(features), len(self.classes)), np.float32)
        for start in range(0, len(features), _ROWS):
            part = slice(start, start + _ROWS)
            made[part, self._classifier.classes_] = self._classifier.predict_proba(features[part])
        probabilities = np.ascontiguousarray(made.T).reshape(len(self.classes), *picture.shape[1:])
        return {"mask": probabilities.argmax(0).astype(np.int16), "mask_probabilities": probabilities}

    def save(self, path: Path) -> None:
        """One line of JSON that says what the file is, then the trees as joblib pickles them."""
        if self._classifier is None:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        header = {
            **_versions(),
            "options": self.options.model_dump(),
            "classes": list(self.classes),
            "window": self.window,
            "fitted_on": self.fitted_on,
        }
        write_pickled(path, _KIND, header, self._classifier)

    @classmethod
    def load(cls, path: Path) -> ImageBaseline:
        """The baseline that `save` wrote. A pickle runs code when it is loaded: load only files that you trust.

        Raises WeftError for other files, and for those of other versions of scikit-learn or of the features.
        """
        header, classifier = read_pickled(path, _KIND, **_versions())
        window = header["window"]
        made = cls(BaselineOptions(**header["options"]), header["classes"], None if window is None else tuple(window))
        made.fitted_on, made._classifier = header["fitted_on"], classifier
        return made


def _picture(event: Event) -> NDArray[np.float32]:
    return unit(np.asarray(event["picture"][:]), 3)


def _versions() -> dict[str, Any]:
    """What trees only work with as it was when they were fitted."""
    return {
        "version": _VERSION,
        "scikit-learn": sklearn.__version__,
        "features": sha256(" ".join(FEATURES).encode()).hexdigest()[:16],
    }


class _Sample:
    """Training pixels drawn from a stream of images.

    Of each class an image gives at most `per_image` pixels, weighted by how many they stand for: rare classes are kept
    whole and wide roads do not fill the memory. When there are more than `max_pixels`, each stays with probability 1/2,
    and so do those that come later.
    """

    def __init__(self, options: BaselineOptions, seed: int) -> None:
        self._options, self._rng = options, np.random.default_rng(seed)
        self._rows: list[tuple[np.ndarray, ...]] = []
        self._n, self._keep = 0, 1.0

    def add(self, features: NDArray[np.float32], labels: np.ndarray) -> None:
        chosen, weights = [], []
        for label in np.unique(labels[labels >= 0]):
            rows = np.flatnonzero(labels == label)
            drawn = self._rng.permutation(rows)[: self._options.per_image]
            chosen.append(np.sort(drawn))
            weights.append(np.full(len(drawn), len(rows) / len(drawn)))
        if not chosen:
            return
        rows = np.concatenate(chosen)
        block = (features[rows], labels[rows].astype(np.int64), np.concatenate(weights), self._rng.random(len(rows)))
        self._rows.append(self._thinned(block))
        self._n += len(self._rows[-1][1])
        while self._n > self._options.max_pixels:
            self._keep /= 2
            self._rows = [self._thinned(block) for block in self._rows]
            self._n = sum(len(block[1]) for block in self._rows)

    def _thinned(self, block: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        kept = block[3] < self._keep
        return tuple(column[kept] for column in block)

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, labels and weights of the pixels kept."""
        if not self._rows:
            return np.zeros((0, len(FEATURES)), np.float32), np.zeros(0, np.int64), np.zeros(0)
        features, labels, weights, _ = (np.concatenate(column) for column in zip(*self._rows, strict=True))
        return features, labels, weights
