"""Score tables of a segmentation of meshes, from a store of predictions joined with its truth.

Mesh by mesh; needs neither a model nor torch, so that anybody's predictions can be scored. Each face of the file counts
once, and twice over: by number, and by its area, as the official evaluation of SUM counts (spec §11). Faces without a
valid label are not judged. Means over classes leave out those that neither truth nor prediction has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from weft.engine.task import Store
from weft.errors import WeftError
from weft.meshes.geometry import areas
from weft.metrics.binned import bin_of
from weft.metrics.calibration import confidence_bins
from weft.metrics.scores import Scores
from weft.metrics.segmentation import (
    accuracy,
    f1,
    frequency_weighted_iou,
    iou,
    macro_f1,
    mean_iou,
    mean_recall,
    precision,
    recall,
)
from weft.metrics.shares import share

#: Equal bins of the probability of the predicted class, for the reliability diagram.
CONFIDENCE_BINS = 20
#: m², edges of the bins of the area of a face; what lies outside joins the first or the last bin.
AREA_EDGES = np.geomspace(1e-3, 100.0, 16)
#: A predicted probability of zero would cost infinitely; it is counted as this.
SMALLEST_PROBABILITY = 1e-7
#: How faces are weighted: prefix of the columns of counts, and of the metrics.
WEIGHTINGS: Mapping[str, str] = {"n": "", "a": "area_"}

EVENT_COLUMNS: Mapping[str, str] = {
    "run": "run number",
    "subrun": "subrun number",
    "event": "event number",
    "uid": "unique id of the mesh",
    "split": "name of the split",
    "shard": "name of the shard",
    "n_faces": "faces of the mesh",
    "n_judged": "those with a valid label",
    "area": "area of all faces [m²]",
    "sum_nll": "sum over judged faces of -ln(probability of the true class) [nats]; NaN without probabilities",
    "n_<i>_<j>": "judged faces of true class i that were called j",
    "a_<i>_<j>": "their area [m²]",
}
OBJECT_COLUMNS: Mapping[str, str] = {"uid": "unique id of the mesh", "split": "name of the split"}
CURVE_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the mesh",
    "split": "name of the split",
    "curve": "reliability: bins of the probability of the predicted class; size: bins of the area of a face",
    "label": "true class (size), -1 for all together (reliability)",
    "bin": "number of the bin",
    "low": "lower edge of the bin [size: m²]",
    "high": "upper edge of the bin [size: m²]",
    "n": "judged faces",
    "n_correct": "judged faces that were called right",
    "sum_confidence": "sum of the probabilities of the predicted class; 0 where there are none",
}


def count_columns(n_classes: int, weighting: str = "n") -> list[str]:
    """Names of the confusion counts in the events table, row (true class) by row; weighting: n, or a for areas."""
    return [f"{weighting}_{i}_{j}" for i in range(n_classes) for j in range(n_classes)]


def confusion_of(events: pd.DataFrame, weighting: str = "n") -> np.ndarray:
    """Confusion float64 [E, C, C] of an events table: faces (n) or m² (a)."""
    n_classes = sum(str(name).startswith("n_0_") for name in events)
    columns = count_columns(n_classes, weighting)
    missing = [name for name in columns if name not in events]
    if missing or not columns:
        raise WeftError(f"the events table has no column {(missing or ['n_0_0'])[0]}: not the scores of meshes")
    return events[columns].to_numpy(np.float64).reshape(len(events), n_classes, n_classes)


def metrics(counts: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Metrics of each row of an events table, or of rows of it added up; larger is better but for nll.

    mean_f1 (F1 is the Dice), mean_iou, mean_accuracy (mean recall): over the classes that truth or prediction has;
    accuracy: of all faces; weighted_iou: by frequency; f1_<class>, iou_<class>, …; the same by area, with `area_`
    before. NaN where undefined.
    """
    values: dict[str, np.ndarray] = {}
    for weighting, prefix in WEIGHTINGS.items():
        confusion = confusion_of(counts, weighting)
        values[f"{prefix}mean_f1"] = macro_f1(confusion)
        values[f"{prefix}mean_iou"] = mean_iou(confusion)
        values[f"{prefix}accuracy"] = accuracy(confusion)
        values[f"{prefix}mean_accuracy"] = mean_recall(confusion)
        values[f"{prefix}weighted_iou"] = frequency_weighted_iou(confusion)
        for name, metric in (("f1", f1), ("iou", iou), ("precision", precision), ("recall", recall)):
            of_class = metric(confusion)
            values |= {f"{prefix}{name}_{classes[c]}": of_class[:, c] for c in range(len(classes))}
    values["nll"] = share(counts["sum_nll"], confusion_of(counts).sum(axis=(1, 2)))
    return pd.DataFrame(values, index=counts.index)


def score_shard(store: Store, split: str, shard: str, classes: Sequence[str]) -> Scores:
    """Score one shard.

    store: opened with {"truth": path, "prediction": path}. Reads truth/{vertices, faces, face_labels},
    prediction/face_labels, and prediction/face_probabilities where there are some (else sum_nll is NaN and there is no
    reliability curve).
    classes: names of the classes.
    Returns tables with the columns of EVENT_COLUMNS, OBJECT_COLUMNS (none) and CURVE_COLUMNS.
    Raises WeftError naming shard and mesh for labels or probabilities that do not fit.
    """
    events, curves = [], [_no_curves()]
    for index in range(len(store)):
        row = store.events[index]
        try:
            mesh = _read(store, index, len(classes))
            event, curve = _score_mesh(mesh, len(classes))
        except WeftError as error:
            raise WeftError(f"shard {shard}: mesh {row['run']}/{row['subrun']}/{row['event']}: {error}") from None
        names = {name: row[name] for name in ("run", "subrun", "event", "uid")}
        events.append({**names, "split": split, "shard": shard, **event})
        curves.append(curve.assign(uid=row["uid"], split=split))
    columns = [name for name in EVENT_COLUMNS if "<" not in name]
    columns += [name for weighting in WEIGHTINGS for name in count_columns(len(classes), weighting)]
    table = _typed(pd.DataFrame(events, columns=columns))
    nothing = pd.DataFrame({"uid": pd.Series(dtype="u8"), "split": pd.Series(dtype="str")})
    # Tables without a row know no types, and are left out of what is joined.
    joined = pd.concat([part for part in curves if len(part)] or curves[:1], ignore_index=True)
    tables = (table, nothing, joined.astype(_CURVE_TYPES)[list(CURVE_COLUMNS)])
    for made, meaning in zip(tables, (EVENT_COLUMNS, OBJECT_COLUMNS, CURVE_COLUMNS), strict=True):
        made.attrs = {"columns": dict(meaning)}
    return Scores(*tables)


class _Mesh(NamedTuple):
    truth: np.ndarray  # int64 [M], -1 where it is not judged
    called: np.ndarray  # int64 [M]
    area: np.ndarray  # float64 [M], m²
    probabilities: np.ndarray | None  # float32 [M, C]


def _read(store: Store, index: int, n_classes: int) -> _Mesh:
    vertices, faces = np.asarray(store["truth/vertices"][index]), np.asarray(store["truth/faces"][index])
    truth = np.asarray(store["truth/face_labels"][index])[:, 0].astype(np.int64)
    called = np.asarray(store["prediction/face_labels"][index])[:, 0].astype(np.int64)
    if len(called) != len(faces):
        raise WeftError(f"prediction/face_labels has {len(called)} rows, the mesh has {len(faces)} faces")
    judged = truth != -1
    for name, values in (("truth/face_labels", truth), ("prediction/face_labels", called)):
        outside = judged & ((values < 0) | (values >= n_classes))
        if outside.any():
            face = int(np.flatnonzero(outside)[0])
            raise WeftError(f"{name}: class {values[face]} of face {face}, expected 0 to {n_classes - 1}")
    probabilities = None
    if "prediction/face_probabilities" in store:
        probabilities = np.asarray(store["prediction/face_probabilities"][index])
        if probabilities.shape != (len(faces), n_classes):
            raise WeftError(
                f"prediction/face_probabilities has shape {probabilities.shape}, expected {(len(faces), n_classes)}"
            )
        sums = probabilities.sum(axis=1, dtype=np.float64)
        if len(faces) and not (np.abs(sums - 1).max() < 1e-3 and probabilities.min() >= 0):
            raise WeftError("prediction/face_probabilities are below 0 or do not sum to 1")
    return _Mesh(truth, called, areas(vertices[faces]), probabilities)


def _score_mesh(mesh: _Mesh, n_classes: int) -> tuple[dict[str, float], pd.DataFrame]:
    judged = mesh.truth >= 0
    truth, called, area = mesh.truth[judged], mesh.called[judged], mesh.area[judged]
    cell = truth * n_classes + called
    event: dict[str, float] = {
        "n_faces": len(mesh.truth),
        "n_judged": len(truth),
        "area": float(mesh.area.sum()),
        "sum_nll": float("nan"),
    }
    for weighting, weights in (("n", None), ("a", area)):
        sums = np.bincount(cell, weights, minlength=n_classes**2)
        event |= dict(zip(count_columns(n_classes, weighting), sums.tolist(), strict=True))
    right = called == truth
    confidence = np.zeros(len(truth))
    curves = [_curve("size", truth, bin_of(area, AREA_EDGES), AREA_EDGES, right, confidence)]
    if mesh.probabilities is not None:
        face = np.flatnonzero(judged)
        own = mesh.probabilities[face, truth].astype(np.float64)
        event["sum_nll"] = float(-np.log(np.maximum(own, SMALLEST_PROBABILITY)).sum())
        confidence = np.minimum(mesh.probabilities[face, called].astype(np.float64), 1.0)
        edges, number = np.linspace(0, 1, CONFIDENCE_BINS + 1), confidence_bins(confidence, CONFIDENCE_BINS)
        curves.append(_curve("reliability", np.full(len(truth), -1), number, edges, right, confidence))
    return event, pd.concat(curves, ignore_index=True)


def _curve(
    name: str, label: np.ndarray, number: np.ndarray, edges: np.ndarray, right: np.ndarray, confidence: np.ndarray
) -> pd.DataFrame:
    if not len(label):
        return _no_curves()
    faces = pd.DataFrame({"label": label, "bin": number, "n": 1, "n_correct": right.astype(np.int64)})
    frame = faces.assign(sum_confidence=confidence).groupby(["label", "bin"], as_index=False).sum()
    return frame.assign(curve=name, low=edges[frame["bin"]], high=edges[frame["bin"] + 1])


_CURVE_TYPES = {"uid": "u8", "split": "str", "curve": "str", "label": "i2", "bin": "i2", "low": "f8", "high": "f8"}
_CURVE_TYPES |= {"n": "i8", "n_correct": "i8", "sum_confidence": "f8"}


def _no_curves() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=_CURVE_TYPES[name]) for name in CURVE_COLUMNS})


def _typed(events: pd.DataFrame) -> pd.DataFrame:
    kinds = {"run": "i8", "subrun": "i8", "event": "i8", "uid": "u8", "split": "str", "shard": "str"}
    kinds |= dict.fromkeys(("n_faces", "n_judged"), "i8")
    return events.astype({str(name): kinds.get(str(name), "f8") for name in events})
