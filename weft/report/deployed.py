"""What became of every file that a chain was to be run on: a table in which nothing is missing silently."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from weft.config import Chain, Dataset, Experiment, Layout, Shard, chains_of
from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.store import EventStore

#: Products whose rows are counted, and what they are called; those that the chain makes.
COUNTED = {
    "triplets": "triplets",
    "triplet_scores": "kept triplets",
    "space_points": "space points",
    "key_points": "key points",
    "reco_particles": "particles",
    "reco_interactions": "interactions",
}
State = Literal["done", "missing", "failed", "unreadable", "incomplete"]
#: What the states mean, for captions.
MEANING = {
    "done": "every event that was read has its products",
    "missing": "not made yet",
    "failed": "its job left with an error",
    "unreadable": "there is a file, but it cannot be read",
    "incomplete": "it has another number of events than were read",
}


@dataclass(frozen=True)
class Deployed:
    """One file with one variant of the chain; None: not known."""

    variant: str
    split: str
    shard: str
    file: str
    """what was read: a file of the user's, or one that was simulated"""
    state: State
    said: str = ""
    """of what is not done: the last line of the job's log, or what is wrong with the file"""
    events_in: int | None = None
    events_out: int | None = None
    rows: dict[str, int] = field(default_factory=dict)
    """rows of the products of `COUNTED` that there are"""


def deployed(experiment: Experiment, dataset: Dataset, layout: Layout) -> list[Deployed]:
    """The state of every file of the splits that the chain runs on, with each variant of it."""
    return [
        _look(chain, dataset, layout, split, shard)
        for chain in chains_of(experiment, dataset, layout).values()
        for split in chain.splits
        for shard in dataset.shards(split)
    ]


def deployed_rows(found: Sequence[Deployed]) -> list[dict[str, object]]:
    """A row per file and variant; a column for each counted product that any of them has. None: not known."""
    present = [name for name in COUNTED if any(name in one.rows for one in found)]
    rows = []
    for one in found:
        row: dict[str, object] = {"variant": one.variant, "split": one.split, "file": one.file}
        row |= {"events in": one.events_in, "events out": one.events_out}
        row |= {COUNTED[name]: one.rows.get(name) for name in present}
        rows.append(row | {"state": one.state, "said": one.said})
    return rows


def summary(found: Sequence[Deployed]) -> list[str]:
    """How many are done, then a line for each that is not."""
    states = Counter(one.state for one in found)
    others = ", ".join(f"{count} {state}" for state, count in states.items() if state != "done")
    lines = [f"{states['done']} of {len(found)} files done" + (f", {others}" if others else "")]
    for one in found:
        if one.state != "done":
            lines.append(f"{one.state}: {one.file} ({one.variant})" + (f": {one.said}" if one.said else ""))
    return lines


def write_deployed(found: Sequence[Deployed], path: Path) -> None:
    """The table as tab-separated text; what is not known is empty."""
    rows = deployed_rows(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["file"], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _look(chain: Chain, dataset: Dataset, layout: Layout, split: str, shard: Shard) -> Deployed:
    source = shard.file or layout.raw(dataset.id, split, shard.id)
    made = chain.prediction(split, shard.id)
    run = chain.runs[0]
    where = (chain.variant, split, shard.id, source)
    try:
        with EventStore.open(chain.events(split, shard.id)) as store:
            events_in = len(store)
    except (OSError, WeftError):  # it need not be there any more
        events_in = None
    if not Path(made).exists():
        logs = [
            layout.job_log("deploy_chain", run.experiment.id, chain.variant, split, shard.id),
            layout.job_log("convert_events", dataset.id, split, shard.id),
            layout.job_log("simulate_events", dataset.id, split, shard.id),
        ]
        # Of a job that went well there is no error in its log.
        said = next(filter(None, map(_error, logs if events_in is not None else logs[1:])), "")
        return Deployed(*where, "failed" if said else "missing", said, events_in)
    try:
        with EventStore.open(made) as store:
            events_out = len(store)
            rows = {name: int(store[name].counts.sum()) for name in COUNTED if name in store}
    except (OSError, WeftError) as error:
        return Deployed(*where, "unreadable", str(error), events_in)
    if events_in is not None and events_in != events_out:
        said = f"{events_out} events of {events_in}"
        return Deployed(*where, "incomplete", said, events_in, events_out, rows)
    return Deployed(*where, "done", "", events_in, events_out, rows)


def _error(log: str) -> str:
    """The last line of a log, if it says an error."""
    try:
        lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    kind, colon, text = last.partition(":")
    if kind == "error" and colon:
        return text.strip()
    # Of what nobody foresaw the last line of the traceback.
    return last if any(line.startswith("Traceback") for line in lines) else ""
