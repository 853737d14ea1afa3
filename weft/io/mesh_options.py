"""How files of meshes are read: which label is which class, and what is measured of faces while they are converted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from weft.errors import WeftError
from weft.io.class_files import is_unlabelled
from weft.meshes.surface_settings import DEFAULT, Ground


class MeshReading(NamedTuple):
    """Settings of a conversion, see `weft.config.mesh_files.MeshFileOptions`."""

    label_map: Mapping[int, int] | None = None
    """class of each label of the files; labels that are not in it are not valid"""
    classes: tuple[str, ...] = ()
    """names of the classes 0, 1, …"""
    label_property: str | None = None
    """of the faces of a PLY"""
    max_pixels: int = 256
    """of a texture, that are kept under a face"""
    texture_wrap: Literal["repeat", "clamp"] = "repeat"
    ground: Ground = DEFAULT.ground
    ground_cell: float = DEFAULT.ground_cell
    """m"""
    ground_radius: float = DEFAULT.ground_radius
    """m"""
    ground_slope: float = DEFAULT.ground_slope
    """height over length"""
    roughness_radius: float = DEFAULT.roughness_radius
    """m"""


class ClassTable(NamedTuple):
    """Which labels of files are which class."""

    names: tuple[str, ...]
    """of classes 0, 1, …; empty where labels are classes as they are"""
    ids: tuple[int, ...]
    """a label of the files for each class"""
    of_label: Mapping[int, int] | None
    """class of each label, −1: not valid; None: labels are classes, negative ones not valid"""
    closed: bool
    """whether a label that is not in the table is an error, not a face without a label"""

    def classes(self, labels: np.ndarray, where: str) -> np.ndarray:
        """int16 [n], −1: not valid.

        Raises WeftError for a label that is no class.
        """
        found, place = np.unique(labels, return_inverse=True)
        known = self.of_label
        if known is None:
            limit = len(self.names) or np.iinfo(np.int16).max + 1
            bad = [int(label) for label in found if label >= limit]
            classes = np.where(found < 0, -1, found)
        else:
            bad = [int(label) for label in found if label >= 0 and int(label) not in known] if self.closed else []
            classes = np.array([known.get(int(label), -1) for label in found], np.int64)
        if bad:
            some = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
            expected = f"0 to {limit - 1}" if known is None else ", ".join(map(str, sorted(known)))
            count = int(np.isin(labels, bad).sum())
            raise WeftError(f"{where}: labels {some} of {count} faces are no classes, expected {expected}")
        return np.asarray(classes[place.reshape(-1)], np.int16)


def class_table(reading: MeshReading, names: Mapping[int, str]) -> ClassTable:
    """The table of a conversion: its `label_map`, else the names that come with the files, else labels as they are.

    names: ``{label: name}`` of ``classes.txt`` or of headers; ids below 0, and those called
        `weft.io.class_files.UNLABELLED`, are no classes.
    Raises WeftError for a map that leaves a class without labels, or names that are not as many as the classes.
    """
    if reading.label_map is not None:
        count = max(reading.label_map.values(), default=-1) + 1
        ids = [min((k for k, v in reading.label_map.items() if v == c), default=None) for c in range(count)]
        if any(one is None for one in ids):
            raise WeftError(f"label_map: no label becomes class {ids.index(None)}, of classes 0 to {count - 1}")
        if reading.classes and len(reading.classes) != count:
            raise WeftError(f"label_map: {count} classes, but classes names {len(reading.classes)}")
        known = tuple([int(one) for one in ids if one is not None])
        own = tuple(names.get(one, f"class_{c}") for c, one in enumerate(known))
        return ClassTable(_distinct(reading.classes or own), known, dict(reading.label_map), False)
    kept = [label for label, name in names.items() if label >= 0 and not is_unlabelled(name)]
    if kept and not reading.classes:
        table = dict.fromkeys(names, -1) | {label: c for c, label in enumerate(kept)}
        return ClassTable(_distinct(names[label] for label in kept), tuple(kept), table, True)
    if kept and [names[label] for label in kept] != list(reading.classes):
        said = ", ".join(names[label] for label in kept)
        raise WeftError(f"classes: {', '.join(reading.classes)}; the files name {said}: give a label_map")
    if kept:
        return class_table(reading._replace(classes=()), names)
    return ClassTable(_distinct(reading.classes), tuple(range(len(reading.classes))), None, True)


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    found = tuple(names)
    twin = next((name for k, name in enumerate(found) if name in found[:k]), None)
    if twin is not None:
        raise WeftError(f"classes: two are called {twin}")
    return found
