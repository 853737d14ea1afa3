"""One event in the report: found key points over the true ones and the cloud, drawn from two sides and to turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from weft.engine.task import Store
from weft.io.larmatch_products import KEY_POINT_KINDS as KINDS
from weft.io.larmatch_products import KEY_POINT_NAMES, KEY_POINTS, TRUE_KEY_POINTS
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET
from weft.report.display import Grid, event_payload
from weft.report.figure import Figure
from weft.report.overlays import PREDICTION, TRUTH, Markers
from weft.report.palette import INK, SERIES_COLORS, style, to_svg
from weft.tasks.space_points.options import Options
from weft.tasks.space_points.score import stored_key_points, stored_truth
from weft.triplets.key_points import xyz

#: Classes of the display: those of triplets, then the kinds of key points, whose colours are those of the curves.
GOOD, GHOST, UNKNOWN, _FIRST_KIND = 0, 1, -1, 10
CLASSES: Mapping[int, tuple[str, str]] = {
    GOOD: ("good, or a space point", "#8b95a1"),
    GHOST: ("ghost, or left out", "#e0b878"),
    UNKNOWN: ("unknown", "#c0bca8"),
    **{_FIRST_KIND + k: (KEY_POINT_NAMES[kind], SERIES_COLORS[k]) for k, kind in enumerate(KINDS)},
}
_CELL = 0.2  # cm, of the display: finer than the distance of wires, so that few triplets share one
_MOST = 40_000  # triplets of a display
_DPI = 170


@dataclass(frozen=True)
class _Seen:
    """An event.

    Attributes:
        position: float64 (n, 3), cm, of its triplets. charge: float64 (n,), ADC, mean of their pixels with charge.
        state: int8 (n,): what they are in truth. score: float32 (n,), 0 of those that were not written.
        kept: bool (n,): whether they are space points.
        true, found: key points; none where the stage finds none.
        title: who it is.
    """

    position: np.ndarray
    charge: np.ndarray
    state: np.ndarray
    score: np.ndarray
    kept: np.ndarray
    true: np.ndarray
    found: np.ndarray
    title: str

    @property
    def facts(self) -> str:
        """How many good triplets and ghosts there are, before and after."""
        good, ghost = self.state == GOOD_TRIPLET, self.state == GHOST_TRIPLET
        before = f"{good.sum()} good triplets and {ghost.sum()} ghosts"
        return f"{before}, of which {(good & self.kept).sum()} and {(ghost & self.kept).sum()} are space points"


def _read(store: Store, index: int, options: Options) -> _Seen:
    truth = stored_truth(store, index, options)
    pixels, triplets = np.asarray(store["pixels"][index]), np.asarray(store["triplets"][index])
    charge = np.stack([pixels["charge"][triplets[f"pixel_{plane}"]] for plane in range(3)], axis=1).astype(np.float64)
    score, kept = np.zeros(len(triplets), np.float32), np.zeros(len(triplets), bool)
    scores = store["triplet_scores"]
    score[scores.index(index)] = np.asarray(scores[index])["larmatch"]
    kept[np.asarray(store["prediction/space_points"][index])["triplet"]] = True
    true, found = np.zeros(0, TRUE_KEY_POINTS.dtype), np.zeros(0, KEY_POINTS.dtype)
    if options.model.key_points is not None:
        true = stored_key_points(store, truth, options)
        found = np.asarray(store["prediction/key_points"][index])
    event = store.events[index]
    return _Seen(
        xyz(triplets),
        charge.sum(axis=1) / np.maximum((charge > 0).sum(axis=1), 1),
        truth.triplets["good"],
        score,
        kept,
        true,
        found,
        f"event {event['run']}/{event['subrun']}/{event['event']}",
    )


def payload(store: Store, index: int, options: Options, subtitle: str, label: str) -> dict[str, Any]:
    """What the display of event `index` reads: triplets, whether good and whether space points, without
    the ghosts that are none; key points."""
    seen = _read(store, index, options)
    rows = _some(seen)
    low = seen.position.min(axis=0) if len(seen.position) else np.zeros(3)
    cells = np.floor((seen.position[rows] - low) / _CELL).astype(np.int64)
    shape = cells.max(axis=0, initial=0) + 1
    facts = "; ".join([*([subtitle] if subtitle else []), seen.facts, f"{len(rows)} triplets are drawn"])
    markers = [
        Markers("point", side, xyz(points), points["kind"].astype(np.int64) + _FIRST_KIND)
        for side, points in ((TRUTH, seen.true), (PREDICTION, seen.found))
        if len(points)
    ]
    states = np.select([seen.state == GOOD_TRIPLET, seen.state == GHOST_TRIPLET], [GOOD, GHOST], UNKNOWN)
    return event_payload(
        cells,
        seen.charge[rows],
        states[rows],
        np.where(seen.kept[rows], GOOD, GHOST),
        seen.score[rows],
        grid=Grid(tuple(low.tolist()), (_CELL,) * 3, tuple(shape.tolist())),
        title=seen.title,
        subtitle=facts,
        label=label,
        markers=markers,
        classes=CLASSES,
        things="triplets",
        unit="ADC",
    )


def _some(seen: _Seen) -> np.ndarray:
    """Rows to be drawn: space points and good triplets, where they are too many at equal steps. The other ghosts would
    hide them; they are to be seen where triplets are scored."""
    rows = np.flatnonzero(seen.kept | (seen.state != GHOST_TRIPLET))
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).astype(np.int64)]


def event_figures(store: Store, index: int, options: Options, note: str) -> list[Figure]:
    """Key points of event `index` over its space points; note: why this one. None where the stage finds none."""
    if options.model.key_points is None:
        return []
    return [key_point_figure(_read(store, index, options), note)]


def key_point_figure(seen: _Seen, note: str) -> Figure:
    """Space points from two sides, with rings where key points truly are and crosses where they were found."""
    true, found = xyz(seen.true), xyz(seen.found)
    every = np.concatenate([seen.position[seen.kept], true, found])
    low, high = (every.min(axis=0) - 2, every.max(axis=0) + 2) if len(every) else (np.zeros(3), np.ones(3))
    good = seen.state == GOOD_TRIPLET
    with style():
        canvas = Canvas(figsize=(10.4, 4.2), dpi=_DPI)
        axes: Any = canvas.subplots(1, 2, squeeze=False)[0]
        for axis, up in zip(axes, (1, 0), strict=True):
            for rows, kind in ((seen.kept & ~good, GHOST), (seen.kept & good, GOOD)):
                place = seen.position[rows]
                axis.scatter(place[:, 2], place[:, up], 1.2, CLASSES[kind][1], linewidth=0, rasterized=True)
            for k in range(len(KINDS)):
                ring, cross = true[seen.true["kind"] == k], found[seen.found["kind"] == k]
                axis.scatter(
                    ring[:, 2], ring[:, up], 70, facecolors="none", edgecolors=SERIES_COLORS[k], linewidth=1.4, zorder=3
                )
                axis.scatter(cross[:, 2], cross[:, up], 34, SERIES_COLORS[k], marker="x", linewidth=1.6, zorder=3)
            axis.set_xlim(low[2], high[2])
            axis.set_ylim(low[up], high[up])
            axis.set_aspect("equal", adjustable="box")
            axis.set_xlabel("z [cm]")
            axis.set_ylabel(f"{'xyz'[up]} [cm]")
        present = [k for k in range(len(KINDS)) if (seen.true["kind"] == k).any() or (seen.found["kind"] == k).any()]
        lines = [Line2D([], [], color=SERIES_COLORS[k], linewidth=4, label=KEY_POINT_NAMES[KINDS[k]]) for k in present]
        lines += [
            Line2D([], [], color=INK, marker="o", markersize=8, fillstyle="none", linestyle="none", label="true"),
            Line2D([], [], color=INK, marker="x", markersize=6, linestyle="none", label="found"),
        ]
        axes[1].legend(handles=lines, loc="upper left", bbox_to_anchor=(1.02, 1.0))
        svg = to_svg(canvas, "event-key-points", f"Key points of {seen.title}", gap=1)
    return Figure(
        "event-key-points",
        "Key points of one event",
        f"{seen.title.capitalize()}, {note}: {seen.facts}. Rings: true key points; crosses: found ones; colours: their "
        "kind. Grey: good space points; yellow: ghosts among them.",
        svg=svg,
    )
