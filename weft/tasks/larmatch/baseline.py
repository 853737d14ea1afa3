"""The baseline of LArMatch: what the three charges of a triplet say by themselves.

Perceptrons see the charges of the three pixels and which of them are dead, and nothing of the surroundings. What the
network says of directions and distances they cannot know: they say what is right on average.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from weft.detector.wires import PLANES
from weft.engine.fitted_file import read_fitted, write_fitted
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.io.larmatch_products import KEY_POINT_KINDS, triplet_scores
from weft.io.products import Filtered
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET
from weft.reco.feed import processes_of
from weft.tasks.larmatch.options import Options
from weft.tasks.larmatch.perceptron import Perceptron, fit_classes, fit_values
from weft.triplets.labels import TripletLabels
from weft.triplets.stored_truth import read_truth

_KIND, _VERSION = "larmatch", 1
_AHEAD = (0.0, 0.0, 1.0)


class LarmatchBaseline(Baseline):
    """Fit, predict, save and load; deterministic for a seed."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.parts: dict[str, Perceptron] = {}
        """by head: larmatch, semantics, key_points"""
        self.constants: dict[str, np.ndarray] = {}
        """by head: affinity [3], shift [6, 3] cm"""
        self.fitted_on: dict[str, int] = {}
        """events and triplets that the fit saw, and the seed"""

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Learn from `pixels` and `triplets` as the stage is fed them and the truth that `data.labels` names.

        Memory is bounded by `max_triplets`, whatever the number of events. Raises WeftError where there are no good
        triplets, or no ghosts.
        """
        options, heads = self.options.baseline, self.options.model.heads
        good, ghost = (Drawn(options.per_event, options.max_triplets, (seed, k)) for k in range(2))
        n_events = 0
        for event in events:
            n_events += 1
            pixels, triplets = event["pixels"], event["triplets"]
            labels = _labels(event, pixels, triplets, self.options)
            features = self._features(pixels, triplets)
            for drawn, state in ((good, GOOD_TRIPLET), (ghost, GHOST_TRIPLET)):
                drawn.add(np.flatnonzero(labels.good == state), features, labels)
        if not len(good) or not len(ghost):
            raise WeftError(
                f"the baseline was given {n_events} events with {len(good)} good triplets and {len(ghost)} ghosts, "
                "expected some of both"
            )
        x, bad = good["features"], ghost["features"]
        weight, bad_weight = good["weight"], ghost["weight"]
        both = np.concatenate([np.ones(len(x), np.int64), np.zeros(len(bad), np.int64)])
        # As the network learns from them: good ones and ghosts weigh the same.
        every = np.concatenate([weight / weight.sum(), bad_weight / bad_weight.sum()])
        self.parts = {"larmatch": fit_classes(np.concatenate([x, bad]), both, every, 2, options, seed)}
        if "semantics" in heads:
            label = good["semantic"].astype(np.int64)
            n = len(self.options.data.labels.classes.classes)
            known = label >= 0
            self.parts["semantics"] = fit_classes(x[known], label[known], weight[known], n, options, seed)
        if "key_points" in heads:
            self.parts["key_points"] = fit_values(x, good["key_points"], weight, options, seed)
        if "affinity" in heads:
            self.constants["affinity"] = _mean_direction(good["affinity"], weight)
        if "shift" in heads:
            self.constants["shift"] = _mean(good["shift"], weight)
        self.fitted_on = {"events": n_events, "triplets": len(x) + len(bad), "seed": seed}

    def predict(self, event: Event) -> Products:
        """`triplet_scores` of the triplets with a score of at least `data.min_score`."""
        if not self.parts:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        pixels, triplets = event["pixels"], event["triplets"]
        heads, labels = self.options.model.heads, self.options.data.labels
        classes = labels.classes.classes if "semantics" in heads else ()
        schema = triplet_scores(classes, "key_points" in heads, "affinity" in heads, "shift" in heads)
        features = self._features(pixels, triplets)
        score = np.concatenate([np.zeros(0), *(self.parts["larmatch"](part)[:, 1] for part in self._chunks(features))])
        score = score.astype(np.float32)
        row = np.flatnonzero(score >= np.float32(self.options.data.min_score))
        values = np.zeros(len(row), schema.dtype)
        values["larmatch"] = score[row]
        names = {
            "semantics": [f"class_{name}" for name in classes],
            "key_points": [f"key_{kind}" for kind in KEY_POINT_KINDS],
            "affinity": [f"affinity_{axis}" for axis in "xyz"],
            "shift": [f"shift_{kind}_{axis}" for kind in KEY_POINT_KINDS for axis in "xyz"],
        }
        start = 0
        for part in self._chunks(features[row]):
            chunk = slice(start, start := start + len(part))
            for head, perceptron in self.parts.items():
                if head != "larmatch":
                    said = perceptron(part)
                    said = np.clip(said, 0, 1) if head == "key_points" else said
                    for k, name in enumerate(names[head]):
                        values[name][chunk] = said[:, k]
        for head, constant in self.constants.items():
            for name, value in zip(names[head], constant.ravel(), strict=True):
                values[name] = value
        return {schema.name: Filtered(values, row.astype(np.int32))}

    def _features(self, pixels: np.ndarray, triplets: np.ndarray) -> np.ndarray:
        """float64 (n, 6): ln(1 + charge/scale) of the pixels of planes 0, 1, 2, and whether they are dead."""
        charge = np.log1p(np.maximum(pixels["charge"], 0) / self.options.data.charge_scale)
        columns = [charge[triplets[f"pixel_{p}"]] for p in range(PLANES)]
        columns += [pixels["dead"][triplets[f"pixel_{p}"]] for p in range(PLANES)]
        return np.stack(columns, axis=1).astype(np.float64)

    def _chunks(self, features: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(features), self.options.data.chunk):
            yield features[start : start + self.options.data.chunk]

    def save(self, path: Path) -> None:
        """JSON: weights are plain numbers."""
        if not self.parts:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        content = {
            "version": _VERSION,
            "options": self.options.model_dump(mode="json"),
            "parts": {head: part.to_json() for head, part in self.parts.items()},
            "constants": {head: constant.tolist() for head, constant in self.constants.items()},
            "fitted_on": self.fitted_on,
        }
        write_fitted(path, _KIND, content)

    @classmethod
    def load(cls, path: Path) -> LarmatchBaseline:
        """The baseline that `save` wrote. Raises WeftError for other files, and for those of other versions."""
        content: dict[str, Any] = read_fitted(path, _KIND, version=_VERSION)
        baseline = cls(Options.model_validate(content["options"]))
        baseline.parts = {head: Perceptron.from_json(part) for head, part in content["parts"].items()}
        baseline.constants = {head: np.array(constant) for head, constant in content["constants"].items()}
        baseline.fitted_on = content["fitted_on"]
        return baseline


class Drawn:
    """Training triplets drawn from a stream of events, with what is known of them: ``drawn[name]``, `features`,
    `weight` and the fields of the labels.

    An event gives at most `per_event`, weighted by how many they stand for. When there are more than `most`, each
    stays with probability ½, and so do those that come later.
    """

    _LABELS = ("semantic", "key_points", "affinity", "shift")

    def __init__(self, per_event: int, most: int, seed: tuple[int, ...]) -> None:
        self._per_event, self._most = per_event, most
        self._rng = np.random.default_rng(seed)
        self._blocks: list[dict[str, np.ndarray]] = []
        self._share = 1.0

    def __len__(self) -> int:
        return sum(len(block["weight"]) for block in self._blocks)

    def __getitem__(self, name: str) -> np.ndarray:
        return np.concatenate([block[name] for block in self._blocks])

    def add(self, rows: np.ndarray, features: np.ndarray, labels: TripletLabels) -> None:
        """Draw from these rows of an event's triplets."""
        chosen = np.sort(self._rng.permutation(rows)[: self._per_event])
        block = {name: getattr(labels, name)[chosen] for name in self._LABELS} | {"features": features[chosen]}
        block["weight"] = np.full(len(chosen), len(rows) / max(len(chosen), 1))
        block["lot"] = self._rng.random(len(chosen))
        self._blocks.append(self._thinned(block))
        while len(self) > self._most:
            self._share /= 2
            self._blocks = [self._thinned(block) for block in self._blocks]

    def _thinned(self, block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        stays = block["lot"] < self._share
        return {name: column[stays] for name, column in block.items()}


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
