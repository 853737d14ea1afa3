"""Score tables of a voxel segmentation, from a store of predictions joined with its truth.

Runs over a shard in blocks of events; needs neither a model nor torch, so that anybody's predictions can be
scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from weft.engine.task import Store
from weft.errors import WeftError
from weft.io.products import CLASSES, LOW_ENERGY, Nested, Ragged
from weft.metrics.calibration import confidence_bins
from weft.metrics.scores import Scores
from weft.metrics.segmentation import accuracy, confusion_counts, iou, macro_f1, mean_iou, recall, without_class

#: Equal bins of the score of the predicted class, for the reliability diagram.
CONFIDENCE_BINS = 20
#: Edges of the bins of visible energy per voxel, MeV; what lies outside joins the first or the last bin.
CHARGE_EDGES = np.geomspace(0.05, 20.0, 17)
#: A predicted probability of zero would cost infinitely; it is counted as this.
SMALLEST_PROBABILITY = 1e-7

_BLOCK = 128  # events held at once

EVENT_COLUMNS: Mapping[str, str] = {
    "run": "run number",
    "subrun": "subrun number",
    "event": "event number",
    "uid": "unique id of the event",
    "split": "name of the split",
    "shard": "name of the shard",
    "n_voxels": "voxels, those without a valid label included",
    "visible_energy": "sum of the voxels' charge [MeV]",
    "sum_nll": "sum over labelled voxels of -ln(score of the true class) [nats]; NaN without scores",
    "n_<i><j>": "voxels of true class i that were called j",
}
OBJECT_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "particle": "row of the particle in the event's `particles`",
    "pdg": "PDG code",
    "shape": "semantic class of the particle's deposits",
    "energy_init": "total energy at creation [MeV]",
    "energy_deposit": "energy left in the box [MeV]",
    "momentum": "size of the momentum at creation [MeV/c]",
    "vertex_distance": "distance of the first step from the creation point of the ancestor [cm]",
    "contained": "first and last step, and creation and end point, lie inside the box",
    "n_voxels": "voxels of the particle; a particle without any has no row",
    "n_own": "those whose label is the particle's shape (where particles overlap a voxel has one label)",
    "n_correct": "own voxels that were called by that class",
    "majority": "class that most of its voxels were called; the lowest of equals",
}
CURVE_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "curve": "reliability: bins of the predicted class' score; charge: bins of the voxel's visible energy",
    "label": "true class (charge), -1 for all together (reliability)",
    "bin": "number of the bin",
    "low": "lower edge of the bin [charge: MeV]",
    "high": "upper edge of the bin [charge: MeV]",
    "n": "labelled voxels",
    "n_correct": "labelled voxels that were called right",
    "sum_confidence": "sum of the predicted class' scores; 0 where there are no scores",
}


def count_columns(n_classes: int) -> list[str]:
    """Names of the confusion counts in the events table: n_00, n_01, ..., row (true class) by row."""
    return [f"n_{i}{j}" for i in range(n_classes) for j in range(n_classes)]


def confusion_of(events: pd.DataFrame) -> np.ndarray:
    """Confusion counts int64 [E, C, C] of an events table."""
    n_classes = next((c for c in range(9, 0, -1) if f"n_{c - 1}{c - 1}" in events), 0)
    columns = count_columns(n_classes)
    missing = [name for name in columns if name not in events]
    if missing or not columns:
        raise WeftError(f"the events table has no column {(missing or ['n_00'])[0]}: not the scores of a segmentation")
    return events[columns].to_numpy(np.int64).reshape(len(events), n_classes, n_classes)


def score_shard(store: Store, split: str, shard: str, n_classes: int = 5) -> Scores:
    """Score one shard.

    store: opened with {"truth": path, "prediction": path}. Reads truth/{semantics, charge} and
    prediction/semantics; prediction/semantic_scores where there are scores (else sum_nll is NaN and there is
    no reliability curve); truth/{clusters, particles, meta} where particles are known (else the objects table
    is empty).
    n_classes: 5, or 6 with ghosts; scores must have as many columns, each row a probability distribution.
    Returns tables with the columns described in EVENT_COLUMNS, OBJECT_COLUMNS and CURVE_COLUMNS.
    Raises WeftError naming shard and event for labels, predictions or scores that do not fit.
    """
    blocks = [
        _score_block(_read(store, start, min(start + _BLOCK, len(store)), n_classes, shard), split, shard, n_classes)
        for start in range(0, max(len(store), 1), _BLOCK)
    ]
    tables = [pd.concat(frames, ignore_index=True) for frames in zip(*blocks, strict=True)]
    for table, meaning in zip(tables, (EVENT_COLUMNS, OBJECT_COLUMNS, CURVE_COLUMNS), strict=True):
        table.attrs = {"columns": dict(meaning)}
    return Scores(*tables)


def metrics(counts: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each row of an events table, or of rows of it added up.

    Accuracy, mean IoU, macro F1, mean -ln(score of the true class) [nats], mean IoU without low-energy deposits, and
    recall and IoU of each class. NaN where undefined.
    """
    confusion = confusion_of(counts)
    labelled = confusion.sum(axis=(1, 2))
    nll = np.full(len(counts), np.nan)
    values = {
        "accuracy": accuracy(confusion),
        "mean_iou": mean_iou(confusion),
        "macro_f1": macro_f1(confusion),
        "nll": np.divide(counts["sum_nll"].to_numpy(np.float64), labelled, out=nll, where=labelled > 0),
        "mean_iou_without_low_energy": mean_iou(without_class(confusion, LOW_ENERGY)),
    }
    for name, per_class in (("recall", recall(confusion)), ("iou", iou(confusion))):
        values |= {f"{name}_{CLASSES[c]}": column for c, column in enumerate(per_class.T)}
    return pd.DataFrame(values, index=counts.index)


class _Particles(NamedTuple):
    rows: np.ndarray  # structured `particles` of the block
    event: np.ndarray  # event of each, within the block
    number: np.ndarray  # row of each in its event
    voxels: np.ndarray  # rows of the block's voxels, cluster after cluster
    offsets: np.ndarray  # of the clusters in `voxels`
    meta: np.ndarray  # structured `meta`, one row per event


class _Block(NamedTuple):
    events: np.ndarray
    offsets: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    charge: np.ndarray
    scores: np.ndarray | None
    particles: _Particles | None


def _read(store: Store, start: int, stop: int, n_classes: int, shard: str) -> _Block:
    truth: Ragged = store.read("truth/semantics", start, stop)
    predicted = store.read("prediction/semantics", start, stop)
    charge = store.read("truth/charge", start, stop)
    events = store.events[start:stop]
    for name, product in (("prediction/semantics", predicted), ("truth/charge", charge)):
        if not np.array_equal(product.offsets, truth.offsets):
            k = int(np.flatnonzero(product.offsets != truth.offsets)[0]) - 1
            raise WeftError(
                f"shard {shard}: event {_label(events[k])}: {name} has {product.counts[k]} rows, "
                f"expected one for each of the {truth.counts[k]} voxels"
            )
    scores = None
    if "prediction/semantic_scores" in store:
        values = store.read("prediction/semantic_scores", start, stop).values
        if values.shape[1] != n_classes:
            raise WeftError(
                f"shard {shard}: prediction/semantic_scores has {values.shape[1]} columns, expected {n_classes}"
            )
        scores = values.astype(np.float64)
    particles = None
    if "truth/clusters" in store:
        particles = _read_particles(store, start, stop, truth)
    return _Block(
        events,
        truth.offsets,
        truth.values[:, 0],
        predicted.values[:, 0],
        charge.values[:, 0],
        scores,
        particles,
    )


def _read_particles(store: Store, start: int, stop: int, voxels: Ragged) -> _Particles:
    clusters: Nested = store.read("truth/clusters", start, stop)
    particles: Ragged = store.read("truth/particles", start, stop)
    event = np.repeat(np.arange(stop - start), np.diff(clusters.event_offsets))
    item = np.repeat(np.arange(len(event)), np.diff(clusters.item_offsets))
    rows = clusters.values["voxel"].astype(np.int64) + voxels.offsets[event[item]]
    return _Particles(
        particles.values,
        event,
        np.arange(len(event)) - np.asarray(clusters.event_offsets)[event],
        rows,
        np.asarray(clusters.item_offsets),
        store.read("truth/meta", start, stop).values,
    )


def _label(event: np.void) -> str:
    return f"{event['run']}/{event['subrun']}/{event['event']}"


def _score_block(block: _Block, split: str, shard: str, n_classes: int) -> Scores:
    confidence = _confidence(block, shard)
    return Scores(
        _score_events(block, split, shard, n_classes),
        _score_objects(block, split, n_classes),
        _bin_curves(block, confidence, split, n_classes),
    )


def _confidence(block: _Block, shard: str) -> np.ndarray | None:
    """Score of the predicted class, checked to be a probability."""
    if block.scores is None:
        return None
    total = block.scores.sum(axis=1)
    bad = ~(np.abs(total - 1) < 1e-3) | (block.scores.min(axis=1, initial=0) < 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        event = block.events[np.searchsorted(block.offsets, row, side="right") - 1]
        raise WeftError(
            f"shard {shard}: event {_label(event)}: semantic_scores of a voxel sum to {total[row]:g}, "
            "expected probabilities that sum to 1"
        )
    called = np.clip(block.predicted, 0, block.scores.shape[1] - 1).astype(np.int64)
    return np.minimum(block.scores[np.arange(len(called)), called], 1.0)


def _score_events(block: _Block, split: str, shard: str, n_classes: int) -> pd.DataFrame:
    try:
        counts = confusion_counts(block.truth, block.predicted, n_classes, block.offsets)
    except WeftError as error:
        raise WeftError(f"shard {shard}: {error}") from None
    n_events = len(block.events)
    labelled = block.truth >= 0
    event = np.repeat(np.arange(n_events), np.diff(block.offsets))
    sum_nll = np.full(n_events, np.nan)
    if block.scores is not None:
        true_score = block.scores[np.flatnonzero(labelled), block.truth[labelled].astype(np.int64)]
        nll = -np.log(np.maximum(true_score, SMALLEST_PROBABILITY))
        sum_nll = _sums(event[labelled], nll, n_events)
    frame = pd.DataFrame({name: block.events[name] for name in ("run", "subrun", "event", "uid")})
    frame["split"] = pd.array([split] * n_events, dtype="str")
    frame["shard"] = pd.array([shard] * n_events, dtype="str")
    frame["n_voxels"] = np.diff(block.offsets)
    frame["visible_energy"] = _sums(event, block.charge, n_events)
    frame["sum_nll"] = sum_nll
    table = pd.DataFrame(counts.reshape(n_events, n_classes**2), columns=count_columns(n_classes))
    return pd.concat([frame, table], axis=1)


def _sums(event: np.ndarray, values: np.ndarray, n_events: int) -> np.ndarray:
    """Sum of the values of each event, float64 [n_events]; `np.bincount` alone counts in integers without any value."""
    return np.bincount(event, values, minlength=n_events).astype(np.float64)


def _score_objects(block: _Block, split: str, n_classes: int) -> pd.DataFrame:
    if block.particles is None:
        return _no_objects()
    rows, event, number, voxels, offsets, meta = block.particles
    n_objects = len(rows)
    n_voxels = np.diff(offsets)
    item = np.repeat(np.arange(n_objects), n_voxels)
    shape = rows["shape"]
    own = block.truth[voxels] == shape[item]
    correct = own & (block.predicted[voxels] == shape[item])
    called = np.bincount(item * n_classes + np.clip(block.predicted[voxels], 0, n_classes - 1),
                         minlength=n_objects * n_classes).reshape(n_objects, n_classes)  # fmt: skip
    inside = np.ones(n_objects, bool)
    for axis in "xyz":
        low = meta[f"min_{axis}"][event]
        high = low + (meta[f"size_{axis}"] * meta[f"n{axis}"])[event]
        for point in ("vtx", "end_pt", "first_step", "last_step"):
            position = rows[f"{point}_{axis}"]
            inside &= (position >= low) & (position <= high)
    distance = np.sqrt(sum((rows[f"first_step_{a}"] - rows[f"ancestor_vtx_{a}"]) ** 2 for a in "xyz"))
    frame = pd.DataFrame(
        {
            "uid": block.events["uid"][event],
            "split": pd.array([split] * n_objects, dtype="str"),
            "particle": number,
            "pdg": rows["pdg"],
            "shape": shape,
            "energy_init": rows["energy_init"],
            "energy_deposit": rows["energy_deposit"],
            "momentum": rows["p"],
            "vertex_distance": distance,
            "contained": inside,
            "n_voxels": n_voxels,
            "n_own": np.bincount(item[own], minlength=n_objects),
            "n_correct": np.bincount(item[correct], minlength=n_objects),
            "majority": called.argmax(axis=1),
        }
    )
    return frame[n_voxels > 0].reset_index(drop=True)


def _no_objects() -> pd.DataFrame:
    kinds = {"uid": "u8", "split": "str", "contained": "bool"} | dict.fromkeys(("pdg", "shape"), "i4")
    kinds |= dict.fromkeys(("energy_init", "energy_deposit", "momentum", "vertex_distance"), "f8")
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "i8")) for name in OBJECT_COLUMNS})


def _bin_curves(block: _Block, confidence: np.ndarray | None, split: str, n_classes: int) -> pd.DataFrame:
    labelled = block.truth >= 0
    event = np.repeat(np.arange(len(block.events)), np.diff(block.offsets))[labelled]
    truth = block.truth[labelled].astype(np.int64)
    voxels = pd.DataFrame(
        {
            "event": event,
            "n": 1,
            "n_correct": (block.truth == block.predicted)[labelled].astype(np.int64),
            "sum_confidence": 0.0 if confidence is None else confidence[labelled],
        }
    )
    charge_bin = np.searchsorted(CHARGE_EDGES, block.charge[labelled], side="right") - 1
    charge_bin = np.clip(charge_bin, 0, len(CHARGE_EDGES) - 2)
    curves = [("charge", truth, charge_bin, CHARGE_EDGES)]
    if confidence is not None:
        edges = np.linspace(0, 1, CONFIDENCE_BINS + 1)
        everything = np.full(len(event), -1)
        curves.append(("reliability", everything, confidence_bins(confidence[labelled], CONFIDENCE_BINS), edges))
    frames = []
    for name, label, number, edges in curves:
        frame = voxels.assign(label=label, bin=number).groupby(["event", "label", "bin"], as_index=False).sum()
        frame["curve"] = pd.array([name] * len(frame), dtype="str")
        frame["low"], frame["high"] = edges[frame["bin"]], edges[frame["bin"] + 1]
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True).sort_values("event", kind="stable", ignore_index=True)
    table["uid"] = block.events["uid"][table["event"]]
    table["split"] = pd.array([split] * len(table), dtype="str")
    return table[list(CURVE_COLUMNS)].astype({"label": np.int8, "bin": np.int16})
