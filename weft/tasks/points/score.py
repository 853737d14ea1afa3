"""Score tables of predicted points, from a store of predictions joined with its truth; neither model nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from weft.engine.task import Store
from weft.errors import WeftError
from weft.io.products import CLASSES as NAMES
from weft.io.products import LOW_ENERGY, TRACK
from weft.metrics.points import (
    EDGES,
    MARKS,
    N_BINS,
    copies,
    distance_bins,
    harmonic_mean,
    median_within,
    nearest,
)
from weft.metrics.scores import Scores
from weft.metrics.segmentation import accuracy, confusion_counts, mean_iou
from weft.reco.label_points import label_points
from weft.tasks.points.options import CLASSES, Options

#: Classes that label points have; a network may call a point low-energy too.
POINT_CLASSES = range(LOW_ENERGY)
_CALLED = {"true": POINT_CLASSES, "pred": range(CLASSES)}
TRUE, PREDICTED = "true", "predicted"

EVENT_COLUMNS: Mapping[str, str] = {
    "run": "run number",
    "subrun": "subrun number",
    "event": "event number",
    "uid": "unique id of the event",
    "split": "name of the split",
    "shard": "name of the shard",
    "n_voxels": "voxels",
    "true_<c>": "true points of class c",
    "true_<c>_<d>": "those with a predicted point of their class within d voxels",
    "true_any_<d>": "true points with any predicted point within d voxels",
    "pred_<c>": "predicted points of class c",
    "pred_<c>_<d>": "those with a true point of their class within d voxels",
    "pred_any_<d>": "predicted points with any true point within d voxels",
    "copies": "predicted points within 3 voxels of a true one of their class that another one is nearer to",
    "type_<i><j>": "true points of class i whose nearest predicted point, within 3 voxels, has class j",
    "ends": "true points of tracks, within 3 voxels of a predicted one that says whether it is an end",
    "ends_right": "those where it says so rightly",
    "eff_<k>": "true points whose nearest predicted one of their class is in bin k of distance",
    "seg_<i><j>": "with a segmentation: voxels of true class i that were called j",
}
OBJECT_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "kind": "true: a true point and what was predicted near it; predicted: the other way round",
    "class": "semantic class of the point",
    "x": "position [cm]",
    "y": "position [cm]",
    "z": "position [cm]",
    "distance": "to the nearest one of the other kind with the same class [voxels]; infinite where there is none",
    "distance_any": "to the nearest one of the other kind [voxels]",
    "class_any": "class of that one; −1 where there is none",
    "voxel_distance": "to the centre of the nearest voxel [voxels]",
    "end": "true: 1 for the end of a track, else 0; predicted: probability of that, NaN where nobody said",
    "score": "predicted: probability of a point; true: NaN",
    "occupancy": "predicted: voxels that proposed it; true: 0",
    "copy": "predicted: one of several at the same true point, and not the nearest",
    "particle": "true: row of the particle in the event's `particles`; predicted: −1",
    "pdg": "true: PDG code; predicted: 0",
    "energy_init": "true: total energy at creation [MeV]; predicted: NaN",
    "energy_deposit": "true: energy left in the box [MeV]; predicted: NaN",
    "n_voxels": "true: voxels of the particle; predicted: 0",
}
CURVE_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "curve": "efficiency: of true points; purity: of predicted ones",
    "label": "semantic class of the point",
    "bin": "number of the bin of distance to the nearest one of the other kind and the same class",
    "low": "lower edge of the bin [voxels]",
    "high": "upper edge of the bin, which belongs to it [voxels]",
    "n": "points",
}


class _Points(NamedTuple):
    position: np.ndarray  # [n, 3] voxel units
    classes: np.ndarray
    table: pd.DataFrame  # the columns of OBJECT_COLUMNS that the other kind does not decide


def score_shard(store: Store, split: str, shard: str, options: Options) -> Scores:
    """Score one shard.

    store: opened with {"truth": path, "prediction": path}. Reads truth/{voxels, particles, meta}, prediction/points
    and, with a segmentation head, truth/semantics and prediction/semantics.
    options: say which particles have label points, and whether there is a segmentation.
    """
    names = ["truth/voxels", "truth/particles", "truth/meta", "prediction/points"]
    if options.model.semantic:
        names += ["truth/semantics", "prediction/semantics"]
    read = {name: store[name] for name in names}
    events, objects, curves = [], [], []
    for i, event in enumerate(store.events[: len(store)]):
        products = {name: product[i] for name, product in read.items()}
        identity = {"uid": event["uid"], "split": split}
        row, table, bins = _score_event(products, options, shard, event)
        events.append({name: event[name] for name in ("run", "subrun", "event", "uid")} | row)
        objects.append(table.assign(**identity))
        curves.append(bins.assign(**identity))
    return Scores(
        _table(pd.DataFrame(events), split, shard, options),
        _typed(objects, OBJECT_COLUMNS, _OBJECT_TYPES),
        _typed(curves, CURVE_COLUMNS, _CURVE_TYPES),
    )


def _score_event(
    products: Mapping[str, np.ndarray], options: Options, shard: str, event: np.void
) -> tuple[dict[str, int], pd.DataFrame, pd.DataFrame]:
    voxels, meta = products["truth/voxels"], products["truth/meta"]
    true = _true_points(products["truth/particles"], meta, options)
    predicted = _predicted_points(products["prediction/points"], meta, shard, event)
    to_predicted = nearest(true.position, predicted.position, true.classes, predicted.classes)
    to_true = nearest(predicted.position, true.position, predicted.classes, true.classes)
    any_predicted = nearest(true.position, predicted.position)
    any_true = nearest(predicted.position, true.position)
    copied = copies(to_true, to_predicted)

    row: dict[str, int] = {"n_voxels": len(voxels)}
    for name, points, found, anyone in (
        ("true", true, to_predicted, any_predicted),
        ("pred", predicted, to_true, any_true),
    ):
        for c in _CALLED[name]:
            own = points.classes == c
            row[f"{name}_{c}"] = int(own.sum())
            row |= {f"{name}_{c}_{mark:g}": int((found.distance[own] <= mark).sum()) for mark in MARKS}
        row |= {f"{name}_any_{mark:g}": int((anyone.distance <= mark).sum()) for mark in MARKS}
    row["copies"] = int(copied.sum())
    near = any_predicted.distance <= MARKS[0]
    called = predicted.classes[any_predicted.row[near]]
    pairs = np.bincount(true.classes[near] * CLASSES + called, minlength=CLASSES**2)
    row |= {f"type_{i}{j}": int(pairs[i * CLASSES + j]) for i in POINT_CLASSES for j in range(CLASSES)}
    row |= _ends(true, predicted, to_predicted.row, to_predicted.distance)
    histogram = np.bincount(distance_bins(to_predicted.distance), minlength=N_BINS)
    row |= {f"eff_{k}": int(n) for k, n in enumerate(histogram)}
    if options.model.semantic:
        row |= _segmentation(products["truth/semantics"], products["prediction/semantics"], shard)

    tables = []
    for points, found, anyone, other in (
        (true, to_predicted, any_predicted, predicted),
        (predicted, to_true, any_true, true),
    ):
        table = points.table.assign(distance=found.distance, distance_any=anyone.distance)
        table["class_any"] = np.append(other.classes, -1)[anyone.row]
        table["voxel_distance"] = nearest(points.position, voxels + 0.5).distance if len(points.position) else []
        tables.append(table)
    tables[1]["copy"] = copied
    curves = [
        _binned(curve, points.classes, found.distance)
        for curve, points, found in (("efficiency", true, to_predicted), ("purity", predicted, to_true))
    ]
    return row, pd.concat(tables, ignore_index=True), pd.concat(curves, ignore_index=True)


def _true_points(particles: np.ndarray, meta: np.ndarray, options: Options) -> _Points:
    found = label_points(particles, meta, options.data.min_voxels, options.data.min_energy)
    owners = particles[found.particle]
    low, size = _box(meta)
    columns = {
        "kind": TRUE,
        "class": found.shape,
        **dict(zip("xyz", (low + found.position * size).T, strict=True)),
        "end": found.end.astype(np.float32),
        "score": np.nan,
        "occupancy": 0,
        "copy": False,
        "particle": found.particle,
        "n_voxels": owners["num_voxels"],
    }
    columns |= {name: owners[name] for name in ("pdg", "energy_init", "energy_deposit")}
    return _Points(found.position.astype(np.float64), found.shape.astype(np.int64), pd.DataFrame(columns))


def _predicted_points(points: np.ndarray, meta: np.ndarray, shard: str, event: np.void) -> _Points:
    low, size = _box(meta)
    position = np.stack([points[axis] for axis in "xyz"], axis=1).astype(np.float64)
    if len(points) and not (np.isfinite(position).all() and np.isin(points["class"], range(CLASSES)).all()):
        raise WeftError(
            f"shard {shard}: event {event['run']}/{event['subrun']}/{event['event']}: prediction/points has a position "
            f"that is not finite or a class outside 0..{CLASSES - 1}"
        )
    columns = {
        "kind": PREDICTED,
        "class": points["class"],
        **dict(zip("xyz", position.T, strict=True)),
        "end": points["end_score"],
        "score": points["score"],
        "occupancy": points["occupancy"],
        "particle": -1,
        "pdg": 0,
        "energy_init": np.nan,
        "energy_deposit": np.nan,
        "n_voxels": 0,
    }
    return _Points((position - low) / size, points["class"].astype(np.int64), pd.DataFrame(columns))


def _ends(true: _Points, predicted: _Points, row: np.ndarray, distance: np.ndarray) -> dict[str, int]:
    """A predicted point is judged by every true one that it is nearest to: where a start and an end coincide, one of
    the two counts as wrong whatever it says."""
    near = np.flatnonzero((true.classes == TRACK) & (distance <= MARKS[0]))
    said = predicted.table["end"].to_numpy(np.float64)[row[near]]
    is_end = true.table["end"].to_numpy()[near] > 0.5
    judged = np.isfinite(said)
    right = (said > 0.5) == is_end
    return {"ends": int(judged.sum()), "ends_right": int((right & judged).sum())}


def _segmentation(truth: np.ndarray, predicted: np.ndarray, shard: str) -> dict[str, int]:
    try:
        counts = confusion_counts(truth[:, 0], predicted[:, 0], CLASSES, np.array([0, len(truth)]))[0]
    except WeftError as error:
        raise WeftError(f"shard {shard}: {error}") from None
    return {f"seg_{i}{j}": int(counts[i, j]) for i in range(CLASSES) for j in range(CLASSES)}


def _binned(curve: str, classes: np.ndarray, distance: np.ndarray) -> pd.DataFrame:
    number = distance_bins(distance)
    keys, n = np.unique(classes * N_BINS + number, return_counts=True)
    number = keys % N_BINS
    columns = {"curve": curve, "label": keys // N_BINS, "bin": number, "low": EDGES[number], "high": EDGES[number + 1]}
    return pd.DataFrame(columns | {"n": n})


def _box(meta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    box = meta[0]
    return np.array([box[f"min_{axis}"] for axis in "xyz"]), np.array([box[f"size_{axis}"] for axis in "xyz"])


_IDENTITY = {"run": "i8", "subrun": "i8", "event": "i8", "uid": "u8"}
_OBJECT_TYPES = {"uid": "u8", "split": "str", "kind": "str", "copy": "bool"}
_OBJECT_TYPES |= dict.fromkeys(("class", "class_any"), "i1") | dict.fromkeys(("particle", "pdg"), "i4")
_OBJECT_TYPES |= dict.fromkeys(("occupancy", "n_voxels"), "i4") | dict.fromkeys(("end", "score"), "f4")
_CURVE_TYPES = {"uid": "u8", "split": "str", "curve": "str", "label": "i1", "bin": "i2", "n": "i8"}


def _columns(options: Options) -> list[str]:
    """Names of the counts in the events table."""
    names = ["n_voxels"]
    for kind, classes in _CALLED.items():
        for c in classes:
            names += [f"{kind}_{c}", *(f"{kind}_{c}_{mark:g}" for mark in MARKS)]
        names += [f"{kind}_any_{mark:g}" for mark in MARKS]
    names += ["copies", *(f"type_{i}{j}" for i in POINT_CLASSES for j in range(CLASSES)), "ends", "ends_right"]
    names += [f"eff_{k}" for k in range(N_BINS)]
    if options.model.semantic:
        names += [f"seg_{i}{j}" for i in range(CLASSES) for j in range(CLASSES)]
    return names


def _table(events: pd.DataFrame, split: str, shard: str, options: Options) -> pd.DataFrame:
    types = _IDENTITY | dict.fromkeys(_columns(options), "i8")
    table = events.reindex(columns=list(types)).astype(types)
    labels = pd.DataFrame({"split": split, "shard": shard}, index=table.index).astype("str")
    table = pd.concat([table[list(_IDENTITY)], labels, table[_columns(options)]], axis=1)
    table.attrs = {"columns": dict(EVENT_COLUMNS)}
    return table


def _typed(frames: list[pd.DataFrame], columns: Mapping[str, str], types: Mapping[str, str]) -> pd.DataFrame:
    kept = [frame for frame in frames if len(frame)]
    table = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=list(columns))
    table = table[list(columns)].astype({name: types.get(name, "f8") for name in columns})
    table.attrs = {"columns": dict(columns)}
    return table


def metrics(counts: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each row of an events table, or of rows of it added up.

    Shares within 3 and 10 voxels of a point of the same class, of the true points (efficiency) and of the predicted
    ones (purity), and F1 of the two at 3; the same whatever the class; share of copies; share of right classes and of
    right ends among what was found within 3 voxels; median distance [voxels] of what was found within 3; per class;
    accuracy and mean IoU of the segmentation where there is one. NaN where undefined.
    """

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.full(len(counts), np.nan), where=whole > 0)

    def total(kind: str, suffix: str = "") -> np.ndarray:
        return counts[[f"{kind}_{c}{suffix}" for c in _CALLED[kind]]].to_numpy(np.float64).sum(axis=1)

    def column(name: str) -> np.ndarray:
        return counts[name].to_numpy(np.float64)

    values: dict[str, np.ndarray] = {}
    for mark in MARKS:
        values[f"efficiency_{mark:g}"] = share(total("true", f"_{mark:g}"), total("true"))
        values[f"purity_{mark:g}"] = share(total("pred", f"_{mark:g}"), total("pred"))
        values[f"efficiency_any_{mark:g}"] = share(column(f"true_any_{mark:g}"), total("true"))
        values[f"purity_any_{mark:g}"] = share(column(f"pred_any_{mark:g}"), total("pred"))
    # Without a predicted point nothing was found: 0, though the purity alone is not defined.
    purity = np.where((total("pred") == 0) & (total("true") > 0), 0.0, values["purity_3"])
    values["f1_3"] = harmonic_mean(values["efficiency_3"], purity)
    values["copies"] = share(column("copies"), total("pred"))
    values["type_accuracy"] = share(
        sum(column(f"type_{c}{c}") for c in POINT_CLASSES),  # type: ignore[arg-type]
        sum(column(f"type_{i}{j}") for i in POINT_CLASSES for j in range(CLASSES)),  # type: ignore[arg-type]
    )
    values["end_accuracy"] = share(column("ends_right"), column("ends"))
    values["median_distance"] = median_within(counts[[f"eff_{k}" for k in range(N_BINS)]].to_numpy(np.float64))
    for c in POINT_CLASSES:
        values[f"efficiency_3_{NAMES[c]}"] = share(column(f"true_{c}_3"), column(f"true_{c}"))
        values[f"purity_3_{NAMES[c]}"] = share(column(f"pred_{c}_3"), column(f"pred_{c}"))
    if "seg_00" in counts:
        names = [f"seg_{i}{j}" for i in range(CLASSES) for j in range(CLASSES)]
        confusion = counts[names].to_numpy(np.float64).reshape(-1, CLASSES, CLASSES)
        values |= {"accuracy": accuracy(confusion), "mean_iou": mean_iou(confusion)}
    return pd.DataFrame(values, index=counts.index)
