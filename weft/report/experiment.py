"""Gather what the runs of an experiment left behind, and write its report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weft.config import BASELINE, Dataset, Experiment, Layout, Run, Stage, plan
from weft.config.experiment import Inputs
from weft.config.plan import TRUTH
from weft.errors import WeftError
from weft.io.provenance import CHOSEN
from weft.io.store import EventStore
from weft.metrics.scores import Scores, read_scores
from weft.reco.feed import FedStore
from weft.report import rerun
from weft.report.comparison import Comparison, Judge, Metrics, compare, metric_label
from weft.report.dataset import dataset_table
from weft.report.figure import Figure
from weft.report.folds import fold_figures
from weft.report.page import Cover, StageReport, render_report
from weft.report.show import can_show, store_payload
from weft.report.sweep import Point, gather_points, sweep_figures, sweep_notes
from weft.report.tables import format_number

EXTREMES = 3
"""worst and best events shown, of each kind"""


def report_experiment(
    experiment: Experiment,
    dataset: Dataset,
    tasks: Mapping[str, Judge],
    layout: Layout,
    path: Path,
    source: str | None = None,
) -> None:
    """Write the report of an experiment whose stages have been trained, deployed and evaluated.

    ``tasks`` maps each stage to its task; ``source`` is the name or path that the experiment was loaded by, for the
    commands that make it again (default: its name). Raises `WeftError` naming the first file that is missing.
    """
    source = source or experiment.name
    runs = plan(experiment, dataset, layout)
    stages = [
        gather_stage([run for run in runs if run.stage_name == name], tasks[name], source, inputs)
        for name in experiment.order()
        for inputs in experiment.stages[name].evaluation.inputs
    ]
    records = {f"{stage.name} {variant}": r for stage in stages for variant, r in stage.provenance.items()}
    page = cover(experiment, dataset, records)
    shown = dataset_table(dataset, runs, stages[0].thing if stages else "event")
    page = replace(page, dataset=shown, rerun=rerun.whole(experiment, dataset, layout, source))
    render_report(path, page, stages)


def cover(experiment: Experiment, dataset: Dataset, records: Mapping[str, Mapping[str, Any]]) -> Cover:
    """Title, facts, and notes on the code; ``records``: provenance by run."""
    versions = sorted({code_version(record) for record in records.values()})
    return Cover(
        name=experiment.id,
        title=experiment.title,
        description=experiment.description,
        facts={
            "dataset": f"{dataset.title or dataset.name} ({dataset.id})",
            "scale": experiment.scale or "none",
            "seeds": ", ".join(map(str, experiment.seeds)),
            "code": ", ".join(versions),
            "last run": max((str(r.get("created", "")) for r in records.values()), default="").replace("T", " ")[:16],
        },
        notes=code_notes(records),
    )


def code_version(record: Mapping[str, Any]) -> str:
    """The code that made something, in a few characters."""
    commit = str(record.get("commit", ""))[:10] or f"weft {record.get('weft', '?')}"
    return commit + ("+changes" if record.get("dirty") else "")


def code_notes(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Warnings where results were made by different code, or by code that no commit holds."""
    made: dict[str, list[str]] = {}
    for what, record in records.items():
        made.setdefault(code_version(record), []).append(what)
    notes = []
    if len(made) > 1:
        parts = "; ".join(f"{version}: {', '.join(what)}" for version, what in made.items())
        notes.append(f"Results on this page were made by different versions of the code. {parts}.")
    if any(record.get("dirty") for record in records.values()):
        notes.append("Some of the code had changes that were not committed: the commit alone does not reproduce it.")
    return notes


def gather_stage(runs: Sequence[Run], task: Judge, source: str, inputs: Inputs | None = None) -> StageReport:
    """One stage fed with ``inputs`` (default: the headline), from the files of its runs: scores, logs, provenance, and
    the events worth a look. What does not depend on the inputs is in the report of the headline only.

    Of a swept stage the point that did best in validation is shown in full, and all are compared.
    """
    headline = runs[0].stage.evaluation.inputs[0]
    inputs = inputs or headline
    models = [run for run in runs if not run.is_baseline]
    logs = {run.variant: _read(run.log, pd.read_csv) for run in models}
    provenance = {run.variant: _read(run.provenance, _json) for run in runs}
    scores = {run.variant: read_scores(Path(run.score("events", run.source_of(inputs))).parent) for run in runs}
    points = gather_points(models, logs, provenance, task.headline[0])
    chosen, baseline = points[0].runs, points[0].runs[0].baseline()
    shown = {f"seed{run.seed}": scores[run.variant] for run in chosen}
    if baseline is not None:
        shown[BASELINE] = scores[baseline.variant]
    first = chosen[0]
    split, *others = first.stage.evaluation.splits
    tables = {name: table.events for name, table in shown.items()}
    comparisons = compare_split(tables, split, task, task.headline)
    figures = task.figures(shown, split)
    # A task that shows the other splits itself does so in more detail.
    shifted = [] if any(figure.key == "shifts" for figure in figures) else others
    judged, fed = scores[first.variant].events, first.source_of(inputs)
    displays, displayed = extreme_events(first, judged, task, split, fed)
    figures += middle_event(first, judged, task, split, fed)
    if baseline is not None:
        figures = captioned(figures, provenance[baseline.variant].get(CHOSEN, ""))
    swept = len(points) > 1
    notes = sweep_notes(points, task.headline[0], task.thing) if swept else []
    notes += sample_notes(first, inputs, task.thing) + validation_notes(first)
    report = StageReport(
        name=first.stage_name,
        fed=fed_with(first, inputs),
        task=first.stage.task,
        variants=[f"{len(points)} points of a sweep", *shown] if swept else [run.variant for run in runs],
        point=points[0].title,
        comparisons=comparisons,
        shifts=[c for other in shifted for c in compare_split(tables, other, task, task.headline[:1])],
        sweep=_swept_figures(points, scores, split, task, provenance) if swept else [],
        figures=figures,
        displays=displays,
        displayed=displayed,
        thing=task.thing,
        logs=logs,
        curves={run.variant: point.title for point in points for run in point.runs} if swept else {},
        provenance=provenance,
        rerun=[(f"Train {first.variant}", rerun.train(first, source))],
        notes=notes,
    )
    if inputs == headline:
        return report
    return replace(report, key=f"{first.stage_name}-on-{inputs}", logs={}, provenance={}, rerun=[])


def _swept_figures(
    points: Sequence[Point],
    scores: Mapping[str, Scores],
    split: str,
    task: Judge,
    provenance: Mapping[str, Mapping[str, Any]],
) -> list[Figure]:
    models = [run for point in points for run in point.runs]
    return fold_figures(models, task, provenance) + sweep_figures(points, scores, split, task, provenance)


def fed_with(run: Run, inputs: Inputs) -> str:
    """What a stage that reads predictions is fed in an evaluation, in words."""
    if not run.stage.inputs:
        return ""
    if inputs == TRUTH:
        return f"true products in place of the predictions of {', '.join(run.stage.inputs)}"
    runs = [run.upstream(name) for name in run.stage.inputs]
    return f"predictions of {', '.join(f'{run.stage_name} ({run.variant})' for run in runs)}"


def sample_notes(run: Run, inputs: Inputs = "predictions", thing: str = "event") -> list[str]:
    """Where numbers come from events that a model has learned from, or from other inputs than it has learned on."""
    notes = []
    stages = run.experiment.stages
    learned = _learned_behind(stages, run.stage_name)
    if "train" in run.stage.evaluation.splits and (run.stage.learned or learned):
        notes.append(f"The split 'train' is in-sample: the models have learned from these {thing}s.")
    if not run.stage.inputs or not run.stage.learned:
        return notes
    trained = run.stage.training_inputs
    if inputs not in trained:
        words = {"truth": "true products", "predictions": "predictions of earlier stages"}
        notes.append(f"Trained on {words[trained[0]]}, fed {words[inputs]} here.")
    if "predictions" in trained:
        for name in learned:
            notes.append(
                f"Trained on in-sample predictions: stage '{name}' learned from the same training {thing}s, so its "
                f"predictions there are better than on the held-out {thing}s that are scored here."
            )
    return notes


def captioned(figures: Sequence[Figure], chosen: str) -> list[Figure]:
    """The figures of a task, the first one saying what its baseline has chosen, where it has chosen something."""
    if not figures or not chosen:
        return list(figures)
    first, *others = figures
    return [replace(first, caption=f"{first.caption} Baseline: {chosen}.".strip()), *others]


def validation_notes(run: Run) -> list[str]:
    """Which weights were kept, where no split of its own says it."""
    training = run.stage.training
    if training is None or not run.stage.learned:
        return []
    if training.validate_every is None:
        return ["Nothing was validated: the weights are those of the last step, whatever they are worth."]
    return []


def _learned_behind(stages: Mapping[str, Stage], name: str) -> list[str]:
    """The stages with something learned whose predictions a stage reads, at first hand or through such as only pass
    on what they read."""
    found = []
    for needed in stages[name].inputs:
        found += [needed] if stages[needed].learned else _learned_behind(stages, needed)
    return list(dict.fromkeys(found))


def compare_split(
    tables: Mapping[str, pd.DataFrame], split: str, task: Judge, names: Sequence[str]
) -> list[Comparison]:
    """Every model of a stage against its baseline on one split; ``tables``: event scores by variant."""
    chosen = {variant: table[table["split"] == split] for variant, table in tables.items()}
    empty = [variant for variant, table in chosen.items() if not len(table)]
    if empty:
        raise WeftError(f"{empty[0]} has no scored events of the split '{split}': run `weft evaluate` again")
    models = {variant: table for variant, table in chosen.items() if variant != BASELINE}
    judged = chosen.get(BASELINE)
    return compare(task.metrics, names, split, models, judged, claim_events=task.claim_events, thing=task.thing)


def rank_events(events: pd.DataFrame, metrics: Metrics, metric: str) -> pd.Series:
    """The metric of each event by itself, ascending, by row of ``events``; events without one are left out."""
    return metrics(events)[metric].dropna().sort_values(kind="stable")


def extreme_events(
    run: Run, events: pd.DataFrame, task: Judge, split: str, source: str | None = None
) -> tuple[list[Mapping[str, Any]], str]:
    """Payloads of the worst and best events of a split and how they were chosen; none where they cannot be shown."""
    metric = task.headline[0]
    table, ranked = _ranked(events, task, split)
    number = min(EXTREMES, len(ranked) // 2)
    chosen = [(f"worst {k + 1}", ranked.index[k]) for k in range(number)]
    chosen += [(f"best {k + 1}", ranked.index[-1 - k]) for k in range(number)]
    payloads: list[Mapping[str, Any]] = []
    for label, row in chosen:
        note = f"{metric_label(metric)} {format_number(ranked[row])}"
        with _event_store(run, table.loc[row], split, source) as (store, index):
            payload = task.event_payload(store, index, note, label)
            if payload is None and not can_show(store.store):
                return [], ""
            payloads.append(payload or store_payload(store.store, index, note, label))
    how = (
        f"The {task.thing}s of the split '{split}' with the lowest and the highest {metric_label(metric)} of "
        f"{run.variant}, out of {len(ranked)}."
    )
    return payloads, how if payloads else ""


def middle_event(run: Run, events: pd.DataFrame, task: Judge, split: str, source: str | None = None) -> list[Figure]:
    """What the task draws of the event of a split with the median of the first headline metric."""
    table, ranked = _ranked(events, task, split)
    if not len(ranked):
        return []
    row = ranked.index[len(ranked) // 2]
    label = metric_label(task.headline[0])
    note = (
        f"which has the median {label} of {run.variant} among the {task.thing}s of split {split}: "
        f"{format_number(ranked[row])}"
    )
    with _event_store(run, table.loc[row], split, source) as (store, index):
        return task.event_figures(store, index, note)


def _ranked(events: pd.DataFrame, task: Judge, split: str) -> tuple[pd.DataFrame, pd.Series]:
    table = events[events["split"] == split].reset_index(drop=True)
    return table, rank_events(table, task.metrics, task.headline[0])


@contextmanager
def _event_store(run: Run, event: pd.Series, split: str, source: str | None) -> Iterator[tuple[FedStore, int]]:
    """The stores that an event was scored from, and its number there."""
    files = run.evaluation_inputs(source)[split]
    shard, uid = event["shard"], event["uid"]
    if shard not in files:
        raise WeftError(f"{run.score('events', source)}: shard {shard} is not one of split '{split}': evaluate again")
    with EventStore.open(files[shard]) as store:
        index = np.flatnonzero(store.events["uid"] == uid)
        if not len(index):
            raise WeftError(
                f"{files[shard][TRUTH]}: no event of id {uid}, which {run.variant} was scored on: evaluate again"
            )
        yield FedStore(store, run.providers(source)), int(index[0])


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _read(path: str, reader: Any) -> Any:
    try:
        return reader(Path(path))
    except FileNotFoundError:
        raise WeftError(f"{path} does not exist: run `weft train` for this variant first") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise WeftError(f"{path} cannot be read ({error}): train this variant again") from None
