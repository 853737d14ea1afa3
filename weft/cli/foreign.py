"""Verbs on what comes from elsewhere: import-config, import-weights, fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.arguments import Results, Scale, StageName
from weft.cli.lookup import find_experiment, find_layout, find_run
from weft.cli.program import app
from weft.errors import WeftError


@app.command("import-config")
def import_config(
    source: Annotated[Path, typer.Argument(help="configuration of another tool")],
    output: Annotated[Path, typer.Option("--output", "-o", help="experiment to write")],
    dialect: Annotated[str, typer.Option(help="which tool's, see docs/coming_from.md; auto: by its keys")] = "auto",
    dataset_output: Annotated[
        Path | None, typer.Option(help="dataset to write; default: beside the experiment, as NAME.dataset.yaml")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="dataset of ours to use instead of the files it names")] = None,
    form: Annotated[
        str, typer.Option(help="of a chain: staged, one training for each stage; joint, one for all; auto: as there")
    ] = "auto",
) -> None:
    """Make an experiment of another tool's configuration: SPINE, lartpc_mlreco3d, and others.

    Example: `weft import-config uresnet.cfg -o config/experiments/uresnet.yaml`
    """
    from weft import tasks
    from weft.config.dialects import import_config as read_config
    from weft.config.dialects.stages import form_of
    from weft.io.atomic import atomic_path

    imported = read_config(source, dialect, form_of(form))
    dataset_output = dataset_output or output.with_name(output.stem + ".dataset.yaml")
    experiment = imported.validated(dataset or str(dataset_output), own=dataset is None)
    models = {str(stage.checkpoint) for stage in experiment.stages.values() if stage.checkpoint is not None}
    absent = sorted(path for path in models if not Path(path).is_file())
    if not absent:
        tasks.resolve(experiment)
    else:
        for name, stage in experiment.stages.items():
            tasks.of(stage, f"{source}, stage '{name}'")
    texts = {output: imported.render(), dataset_output: None if dataset else imported.render_dataset()}
    for path, text in texts.items():
        if text is not None and path.exists():
            raise WeftError(f"{path}: exists; remove it or write elsewhere")
    for path, text in texts.items():
        if text is not None:
            with atomic_path(path) as temporary:
                temporary.write_text(text)
            print(path)
    print(f"{imported.dialect.title}: keys without a line of their own: {len(imported.left_out)}, listed in {output}")
    for option, how in imported.open.items():
        print(f"for you to fill in: {option}: {how}")
    for model in absent:
        print(f"{model}: no such file yet; {output} deploys the model that is put there")


@app.command("import-weights")
def import_weights(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint of SPINE")],
    experiment: Annotated[str, typer.Option(help="experiment whose networks take the weights")],
    output: Annotated[
        Path | None,
        typer.Option("--to", help="model.ckpt to write, for several stages a folder; default: where deploy looks"),
    ] = None,
    stage: StageName = None,
    scale: Scale = None,
    results: Results = None,
    module: Annotated[str | None, typer.Option(help="module of the checkpoint, where several could be meant")] = None,
) -> None:
    """Take over weights that another tool has trained; the outputs are the same to rounding.

    Without --stage the checkpoint of a whole chain is split into the model files of all stages.

    Example: `weft import-weights snapshot-24999.ckpt --experiment config/experiments/uresnet.yaml --to uresnet.ckpt`
    """
    from weft import tasks
    from weft.engine.foreign_weights import import_weights as take_over
    from weft.engine.foreign_weights import read_checkpoint
    from weft.tasks.foreign import JOINT, split_checkpoint

    described, dataset = find_experiment(experiment, scale, [])
    several = len(described.stages) > 1 or any(made.task == JOINT for made in described.stages.values())
    if stage is None and several:
        if module is not None:
            raise WeftError("--module is of one stage: give --stage too")
        for line in split_checkpoint(described, dataset, find_layout(results), checkpoint, output):
            print(line)
        return
    run = find_run(experiment, scale, results, stage, None, None)
    task = tasks.of(run.stage, f"experiment '{experiment}', stage '{run.stage_name}'")
    target = output or Path(run.model)
    if target.exists():
        raise WeftError(f"{target}: exists; remove it or write elsewhere with --to")
    done = take_over(task, read_checkpoint(checkpoint), checkpoint, target, run.training_options(), module)
    module = f", module {done.module}" if done.module else ""
    print(f"{target}: {done.parameters:,} parameters of {done.tool}{module}")
    for name, tensors in done.unused.items():
        print(f"not used: module {name}, {tensors} tensors")
    if done.unchecked:
        print(done.unchecked)


@app.command()
def fetch(
    what: Annotated[str, typer.Argument(help="resnet18, 34, 50, 101 or 152: weights of an encoder; or an address")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="the file to write; default: in weights/ under its own name")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="checksum of the file, at least 8 digits; default: what its name says")
    ] = None,
) -> None:
    """Download a file with its checksum, such as pretrained weights. The only verb that uses the network.

    Example: `weft fetch resnet34`
    """
    from weft.io.fetch import fetch as fetch_file
    from weft.progress import progress_bar

    with progress_bar(what) as progress:
        done = fetch_file(what, output, sha256, progress)
    print(f"{done.path}: {'fetched' if done.new else 'there already'}, sha256 {done.sha256}")
