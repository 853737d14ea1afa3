"""Predictions of stacks as OME-TIFF: one file per image and product, with voxel size, names and provenance.

A folder holds ``<image>_labels.ome.tif``, ``<image>_probabilities.ome.tif`` (classes as channels), and what else was
predicted (``_instances``, ``_uncertainty``); ``objects.csv`` has a row for each object of all images. Time points of
one image are one file again. Volumes go from file to file some planes at a time.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.products import Schema
from weft.io.store import EventStore
from weft.io.tiff import LazyArray
from weft.io.tiff_write import write_ome_tiff
from weft.io.volume_products import OBJECTS, spacing_of

#: Of the provenance of the predictions, what says how they came to be; the rest is of that one run.
_RECORD = ("weft", "commit", "config", "config_hash", "model", "inputs")
#: What is not a result.
_KNOWN = ("image", "spacing", "origin", "cost")


@dataclass(frozen=True)
class _Image:
    """An image of a folder: its name, and its time points as rows of the store and numbers."""

    name: str
    rows: tuple[int, ...]
    times: tuple[int, ...]


def export_stacks(
    events: str | Path, predictions: str | Path, folder: str | Path, products: Sequence[str] | None = None
) -> list[Path]:
    """Write what was predicted of stacks to a folder; each file appears whole or not at all.

    Args:
        events: the event store that holds `spacing`, and `origin` where the images have names; others are called after
            run, subrun and event.
        predictions: the store made of it.
        folder: where the files go, which replace those of the same name.
        products: of the predictions, all by default.

    Returns:
        The files, in the order of the images.

    Raises:
        WeftError: stores that do not belong together, no product of stacks, or images of one name.
    """
    folder = Path(folder)
    with EventStore.open({"truth": events, "prediction": predictions}) as store:
        chosen = _chosen(store, products, predictions)
        images = _images(store, events)
        record = {key: value for key, value in store.files["prediction"].provenance.items() if key in _RECORD}
        record["predictions"] = store.files["prediction"].content_hash
        written = []
        for image in images:
            for schema in chosen:
                if schema.kind == "dense":
                    path = folder / f"{image.name}_{schema.name}.ome.tif"
                    written.append(_write(store, image, schema, path, record))
        if any(schema.name == OBJECTS.name for schema in chosen):
            written.append(_write_objects(store, images, folder / "objects.csv"))
    return written


def _chosen(store: EventStore, products: Sequence[str] | None, predictions: str | Path) -> list[Schema]:
    """The products that are written."""
    there = {
        name: schema
        for name, schema in store.files["prediction"].schemas.items()
        if name not in _KNOWN and (schema.kind == "dense" or name == OBJECTS.name)
    }
    if not there or "spacing" not in store.files["truth"].schemas:
        found = ", ".join(store.files["prediction"].schemas)
        raise WeftError(f"{predictions}: no prediction of stacks, which alone become OME-TIFF; it holds {found}")
    for name in products or ():
        if name not in there:
            raise WeftError(f"{predictions}: no product '{name}' to write; there are {', '.join(there)}")
    return [schema for name, schema in there.items() if products is None or name in products]


def _images(store: EventStore, events: str | Path) -> list[_Image]:
    """The images, in the order of their first event; their time points in that of time."""
    found: dict[str, list[tuple[int, int]]] = {}
    names = store["truth/origin"].schema.codes["image"] if "truth/origin" in store else {}
    for row, event in enumerate(store.events):
        if names:
            origin = store["truth/origin"][row]
            name, time = names[int(origin["image"][0])], int(origin["time"][0])
        else:
            name, time = "_".join(f"{event[part]}" for part in ("run", "subrun", "event")), 0
        found.setdefault(name, []).append((time, row))
    for name, points in found.items():
        if len({time for time, _ in points}) < len(points):
            raise WeftError(f"{events}: two images are called {name}: their files would have one name")
    return [
        _Image(name, tuple(row for _, row in sorted(points)), tuple(time for time, _ in sorted(points)))
        for name, points in found.items()
    ]


def _write(store: EventStore, image: _Image, schema: Schema, path: Path, record: Mapping[str, Any]) -> Path:
    """One product of one image."""
    volumes = [store[f"prediction/{schema.name}"][row] for row in image.rows]
    axes, channels = "ZYX", tuple[str, ...]()
    if len(volumes[0].shape) == 4:
        axes, channels = "CZYX", tuple(column.name for column in schema.columns)
    uids = store.events["uid"][list(image.rows)].tolist()
    said = {**record, "product": schema.name, "image": image.name, "uids": uids}
    if schema.name == "labels" and "probabilities" in store.files["prediction"].schemas:
        classes = store.files["prediction"].schemas["probabilities"].columns
        said["classes"] = {str(k): column.name for k, column in enumerate(classes)}
    whole: LazyArray = volumes[0]
    if len(volumes) > 1:
        whole, axes, said["times"] = _TimeLapse(volumes), f"T{axes}", list(image.times)
    spacing = spacing_of(store["truth/spacing"][image.rows[0]])
    # Numbers of classes and objects shrink to little; probabilities do not, and uncompressed can be mapped into memory.
    return write_ome_tiff(
        path, whole, axes, spacing=spacing, channels=channels, record=said, compress=schema.dtype.kind in "iu"
    )


class _TimeLapse:
    """Volumes of one shape and type as one with another axis before theirs."""

    def __init__(self, volumes: Sequence[LazyArray]) -> None:
        self._volumes = volumes
        self.shape = (len(volumes), *volumes[0].shape)
        self.dtype = np.dtype(volumes[0].dtype)

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        time, *rest = key
        return self._volumes[time][tuple(rest)]


def _write_objects(store: EventStore, images: Sequence[_Image], path: Path) -> Path:
    """The rows of `objects` of all images, with the image and time point of each."""
    schema = store["prediction/objects"].schema
    units = [f"{column.name}_{_plain(column.unit)}" if column.unit else column.name for column in schema.columns]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", "time", *units])
        for image in images:
            for row, time in zip(image.rows, image.times, strict=True):
                table.writerows([image.name, time, *values] for values in _rows(store["prediction/objects"][row]))
    return path


def _rows(objects: np.ndarray) -> Iterator[list[Any]]:
    """Values in as many digits as their type has; empty where unknown."""
    for row in objects:
        yield ["" if value != value else str(value) for value in row]


def _plain(unit: str) -> str:
    """A unit in ASCII, for a column's name."""
    return {"µm": "um", "µm³": "um3"}.get(unit, unit)
