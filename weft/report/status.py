"""How far each run of an experiment is, as the files say that it has left so far."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from weft.config import Run
from weft.config.layout import TABLES
from weft.config.plan import PREDICTION
from weft.io.provenance import config_hash
from weft.metrics.scores import pool
from weft.report.comparison import Judge, metric_label
from weft.report.tables import format_number

State = Literal["planned", "training", "trained", "deployed", "scored"]


@dataclass(frozen=True)
class Status:
    """How far one run is."""

    run: Run
    state: State
    detail: str = ""
    """the step that a training has reached, or why what is there will be made again"""
    metric: str = ""
    value: float | None = None
    """the headline metric on the first split of the evaluation, once there are scores"""

    @property
    def target(self) -> str:
        """The files to ask snakemake for, to have all of this run."""
        return " ".join(self.run.score(TABLES[0], source) for source in self.run.sources)


def status_of(run: Run, task: Judge) -> Status:
    """How far a run is. A training that has left a log but no model is running, or was stopped: its age tells."""
    if not all(map(_exists, (run.model, run.provenance))):
        return Status(run, *_progress(run))
    record = json.loads(Path(run.provenance).read_text(encoding="utf-8"))
    if record.get("config_hash") != config_hash(run.training_options()):
        return Status(run, "trained", "with other options")
    scores = [run.score(table, source) for source in run.sources for table in TABLES]
    predictions = [
        files[PREDICTION]
        for source in run.sources
        for shards in run.evaluation_inputs(source).values()
        for files in shards.values()
    ]
    if not all(map(_exists, predictions)):
        return Status(run, "trained")
    if not all(map(_exists, scores)):
        return Status(run, "deployed")
    if min(map(_changed, scores)) < _changed(run.model):
        return Status(run, "trained", "the scores are older")
    events = pd.read_parquet(scores[0])
    judged = events[events["split"] == run.stage.evaluation.splits[0]]
    value = float(task.metrics(pool(judged))[task.headline[0]].iloc[0])
    return Status(run, "scored", metric=metric_label(task.headline[0]), value=value)


def status_lines(states: Sequence[Status]) -> list[str]:
    """A table as lines of text, one for each run."""
    rows = [("stage", "variant", "state", "", "target")]
    for status in states:
        said = f"{status.metric} {format_number(status.value)}" if status.value is not None else status.detail
        target = "" if status.state == "scored" else status.target
        rows.append((status.run.stage_name, status.run.variant, status.state, said, target))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _progress(run: Run) -> tuple[State, str]:
    """Whether a training has begun, and the step that it has reached."""
    logs = list(Path(run.work).glob("*/log.csv"))
    if not logs:
        return "planned", ""
    newest = max(logs, key=lambda path: path.stat().st_mtime)
    log = pd.read_csv(newest)
    step = int(log["step"].max()) if len(log) else 0
    length = run.stage.require_training().iterations
    reached = f"step {step} of {length}" if length else f"step {step}"
    return "training", f"{reached}, {_age(time.time() - newest.stat().st_mtime)} ago"


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _exists(path: str) -> bool:
    return Path(path).is_file()


def _changed(path: str) -> float:
    return Path(path).stat().st_mtime
