"""One event in the report: the planes with pixels coloured by score, the cloud of triplets before and after the cut,
and the same cloud to turn."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas

from weft.detector.wires import PLANES
from weft.engine.task import Store
from weft.report.display import Grid, event_payload
from weft.report.figure import Figure
from weft.report.palette import RULE, SERIES_COLORS, style, to_svg
from weft.tasks.larmatch.charge_ratio import scaled_charges
from weft.tasks.larmatch.judged import CUT, Judged, read_judged
from weft.tasks.larmatch.options import Options

#: Classes of a triplet in the display, as numbers of it: name and colour.
GOOD, GHOST, UNKNOWN = 0, 1, -1
CLASSES = {GOOD: ("good", SERIES_COLORS[0]), GHOST: ("ghost", SERIES_COLORS[1]), UNKNOWN: ("unknown", "#c0bca8")}
#: cm, size of a cell of the display: finer than the distance of wires, so that few triplets share one.
_CELL = 0.2
_MOST = 40_000  # triplets of a display
_UNSAID = "#b9bec6"  # pixels of which no triplet was written
_SCORES = LinearSegmentedColormap.from_list("scores", ["#e6c229", SERIES_COLORS[1], "#7a1f5c", "#1b1464"])
_DPI = 170


def payload(store: Store, index: int, options: Options, subtitle: str, label: str) -> dict[str, Any]:
    """What the display of event `index` reads: its triplets, good or ghosts, and which were kept."""
    judged = read_judged(store, index, options, "")
    position, score = judged.position, judged.score
    rows = _some(judged)
    low = position.min(axis=0, initial=np.inf) if len(position) else np.zeros(3)
    cells = np.floor((position[rows] - low) / _CELL).astype(np.int64)
    shape = cells.max(axis=0, initial=0) + 1
    charge = np.nan_to_num(np.nanmean(_or_zero(scaled_charges(judged.pixels, judged.triplets)), axis=1))
    event = store.events[index]
    facts = [subtitle] if subtitle else []
    facts.append(f"{len(position)} triplets, {int(judged.good.sum())} good, {int((score >= CUT).sum())} kept")
    if len(rows) < len(position):
        facts.append(f"{len(rows)} of them drawn")
    return event_payload(
        cells,
        charge[rows],
        _states(judged)[rows],
        np.where(score[rows] >= CUT, GOOD, GHOST),
        score[rows],
        grid=Grid(tuple(low.tolist()), (_CELL,) * 3, tuple(shape.tolist())),
        title=f"event {event['run']}/{event['subrun']}/{event['event']}",
        subtitle=", ".join(facts),
        label=label,
        classes=CLASSES,
        things="triplets",
        unit="ADC",
    )


def _or_zero(charges: np.ndarray) -> np.ndarray:
    """With a zero where no charge of a triplet is known, so that it has a mean."""
    return np.where(np.isfinite(charges).any(axis=1, keepdims=True), charges, 0)


def _some(judged: Judged) -> np.ndarray:
    """Rows to be drawn: all, or where they are too many good and kept ones first, the rest at equal steps."""
    n = len(judged.triplets)
    if n <= _MOST:
        return np.arange(n)
    matters = judged.good | (judged.score >= CUT)
    order = np.argsort(~matters, kind="stable")
    first, rest = order[: int(matters.sum())], order[int(matters.sum()) :]
    if len(first) >= _MOST:
        return np.sort(first[np.linspace(0, len(first) - 1, _MOST).astype(np.int64)])
    picked = rest[np.linspace(0, len(rest) - 1, _MOST - len(first)).astype(np.int64)]
    return np.sort(np.concatenate([first, picked]))


def _states(judged: Judged) -> np.ndarray:
    return np.where(judged.good, GOOD, np.where(judged.ghost, GHOST, UNKNOWN)).astype(np.int64)


def event_figures(store: Store, index: int, options: Options, note: str) -> list[Figure]:
    """The planes and the cloud of event `index`; note: why this one."""
    judged = read_judged(store, index, options, "")
    event = store.events[index]
    name = f"Event {event['run']}/{event['subrun']}/{event['event']}, {note}."
    return [planes_figure(judged, name), cloud_figure(judged, name)]


def pixel_scores(judged: Judged) -> np.ndarray:
    """float64 (pixels,): the highest score of the triplets that a pixel is in; NaN where none was written."""
    best = np.full(len(judged.pixels), -np.inf)
    members = judged.members[judged.row]
    for p in range(PLANES):
        np.maximum.at(best, members[:, p], judged.said["larmatch"].astype(np.float64))
    return np.where(np.isfinite(best), best, np.nan)


def planes_figure(judged: Judged, name: str) -> Figure:
    """Live pixels of each plane of each drift volume, coloured by the highest score of their triplets."""
    score = pixel_scores(judged)
    pixels = judged.pixels
    volumes = int(pixels["tpc"].max(initial=0)) + 1
    with style():
        canvas = Canvas(figsize=(9.6, 3.1 * volumes), dpi=_DPI)
        # The last column holds the scale of the colours.
        axes = canvas.subplots(volumes, PLANES + 1, squeeze=False, width_ratios=[1] * PLANES + [0.035])
        rows = pixels["row"][pixels["dead"] == 0]
        low, high = rows.min(initial=int(rows[0]) if len(rows) else 0) - 2, rows.max(initial=0) + 3
        drawn: Any = None
        for volume, plane in np.ndindex(volumes, PLANES):
            axis: Any = axes[volume, plane]
            mine = (pixels["tpc"] == volume) & (pixels["plane"] == plane) & (pixels["dead"] == 0)
            unsaid, said = mine & np.isnan(score), mine & np.isfinite(score)
            axis.scatter(
                pixels["wire"][unsaid], pixels["row"][unsaid], 1.5, _UNSAID, marker="s", linewidth=0, rasterized=True
            )
            order = np.flatnonzero(said)[np.argsort(score[said], kind="stable")]  # the best on top
            drawn = axis.scatter(
                pixels["wire"][order], pixels["row"][order], 1.5, score[order], marker="s", linewidth=0,
                cmap=_SCORES, vmin=0, vmax=1, rasterized=True,
            )  # fmt: skip
            axis.set_title(f"plane {plane}" + (f", volume {volume}" if volumes > 1 else ""))
            axis.set_xlabel("wire")
            if plane == 0:
                axis.set_ylabel("row (time)")
            axis.set_ylim(low, high)
        bar: Any = canvas.colorbar(drawn, cax=axes[0, -1])
        bar.outline.set_visible(False)
        bar.set_label("highest score")
        for axis in axes[1:, -1]:
            axis.set_axis_off()
        svg = to_svg(canvas, "event-planes", f"{name} Pixels of the planes by score", gap=1)
    return Figure(
        "event-planes",
        "Planes of one event",
        f"{name} Each live pixel has the colour of the best of its triplets; grey: none of them was written.",
        svg=svg,
    )


def cloud_figure(judged: Judged, name: str) -> Figure:
    """All candidates, those that are kept, and where the charge truly came from, in three dimensions."""
    states, position, score = _states(judged), judged.position, judged.score
    kept = score >= CUT
    deposits = judged.deposits[(judged.deposits["electrons"] > 0) & (judged.deposits["row"] >= 0)]
    true = np.stack([deposits[axis] for axis in "xyz"], axis=1).astype(np.float64)
    every = np.concatenate([position, true])
    low, high = (every.min(axis=0), every.max(axis=0)) if len(every) else (np.zeros(3), np.ones(3))
    good, ghosts = states == GOOD, states == GHOST
    panels = (
        (f"candidates: {good.sum()} good, {ghosts.sum()} ghosts", position, states),
        (f"score of at least {CUT:g}: {(good & kept).sum()} good, {(ghosts & kept).sum()} ghosts",
         position[kept], states[kept]),
        ("true charge", true, np.full(len(true), GOOD)),
    )  # fmt: skip
    with style():
        canvas = Canvas(figsize=(10.2, 3.8), dpi=_DPI)
        for number, (title, places, kinds) in enumerate(panels):
            axis: Any = canvas.add_subplot(1, len(panels), number + 1, projection="3d", computed_zorder=False)
            for kind in (UNKNOWN, GHOST, GOOD):
                mine = places[kinds == kind]
                # z along the beam runs to the right, y up.
                axis.scatter(mine[:, 2], mine[:, 0], mine[:, 1], s=0.8, c=CLASSES[kind][1], linewidth=0, alpha=0.7,
                             depthshade=False, rasterized=True)  # fmt: skip
            for set_limits, k in ((axis.set_xlim, 2), (axis.set_ylim, 0), (axis.set_zlim, 1)):
                set_limits(low[k], max(high[k], low[k] + 1))
            axis.set_box_aspect(np.maximum(high - low, 1)[[2, 0, 1]])
            axis.set_title(title)
            axis.set_xlabel("z [cm]", labelpad=-6)
            axis.set_ylabel("x [cm]", labelpad=-6)
            axis.set_zlabel("y [cm]", labelpad=-6)
            axis.tick_params(labelsize=6.5, pad=-3)
            for side in (axis.xaxis, axis.yaxis, axis.zaxis):
                side.set_pane_color((0, 0, 0, 0))
                side._axinfo["grid"]["color"] = RULE
        svg = to_svg(canvas, "event-cloud", f"{name} Triplets before and after the cut")
    return Figure(
        "event-cloud",
        "Cloud of one event before and after the cut",
        f"{name} Blue: good triplets; orange: ghosts. Right: where the electrons came from.",
        svg=svg,
    )
