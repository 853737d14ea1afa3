"""Figures of the reconstruction report, from score tables alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from weft.config import BASELINE
from weft.io.reco_products import PIDS
from weft.metrics.binned import half_width, quantile
from weft.metrics.bootstrap import bootstrap
from weft.metrics.scores import Scores
from weft.report.comparison import Difference, verdict
from weft.report.confusion import confusion_panels
from weft.report.figure import Figure
from weft.report.palette import style, to_svg
from weft.report.variants import (
    DIFFERENCE,
    MISSING,
    color_of,
    differences,
    envelope,
    number,
    pooled,
    same_events,
    seeds,
    select,
    spread,
    trained,
    worst,
)
from weft.tasks.reconstruction.metrics import BINNED, TYPES, bins_of, confusion_columns, count_columns, metrics
from weft.tasks.reconstruction.resolution import ends_figure, resolution_figure

_REPLICAS = 400
_WIDTHS = {
    "shower_energy": "contained showers",
    "track_energy": "tracks, best method",
    "csda_energy": "contained tracks, by range",
    "mcs_energy": "tracks, by scattering",
    "calo_energy": "contained tracks, calorimetric",
}
_MORE, _LESS, _NEITHER = 1, -1, 0
#: What the table calls each metric, and whether more is better; of a bias neither is.
_LABELS: Mapping[str, tuple[str, int]] = {
    "particle_efficiency": ("true particles found", _MORE),
    "particle_purity": ("reconstructed particles that are true ones", _MORE),
    "interaction_efficiency": ("true interactions found", _MORE),
    "interaction_purity": ("reconstructed interactions that are true ones", _MORE),
    "primary_efficiency": ("true primaries found and told as such", _MORE),
    "primary_purity": ("reconstructed primaries that are true ones", _MORE),
    "pid_accuracy": ("types told rightly", _MORE),
    **{f"pid_recall_{name}": (f"types told rightly, {name}s", _MORE) for name in PIDS.values()},
    "topology_accuracy": ("interactions with the right topology", _MORE),
    "vertex_within_3cm": ("vertices found within 3 cm", _MORE),
    "vertex_median_cm": ("distance of the vertex, median [cm]", _LESS),
    "vertex_68_cm": ("distance of the vertex, 68 % quantile [cm]", _LESS),
    **{
        f"{kind}_angle_{of}_degrees": (f"angle of primary {kind}s, {text} [°]", _LESS)
        for kind in ("shower", "track")
        for of, text in (("median", "median"), ("68", "68 % quantile"))
    },
    **{
        f"{name}_{of}": (f"energy of {text}: {of}", better)
        for name, text in _WIDTHS.items()
        for of, better in (("bias", _NEITHER), ("resolution", _LESS))
    },
}
_DISTANCES = {
    "vertex": ("vertex to the true one [cm]", (0.1, 100.0)),
    "shower_angle": ("direction of primary showers to the true one [degrees]", (0.5, 180.0)),
    "track_angle": ("direction of primary tracks to the true one [degrees]", (0.5, 180.0)),
}


def figures(scores: Mapping[str, Scores], split: str) -> list[Figure]:
    """Table of all metrics, confusion of types, errors of energies, distances of vertices and directions; starts and
    ends, and resolutions against the energy.

    scores: by variant; at least one that is not the baseline. split: the one to judge by.
    Raises WeftError where there are no scores of it, and where variants were scored on different events.
    """
    judged = {name: select(part, split) for name, part in pooled(scores).items()}
    events = {name: part.events for name, part in judged.items()}
    drawn = [confusion_figure(events), energy_figure(events), distance_figure(events)]
    return [metric_table(scores, split), *drawn, ends_figure(judged), resolution_figure(judged)]


def metric_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Every metric with its interval, beside the baseline."""
    tables = same_events(scores, split)
    counts = {v: table[count_columns()].to_numpy(np.float64) for v, table in tables.items()}
    models = trained(scores)

    def statistic(sums: np.ndarray) -> np.ndarray:
        return metrics(pd.DataFrame(sums, columns=count_columns())).to_numpy(np.float64)

    pooled_values = {v: statistic(c.sum(axis=0)[None])[0] for v, c in counts.items()}
    intervals = [bootstrap(counts[v], statistic, n_replicas=_REPLICAS) for v in models]
    against = differences(counts, models, statistic)
    rows = []
    for k, name in enumerate(metrics(pd.DataFrame(columns=count_columns(), dtype=np.float64))):
        if all(np.isnan(values[k]) for values in pooled_values.values()):
            continue  # of particles that there are none of
        label, better = _LABELS[str(name)]
        row: dict[str, object] = {"metric": label, "model": spread([pooled_values[v][k] for v in models])}
        row["95 % interval"] = envelope(intervals, k)
        if against:
            difference = [Difference.of(d, k) for d in against]
            row["baseline"] = number(pooled_values[BASELINE][k])
            row["model − baseline [95 %]"] = worst(difference)
            turned = [Difference(-d.value, -d.high, -d.low) for d in difference]
            row["verdict"] = {_MORE: verdict(difference), _LESS: verdict(turned), _NEITHER: MISSING}[better]
        rows.append(row)
    return Figure(
        "overall",
        "Particles and interactions",
        f"{len(next(iter(counts.values())))} events of split {split}; {seeds(models)}. Found: best matches of each "
        "other with an IoU of at least 0.5. Energies: bias is the median of (reconstructed − true)/true, resolution "
        "half of the central 68 %; distances, angles and resolutions are better where less. Intervals: bootstrap over "
        f"events, from the lowest to the highest end among seeds. {DIFFERENCE}",
        table=pd.DataFrame(rows),
    )


def confusion_figure(events: Mapping[str, pd.DataFrame]) -> Figure:
    """Share of the found particles of each true type by the type that they were given."""
    columns, shape = confusion_columns(), (TYPES, TYPES)
    # The last row is of particles without a true type: there are none.
    counts = {v: table[columns].to_numpy(np.int64).sum(axis=0).reshape(shape)[:-1] for v, table in events.items()}
    names = list(PIDS.values())
    labels, title = ("reconstructed type", "true type"), "Confusion of particle types of the model and the baseline"
    svg = confusion_panels("types", counts, names, [*names, "none"], labels, title, (4.1, 3.6))
    return Figure(
        "types",
        "Particle types",
        "Per cent of the found particles of a true type (rows) by reconstructed type, with their numbers.",
        svg=svg,
    )


def energy_figure(events: Mapping[str, pd.DataFrame]) -> Figure:
    """Relative errors of kinetic energies."""
    with style():
        canvas = Canvas(figsize=(9.0, 5.2))
        axes = canvas.subplots(2, 3, squeeze=False).ravel().tolist()
        for empty in axes[len(_WIDTHS) :]:
            empty.set_axis_off()
        for axis, (name, title) in zip(axes, _WIDTHS.items(), strict=False):
            edges = BINNED[name][0]
            width = np.diff(edges[:-1])
            for variant, table in reversed(list(events.items())):
                counts = table[bins_of(name)].to_numpy(np.float64).sum(axis=0)
                if not counts.sum():
                    continue
                label = f"{variant}: {quantile(counts, edges, 0.5):+.3f}, {half_width(counts, edges):.3f}"
                density = counts[:-1] / counts.sum() / width
                axis.stairs(
                    density, edges[:-1], color=color_of(variant), label=label, linewidth=1.5, linestyle=_dashes(variant)
                )
            axis.set_title(title)
            axis.set_xlabel("(reconstructed − true)/true")
            axis.set_xlim(-1, 1)
            axis.set_ylim(0, 1.35 * axis.get_ylim()[1])  # the legend lies above the peak
            _legend(axis, "upper left")
        axes[0].set_ylabel("density")
        axes[3].set_ylabel("density")
        svg = to_svg(canvas, "energies", "Relative errors of kinetic energies")
    return Figure(
        "energies",
        "Kinetic energies",
        "Density of the relative error of the kinetic energy of found particles; median and half of the central 68 % "
        "in the legend (bias, resolution). Errors above 1 are not drawn but counted.",
        svg=svg,
    )


def distance_figure(events: Mapping[str, pd.DataFrame]) -> Figure:
    """Shares of vertices and directions within a distance of the true ones."""
    with style():
        canvas = Canvas(figsize=(3.4 * len(_DISTANCES), 2.9))
        for axis, (name, (label, limits)) in zip(_panels(canvas, len(_DISTANCES)), _DISTANCES.items(), strict=True):
            edges = BINNED[name][0]
            for variant, table in reversed(list(events.items())):
                counts = table[bins_of(name)].to_numpy(np.float64).sum(axis=0)
                if not counts.sum():
                    continue
                share = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
                drawn = np.isfinite(edges) & (edges > 0)
                text = f"{variant}: median {quantile(counts, edges, 0.5):.2f}"
                axis.plot(edges[drawn], share[drawn], _dashes(variant), color=color_of(variant), label=text)
            axis.set_xscale("log")
            axis.set_xlim(*limits)
            axis.set_ylim(0, 1.02)
            axis.set_xlabel(label, fontsize=7.5)
            axis.set_ylabel("share within")
            _legend(axis, "lower right")
        svg = to_svg(canvas, "distances", "Vertices and directions against the true ones")
    return Figure(
        "distances",
        "Vertices and directions",
        "Share of the found interactions whose vertex, and of the found primary particles whose direction, lies within "
        "some distance of the true one.",
        svg=svg,
    )


def _dashes(variant: str) -> str:
    return "--" if variant == BASELINE else "-"


def _legend(axis: Axes, where: Literal["upper left", "lower right"]) -> None:
    """The model first, which was drawn last."""
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        axis.legend(handles[::-1], labels[::-1], loc=where, fontsize=7)


def _panels(canvas: Canvas, n: int) -> Sequence[Axes]:
    return canvas.subplots(1, n, squeeze=False)[0].tolist()
