"""The baseline of the segmentation of pictures: gradient-boosted trees on what a pixel's surroundings look like.

Histogram gradient boosting (Ke et al., LightGBM, NeurIPS 2017; scikit-learn's implementation) on the features of
:mod:`weft.images.pixel_features`: colour, place in the picture, contrast and edges around.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weft.engine.fitted_file import read_pickled, write_pickled
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.images.normalise import unit
from weft.images.pixel_features import FEATURES, pixel_features
from weft.images.sizes import Size, only_centre
from weft.io.image_products import require_labels
from weft.tasks.boosted_trees import class_scores, fit_drawn, versions
from weft.tasks.drawn_rows import DrawnRows
from weft.tasks.image_segmentation.baseline_options import BaselineOptions

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

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
        drawn = DrawnRows(self.options.per_image, self.options.max_pixels, len(FEATURES), seed)
        images = 0
        for event in events:
            mask = require_labels(only_centre(np.asarray(event["truth/mask"][:]), self.window), self.classes)
            drawn.add(pixel_features(_picture(event)).reshape(-1, len(FEATURES)), mask.ravel())
            images += 1
        self._classifier, n_pixels = fit_drawn(drawn, self.options, seed, f"{images} images")
        self.fitted_on = {"images": images, "pixels": n_pixels, "seed": seed}

    def predict(self, event: Event) -> Products:
        """`mask` int16 [Y, X] and `mask_probabilities` float32 [K, Y, X], of the whole image."""
        if self._classifier is None:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        picture = _picture(event)
        features = pixel_features(picture).reshape(-1, len(FEATURES))
        made = np.empty((len(features), len(self.classes)), np.float32)
        for start in range(0, len(features), _ROWS):
            part = slice(start, start + _ROWS)
            made[part] = class_scores(self._classifier, features[part], len(self.classes))
        probabilities = np.ascontiguousarray(made.T).reshape(len(self.classes), *picture.shape[1:])
        return {"mask": probabilities.argmax(0).astype(np.int16), "mask_probabilities": probabilities}

    def save(self, path: Path) -> None:
        """One line of JSON that says what the file is, then the trees as joblib pickles them."""
        if self._classifier is None:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        header = {
            **versions(_VERSION, FEATURES),
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
        header, classifier = read_pickled(path, _KIND, **versions(_VERSION, FEATURES))
        window = header["window"]
        made = cls(BaselineOptions(**header["options"]), header["classes"], None if window is None else tuple(window))
        made.fitted_on, made._classifier = header["fitted_on"], classifier
        return made


def _picture(event: Event) -> NDArray[np.float32]:
    return unit(np.asarray(event["picture"][:]), 3)
