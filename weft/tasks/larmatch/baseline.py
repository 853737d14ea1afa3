"""The baseline of LArMatch: what a triplet says by itself.

Perceptrons or boosted trees are told what is known of a triplet (:mod:`weft.tasks.larmatch.own_features`), and nothing
of the surroundings of its pixels. What the network says of directions and distances they cannot know: they say what is
right on average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from weft.engine.fitted_file import read_fitted_header, read_pickled, write_fitted, write_pickled
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.io.larmatch_products import columns_of, triplet_scores
from weft.io.products import Filtered
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET
from weft.reco.feed import processes_of
from weft.tasks.larmatch import perceptron, trees
from weft.tasks.larmatch.drawn import Drawn
from weft.tasks.larmatch.options import Options
from weft.tasks.larmatch.own_features import own_features
from weft.tasks.larmatch.perceptron import Perceptron
from weft.tasks.larmatch.prior import prior_shift, shifted
from weft.triplets.labels import TripletLabels
from weft.triplets.stored_truth import read_truth

_KIND, _VERSION = "larmatch", 3
_AHEAD = (0.0, 0.0, 1.0)
#: float64 [n, k] of features [n, in].
Part = Callable[[np.ndarray], np.ndarray]


class LarmatchBaseline(Baseline):
    """Fit, predict, save and load; deterministic for a seed."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.parts: dict[str, Part] = {}
        """by head: larmatch, semantics, key_points"""
        self.constants: dict[str, np.ndarray] = {}
        """by head: affinity [3], shift [6, 3] cm"""
        self.counted: dict[str, int] = {}
        """events, good triplets and ghosts that were given"""
        self.fitted_on: dict[str, int] = {}
        """events and triplets that the fit saw, and the seed"""

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Learn from `pixels` and `triplets` as the stage is fed them and the truth that `data.labels` names.

        Memory is bounded by `max_triplets`, whatever the number of events. Raises WeftError where there are no good
        triplets, or no ghosts.
        """
        options, heads = self.options.baseline, self.options.model.heads
        good, ghost = (Drawn(options.per_event, options.max_triplets, (seed, k)) for k in range(2))
        counted = {"events": 0, "good": 0, "ghosts": 0}
        for event in events:
            counted["events"] += 1
            pixels, triplets = event["pixels"], event["triplets"]
            labels = _labels(event, pixels, triplets, self.options)
            features = self._features(pixels, triplets)
            for name, drawn, state in (("good", good, GOOD_TRIPLET), ("ghosts", ghost, GHOST_TRIPLET)):
                rows = np.flatnonzero(labels.good == state)
                drawn.add(rows, features, labels)
                counted[name] += len(rows)
        if not len(good) or not len(ghost):
            raise WeftError(
                f"the baseline was given {counted['events']} events with {len(good)} good triplets and {len(ghost)} "
                "ghosts, expected some of both"
            )
        x, bad = good["features"], ghost["features"]
        weight, bad_weight = good["weight"], ghost["weight"]
        both = np.concatenate([np.ones(len(x), np.int64), np.zeros(len(bad), np.int64)])
        # As the network learns from them: good ones and ghosts weigh the same.
        every = np.concatenate([weight / weight.sum(), bad_weight / bad_weight.sum()])
        self.parts = {"larmatch": self._classes(np.concatenate([x, bad]), both, every, 2, seed)}
        if "semantics" in heads:
            label = good["semantic"].astype(np.int64)
            n = len(self.options.data.labels.classes.classes)
            known = label >= 0
            self.parts["semantics"] = self._classes(x[known], label[known], weight[known], n, seed)
        if "key_points" in heads:
            near = good["key_points"]
            known = np.isfinite(near).all(axis=1)
            self.parts["key_points"] = self._values(x[known], near[known], weight[known], seed)
        if "affinity" in heads:
            self.constants["affinity"] = _mean_direction(good["affinity"], weight)
        if "shift" in heads:
            self.constants["shift"] = _mean(good["shift"], weight)
        self.counted = counted
        self.fitted_on = {"events": counted["events"], "triplets": len(x) + len(bad), "seed": seed}

    def predict(self, event: Event) -> Products:
        """`triplet_scores` of the triplets with a score of at least `data.min_score`."""
        if not self.parts:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        pixels, triplets = event["pixels"], event["triplets"]
        heads, labels = self.options.model.heads, self.options.data.labels
        schema = triplet_scores(heads, labels.classes.classes)
        features = self._features(pixels, triplets)
        score = np.concatenate([np.zeros(0), *(self.parts["larmatch"](part)[:, 1] for part in self._chunks(features))])
        if self.options.data.prior == "events":
            score = shifted(score, prior_shift(self.counted))
        score = score.astype(np.float32)
        row = np.flatnonzero(score >= np.float32(self.options.data.min_score))
        values = np.zeros(len(row), schema.dtype)
        values["larmatch"] = score[row]
        names = columns_of(schema.dtype.names or ())
        start = 0
        for part in self._chunks(features[row]):
            chunk = slice(start, start := start + len(part))
            for head, answer in self.parts.items():
                if head != "larmatch":
                    said = answer(part)
                    said = np.clip(said, 0, 1) if head == "key_points" else said
                    for k, name in enumerate(names[head]):
                        values[name][chunk] = said[:, k]
        for head, constant in self.constants.items():
            for name, value in zip(names[head], constant.ravel(), strict=True):
                values[name] = value
        return {schema.name: Filtered(values, row.astype(np.int32))}

    def _classes(self, features: np.ndarray, labels: np.ndarray, weights: np.ndarray, n: int, seed: int) -> Part:
        options = self.options.baseline
        if options.kind == "trees":
            return trees.fit_classes(features, labels, weights, n, options.trees, seed)
        return perceptron.fit_classes(features, labels, weights, n, options.perceptron, seed)

    def _values(self, features: np.ndarray, values: np.ndarray, weights: np.ndarray, seed: int) -> Part:
        options = self.options.baseline
        if options.kind == "trees":
            return trees.fit_values(features, values, weights, options.trees, seed)
        return perceptron.fit_values(features, values, weights, options.perceptron, seed)

    def _features(self, pixels: np.ndarray, triplets: np.ndarray) -> np.ndarray:
        options = self.options.baseline
        return own_features(pixels, triplets, self.options.data.charge_scale, options.multiplicity, options.drift)

    def _chunks(self, features: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(features), self.options.data.chunk):
            yield features[start : start + self.options.data.chunk]

    def save(self, path: Path) -> None:
        """One line of JSON; perceptrons are plain numbers in it, trees stand behind it as joblib pickles them."""
        if not self.parts:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        content: dict[str, Any] = {
            "version": _VERSION,
            "options": self.options.model_dump(mode="json"),
            "constants": {head: constant.tolist() for head, constant in self.constants.items()},
            "counted": self.counted,
            "fitted_on": self.fitted_on,
        }
        if self.options.baseline.kind == "trees":
            write_pickled(path, _KIND, content | _library(), self.parts)
        else:
            parts = {head: part.to_json() for head, part in self.parts.items() if isinstance(part, Perceptron)}
            write_fitted(path, _KIND, content | {"parts": parts})

    @classmethod
    def load(cls, path: Path) -> LarmatchBaseline:
        """The baseline that `save` wrote. Trees are a pickle, which runs code when it is loaded: load only files that
        you trust.

        Raises WeftError for other files, those of other versions, and trees of another version of scikit-learn.
        """
        content = read_fitted_header(path, _KIND, version=_VERSION)
        baseline = cls(Options.model_validate(content["options"]))
        if baseline.options.baseline.kind == "trees":
            _, baseline.parts = read_pickled(path, _KIND, **_library())
        else:
            baseline.parts = {head: Perceptron.from_json(part) for head, part in content["parts"].items()}
        baseline.constants = {head: np.array(constant) for head, constant in content["constants"].items()}
        baseline.counted, baseline.fitted_on = content["counted"], content["fitted_on"]
        return baseline


def _library() -> dict[str, str]:
    """What trees only work with as it was when they were fitted."""
    import sklearn

    return {"scikit-learn": sklearn.__version__}


def _mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean of values [n, ...] over the rows that are known, each element for itself; 0 where none is."""
    known = np.isfinite(values)
    weights = weight.reshape(-1, *[1] * (values.ndim - 1)) * known
    total = weights.sum(axis=0)
    return np.divide(
        (np.where(known, values, 0) * weights).sum(axis=0), total, out=np.zeros(total.shape), where=total > 0
    )


def _mean_direction(vectors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The unit vector along the mean of the vectors [n, 3] that are known; along the beam where they cancel."""
    mean = _mean(vectors, weight)
    size = np.linalg.norm(mean)
    return mean / size if size > 1e-9 else np.array(_AHEAD)


def _labels(event: Event, pixels: np.ndarray, triplets: np.ndarray, options: Options) -> TripletLabels:
    labels = options.data.labels
    return read_truth(lambda name: event[f"truth/{name}"], pixels, triplets, labels, processes_of(event)).labels
