"""Triplets and space points of a store as a cloud to turn: in the colour of their score, with key points over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from weft.errors import WeftError
from weft.io.larmatch_products import KEY_POINT_KINDS, KEY_POINT_NAMES
from weft.io.store import EventStore
from weft.report.display import Grid, event_payload
from weft.report.overlays import PREDICTION, Layer, Markers
from weft.report.palette import SERIES_COLORS

TRIPLETS, SCORES, POINTS, KEY_POINTS = "triplets", "triplet_scores", "space_points", "key_points"
#: Lower edges of the scores that have one colour, and these, from ghosts to points.
EDGES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
COLORS = ("#d8d3bd", "#e6c229", "#ef9b2d", "#d9602f", "#a8325a", "#631f72", "#1b1464")
_UNSAID, _FIRST_KIND = -1, 20
_MOST = 40_000  # triplets of a display
_CELL = 0.2  # cm, of the display: finer than the distance of wires, so that few triplets share one


class _Cloud(NamedTuple):
    """Places [n, 3] in cm, mean charge [n] of their live pixels in ADC, score [n] (NaN: none was written), and whether
    they are space points [n]."""

    position: np.ndarray
    charge: np.ndarray
    score: np.ndarray
    kept: np.ndarray


def can_show_cloud(store: EventStore) -> bool:
    """Whether there are triplets with scores, or space points."""
    return _name(store, SCORES) is not None or _name(store, POINTS) is not None


def cloud_payload(store: EventStore, index: int) -> dict[str, Any]:
    """Event ``index`` for :func:`weft.report.display.event_display`: its triplets where the store has them, else its
    space points. Of more than 40,000 the space points first, the others at equal steps.

    Raises WeftError where there are scores, but not the triplets that they are of.
    """
    cloud = _of_triplets(store, index) if _name(store, SCORES) else _of_points(store, index)
    rows = _some(cloud.kept)
    low = cloud.position.min(axis=0) if len(rows) else np.zeros(3)
    cells = np.floor((cloud.position[rows] - low) / _CELL).astype(np.int64)
    said = np.isfinite(cloud.score)
    # Scores are float32: one of 0.3 is at the edge of 0.3.
    edges = np.array(EDGES, np.float32)
    band = np.where(said, np.searchsorted(edges, cloud.score.astype(np.float32), side="right") - 1, _UNSAID)
    facts = [f"{len(said)} triplets, {int(said.sum())} with a score, {int(cloud.kept.sum())} space points"]
    if len(rows) < len(said):
        facts.append(f"{len(rows)} of them drawn")
    event = store.events[index]
    return event_payload(
        cells,
        cloud.charge[rows],
        predicted=band[rows],
        score=np.nan_to_num(cloud.score[rows]),
        grid=Grid(tuple(low.tolist()), (_CELL,) * 3, tuple((cells.max(axis=0, initial=0) + 1).tolist())),
        title=f"event {event['run']}/{event['subrun']}/{event['event']}",
        subtitle=", ".join(facts),
        layers=_kept_layer(cloud.kept[rows]),
        markers=_markers(store, index),
        classes=_classes(),
        things="triplets",
        unit="ADC",
    )


def _kept_layer(kept: np.ndarray) -> list[Layer]:
    """Which are space points, where that tells any apart."""
    return [Layer(POINTS.replace("_", " "), None, np.where(kept, 0, -1))] if kept.any() and not kept.all() else []


def _classes() -> Mapping[int, tuple[str, str]]:
    """What colours mean: scores, no score, kinds of key points."""
    ends = (*EDGES[1:], 1.0)
    scores = {k: (f"score {low:g} to {ends[k]:g}", COLORS[k]) for k, low in enumerate(EDGES)}
    kinds = {_FIRST_KIND + k: (KEY_POINT_NAMES[kind], SERIES_COLORS[k]) for k, kind in enumerate(KEY_POINT_KINDS)}
    return scores | {_UNSAID: ("no score", "#c0c4ca")} | kinds


def _of_triplets(store: EventStore, index: int) -> _Cloud:
    triplets, scores, points = (_name(store, name) for name in (TRIPLETS, SCORES, POINTS))
    if triplets is None:
        raise WeftError(
            f"there are {SCORES}, but not the {TRIPLETS} that these are of: add the store of the stage that found "
            f"them, --prediction {TRIPLETS}=PATH"
        )
    assert scores is not None
    rows = store[triplets][index]
    score = np.full(len(rows), np.nan)
    score[store[scores].index(index)] = store[scores][index]["larmatch"]
    kept = np.zeros(len(rows), bool)
    if points is not None:
        kept[store[points][index]["triplet"]] = True
    charge = np.ones((len(rows), 3))
    if (pixels := _name(store, "pixels")) is not None:
        charge = np.stack([store[pixels][index]["charge"][rows[f"pixel_{plane}"]] for plane in range(3)], axis=1)
    return _Cloud(_places(rows), _mean(charge), score, kept)


def _of_points(store: EventStore, index: int) -> _Cloud:
    name = _name(store, POINTS)
    assert name is not None
    rows = store[name][index]
    charge = np.stack([rows[f"charge_{plane}"] for plane in range(3)], axis=1)
    return _Cloud(_places(rows), _mean(charge), rows["larmatch"].astype(np.float64), np.ones(len(rows), bool))


def _mean(charge: np.ndarray) -> np.ndarray:
    """Of charges [n, 3], over those that are not 0, which are of dead wires."""
    return charge.sum(axis=1, dtype=np.float64) / np.maximum((charge > 0).sum(axis=1), 1)


def _places(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows[axis] for axis in "xyz"], axis=1).astype(np.float64)


def _some(kept: np.ndarray) -> np.ndarray:
    """Rows to be drawn, increasing."""
    if len(kept) <= _MOST:
        return np.arange(len(kept))
    first, rest = np.flatnonzero(kept), np.flatnonzero(~kept)
    first = first[_steps(len(first), min(len(first), _MOST))]
    return np.sort(np.concatenate([first, rest[_steps(len(rest), min(len(rest), _MOST - len(first)))]]))


def _steps(length: int, number: int) -> np.ndarray:
    return np.linspace(0, length - 1, number).astype(np.int64)


def _markers(store: EventStore, index: int) -> list[Markers]:
    name = _name(store, KEY_POINTS)
    if name is None or not len(store[name][index]):
        return []
    points = store[name][index]
    return [Markers("key point", PREDICTION, _places(points), points["kind"].astype(np.int64) + _FIRST_KIND)]


def _name(store: EventStore, product: str) -> str | None:
    """A product as the store has it: of the predictions first."""
    return next((name for name in (f"{PREDICTION}/{product}", product) if name in store), None)
