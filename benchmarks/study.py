"""The table of an experiment that has been run: every seed and the baseline, on every split, as Markdown.

    python benchmarks/study.py segmentation --scale study --write
    python benchmarks/study.py meshes --scale study --pair textured geometry --write

Run the experiment first (`snakemake --cores 2 --config scale=study -- segmentation`). With --write the table goes to
benchmarks/results/<experiment>.md. Differences are paired bootstraps over events; "beats" needs every seed's 95 %
interval to exclude zero. With --pair the second of two stages of one task is also what the first is compared with, seed
by seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from weft import tasks
from weft.config import Experiment, Layout, Run, load_dataset, load_experiment, plan
from weft.metrics.scores import read_scores
from weft.report.comparison import Comparison, compare, metric_label, verdict

INPUTS = {"predictions": "predicted", "truth": "true"}
"""what a stage is fed, in a word"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--scale", default="study")
    parser.add_argument("--results", default="results")
    parser.add_argument("--pair", nargs=2, metavar="STAGE", help="two stages to compare with each other")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    experiment = tasks.resolve(load_experiment(arguments.experiment, arguments.scale))
    dataset = load_dataset(experiment.dataset, arguments.scale)
    text = "\n".join(lines(experiment, plan(experiment, dataset, Layout(arguments.results)), arguments.pair))
    print(text)
    if arguments.write:
        path = Path(__file__).parent / "results" / f"{experiment.id}.md"
        path.write_text(text + "\n")
        print(f"\nwritten to {path}")


def lines(experiment: Experiment, runs: list[Run], pair: list[str] | None) -> Iterator[str]:
    """The Markdown of all stages."""
    paired = f" --pair {' '.join(pair)}" if pair else ""
    yield f"# {experiment.title}: {experiment.id}\n"
    yield f"Made by `python benchmarks/study.py {experiment.name} --scale {experiment.scale}{paired} --write`.\n"
    for stage_name in experiment.stages:
        mine = {run.variant: run for run in runs if run.stage_name == stage_name}
        yield f"## {stage_name}\n"
        yield from provenance({v: json.loads(Path(run.provenance).read_text()) for v, run in mine.items()})
        yield ""
        yield from scores_of(mine)
    if pair:
        yield f"## {pair[0]} and {pair[1]}\n"
        yield from pair_of(*({run.variant: run for run in runs if run.stage_name == name} for name in pair))


def scores_of(runs: Mapping[str, Run]) -> Iterator[str]:
    """The table of one stage: every metric of every split, on all that the stage is fed."""
    first = next(iter(runs.values()))
    task, evaluation = tasks.of(first.stage), first.stage.evaluation
    seeds = [variant for variant in runs if variant != "baseline"]
    compared = ["baseline", "difference of each seed [95 %]", "verdict"] if "baseline" in runs else []
    columns = ["input", "split", "metric", *seeds, "mean ± s.d.", *compared]
    yield "| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|"
    for k, fed in enumerate(evaluation.inputs):
        tables = {v: read_scores(Path(run.score("events", run.sources[k])).parent).events for v, run in runs.items()}
        for split in evaluation.splits:
            of_split = {variant: table[table["split"] == split] for variant, table in tables.items()}
            baseline = of_split.pop("baseline", None)
            for comparison in compare(task.metrics, metrics(task, of_split), split, of_split, baseline):
                yield f"| {INPUTS[fed] if first.stage.inputs else INPUTS['truth']} {row(comparison)}"
    yield f"\n{len(next(iter(of_split.values())))} {task.thing}s a split.\n"


def pair_of(first: Mapping[str, Run], second: Mapping[str, Run]) -> Iterator[str]:
    """The headline metrics of one stage minus those of another, each seed's and the baselines', on every split."""
    task = tasks.of(next(iter(first.values())).stage)
    tables = [
        {variant: read_scores(Path(run.score("events", run.sources[0])).parent).events for variant, run in runs.items()}
        for runs in (first, second)
    ]
    yield "| split | metric | " + " | ".join(first) + " | seeds |\n" + "|---" * (len(first) + 3) + "|"
    for split in next(iter(first.values())).stage.evaluation.splits:
        compared = {}
        for variant in first:
            ours, theirs = (table[variant][table[variant]["split"] == split] for table in tables)
            compared[variant] = compare(task.metrics, task.headline, split, {variant: ours}, theirs)
        for k, name in enumerate(task.headline):
            found = {variant: (of_metrics[k].differences or {})[variant] for variant, of_metrics in compared.items()}
            said = verdict([difference for variant, difference in found.items() if variant != "baseline"])
            cells = [split, metric_label(name), *map(str, found.values()), said]
            yield "| " + " | ".join(cells) + " |"


def metrics(task: Any, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The task's headline metrics, then all others that every seed has."""
    summaries = [task.summary(table) for table in tables.values()]
    others = [name for name in summaries[0] if name not in task.headline and name.startswith(("iou_", "recall_"))]
    return [*task.headline, *others]


def row(comparison: Comparison) -> str:
    """One line of the table."""
    cells = [comparison.split, comparison.label, *(f"{value:.4f}" for value in comparison.model.values())]
    spread = "" if comparison.spread is None else f" ± {comparison.spread:.4f}"
    cells.append(f"{comparison.mean:.4f}{spread}")
    if comparison.baseline is not None:
        differences = (comparison.differences or {}).values()
        cells += [f"{comparison.baseline:.4f}", "; ".join(map(str, differences)), comparison.verdict]
    return "| " + " | ".join(cells) + " |"


def provenance(records: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What made each variant, and how long it took."""
    yield "| variant | code | made | device | minutes | peak memory [GB] |\n|---|---|---|---|---|---|"
    for variant, record in records.items():
        code = record["commit"][:10] if "commit" in record else "an export, without version control"
        code += ", with local changes" if record.get("dirty") else ""
        yield (
            f"| {variant} | {code} | {record['created'][:16]} | {record['device']} "
            f"| {record['wall_time_s'] / 60:.1f} | {record['peak_memory_mb'] / 1000:.1f} |"
        )


if __name__ == "__main__":
    main()
