"""The first steps of every training of an experiment's `reference` scale, with its networks, batches and optimisers.

    python benchmarks/reference.py [--experiment full_chain] [--steps 200] [--dataset study] [--stage NAME] [--write]

A reference training takes a GPU some hours; this shows that it starts and learns. The events are those of another
scale, made first: `snakemake --cores 2 --config scale=study --until convert_events`. Each stage starts from the weights
that the ones before it have after as many steps, and prints its loss at the start and at the end (means over a
twentieth of the steps), the metrics of validation, seconds a step and memory.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from weft import tasks
from weft.config import Layout, Run, load_dataset, load_experiment, plan
from weft.engine.fit import fit
from weft.errors import WeftError
from weft.io.provenance import collect

OUTPUT = Path(__file__).parent / "results" / "reference.md"


def runs(experiment: str, dataset: str, steps: int, results: str) -> list[Run]:
    """The first seed of each stage that learns, trained for so many steps and validated at the end."""
    made = load_experiment(experiment, "reference")
    learned = [name for name, stage in tasks.resolve(made).stages.items() if stage.learned]
    changes = {"iterations": steps, "validate_every": steps, "log_every": 1, "workers": 1, "validation_events": 50}
    overrides = [f"stages.{name}.training.{key}={value}" for name in learned for key, value in changes.items()]
    made = tasks.resolve(load_experiment(experiment, "reference", overrides))
    planned = plan(made, load_dataset(made.dataset, dataset), Layout(results))
    return [run for run in planned if run.stage_name in learned and run.variant == f"seed{made.seeds[0]}"]


def train(run: Run, gpu: bool) -> dict[str, Any]:
    """One training, from the files that the workflow would give it; what its log says."""
    stage = run.stage.model_copy(update={"resources": run.stage.resources.model_copy(update={"gpu": int(gpu)})})
    shards = {split: list(run.training_inputs(split).values()) for split in ("train", "val")}
    missing = [
        path for files in shards.values() for names in files for path in names.values() if not Path(path).exists()
    ]
    if missing:
        raise WeftError(
            f"{missing[0]} is missing: stage '{run.stage_name}' of the reference must be trainable on truth"
        )
    output = Path(run.model).parent
    task = tasks.of(run.stage)
    fit(
        task,
        stage,
        run.seed,
        shards["train"],
        shards["val"],
        output,
        Path(run.work),
        run.training_options(),
        run.weights(),
    )
    log = pd.read_csv(output / "log.csv")
    steps, last = log[log.split == "train"], log[log.split == "val"].iloc[-1]
    part = max(1, len(steps) // 20)
    return {
        "stage": run.stage_name,
        "batch": stage.require_training().batch_size,
        "loss, first": f"{steps.loss.head(part).mean():.3f}",
        "loss, last": f"{steps.loss.tail(part).mean():.3f}",
        "validation": ", ".join(f"{name} {last[name]:.3f}" for name in task.headline if name in last),
        "s/step": f"{steps.seconds_per_step.median():.2f}",
        "memory [MB]": f"{steps.memory_mb.max():.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", default="full_chain")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--dataset", default="study", help="scale of the events")
    parser.add_argument("--stage", action="append", help="only these")
    parser.add_argument("--results", default="results")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"leave the table in {OUTPUT.name}")
    options = parser.parse_args()
    rows = []
    for run in runs(options.experiment, options.dataset, options.steps, options.results):
        if options.stage and run.stage_name not in options.stage:
            continue
        rows.append(train(run, options.gpu))
        print(rows[-1], flush=True)
    head = list(rows[0])
    table = "\n".join(f"| {' | '.join(str(row[key]) for key in head)} |" for row in rows)
    made = collect(config=vars(options))
    text = (
        f"# The first {options.steps} steps of `{options.experiment}` at the reference scale\n\n"
        f"Made by `python benchmarks/reference.py {' '.join(sys.argv[1:])}` on {made['device']}, "
        f"{made['created'][:10]}.\n\n"
        f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n{table}\n"
    )
    print(text)
    if options.write:
        OUTPUT.write_text(text)


if __name__ == "__main__":
    main()
