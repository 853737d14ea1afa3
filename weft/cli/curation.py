"""``weft curate <verb>``: segmentations into training data, one thin function per verb."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from weft.config.curated import CurationOptions
    from weft.volumes.curation.curate import How
    from weft.volumes.curation.table import Row

curation = typer.Typer(
    help="Make training data of segmentations: look (`review`), decide in a table, then `takeall`, `select`, `merge`.",
    no_args_is_help=True,
)

Source = Annotated[
    Path, typer.Argument(help="a table (.csv), or images: a folder of TIFF files, one of them, or an event store")
]
Output = Annotated[Path, typer.Argument(help="the folder of triples to write, or to continue")]
SegmentationPlace = Annotated[
    str | None,
    typer.Option(
        "--segmentation",
        help="where it is beside an image: an ending (_seg), or a path with {name}; of a store the predictions, "
        "default its labels",
    ),
]
SecondPlace = Annotated[str | None, typer.Option("--second", help="the same of a second segmentation, to be merged")]
Excluding = Annotated[
    str | None, typer.Option(help="the same of masks (TIFF, GeoJSON) that are 1 where nothing is judged")
]
Merging = Annotated[str | None, typer.Option(help="the same of masks that are 1 where the second one is taken")]
Decisions = Annotated[Path | None, typer.Option(help="a table with image, score and masks, laid over the others")]
Threshold = Annotated[float, typer.Option(help="of files of probabilities: above it a voxel has class 1")]
OneClass = Annotated[
    bool, typer.Option("--one-class", help="of files of numbered objects: every number above 0 is class 1")
]
MinProbability = Annotated[
    float | None, typer.Option(help="cost 0 where the class of a voxel, either of two, is less probable")
]


@curation.command()
def review(
    source: Source,
    output: Annotated[Path, typer.Argument(help="the folder for candidates.csv and the contact sheets")],
    segmentation: SegmentationPlace = None,
    second: SecondPlace = None,
    excluding: Excluding = None,
    merging: Merging = None,
    threshold: Threshold = 0.5,
    one_class: OneClass = False,
    min_confidence: Annotated[
        float | None, typer.Option(help="score 1 only from this mean probability of the foreground on")
    ] = None,
    min_foreground: Annotated[float | None, typer.Option(help="score 1 only from this share of voxels on")] = None,
    max_foreground: Annotated[float | None, typer.Option(help="score 1 only up to this share of voxels")] = None,
    min_agreement: Annotated[
        float | None, typer.Option(help="score 1 only from this Dice of two segmentations on")
    ] = None,
) -> None:
    """List segmentations, with what can be measured of them and a contact sheet of each, to be judged.

    Scores stay empty without one of the criteria. Write 1 or 0 into the table, then `weft curate select`.

    Example: `weft curate review images review --segmentation "../masks/{name}.tif" --min-foreground 0.01`
    """
    from weft.config.curated import Acceptance
    from weft.config.loading import validate
    from weft.progress import progress_bar
    from weft.volumes.curation.review import TABLE
    from weft.volumes.curation.review import review as look

    limits = {"min_confidence": min_confidence, "min_foreground": min_foreground}
    limits |= {"max_foreground": max_foreground, "min_agreement": min_agreement}
    given = {name: value for name, value in limits.items() if value is not None}
    accept = validate(Acceptance, given, "weft curate review") if given else None
    rows = _rows(source, None, segmentation, second, excluding, merging)
    with progress_bar(str(output)) as progress:
        made = look(rows, output, accept, _options(threshold, one_class, None), progress)
    kept, open_ = sum(row.keep is True for row in made), sum(row.keep is None for row in made)
    images = f"{len(made)} image{'s' if len(made) != 1 else ''}"
    print(f"{output / TABLE}: {images}, {kept} with a score above 0, {open_} without a score")


@curation.command()
def takeall(
    source: Source,
    output: Output,
    segmentation: SegmentationPlace = None,
    excluding: Excluding = None,
    decisions: Decisions = None,
    threshold: Threshold = 0.5,
    one_class: OneClass = False,
    min_probability: MinProbability = None,
) -> None:
    """Every image with its segmentation, whatever its score.

    Example: `weft curate takeall images curated --segmentation _struct_segmentation --excluding _mask`
    """
    rows = _rows(source, decisions, segmentation, None, excluding, None)
    _curate(rows, "takeall", output, _options(threshold, one_class, min_probability))


@curation.command()
def select(
    source: Source,
    output: Output,
    segmentation: SegmentationPlace = None,
    excluding: Excluding = None,
    decisions: Decisions = None,
    threshold: Threshold = 0.5,
    one_class: OneClass = False,
    min_probability: MinProbability = None,
) -> None:
    """Images whose score is above 0.

    Example: `weft curate select review/candidates.csv curated --min-probability 0.6`
    """
    rows = _rows(source, decisions, segmentation, None, excluding, None)
    _curate(rows, "select", output, _options(threshold, one_class, min_probability))


@curation.command()
def merge(
    source: Source,
    output: Output,
    segmentation: SegmentationPlace = None,
    second: SecondPlace = None,
    excluding: Excluding = None,
    merging: Merging = None,
    decisions: Decisions = None,
    threshold: Threshold = 0.5,
    one_class: OneClass = False,
    min_probability: MinProbability = None,
) -> None:
    """Images whose score is above 0, with the first segmentation where the merging mask is 0, the second where it is 1.

    Example: `weft curate merge decisions.csv curated`
    """
    rows = _rows(source, decisions, segmentation, second, excluding, merging)
    _curate(rows, "merge", output, _options(threshold, one_class, min_probability))


def _rows(
    source: Path,
    decisions: Path | None,
    segmentation: str | None,
    second: str | None,
    excluding: str | None,
    merging: str | None,
) -> list[Row]:
    from weft.errors import WeftError
    from weft.volumes.curation import candidates
    from weft.volumes.curation.table import decided, read_table

    said = {"segmentation": segmentation, "segmentation_2": second}
    said |= {"excluding_mask": excluding, "merging_mask": merging}
    places = {name: place for name, place in said.items() if place is not None}
    if source.suffix.lower() == ".csv":
        if places:
            raise WeftError(f"{source}: a table names segmentations and masks itself; leave out the options")
        rows = read_table(source)
    else:
        rows = candidates.of(source, places)
    return rows if decisions is None else decided(rows, read_table(decisions), decisions)


def _options(threshold: float, one_class: bool, min_probability: float | None) -> CurationOptions:
    from weft.config.curated import CurationOptions
    from weft.config.loading import validate

    given = {"threshold": threshold, "one_class": one_class, "min_probability": min_probability}
    return validate(CurationOptions, given, "weft curate")


def _curate(rows: list[Row], how: How, output: Path, options: CurationOptions) -> None:
    from weft.progress import progress_bar
    from weft.volumes.curation.curate import curate

    with progress_bar(str(output)) as progress:
        done = curate(rows, how, output, options, progress)
    print(f"{output}: {done}")
