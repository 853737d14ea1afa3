"""Stacks in TIFF and OME-TIFF files, read plane by plane, with voxel size, names of channels and provenance.

Every file reads as axes T, C, Z, Y, X, whatever order it stores them in. Where a file does not name its axes (plain
TIFF), one axis before Y and X is Z; of two the shorter is C, the other Z (specification §4). Lengths are µm. Values
that lie end to end are mapped into memory, others are read by pages; `weft.io.tiff_write` writes.
"""

from __future__ import annotations

import json
import logging
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

import numpy as np
import tifffile

from weft.errors import WeftError

#: Namespace of the comment in OME-XML that holds our provenance.
NAMESPACE = "weft/provenance"
#: Axes of a stack, in the order in which it is read.
ROLES = "TCZYX"

UNKNOWN_SPACING = (math.nan, math.nan, math.nan)
_MICROMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "\\u00B5m"), 1.0),
    **{"pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25400.0, "in": 25400.0},
}
#: What tifffile logs of a file that was cut off between two pages, and then reads as if it had those before only.
_CUT = ("invalid page offset", "invalid offset to page")
_UNREADABLE = (
    tifffile.TiffFileError, ElementTree.ParseError, ValueError, OSError, RuntimeError, LookupError, TypeError,
    AttributeError, struct.error, zlib.error,
)  # fmt: skip


class LazyArray(Protocol):
    """What is read where it is indexed: an array, a memory map, a dataset of an event store, a stack in a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __getitem__(self, key: Any) -> np.ndarray: ...


class TiffStack:
    """An open TIFF file as volumes; of several image series the first is read.

    Attributes:
        axes: those longer than one, as they are stored, letters of `ROLES`.
        shape: (T, C, Z, Y, X).
        dtype: in the byte order of this machine.
        spacing: (z, y, x) of a voxel, µm; NaN where the file does not say.
        channels: their names; empty where the file does not name each.
        record: the provenance that we wrote, {} for other files.
        series: how many image series there are.

    Raises:
        WeftError: not a TIFF, damaged, or its axes are no volume.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with _told_once() as told:
            try:
                self._file = tifffile.TiffFile(self.path)
            except FileNotFoundError:
                raise WeftError(f"{self.path}: no such file") from None
            except _UNREADABLE as error:
                raise WeftError(f"{self.path}: not a TIFF, or damaged: {_line(error)}") from None
            try:
                self._open()
                for record in told:
                    if any(words in record.getMessage() for words in _CUT):
                        raise WeftError(f"{self.path}: damaged: it ends before the last of its pages")
            except BaseException:
                self._file.close()
                raise

    def _open(self) -> None:
        try:
            self.series = len(self._file.series)
            self._series = self._file.series[0]
            about = _about(self._file)
            axes = _axes(self.path, self._series)
        except _UNREADABLE as error:
            raise WeftError(f"{self.path}: not a TIFF, or damaged: {_line(error)}") from None
        self.axes = "".join(axis for axis, _ in axes)
        self._lengths = tuple(length for _, length in axes)
        of = dict(axes)
        self.shape = tuple(of.get(axis, 1) for axis in ROLES)
        self.dtype = np.dtype(self._series.dtype).newbyteorder("=")
        self.spacing = about.spacing
        self.channels = about.channels if len(about.channels) == self.shape[1] else ()
        self.record = about.record
        self._map = self._mapped()
        # A page holds the last axes, as many as make up its size.
        page = math.prod(self._series.keyframe.shape)
        inner = [k for k in range(len(axes)) if math.prod(self._lengths[k:]) == page]
        if self._map is None and not inner:
            raise WeftError(f"{self.path}: pages of {self._series.keyframe.shape} are no part of {self._lengths}")
        self._inner = inner[-1] if inner else 0

    def _mapped(self) -> np.ndarray | None:
        """The whole file [T, C, Z, Y, X] as a memory map, where its values lie end to end."""
        offset = self._series.dataoffset
        if offset is None:
            return None
        stored = np.dtype(self._series.dtype).newbyteorder(self._file.byteorder)
        size = math.prod(self._lengths) * stored.itemsize
        if offset + size > self.path.stat().st_size:
            raise WeftError(f"{self.path}: is shorter than the {size} bytes of its stack")
        return _ordered(np.memmap(self.path, stored, "r", offset, self._lengths), self.axes)

    def volume(self, time: int = 0) -> TiffVolume:
        """One time point as a lazy array [C, Z, Y, X], for as long as the file is open."""
        if not 0 <= time < self.shape[0]:
            raise WeftError(f"{self.path}: no time point {time}; it has {self.shape[0]}, counted from 0")
        return TiffVolume(self, time)

    def plane(self, time: int, channel: int, z: int) -> np.ndarray:
        """[Y, X]; not to be written to."""
        if self._map is not None:
            return self._map[time, channel, z]
        at = {"T": time, "C": channel, "Z": z}
        number = 0
        for axis, length in zip(self.axes[: self._inner], self._lengths[: self._inner], strict=True):
            number = number * length + at[axis]
        try:
            with _told_once():
                page = self._series[number]
                if page is None:
                    raise WeftError(f"{self.path}: plane {number} of {len(self._series)} is missing")
                values = np.asarray(page.asarray(maxworkers=1)).reshape(self._lengths[self._inner :])
        except _UNREADABLE as error:
            codec = ": pip install imagecodecs" if "imagecodecs" in str(error) else ""
            raise WeftError(f"{self.path}: plane {number} cannot be read: {_line(error)}{codec}") from None
        inner = self.axes[self._inner :]
        return _ordered(values, inner)[tuple(at[axis] if axis in inner else 0 for axis in "TCZ")]

    def close(self) -> None:
        self._map = None
        self._file.close()

    def __enter__(self) -> TiffStack:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TiffVolume:
    """One time point of an open `TiffStack` as a lazy array [C, Z, Y, X]: integers and slices read what they name."""

    ndim = 4

    def __init__(self, stack: TiffStack, time: int) -> None:
        self._stack, self._time = stack, time
        self.shape = stack.shape[1:]
        self.dtype = stack.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        *outer, rows, columns = self._resolve(key)
        numbers = [range(n)[chosen] for n, chosen in zip(self.shape[:2], outer, strict=True)]
        some = [list(n) if isinstance(n, range) else [n] for n in numbers]
        plane = [
            1 if isinstance(k, int) else len(range(n)[k]) for n, k in zip(self.shape[2:], (rows, columns), strict=True)
        ]
        keep = tuple(0 if isinstance(n, int) else slice(None) for n in (*numbers, rows, columns))
        out = np.empty((len(some[0]), len(some[1]), *plane), self.dtype)
        for j, channel in enumerate(some[0]):
            for k, z in enumerate(some[1]):
                part = self._stack.plane(self._time, channel, z)[rows, columns]
                out[j, k] = np.asarray(part).reshape(plane)
        return out[keep]

    def _resolve(self, key: Any) -> tuple[int | slice, ...]:
        """An index for each axis."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in [k for k in keys if k is Ellipsis]:
            at = next(i for i, k in enumerate(keys) if k is Ellipsis)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        keys += [slice(None)] * (self.ndim - len(keys))
        if len(keys) != self.ndim or not all(isinstance(k, int | np.integer | slice) for k in keys):
            raise IndexError(f"{key!r}: a stack on disk is indexed with integers and slices, at most {self.ndim}")
        return tuple(k if isinstance(k, slice) else int(k) for k in keys)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype, copy=False)


@contextmanager
def _told_once() -> Iterator[list[logging.LogRecord]]:
    """Hold back what tifffile logs, and let it through where all went well: an error of ours says what is wrong."""
    logger = tifffile.logger()
    held: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        held.append(record)
        return False

    logger.addFilter(hold)
    try:
        yield held
    finally:
        logger.removeFilter(hold)
    for record in held:
        logger.handle(record)


def _axes(path: Path, series: tifffile.TiffPageSeries) -> list[tuple[str, int]]:
    """(axis of `ROLES`, length) as stored, those longer than one and always Y and X.

    Raises WeftError where they are no stack.
    """
    names, lengths = list(series.get_axes(False)), series.get_shape(False)
    for k, name in enumerate(names):
        # Samples that are not the last axis are how a file without names stores planes of three or four slices.
        if name == "S" and k != len(names) - 1:
            names[k] = "Q"
    axes = [(name, length) for name, length in zip(names, lengths, strict=True) if length != 1 or name in "YX"]
    said = "".join(names)
    unnamed = [k for k, (name, _) in enumerate(axes) if name in "QIO"]
    free = [role for role in "ZC" if role not in {"C" if name == "S" else name for name, _ in axes}]
    if len(unnamed) > len(free):
        raise WeftError(f"{path}: axes {said} of {tuple(lengths)} are not T, C, Z, Y, X; name them in the file")
    order = sorted(unnamed, key=lambda k: -axes[k][1]) if len(unnamed) == 2 else unnamed
    # Of two of one length the first is the channel.
    if len(order) == 2 and axes[order[0]][1] == axes[order[1]][1]:
        order = order[::-1]
    for k, role in zip(order, free, strict=False):
        axes[k] = (role, axes[k][1])
    axes = [("C" if name == "S" else name, length) for name, length in axes]
    roles = [name for name, _ in axes]
    if not set(roles) <= set(ROLES) or len(set(roles)) != len(roles) or not {"Y", "X"} <= set(roles):
        raise WeftError(f"{path}: axes {said} of {tuple(lengths)} are not T, C, Z, Y, X")
    if 0 in lengths:
        raise WeftError(f"{path}: has no voxels: {tuple(lengths)}")
    return axes


def _ordered(values: np.ndarray, axes: str) -> np.ndarray:
    """A view [T, C, Z, Y, X] of an array with some of these axes in another order."""
    missing = [axis for axis in ROLES if axis not in axes]
    values = values.reshape((1,) * len(missing) + values.shape)
    stored = [*missing, *axes]
    return values.transpose([stored.index(axis) for axis in ROLES])


@dataclass(frozen=True)
class _Facts:
    """What a file says beside its values."""

    spacing: tuple[float, float, float]
    channels: tuple[str, ...]
    record: Mapping[str, Any]


def _about(file: tifffile.TiffFile) -> _Facts:
    if file.ome_metadata:
        return _of_ome(file.ome_metadata)
    if file.imagej_metadata:
        return _of_imagej(file)
    return _Facts(UNKNOWN_SPACING, (), {})


def _of_ome(text: str) -> _Facts:
    root = ElementTree.fromstring(text)
    pixels = root.find("{*}Image/{*}Pixels")
    if pixels is None:
        return _Facts(UNKNOWN_SPACING, (), {})
    lengths = [
        _length(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"
    ]
    names = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    record: Mapping[str, Any] = {}
    for comment in root.findall("{*}StructuredAnnotations/{*}CommentAnnotation"):
        if comment.get("Namespace") == NAMESPACE:
            record = json.loads(comment.findtext("{*}Value") or "{}")
    known = tuple(name for name in names if name)
    return _Facts((lengths[0], lengths[1], lengths[2]), known if len(known) == len(names) else (), record)


def _of_imagej(file: tifffile.TiffFile) -> _Facts:
    said = file.imagej_metadata or {}
    unit = str(said.get("unit", ""))
    tags = file.pages.first.tags
    across = []
    for name in ("YResolution", "XResolution"):
        pixels, units = tags[name].value if name in tags else (0, 1)
        across.append(_length(units / pixels if pixels else None, unit))
    return _Facts((_length(said.get("spacing"), unit), across[0], across[1]), (), {})


def _length(value: Any, unit: str) -> float:
    """In µm; NaN where there is no number, or a unit that is no length (pixels)."""
    try:
        length = float(value) * _MICROMETRES[unit.strip()]
    except (TypeError, ValueError, KeyError):
        return math.nan
    return length if math.isfinite(length) and length > 0 else math.nan


def _line(error: BaseException) -> str:
    """The first line of what an error says."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
