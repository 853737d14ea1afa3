"""Verbs on stages of an experiment: train, evaluate, report, status."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.arguments import ExperimentName, GivenModel, Overrides, Results, Scale, StageName, Variant
from weft.cli.lookup import (
    find_experiment,
    find_given_experiment,
    find_layout,
    find_run,
    require_judged,
    stage_assignments,
    what_was_given,
)
from weft.cli.program import app
from weft.errors import WeftError


@app.command()
def train(
    experiment: ExperimentName,
    overrides: Overrides = None,
    stage: StageName = None,
    variant: Variant = None,
    scale: Scale = None,
    results: Results = None,
    resume: Annotated[
        str, typer.Option(help="auto: go on with work of the same config and inputs; none: begin again; or a file")
    ] = "auto",
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="with --resume PATH: its config or inputs may be others")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="print every option and its source; no training")] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="leave a trace of a few steps in the work folder; same result")
    ] = False,
) -> None:
    """Train one stage with one seed, or fit its baseline. Exit code 75: stopped by a signal, saved; run again.

    `--resume PATH` names the keys that differ from those of the checkpoint, and stops without `--allow-changes`.

    With `resources.gpu=4` or `resources.processes=2` several processes share every batch; so do those of
    `torchrun --nproc-per-node=4 -m weft train ...`.

    Example: `weft train segmentation --scale demo --variant seed0 optimizer.lr=1e-3`
    """
    from weft import tasks

    run = find_run(experiment, scale, results, stage, variant, overrides)
    task = tasks.of(run.stage, f"experiment '{experiment}', stage '{run.stage_name}'")
    if explain:
        from weft.config import explain as explanation

        lines = explanation.explain(run, task.options, experiment, stage_assignments(run.stage_name, overrides))
        explanation.show(run, lines)
        return
    from weft.engine.distributed import speaks
    from weft.engine.fit import fit, fit_baseline
    from weft.engine.fixed import settle

    shards = {split: list(run.training_inputs(split).values()) for split in ("train", "val")}
    output = Path(run.model).parent
    if profile and (run.is_baseline or not run.stage.learned):
        raise WeftError(f"--profile: {'a baseline' if run.is_baseline else 'this stage'} has no steps to trace")
    if run.is_baseline:
        threads, feeds = run.stage.resources.threads, run.training_feeds
        fit_baseline(task, shards["train"], output, run.training_options(), run.seed, feeds, threads)
    elif not task.learned:
        settle(task, output, run.training_options(), run.seed)
    elif run.stage.checkpoint is not None:
        from weft.engine.given_model import use_given

        use_given(task, Path(run.stage.checkpoint), output, run.training_options(), run.seed)
    else:
        fit(
            task,
            run.stage,
            run.seed,
            shards["train"],
            shards["val"],
            output,
            Path(run.work),
            run.training_options(),
            weights=run.weights(),
            resume=resume,
            allow_changes=allow_changes,
            threads=run.stage.resources.threads,
            profile=profile,
        )
    if speaks():
        print(run.model)


@app.command()
def evaluate(
    experiment: ExperimentName,
    overrides: Overrides = None,
    stage: StageName = None,
    variant: Variant = None,
    scale: Scale = None,
    results: Results = None,
) -> None:
    """Score the predictions of one variant; prints the pooled metrics of each split.

    Example: `weft evaluate segmentation --scale demo --variant baseline`
    """
    from weft import tasks
    from weft.engine.evaluate import evaluate as run_evaluate
    from weft.metrics.scores import read_scores

    run = find_run(experiment, scale, results, stage, variant, overrides)
    require_judged(run.experiment)
    task = tasks.of(run.stage, f"experiment '{experiment}', stage '{run.stage_name}'")
    for source in run.sources:
        folder = Path(run.score("events", source)).parent
        run_evaluate(task, run.evaluation_inputs(source), folder, run.providers(source))
        for split, table in read_scores(folder).events.groupby("split"):
            metrics = ", ".join(f"{name} {value:.4f}" for name, value in task.summary(table).items())
            fed = f" on {source}" if run.stage.inputs else ""
            print(f"{run.experiment.id} {run.stage_name} {run.variant} {split}{fed}: {metrics}")
        print(folder)


@app.command()
def report(
    experiment: ExperimentName,
    scale: Scale = None,
    results: Results = None,
) -> None:
    """Write the HTML report of an experiment whose stages have been evaluated.

    Example: `weft report segmentation --scale demo`
    """
    from weft import tasks
    from weft.report.experiment import report_experiment

    loaded, dataset = find_experiment(experiment, scale, [])
    require_judged(loaded)
    layout = find_layout(results)
    path = Path(layout.report(loaded.id))
    judges = {name: tasks.of(stage) for name, stage in loaded.stages.items()}
    report_experiment(loaded, dataset, judges, layout, path, source=experiment)
    print(path)


@app.command()
def status(
    experiment: ExperimentName,
    scale: Scale = None,
    results: Results = None,
    model: GivenModel = None,
    files: Annotated[
        list[str] | None, typer.Option("--files", help="path, glob or @list.txt, for a dataset that lists its files")
    ] = None,
) -> None:
    """How far each run of an experiment is, and the file to ask snakemake for where something is missing; of one that
    is deployed only, what became of each file: of those that its last deploy was given, unless others are named.

    Example: `weft status segmentation --scale study`
    """
    from weft import tasks
    from weft.config import plan
    from weft.report import rerun
    from weft.report.status import status_lines, status_of

    layout = find_layout(results)
    loaded, dataset = find_given_experiment(experiment, scale, what_was_given(experiment, scale, layout, model, files))
    if not loaded.truth:
        from weft.report.deployed import deployed, summary

        print("\n".join(summary(deployed(loaded, dataset, layout))))
        return
    judges = {name: tasks.of(stage) for name, stage in loaded.stages.items()}
    states = [status_of(run, judges[run.stage_name]) for run in plan(loaded, dataset, layout)]
    print("\n".join(status_lines(states)))
    missing = sum(state.state != "scored" for state in states)
    if missing:
        (_, everything), *_ = rerun.whole(loaded, dataset, layout, experiment)
        print(f"\n{len(states) - missing} of {len(states)} done. All of them: {everything}")
        print("One of them: the same, then `-- ` and its target")
