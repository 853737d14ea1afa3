"""Native files of the field into event stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from weft.detector.wires import Detector
from weft.errors import WeftError
from weft.io.folders import nothing_in
from weft.io.identity import event_table, split_fraction
from weft.io.image_files import IMAGES, is_images
from weft.io.mesh_files import is_meshes
from weft.io.mesh_options import MeshReading
from weft.io.numl import is_numl
from weft.io.products import EventId, Schema
from weft.io.provenance import collect, file_hash
from weft.io.spine_file import is_spine
from weft.io.stack_files import MAGIC as TIFF_MAGIC
from weft.io.stack_files import tiffs_in
from weft.io.writer import FORMAT, StoreWriter

KINDS = ("larcv", "weft", "larcv3", "pilarnet", "spine", "opensamples", "larmatch", "stacks", "images", "meshes")

Encode = Callable[[str, str, Sequence[str]], np.ndarray]


class Source(Protocol):
    """An open native file.

    A source of several files lists them as ``files``; one whose events have names instead of numbers gives them by
    ``names()``.

    Attributes:
        kind: one of `KINDS`.
        entries: number of events.
        schemas: of the products that `events` yields.
        skipped: what of the file is not converted, and why.
    """

    kind: str
    entries: int

    @property
    def schemas(self) -> Sequence[Schema]: ...

    @property
    def skipped(self) -> Mapping[str, str]: ...

    @property
    def about(self) -> Mapping[str, Any]:
        """Facts about the file, for the provenance."""

    @property
    def notes(self) -> Mapping[str, Any]:
        """What had to be decided or left out, complete once all events were read."""

    def numbers(self) -> np.ndarray | None:
        """int64 (entries, 3): run, subrun, event; None where the file has no such numbers."""

    def events(self, start: int, stop: int, encode: Encode) -> Iterator[dict[str, Any]]:
        """Products of each entry; `encode(product, column, strings)` gives codes of strings."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Conversion:
    """What `convert_file` did."""

    path: Path
    kind: str
    events: int
    content_hash: str
    skipped: Mapping[str, str]
    notes: Mapping[str, Any]


def recognise(path: str | Path) -> str:
    """Which of `KINDS` a file is, by its content; a folder is one of stacks, unless it holds meshes or images.

    Raises:
        WeftError: no such file, or none of the known kinds.
    """
    path = Path(path)
    if is_meshes(path):
        return "meshes"
    if is_images(path):
        return "images"
    if path.is_dir():
        return "stacks"
    if not path.is_file():
        raise WeftError(f"{path}: no such file")
    with path.open("rb") as file:
        start = file.read(8)
    if start[:4] in TIFF_MAGIC:
        return "stacks"
    if start[:4] == b"root":
        from weft.io.larmatch_file import TREE
        from weft.io.root_tree import RootFile

        with RootFile(path) as root:
            if TREE in root.others:
                return "larmatch"
            return "weft" if "weft_provenance" in root.others else "larcv"
    if start == b"\x89HDF\r\n\x1a\n":
        try:
            with h5py.File(path, "r", locking=False) as file:
                if file.attrs.get("format") == FORMAT:
                    raise WeftError(
                        f"{path}: already an event store: it is not converted, and neither datasets nor manifests "
                        "list it; `weft deploy --events` reads it as it is"
                    )
                if "point" in file and "cluster" in file:
                    return "pilarnet"
                if "Data" in file and "Events" in file:
                    return "larcv3"
                if is_spine(file):
                    return "spine"
                if is_numl(file):
                    return "opensamples"
                found = ", ".join(file)
        except OSError as error:
            raise WeftError(f"{path}: cannot be read (truncated or damaged?): {error}") from error
        raise WeftError(
            f"{path}: HDF5 with {found}; expected PILArNet-M (point, cluster), larcv3 (Data, Events), "
            "SPINE (info, events) or OpenSamples (event_table, wire_table)"
        )
    raise WeftError(
        f"{path}: neither ROOT nor HDF5 nor TIFF nor an image or a mesh; weft convert reads {', '.join(KINDS)}"
    )


def open_source(
    path: str | Path,
    kind: str = "auto",
    products: Mapping[str, str | None] | None = None,
    detector: Detector | None = None,
    tick_backward: bool = False,
    spacing: tuple[float, float, float] | None = None,
    meshes: MeshReading | None = None,
) -> Source:
    """Open a native file; `products` is described in `weft.io.root_source.RootSource`, the others in `convert_file`.

    Raises WeftError for what is no source, such as a folder in which there is nothing of any kind.
    """
    path = Path(path)
    if kind not in (*KINDS, "auto"):
        raise WeftError(f"source kind is {kind!r}, expected auto or one of {', '.join(KINDS)}")
    found = recognise(path)
    if found == "stacks" and path.is_dir() and not tiffs_in(path):
        # Images that are asked for may be TIFF in the folder of images.
        inner = path / IMAGES
        if not (kind == "images" and inner.is_dir() and tiffs_in(inner)):
            raise WeftError(nothing_in(path))
    if (kind, found) == ("images", "stacks"):
        found = kind  # TIFF files, which may be either
    if kind not in ("auto", found):
        raise WeftError(f"{path}: asked to read as {kind}, but the file is {found}")
    chosen = products or {}
    if tick_backward and found not in ("larcv", "weft"):
        raise WeftError(f"{path}: only images of LArCV files can be backward in time, this file is {found}")
    if spacing is not None and found != "stacks":
        raise WeftError(f"{path}: a voxel size is for stacks, this one is {found}")
    if meshes is not None and found != "meshes":
        raise WeftError(f"{path}: labels and grounds of meshes are for meshes, this one is {found}")
    if found == "larmatch":
        from weft.io.larmatch_file import LarmatchSource

        return LarmatchSource(path, chosen, detector)
    if detector is not None:
        raise WeftError(f"{path}: a detector is for files of triplets without positions, this one is {found}")
    if found == "stacks":
        from weft.io.stacks import StackSource

        return StackSource(path, chosen, spacing)
    if found == "images":
        from weft.io.images import ImageSource

        return ImageSource(path, chosen)
    if found == "meshes":
        from weft.io.meshes import MeshSource

        return MeshSource(path, chosen, meshes)
    if found in ("larcv", "weft"):
        from weft.io.root_source import RootSource

        return RootSource(path, chosen, tick_backward)
    if found == "larcv3":
        from weft.io.larcv3 import Larcv3Source

        return Larcv3Source(path, chosen)
    if found == "spine":
        from weft.io.spine_source import SpineSource

        return SpineSource(path, chosen)
    if found == "opensamples":
        from weft.io.opensamples import OpenSamplesSource

        return OpenSamplesSource(path, chosen)
    from weft.io.pilarnet import PilarnetSource

    return PilarnetSource(path, chosen)


def convert_file(
    source: str | Path,
    target: str | Path,
    *,
    kind: str = "auto",
    start: int | None = None,
    stop: int | None = None,
    keep: tuple[float, float] | None = None,
    products: Mapping[str, str | None] | None = None,
    namespace: str = "",
    detector: Detector | None = None,
    tick_backward: bool = False,
    spacing: tuple[float, float, float] | None = None,
    meshes: MeshReading | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Conversion:
    """Convert one native file, or a range of it, into one event store, block by block.

    Args:
        source: LArCV2 or weft ROOT, larcv3 HDF5, PILArNet-M HDF5, SPINE's HDF5, OpenSamples HDF5, LArMatch ROOT; a
            folder of TIFF stacks, of images or of PLY and OBJ meshes, or one of these.
        target: the event store; it appears only when everything went well.
        kind: one of `KINDS`, checked against the file; ``auto`` recognises it.
        start, stop: range of entries.
        keep: (low, high): keep the events whose `split_fraction` lies in [low, high).
        products: which tree or group becomes which product; of stacks, images and meshes, which files
            (`weft.io.stack_files`, `weft.io.image_files`, `weft.io.mesh_files`).
        namespace: part of the unique ids, for datasets that repeat run, subrun and event numbers.
        detector: where the wires are, for files that have triplets of pixels without positions (LArMatch).
        tick_backward: the images begin with the latest tick; they are turned, so that row 0 is the earliest.
        spacing: (z, y, x) of a voxel in µm, for stacks whose files do not say it.
        meshes: which label is which class, and what is measured of faces; None: as the files say, and by default.
        progress: called with the entries read so far, and how many there are to read.

    Raises:
        WeftError: the file is damaged, inconsistent or of an unsupported kind; nothing is written then.
    """
    source = Path(source)
    opened = open_source(source, kind, products, detector, tick_backward, spacing, meshes)
    files = getattr(opened, "files", [source])
    try:
        first, last = _range(source, opened.entries, start, stop)
        names = opened.names() if hasattr(opened, "names") else None
        table, distinct = event_table(opened.entries, opened.numbers(), source.name, namespace, names)
        chosen = np.zeros(opened.entries, bool)
        chosen[first:last] = True
        if keep is not None:
            fraction = split_fraction(table["uid"])
            chosen &= (fraction >= keep[0]) & (fraction < keep[1])
        record: dict[str, Any] = {}
        with StoreWriter(target, opened.schemas, provenance=record) as writer:
            for i, event in enumerate(opened.events(first, last, writer.encode), first):
                if chosen[i]:
                    writer.append(EventId(*table[i].tolist()), event)
                if progress is not None:
                    progress(i + 1 - first, last - first)
            facts = {
                "name": source.name,
                "kind": opened.kind,
                "bytes": sum(file.stat().st_size for file in files),
                "entries": [first, last],
                "keep": keep,
                "namespace": namespace,
                "ids_from": _ids_from(distinct, names),
                **opened.about,
            }
            # Of a part of a file this would take longer than the conversion.
            inputs = {file.name: file_hash(file) for file in files} if last - first == opened.entries else {}
            writer.provenance = collect(
                inputs=inputs, source=facts, skipped=dict(opened.skipped), notes=dict(opened.notes)
            )
    finally:
        opened.close()
    assert writer.content_hash is not None
    return Conversion(Path(target), opened.kind, int(chosen.sum()), writer.content_hash, opened.skipped, opened.notes)


def _ids_from(distinct: bool, names: Sequence[str] | None) -> str:
    if distinct:
        return "run, subrun, event"
    return "file name, entry" if names is None else "folder, image, time point"


def _range(path: Path, entries: int, start: int | None, stop: int | None) -> tuple[int, int]:
    first, last = start or 0, entries if stop is None else stop
    if not 0 <= first <= last <= entries:
        raise WeftError(f"{path}: entries {first} to {last} of {entries} do not exist")
    return first, last
