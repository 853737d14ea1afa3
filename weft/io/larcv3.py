"""Events of larcv3 HDF5 files, read with h5py alone (layout: specs/anchors.md §4).

``Events/event_id`` holds run, subrun, event. Of a group ``Data/<type>_<producer>_group``, ``extents`` (first, n) says
which rows of the next table belong to an entry: ``voxel_extents`` (first, n, id) of sparse3d, ``projection_extents``
then ``cluster_extents`` of cluster3d, ``particles`` of particle. Ids count with z fastest, (x·ny + y)·nz + z, unlike
LArCV2's.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from weft.errors import WeftError
from weft.io.lartpc import Clusters, EventBuilder, VoxelSet, particle_rows
from weft.io.products import META, PARTICLES, PROCESS_COLUMNS
from weft.io.voxels import voxel_id

_GROUP = re.compile(r"(?P<type>[a-z0-9]+)_(?P<producer>\w+)_group")
_ROLE_TYPE = {"charge": "sparse3d", "semantics": "sparse3d", "clusters": "cluster3d", "particles": "particle"}


class Larcv3Source:
    """A source of events, see `weft.io.convert.Source`; sparse3d, cluster3d and particle groups with one projection.

    Args:
        products: which group, without ``_group``, becomes ``charge``, ``semantics``, ``clusters``, ``particles``; None
            leaves the product out. By default: the only sparse3d group with and without "semantics" in its name, the
            only cluster3d and the only particle group.
    """

    kind = "larcv3"

    def __init__(self, path: Path, products: Mapping[str, str | None]) -> None:
        self.path = path
        self.file = h5py.File(path, "r", locking=False)
        try:
            self._open(products)
        except KeyError as error:
            self.close()
            raise WeftError(f"{path}: not the layout of larcv3: {error}") from error
        except BaseException:
            self.close()
            raise

    def _open(self, products: Mapping[str, str | None]) -> None:
        groups = {}
        self.skipped: dict[str, str] = {}
        for name in self.file["Data"]:
            match = _GROUP.fullmatch(name)
            if match and match["type"] in _ROLE_TYPE.values():
                groups[f"{match['type']}_{match['producer']}"] = self.file["Data"][name]
            else:
                self.skipped[name] = "groups of this type are not supported"
        unknown = products.keys() - _ROLE_TYPE.keys()
        if unknown:
            raise WeftError(
                f"{self.path}: products names {', '.join(sorted(unknown))}; expected {', '.join(_ROLE_TYPE)}"
            )
        self.roles = {role: self._choose(role, groups, products) for role in _ROLE_TYPE}
        self.groups = {role: groups[name] for role, name in self.roles.items() if name is not None}
        self.skipped |= {n: "not chosen; name it in products" for n in groups if n not in self.roles.values()}
        if not self.groups:
            raise WeftError(f"{self.path}: no product to convert; choose with --product among {', '.join(groups)}")
        self._ids = self.file["Events"]["event_id"]
        self.entries = len(self._ids)
        for role, group in self.groups.items():
            if len(group["extents"]) != self.entries:
                raise WeftError(
                    f"{self.path}: {self.roles[role]} has {len(group['extents'])} entries, event_id has {self.entries}"
                )
        schema = dataclasses.replace(PARTICLES, codes={c: {} for c in PROCESS_COLUMNS})
        self._builder = EventBuilder(
            "charge" in self.groups, "semantics" in self.groups, "clusters" in self.groups, "particles" in self.groups,
            schema,
        )  # fmt: skip
        self.schemas = self._builder.schemas

    def _choose(self, role: str, groups: Mapping[str, h5py.Group], products: Mapping[str, str | None]) -> str | None:
        if role in products:
            name = products[role]
            if name is not None and (name not in groups or not name.startswith(_ROLE_TYPE[role])):
                raise WeftError(
                    f"{self.path}: no {_ROLE_TYPE[role]} group {name} for {role}; it has {', '.join(groups)}"
                )
            return name
        kind = [n for n in groups if n.startswith(_ROLE_TYPE[role] + "_")]
        fitting = [n for n in kind if ("semantics" in n) == (role == "semantics")]
        return fitting[0] if len(fitting) == 1 else None

    @property
    def about(self) -> dict[str, Any]:
        return {"groups": {role: name for role, name in self.roles.items() if name}}

    @property
    def notes(self) -> dict[str, Any]:
        return dict(self._builder.notes)

    def numbers(self) -> np.ndarray:
        ids = self._ids[:]
        return np.stack([ids[name] for name in ids.dtype.names[:3]], 1).astype(np.int64)

    def events(
        self, start: int, stop: int, encode: Callable[[str, str, Sequence[str]], np.ndarray]
    ) -> Iterator[dict[str, Any]]:
        for i in range(start, stop):
            where = f"{self.path}: entry {i}"
            parts: dict[str, Any] = {}
            meta = None
            for role, group in self.groups.items():
                try:
                    if role == "particles":
                        parts[role] = self._particles(group, i, encode)
                        continue
                    read = self._clusters if role == "clusters" else self._voxels
                    parts[role], box = read(where, group, i)
                except (KeyError, ValueError, OSError) as error:
                    raise WeftError(f"{where}: {group.name} cannot be read as larcv3 wrote it: {error}") from error
                meta = box if meta is None else meta
            yield self._builder.build(where, meta, **parts)

    def _span(self, group: h5py.Group, name: str, k: int) -> tuple[int, int]:
        """Rows that an extent points to: first, end."""
        row = group[name][k]
        return int(row[0]), int(row[0]) + int(row[1])

    def _projection(self, where: str, group: h5py.Group, i: int) -> tuple[int, np.ndarray]:
        """Row of the entry's only projection, and its box."""
        first, end = self._span(group, "extents", i)
        if end - first != 1:
            raise WeftError(f"{where}: {group.name} has {end - first} projections, expected one")
        return first, _meta(where, group["image_meta"][first])

    def _voxels(self, where: str, group: h5py.Group, i: int) -> tuple[VoxelSet, np.ndarray]:
        row, meta = self._projection(where, group, i)
        first, end = self._span(group, "voxel_extents", row)
        voxels = group["voxels"][first:end]
        return VoxelSet(_to_larcv2(where, voxels["id"], meta), voxels["value"]), meta

    def _clusters(self, where: str, group: h5py.Group, i: int) -> tuple[Clusters, np.ndarray]:
        row, meta = self._projection(where, group, i)
        first, end = self._span(group, "projection_extents", row)
        extents = group["cluster_extents"][first:end]
        starts, sizes = (extents[name].astype(np.int64) for name in extents.dtype.names[:2])
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        if not len(starts):
            return Clusters(np.empty(0, np.uint64), np.empty(0, np.float32), offsets), meta
        if (starts != starts[0] + offsets[:-1]).any():
            raise WeftError(f"{where}: {group.name}: clusters do not follow each other in the table of voxels")
        voxels = group["voxels"][starts[0] : starts[0] + offsets[-1]]
        return Clusters(_to_larcv2(where, voxels["id"], meta), voxels["value"], offsets), meta

    def _particles(
        self, group: h5py.Group, i: int, encode: Callable[[str, str, Sequence[str]], np.ndarray]
    ) -> np.ndarray:
        first, end = self._span(group, "extents", i)
        rows = group["particles"][first:end]
        columns: dict[str, np.ndarray] = {}
        for name in rows.dtype.names:
            values = rows[name]
            if values.dtype.names is not None:
                for axis, part in zip("xyzt", values.dtype.names, strict=False):
                    columns[f"{name}_{axis}"] = values[part]
            elif values.ndim == 2 and values.shape[1] == 4:
                columns.update({f"{name}_{axis}": values[:, k] for k, axis in enumerate("xyzt")})
            elif name in PROCESS_COLUMNS:
                columns[name] = encode("particles", name, [bytes(text).decode() for text in values])
            else:
                columns[name] = values
        return particle_rows(len(rows), columns)

    def close(self) -> None:
        self.file.close()


def _meta(where: str, row: np.void) -> np.ndarray:
    """A row of `meta` from larcv3's ImageMeta; `image_sizes` are lengths of the whole image."""
    count, size, origin = (np.atleast_1d(row[n]).ravel() for n in ("number_of_voxels", "image_sizes", "origin"))
    if len(count) != 3:
        raise WeftError(f"{where}: image_meta has {len(count)} dimensions, expected 3")
    meta = np.zeros(1, META.dtype)
    for k, a in enumerate("xyz"):
        meta[f"min_{a}"], meta[f"size_{a}"], meta[f"n{a}"] = origin[k], size[k] / count[k], count[k]
    return meta


def _to_larcv2(where: str, ids: np.ndarray, meta: np.ndarray) -> np.ndarray:
    """uint64: ids that count with z fastest as ids that count with x fastest.

    Raises WeftError for ids beyond the box, which would become other voxels.
    """
    nx, ny, nz = (int(meta[f"n{a}"][0]) for a in "xyz")
    if not len(ids):
        return np.empty(0, np.uint64)
    if not 0 <= int(ids.min()) <= int(ids.max()) < nx * ny * nz:
        raise WeftError(
            f"{where}: voxel ids run from {ids.min()} to {ids.max()}, beyond the box of {nx}×{ny}×{nz} voxels"
        )
    ids = ids.astype(np.uint64)
    rest, z = np.divmod(ids, np.uint64(nz))
    x, y = np.divmod(rest, np.uint64(ny))
    return voxel_id(np.stack([x, y, z], 1), (nx, ny, nz))
