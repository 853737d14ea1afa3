"""A cross-validation in a report: what each fold's model makes of the events that it has not seen, and all together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd

from weft.config import Run
from weft.metrics.bootstrap import Interval, bootstrap
from weft.metrics.scores import HELD_OUT, counts, pool
from weft.report.comparison import Judge, metric_label
from weft.report.figure import Figure
from weft.report.tables import MISSING, format_number
from weft.report.variants import envelope

ALL = "all"


def fold_of(run: Run) -> int | None:
    """Which fold of the training events a run was validated on; None where it was on other ones."""
    training = run.stage.training
    return None if training is None or training.hold_out is None else training.hold_out.fold


def beside_folds(run: Run) -> str:
    """What runs have in common that differ in their fold and seed only."""
    options = run.stage.training_options()
    if fold_of(run) is not None:
        del options["training"]["hold_out"]["fold"]
    upstream = {name: point for name, point in run.setting.items() if name != run.stage_name}
    return json.dumps([options, upstream], sort_keys=True, default=str)


def folds_of(models: Sequence[Run]) -> list[list[Run]]:
    """The runs of each cross-validation with more than one fold, in order."""
    groups: dict[str, list[Run]] = {}
    for run in models:
        if fold_of(run) is not None:
            groups.setdefault(beside_folds(run), []).append(run)
    return [runs for runs in groups.values() if len({fold_of(run) for run in runs}) > 1]


def fold_figures(models: Sequence[Run], task: Judge, provenance: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """A table of the folds of each cross-validation among the runs: events, kept step, headline metrics.

    The last row has the metrics of the counts of all events added up, each judged by the model that has not learned
    from it, and their bootstrap intervals over events. A fold that left no table beside its model has none.
    """
    figures = []
    for number, runs in enumerate(folds_of(models)):
        tables = {run.variant: _held_out(run) for run in runs}
        rows = []
        for fold in sorted({fold for run in runs if (fold := fold_of(run)) is not None}):
            of_fold = [run for run in runs if fold_of(run) == fold]
            steps = [provenance[run.variant].get("best_step") for run in of_fold]
            row: dict[str, Any] = {"fold": str(fold), "kept step": ", ".join(str(step) for step in steps)}
            rows.append(row | _metrics([tables[run.variant] for run in of_fold], task))
        seeds = sorted({run.seed for run in runs})
        whole = [_together([tables[run.variant] for run in runs if run.seed == seed]) for seed in seeds]
        rows.append({"fold": ALL, "kept step": MISSING} | _metrics(whole, task, intervals=True))
        figures.append(_figure(runs, number, rows, seeds, f"{task.thing}s"))
    return figures


def fold_notes(shown: Run, folds: int, thing: str) -> list[str]:
    """Which model of a cross-validation the page shows in full."""
    return [
        f"A cross-validation: each of {folds} folds was held out once. Shown in full is the model of fold "
        f"{fold_of(shown)}; folds are not compared by their validation {thing}s, which differ."
    ]


def _figure(
    runs: Sequence[Run], number: int, rows: Sequence[Mapping[str, Any]], seeds: Sequence[int], things: str
) -> Figure:
    training = runs[0].stage.require_training()
    title = "Cross-validation"
    others = {key: value for key, value in runs[0].swept().items() if value is not None and not _is_fold(runs, key)}
    if others:
        title += " with " + ", ".join(f"{key} = {value}" for key, value in others.items())
    caption = (
        f"Training {things}, each judged by the model that has not learned from it; the last row adds up the counts of "
        f"all folds. Brackets: 95 % bootstrap interval over {things}. "
    )
    caption += f"Mean of {len(seeds)} seeds; the interval is that of their counts added up. " if len(seeds) > 1 else ""
    validated_once = training.iterations is not None and (training.validate_every or 0) >= training.iterations
    caption += (
        f"Each model was validated once, at its end: nothing was chosen on these {things}."
        if validated_once
        else f"The kept step of a fold was chosen on these same {things}, which flatters it a little."
    )
    return Figure(f"folds{number or ''}", title, caption, table=pd.DataFrame(rows))


def _is_fold(runs: Sequence[Run], key: str) -> bool:
    """Whether a swept key is what tells the folds apart."""
    return len({json.dumps(run.swept()[key], default=str) for run in runs}) > 1


def _held_out(run: Run) -> pd.DataFrame | None:
    path = Path(run.model).with_name(HELD_OUT)
    return pd.read_parquet(path) if path.is_file() else None


def _together(tables: Sequence[pd.DataFrame | None]) -> pd.DataFrame | None:
    """All folds of a seed end to end; None where one is missing, for the rest is no whole."""
    there = [table for table in tables if table is not None]
    return pd.concat(there, ignore_index=True) if len(there) == len(tables) else None


def _metrics(tables: Sequence[pd.DataFrame | None], task: Judge, intervals: bool = False) -> dict[str, str]:
    """Number of events and headline metrics, the mean over the tables of several seeds."""
    there = [table for table in tables if table is not None]
    labels = [metric_label(name) for name in task.headline]
    if len(there) < len(tables):
        return {f"{task.thing}s": MISSING, **dict.fromkeys(labels, MISSING)}
    names = list(task.headline)
    pooled = [task.metrics(pool(table))[names].to_numpy(np.float64)[0] for table in there]
    texts = [format_number(mean(float(values[k]) for values in pooled)) for k in range(len(names))]
    if intervals:
        spread = _interval(there, task, names)
        limits = [envelope([spread], k) for k in range(len(names))]
        texts = [f"{text} {limit}" if limit != MISSING else text for text, limit in zip(texts, limits, strict=True)]
    return {f"{task.thing}s": str(len(there[0])), **dict(zip(labels, texts, strict=True))}


def _interval(tables: Sequence[pd.DataFrame], task: Judge, names: Sequence[str]) -> Interval:
    columns = counts(tables[0]).columns
    summed = sum(table.sort_values("uid")[columns].to_numpy(np.float64) for table in tables)

    def statistic(sums: np.ndarray) -> np.ndarray:
        return task.metrics(pd.DataFrame(sums, columns=columns))[list(names)].to_numpy(np.float64)

    return bootstrap(summed, statistic)
