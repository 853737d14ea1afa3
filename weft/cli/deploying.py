"""The verb deploy: predictions of one stage or of a whole chain, of a dataset or of files of one's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from weft.cli.arguments import ExperimentName, GivenModel, Overrides, Results, Scale, StageName, Variant, lengths
from weft.cli.lookup import find_given_experiment, find_layout, find_run, setting
from weft.cli.program import app
from weft.errors import WeftError


@app.command()
def deploy(
    experiment: ExperimentName,
    overrides: Overrides = None,
    stage: StageName = None,
    variant: Variant = None,
    scale: Scale = None,
    results: Results = None,
    split: Annotated[str | None, typer.Option(help="only this split; default: those of the stage's evaluation")] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            help="an event store of your own instead of the dataset's; or a picture, stack or mesh, or a folder of them"
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="with --events: the store to write")] = None,
    root: Annotated[bool, typer.Option("--root", help="write the predictions as ROOT too, beside the store")] = False,
    tiff: Annotated[
        bool, typer.Option("--tiff", help="write the predictions as OME-TIFF too, in a folder NAME.stacks beside")
    ] = False,
    png: Annotated[
        bool, typer.Option("--png", help="write the predicted masks as PNG too, in a folder NAME.masks beside")
    ] = False,
    ply: Annotated[
        bool, typer.Option("--ply", help="write the predicted meshes as PLY too, in a folder NAME.meshes beside")
    ] = False,
    spacing: Annotated[
        str | None, typer.Option(help="with images as --events: Z,Y,X of a voxel in µm, where files do not say it")
    ] = None,
    model: GivenModel = None,
) -> None:
    """Predict, with a trained model or baseline. `--stage chain` runs all stages one after the other, with
    `--variant baseline` the baseline of each that has one.

    With `--stage chain`, overrides are for an experiment without a truth, and begin with `stages.`.

    Example: `weft deploy segmentation --scale demo --events mine.h5 --output predicted.h5`

    TIFF stacks, pictures and meshes are converted first, to NAME.events.h5 beside the output, meshes as those of the
    experiment's dataset are.

    Example: `weft deploy volumes --scale demo --events images/ --output predicted.h5 --tiff`

    Example: `weft deploy images --scale demo --events photographs/ --output predicted.h5 --png`

    Example: `weft deploy meshes --scale demo --stage textured --events tiles/ --output predicted.h5 --ply`

    Example: `weft deploy full_chain --scale demo --stage chain --events mine.h5 --output reconstructed.h5`

    Example: `weft deploy larmatch_microboone --stage chain --model model.ckpt --events mine.h5 --output points.h5`
    """
    from weft import tasks
    from weft.config import CHAIN
    from weft.engine.deploy import deploy as run_deploy
    from weft.io.stack_files import is_stacks
    from weft.progress import progress_bar

    if spacing is not None and (events is None or not is_stacks(events)):
        raise WeftError("--spacing is the voxel size of images given as --events; an event store has its own")
    if stage == CHAIN:
        formats = _Formats(root, tiff, png, ply)
        _deploy_chain(
            experiment, scale, results, variant, split, events, output, formats, spacing, model, overrides or []
        )
        return

    if model is not None:
        raise WeftError("--model is for --stage chain; of one stage say checkpoint=PATH")
    run = find_run(experiment, scale, results, stage, variant, overrides)
    task = tasks.of(run.stage, f"experiment '{experiment}', stage '{run.stage_name}'")
    written = _Formats(root, tiff, png, ply).of({run.stage_name: task})
    if (events is None) != (output is None):
        raise WeftError("--events and --output belong together: the store to read, and the one to write")
    if events is not None and output is not None:
        if run.stage.inputs and "truth" not in run.sources:
            needed = ", ".join(run.stage.inputs)
            raise WeftError(
                f"--events: stage '{run.stage_name}' reads predictions of {needed}: run all with --stage chain"
            )
        if not Path(run.model).is_file():
            raise WeftError(f"{run.model}: no such file; train the stage first")
        events = _event_store(events, output, spacing, run.dataset)
        jobs = [({"truth": str(events)}, output, "truth")]
        if run.stage.inputs:
            _require_truth(run, task.reads, events)
    else:
        splits = [split] if split else run.stage.evaluation.splits
        jobs = [
            (files, Path(run.prediction(name, shard, source)), source)
            for source in run.sources
            for name in splits
            for shard, files in run.inputs(name, source).items()
        ]
    for inputs, target, source in jobs:
        with progress_bar(str(target)) as progress:
            run_deploy(
                task,
                Path(run.model),
                inputs,
                target,
                run.deploy_options(),
                baseline=run.is_baseline,
                providers=run.providers(source),
                batch_size=run.stage.evaluation.batch_size,
                gpu=bool(run.stage.resources.gpu),
                threads=run.stage.resources.threads,
                views=run.stage.evaluation.views,
                progress=progress,
            )
        print(target)
        written.write({**inputs, "prediction": target}, target)


#: One of a kind of files.
_ONE = {"stacks": "stack", "images": "image", "meshes": "mesh"}


def _event_store(events: Path, output: Path, spacing: str | None, dataset: Any) -> Path:
    """The event store of what was named: stacks, pictures and meshes are converted first, to a store beside the output.

    Heights and labels of meshes are those that a training on the dataset has seen.
    """
    from weft.io.convert import convert_file
    from weft.io.image_files import find_images, is_images
    from weft.io.mesh_files import is_meshes
    from weft.io.stack_files import is_stacks
    from weft.progress import progress_bar

    meshes, images = is_meshes(events), is_images(events)
    if not (meshes or images or is_stacks(events)):
        return events
    store = output.with_suffix(".events.h5")
    products = dataset.products if (meshes or images) and dataset.source == "files" else None
    if images and not any(image.mask for image in find_images(events, products)):
        products = {**(products or {}), "mask": None}  # there may be masks of others, and nothing is judged here
    said = dataset.meshes if meshes and dataset.source != "curated" else None
    with progress_bar(str(store)) as progress:
        done = convert_file(
            events,
            store,
            products=products,
            spacing=None if spacing is None else lengths(spacing),
            meshes=None if said is None else said.reading(),
            progress=progress,
        )
    print(f"{store}: {done.events} {done.kind if done.events != 1 else _ONE[done.kind]}")
    for name, reason in done.skipped.items():
        print(f"left out {name}: {reason}")
    return store


@dataclass
class _Formats:
    """What else predictions are written as, beside the store."""

    root: bool
    tiff: bool
    png: bool = False
    ply: bool = False
    trees: dict[str, list[str]] = field(default_factory=dict)

    def of(self, tasks: dict[str, Any]) -> _Formats:
        """For these tasks. Before the work begins: what cannot be written is said then."""
        if self.root:
            from weft.engine.trees import shared_trees

            self.trees = shared_trees(tasks)
        made = {schema.name: schema.kind for task in tasks.values() for schema in task.makes}
        if self.tiff and ("mask" in made or "dense" not in made.values()):
            raise WeftError(f"--tiff is for predictions of stacks; {', '.join(tasks)} makes none")
        if self.png and "mask" not in made:
            raise WeftError(f"--png is for masks of images; {', '.join(tasks)} makes none")
        if self.ply and "face_labels" not in made:
            raise WeftError(f"--ply is for predictions of meshes; {', '.join(tasks)} makes none")
        return self

    def write(self, stores: dict[str, Any], target: Path) -> None:
        """Only this needs uproot or tifffile, which a node that only predicts may lack."""
        if self.root:
            from weft.io.predictions_root import store_to_root

            store_to_root(stores, target.with_suffix(".root"), together=self.trees)
            print(target.with_suffix(".root"))
        if self.tiff:
            from weft.io.stack_export import export_stacks

            folder = target.with_suffix(".stacks")
            files = export_stacks(stores["truth"], target, folder)
            print(f"{folder}: {len(files)} file{'s' if len(files) != 1 else ''}")
        if self.png:
            from weft.io.image_export import export_masks

            folder = target.with_suffix(".masks")
            files = export_masks(stores["truth"], target, folder)
            print(f"{folder}: {len(files) - 1} mask{'s' if len(files) != 2 else ''}")
        if self.ply:
            from weft.io.mesh_export import export_meshes

            folder = target.with_suffix(".meshes")
            files = export_meshes(stores["truth"], target, folder)
            print(f"{folder}: {len(files)} file{'s' if len(files) != 1 else ''}")


def _require_truth(run: Any, reads: tuple[str, ...], events: Path) -> None:
    """Raise unless the events hold the true products that a stage is fed in place of predictions; say so if they do."""
    from weft.engine.corpus import Corpus

    needed = ", ".join(run.stage.inputs)
    corpus = Corpus([{"truth": events}], run.providers("truth"))
    try:
        corpus.require(reads)
    except WeftError as error:
        raise WeftError(f"{error}; with the predictions of {needed} instead: --stage chain") from None
    finally:
        corpus.close()
    print(f"fed true products in place of the predictions of {needed}; with those: --stage chain")


def _deploy_chain(
    name: str,
    scale: str | None,
    results: str | None,
    variant: str | None,
    split: str | None,
    events: Path | None,
    output: Path | None,
    formats: _Formats,
    spacing: str | None,
    model: str | None,
    overrides: list[str],
) -> None:
    from weft import tasks
    from weft.config import chain_of, load_experiment
    from weft.config.dataset import require_split
    from weft.config.given import Given
    from weft.progress import progress_bar
    from weft.tasks.linking import run_chain

    if overrides and load_experiment(name, setting(scale, "scale")).truth:
        raise WeftError("--stage chain takes no overrides: every stage is run as it was trained")
    if (events is None) != (output is None):
        raise WeftError("--events and --output belong together: the store to read, and the one to write")
    if events is None and (overrides or model is not None):
        raise WeftError("--model and overrides need --events and --output, which say where the result goes")
    experiment, dataset = find_given_experiment(name, scale, Given(model, (), tuple(overrides)))
    chain = chain_of(experiment, dataset, find_layout(results), variant)
    if events is not None and output is not None:
        jobs = [(_event_store(events, output, spacing, dataset), output)]
    else:
        if split:
            require_split(dataset, split)
        jobs = [
            (Path(chain.events(name, shard.id)), Path(chain.prediction(name, shard.id)))
            for name in ([split] if split else chain.splits)
            for shard in dataset.shards(name)
        ]
    written = formats.of({run.stage_name: tasks.of(run.stage) for run in chain.runs})
    for source, target in jobs:
        with progress_bar(str(target)) as progress:
            run_chain(
                chain.options(),
                chain.models_at_hand(),
                source,
                target,
                batch_sizes=chain.batch_sizes(),
                gpu=chain.gpu,
                threads=chain.threads,
                progress=progress,
            )
        print(target)
        written.write({"truth": source, "prediction": target}, target)
