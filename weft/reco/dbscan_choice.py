"""DBSCAN whose settings are chosen on training events: the classical answer to how voxels of a class are divided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from weft.metrics.clustering import ari
from weft.reco.branching import linearity
from weft.reco.dbscan import dbscan, masked_dbscan

#: Voxels around one whose scatter says whether they lie along a line.
RADIUS = 5.0


class Setting(NamedTuple):
    """How the voxels of one class are divided."""

    eps: float
    """voxels"""
    mask_radius: float = 0.0
    """voxels; components are cut where they branch or bend, with so much around that set aside; 0: they stay whole"""
    straight: float = 0.9
    """linearity below which a component is taken to branch (:func:`weft.reco.branching.linearity`)"""


class Choice(NamedTuple):
    """The best setting of one class, and the mean ARI of every setting over the events that have the class."""

    best: Setting
    scores: Mapping[Setting, float]


def divide(voxels: np.ndarray, setting: Setting, line: np.ndarray | None = None) -> np.ndarray:
    """int64 [n]: the cluster of each voxel [n, 3] of one class, numbered from 0; line: their linearity, if known."""
    if not setting.mask_radius:
        return dbscan(voxels, setting.eps)
    line = linearity(voxels, RADIUS) if line is None else line
    return masked_dbscan(voxels, voxels[line < setting.straight], setting.eps, mask_radius=setting.mask_radius)


def choose(
    events: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], classes: Sequence[int], settings: Sequence[Setting]
) -> dict[int, Choice]:
    """The setting of each class with the greatest mean ARI over events; the first of equals.

    events: voxels [N, 3], class [N] and true fragment [N] (−1: not judged) of each event.
    """
    total: dict[int, np.ndarray] = {number: np.zeros(len(settings)) for number in classes}
    seen = dict.fromkeys(classes, 0)
    for voxels, semantics, truth in events:
        for number in classes:
            rows = np.flatnonzero((semantics == number) & (truth >= 0))
            if len(rows) < 2:  # no pair of voxels, no ARI
                continue
            own = np.flatnonzero(semantics == number)
            at, line = np.searchsorted(own, rows), linearity(voxels[own], RADIUS)
            total[number] += [ari(truth[rows], divide(voxels[own], setting, line)[at]) for setting in settings]
            seen[number] += 1
    made = {}
    for number in classes:
        mean = total[number] / max(seen[number], 1)
        made[number] = Choice(settings[int(mean.argmax())], dict(zip(settings, mean.tolist(), strict=True)))
    return made


def fragments_of(voxels: np.ndarray, semantics: np.ndarray, chosen: Mapping[int, Setting], min_size: int) -> np.ndarray:
    """int64 [N]: the fragment of each voxel, −1 in none: of other classes, or in a cluster below `min_size`."""
    labels, n = np.full(len(voxels), -1, np.int64), 0
    for number, setting in chosen.items():
        rows = np.flatnonzero(semantics == number)
        found = divide(voxels[rows], setting)
        sizes = np.bincount(found, minlength=1) if len(found) else np.zeros(1, np.int64)
        labels[rows] = np.where(sizes[found] >= min_size, found + n, -1)
        n += len(sizes)
    return labels


def as_json(chosen: Mapping[int, Choice]) -> dict[str, Any]:
    """The choices as plain data; :func:`from_json` is the way back."""
    return {
        str(number): {
            "best": list(choice.best),
            "scores": [[list(setting), score] for setting, score in choice.scores.items()],
        }
        for number, choice in chosen.items()
    }


def from_json(data: Mapping[str, Any]) -> dict[int, Choice]:
    return {
        int(number): Choice(Setting(*entry["best"]), {Setting(*setting): score for setting, score in entry["scores"]})
        for number, entry in data.items()
    }
