"""Events of SPINE's HDF5 files: voxels, reconstructed objects, and true particles as the truth of the event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io import reco_objects as reco
from weft.io.lartpc import Clusters, EventBuilder, VoxelSet, particle_rows
from weft.io.products import META, Ragged, Schema
from weft.io.reco_products import PIDS
from weft.io.spine_file import SpineFile
from weft.io.voxels import voxel_id

_NEEDED = ("meta", "points", "depositions")
_TRUTH = "truth_particles"

#: Our columns that SPINE's objects have under the same name.
_SAME = {
    "reco_fragments": ("shape", "length", "is_primary"),
    "reco_particles": (
        "shape", "length", "pid", "is_primary", "ke", "p", "calo_ke", "csda_ke", "mcs_ke", "start_dedx", "end_dedx",
        "start_straightness", "directional_spread", "axial_spread", "is_contained", "is_valid",
    ),
    "reco_interactions": ("is_contained", "is_fiducial"),
}  # fmt: skip
_VECTORS = {
    "reco_fragments": ("start", "end", "start_dir", "end_dir"),
    "reco_particles": ("start", "end", "start_dir", "end_dir"),
    "reco_interactions": ("vertex",),
}


class SpineSource:
    """A source of events, see `weft.io.convert.Source`.

    `points` become voxels by the file's `meta`, `depositions` the charge; both are needed, in cm and MeV. Objects keep
    their order, whatever ids they have. True particles become `particles` and `clusters`, one cluster for each, which
    has the whole charge of its voxels, and give the voxels their class; each is a group of its own, as SPINE's true
    particles are whole groups. Columns that SPINE does not know are −1 or NaN.
    """

    kind = "spine"

    def __init__(self, path: Path, products: Mapping[str, str | None]) -> None:
        if products:
            raise WeftError(f"{path}: products of SPINE's files have fixed names; none can be chosen or left out")
        self.path, self.file = path, SpineFile(path)
        missing = [name for name in _NEEDED if name not in self.file]
        if missing:
            raise WeftError(f"{path}: no {', '.join(missing)}; there are {', '.join(self.file.products)}")
        self.entries = self.file.events
        self.has_truth = _TRUTH in self.file
        self.has_fragments = "reco_fragments" in self.file
        self.has_reco = {"reco_particles", "reco_interactions"} <= set(self.file.products)
        truth = self.has_truth
        self._builder = EventBuilder(charge=True, semantics=False, clusters=truth, particles=truth)
        without = ("reco_fragments", "reco_fragment_voxels", "reco_particle_fragments")
        made = [s for s in reco.RECONSTRUCTED if self.has_reco and (self.has_fragments or s.name not in without)]
        self.schemas: list[Schema] = [*self._builder.schemas, *made]
        read = {*_NEEDED, "index", "run_info", _TRUTH, *(_SAME if self.has_reco else ())}
        self.skipped = {name: "of no product of ours" for name in self.file.products if name not in read}

    @property
    def about(self) -> dict[str, Any]:
        return {"layout": self.file.version, **self.file.about}

    @property
    def notes(self) -> dict[str, Any]:
        return dict(self._builder.notes)

    def numbers(self) -> np.ndarray | None:
        if "run_info" not in self.file:
            return None
        infos = [self.file.objects("run_info", i) for i in range(self.entries)]
        numbers = [[int(info[name][0]) for name in ("run", "subrun", "event")] for info in infos]
        return np.array(numbers, np.int64).reshape(-1, 3)

    def events(
        self, start: int, stop: int, encode: Callable[[str, str, Sequence[str]], np.ndarray]
    ) -> Iterator[dict[str, Any]]:
        for i in range(start, stop):
            yield self._event(i, encode)

    def _event(self, i: int, encode: Callable[[str, str, Sequence[str]], np.ndarray]) -> dict[str, Any]:
        where = f"{self.path}: event {i}"
        meta, ids = self._voxel_ids(where, i)
        charge = self.file.array("depositions", i).astype(np.float64)
        if len(charge) != len(ids):
            raise WeftError(f"{where}: {len(charge)} depositions on {len(ids)} points")
        truth: dict[str, Any] = {}
        if self.has_truth:
            objects = self._objects(where, _TRUTH, i)
            truth = {
                "clusters": self._clusters(where, objects, ids, charge),
                "particles": self._particles(objects, encode),
            }
        products = self._builder.build(where, meta, charge=VoxelSet(ids, charge), **truth)
        if self.has_reco:
            products |= self._reconstruction(where, i, np.searchsorted(np.unique(ids), ids))
        return products

    def _voxel_ids(self, where: str, i: int) -> tuple[np.ndarray, np.ndarray]:
        box = self.file.objects("meta", i)
        meta = np.zeros(1, META.dtype)
        for k, axis in enumerate("xyz"):
            meta[f"min_{axis}"], meta[f"size_{axis}"] = box["lower"][0][k], box["size"][0][k]
            meta[f"n{axis}"] = box["count"][0][k]
        points = self.file.array("points", i).astype(np.float64)
        voxels = np.floor((points - box["lower"][0]) / box["size"][0]).astype(np.int64)
        count = np.asarray(box["count"][0], np.int64)
        if len(voxels) and not ((voxels >= 0) & (voxels < count)).all():
            raise WeftError(f"{where}: points outside of the box that `meta` describes; are they in cm?")
        return meta, voxel_id(voxels, tuple(count.tolist()))

    def _objects(self, where: str, name: str, i: int) -> dict[str, Any]:
        objects = self.file.objects(name, i)
        units = set(objects.get("units", ()))
        if units - {"cm"}:
            raise WeftError(f"{where}: {name} are in {', '.join(sorted(units))}, expected cm")
        if "index" not in objects:
            raise WeftError(f"{where}: {name} have no index of their points: the file was written with `lite`")
        return objects

    def _clusters(self, where: str, objects: Mapping[str, Any], ids: np.ndarray, charge: np.ndarray) -> Clusters:
        index = _items(objects["index_adapt"] if "index_adapt" in objects else objects["index"])
        _check(where, _TRUTH, index.values, len(ids))
        return Clusters(ids[index.values], charge[index.values], index.offsets)

    @staticmethod
    def _particles(objects: Mapping[str, Any], encode: Callable[[str, str, Sequence[str]], np.ndarray]) -> np.ndarray:
        n = len(objects["id"])
        same = {"shape": "shape", "pdg": "pdg_code", "parent_pdg": "parent_pdg_code"}
        same |= {"ancestor_pdg": "ancestor_pdg_code", "energy_init": "energy_init", "energy_deposit": "energy_deposit"}
        same |= {"interaction_id": "interaction_id", "trackid": "track_id", "parent_trackid": "parent_track_id"}
        same |= {"ancestor_trackid": "ancestor_track_id", "dist_travel": "distance_travel"}
        columns = {ours: np.asarray(objects[theirs]) for ours, theirs in same.items() if theirs in objects}
        vectors = {"vtx": "position", "end_pt": "end_position", "first_step": "first_step", "last_step": "last_step"}
        vectors |= {"parent_vtx": "parent_position", "ancestor_vtx": "ancestor_position"}
        for ours, theirs in vectors.items():
            if theirs in objects:
                columns |= {f"{ours}_{axis}": objects[theirs][:, k] for k, axis in enumerate("xyz")}
        if "momentum" in objects:
            columns |= {f"p{axis}": objects["momentum"][:, k] for k, axis in enumerate("xyz")}
        for ours in ("process", "parent_process", "ancestor_process"):
            theirs = "creation_process" if ours == "process" else f"{ours.partition('_')[0]}_creation_process"
            if theirs in objects:
                said = np.array([k for k, text in enumerate(objects[theirs]) if text], np.int64)
                columns[ours] = np.full(n, -1)
                columns[ours][said] = encode("particles", ours, [objects[theirs][k] for k in said])
        number = np.arange(n)
        return particle_rows(n, {**columns, "id": number, "group_id": number})

    def _reconstruction(self, where: str, i: int, row: np.ndarray) -> dict[str, Any]:
        """row: of the sorted voxels, for each point."""
        kinds = [name for name in _SAME if name in self.file]
        objects = {name: self._objects(where, name, i) for name in kinds}
        number = {name: {int(k): at for at, k in enumerate(objects[name]["id"])} for name in kinds}

        def rows(ids: Any, of: str) -> np.ndarray:
            known = number.get(of, {})
            return np.array([known.get(int(k), -1) for k in np.asarray(ids).reshape(-1)], np.int32)

        def members(kind: str, field: str, of: str) -> Ragged:
            return _items([np.sort(rows(ids, of)) for ids in objects[kind][field]])

        def voxels(kind: str) -> Ragged:
            index = _items(objects[kind]["index"])
            _check(where, kind, index.values, len(row))
            return _items([np.unique(row[item]) for item in index])

        particles, interactions = objects["reco_particles"], objects["reco_interactions"]
        products: dict[str, Any] = {name: _table(name, objects[name]) for name in kinds}
        products["reco_particles"]["interaction"] = rows(particles["interaction_id"], "reco_interactions")
        products["reco_particle_voxels"] = voxels("reco_particles")
        products["reco_interaction_particles"] = members("reco_interactions", "particle_ids", "reco_particles")
        products["reco_interactions"]["particles"] = products["reco_interaction_particles"].counts
        if "primary_particle_counts" in interactions:  # of those that count; num_primary_particles are all
            products["reco_interactions"]["primaries"] = interactions["primary_particle_counts"].sum(axis=1)
        if self.has_fragments:
            products["reco_fragments"]["interaction"] = rows(
                objects["reco_fragments"]["interaction_id"], "reco_interactions"
            )
            products["reco_fragments"]["particle"] = rows(objects["reco_fragments"]["particle_id"], "reco_particles")
            products["reco_fragment_voxels"] = voxels("reco_fragments")
            products["reco_particle_fragments"] = members("reco_particles", "fragment_ids", "reco_fragments")
        products["reco_particles"]["fragments"] = [len(ids) for ids in particles["fragment_ids"]]
        return products

    def close(self) -> None:
        self.file.close()


def _table(name: str, objects: Mapping[str, Any]) -> np.ndarray:
    """Rows of our table from SPINE's objects; what they do not have is −1 or NaN."""
    schema: Schema = {s.name: s for s in reco.RECONSTRUCTED}[name]
    table = np.empty(len(objects["id"]), schema.dtype)
    for column in schema.dtype.names or ():
        table[column] = np.nan if schema.dtype[column].kind == "f" else -1
    for column in _SAME[name]:
        if column in objects:
            table[column] = objects[column]
    for vector in _VECTORS[name]:
        theirs = f"{vector}_point" if vector in ("start", "end") else vector
        for k, axis in enumerate("xyz"):
            table[f"{vector}_{axis}"] = objects[theirs][:, k]
    table["size"] = [len(index) for index in objects["index"]]
    if "depositions_sum" in objects:
        table["energy"] = objects["depositions_sum"]
    if "primary_scores" in objects and "primary_score" in (schema.dtype.names or ()):
        table["primary_score"] = objects["primary_scores"][:, 1]
    families = {"score": "pid_scores", "csda_ke": "csda_ke_per_pid", "mcs_ke": "mcs_ke_per_pid", "chi2": "chi2_per_pid"}
    for ours, theirs in (families | {"n": "primary_particle_counts"}).items():
        for pid, text in PIDS.items():
            if f"{ours}_{text}" in (schema.dtype.names or ()) and theirs in objects:
                table[f"{ours}_{text}"] = objects[theirs][:, pid]
    return table


def _items(items: Sequence[np.ndarray]) -> Ragged:
    made = Ragged.of(list(items), np.empty(0, np.int32))
    return Ragged(made.values.astype(np.int32), made.offsets)


def _check(where: str, name: str, index: np.ndarray, points: int) -> None:
    if len(index) and not 0 <= index.min() <= index.max() < points:
        raise WeftError(f"{where}: {name} refer to points {index.min()} to {index.max()}, there are {points}")
