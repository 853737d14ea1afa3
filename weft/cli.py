"""``weft <verb>``: one thin function per verb. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import weft
from weft.cli_curate import curation
from weft.errors import WeftError


class _Verbs(TyperGroup):
    """Typer takes Ctrl-C and the end of a file for somebody who leaves a prompt: it says nothing, or "Aborted."."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("interrupted: no half-written file is left", file=sys.stderr)
            raise typer.Exit(130) from None
        except EOFError as error:
            raise RuntimeError("a file ended before its time") from error


app = typer.Typer(
    name="weft",
    cls=_Verbs,
    help="Reproducible 3-D reconstruction. The workflow is run with snakemake; these verbs are its steps, one by one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Scale = Annotated[str | None, typer.Option(help="tiny, demo, study or reference; default: as in config/config.yaml")]
Results = Annotated[str | None, typer.Option(help="folder of all results; default: as in config/config.yaml")]
StageName = Annotated[
    str | None, typer.Option("--stage", help="stage; may be left out if there is only one; chain: all (deploy)")
]
Variant = Annotated[str | None, typer.Option(help="seedK, seedK-POINT of a sweep, or baseline; default: the first")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key.path=value, addressing the stage")]
GivenModel = Annotated[str | None, typer.Option("--model", help="a model.ckpt, for the stage that has a checkpoint")]
ExperimentName = Annotated[str, typer.Argument(help="name of a file in config/experiments, or its path")]


@app.command()
def simulate(
    dataset: Annotated[str, typer.Argument(help="name of a file in config/datasets, or its path")],
    split: Annotated[str | None, typer.Option(help="only this split")] = None,
    scale: Scale = None,
    results: Results = None,
    processes: Annotated[int, typer.Option(help="worker processes; do not change the result")] = 1,
    overrides: Annotated[list[str] | None, typer.Argument(help="key.path=value")] = None,
) -> None:
    """Simulate the events of a dataset: of argon as ROOT files, stacks of a microscope as folders of OME-TIFF,
    towns as folders of PLY and JPEG files, streets as folders of PNG files.

    Example: `weft simulate lartpc --scale tiny --split test simulation.response.lifetime=3`
    """
    from weft.config import SimulatedDataset
    from weft.config.dataset import require_split
    from weft.config.loading import ConfigError
    from weft.progress import progress_bar
    from weft.simulation.produce import simulate_file
    from weft.simulation.settings import SimulationSettings, settings_of
    from weft.simulation.stacks.produce import simulate_folder
    from weft.simulation.stacks.settings import StackSettings
    from weft.simulation.streets.produce import simulate_folder as simulate_streets
    from weft.simulation.streets.settings import StreetSettings
    from weft.simulation.towns.produce import simulate_towns

    chosen = _dataset(dataset, scale, tuple(overrides or ()))
    if not isinstance(chosen, SimulatedDataset):
        raise ConfigError(f"dataset '{dataset}' is read from files, there is nothing to simulate")
    if split is not None:
        require_split(chosen, split)
    settings = {name: settings_of(chosen, name) for name in ([split] if split else chosen.splits)}
    for name in settings:
        resolved = chosen.split(name)
        for shard in chosen.shards(name):
            assert shard.start is not None
            assert shard.stop is not None
            assert resolved.seed is not None
            of_split, count = settings[name], shard.stop - shard.start
            where = (chosen.id, name, shard.id)
            if isinstance(of_split, SimulationSettings):
                path = Path(_layout(results).raw(*where))
                with progress_bar(str(path)) as progress:
                    simulate_file(of_split, resolved.seed, shard.start, count, path, processes, progress)
            elif isinstance(of_split, StackSettings):
                path = Path(_layout(results).stacks(*where))
                with progress_bar(str(path)) as progress:
                    simulate_folder(of_split, resolved.seed, shard.start, count, path, processes, progress)
            elif isinstance(of_split, StreetSettings):
                path = Path(_layout(results).streets(*where))
                with progress_bar(str(path)) as progress:
                    simulate_streets(of_split, resolved.seed, shard.start, count, path, processes, progress)
            else:
                path = Path(_layout(results).towns(*where))
                with progress_bar(str(path)) as progress:
                    simulate_towns(of_split, resolved.seed, shard.start, count, path, processes, progress)
            print(path)


@app.command()
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="a file of any supported format, or a folder of stacks, pictures or meshes, see docs/data_formats.md"
        ),
    ],
    target: Annotated[Path, typer.Argument(help="the event store to write")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, of meshes only, see docs/meshes.md")] = None,
    kind: Annotated[str, typer.Option("--source", help="format of the file")] = "auto",
    start: Annotated[int | None, typer.Option(help="first entry")] = None,
    stop: Annotated[int | None, typer.Option(help="entry after the last")] = None,
    product: Annotated[list[str] | None, typer.Option(help="product=tree, or product=none to leave it out")] = None,
    namespace: Annotated[str, typer.Option(help="tells apart files that repeat run, subrun and event numbers")] = "",
    detector: Annotated[str | None, typer.Option(help="of files with triplets but no positions: name or path")] = None,
    tick_backward: Annotated[
        bool, typer.Option("--tick-backward", help="images begin with the latest tick: turn them")
    ] = False,
    spacing: Annotated[
        str | None, typer.Option(help="Z,Y,X of a voxel in µm, of stacks whose files do not say it")
    ] = None,
) -> None:
    """Convert detector data, or a folder of stacks, pictures or meshes, to an event store.

    Example: `weft convert events.root events.h5 --product charge=sparse3d_reco --product clusters=none`

    Example: `weft convert tiles/ tiles.h5 'label_map={1: 0, 2: 1}' 'classes=[terrain, building]'`
    """
    from weft.config.detector import load_detector
    from weft.config.loading import override, validate
    from weft.config.mesh_files import MeshFileOptions
    from weft.io.convert import convert_file
    from weft.progress import progress_bar

    said = validate(MeshFileOptions, override({}, overrides), "weft convert") if overrides else None
    where = None if detector is None else load_detector(detector)
    products = _products(product)
    with progress_bar(str(source)) as progress:
        done = convert_file(
            source,
            target,
            kind=kind,
            start=start,
            stop=stop,
            products=products,
            namespace=namespace,
            detector=where,
            tick_backward=tick_backward,
            spacing=None if spacing is None else _lengths(spacing),
            meshes=None if said is None else said.reading(),
            progress=progress,
        )
    print(f"{target}: {done.events} event{'s' if done.events != 1 else ''} of kind {done.kind}")
    for name, reason in done.skipped.items():
        print(f"left out {name}: {reason}")
    for name, note in done.notes.items():
        print(f"{name}: {note}")


def _products(choices: list[str] | None) -> dict[str, str | None]:
    """product=tree as the command line has it."""
    products: dict[str, str | None] = {}
    for choice in choices or ():
        name, equals, tree = choice.partition("=")
        if not (name and equals and tree):
            raise WeftError(f"--product {choice}: expected product=tree, or product=none")
        products[name] = None if tree == "none" else tree
    return products


def _voxels(text: str) -> tuple[int, int, int]:
    """Z,Y,X of a patch as the command line has it."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        raise WeftError(f"--smallest {text}: expected three numbers of voxels, Z,Y,X")
    z, y, x = map(int, parts)
    return z, y, x


def _lengths(text: str) -> tuple[float, float, float]:
    """Z,Y,X as the command line has it."""
    try:
        z, y, x = map(float, text.split(","))
    except ValueError:
        raise WeftError(f"--spacing {text}: expected three lengths in µm, Z,Y,X") from None
    if not 0 < min(z, y, x) <= max(z, y, x) < float("inf"):
        raise WeftError(f"--spacing {text}: expected lengths above 0")
    return z, y, x


@app.command()
def triplets(
    source: Annotated[Path, typer.Argument(help="an event store with images of wire planes")],
    target: Annotated[Path, typer.Argument(help="the event store to write")],
    detector: Annotated[str, typer.Option(help="name of a file in config/detectors, or its path")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value of the search, see docs/triplets.md")] = None,
    mask: Annotated[str | None, typer.Option(help="an image product; pixels where it is not 0 are left out")] = None,
    min_electrons: Annotated[
        float | None,
        typer.Option(help="electrons that make a triplet good, see docs/larmatch_labels.md; default: 2000"),
    ] = None,
) -> None:
    """Find all triplets of pixels of three wire planes that can come from one point, and their truth where known.

    Example: `weft triplets events.h5 triplets.h5 --detector microboone max_per_row=100000`
    """
    from weft.config.detector import load_detector
    from weft.config.loading import override, validate
    from weft.progress import progress_bar
    from weft.triplets.label_options import TruthOptions
    from weft.triplets.options import TripletOptions
    from weft.triplets.produce import write_triplets

    options = validate(TripletOptions, override({}, overrides or []), "weft triplets")
    given = {} if min_electrons is None else {"min_electrons": min_electrons}
    labels = validate(TruthOptions, given, "weft triplets")
    with progress_bar(str(source)) as progress:
        done = write_triplets(source, target, load_detector(detector), options, progress, mask, labels)
    print(f"{target}: {done}")


@app.command()
def export(
    stores: Annotated[list[str], typer.Argument(help="event stores of the same events, each PATH or NAME=PATH")],
    to: Annotated[str, typer.Option(help="spine, root, csv, parquet, tiff, png or ply")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="the file; csv, parquet, tiff, png and ply: the folder")
    ],
    product: Annotated[
        list[str] | None, typer.Option(help="product, or NAME/product where several stores have it; default: all")
    ] = None,
    ascii_: Annotated[bool, typer.Option("--ascii", help="with ply: as text; default: binary")] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="with ply: those of all classes too, not of the best one only")
    ] = False,
    meshes: Annotated[
        Path | None, typer.Option(help="with ply: the folder of the meshes, if it is not where they were converted")
    ] = None,
) -> None:
    """Write what event stores hold in a format of other tools, see docs/data_formats.md.

    Example: `weft export events.h5 reconstructed.h5 --to spine -o reconstructed_spine.h5`

    Example: `weft export stacks.h5 predicted.h5 --to tiff -o predicted`

    Example: `weft export tiles.h5 predicted.h5 --to ply -o predicted`
    """
    from weft.progress import progress_bar

    opened = _named_stores(stores)
    if to != "ply" and (ascii_ or probabilities or meshes is not None):
        raise WeftError(f"--ascii, --probabilities and --meshes are for --to ply, not {to}")
    if to == "spine":
        from weft.reco.spine_export import export_spine

        if product:
            raise WeftError("--product: a SPINE file has the products that SPINE knows; leave the option out")
        with progress_bar(str(output)) as progress:
            names = export_spine(opened, output, progress)
        print(f"{output}: {', '.join(names)}")
    elif to == "root":
        from weft.io.predictions_root import store_to_root

        trees = store_to_root(opened, output, product or _storable(opened))
        print(f"{output}: {', '.join(trees)}")
    elif to in ("csv", "parquet"):
        from weft.io.tables import export_tables

        for path in export_tables(opened, output, to, product):  # type: ignore[arg-type]
            print(path)
    elif to == "tiff":
        from weft.io.stack_export import export_stacks

        if len(opened) != 2:
            raise WeftError(f"--to tiff: {len(opened)} stores; expected that of the stacks, then that of predictions")
        stacks, predictions = opened.values()
        for path in export_stacks(stacks, predictions, output, product):
            print(path)
    elif to == "png":
        from weft.io.image_export import export_masks

        if len(opened) != 2 or product:
            raise WeftError("--to png: expected the store of the images, then that of their masks, and no --product")
        pictures, predicted = opened.values()
        for path in export_masks(pictures, predicted, output):
            print(path)
    elif to == "ply":
        from weft.io.mesh_export import PlyOptions, export_meshes

        if len(opened) != 2 or product:
            raise WeftError("--to ply: expected the store of the meshes, then that of predictions, and no --product")
        options = PlyOptions("ascii" if ascii_ else "binary_little_endian", probabilities, meshes)
        tiles, predicted = opened.values()
        for path in export_meshes(tiles, predicted, output, options):
            print(path)
    else:
        raise WeftError(f"--to {to}: expected spine, root, csv, parquet, tiff, png or ply")


def _storable(stores: dict[str, str]) -> list[str]:
    """What becomes trees: all but dense products; the box and the voxels are part of every tree on voxels."""
    from weft.io.store import EventStore

    with EventStore.open(stores) as store:
        schemas = store.products.items()
        return [name for name, s in schemas if s.kind != "dense" and s.name not in ("meta", "voxels")]


def _named_stores(given: list[str], unnamed: str | None = None) -> dict[str, str]:
    """Alias and path of each store; a store without a name is called by its number, or as is said."""
    stores: dict[str, str] = {}
    for k, text in enumerate(given):
        name, equals, path = text.partition("=")
        alias, path = (name, path) if equals and "/" not in name else (unnamed or str(k), text)
        if alias in stores:
            raise WeftError(f"two stores are called {alias}: {stores[alias]} and {path}")
        stores[alias] = path
    return stores


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

    run = _run(experiment, scale, results, stage, variant, overrides)
    task = tasks.of(run.stage, f"experiment '{experiment}', stage '{run.stage_name}'")
    if explain:
        from weft.config import explain as explanation

        lines = explanation.explain(run, task.options, experiment, _assignments(run.stage_name, overrides))
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
        threads, providers = run.stage.resources.threads, run.providers(run.trained_on)
        fit_baseline(task, shards["train"], output, run.training_options(), run.seed, providers, threads)
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
    run = _run(experiment, scale, results, stage, variant, overrides)
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


def _event_store(events: Path, output: Path, spacing: str | None, dataset: Any) -> Path:
    """The event store of what was named: stacks, pictures and meshes are converted first, to a store beside the output.

    Heights and labels of meshes are those that a training on the dataset has seen.
    """
    from weft.io.convert import convert_file
    from weft.io.image_files import is_images
    from weft.io.mesh_files import is_meshes
    from weft.io.stack_files import is_stacks
    from weft.progress import progress_bar

    meshes = is_meshes(events)
    if not (meshes or is_stacks(events) or is_images(events)):
        return events
    store = output.with_suffix(".events.h5")
    said = dataset.meshes if meshes and dataset.source != "curated" else None
    with progress_bar(str(store)) as progress:
        done = convert_file(
            events,
            store,
            products=dataset.products if meshes and dataset.source == "files" else None,
            spacing=None if spacing is None else _lengths(spacing),
            meshes=None if said is None else said.reading(),
            progress=progress,
        )
    print(f"{store}: {done.events} {done.kind if done.events != 1 else done.kind.removesuffix('s')}")
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

    if overrides and load_experiment(name, _setting(scale, "scale")).truth:
        raise WeftError("--stage chain takes no overrides: every stage is run as it was trained")
    if (events is None) != (output is None):
        raise WeftError("--events and --output belong together: the store to read, and the one to write")
    if events is None and (overrides or model is not None):
        raise WeftError("--model and overrides need --events and --output, which say where the result goes")
    experiment, dataset = _given_experiment(name, scale, Given(model, (), tuple(overrides)))
    chain = chain_of(experiment, dataset, _layout(results), variant)
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

    run = _run(experiment, scale, results, stage, variant, overrides)
    _require_judged(run.experiment)
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

    loaded, dataset = _experiment(experiment, scale, [])
    _require_judged(loaded)
    layout = _layout(results)
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

    layout = _layout(results)
    loaded, dataset = _given_experiment(experiment, scale, _what_was_given(experiment, scale, layout, model, files))
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


@app.command()
def inspect(
    paths: Annotated[list[Path], typer.Argument(help="event stores, ROOT or HDF5 sources, model files")],
    event: Annotated[int | None, typer.Option(help="show this event")] = None,
    check: Annotated[bool, typer.Option("--check", help="look for damage; exit code 1 if there is any")] = False,
    hash_: Annotated[bool, typer.Option("--hash", help="print the content hash only")] = False,
    manifest: Annotated[Path | None, typer.Option(help="write file,start,stop of the given sources as CSV")] = None,
    events_per_shard: Annotated[int, typer.Option(help="with --manifest: entries of one range")] = 1000,
    product: Annotated[
        list[str] | None, typer.Option(help="of a source, as weft convert takes it: labels=_mask, cost=none")
    ] = None,
    classes: Annotated[int | None, typer.Option(help="of stacks: classes of the network, labels are below")] = None,
    smallest: Annotated[str | None, typer.Option(help="of stacks: Z,Y,X of the patches that must fit")] = None,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="of stacks: which normalisation suits the first one (or --event), and why")
    ] = False,
) -> None:
    """What is in a file: products, units, counts, provenance; of a folder of stacks, pictures or meshes a table of what
    is wrong with each.

    Example: `weft inspect results/data/lartpc-demo/test/0000.h5 --event 3`
    """
    if suggest:
        from weft.volumes.suggested import print_suggestions

        print_suggestions(paths, event or 0)
        return
    from weft.io import inspect as inspection

    inspection.run(
        paths,
        event=event,
        check=check,
        hash_only=hash_,
        manifest=manifest,
        events_per_shard=events_per_shard,
        products=_products(product),
        classes=classes,
        smallest=None if smallest is None else _voxels(smallest),
    )


@app.command()
def show(
    truth: Annotated[Path, typer.Argument(help="event store")],
    event: Annotated[int, typer.Option(help="number of the event in the file")] = 0,
    prediction: Annotated[
        list[str] | None, typer.Option(help="predictions made from it; STAGE=PATH: those that others were made from")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write")] = Path("event.html"),
) -> None:
    """A rotatable 3-D display of one event or mesh, or the planes of one stack, as one HTML file.

    Example: `weft show results/data/lartpc-demo/test/0000.h5 --event 3 -o event.html`

    Example: `weft show stacks.h5 --prediction predicted.h5 --event 3 -o stack.html`

    Example: `weft show points.h5 -o event.html` (what `weft deploy larmatch --stage chain` has written)
    """
    from weft.report.show import show_event

    predictions = _named_stores(prediction or [], "prediction")
    show_event({"truth": truth} | {name: Path(path) for name, path in predictions.items()}, event, output)
    print(output)


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
    missing = [task for task in imported.tasks if task not in tasks.names()]
    models = {str(stage.checkpoint) for stage in experiment.stages.values() if stage.checkpoint is not None}
    absent = sorted(path for path in models if not Path(path).is_file())
    if not missing and not absent:
        tasks.resolve(experiment)
    elif not missing:
        for name, stage in experiment.stages.items():
            tasks.of(stage, f"{source}, stage '{name}'")
    texts = {output: imported.render(missing), dataset_output: None if dataset else imported.render_dataset()}
    for path, text in texts.items():
        if text is not None and path.exists():
            raise WeftError(f"{path}: exists; remove it or write elsewhere")
    for path, text in texts.items():
        if text is not None:
            with atomic_path(path) as temporary:
                temporary.write_text(text)
            print(path)
    print(f"{imported.dialect.title}: keys without a line of their own: {len(imported.left_out)}, listed in {output}")
    for task in missing:
        print(f"this release has no task '{task}': {output} cannot be trained with it")
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

    described, dataset = _experiment(experiment, scale, [])
    several = len(described.stages) > 1 or any(made.task == JOINT for made in described.stages.values())
    if stage is None and several:
        if module is not None:
            raise WeftError("--module is of one stage: give --stage too")
        for line in split_checkpoint(described, dataset, _layout(results), checkpoint, output):
            print(line)
        return
    run = _run(experiment, scale, results, stage, None, None)
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


bench = typer.Typer(help="Side-by-side measurements on this machine.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@bench.command("sparse")
def bench_sparse() -> None:
    """Training steps of the seed U-ResNet: our sparse engine beside MinkowskiEngine.

    Example: `weft bench sparse`
    """
    from weft.sparse.benchmark import main as run_benchmark

    run_benchmark()


@bench.command("triplets")
def bench_triplets(
    detector: Annotated[str, typer.Option(help="name of a file in config/detectors, or its path")] = "microboone",
    dead: Annotated[float, typer.Option(min=0, max=1, help="share of dead wires")] = 0.1,
    rounds: Annotated[int, typer.Option(min=1, help="rounds; the fastest counts")] = 5,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="a .md file; a figure .svg goes beside it")
    ] = None,
) -> None:
    """Time the search for triplets against the number of pixels in a row.

    Example: `weft bench triplets -o benchmarks/results/triplets.md`
    """
    from weft.config.detector import load_detector
    from weft.io.provenance import collect
    from weft.triplets.benchmark import draw, measure, page

    loaded = load_detector(detector)
    timings = measure(loaded, share=dead, rounds=rounds)
    record = collect()
    when = f"{record['created'][:10]}, commit {record.get('commit', 'unknown')[:7]}"
    command = f"weft bench triplets --detector {detector} --dead {dead} --rounds {rounds}"
    text = page(loaded, timings, dead, command, when)
    print(text)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
        draw(timings, str(output.with_suffix(".svg")))


@bench.command("chain")
def bench_chain(
    experiment: Annotated[str, typer.Argument(help="experiment with the stages of the full chain")] = "full_chain",
    scale: Scale = None,
    models: Annotated[
        Path | None, typer.Option(help="results folder with its checkpoints; default: random weights, fed the truth")
    ] = None,
    events: Annotated[Path | None, typer.Option(help="event store; default: simulated events")] = None,
    count: Annotated[int, typer.Option(min=1, help="events in a batch")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="how often everything is run, in turns")] = 5,
    sizes: Annotated[str, typer.Option(help="voxels of the events of the growth, by commas; empty: none")] = (
        "1000,3000,10000,30000,100000,200000"
    ),
    peer: Annotated[bool, typer.Option(help="beside SPINE with MinkowskiEngine, which must be installed")] = True,
    threads: Annotated[int, typer.Option(min=1, help="of both sides")] = 1,
    beside: Annotated[str, typer.Option(help="what else ran on the machine, for the page")] = "not said",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="write the page here too")] = None,
) -> None:
    """Every stage of the chain: events/s beside SPINE's, a training step, and the growth with the event's size.

    Example: `weft bench chain --scale demo --models results -o benchmarks/results/chain.md`
    """
    import torch

    from weft.bench.chain import ALIKE
    from weft.bench.chain import bench_chain as run_benchmark

    try:
        wanted = [int(size) for size in sizes.split(",") if size]
    except ValueError:
        raise WeftError(f"--sizes {sizes}: expected whole numbers by commas") from None
    torch.set_num_threads(threads)
    loaded, dataset = _experiment(experiment, scale, list(ALIKE))
    command = f"weft bench chain {experiment} --scale {loaded.scale} --count {count} --rounds {rounds}"
    command += " --models RESULTS" if models else ""
    command += " --events EVENTS" if events else ""
    found = run_benchmark(
        loaded, dataset, command=command, models=models, events=events, count=count, rounds=rounds, sizes=wanted,
        peer=peer, beside=beside,
    )  # fmt: skip
    print(found)
    if output is not None:
        output.write_text(found + "\n")


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


@app.command()
def doctor() -> None:
    """Versions, devices, engines, and what is missing.

    Example: `weft doctor`
    """
    from weft.doctor import examine

    examine()


app.add_typer(curation, name="curate")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="print the version and leave")] = False,
) -> None:
    if version:
        print(weft.__version__)
        raise typer.Exit


def _setting(given: str | None, key: str) -> str | None:
    """An option as given, else as the workflow's configuration has it."""
    if given is not None:
        return given
    from weft.config.loading import read_mapping

    path = Path("config/config.yaml")
    return read_mapping(path).get(key) if path.is_file() else None


def _layout(results: str | None) -> Any:
    from weft.config import Layout

    return Layout(_setting(results, "results") or "results")


def _dataset(name: str, scale: str | None, overrides: tuple[str, ...]) -> Any:
    from weft.config import load_dataset

    return load_dataset(name, _setting(scale, "scale"), overrides)


def _require_judged(experiment: Any) -> None:
    if not experiment.truth:
        raise WeftError(f"experiment '{experiment.name}' has no truth to judge by (truth: false)")


def _experiment(name: str, scale: str | None, overrides: list[str]) -> Any:
    from weft import tasks
    from weft.config import load_dataset, load_experiment

    experiment = tasks.resolve(load_experiment(name, _setting(scale, "scale"), overrides))
    return experiment, load_dataset(experiment.dataset, _setting(scale, "scale"))


def _given_experiment(name: str, scale: str | None, given: Any) -> Any:
    """The same with a model, files and options of the call."""
    from weft import tasks
    from weft.config.given import load_with

    experiment, dataset = load_with(name, _setting(scale, "scale"), given)
    return tasks.resolve(experiment), dataset


def _what_was_given(name: str, scale: str | None, layout: Any, model: str | None, files: list[str] | None) -> Any:
    """A model and files of this call; where there are none, what the last deploy was given, if that left a record."""
    from weft.config import load_experiment
    from weft.config.given import Given, remembered

    experiment = load_experiment(name, _setting(scale, "scale"))
    last = Given() if experiment.truth else remembered(Path(layout.given(experiment.id))) or Given()
    return Given(model or last.model, tuple(files or last.files), last.set)


def _assignments(stage: str, overrides: list[str] | None) -> list[str]:
    """Overrides that address a stage, as seen from the experiment."""
    return [a if a.startswith(("stages.", "seeds=")) else f"stages.{stage}.{a}" for a in overrides or ()]


def _run(
    name: str,
    scale: str | None,
    results: str | None,
    stage: str | None,
    variant: str | None,
    overrides: list[str] | None,
) -> Any:
    from dataclasses import replace

    from weft.config import load_experiment, run_of
    from weft.config.loading import ConfigError
    from weft.io.provenance import config_hash

    stages = list(load_experiment(name, _setting(scale, "scale")).stages)
    if stage is None:
        if len(stages) > 1:
            raise ConfigError(f"experiment '{name}' has several stages, choose one with --stage: {', '.join(stages)}")
        stage = stages[0]
    assignments = _assignments(stage, overrides)
    experiment, dataset = _experiment(name, scale, assignments)
    run = run_of(experiment, dataset, _layout(results), stage, variant)
    # What the experiment's file describes keeps its place: the workflow could not tell the difference.
    return replace(run, variant=f"{run.variant}+{config_hash(sorted(assignments))[:8]}") if assignments else run


def main() -> None:
    """Run a verb; what the user can mend is said in one line."""
    sys.exit(_main(app))


def _main(command: Callable[..., Any]) -> int:
    from weft.engine.logs import AGAIN, Interrupted

    try:
        command()
    except Interrupted as error:
        print(error, file=sys.stderr)
        return AGAIN
    except WeftError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    return 0


if __name__ == "__main__":
    main()
