"""Figures and tables of the triplets report, from score tables alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from weft.metrics.bootstrap import bootstrap
from weft.metrics.scores import Scores, counts
from weft.report.event_histogram import event_histogram
from weft.report.figure import Figure
from weft.report.palette import SERIES_COLORS, style, to_svg
from weft.report.quality import Quality, counted, events_of, quality_table, shift_rows
from weft.report.ratio_panels import ENERGY_EDGES, binned, by_energy, ratio, ratio_panels
from weft.report.variants import MODEL, number, pooled, same_events, select, trained
from weft.tasks.triplets.score import OCCUPANCY_EDGES, STATES, metrics

_REPLICAS = 400
_FEWEST = 20  # of a bin that is drawn
_OVERALL = {
    "electron_efficiency": "electrons in candidates",
    "energy_efficiency": "energy in candidates",
    "efficiency": "true cells that are candidates",
    "efficiency_live": "of those with three live pixels",
    "efficiency_one_dead": "of those with two live pixels and a dead wire",
    "lost_dead": "true cells lost: two or three dead wires",
    "lost_below": "true cells lost: a pixel below threshold",
    "ghost_share": "ghosts among the candidates",
    "ghost_share_live": "ghosts among those of three live pixels",
    "ghost_share_dead": "ghosts among those with a dead wire",
    "unknown_share": "candidates of unknown truth: some electrons, too few for a true cell",
    "dead_share": "candidates with a dead wire",
    "per_pixel": "candidates per live pixel",
    "capped_rows": "rows in which a cap left candidates out",
    "dropped": "candidates that it left out",
}
_SHIFTS = ("electron_efficiency", "efficiency", "ghost_share", "per_pixel", "dead_share")


def figures(scores: Mapping[str, Scores], split: str) -> list[Figure]:
    """Figures and tables of the report, from the scores of each variant, which are all alike: nothing is learned.

    split: the one to judge by. Raises WeftError where there are no scores of it.
    """
    judged = {MODEL: select(pooled(scores)[MODEL], split)}
    made = [overall_table(scores, split), state_table(scores, split), occupancy_figure(judged[MODEL])]
    if len(judged[MODEL].objects):
        made.append(_energy_figure(judged))
    values = {MODEL: metrics(judged[MODEL].events)["electron_efficiency"].to_numpy()}
    svg = event_histogram(
        "per-event", values, "share of the electrons of an event", "Distribution of the candidate efficiency"
    )
    made.append(
        Figure(
            "per-event",
            "Efficiency of events",
            "Share of the events by the share of their electrons that is in candidates.",
            svg=svg,
        )
    )
    if next(iter(scores.values())).events["split"].nunique() > 1:
        made.append(shift_table(scores, split))
    return made


def overall_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """Every metric with its interval."""
    tables, models = same_events(scores, split), trained(scores)
    rows = [Quality(name, text) for name, text in _OVERALL.items()]
    table = quality_table(counted(tables, metrics, list(_OVERALL)), models, rows, _REPLICAS)
    return Figure(
        "overall",
        "Candidates and the truth",
        f"{events_of(tables)} of split {split}. A true cell is where a row and three wires meet "
        "and enough electrons arrived to be seen (`labels.min_electrons`); electrons and energy are counted in all "
        "cells, ghosts among candidates of known truth. No later stage finds one that is no candidate. "
        "Nothing is learned and the search is exact, so there is no baseline. Intervals: bootstrap over events.",
        table=table.rename(columns={"model": "share, or number"}),
    )


def state_table(scores: Mapping[str, Scores], split: str) -> Figure:
    """True cells, and all electrons and energy, by what the wires saw of them."""
    tables = same_events(scores, split)
    sums = counts(tables[trained(scores)[0]]).sum()
    cells = sum(sums[f"cells_{state}"] for state in STATES)
    electrons = sum(sums[f"electrons_{state}"] for state in STATES)
    rows = []
    for state, text in STATES.items():
        own, found = sums[f"cells_{state}"], sums[f"found_{state}"]
        charge, found_charge = sums[f"electrons_{state}"], sums[f"found_electrons_{state}"]
        energy, found_energy = sums[f"energy_{state}"], sums[f"found_energy_{state}"]
        rows.append(
            {
                "what the wires saw": text,
                "share of the electrons": number(_ratio(charge, electrons)),
                "in candidates": number(_ratio(found_charge, charge)),
                "in candidates, by energy": number(_ratio(found_energy, energy)),
                "true cells": int(own),
                "share of the cells": number(_ratio(own, cells)),
                "candidates": number(_ratio(found, own)),
            }
        )
    return Figure(
        "states",
        "True cells by what their wires saw",
        f"Split {split}. Electrons that diffuse reach many cells with little charge: hence the many below threshold. "
        "Electrons and energy are those of all cells.",
        table=pd.DataFrame(rows),
    )


def occupancy_figure(scores: Scores) -> Figure:
    """Candidates per pixel, and ghosts among them, against the live pixels of the row."""
    curve = scores.curves
    uids = np.unique(scores.events["uid"])
    bins = len(OCCUPANCY_EDGES) - 1
    columns = [curve[name].to_numpy() for name in ("n_rows", "n_pixels", "n_triplets", "n_known", "n_good")]
    label = np.zeros(len(curve), np.int64)
    sums = binned(uids, curve["uid"].to_numpy(), label, curve["bin"].to_numpy(), columns, 1, bins)[:, 0]
    centres = ratio(sums[..., :2].sum(axis=0))
    seen = sums[:, :, 0].sum(axis=0) >= _FEWEST
    with style():
        canvas = Canvas(figsize=(7.4, 2.9))
        left, right = canvas.subplots(1, 2)
        for axis, pair, flip, label_y in (
            (left, sums[..., [1, 2]], False, "candidates per live pixel"),
            (right, sums[..., [3, 4]], True, "ghosts among the candidates"),
        ):
            found = bootstrap(pair, ratio, _REPLICAS) if len(pair) else None
            if found is not None:
                value, low, high = (1 - x if flip else x for x in (found.value, found.low, found.high))
                axis.fill_between(centres[seen], low[seen], high[seen], color=SERIES_COLORS[0], alpha=0.2, linewidth=0)
                axis.plot(centres[seen], value[seen], "o-", color=SERIES_COLORS[0], markersize=3)
            axis.set_xscale("log")
            axis.set_xlabel("live pixels of the row, all planes")
            axis.set_ylabel(label_y)
            axis.set_ylim(0, 1.02 if flip else None)
        svg = to_svg(canvas, "occupancy", "Candidates per pixel and ghosts against the pixels of a row")
    return Figure(
        "occupancy",
        "How full the rows are",
        "Candidates per live pixel, and the share of those of known truth that is no true cell, by the number of live "
        f"pixels in the row; bins of fewer than {_FEWEST} rows are left out. Bands: 95 % intervals over events.",
        svg=svg,
    )


def _energy_figure(scores: Mapping[str, Scores]) -> Figure:
    found = {}
    for name, part in scores.items():
        rows = part.objects
        columns = [rows["n_cells"].to_numpy(), rows["n_found"].to_numpy()]
        n_classes = max(5, int(rows["class"].max()) + 1)
        found[name] = by_energy(part.events, rows, "energy", "class", columns, n_classes)
    x, y = "energy left by the particle", "candidate efficiency"
    return Figure(
        "energy",
        "Candidate efficiency against the energy left by the particle",
        f"Share of a particle's true cells that are candidates, by its class; bins of fewer than {_FEWEST} cells are "
        "left out. Bands: 95 % intervals over events.",
        svg=ratio_panels(found, ENERGY_EDGES, f"{x} [MeV]", y, _FEWEST),
    )


def shift_table(scores: Mapping[str, Scores], nominal: str) -> Figure:
    """The main metrics on every split that was scored."""
    return Figure(
        "shifts",
        "Shifted conditions",
        "The same search on events of other detectors than those of the training: more noise, more diffusion, other "
        "dead wires. Intervals: bootstrap over events.",
        table=shift_rows(scores, nominal, metrics, [(name, _OVERALL[name]) for name in _SHIFTS], _REPLICAS),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
