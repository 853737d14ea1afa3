"""Score tables of a segmentation of pictures, from a store of predictions joined with its truth.

Image by image; needs neither a model nor torch, so that anybody's predictions can be scored. Pixels without a valid
label are not judged, and of those that are a prediction has to say a class. Classes that neither truth nor prediction
has are left out of means over classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from weft.engine.task import Store
from weft.errors import WeftError
from weft.images.sizes import Size, only_centre
from weft.metrics import segmentation
from weft.metrics.calibration import confidence_bins
from weft.metrics.scores import Scores
from weft.metrics.segmentation import confusion_counts
from weft.metrics.shares import share

#: Equal bins of the probability of the predicted class, for the reliability diagram.
CONFIDENCE_BINS = 20
#: A predicted probability of zero would cost infinitely; it is counted as this.
SMALLEST_PROBABILITY = 1e-7

_ROWS = 1 << 22  # values of probabilities held at once
EVENT_COLUMNS: Mapping[str, str] = {
    "run": "run number",
    "subrun": "subrun number",
    "event": "event number",
    "uid": "unique id of the image",
    "split": "name of the split",
    "shard": "name of the shard",
    "images": "1",
    "n_pixels": "pixels of the image",
    "n_judged": "those with a valid label",
    "sum_nll": "sum over judged pixels of -ln(probability of the true class) [nats]; NaN without probabilities",
    "n_<i>_<j>": "judged pixels of true class i that were called j",
}
OBJECT_COLUMNS: Mapping[str, str] = {"uid": "unique id of the image", "split": "name of the split"}
CURVE_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the image",
    "split": "name of the split",
    "curve": "reliability: bins of the probability of the predicted class",
    "bin": "number of the bin",
    "n": "judged pixels",
    "n_correct": "those that were called right",
    "sum_confidence": "sum of the probabilities",
}
_TYPES = {"uid": "u8", "split": "str", "shard": "str", "curve": "str", "sum_confidence": "f8", "sum_nll": "f8"}


def count_columns(n_classes: int) -> list[str]:
    """Names of the confusion counts in the events table, row (true class) by row."""
    return [f"n_{i}_{j}" for i in range(n_classes) for j in range(n_classes)]


def confusion_of(events: pd.DataFrame, n_classes: int) -> np.ndarray:
    """Confusion counts float64 [E, C, C] of an events table. Raises WeftError for scores of other classes."""
    columns = count_columns(n_classes)
    missing = [name for name in columns if name not in events]
    if missing or f"n_{n_classes}_0" in events:
        raise WeftError(f"the events table is not of scores of images with {n_classes} classes")
    return events[columns].to_numpy(np.float64).reshape(len(events), n_classes, n_classes)


def score_shard(store: Store, split: str, shard: str, classes: Sequence[str], window: Size | None = None) -> Scores:
    """Score one shard.

    store: opened with {"truth": path, "prediction": path}. Reads truth/mask, prediction/mask, and
    prediction/mask_probabilities where there are some (else sum_nll is NaN and there is no reliability curve).
    classes: their names. window: (rows, columns) in the middle of an image that alone are judged; None: all of it.
    Returns tables with the columns of EVENT_COLUMNS, OBJECT_COLUMNS (no rows) and CURVE_COLUMNS.
    Raises WeftError naming shard and image for shapes, labels or probabilities that do not fit.
    """
    events, curves = [], [_table(CURVE_COLUMNS)]
    for index in range(len(store)):
        row = store.events[index]
        try:
            event, curve = _score_image(store, index, len(classes), window)
        except WeftError as error:
            raise WeftError(f"shard {shard}: image {row['run']}/{row['subrun']}/{row['event']}: {error}") from None
        names = {name: row[name] for name in ("run", "subrun", "event", "uid")}
        events.append({**names, "split": split, "shard": shard, **event})
        curves.append(curve.assign(uid=row["uid"], split=split))
    columns = [*list(EVENT_COLUMNS)[:-1], *count_columns(len(classes))]
    filled = [curve for curve in curves if len(curve)] or curves[:1]
    tables = (
        _typed(pd.DataFrame(events, columns=columns)),
        _table(OBJECT_COLUMNS),
        _typed(pd.concat(filled, ignore_index=True)[list(CURVE_COLUMNS)]),
    )
    for table, meaning in zip(tables, (EVENT_COLUMNS, OBJECT_COLUMNS, CURVE_COLUMNS), strict=True):
        table.attrs = {"columns": dict(meaning)}
    return Scores(*tables)


def metrics(counts: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Metrics of each row of an events table, or of rows of it added up; larger is better but for nll.

    accuracy: share of the pixels called right. mean_accuracy: mean over classes of the share of each that is found.
    mean_iou, mean_dice: over the classes that truth or prediction has. frequency_weighted_iou: IoU weighted by the
    true pixels. iou_<class>, dice_<class>. NaN where undefined.
    """
    confusion = confusion_of(counts, len(classes))
    iou, dice = segmentation.iou(confusion), segmentation.f1(confusion)
    values = {
        "mean_iou": segmentation.mean_iou(confusion),
        "accuracy": segmentation.accuracy(confusion),
        "mean_accuracy": segmentation.mean_recall(confusion),
        "frequency_weighted_iou": segmentation.frequency_weighted_iou(confusion),
        "mean_dice": segmentation.macro_f1(confusion),
        "nll": share(counts["sum_nll"], confusion.sum(axis=(1, 2))),
    }
    for c, name in enumerate(classes):
        values |= {f"iou_{name}": iou[:, c], f"dice_{name}": dice[:, c]}
    return pd.DataFrame(values, index=counts.index)


def _score_image(
    store: Store, index: int, n_classes: int, window: Size | None
) -> tuple[dict[str, float], pd.DataFrame]:
    truth = only_centre(np.asarray(store["truth/mask"][index]), window)
    predicted = np.asarray(store["prediction/mask"][index])
    if predicted.shape != truth.shape:
        raise WeftError(f"prediction/mask has shape {predicted.shape}, the true mask has {truth.shape}")
    confusion = confusion_counts(truth, predicted, n_classes)
    event: dict[str, float] = {"images": 1, "n_pixels": truth.size, "n_judged": int(confusion.sum())}
    event["sum_nll"], curve = float("nan"), _table(CURVE_COLUMNS)
    if "prediction/mask_probabilities" in store:
        event["sum_nll"], curve = _certainty(store["prediction/mask_probabilities"][index], truth, predicted, n_classes)
    return event | dict(zip(count_columns(n_classes), confusion.ravel().tolist(), strict=True)), curve


def _certainty(
    probabilities: np.ndarray, truth: np.ndarray, predicted: np.ndarray, n_classes: int
) -> tuple[float, pd.DataFrame]:
    """Sum of -ln(probability of the true class), and the reliability curve."""
    if tuple(probabilities.shape) != (n_classes, *truth.shape):
        raise WeftError(
            f"prediction/mask_probabilities has shape {tuple(probabilities.shape)}, expected "
            f"{(n_classes, *truth.shape)}"
        )
    total, sums = 0.0, np.zeros((3, CONFIDENCE_BINS))
    for y, block in _strips(probabilities):
        true = truth[y : y + block.shape[1]]
        inside = true >= 0
        values = block[:, inside].astype(np.float64)
        if values.size and not (np.abs(values.sum(axis=0) - 1).max() < 1e-3 and values.min() >= 0):
            raise WeftError("prediction/mask_probabilities are no probabilities: they are below 0 or do not sum to 1")
        called, right = predicted[y : y + block.shape[1]][inside].astype(np.int64), true[inside].astype(np.int64)
        pixel = np.arange(values.shape[1])
        total -= float(np.log(np.maximum(values[right, pixel], SMALLEST_PROBABILITY)).sum())
        confidence = np.minimum(values[called, pixel], 1.0)
        number = confidence_bins(confidence, CONFIDENCE_BINS)
        for row, weights in enumerate((None, (called == right).astype(np.float64), confidence)):
            sums[row] += np.bincount(number, weights, CONFIDENCE_BINS)
    kept = np.flatnonzero(sums[0])
    n, correct, confident = sums[:, kept]
    rows = {"bin": kept, "n": n.astype(np.int64), "n_correct": correct.astype(np.int64), "sum_confidence": confident}
    return total, pd.DataFrame(rows).assign(curve="reliability")


def _strips(probabilities: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, array [K, rows, X]) of a lazy array [K, Y, X]."""
    count, height, width = probabilities.shape
    step = max(1, _ROWS // max(1, count * width))
    for y in range(0, height, step):
        yield y, np.asarray(probabilities[:, y : y + step])


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Types that do not depend on what a shard happens to hold."""
    return table.astype({name: _TYPES.get(str(name), "i8") for name in table})


def _table(columns: Mapping[str, str]) -> pd.DataFrame:
    """No rows."""
    return pd.DataFrame({name: pd.Series(dtype=_TYPES.get(name, "i8")) for name in columns})
