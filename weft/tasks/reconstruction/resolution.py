"""How well energies, directions and ends are measured, against the energy of the particle; from objects tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from weft.config import BASELINE
from weft.io.products import SHOWER, TRACK
from weft.metrics.binned import bin_of, half_width, quantile
from weft.metrics.bootstrap import bootstrap
from weft.metrics.scores import Scores
from weft.report.figure import Figure
from weft.report.palette import BASELINE_COLOR, CLASS_COLORS, INK, style, to_svg
from weft.report.ratio_panels import binned, say_too_few
from weft.report.variants import MODEL, color_of
from weft.tasks.reconstruction.metrics import ANGLE_EDGES, RESIDUAL_EDGES

#: Edges of the bins of true kinetic energy [MeV]; what lies outside joins the first or last bin.
KINETIC_EDGES = np.geomspace(10.0, 3000.0, 9)
_FEWEST = 10  # particles of a bin that is drawn
_REPLICAS = 400
_ENDS = {
    "start_distance": ((SHOWER, "starts of showers"), (TRACK, "starts of tracks")),
    "end_distance": ((TRACK, "ends of tracks"),),
}

Statistic = Callable[[np.ndarray], np.ndarray]


class _Panel(NamedTuple):
    """One column of the figure."""

    title: str
    shape: int
    edges: np.ndarray  # of the bins of what is measured
    upper: tuple[str, Statistic]
    lower: tuple[str, Statistic]


def _energy(title: str, shape: int) -> _Panel:
    bias = "bias", lambda counts: quantile(counts, RESIDUAL_EDGES, 0.5)
    return _Panel(title, shape, RESIDUAL_EDGES, bias, ("resolution", lambda counts: half_width(counts, RESIDUAL_EDGES)))


def _direction(title: str, shape: int) -> _Panel:
    half = "median angle [°]", lambda counts: quantile(counts, ANGLE_EDGES, 0.5)
    return _Panel(
        title, shape, ANGLE_EDGES, half, ("68 % below [°]", lambda counts: quantile(counts, ANGLE_EDGES, 0.68))
    )


PANELS: Mapping[str, _Panel] = {
    "shower_energy": _energy("contained showers", SHOWER),
    "track_energy": _energy("contained tracks", TRACK),
    "leaving_energy": _energy("tracks that leave", TRACK),
    "shower_angle": _direction("direction of showers", SHOWER),
    "track_angle": _direction("direction of tracks", TRACK),
}


def measured(objects: pd.DataFrame, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Found true particles (rows of an objects table) of one of :data:`PANELS`, and what was measured of each.

    Energies: (reconstructed − true)/true of `ke`, of those whose true voxels are contained, or of tracks that leave;
    directions: degrees, of primaries.
    """
    rows = objects[(objects["kind"] == "particle") & (objects["side"] == "truth") & objects["same"]]
    shape = PANELS[name].shape
    rows = rows[(rows["shape"] == shape) & (rows["match_shape"] == shape) & (rows["ke"] > 0)]
    if name.endswith("angle"):
        rows = rows[(rows["is_primary"] == 1) & rows["angle"].notna()]
        return rows, rows["angle"].to_numpy(np.float64)
    rows = rows[rows["match_ke"].notna() & ((rows["is_contained"] == 1) == (name != "leaving_energy"))]
    return rows, (rows["match_ke"] / rows["ke"] - 1).to_numpy(np.float64)


def counts_by_energy(scores: Scores, name: str) -> np.ndarray:
    """float [events, bins of true kinetic energy, bins of what is measured]: found particles of one event each."""
    rows, values = measured(scores.objects, name)
    edges = PANELS[name].edges
    return binned(
        np.unique(scores.events["uid"]),
        rows["uid"].to_numpy(),
        bin_of(rows["ke"], KINETIC_EDGES),
        bin_of(values, edges),
        (np.ones(len(rows)),),
        len(KINETIC_EDGES) - 1,
        len(edges) - 1,
    )[..., 0]


def resolution_figure(scores: Mapping[str, Scores]) -> Figure:
    """Bias and resolution of energies, and angles to the true direction, by true kinetic energy."""
    centres = np.sqrt(KINETIC_EDGES[1:] * KINETIC_EDGES[:-1])
    with style():
        canvas = Canvas(figsize=(2.1 * len(PANELS), 4.2))
        axes = canvas.subplots(2, len(PANELS), squeeze=False, sharex=True)
        for column, (name, panel) in enumerate(PANELS.items()):
            for variant, part in reversed(list(scores.items())):
                counts = counts_by_energy(part, name)
                seen = counts.sum(axis=(0, 2)) >= _FEWEST
                color = BASELINE_COLOR if variant == BASELINE else CLASS_COLORS[panel.shape]
                for axis, (_, statistic) in zip(axes[:, column], (panel.upper, panel.lower), strict=True):
                    _draw(axis, centres, counts, seen, statistic, color, "--" if variant == BASELINE else "-")
            axes[0, column].set_title(panel.title)
            if not axes[0, column].lines:
                for axis in axes[:, column]:
                    say_too_few(axis)
                    axis.set_yticks([])
            for axis, (label, _) in zip(axes[:, column], (panel.upper, panel.lower), strict=True):
                axis.set_ylabel(label)
                if label == "bias":
                    axis.axhline(0, color=INK, linewidth=0.7, linestyle=":", zorder=1)
                else:
                    axis.set_ylim(bottom=0)
        axes[0, 0].set_xscale("log")
        axes[0, 0].set_xlim(KINETIC_EDGES[0], KINETIC_EDGES[-1])
        if len(scores) > 1:
            lines = [Line2D([], [], color=INK), Line2D([], [], color=BASELINE_COLOR, linestyle="--")]
            axes[1, 0].legend(lines, [MODEL, BASELINE], loc="upper right")
        canvas.supxlabel("true kinetic energy [MeV]", fontsize=9)
        svg = to_svg(
            canvas, "resolution", "Bias and resolution of energies and directions by true kinetic energy", gap=0.8
        )
    return Figure(
        "resolution",
        "Energies and directions against the true energy",
        "Of found particles, by the kinetic energy at creation. Bias: median of (reconstructed − true)/true; "
        "resolution: half of its central 68 %; contained: all true voxels keep the margin from the walls. Directions: "
        "of primaries, median and 68 % quantile of the angle to the true one. Bins of fewer than "
        f"{_FEWEST} particles are left out. Bands: 95 % intervals over events.",
        svg=svg,
    )


def ends_figure(scores: Mapping[str, Scores]) -> Figure:
    """Shares of starts and ends within a distance of the true ones."""
    panels = [(column, *of) for column, each in _ENDS.items() for of in each]
    with style():
        canvas = Canvas(figsize=(3.2 * len(panels), 2.9))
        axes = canvas.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axis, (column, shape, title) in zip(axes, panels, strict=True):
            for variant, part in reversed(list(scores.items())):
                rows = part.objects
                rows = rows[(rows["kind"] == "particle") & (rows["side"] == "truth") & rows["same"]]
                rows = rows[(rows["shape"] == shape) & (rows["match_shape"] == shape)]
                values = np.sort(rows[column].dropna().to_numpy(np.float64))
                if not len(values):
                    continue
                label = f"{variant}: median {np.median(values):.2f} cm"
                share = np.arange(1, len(values) + 1) / len(values)
                dashes = "--" if variant == BASELINE else "-"
                axis.plot(np.maximum(values, 1e-3), share, dashes, color=color_of(variant), label=label)
            axis.set_xscale("log")
            axis.set_xlim(0.05, 300.0)
            axis.set_ylim(0, 1.02)
            axis.set_title(title)
            handles, labels = axis.get_legend_handles_labels()
            if handles:
                axis.legend(handles[::-1], labels[::-1], loc="lower right", fontsize=7)
        axes[0].set_ylabel("share within")
        canvas.supxlabel("distance from the true one [cm]", fontsize=9)
        svg = to_svg(canvas, "ends", "Starts and ends of particles against the true ones")
    return Figure(
        "ends",
        "Starts and ends",
        "Share of the found showers and tracks whose start, or end, lies within some distance of the first, or last, "
        "true step in the box. A track that was turned round has both at its length.",
        svg=svg,
    )


def _draw(
    axis: Axes, x: np.ndarray, counts: np.ndarray, seen: np.ndarray, statistic: Statistic, color: str, dashes: str
) -> None:
    if not seen.any():
        return
    interval = bootstrap(counts, statistic, n_replicas=_REPLICAS)
    axis.fill_between(x[seen], interval.low[seen], interval.high[seen], color=color, alpha=0.2, lw=0)
    axis.plot(x[seen], interval.value[seen], dashes, color=color, marker="o", ms=3)
