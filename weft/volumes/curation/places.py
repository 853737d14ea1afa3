"""Where a stack lies: in a TIFF file, or an event of an event store; written ``PATH`` or ``PATH#NUMBER`` in tables.

The number is the time point of a file, the event of a store, counted from 0.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from weft.config.curated import CurationOptions
from weft.errors import WeftError
from weft.io.provenance import file_hash
from weft.io.stack_checks import Ids
from weft.io.store import EventStore
from weft.io.tiff import LazyArray, TiffStack
from weft.io.volume_products import spacing_of

STORE = ".h5"


class Place(NamedTuple):
    """A stack in a file."""

    path: Path
    number: int = 0

    @classmethod
    def parse(cls, text: str, folder: Path) -> Place:
        """``PATH#NUMBER``, the path seen from a folder."""
        path, mark, number = text.rpartition("#")
        if not mark or not number.isdigit():
            path, number = text, "0"
        return cls(Path(os.path.normpath(folder / path)), int(number))

    def written(self, folder: Path) -> str:
        """As a table in that folder has it."""
        path = os.path.relpath(self.path.absolute(), folder.absolute())
        return f"{path}#{self.number}" if self.is_store or self.number else path

    @property
    def is_store(self) -> bool:
        return self.path.suffix == STORE

    def content(self) -> str:
        """Hash of the file, or of what the store holds."""
        if not self.path.is_file():
            raise WeftError(f"{self.path}: no such file")
        if not self.is_store:
            return file_hash(self.path)
        with EventStore.open(self.path) as store:
            return store.content_hash


@dataclass
class Image:
    """An opened image [C, Z, Y, X] in the type of its file."""

    volume: LazyArray
    spacing: tuple[float, float, float]
    channels: tuple[str, ...] = ()
    numbers: tuple[int, int, int] | None = None
    """run, subrun and event, where these tell it apart from others"""

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = self.volume.shape[1:]
        return z, y, x


@dataclass
class Segmented:
    """An opened segmentation: ``labels[slices]`` is int16, ``probability(slices)`` that of the labels."""

    labels: LazyArray
    probabilities: LazyArray | None = None
    """[K, Z, Y, X], or of class 1 only [Z, Y, X]"""
    more: Mapping[str, LazyArray] = field(default_factory=dict)
    """cost and instances of a truth"""

    def probability(self, labels: np.ndarray, z: slice) -> np.ndarray | None:
        """float32 as labels [dz, Y, X]: the probability of the class that each voxel has; None: not known."""
        if self.probabilities is None:
            return None
        values = np.asarray(self.probabilities[(..., z, slice(None), slice(None))], np.float32)
        if values.ndim == 3:
            return np.where(labels > 0, values, 1 - values)
        return np.take_along_axis(values, np.clip(labels, 0, len(values) - 1)[None].astype(np.int64), 0)[0]


@contextmanager
def open_image(place: Place) -> Iterator[Image]:
    """Open a stack's image.

    Raises WeftError where there is none, and for a number that does not exist.
    """
    if place.is_store:
        with _event(place) as (store, number):
            said = store.files["0"].provenance.get("source", {}).get("ids_from")
            run, subrun, event, _ = store.events[number].tolist()
            spacing = spacing_of(store["spacing"][number]) if "spacing" in store else (np.nan,) * 3
            yield Image(
                _product(store, place, "image"),
                spacing,
                numbers=(run, subrun, event) if said == "run, subrun, event" else None,
            )
        return
    with ExitStack() as stack:
        file = _tiff(place.path, stack)
        record = file.record.get("event")
        yield Image(
            file.volume(_time(file, place.number)),
            file.spacing,
            file.channels,
            tuple(record) if isinstance(record, list) and len(record) == 3 else None,
        )


@contextmanager
def open_segmentation(place: Place, options: CurationOptions, truth: bool = False) -> Iterator[Segmented]:
    """Open a stack's segmentation.

    Of a file: whole numbers are classes (nothing but 0 and 255: a mask of class 1), floats that are not whole are
    probabilities of class 1, which a voxel has above the threshold; with `one_class` whole numbers are objects of class
    1. truth: take cost and instances of a store too.

    Raises WeftError for files with several channels, and values that are neither.
    """
    if place.is_store:
        with _event(place) as (store, number):
            names = [name for name in ("cost", "instances") if truth and name in store]
            probabilities = store["probabilities"][number] if "probabilities" in store else None
            more = {name: store[name][number] for name in names}
            yield Segmented(_product(store, place, "labels"), probabilities, more)
        return
    with ExitStack() as stack:
        volume = plane_volume(place, stack)
        ids = Ids.of(volume)
        if ids.broken:
            _require_probabilities(place, volume)
            yield Segmented(_Mapped(volume, lambda slab: slab > options.threshold), volume)
        elif ids.is_mask:
            yield Segmented(_Mapped(volume, lambda slab: slab != 0))
        elif options.one_class:
            yield Segmented(_Mapped(volume, np.sign))
        else:
            low, high = min(ids.voxels, default=0), max(ids.voxels, default=0)
            if not -1 <= low <= high <= np.iinfo(np.int16).max:
                raise WeftError(
                    f"{place.path}: numbers from {low} to {high}, expected classes from 0, or −1: not known; "
                    "for objects say one_class"
                )
            yield Segmented(_Mapped(volume, lambda slab: slab))


def plane_volume(place: Place, stack: ExitStack) -> LazyArray:
    """[Z, Y, X] of a TIFF file of one channel, open as long as the stack; one time point is that of all."""
    file = _tiff(place.path, stack)
    if file.shape[1] != 1:
        raise WeftError(f"{place.path}: {file.shape[1]} channels, expected one")
    number = 0 if file.shape[0] == 1 else _time(file, place.number)
    return _Mapped(file.volume(number), lambda slab: slab, lead=(0,))


class _Mapped:
    """A lazy volume [Z, Y, X] whose values are changed as they are read; with ``lead`` of a part of it."""

    def __init__(self, volume: LazyArray, change: Any, lead: tuple[int, ...] = ()) -> None:
        self._volume, self._change, self._lead = volume, change, lead
        self.shape = tuple(volume.shape[len(lead) :])
        self.dtype = volume.dtype if lead else np.dtype(np.int16)

    def __getitem__(self, key: Any) -> np.ndarray:
        keys = key if isinstance(key, tuple) else (key,)
        return np.asarray(self._change(np.asarray(self._volume[(*self._lead, *keys)]))).astype(self.dtype, copy=False)


@contextmanager
def _event(place: Place) -> Iterator[tuple[EventStore, int]]:
    if not place.path.is_file():
        raise WeftError(f"{place.path}: no such file")
    with EventStore.open(place.path) as store:
        if place.number >= len(store):
            raise WeftError(f"{place.path}: no event {place.number}; it has {len(store)}, counted from 0")
        yield store, place.number


def _product(store: EventStore, place: Place, name: str) -> Any:
    if name not in store:
        raise WeftError(f"{place.path}: no {name}; it has {', '.join(store.products)}")
    return store[name][place.number]


def _tiff(path: Path, stack: ExitStack) -> TiffStack:
    file = TiffStack(path)
    stack.callback(file.close)
    return file


def _time(file: TiffStack, number: int) -> int:
    if number >= file.shape[0]:
        raise WeftError(f"{file.path}: no time point {number}; it has {file.shape[0]}, counted from 0")
    return number


def _require_probabilities(place: Place, volume: LazyArray) -> None:
    from weft.io.stack_checks import Extent

    extent = Extent.of(volume)
    if extent.not_finite or extent.low < 0 or extent.high > 1:
        raise WeftError(
            f"{place.path}: values from {extent.low:g} to {extent.high:g} that are not whole: neither classes nor "
            "probabilities from 0 to 1"
        )
