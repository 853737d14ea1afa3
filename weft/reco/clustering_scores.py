"""Scores of any answer to "which voxels belong together": fragments, showers, particles, interactions.

A task says, event by event, the true and the predicted cluster of every voxel (:class:`Answer`); the tables that come
of it hold sums with their numbers, so pooled metrics, curves and bootstraps over events need nothing else. A task may
put counts of its own beside them in the events table and add its own metrics to :func:`metrics`.

Counts exist for all judged voxels together and for each class, by restricting both clusterings to the voxels of that
class, as SPINE does (spec §1.9): clusters that mix classes are judged by the first kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from weft.errors import WeftError
from weft.io.products import CLASSES
from weft.metrics.clustering import Contingency, contingency
from weft.metrics.clustering_counts import ALL, COUNTS, clustering_counts, metrics
from weft.metrics.scores import Scores
from weft.reco.nodes import voxel_labels

__all__ = ["CURVE_COLUMNS", "EVENT_COLUMNS", "OBJECT_COLUMNS", "Answer", "metrics", "score_answers", "voxel_labels"]

EVENT_COLUMNS: Mapping[str, str] = {
    "run": "run number",
    "subrun": "subrun number",
    "event": "event number",
    "uid": "unique id of the event",
    "split": "name of the split",
    "shard": "name of the shard",
    **{f"{name}_<class or all>": meaning for name, meaning in COUNTS.items()},
}
OBJECT_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "side": "truth: a true cluster; prediction: a predicted one",
    "cluster": "its label",
    "class": "class of most of its judged voxels, the lowest of equals; -1: none",
    "voxels": "its judged voxels",
    "energy": "their visible energy [MeV]",
    "matched": "label of the cluster of the other side that holds most of them, the lowest of equals; -1: none does",
    "overlap": "judged voxels that both have; overlap / voxels: efficiency of a true, purity of a predicted cluster",
    "matched_voxels": "judged voxels of the matched cluster",
}
CURVE_COLUMNS: Mapping[str, str] = {"uid": "unique id of the event", "split": "name of the split"}
"""there are none: the table is empty"""


class Answer(NamedTuple):
    """One event, voxel by voxel. What a label below zero means is said in :mod:`weft.metrics.clustering`."""

    truth: np.ndarray
    """integer [N], true cluster; −1: this voxel is not judged"""
    prediction: np.ndarray
    """integer [N], predicted cluster; −1: in none"""
    classes: np.ndarray
    """integer [N], semantic class by which the voxels are told apart; −1: of none, counted in "all" alone"""
    energy: np.ndarray
    """float [N], visible energy, MeV"""


def score_answers(
    answers: Iterable[Answer], events: np.ndarray, split: str, shard: str, classes: Sequence[int] = (0, 1, 2, 3)
) -> Scores:
    """Score tables of one shard.

    answers: one for each event, in order; taken one by one, so a generator keeps memory small.
    events: structured [E], the store's `events`. classes: those that get counts of their own.
    Returns tables with the columns of EVENT_COLUMNS, OBJECT_COLUMNS and CURVE_COLUMNS. Raises WeftError naming shard
    and event where an answer's arrays have different lengths.
    """
    counts: list[dict[str, float]] = []
    objects: list[dict[str, np.ndarray]] = []
    for event, answer in zip(events, answers, strict=True):
        where = f"shard {shard}: event {event['run']}/{event['subrun']}/{event['event']}"
        columns = _columns(answer, where)
        table = contingency(columns.truth, columns.prediction)
        row = clustering_counts(table)
        for k in classes:
            own = columns.classes == k
            row |= clustering_counts(contingency(columns.truth[own], columns.prediction[own]), CLASSES[k])
        counts.append(row)
        objects += _objects(columns, table, event["uid"])
    frame = pd.DataFrame({name: events[name] for name in ("run", "subrun", "event", "uid")})
    for name, value in (("split", split), ("shard", shard)):
        frame[name] = pd.array([value] * len(events), dtype="str")
    names = [f"{name}_{k}" for k in (ALL, *(CLASSES[k] for k in classes)) for name in COUNTS]
    numbers = pd.DataFrame(counts, columns=names, dtype=np.float64)
    curves = pd.DataFrame({"uid": pd.Series(dtype="u8"), "split": pd.Series(dtype="str")})
    scores = Scores(pd.concat([frame, numbers], axis=1), _object_table(objects, split), curves)
    for made, meaning in zip(scores, (EVENT_COLUMNS, OBJECT_COLUMNS, CURVE_COLUMNS), strict=True):
        made.attrs = {"columns": dict(meaning)}
    return scores


def _columns(answer: Answer, where: str) -> Answer:
    columns = Answer(*(np.ravel(np.asarray(column)) for column in answer))
    lengths = {name: len(column) for name, column in zip(Answer._fields, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise WeftError(f"{where}: voxels of an answer: {given}; expected as many of each")
    return columns


def _objects(answer: Answer, table: Contingency, uid: int) -> list[dict[str, np.ndarray]]:
    """Columns of OBJECT_COLUMNS but `split` for each true and for each predicted cluster of an event."""
    truth = _Side("truth", answer.truth, table.truth_labels, table.truth_sizes)
    prediction = _Side("prediction", answer.prediction, table.prediction_labels, table.prediction_sizes)
    rows = []
    for own, other, match, cells in (
        (truth, prediction, table.match_of_truth, table.prediction),
        (prediction, truth, table.match_of_prediction, table.truth),
    ):
        matched = _at(cells, match)
        classes, energy = _classes_and_energies(own, answer)
        rows.append(
            {
                "uid": np.full(len(own.sizes), uid, np.uint64),
                "side": np.full(len(own.sizes), own.name),
                "cluster": own.labels,
                "class": classes,
                "voxels": own.sizes,
                "energy": energy,
                "matched": _at(other.labels, matched),
                "overlap": np.where(match >= 0, _at(table.count, match), 0),
                "matched_voxels": np.where(match >= 0, _at(other.sizes, matched), 0),
            }
        )
    return rows


class _Side(NamedTuple):
    name: str
    of_voxel: np.ndarray  # label of each voxel
    labels: np.ndarray  # of each cluster, increasing
    sizes: np.ndarray  # judged voxels of each


def _at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values by index, −1 where that is −1."""
    return np.append(values, -1)[index]


def _classes_and_energies(side: _Side, answer: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Class that most judged voxels of each cluster have, and their energy."""
    judged = (answer.truth >= 0) & (side.of_voxel >= 0)
    number, n = np.searchsorted(side.labels, side.of_voxel[judged]), len(side.labels)
    classes = answer.classes[judged]
    width = int(classes.max(initial=0)) + 1
    known = classes >= 0
    votes = np.bincount(number[known] * width + classes[known], minlength=n * width).reshape(n, width)
    most = np.where(votes.any(axis=1), votes.argmax(axis=1), -1).astype(np.int8)
    return most, np.bincount(number, answer.energy[judged], n).astype(np.float64)


def _object_table(rows: list[dict[str, np.ndarray]], split: str) -> pd.DataFrame:
    kinds = {"uid": "u8", "side": "U", "energy": "f8", "class": "i1"}
    empty = {name: np.empty(0, kinds.get(name, "i8")) for name in OBJECT_COLUMNS if name != "split"}
    frame = pd.DataFrame({name: np.concatenate([part[name] for part in [empty, *rows]]) for name in empty})
    frame["side"] = frame["side"].astype("str")
    frame["split"] = pd.array([split] * len(frame), dtype="str")
    return frame[list(OBJECT_COLUMNS)]
