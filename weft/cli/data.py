"""Verbs on data: simulate, convert, triplets, export, inspect, show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.arguments import Results, Scale, lengths, voxels
from weft.cli.lookup import find_dataset, find_layout
from weft.cli.program import app
from weft.errors import WeftError


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

    chosen = find_dataset(dataset, scale, tuple(overrides or ()))
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
                path = Path(find_layout(results).raw(*where))
                with progress_bar(str(path)) as progress:
                    simulate_file(of_split, resolved.seed, shard.start, count, path, processes, progress)
            elif isinstance(of_split, StackSettings):
                path = Path(find_layout(results).stacks(*where))
                with progress_bar(str(path)) as progress:
                    simulate_folder(of_split, resolved.seed, shard.start, count, path, processes, progress)
            elif isinstance(of_split, StreetSettings):
                path = Path(find_layout(results).streets(*where))
                with progress_bar(str(path)) as progress:
                    simulate_streets(of_split, resolved.seed, shard.start, count, path, processes, progress)
            else:
                path = Path(find_layout(results).towns(*where))
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
            spacing=None if spacing is None else lengths(spacing),
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
        smallest=None if smallest is None else voxels(smallest),
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
    """A rotatable 3-D display of one event or mesh, the planes of one stack, or a picture, as one HTML file.

    Example: `weft show results/data/lartpc-demo/test/0000.h5 --event 3 -o event.html`

    Example: `weft show stacks.h5 --prediction predicted.h5 --event 3 -o stack.html`

    Example: `weft show points.h5 -o event.html` (what `weft deploy larmatch --stage chain` has written)
    """
    from weft.report.show import show_event

    predictions = _named_stores(prediction or [], "prediction")
    show_event({"truth": truth} | {name: Path(path) for name, path in predictions.items()}, event, output)
    print(output)
