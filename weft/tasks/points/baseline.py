"""The baseline of the point proposal: what a classical program makes of the segmentation that the stage is fed.

Tracks: the two farthest tips of connected track voxels, and the tips and forks of side branches; the end is where the
charge rises (Bragg). Showers, Michel electrons and delta rays: of each component the voxel that touches another class,
else a tip. Which components and branches are large enough, and which tip it is, is chosen on training events, by the
F1 of efficiency and purity within 3 voxels.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from weft.engine.fitted_file import read_fitted, write_fitted
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.io.products import LOW_ENERGY, TRACK
from weft.io.reco_products import POINT_PROPOSALS, POINTS
from weft.metrics.points import MARKS, nearest
from weft.reco.label_points import label_points
from weft.tasks.points.options import CLASSES, BaselineOptions, Options
from weft.tasks.points.proposals import CLASS_SCORES, END, SCORE
from weft.tasks.points.skeleton import FORK, Skeleton, neighbours, skeleton

_VERSION = 1
#: Which tip of a component that touches nothing is its start: by what of the two is larger.
RULES = ("both", "charge_near", "charge_far", "towards_others", "away_from_others")
_TOUCH = 3.0  # voxels


class Choice(NamedTuple):
    """What is made of the components of one class."""

    min_size: int = 1
    min_branch: float = 4.0
    rule: str = "both"


class _Places(NamedTuple):
    """Candidates of one class in one event."""

    places: Skeleton
    position: np.ndarray  # [n, 3] voxel units
    voxel: np.ndarray  # [n] row of the event's voxels
    charge: np.ndarray  # [n] mean charge near the place, MeV
    opposite: np.ndarray  # [n] mean charge near the other end of its branch
    distance: np.ndarray  # [n] to the nearest voxel of another class, voxels
    opposite_distance: np.ndarray  # [n] likewise at the other end
    touching: np.ndarray  # [n] bool: the voxel of its component that touches another class; no tip or fork then


class PointsBaseline(Baseline):
    """Fit, predict, save and load; deterministic."""

    def __init__(self, options: Options, choices: dict[int, Choice] | None = None) -> None:
        self.options = options
        self.choices = choices

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Choose from training events, the first ``max_events``; ``seed`` changes nothing."""
        baseline, data = self.options.baseline, self.options.data
        seen: dict[int, list[tuple[_Places, np.ndarray]]] = {c: [] for c in range(LOW_ENERGY)}
        for event in islice(events, baseline.max_events):
            found = label_points(event["truth/particles"], event["truth/meta"], data.min_voxels, data.min_energy)
            places = self._candidates(event)
            for c, kept in seen.items():
                kept.append((places[c], found.position[found.shape == c]))
        self.choices = {c: self._best(c, kept) for c, kept in seen.items()}

    def _best(self, label: int, seen: list[tuple[_Places, np.ndarray]]) -> Choice:
        """The choice of the highest F1; the first of equals."""
        options = self.options.baseline
        if label == TRACK:
            choices = [Choice(size, branch) for size, branch in product(options.min_size, options.min_branch)]
        else:
            choices = [Choice(size, rule=rule) for size, rule in product(options.min_size, RULES)]
        scores = []
        for choice in choices:
            found = made = reached = total = 0
            for places, true in seen:
                position = places.position[_chosen(places, choice)]
                found += int((nearest(true, position).distance <= MARKS[0]).sum())
                reached += int((nearest(position, true).distance <= MARKS[0]).sum())
                total, made = total + len(true), made + len(position)
            efficiency, purity = found / max(total, 1), reached / max(made, 1)
            scores.append(2 * efficiency * purity / max(efficiency + purity, 1e-12))
        return choices[int(np.argmax(scores))]

    def predict(self, event: Event) -> Products:
        """`point_proposals` and `points`, and with a segmentation head the `semantics` that it is fed."""
        if self.choices is None:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        proposals = np.zeros((len(event["voxels"]), len(POINT_PROPOSALS.columns)), np.float32)
        proposals[:, END] = np.nan
        box = event["meta"][0]
        made = []
        for c, places in self._candidates(event).items():
            rows = _chosen(places, self.choices[c])
            points = np.zeros(len(rows), POINTS.dtype)
            for k, axis in enumerate("xyz"):
                points[axis] = box[f"min_{axis}"] + places.position[rows, k] * box[f"size_{axis}"]
            points["class"], points["score"], points["occupancy"] = c, 1, 1
            points[(POINTS.dtype.names or ())[-CLASSES:][c]] = 1
            points["end_score"] = _end_score(places, rows) if c == TRACK else np.nan
            made.append(points)
            voxels = places.voxel[rows]
            proposals[voxels, SCORE], proposals[voxels, CLASS_SCORES.start + c] = 1, 1
            proposals[voxels, END] = points["end_score"]
        products: Products = {"point_proposals": proposals, "points": np.concatenate(made)}
        if self.options.model.semantic:
            semantics = event["semantics"]
            products["semantics"] = np.where(semantics >= 0, semantics, LOW_ENERGY).astype(np.int8)
            products["semantic_scores"] = np.eye(CLASSES, dtype=np.float32)[products["semantics"][:, 0]]
        return products

    def _candidates(self, event: Event) -> dict[int, _Places]:
        voxels, semantics = event["voxels"], event["semantics"][:, 0]
        charge = event["charge"][:, 0]
        return {c: _candidates(voxels, semantics, charge, c, self.options.baseline) for c in range(LOW_ENERGY)}

    def save(self, path: Path) -> None:
        if self.choices is None:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        content = {
            "version": _VERSION,
            "options": self.options.model_dump(mode="json"),
            "choices": {str(c): choice._asdict() for c, choice in self.choices.items()},
        }
        write_fitted(path, "points", content)

    @classmethod
    def load(cls, path: Path) -> PointsBaseline:
        """The baseline that `save` wrote. Raises WeftError for other files, and for those of other versions."""
        content = read_fitted(path, "points", version=_VERSION)
        choices = {int(c): Choice(**choice) for c, choice in content["choices"].items()}
        return cls(Options.model_validate(content["options"]), choices)


def _candidates(
    voxels: np.ndarray, semantics: np.ndarray, charge: np.ndarray, label: int, options: BaselineOptions
) -> _Places:
    rows = np.flatnonzero(semantics == label)
    own = voxels[rows]
    branches = options.max_branches if label == TRACK else 0
    places = skeleton(own, options.reach, branches, min(options.min_branch))
    others = voxels[(semantics != label) & (semantics >= 0) & (semantics != LOW_ENERGY)]
    if label != TRACK:
        places = _with_touching(places, own, others, options.reach)
    position = own[places.voxel] + 0.5
    tree = cKDTree(own) if len(own) else None

    def charge_near(at: np.ndarray) -> np.ndarray:
        if tree is None:
            return np.zeros(0)
        near = tree.query_ball_point(own[at], options.end_range)
        counts = np.array([len(found) for found in near], np.int64)
        item = np.repeat(np.arange(len(near)), counts)
        values = charge[rows[np.concatenate([*near, []]).astype(np.int64)]]
        return np.bincount(item, values, len(near)) / np.maximum(counts, 1)

    return _Places(
        places,
        position,
        rows[places.voxel],
        charge_near(places.voxel),
        charge_near(places.other),
        nearest(own[places.voxel], others).distance,
        nearest(own[places.other], others).distance,
        places.kind == _TOUCHING,
    )


_TOUCHING = 2  # beside TIP and FORK


def _with_touching(places: Skeleton, own: np.ndarray, others: np.ndarray, reach: float) -> Skeleton:
    """In place of the tips of a component that touches another class, the voxel where it does."""
    if not len(own) or not len(others):
        return places
    component = _components(own, reach)
    distance = nearest(own, others).distance
    order = np.lexsort((np.arange(len(own)), distance, component))
    best = order[np.searchsorted(component[order], np.arange(component.max() + 1))]
    best = best[distance[best] <= _TOUCH]
    kept = ~np.isin(component[places.voxel], component[best])
    sizes = np.bincount(component)[component[best]]
    new = (best, np.full(len(best), _TOUCHING), np.full(len(best), np.inf), best, sizes)
    return Skeleton(*(np.concatenate([column[kept], more]) for column, more in zip(places, new, strict=True)))


def _components(voxels: np.ndarray, reach: float) -> np.ndarray:
    return connected_components(neighbours(voxels, reach), directed=False)[1]


def _chosen(places: _Places, choice: Choice) -> np.ndarray:
    """Rows of the candidates that become points."""
    kept = (places.places.size >= choice.min_size) & (places.places.branch >= choice.min_branch)
    if choice.rule != "both":
        sign = 1.0 if choice.rule in ("charge_near", "away_from_others") else -1.0
        by_charge = choice.rule.startswith("charge")
        here = places.charge if by_charge else places.distance
        there = places.opposite if by_charge else places.opposite_distance
        first = places.places.voxel < places.places.other  # of equals
        with np.errstate(invalid="ignore"):
            better = (sign * here > sign * there) | ((here == there) & first)
        kept &= better | places.touching | (places.places.voxel == places.places.other)
    return np.flatnonzero(kept)


def _end_score(places: _Places, rows: np.ndarray) -> np.ndarray:
    """Share of the charge per voxel at this end of the branch in that at both; a fork is a start."""
    here, there = places.charge[rows], places.opposite[rows]
    share = np.divide(here, here + there, out=np.full(len(rows), 0.5), where=here + there > 0)
    return np.where(places.places.kind[rows] == FORK, 0.0, share).astype(np.float32)
