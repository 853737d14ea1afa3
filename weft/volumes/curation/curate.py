"""Segmentations into training data: numbered triples of image, labels and cost in a folder (spec §4 and §9).

A folder remembers in ``curated.csv`` which triple was made of what. A call again makes only what is missing or was
decided otherwise since, under the same numbers; further stacks continue the numbering; a stack that is not kept any
longer loses its triple.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from weft.config.curated import CurationOptions
from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.provenance import config_hash
from weft.io.tiff import LazyArray
from weft.io.tiff_write import write_ome_tiff
from weft.volumes.curation.masks import Mask, open_mask
from weft.volumes.curation.places import Image, Place, Segmented, open_image, open_segmentation
from weft.volumes.curation.review import require_shape
from weft.volumes.curation.table import Row
from weft.volumes.lazy import slabs

How = Literal["takeall", "select", "merge"]
RECORD = "curated.csv"
ENDINGS = {"image": "", "labels": "_GT", "cost": "_CM", "instances": "_instances"}
_NUMBERED = re.compile(r"img_(\d+)(_GT|_CM|_instances)?\.ome\.tif")
_COLUMNS = ("number", "image", "raw", "made_of")


@dataclass
class Curated:
    """What became of the rows of a table."""

    made: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """triples of stacks that are not kept any longer"""

    def __str__(self) -> str:
        parts = {"made": self.made, "up to date": self.unchanged, "not kept": self.rejected}
        parts |= {"without a score": self.undecided, "removed": self.removed}
        return ", ".join(f"{len(names)} {what}" for what, names in parts.items() if names) or "no images"


def curate(
    rows: Sequence[Row],
    how: How,
    folder: Path,
    options: CurationOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Curated:
    """Write ``img_0001.ome.tif``, ``img_0001_GT.ome.tif`` and ``img_0001_CM.ome.tif`` for each row that is kept.

    The image keeps its values, its type, voxel size and names of channels. Labels are those of the segmentation, in a
    merge those of the second one where the merging mask is 1. The cost is 1, and 0 where the excluding mask is 1, where
    there is no valid label, and where the class is less probable than `min_probability`. A truth of the image's own
    store keeps its cost and its instances too.

    takeall: every row; select and merge: rows with a score above 0. Rows without a score are left out.

    Raises:
        WeftError: a row without what `how` needs, files that do not fit together, or nothing that is kept.
    """
    options = options or CurationOptions()
    record = _read_record(folder / RECORD)
    known = {line["raw"]: line for line in record}
    numbers = [int(line["number"]) for line in record]
    following = 1 + max([*numbers, *_numbers_in(folder)], default=0)
    done = Curated()
    for row in rows:
        _require(row, how, folder)
    for k, row in enumerate(rows):
        assert row.raw is not None
        raw = row.raw.written(folder)
        before = known.get(raw)
        if how != "takeall" and not row.keep:
            (done.undecided if row.keep is None else done.rejected).append(row.name)
            if before is not None:
                _remove(folder, int(before["number"]))
                del known[raw]
                _write_record(folder / RECORD, known.values())
                done.removed.append(row.name)
        else:
            made_of = _made_of(row, how, options)
            number = following if before is None else int(before["number"])
            if before is not None and before["made_of"] == made_of and _path(folder, number, "image").is_file():
                done.unchanged.append(row.name)
            else:
                # A call that is stopped leaves a number without an image, which the next call makes whole.
                _path(folder, number, "image").unlink(missing_ok=True)
                known[raw] = {"number": str(number), "image": row.name, "raw": raw, "made_of": ""}
                _write_record(folder / RECORD, known.values())
                _write_triple(row, how, folder, number, options, made_of)
                known[raw]["made_of"] = made_of
                _write_record(folder / RECORD, known.values())
                following = max(following, number + 1)
                done.made.append(row.name)
        if progress is not None:
            progress(k + 1, len(rows))
    if not _numbers_in(folder):
        raise WeftError(f"{folder}: no image is kept of {len(rows)}: {done}")
    return done


def _require(row: Row, how: How, folder: Path) -> None:
    if row.raw is None or row.segmentation is None:
        raise WeftError(f"{row.name}: {how} needs raw and segmentation")
    if row.raw.path.absolute().parent == folder.absolute():
        raise WeftError(f"{row.raw.path}: lies in the folder that is to be written; give another one")
    if how == "merge":
        if row.segmentation_2 is None:
            raise WeftError(f"{row.name}: merge needs segmentation_2")
        if row.keep and row.merging_mask is None:
            raise WeftError(f"{row.name}: is kept, but has no merging_mask; one of zeros takes the first segmentation")
    elif row.segmentation_2 is not None or row.merging_mask is not None:
        raise WeftError(f"{row.name}: has a second segmentation or a merging mask, which are for merge, not {how}")


def _made_of(row: Row, how: How, options: CurationOptions) -> str:
    """Hash of all that a triple depends on."""
    places = (row.raw, row.segmentation, row.segmentation_2, row.excluding_mask, row.merging_mask)
    inputs = [None if place is None else [_content(place), place.number] for place in places]
    return config_hash({"how": how, "inputs": inputs, "options": options})[:16]


def _content(place: Place) -> str:
    changed = place.path.stat() if place.path.is_file() else None
    return _hashed(place.path, changed and (changed.st_mtime_ns, changed.st_size))


@cache
def _hashed(path: Path, state: Any) -> str:
    """Of a file as it is now: a store of many events is hashed once."""
    return Place(path).content()


def _write_triple(row: Row, how: How, folder: Path, number: int, options: CurationOptions, made_of: str) -> None:
    assert row.raw is not None
    assert row.segmentation is not None
    truth = row.raw == row.segmentation and row.raw.is_store
    with ExitStack() as stack:
        image = stack.enter_context(open_image(row.raw))
        parts = [stack.enter_context(open_segmentation(row.segmentation, options, truth))]
        if row.segmentation_2 is not None:
            parts.append(stack.enter_context(open_segmentation(row.segmentation_2, options)))
        for part in parts:
            require_shape(row, image, part)
            if options.min_probability is not None and part.probabilities is None:
                raise WeftError(f"{row.name}: min_probability: its segmentation has no probabilities")
        excluding = stack.enter_context(open_mask(row.excluding_mask, image.shape))
        merging = stack.enter_context(open_mask(row.merging_mask, image.shape))
        labelled = _Labelled(parts, merging)
        cost = _Cost(labelled, excluding, options.min_probability, parts[0].more.get("cost"))
        said = {"how": how, "image": row.name, "made_of": made_of, "options": options.model_dump(mode="json")}
        places = {"raw": row.raw, "segmentation": row.segmentation, "segmentation_2": row.segmentation_2}
        places |= {"excluding_mask": row.excluding_mask, "merging_mask": row.merging_mask}
        said |= {name: place.written(folder) for name, place in places.items() if place is not None}
        volumes: dict[str, Any] = {"labels": _Cast(labelled, _smallest(labelled)), "cost": cost}
        if "instances" in parts[0].more and how == "takeall":
            volumes["instances"] = parts[0].more["instances"]
        for name, volume in volumes.items():
            write_ome_tiff(_path(folder, number, name), volume, spacing=image.spacing, record={"curated": said})
        # The image last: with it the triple is complete.
        record = {"curated": said} | ({} if image.numbers is None else {"event": list(image.numbers)})
        _write_image(_path(folder, number, "image"), image, record)


def _write_image(path: Path, image: Image, record: Mapping[str, Any]) -> None:
    one = image.volume.shape[0] == 1 and not image.channels
    volume: Any = _First(image.volume) if one else image.volume
    write_ome_tiff(
        path, volume, "ZYX" if one else "CZYX", spacing=image.spacing, channels=image.channels, record=record
    )


class _Lazy:
    """[Z, Y, X] made slab by slab."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def planes(self, z: slice) -> np.ndarray:
        raise NotImplementedError

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if not isinstance(first, slice):
            raise IndexError(f"{key!r}: slices along z are needed")
        return self.planes(slice(*first.indices(self.shape[0])))[(slice(None), *rest)]


class _First(_Lazy):
    """The one channel of an image."""

    def __init__(self, volume: LazyArray) -> None:
        self._volume, self.shape, self.dtype = volume, tuple(volume.shape[1:]), np.dtype(volume.dtype)

    def planes(self, z: slice) -> np.ndarray:
        return np.asarray(self._volume[0, z])


class _Labelled(_Lazy):
    """Labels of one segmentation, or of two: the second one where the mask is 1."""

    def __init__(self, parts: Sequence[Segmented], merging: Mask | None) -> None:
        self.parts, self._merging = parts, merging
        self.shape, self.dtype = tuple(parts[0].labels.shape), np.dtype(np.int16)

    def planes(self, z: slice) -> np.ndarray:
        labels = np.asarray(self.parts[0].labels[z])
        if self._merging is None:
            return labels
        return np.where(self._merging(z), np.asarray(self.parts[1].labels[z]), labels)

    def probability(self, labels: np.ndarray, z: slice) -> np.ndarray:
        """Of the labels, by the segmentation that each comes from."""
        first = self.parts[0].probability(labels, z)
        assert first is not None
        if self._merging is None:
            return first
        second = self.parts[1].probability(labels, z)
        assert second is not None
        return np.where(self._merging(z), second, first)


class _Cost(_Lazy):
    """float32: 0 where nothing is learnt, elsewhere 1, or what a truth says."""

    def __init__(
        self, labelled: _Labelled, excluding: Mask | None, least: float | None, given: LazyArray | None
    ) -> None:
        self._labelled, self._excluding, self._least, self._given = labelled, excluding, least, given
        self.shape, self.dtype = labelled.shape, np.dtype(np.float32)

    def planes(self, z: slice) -> np.ndarray:
        labels = self._labelled.planes(z)
        cost = np.ones(labels.shape, np.float32) if self._given is None else np.array(self._given[z], np.float32)
        cost[labels < 0] = 0
        if self._excluding is not None:
            cost[np.broadcast_to(self._excluding(z), cost.shape)] = 0
        if self._least is not None:
            cost[self._labelled.probability(labels, z) < self._least] = 0
        return cost


class _Cast(_Lazy):
    """Labels in a smaller type."""

    def __init__(self, volume: _Lazy, dtype: np.dtype) -> None:
        self._volume, self.shape, self.dtype = volume, volume.shape, dtype

    def planes(self, z: slice) -> np.ndarray:
        return self._volume.planes(z).astype(self.dtype)


def _smallest(labels: _Lazy) -> np.dtype:
    """uint8 where the classes fit, as the specification has it, else int16."""
    low = high = 0
    for _, slab in slabs(labels):
        low, high = min(low, int(slab.min())), max(high, int(slab.max()))
    return np.dtype(np.uint8 if low >= 0 and high <= 255 else np.int16)


def _path(folder: Path, number: int, product: str) -> Path:
    return folder / f"img_{number:04d}{ENDINGS[product]}.ome.tif"


def _numbers_in(folder: Path) -> list[int]:
    """Numbers of the images of a folder."""
    if not folder.is_dir():
        return []
    found = [_NUMBERED.fullmatch(path.name) for path in folder.iterdir()]
    return [int(match[1]) for match in found if match]


def _remove(folder: Path, number: int) -> None:
    for product in ENDINGS:
        _path(folder, number, product).unlink(missing_ok=True)


def _read_record(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    if any(None in line.values() or set(line) != set(_COLUMNS) or not line["number"].isdigit() for line in lines):
        raise WeftError(f"{path}: expected the columns {', '.join(_COLUMNS)} that a curation leaves; remove it")
    return lines


def _write_record(path: Path, lines: Iterator[Mapping[str, str]] | Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(lines, key=lambda line: int(line["number"])))
