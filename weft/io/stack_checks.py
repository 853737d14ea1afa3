"""What is in a stack's files, and what is wrong with it: the checks of specification §4, one line per event.

Errors are what nothing can be learnt from (shapes that differ, values that are not finite, labels that are no whole
numbers); warnings are what may be meant (no foreground, intensities of a normalised image beyond 0 and 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weft.io.tiff import LazyArray
from weft.io.volume_products import LABELS

_SLAB_BYTES = 32 << 20


def slabs(volume: LazyArray) -> Iterator[np.ndarray]:
    """A volume [..., Z, Y, X] in consecutive slabs along z of about 32 MiB."""
    *lead, depth, rows, columns = volume.shape
    plane = int(np.prod([*lead, rows, columns])) * volume.dtype.itemsize
    step = max(1, _SLAB_BYTES // max(1, plane))
    for start in range(0, depth, step):
        yield np.asarray(volume[(..., slice(start, start + step), slice(None), slice(None))])


@dataclass
class Extent:
    """Smallest and largest finite value of a volume, and how many values are not finite."""

    low: float = np.inf
    high: float = -np.inf
    not_finite: int = 0

    def add(self, values: np.ndarray) -> None:
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                self.not_finite += int(values.size - finite.sum())
                values = values[finite]
        if values.size:
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    @classmethod
    def of(cls, volume: LazyArray) -> Extent:
        extent = cls()
        for slab in slabs(volume):
            extent.add(slab)
        return extent


@dataclass
class Ids:
    """Which whole numbers a volume holds, and in how many voxels each."""

    voxels: dict[int, int] = field(default_factory=dict)
    broken: int = 0

    def add(self, values: np.ndarray) -> None:
        if values.dtype.kind == "f":
            whole = np.isfinite(values) & (np.round(values) == values)
            self.broken += int(values.size - whole.sum())
            values = values[whole].astype(np.int64)
        found, counts = np.unique(values, return_counts=True)
        for number, count in zip(found.tolist(), counts.tolist(), strict=True):
            self.voxels[int(number)] = self.voxels.get(int(number), 0) + count

    @classmethod
    def of(cls, volume: LazyArray) -> Ids:
        ids = cls()
        for slab in slabs(volume):
            ids.add(slab)
        return ids

    @property
    def foreground(self) -> float:
        """Share of the voxels that are above 0."""
        total = sum(self.voxels.values()) + self.broken
        return sum(n for number, n in self.voxels.items() if number > 0) / total if total else 0.0

    @property
    def is_mask(self) -> bool:
        """Whether 255 stands for 1: nothing but 0 and 255, as drawing programs write masks."""
        return 255 in self.voxels and set(self.voxels) <= {0, 255} and not self.broken

    @property
    def classes(self) -> list[int]:
        return (
            [1 if number == 255 else number for number in sorted(self.voxels)] if self.is_mask else sorted(self.voxels)
        )


@dataclass(frozen=True)
class StackReport:
    """One row of the table of `weft inspect`; of an image that cannot be read its name and problem alone."""

    image: str
    time: int | None = None
    channels: int | None = None
    shape: tuple[int, int, int] | None = None
    dtype: str | None = None
    spacing: tuple[float, float, float] | None = None
    low: float | None = None
    high: float | None = None
    classes: Sequence[int] | None = None
    foreground: float | None = None
    instances: int | None = None
    cost: tuple[float, float] | None = None
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def problems_of_labels(ids: Ids, what: str) -> list[str]:
    """Why labels or instances cannot be used."""
    limits = np.iinfo(LABELS.dtype if what == "labels" else np.int32)
    found = []
    if ids.broken:
        found.append(f"{what}: {ids.broken} values are no whole numbers")
    if ids.voxels and not limits.min <= min(ids.voxels) <= max(ids.voxels) <= limits.max:
        found.append(f"{what}: numbers from {min(ids.voxels)} to {max(ids.voxels)}, at most {limits.max} is kept")
    return found


def problems_of_cost(extent: Extent) -> list[str]:
    """Why a cost map cannot be used."""
    found = []
    if extent.not_finite:
        found.append(f"cost: {extent.not_finite} values are not finite")
    if extent.low < 0:
        found.append(f"cost: values down to {extent.low:g}, expected 0 or more")
    return found


def report(
    stack: Mapping[str, Any],
    volumes: Mapping[str, LazyArray],
    shape_problems: Sequence[str] = (),
    classes: int | None = None,
    smallest: Sequence[int] | None = None,
) -> StackReport:
    """Look at every value of one event.

    Args:
        stack: `image` (name), `time`, `spacing`.
        volumes: `image` [C, Z, Y, X] and what is known of labels, cost and instances [Z, Y, X].
        shape_problems: what is wrong with their shapes; they are listed first.
        classes: how many classes a network has: label ids are below.
        smallest: (z, y, x) of the patches of the labels, which the image must be able to hold.
    """
    problems, warnings = list(shape_problems), []
    image = volumes["image"]
    extent = Extent.of(image)
    if extent.not_finite:
        problems.append(f"image: {extent.not_finite} values are not finite")
    if image.dtype.kind == "f" and (extent.low < 0 or extent.high > 1):
        warnings.append(f"image: floats from {extent.low:g} to {extent.high:g}, a normalised one lies within 0 and 1")
    if extent.low == extent.high:
        warnings.append(f"image: all values are {extent.low:g}")
    shape = image.shape[1:]
    if smallest is not None and any(n < least for n, least in zip(shape, smallest, strict=True)):
        problems.append(f"image: {_times(shape)} voxels, patches have {_times(smallest)}")
    if np.isnan(stack["spacing"]).any():
        warnings.append("voxel size unknown")
    labels = Ids.of(volumes["labels"]) if "labels" in volumes else None
    if labels is not None:
        problems += problems_of_labels(labels, "labels")
        if labels.foreground == 0:
            warnings.append("labels: no foreground")
        if labels.is_mask:
            warnings.append("labels: 255 is read as class 1")
        if classes is not None and (beyond := [c for c in labels.classes if c >= classes]):
            problems.append(f"labels: classes {', '.join(map(str, beyond))} of a network with {classes}")
    instances = Ids.of(volumes["instances"]) if "instances" in volumes else None
    if instances is not None:
        problems += problems_of_labels(instances, "instances")
    cost = Extent.of(volumes["cost"]) if "cost" in volumes else None
    if cost is not None:
        problems += problems_of_cost(cost)
        if cost.high == 0:
            warnings.append("cost: 0 everywhere, nothing of this image is judged")
    return StackReport(
        stack["image"],
        stack["time"],
        image.shape[0],
        (shape[0], shape[1], shape[2]),
        str(image.dtype),
        stack["spacing"],
        extent.low,
        extent.high,
        None if labels is None else labels.classes,
        None if labels is None else labels.foreground,
        None if instances is None else sum(1 for number in instances.voxels if number > 0),
        None if cost is None else (cost.low, cost.high),
        tuple(problems),
        tuple(warnings),
    )


def _times(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
