"""Events of a LArCV2 ROOT file, or of a ROOT file that weft wrote: which trees, as which products."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.deposits import DepositTree
from weft.io.lartpc import WITHOUT_CLUSTERS, Clusters, EventBuilder, VoxelSet, particle_rows
from weft.io.memberwise import members_of, read_header, read_vectors
from weft.io.products import META, PARTICLES, PROCESS_COLUMNS, Column, Ragged, Schema
from weft.io.root_images import ChannelStatus, Images, ObjectTable, SparseImages
from weft.io.root_tree import RootFile, Tree

Encode = Callable[[str, str, Sequence[str]], np.ndarray]

#: Bytes of uncompressed tree content that are worked on at a time.
BLOCK_BYTES = 16 << 20

#: The trees that become the products of the standard event, best first.
PREFERRED: Mapping[str, tuple[str, ...]] = {
    "charge": ("sparse3d_pcluster", "sparse3d_reco", "sparse3d_reco_rescaled"),
    "semantics": ("sparse3d_pcluster_semantics", "sparse3d_pcluster_semantics_ghost"),
    "clusters": ("cluster3d_pcluster",),
    "particles": ("particle_pcluster", "particle_corrected"),
}
_ROLE_TYPE = {"charge": "sparse3d", "semantics": "sparse3d", "clusters": "cluster3d", "particles": "particle"}

_SUPPORTED = ("sparse3d", "cluster3d", "particle", "image2d", "chstatus", "sparseimg", "neutrino", "wire")


class RootSource:
    """A source of events, see `weft.io.convert.Source`.

    Args:
        products: which tree becomes ``charge``, ``semantics``, ``clusters`` or ``particles``, without ``_tree``; None
            leaves the product out. Other supported trees are kept under their own names, unless set to None.
        tick_backward: whether row 0 of the images is the latest tick, as in files that LArCV calls so. Images are
            turned; sparse ones, which do not say how many rows they have, are left out.
    """

    def __init__(self, path: Path, products: Mapping[str, str | None], tick_backward: bool = False) -> None:
        self.file, self.tick_backward = RootFile(path), tick_backward
        try:
            self._open(path, products)
        except BaseException:
            self.file.file.close()
            raise

    def _open(self, path: Path, products: Mapping[str, str | None]) -> None:
        self.path = path
        trees = self.file.trees
        if not trees:
            found = ", ".join(f"{name} ({kind})" for name, kind in self.file.others.items()) or "nothing"
            raise WeftError(f"{path}: no LArCV tree (<type>_<producer>_tree); the file holds {found}")
        roles = _roles(path, trees, products)
        left_out = {name for name, tree in products.items() if tree is None}
        self.skipped = {
            name: f"trees of type {tree.type} are not supported"
            for name, tree in trees.items()
            if tree.type not in _SUPPORTED
        }
        if self.tick_backward:
            if not any(tree.type == "image2d" for tree in trees.values()):
                raise WeftError(
                    f"{path}: no images (image2d) that could be backward in time; it has {', '.join(trees)}"
                )
            sparse = [name for name, tree in trees.items() if tree.type == "sparseimg"]
            self.skipped |= dict.fromkeys(sparse, "sparse images that are backward in time do not say how many rows")
            left_out |= set(sparse)
        used = [t for t in trees.values() if t.type in _SUPPORTED and t.name not in left_out]
        used = [t for t in used if t.name in roles.values() or t.name not in _claimed(trees, left_out)]
        if not used:
            raise WeftError(f"{path}: no tree of a supported type ({', '.join(_SUPPORTED)}); it has {', '.join(trees)}")
        self.entries = _equal_entries(path, used)
        self._used = used
        self._block = max(1, int(BLOCK_BYTES / max(1.0, sum(t.bytes_per_entry for t in used))))

        codes = json.loads(self.file.text("weft_codes") or "{}")
        self.kind = "weft" if self.file.text("weft_provenance") else "larcv"
        self._readers = {role: self._reader(trees[name], role, codes) for role, name in roles.items()}
        self._builder = EventBuilder(
            "charge" in roles, "semantics" in roles, "clusters" in roles, "particles" in roles,
            self._readers["particles"].schemas[0] if "particles" in roles else PARTICLES,
        )  # fmt: skip
        extra = [t for t in used if t.name not in roles.values()]
        self._others = [self._reader(tree, tree.name, codes) for tree in extra]
        self.schemas = [*self._builder.schemas, *(s for r in self._others for s in r.schemas)]

    def _reader(self, tree: Tree, name: str, codes: Mapping[str, Any]) -> Any:
        if tree.type == "particle":
            return ParticleTree(tree, name, codes)
        if tree.type == "cluster3d":
            return ClusterTree(tree, name, self.file.streamers)
        if tree.type == "image2d":
            return Images(tree, name, self.tick_backward)
        readers = {
            "sparse3d": SparseTree,
            "chstatus": ChannelStatus,
            "sparseimg": SparseImages,
            "neutrino": ObjectTable,
            "wire": DepositTree,
        }
        return readers[tree.type](tree, name)

    @property
    def about(self) -> dict[str, Any]:
        """Facts for the provenance."""
        facts: dict[str, Any] = {"uuid": self.file.uuid}
        if self.tick_backward:
            facts["tick_backward"] = True
        written = self.file.text("weft_provenance")
        if written:
            facts["provenance"] = json.loads(written)
        return facts

    @property
    def notes(self) -> dict[str, Any]:
        notes: dict[str, Any] = dict(self._builder.notes)
        for reader in [*self._readers.values(), *self._others]:
            notes.update(getattr(reader, "notes", {}))
        return notes

    def numbers(self) -> np.ndarray:
        """int64 (entries, 3): run, subrun, event.

        Raises:
            WeftError: entry k of one tree is another event than that of the next.
        """
        numbers = self._used[0].numbers()
        for tree in self._used[1:]:
            other = tree.numbers()
            wrong = np.flatnonzero((other != numbers).any(axis=1))
            if len(wrong):
                k = int(wrong[0])
                raise WeftError(
                    f"{tree.where}: entry {k} is event {'/'.join(map(str, other[k]))}, in {self._used[0].name}_tree "
                    f"{'/'.join(map(str, numbers[k]))}: the trees do not belong together"
                )
        return numbers

    def events(self, start: int, stop: int, encode: Encode) -> Iterator[dict[str, Any]]:
        """Products of the entries start to stop, in order."""
        for first in range(start, stop, self._block):
            last = min(first + self._block, stop)
            for reader in [*self._readers.values(), *self._others]:
                reader.load(first, last, encode)
            for k in range(last - first):
                parts = {role: reader.event(k) for role, reader in self._readers.items()}
                spatial = next((self._readers[r] for r in ("charge", "semantics", "clusters") if r in parts), None)
                event = self._builder.build(
                    f"{self.path}: entry {first + k}", None if spatial is None else spatial.meta(k), **parts
                )
                for other in self._others:
                    event.update(other.products(k))
                yield event

    def close(self) -> None:
        self.file.file.close()


def _roles(path: Path, trees: Mapping[str, Tree], products: Mapping[str, str | None]) -> dict[str, str]:
    """Tree of each product of the standard event."""
    roles: dict[str, str] = {}
    for role, kind in _ROLE_TYPE.items():
        if role in products:
            name = products[role]
            if name is None:
                continue
            name = name.removesuffix("_tree")
            if name not in trees:
                raise WeftError(f"{path}: no tree {name}_tree for {role}; it has {', '.join(trees)}")
            if trees[name].type != kind:
                raise WeftError(f"{path}: {role} is made from a {kind} tree, {name} is of type {trees[name].type}")
            roles[role] = name
            continue
        candidates = [n for n in PREFERRED[role] if n in trees]
        others = [n for n, t in trees.items() if t.type == kind and ("semantics" in n) == (role == "semantics")]
        if candidates or (len(others) == 1 and role != "semantics"):
            roles[role] = (candidates or others)[0]
    unknown = [n for n, tree in products.items() if n not in _ROLE_TYPE and (tree is not None or n not in trees)]
    if unknown:
        raise WeftError(
            f"{path}: products names {', '.join(unknown)}; it maps {', '.join(_ROLE_TYPE)} to trees, or a tree of the "
            f"file to nothing (none, in a dataset null): {', '.join(trees)}"
        )
    return roles


def _claimed(trees: Mapping[str, Tree], left_out: set[str]) -> set[str]:
    """Trees that would play a role which was left out."""
    return {name for role in left_out & _ROLE_TYPE.keys() for name in PREFERRED[role] if name in trees}


def _equal_entries(path: Path, trees: Sequence[Tree]) -> int:
    entries = {tree.name: tree.entries for tree in trees}
    if len(set(entries.values())) > 1:
        listed = ", ".join(f"{name} {n}" for name, n in entries.items())
        raise WeftError(f"{path}: trees have unequal entry counts: {listed}")
    return trees[0].entries


class _Meta:
    """The box of a voxel tree, one row per entry."""

    def __init__(self, tree: Tree) -> None:
        self.columns = {}
        for a in "xyz":
            self.columns[f"min_{a}"] = tree.column(f"meta.p1.{a}", f"p1.{a}")
            self.columns[f"size_{a}"] = tree.column(f"meta.{a}len", f"{a}len")
            self.columns[f"n{a}"] = tree.column(f"meta.{a}num", f"{a}num")

    def load(self, start: int, stop: int) -> np.ndarray:
        rows = np.empty(stop - start, META.dtype)
        for name, column in self.columns.items():
            rows[name] = column.flat(start, stop)
        return rows


class SparseTree:
    """``sparse3d``: one set of voxels per entry."""

    def __init__(self, tree: Tree, name: str) -> None:
        self.name = name
        self.ids, self.values = tree.column("voxel_v.id"), tree.column("voxel_v.value")
        self._meta = _Meta(tree)
        dtype = np.dtype([("id", "<u8"), ("value", "<f4")])
        columns = (Column("id", "", "z·nx·ny + y·nx + x"), Column("value", "", "as stored"))
        self.schemas = [Schema(name, "table", dtype, columns, description=f"voxels of {tree.name}")]

    def load(self, start: int, stop: int, encode: Encode) -> None:
        ids, values = self.ids.jagged(start, stop), self.values.jagged(start, stop)
        self._ids = Ragged(ids.values.astype(np.uint64), ids.offsets)
        self._values = values
        self._boxes = self._meta.load(start, stop)

    def meta(self, k: int) -> np.ndarray:
        return self._boxes[k : k + 1]

    def event(self, k: int) -> VoxelSet:
        return VoxelSet(self._ids[k], self._values[k])

    def products(self, k: int) -> dict[str, Any]:
        rows = np.empty(len(self._ids[k]), self.schemas[0].dtype)
        rows["id"], rows["value"] = self.event(k)
        return {self.name: rows}


class ClusterTree:
    """``cluster3d``: a set of voxels per particle; class branches are decoded from their bytes."""

    def __init__(self, tree: Tree, name: str, streamers: Mapping[str, Any]) -> None:
        self.name, self.where, self.streamers = name, tree.where, streamers
        self._meta = _Meta(tree)
        self.flat = "voxel_v.n" in tree
        if self.flat:
            self.ids, self.values = tree.column("voxel_v.id"), tree.column("voxel_v.value")
            self.sizes = tree.column("voxel_v.n")
        else:
            self.outer = tree.column("voxel_vv.id")
            self.raw = tree.column("voxel_vv.voxel_v", raw=True)
        dtype = np.dtype([("id", "<u8"), ("value", "<f4")])
        columns = (Column("id", "", "z·nx·ny + y·nx + x"), Column("value", "", "as stored"))
        self.schemas = [Schema(name, "list", dtype, columns, description=f"clusters of {tree.name}")]

    def load(self, start: int, stop: int, encode: Encode) -> None:
        self._start = start
        self._boxes = self._meta.load(start, stop)
        if self.flat:
            self._ids, self._values = self.ids.jagged(start, stop), self.values.jagged(start, stop)
            self._sizes = self.sizes.jagged(start, stop)
        else:
            self._outer, self._raw = self.outer.jagged(start, stop), self.raw.jagged(start, stop)

    def meta(self, k: int) -> np.ndarray:
        return self._boxes[k : k + 1]

    def event(self, k: int) -> Clusters:
        if not self.flat:
            where = f"{self.where}: entry {self._start + k}"
            return decode_clusters(where, self._raw[k], len(self._outer[k]), self.streamers)
        ids, sizes = self._ids[k].astype(np.uint64), self._sizes[k].astype(np.int64)
        if sizes.sum() != len(ids):
            raise WeftError(
                f"{self.where}: entry {self._start + k}: cluster sizes add up to {sizes.sum()}, "
                f"the voxels are {len(ids)}"
            )
        return Clusters(ids, self._values[k], np.concatenate([[0], np.cumsum(sizes)]))

    def products(self, k: int) -> dict[str, Any]:
        clusters = self.event(k)
        rows = np.empty(len(clusters.ids), self.schemas[0].dtype)
        rows["id"], rows["value"] = clusters.ids, clusters.values
        return {self.name: Ragged(rows, clusters.offsets)}


def decode_clusters(where: str, data: np.ndarray, count: int, streamers: Mapping[str, Any]) -> Clusters:
    """The clusters of one entry from the raw bytes of ``_voxel_vv._voxel_v``.

    Args:
        data: uint8 bytes of the entry.
        count: number of clusters, from the branch beside it.
        streamers: of the file: the layout of ``larcv::Voxel`` is taken from it.
    """
    if count == 0:
        return Clusters(np.empty(0, np.uint64), np.empty(0, np.float32), np.zeros(1, np.int64))
    try:
        version, checksum, position = read_header(data)
        members = members_of(streamers, "larcv::Voxel", version, checksum)
        columns, offsets = read_vectors(data, position, count, members)
    except WeftError as error:
        raise WeftError(f"{where}: {error}; {WITHOUT_CLUSTERS}") from error
    named = dict(zip((name for name, _ in members), columns, strict=True))
    if not {"_id", "_value"} <= named.keys():
        raise WeftError(f"{where}: larcv::Voxel has members {', '.join(named)}, expected _id and _value")
    return Clusters(named["_id"].astype(np.uint64), named["_value"], offsets)


class ParticleTree:
    """``particle``: members of any version; those that the file lacks are −1 or NaN and listed in the notes."""

    def __init__(self, tree: Tree, name: str, codes: Mapping[str, Any]) -> None:
        self.name = name
        self.columns = {}
        for member in tree.members_of("part_v"):
            column = member.replace(".", "_")
            if column in (PARTICLES.dtype.names or ()):
                self.columns[column] = tree.column(f"part_v.{member}")
        if "id" not in self.columns:
            raise WeftError(f"{tree.where}: no member part_v.id; it has {', '.join(tree.members)}")
        missing = [n for n in PARTICLES.dtype.names or () if n not in self.columns and n != "p"]
        self.notes: dict[str, Any] = {f"{tree.name} lacks": missing} if missing else {}
        self.coded = _code_tables(codes)
        tables = {c: self.coded.get(c, {}) for c in PROCESS_COLUMNS}
        self.schemas = [dataclasses.replace(PARTICLES, name=name, codes=tables)]
        self._scale = self._energy_scale(tree.entries)
        if self._scale != 1:
            self.notes[f"{tree.name} energies"] = "stored in GeV, converted to MeV"

    def _energy_scale(self, entries: int) -> float:
        """1000 where energy_init is in GeV beside momenta in MeV/c, as in files of 2018: E ≥ p decides."""
        if not {"energy_init", "px", "py", "pz"} <= self.columns.keys():
            return 1.0
        stop = min(entries, 16)
        energy, *momentum = (
            self.columns[c].jagged(0, stop).values.astype(np.float64) for c in ("energy_init", "px", "py", "pz")
        )
        size = np.sqrt(sum(p**2 for p in momentum))
        moving = (size > 0) & (energy > 0)
        return 1000.0 if moving.any() and (energy[moving] < 0.01 * size[moving]).all() else 1.0

    def load(self, start: int, stop: int, encode: Encode) -> None:
        columns = {}
        offsets = self.columns["id"].jagged(start, stop).offsets
        for name, column in self.columns.items():
            if name in PROCESS_COLUMNS and name not in self.coded:
                strings = [text for event in column.read(start, stop).to_list() for text in event]
                columns[name] = encode(self.name, name, strings)
            else:
                columns[name] = column.jagged(start, stop).values
        for name in ("energy_init", "energy_deposit"):
            if name in columns and self._scale != 1:
                columns[name] = columns[name] * self._scale
        self._rows = Ragged(particle_rows(int(offsets[-1]), columns, self.schemas[0]), offsets)

    def event(self, k: int) -> np.ndarray:
        return self._rows[k]

    def products(self, k: int) -> dict[str, Any]:
        return {self.name: self._rows[k]}


def _code_tables(codes: Mapping[str, Any]) -> dict[str, dict[int, str]]:
    """Tables of the coded columns, from the key ``weft_codes``: ``{branch: {code: text}}``."""
    return {
        branch.removeprefix("_part_v.").removeprefix("_"): {int(code): text for code, text in table.items()}
        for branch, table in codes.items()
    }
