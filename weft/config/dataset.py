"""Datasets: what is simulated, curated, or which files are read, and how events are split.

A dataset is converted once and shared by all experiments. Its shards are known without opening any file.
"""

from __future__ import annotations

import csv
import glob
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, SerializerFunctionWrapHandler, TypeAdapter, model_serializer, model_validator

from weft.config.curated import CuratedSplit
from weft.config.detector import NamedDetector
from weft.config.loading import ConfigError, at_scale, closest, find, merge, override, read_mapping, validate
from weft.config.mesh_files import MeshFileOptions
from weft.config.strict import Strict
from weft.io.image_files import other_files as masks_among
from weft.io.stack_files import other_files, places, stem

DATASETS = Path("config/datasets")
Length = Annotated[float, Field(gt=0, le=1e4)]
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"


class Shard(NamedTuple):
    """One event store to be made: from simulated events [start, stop), or from a file (or a range of it)."""

    id: str
    file: str | None
    start: int | None
    stop: int | None


class SimulatedSplit(Strict):
    """Simulated events of one purpose. ``like``: another split's events under other settings."""

    events: int | None = Field(None, ge=1, description="number of events")
    shards: int | None = Field(None, ge=1, description="number of files, one job each")
    seed: int | None = Field(None, ge=0, description="seed of the generator; event i depends on (seed, i) only")
    like: str | None = Field(None, description="name of the split whose events, shards and seed are taken")
    simulation: dict[str, Any] = Field({}, description="settings laid over the dataset's own")


class FileSplit(Strict):
    """Events of one purpose: named files, or a share of all events by the hash of their unique id."""

    files: tuple[str, ...] = Field((), description="paths or globs; @list.txt: those in a text file, one a line")
    fraction: float | None = Field(None, gt=0, le=1, description="share of the events of the dataset's files")

    @model_validator(mode="after")
    def _one_way(self) -> FileSplit:
        if bool(self.files) == (self.fraction is not None):
            raise ValueError("give either files or fraction")
        return self


class _Dataset(Strict):
    name: str = Field(pattern=_NAME, description="letters, digits, - and _; the folder below results/data")
    title: str = Field("", description="what the events are, for reports")
    scale: str | None = Field(None, description="set by the loader")

    @property
    def id(self) -> str:
        """Name of the folder below ``results/data``."""
        return self.name if self.scale is None else f"{self.name}-{self.scale}"


class SimulatedDataset(_Dataset):
    """Events of the embedded simulation."""

    source: Literal["simulation"] = Field(description="events are made by weft simulate")
    kind: Literal["lartpc", "stacks", "towns", "streets"] = Field(
        "lartpc",
        description="what is simulated: lartpc, events in liquid argon; stacks, microscopy; towns, textured meshes; "
        "streets, pictures",
    )
    simulation: dict[str, Any] = Field(
        {}, description="settings, see docs/simulation.md, docs/stacks.md, docs/towns.md and docs/images.md"
    )
    meshes: MeshFileOptions | None = Field(None, description="of towns: how their meshes are converted")
    splits: dict[Annotated[str, Field(pattern=_NAME)], SimulatedSplit] = Field(
        min_length=1, description="events by purpose: train, val, and those of the evaluations"
    )

    @model_serializer(mode="wrap")
    def _without_kind(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A dataset of argon is the same dataset as before there were others, and its reports are not made anew."""
        plain = {"kind": "lartpc", "meshes": None}
        return {name: value for name, value in dump(self).items() if name not in plain or value != plain[name]}

    @model_validator(mode="after")
    def _resolvable(self) -> SimulatedDataset:
        if self.meshes is not None and self.kind != "towns":
            raise ValueError(f"meshes: a dataset of {self.kind} has none")
        for name in self.splits:
            self.split(name)
        return self

    def split(self, name: str) -> SimulatedSplit:
        """A split with ``like`` resolved and the dataset's settings filled in."""
        own = self.splits[name]
        if own.like is None:
            given = own
        elif own.like not in self.splits or own.like == name or self.splits[own.like].like is not None:
            raise ValueError(f"splits.{name}.like: '{own.like}' is not another split that stands on its own")
        else:
            other = self.splits[own.like]
            given = own.model_copy(
                update={
                    "events": own.events or other.events,
                    "shards": own.shards or other.shards,
                    "seed": other.seed if own.seed is None else own.seed,
                    "simulation": merge(other.simulation, own.simulation),
                }
            )
        if given.events is None or given.seed is None:
            raise ValueError(f"splits.{name}: events and seed are needed")
        shards = given.shards or 1
        if shards > given.events:
            raise ValueError(f"splits.{name}: {shards} shards for {given.events} events")
        return given.model_copy(
            update={"shards": shards, "simulation": merge(self.simulation, given.simulation), "like": None}
        )

    def shards(self, split: str) -> list[Shard]:
        """Near-equal consecutive ranges of events."""
        resolved = self.split(split)
        count, events = resolved.shards or 1, resolved.events or 0
        edges = [events * i // count for i in range(count + 1)]
        return [Shard(f"{i:04d}", None, edges[i], edges[i + 1]) for i in range(count)]


class FileDataset(_Dataset):
    """Events of existing files, of any kind that ``weft convert`` reads."""

    source: Literal["files"] = Field(description="events are read from files")
    kind: str = Field("auto", description="format of the files, see docs/data_formats.md")
    products: dict[str, str | None] = Field({}, description="event-store product: product of the file, null: none")
    namespace: str = Field("", description="tells apart datasets whose run, subrun and event numbers are the same")
    detector: NamedDetector | None = Field(
        None, description="of files that have triplets but no positions: a file in config/detectors, or what it says"
    )
    tick_backward: bool = Field(
        False, description="whether images of LArCV files begin with the latest tick; they are turned when read"
    )
    spacing: tuple[Length, Length, Length] | None = Field(
        None, description="voxel size z, y, x of stacks, µm, where their files do not say it"
    )
    meshes: MeshFileOptions | None = Field(None, description="of PLY and OBJ files: how they are converted")
    files: tuple[str, ...] = Field((), description="paths, globs or @list.txt, for splits given by fraction")
    manifest: str | None = Field(None, description="CSV of file,start,stop as `weft inspect --manifest` writes it")
    splits: dict[Annotated[str, Field(pattern=_NAME)], FileSplit] = Field(
        min_length=1, description="events by purpose: train, val, and those of the evaluations"
    )

    @model_serializer(mode="wrap")
    def _without_spacing(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As before there were stacks and meshes where nothing is said of them."""
        later = ("spacing", "meshes")
        return {name: value for name, value in dump(self).items() if name not in later or value is not None}

    @model_validator(mode="after")
    def _consistent(self) -> FileDataset:
        fractions = [split.fraction for split in self.splits.values() if split.fraction is not None]
        if sum(fractions) > 1 + 1e-9:
            raise ValueError(f"splits: the fractions add up to {sum(fractions):g}, more than 1")
        if fractions and bool(self.files) == (self.manifest is not None):
            raise ValueError("splits by fraction need either files or manifest")
        if not fractions and (self.files or self.manifest):
            raise ValueError("files and manifest are for splits by fraction; these splits list their files")
        return self

    def keep(self, split: str) -> tuple[float, float] | None:
        """The interval of hashed ids in [0, 1) that belongs to a split; None where the split lists files."""
        low = 0.0
        for name, entry in self.splits.items():
            share = entry.fraction or 0.0
            if name == split:
                return (low, low + share) if entry.fraction is not None else None
            low += share
        raise KeyError(split)

    def shards(self, split: str) -> list[Shard]:
        """One shard per file, or per range of the manifest."""
        patterns = self.splits[split].files or self.files
        if self.manifest is not None and not self.splits[split].files:
            return _ranges(self.name, Path(self.manifest))
        files: list[str] = []
        for pattern in _listed(patterns):
            found = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
            if not found or not Path(found[0]).exists():
                raise ConfigError(f"dataset '{self.name}', split '{split}': no file matches '{pattern}'")
            files += found
        if self.kind == "images":
            masks = set(masks_among(map(Path, files), self.products))
            files = [file for file in files if Path(file) not in masks]
        if self.kind == "stacks":
            # A glob finds labels and costs as well, which go with their image.
            others = set(other_files(map(Path, files), places(self.products)))
            files = [file for file in files if Path(file) not in others]
        twice = [file for file, count in Counter(files).items() if count > 1]
        if twice:
            raise ConfigError(f"dataset '{self.name}', split '{split}': {twice[0]} is listed twice")
        return [Shard(name, file, None, None) for file, name in _names(files).items()]


def _listed(patterns: Iterable[str]) -> Iterator[str]:
    """The patterns, with those in the file ``list.txt`` in place of ``@list.txt``, one a line; # begins a comment."""
    for pattern in patterns:
        if not pattern.startswith("@"):
            yield pattern
            continue
        try:
            lines = Path(pattern[1:]).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ConfigError(f"{pattern[1:]}: the list of files cannot be read ({error.strerror})") from None
        yield from filter(None, (line.partition("#")[0].strip() for line in lines))


def _names(files: list[str]) -> dict[str, str]:
    """A name for each file: its stem, with its number in the list where stems repeat."""
    stems = {file: Path(stem(file)).stem if stem(file) == Path(file).name else stem(file) for file in files}
    if len(set(stems.values())) == len(stems):
        return stems
    return {file: f"{stem}-{i:04d}" for i, (file, stem) in enumerate(stems.items())}


def _ranges(dataset: str, manifest: Path) -> list[Shard]:
    """The rows of a manifest, one shard each; every entry of a file may be in one of them."""
    try:
        with open(manifest, newline="") as stream:
            rows = [(row["file"], int(row["start"]), int(row["stop"])) for row in csv.DictReader(stream)]
    except FileNotFoundError:
        raise ConfigError(
            f"dataset '{dataset}': {manifest}: no such file; `weft inspect --manifest` makes it"
        ) from None
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"dataset '{dataset}': {manifest}: expected the columns file,start,stop of `weft inspect --manifest`"
        ) from None
    for file, start, stop in rows:
        if not 0 <= start < stop:
            raise ConfigError(f"dataset '{dataset}': {manifest}: {file}: {start},{stop}: expected 0 <= start < stop")
    for (file, start, stop), (other, begin, end) in pairwise(sorted(rows)):
        if file == other and begin < stop:
            raise ConfigError(f"dataset '{dataset}': {manifest}: {file}: {start},{stop} and {begin},{end} overlap")
    names = _names([file for file, _, _ in rows])
    return [Shard(f"{names[file]}-{start:08d}", file, start, stop) for file, start, stop in rows]


class CuratedDataset(_Dataset):
    """Stacks whose labels were made of segmentations."""

    source: Literal["curated"] = Field(description="images and their segmentations come from other datasets")
    splits: dict[Annotated[str, Field(pattern=_NAME)], CuratedSplit] = Field(
        min_length=1, description="events by purpose: train, val, and those of the evaluations"
    )

    @property
    def kind(self) -> str:
        """Of the folders that are converted."""
        return "stacks"

    def shards(self, split: str) -> list[Shard]:
        """One: how many images are kept is known only then. Its name tells images of several splits apart."""
        return [Shard(split, None, None, None)]


Dataset = SimulatedDataset | FileDataset | CuratedDataset
_KINDS: dict[str, type[SimulatedDataset] | type[FileDataset] | type[CuratedDataset]] = {
    "simulation": SimulatedDataset,
    "files": FileDataset,
    "curated": CuratedDataset,
}


def require_split(dataset: Dataset, name: str) -> None:
    """Raise ConfigError where a dataset has no such split."""
    if name not in dataset.splits:
        raise ConfigError(f"dataset '{dataset.name}' has no split '{name}'; it has: {', '.join(dataset.splits)}")


def load_dataset(name: str | Path, scale: str | None = None, overrides: tuple[str, ...] = ()) -> Dataset:
    """The dataset of ``config/datasets/<name>.yaml``, ``.toml`` or ``.json`` (or of a path) at a scale."""
    path = find("dataset", name, DATASETS)
    document, applied = at_scale(read_mapping(path), scale, str(path))
    document = override(document, overrides)
    source = document.get("source")
    if source not in _KINDS:
        raise ConfigError(f"{path}: source: expected one of {', '.join(_KINDS)}{closest(str(source), list(_KINDS))}")
    return validate(_KINDS[source], document | {"scale": applied}, str(path))


def dataset_from(document: dict[str, Any]) -> Dataset:
    """The dataset back from its ``model_dump``, as it travels in a rule's parameters."""
    adapter: TypeAdapter[Dataset] = TypeAdapter(Annotated[Dataset, Field(discriminator="source")])
    return adapter.validate_python(document)
