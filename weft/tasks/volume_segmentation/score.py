"""Score tables of a segmentation of stacks, from a store of predictions joined with its truth.

Stack by stack; needs neither a model nor torch, so that anybody's predictions can be scored. Voxels without a valid
label and those with a cost of 0 are not judged (microscopy_segmentation spec §10). An image that has nothing of a class
and of which nothing is called so counts as right: its Dice is 1, it has no distances and no centre lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from weft.engine.task import Store
from weft.errors import WeftError
from weft.io.volume_products import spacing_of
from weft.metrics.binned import bin_of
from weft.metrics.calibration import confidence_bins
from weft.metrics.centreline import CentrelineCounts, centreline_counts, centreline_dice
from weft.metrics.instances import THRESHOLDS, Overlap, best_iou, f1, match, match_counts, overlap
from weft.metrics.instances import average_precision as precision_of_objects
from weft.metrics.overlap import dice, iou, overlap_counts, precision, recall
from weft.metrics.scores import Scores
from weft.metrics.segmentation import accuracy
from weft.metrics.shares import share
from weft.metrics.surface import hausdorff, surface_counts, surface_distances

#: µm, within which a surface counts as found.
TOLERANCE = 0.5
#: µm, edges of the bins of distance between surfaces: from below the voxel size of a microscope on; the last is open.
DISTANCE_EDGES = np.concatenate([[0.0], np.geomspace(0.05, 25.6, 28), [np.inf]])
#: Equal bins of the probability of the predicted class, for the reliability diagram.
CONFIDENCE_BINS = 20
#: IoU from which an object counts as found where one is named.
FOUND = 0.5
#: A predicted probability of zero would cost infinitely; it is counted as this.
SMALLEST_PROBABILITY = 1e-7

_SLAB = 1 << 22  # values of probabilities held at once
_PER_CLASS: Mapping[str, str] = {
    "dice": "Dice of this image, 1 where neither truth nor prediction has the class",
    "near": f"surface voxels of both within {TOLERANCE:g} µm of the other surface",
    "surface": "surface voxels of both; 0 without voxel size",
    "distance": "sum of their distances to the other surface [µm], where both have one",
    "measured": "how many of them that is",
    "hd95": "95 % Hausdorff distance of this image [µm]; 0 where it has none",
    "with_hd95": "1 where both have a surface and the voxel size is known",
    "both_empty": "1 where neither truth nor prediction has the class",
    "line_predicted": "voxels of the predicted centre line",
    "line_predicted_inside": "those in the true mask",
    "line_true": "voxels of the true centre line",
    "line_true_inside": "those in the predicted mask",
}
EVENT_COLUMNS: Mapping[str, str] = {
    "run": "run number",
    "subrun": "subrun number",
    "event": "event number",
    "uid": "unique id of the stack",
    "split": "name of the split",
    "shard": "name of the shard",
    "images": "1",
    "n_voxels": "voxels of the stack",
    "n_judged": "those with a valid label and a cost above 0",
    "sum_nll": "sum over judged voxels of -ln(probability of the true class) [nats]; NaN without probabilities",
    "n_<i>_<j>": "judged voxels of true class i that were called j",
    **{f"{name}_<c>": f"class c: {what}" for name, what in _PER_CLASS.items()},
    "tp_<t>": "objects that match a true one at an IoU of t per cent; 0 where there are no instances",
    "fp_<t>": "predicted objects that match none",
    "fn_<t>": "true objects that are matched by none",
}
OBJECT_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the stack",
    "split": "name of the split",
    "object": "number of the true object in `instances`",
    "class": "true class of most of its voxels",
    "voxels": "its judged voxels",
    "volume": "their volume [µm³]; NaN without voxel size",
    "intensity": "mean of the first channel",
    "depth": "mean slice, from 0 (first) to 1 (last)",
    "best_iou": "largest IoU with a predicted object",
    "found": f"matched at an IoU of {FOUND:g}",
}
CURVE_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the stack",
    "split": "name of the split",
    "curve": "reliability: bins of the probability of the predicted class; surface: bins of distance between surfaces",
    "label": "class (surface), -1 for all together (reliability)",
    "bin": "number of the bin",
    "low": "lower edge of the bin [surface: µm]",
    "high": "upper edge of the bin [surface: µm]",
    "n": "judged voxels; surface voxels of truth and prediction, those without another surface in the last bin",
    "n_correct": "voxels that were called right (reliability)",
    "sum_confidence": "sum of the probabilities (reliability)",
}


def count_columns(n_classes: int) -> list[str]:
    """Names of the confusion counts in the events table, row (true class) by row."""
    return [f"n_{i}_{j}" for i in range(n_classes) for j in range(n_classes)]


def match_columns() -> list[str]:
    """Names of the counts of objects in the events table: tp, fp, fn of each threshold."""
    return [f"{kind}_{round(100 * threshold)}" for threshold in THRESHOLDS for kind in ("tp", "fp", "fn")]


def confusion_of(events: pd.DataFrame) -> np.ndarray:
    """Confusion counts [E, C, C] of an events table."""
    n_classes = sum(str(name).startswith("n_0_") for name in events)
    columns = count_columns(n_classes)
    missing = [name for name in columns if name not in events]
    if missing or not columns:
        raise WeftError(f"the events table has no column {(missing or ['n_0_0'])[0]}: not the scores of stacks")
    return events[columns].to_numpy(np.float64).reshape(len(events), n_classes, n_classes)


def matches_of(events: pd.DataFrame) -> np.ndarray:
    """Matched, invented and missed objects [E, thresholds, 3] of an events table."""
    return events[match_columns()].to_numpy(np.float64).reshape(len(events), len(THRESHOLDS), 3)


def score_shard(store: Store, split: str, shard: str, classes: Sequence[str]) -> Scores:
    """Score one shard.

    store: opened with {"truth": path, "prediction": path}. Reads truth/{image, spacing, labels}, truth/cost where there
    is one, prediction/labels, prediction/probabilities where there are some (else sum_nll is NaN and there is no
    reliability curve), and the instances where both have them (else the objects table is empty); voxels whose true
    instance is -1, such as all of an image without such a file, are not judged.
    classes: names of the classes, background first.
    Returns tables with the columns of EVENT_COLUMNS, OBJECT_COLUMNS and CURVE_COLUMNS.
    Raises WeftError naming shard and stack for shapes, labels or probabilities that do not fit.
    """
    events, objects, curves = [], [_no_objects()], [_no_curves()]
    for index in range(len(store)):
        row = store.events[index]
        try:
            stack = _read(store, index, len(classes))
            event, curve = _score_stack(stack, len(classes))
            found = _score_objects(stack, event)
        except WeftError as error:
            raise WeftError(f"shard {shard}: stack {row['run']}/{row['subrun']}/{row['event']}: {error}") from None
        names = {name: row[name] for name in ("run", "subrun", "event", "uid")}
        events.append({**names, "split": split, "shard": shard, **event})
        objects.append(found.assign(uid=row["uid"], split=split))
        curves.append(curve.assign(uid=row["uid"], split=split))
    tables = (pd.DataFrame(events, columns=_event_columns(len(classes))), _joined(objects), _joined(curves))
    for table, meaning in zip(tables, (EVENT_COLUMNS, OBJECT_COLUMNS, CURVE_COLUMNS), strict=True):
        table.attrs = {"columns": dict(meaning)}
    return Scores(_typed(tables[0]), *tables[1:])


def metrics(counts: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Metrics of each row of an events table, or of rows of it added up; larger is better but for nll and distances.

    dice, iou, precision, recall: of voxels, mean over the classes but the background. dice_per_image: mean of the Dice
    of each image. surface_dice: share of the surfaces within TOLERANCE. hd95, assd: µm, mean over images, over surface
    voxels. centreline_dice. object_f1, object_ap: at an IoU of FOUND, mean over all thresholds. NaN where undefined.
    """
    confusion = confusion_of(counts)
    inside = range(1, len(classes))

    def column(name: str) -> np.ndarray:
        return np.stack([counts[f"{name}_{c}"].to_numpy(np.float64) for c in inside], 1)

    images = counts["images"].to_numpy(np.float64)[:, None]
    per_class = {
        "dice": dice(confusion)[:, 1:],
        "iou": iou(confusion)[:, 1:],
        "precision": precision(confusion)[:, 1:],
        "recall": recall(confusion)[:, 1:],
        "dice_per_image": share(column("dice"), images),
        "surface_dice": _surface_dice(column("near"), column("surface"), column("both_empty"), images),
        "hd95": share(column("hd95"), column("with_hd95")),
        "assd": share(column("distance"), column("measured")),
        "centreline_dice": centreline_dice(*(column(f"line_{name}") for name in CentrelineCounts._fields)),
    }
    matched = matches_of(counts)
    values = {name: _mean(of_class) for name, of_class in per_class.items()}
    values["accuracy"] = accuracy(confusion)
    values["nll"] = share(counts["sum_nll"], confusion.sum(axis=(1, 2)))
    values["object_f1"] = f1(matched)[:, THRESHOLDS.index(FOUND)]
    values["object_ap"] = precision_of_objects(matched).mean(axis=1)
    if len(classes) > 2:
        values |= {
            f"{name}_{classes[c]}": per_class[name][:, c - 1] for name in ("dice", "surface_dice") for c in inside
        }
    return pd.DataFrame(values, index=counts.index)


def _surface_dice(near: np.ndarray, total: np.ndarray, empty: np.ndarray, images: np.ndarray) -> np.ndarray:
    """1 where no image has a surface; NaN where there are some, and the voxel size of none is known."""
    return np.where(empty == images, 1.0, share(near, total))


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean [E] over the classes [E, C] of which something is known; NaN of none."""
    known = np.isfinite(values)
    return share(np.where(known, values, 0).sum(axis=1), known.sum(axis=1))


class _Stack(NamedTuple):
    truth: np.ndarray  # class of each voxel, -1 where it is not judged
    predicted: np.ndarray
    spacing: tuple[float, float, float]
    store: Store
    number: int

    def lazy(self, product: str) -> np.ndarray | None:
        """A product of this stack, to be sliced; None where there is none."""
        return self.store[product][self.number] if product in self.store else None


def _read(store: Store, index: int, n_classes: int) -> _Stack:
    truth = np.asarray(store["truth/labels"][index])
    predicted = np.asarray(store["prediction/labels"][index])
    if "truth/cost" in store:
        cost = np.asarray(store["truth/cost"][index])
        if cost.shape != truth.shape:
            raise WeftError(f"truth/cost has shape {cost.shape}, the labels have {truth.shape}")
        truth = np.where(cost > 0, truth, np.int16(-1))
    if predicted.shape != truth.shape:
        raise WeftError(f"prediction/labels has shape {predicted.shape}, the true labels have {truth.shape}")
    if "prediction/probabilities" in store:
        shape = tuple(store["prediction/probabilities"][index].shape)
        if shape != (n_classes, *truth.shape):
            raise WeftError(f"prediction/probabilities has shape {shape}, expected {(n_classes, *truth.shape)}")
    return _Stack(truth, predicted, spacing_of(store["truth/spacing"][index]), store, index)


def _score_stack(stack: _Stack, n_classes: int) -> tuple[dict[str, float], pd.DataFrame]:
    """The counts of one stack, but for those of its objects, and its curves."""
    confusion = overlap_counts(stack.truth, stack.predicted, n_classes)
    event: dict[str, float] = {"images": 1, "n_voxels": stack.truth.size, "n_judged": int(confusion.sum())}
    event["sum_nll"], reliability = _certainty(stack)
    event |= dict(zip(count_columns(n_classes), confusion.ravel().tolist(), strict=True))
    curves = [reliability]
    judged = stack.truth >= 0
    for c, of_image in enumerate(dice(confusion)[1:].tolist(), 1):
        true, called = stack.truth == c, (stack.predicted == c) & judged
        lines = centreline_counts(true, called, judged)
        of_class, curve = _surfaces(true, called, judged, stack.spacing)
        of_class |= {f"line_{name}": value for name, value in lines._asdict().items()} | {"dice": of_image}
        event |= {f"{name}_{c}": value for name, value in of_class.items()}
        curves.append(curve.assign(label=c))
    return event, _joined(curves)


def _surfaces(
    true: np.ndarray, called: np.ndarray, judged: np.ndarray, spacing: tuple[float, float, float]
) -> tuple[dict[str, float], pd.DataFrame]:
    made = dict.fromkeys(("near", "surface", "distance", "measured", "hd95", "with_hd95"), 0.0)
    made["both_empty"] = float(not true.any() and not called.any())
    if not np.isfinite(spacing).all():
        return made, _no_curves()
    distances = surface_distances(true, called, spacing, judged)
    made["near"], made["surface"] = map(float, surface_counts(distances, TOLERANCE))
    both = np.concatenate(distances)
    if len(both) and np.isfinite(both).all():
        made |= {"distance": float(both.sum()), "measured": float(len(both))}
        made |= {"hd95": hausdorff(distances), "with_hd95": 1.0}
    n = np.bincount(bin_of(both, DISTANCE_EDGES), minlength=len(DISTANCE_EDGES) - 1)
    return made, _curve("surface", DISTANCE_EDGES, n)


def _certainty(stack: _Stack) -> tuple[float, pd.DataFrame]:
    """Sum of -ln(probability of the true class), and the reliability curve."""
    probabilities = stack.lazy("prediction/probabilities")
    if probabilities is None:
        return float("nan"), _no_curves()
    total, sums = 0.0, np.zeros((3, CONFIDENCE_BINS))
    for z, block in _slabs(probabilities):
        truth = stack.truth[z : z + block.shape[1]]
        judged = truth >= 0
        values = block[:, judged].astype(np.float64)
        if values.size and not (np.abs(values.sum(axis=0) - 1).max() < 1e-3 and values.min() >= 0):
            raise WeftError("prediction/probabilities are no probabilities: they are below 0 or do not sum to 1")
        called = stack.predicted[z : z + block.shape[1]][judged].astype(np.int64)
        true, voxel = truth[judged].astype(np.int64), np.arange(values.shape[1])
        total -= float(np.log(np.maximum(values[true, voxel], SMALLEST_PROBABILITY)).sum())
        confidence = np.minimum(values[called, voxel], 1.0)
        number = confidence_bins(confidence, CONFIDENCE_BINS)
        for row, weights in enumerate((None, (called == true).astype(np.float64), confidence)):
            sums[row] += np.bincount(number, weights, CONFIDENCE_BINS)
    return total, _curve("reliability", np.linspace(0, 1, CONFIDENCE_BINS + 1), *sums).assign(label=-1)


def _slabs(probabilities: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(z0, array [K, dz, Y, X]) of a lazy array [K, Z, Y, X]."""
    count, deep, height, width = probabilities.shape
    step = max(1, _SLAB // max(1, count * height * width))
    for z in range(0, deep, step):
        yield z, np.asarray(probabilities[:, z : z + step])


def _curve(
    name: str, edges: np.ndarray, n: np.ndarray, right: np.ndarray | None = None, confidence: np.ndarray | None = None
) -> pd.DataFrame:
    """Rows of the bins that hold something."""
    kept = np.flatnonzero(n)
    zero = np.zeros(len(n))
    return pd.DataFrame(
        {
            "curve": pd.array([name] * len(kept), dtype="str"),
            "bin": kept,
            "low": edges[kept],
            "high": edges[kept + 1],
            "n": np.asarray(n, np.int64)[kept],
            "n_correct": np.asarray(zero if right is None else right, np.int64)[kept],
            "sum_confidence": np.asarray(zero if confidence is None else confidence, np.float64)[kept],
        }
    )


def _score_objects(stack: _Stack, event: dict[str, float]) -> pd.DataFrame:
    """The rows of the true objects; their counts are added to ``event``."""
    event |= dict.fromkeys(match_columns(), 0)
    true, made = stack.lazy("truth/instances"), stack.lazy("prediction/instances")
    if true is None or made is None:
        return _no_objects()
    true, made = np.asarray(true), np.asarray(made)
    for name, instances in (("truth", true), ("prediction", made)):
        if instances.shape != stack.truth.shape:
            raise WeftError(f"{name}/instances has shape {instances.shape}, the labels have {stack.truth.shape}")
    judged = stack.truth >= 0
    found = overlap(true, made, judged)
    event |= dict(zip(match_columns(), match_counts(found).ravel().tolist(), strict=True))
    return _object_rows(stack, true, judged, found)


def _object_rows(stack: _Stack, true: np.ndarray, judged: np.ndarray, found: Overlap) -> pd.DataFrame:
    n = len(found.true)
    row = np.full(int(max(true.max(initial=0), 0)) + 1, n, np.int64)  # n: none of those that count
    row[found.true] = np.arange(n)
    inside = np.flatnonzero((true > 0) & judged)
    of = row[true.ravel()[inside]]
    inside, of = inside[of < n], of[of < n]
    image = stack.lazy("truth/image")
    intensity = np.full(n, np.nan)
    if image is not None:
        brightness = np.asarray(image[0]).ravel()[inside].astype(np.float64)
        intensity = share(np.bincount(of, brightness, n), found.true_size)
    plane = inside // (true.shape[1] * true.shape[2])
    labels = stack.truth.ravel()[inside].astype(np.int64)
    votes = np.zeros((n, int(labels.max(initial=0)) + 1), np.int64)
    np.add.at(votes, (of, labels), 1)
    matched = np.zeros(n, bool)
    matched[found.pairs[match(found, FOUND), 0]] = True
    return pd.DataFrame(
        {
            "object": found.true,
            "class": votes.argmax(axis=1),
            "voxels": found.true_size,
            "volume": found.true_size * float(np.prod(stack.spacing)),
            "intensity": intensity,
            "depth": share(np.bincount(of, plane, n), found.true_size * max(true.shape[0] - 1, 1)),
            "best_iou": best_iou(found),
            "found": matched,
        }
    )


def _event_columns(n_classes: int) -> list[str]:
    ids = ["run", "subrun", "event", "uid", "split", "shard", "images", "n_voxels", "n_judged", "sum_nll"]
    of_class = [f"{name}_{c}" for c in range(1, n_classes) for name in _PER_CLASS]
    return [*ids, *count_columns(n_classes), *of_class, *match_columns()]


def _typed(events: pd.DataFrame) -> pd.DataFrame:
    """Types that do not depend on what a shard happens to hold."""
    counts = ("run", "subrun", "event", "images", "n_", "tp_", "fp_", "fn_", "line_")
    types = {
        name: "str" if name in ("split", "shard") else "u8" if name == "uid" else
        "i8" if str(name).startswith(counts) else "f8" for name in events
    }  # fmt: skip
    return events.astype(types)


_TYPES = {"uid": "u8", "split": "str", "curve": "str", "found": "bool"} | dict.fromkeys(
    ("volume", "intensity", "depth", "best_iou", "low", "high", "sum_confidence"), "f8"
)


def _no_objects() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=_TYPES.get(name, "i8")) for name in OBJECT_COLUMNS})


def _no_curves() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=_TYPES.get(name, "i8")) for name in CURVE_COLUMNS})


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all frames, in the columns and types of the first."""
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return frames[0]
    table = pd.concat(filled, ignore_index=True)
    columns = [name for name in (*OBJECT_COLUMNS, *CURVE_COLUMNS) if name in table]
    columns = list(dict.fromkeys(columns))
    return table[columns].astype({name: _TYPES.get(name, "i8") for name in columns})
