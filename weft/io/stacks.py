"""Folders of stacks as a source of `weft convert`: an image is an event, of a time lapse each time point.

Images keep their type where it is uint8, uint16 or float32; others become float32 where no value changes beyond its
precision, booleans uint8. A folder with several types becomes the one that holds them all. Volumes are read slab by
slab and never lie in memory whole. What `weft.io.stack_files` finds beside an image is converted with it: where only
some images have labels or instances, the others get −1, and 1 as cost. Instances without labels give labels (1 where
there is an instance). A label volume of nothing but 0 and 255 is a mask of class 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io import volume_products
from weft.io.dense import DenseBlocks
from weft.io.products import Schema
from weft.io.stack_checks import Extent, Ids, StackReport, problems_of_cost, problems_of_labels, report, slabs
from weft.io.stack_files import StackFiles, find_stacks, places
from weft.io.tiff import LazyArray, TiffStack
from weft.io.volume_products import COST, INSTANCES, LABELS, ORIGIN, SPACING, spacing_row

_TRUTH = {"labels": LABELS, "cost": COST, "instances": INSTANCES}
_FILL = {"labels": -1, "cost": 1, "instances": -1}
#: Whole numbers up to here are exact in float32.
_EXACT = 1 << 24


@dataclass(frozen=True)
class _Stack:
    """What the header of an image says; the shape is T, C, Z, Y, X."""

    files: StackFiles
    shape: tuple[int, ...]
    dtype: np.dtype
    spacing: tuple[float, float, float]
    channels: tuple[str, ...]
    record: Mapping[str, Any]


class StackSource:
    """TIFF images of a folder, or one of them, with what is known of them.

    Args:
        path: a folder or an image.
        products: where labels, cost and instances lie, see `weft.io.stack_files`.
        spacing: (z, y, x) of a voxel in µm, for files that do not say it; a file that says another one is an error.

    Attributes:
        files: all files that are read.
        stacks: the images.

    Raises:
        WeftError: no image, or images that do not have the same number of channels. A damaged file is named when it is
            converted, or in its row of the survey.
    """

    kind = "stacks"

    def __init__(
        self,
        path: str | Path,
        products: Mapping[str, str | None] | None = None,
        spacing: tuple[float, float, float] | None = None,
    ) -> None:
        self.path = Path(path)
        self._place = places(products or {})
        self.notes: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}
        found = find_stacks(self.path, products)
        self.files = [file for stack in found for file in (stack.image, *stack.known.values())]
        self.stacks: list[_Stack] = []
        self._damaged: list[tuple[StackFiles, str]] = []
        for files in found:
            try:
                image = TiffStack(files.image)
            except WeftError as error:
                self._damaged.append((files, str(error)))
                continue
            with image:
                self.stacks.append(self._header(files, image, spacing))
        counts = {stack.shape[1] for stack in self.stacks}
        if len(counts) > 1:
            example = {stack.shape[1]: stack.files.image.name for stack in self.stacks}
            said = ", ".join(f"{name}: {n}" for n, name in sorted(example.items()))
            raise WeftError(f"{self.path}: images with different numbers of channels ({said})")
        # Time points of each image, end to end.
        self._first = np.cumsum([0, *(stack.shape[0] for stack in self.stacks)])
        self.entries = int(self._first[-1])
        kept = [_kept(stack.files.image, stack.dtype) for stack in self.stacks]
        self.dtype = np.result_type(*kept) if kept else np.dtype(np.float32)
        self._has = {name for stack in found for name in stack.known}
        if "instances" in self._has and "labels" not in self._has and "labels" in self._place:
            self._has.add("labels")
            self.notes["labels"] = "1 where an instance is: there are no files of labels"

    def _header(self, files: StackFiles, image: TiffStack, spacing: tuple[float, float, float] | None) -> _Stack:
        said = tuple(b if np.isnan(a) else a for a, b in zip(image.spacing, spacing or image.spacing, strict=True))
        if spacing is not None and not np.allclose(said, spacing, rtol=1e-4):
            raise WeftError(f"{files.image}: voxel size {image.spacing} µm (z, y, x), but {spacing} was given")
        if image.series > 1:
            self.skipped[files.image.name] = f"{image.series - 1} further series of images"
        return _Stack(files, image.shape, image.dtype, (said[0], said[1], said[2]), image.channels, image.record)

    @property
    def schemas(self) -> Sequence[Schema]:
        truth = [schema for name, schema in _TRUTH.items() if name in self._has]
        return [volume_products.image(self.dtype), SPACING, ORIGIN, *truth]

    @property
    def about(self) -> Mapping[str, Any]:
        stacks = {stack.files.name: self._about(stack) for stack in self.stacks}
        return {"images": stacks, "places": dict(self._place)}

    def _about(self, stack: _Stack) -> dict[str, Any]:
        found: dict[str, Any] = {
            "shape": dict(zip("TCZYX", stack.shape, strict=True)),
            "type": str(stack.dtype),
            "files": {"image": stack.files.image.name} | {n: path.name for n, path in stack.files.known.items()},
        }
        if stack.channels:
            found["channels"] = list(stack.channels)
        if stack.record:
            found["record"] = dict(stack.record)
        return found

    def numbers(self) -> np.ndarray | None:
        """Run, subrun, event where the files are ours and say them."""
        said = [stack.record.get("event") for stack in self.stacks]
        if self._damaged or self.entries != len(self.stacks):
            return None
        if not all(isinstance(one, list) and len(one) == 3 for one in said):
            return None
        return np.array(said, np.int64)

    def names(self) -> list[str]:
        """Who each event is, whatever other images lie beside it: folder, image and time point."""
        return [
            f"{stack.files.image.absolute().parent.name}\0{stack.files.name}\0{time}"
            for stack in self.stacks
            for time in range(stack.shape[0])
        ]

    def refuse_damaged(self) -> None:
        """Raise WeftError where the header of an image cannot be read: how many time points it has is not known."""
        if self._damaged:
            raise WeftError(self._damaged[0][1])

    def _at(self, entry: int) -> tuple[_Stack, int]:
        number = int(np.searchsorted(self._first, entry, side="right")) - 1
        return self.stacks[number], entry - int(self._first[number])

    def events(self, start: int, stop: int, encode: Any) -> Iterator[dict[str, Any]]:
        """Products of each entry; volumes come as `DenseBlocks`, to be read before the next entry is asked for.

        Raises WeftError where any image of the source is damaged, before the first.
        """
        self.refuse_damaged()
        for entry in range(start, stop):
            stack, time = self._at(entry)
            with _Opened(stack.files, time) as opened:
                problems = opened.shape_problems()
                if problems:
                    raise WeftError(f"{stack.files.image}: {problems[0]}")
                products = {
                    "image": self._image(stack, opened.volumes["image"]),
                    "spacing": spacing_row(*stack.spacing),
                    "origin": np.array([(encode("origin", "image", [stack.files.name])[0], time)], ORIGIN.dtype),
                }
                for name in _TRUTH:
                    if name in self._has:
                        products[name] = self._truth(name, stack, opened)
                yield products

    def _image(self, stack: _Stack, volume: LazyArray) -> DenseBlocks:
        path = stack.files.image

        def checked() -> Iterator[np.ndarray]:
            z = 0
            for slab in slabs(volume):
                extent = Extent()
                extent.add(slab)
                if extent.not_finite:
                    raise WeftError(f"{path}: slices from {z}: {extent.not_finite} values are not finite")
                whole = slab.dtype.kind in "iu" and self.dtype.kind == "f"
                if whole and slab.size and max(abs(extent.low), abs(extent.high)) > _EXACT:
                    raise WeftError(f"{path}: {slab.dtype} up to {extent.high:.0f}, whole in float32 only to {_EXACT}")
                z += slab.shape[1]
                yield slab.astype(self.dtype, copy=False)

        return DenseBlocks(tuple(volume.shape), self.dtype, checked())

    def _truth(self, name: str, stack: _Stack, opened: _Opened) -> DenseBlocks:
        """Labels, cost or instances of one event, or what stands for them."""
        dtype, shape = _TRUTH[name].dtype, opened.volumes["image"].shape[1:]
        volume = opened.volumes.get(name)
        if volume is None and name == "labels" and "instances" in opened.volumes and "labels" in self._place:
            instances = self._truth("instances", stack, opened)
            return DenseBlocks(shape, dtype, (np.sign(slab).astype(dtype) for _, slab in instances.slabs()))
        if volume is None:
            missing = self.notes.setdefault(f"without {name}", [])
            missing.append(_named(stack, opened.time))
            filled = np.broadcast_to(np.array(_FILL[name], dtype), shape)
            return DenseBlocks(shape, dtype, slabs(filled))
        path = stack.files.known[name]
        if name == "cost":
            problems = problems_of_cost(Extent.of(volume))
            mask = False
        else:
            ids = Ids.of(volume)
            problems, mask = problems_of_labels(ids, name), name == "labels" and ids.is_mask
        if problems:
            raise WeftError(f"{path}: {problems[0]}")
        if mask:
            self.notes["masks"] = "labels of 0 and 255 are read as 0 and 1"
        if name == "labels" and ids.foreground == 0:
            self.notes.setdefault("without foreground", []).append(_named(stack, opened.time))
        return DenseBlocks(shape, dtype, ((slab != 0 if mask else slab).astype(dtype) for slab in slabs(volume)))

    def survey(self, classes: int | None = None, smallest: Sequence[int] | None = None) -> Iterator[StackReport]:
        """Look at all values of all events, see `weft.io.stack_checks.report`; what cannot be read says why."""
        for files, why in self._damaged:
            yield StackReport(files.name, problems=(why.removeprefix(f"{files.image}: "),))
        for entry in range(self.entries):
            stack, time = self._at(entry)
            about = {"image": stack.files.name, "time": time, "spacing": stack.spacing}
            try:
                with _Opened(stack.files, time) as opened:
                    row = report(about, opened.volumes, opened.shape_problems(), classes, smallest)
            except WeftError as error:
                row = StackReport(stack.files.name, time, problems=(str(error).removeprefix(f"{stack.files.image}: "),))
            yield row

    def close(self) -> None:
        """Nothing stays open between events."""


class _Opened:
    """The files of one image while one of its time points is read.

    Attributes:
        volumes: `image` [C, Z, Y, X], and [Z, Y, X] of labels, cost, instances that have a file, where they have one
            channel and this time point.
    """

    def __init__(self, files: StackFiles, time: int) -> None:
        self.files, self.time = files, time
        self.stacks: dict[str, TiffStack] = {}

    def __enter__(self) -> _Opened:
        try:
            for name, path in {"image": self.files.image, **self.files.known}.items():
                self.stacks[name] = TiffStack(path)
        except BaseException:
            self.__exit__()
            raise
        self.volumes: dict[str, LazyArray] = {"image": self.stacks["image"].volume(self.time)}
        for name, stack in self.stacks.items():
            if name != "image" and stack.shape[1] == 1 and self.time < stack.shape[0]:
                self.volumes[name] = _OneChannel(stack.volume(self.time))
        return self

    def __exit__(self, *_: object) -> None:
        for stack in self.stacks.values():
            stack.close()

    def shape_problems(self) -> list[str]:
        """What is wrong with the shapes of labels, cost and instances."""
        shape = self.stacks["image"].shape
        expected = (shape[0], 1, *shape[2:])
        return [
            f"{name} ({self.files.known[name].name}) have shape {_axes(stack.shape)}, the image {_axes(shape)}"
            for name, stack in self.stacks.items()
            if name != "image" and stack.shape != expected
        ]


class _OneChannel:
    """[Z, Y, X] of a lazy volume with one channel."""

    def __init__(self, volume: LazyArray) -> None:
        self._volume = volume
        self.shape, self.dtype = tuple(volume.shape[1:]), volume.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        keys = key if isinstance(key, tuple) else (key,)
        return self._volume[(0, *keys)]


def _kept(path: Path, dtype: np.dtype) -> np.dtype:
    """The type in which values of a type are kept."""
    if dtype in map(np.dtype, volume_products.IMAGE_DTYPES):
        return dtype
    if dtype.kind == "b":
        return np.dtype("u1")
    if dtype.kind in "iuf":
        return np.dtype("f4")
    raise WeftError(f"{path}: intensities of type {dtype}, expected integers or floats")


def _named(stack: _Stack, time: int) -> str:
    return stack.files.name if stack.shape[0] == 1 else f"{stack.files.name} T{time}"


def _axes(shape: Sequence[int]) -> str:
    return "×".join(f"{n}{axis}" for axis, n in zip("TCZYX", shape, strict=True) if n > 1 or axis in "ZYX")
