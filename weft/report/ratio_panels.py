"""A share of things against their size or energy, one panel for each semantic class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from weft.config import BASELINE
from weft.metrics.binned import bin_of
from weft.metrics.bootstrap import bootstrap
from weft.report.palette import BASELINE_COLOR, CLASS_COLORS, CLASS_NAMES
from weft.report.share_panels import Curve, Panel, share_panels
from weft.report.variants import MODEL

_REPLICAS = 400
#: Edges of the bins of energy left by a particle, MeV.
ENERGY_EDGES = np.geomspace(0.3, 3000.0, 13)


def ratio_panels(
    counts: Mapping[str, np.ndarray],
    edges: np.ndarray,
    x_label: str,
    y_label: str,
    fewest: float,
    classes: Mapping[int, tuple[str, str]] | None = None,
) -> str:
    """SVG of the ratio of sums against logarithmic bins: for the model in the class' colour, for the baseline in grey.

    counts: by variant, float [E, C, bins, 2]: numbers and what is divided by them, for every event, so that bands are
    95 % intervals over events. edges: [bins + 1]. fewest: bins with smaller numbers are left out.
    classes: names and colours; default, those of voxels of argon.
    """
    classes = classes or {k: (CLASS_NAMES[k], CLASS_COLORS[k]) for k in CLASS_COLORS}
    total = sum(c.sum(axis=0) for c in counts.values())
    present = [k for k in range(total.shape[0]) if total[k, :, 0].sum() > 0]
    centres = np.sqrt(edges[1:] * edges[:-1])
    panels = []
    for k in present:
        curves = []
        for name, c in reversed(list(counts.items())):
            interval = bootstrap(c[:, k], ratio, n_replicas=_REPLICAS)
            seen = c[:, k, :, 0].sum(axis=0) >= fewest
            color, dashed = (BASELINE_COLOR, True) if name == BASELINE else (classes[k][1], False)
            curves.append(
                Curve(centres[seen], interval.value[seen], interval.low[seen], interval.high[seen], color, dashed)
            )
        panels.append(Panel(classes[k][0], curves))
    legend = [(MODEL, "currentColor", False), (BASELINE, BASELINE_COLOR, True)] if len(counts) > 1 else []
    title = f"{y_label[:1].upper()}{y_label[1:]} of each class against the {x_label}"
    return share_panels(panels, (edges[0], edges[-1]), x_label, y_label, title, legend)


def say_too_few(axis: Axes) -> None:
    """In place of curves of too few things to be drawn."""
    axis.text(0.5, 0.5, "too few", ha="center", va="center", transform=axis.transAxes, fontsize=8)


def ratio(sums: np.ndarray) -> np.ndarray:
    """Second over first of the last axis, NaN where the first is 0."""
    n, part = sums[..., 0], sums[..., 1]
    return np.divide(part, n, out=np.full(n.shape, np.nan), where=n > 0)


def binned(
    uids: np.ndarray,
    rows_uid: np.ndarray,
    label: np.ndarray,
    number: np.ndarray,
    columns: Sequence[np.ndarray],
    n_classes: int,
    n_bins: int,
) -> np.ndarray:
    """Sums of columns by event, class and bin: float [E, n_classes, n_bins, columns].

    uids: [E], increasing, of the events. rows_uid, label, number: of each row, its event, class and bin; rows of a
    class outside 0 to n_classes − 1 are left out. columns: what is added up, one value a row each.
    """
    event = np.searchsorted(uids, rows_uid)
    valid = (label >= 0) & (label < n_classes)
    counts = np.zeros((len(uids), n_classes, n_bins, len(columns)))
    for k, column in enumerate(columns):
        np.add.at(counts[..., k], (event[valid], label[valid], number[valid]), column[valid])
    return counts


def by_energy(
    events: pd.DataFrame,
    objects: pd.DataFrame,
    energy: str,
    label: str,
    columns: Sequence[np.ndarray],
    n_classes: int,
) -> np.ndarray:
    """Sums of columns by event, class and bin of :data:`ENERGY_EDGES`, see :func:`binned`.

    events, objects: score tables. energy, label: columns of `objects` with the energy, MeV, what is beyond the edges
    counting in the outermost bin, and with the class.
    """
    bins = bin_of(objects[energy].to_numpy(np.float64), ENERGY_EDGES)
    uids, classes = np.unique(events["uid"]), objects[label].to_numpy(np.int64)
    return binned(uids, objects["uid"].to_numpy(), classes, bins, columns, n_classes, len(ENERGY_EDGES) - 1)
