"""Small events, and the native files that hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from weft.io.products import CHARGE, CLUSTERS, META, PARTICLES, SEMANTICS, VOXELS, EventId, Ragged
from weft.io.store import StoreWriter
from weft.io.voxels import voxel_id

SCHEMAS = (META, VOXELS, CHARGE, SEMANTICS, PARTICLES, CLUSTERS)
SHAPE = (20, 30, 40)
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def event(seed: int, voxels: int | None = None) -> dict:
    """A standard event with clusters that share out its voxels; every third particle has none."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 60)) if voxels is None else voxels
    flat = np.sort(rng.choice(np.prod(SHAPE), n, replace=False))
    nx, ny, _ = SHAPE
    index = np.stack([flat % nx, flat // nx % ny, flat // (nx * ny)], 1).astype(np.int32)
    meta = np.zeros(1, META.dtype)
    for k, a in enumerate("xyz"):
        meta[f"min_{a}"], meta[f"size_{a}"], meta[f"n{a}"] = -3.0, 0.3, SHAPE[k]
    particles = np.zeros(int(rng.integers(1, 6)), PARTICLES.dtype)
    owner = rng.integers(0, len(particles), n)
    owner[owner % 3 == 2] = 0
    particles["id"] = np.arange(len(particles))
    particles["num_voxels"] = np.bincount(owner, minlength=len(particles))
    particles["shape"] = rng.integers(0, 5, len(particles))
    particles["px"] = rng.normal(size=len(particles))
    particles["p"] = np.abs(particles["px"])
    items = []
    for k in range(len(particles)):
        rows = np.zeros(particles["num_voxels"][k], CLUSTERS.dtype)
        rows["voxel"], rows["energy"] = np.flatnonzero(owner == k), 0.5
        items.append(rows)
    return {
        "meta": meta,
        "voxels": index,
        "charge": rng.gamma(2.0, size=(n, 1)).astype(np.float32),
        "semantics": particles["shape"][owner].astype(np.int8)[:, None],
        "particles": particles,
        "clusters": Ragged.of(items),
    }


def same(a: object, b: object) -> bool:
    if isinstance(a, Ragged) and isinstance(b, Ragged):
        return np.array_equal(a.values, b.values) and np.array_equal(a.offsets, b.offsets)
    return np.array_equal(np.asarray(a), np.asarray(b))


def write_store(path: Path, events: list[dict], schemas: tuple = SCHEMAS, first: int = 0, **options: object) -> str:
    with StoreWriter(path, schemas, provenance={"made": "by a test"}, **options) as writer:
        for i, products in enumerate(events):
            writer.append(EventId(1, 2, first + i, 1000 + first + i), products)
    assert writer.content_hash is not None
    return writer.content_hash


def write_root(path: Path, events: list[dict], skip: tuple[str, ...] = (), change: dict | None = None) -> None:
    """The events in the layout of `weft simulate` (docs/architecture.md)."""
    import awkward as ak
    import uproot

    n = len(events)
    ids = [voxel_id(e["voxels"], SHAPE) for e in events]
    identity = {"_run": np.ones(n, "u8"), "_subrun": np.full(n, 2, "u8"), "_event": np.arange(n, dtype="u8")}
    box = {}
    for k, a in enumerate("xyz"):
        box[f"_meta._p1._{a}"], box[f"_meta._p2._{a}"] = np.full(n, -3.0), np.full(n, -3.0 + 0.3 * SHAPE[k])
        box[f"_meta._{a}len"], box[f"_meta._{a}num"] = np.full(n, 0.3), np.full(n, SHAPE[k], "u8")

    def lists(arrays: list, dtype: str) -> ak.Array:
        counts = [len(a) for a in arrays]
        return ak.unflatten(np.concatenate([np.empty(0, dtype), *arrays]).astype(dtype), counts)

    def voxel_tree(values: list) -> dict:
        return {**identity, **box, "_voxel_v": ak.zip({"_id": lists(ids, "u8"), "_value": lists(values, "f4")})}

    cluster_ids = [i[e["clusters"].values["voxel"]] for i, e in zip(ids, events, strict=True)]
    cluster_values = [e["clusters"].values["energy"] for e in events]
    members = {"_pdg": "i4", "_id": "i4", "_shape": "i4", "_num_voxels": "i4", "_px": "f8", "_py": "f8", "_pz": "f8"}
    members |= {"_group_id": "u8", "_process": "i4"}
    columns = {}
    for name, dtype in members.items():
        columns[name] = lists([e["particles"][name[1:]] for e in events], dtype)
    columns["_vtx._x"] = lists([e["particles"]["vtx_x"] for e in events], "f8")
    trees = {
        "sparse3d_pcluster_tree": voxel_tree([e["charge"][:, 0] for e in events]),
        "sparse3d_pcluster_semantics_tree": voxel_tree([e["semantics"][:, 0] for e in events]),
        "cluster3d_pcluster_tree": {
            **identity,
            **box,
            "_voxel_v": ak.zip({"_id": lists(cluster_ids, "u8"), "_value": lists(cluster_values, "f4")}),
            "_voxel_v._n": lists([e["clusters"].counts for e in events], "i4"),
        },
        "particle_pcluster_tree": {**identity, "_part_v": ak.zip(columns)},
    }
    trees = {name: rows for name, rows in trees.items() if name not in skip} | (change or {})
    with uproot.recreate(path) as file:
        for name, rows in trees.items():
            types = {k: v.dtype if isinstance(v, np.ndarray) else v.type.content for k, v in rows.items()}
            file.mktree(name, types, field_name=lambda outer, inner: f"{outer}.{inner}")
            for start in range(0, n, 3):
                file[name].extend({k: v[start : start + 3] for k, v in rows.items()})
        file["weft_codes"] = '{"_part_v._process": {"0": "primary", "7": "muIoni"}}'
        file["weft_provenance"] = '{"seed": 4}'
