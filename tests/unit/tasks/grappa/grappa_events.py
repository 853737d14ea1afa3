"""Small events with known truth, as a store gives them: straight particles in a box of 100 voxels of 0.3 cm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from weft.io.products import META, PARTICLES, Ragged
from weft.reco.truth import DERIVED, Truth

SIZE = 0.3  # cm
CLUSTER = np.dtype([("voxel", "<i4"), ("energy", "<f4")])


class Event(Mapping[str, Any]):
    """True products, those that are derived from them, and, under their bare names, what the stage is fed."""

    def __init__(self, products: dict[str, Any], fed: Mapping[str, Any] | None = None) -> None:
        self._products, self._truth, self._fed = products, Truth(products), dict(fed or {})

    def __getitem__(self, name: str) -> Any:
        if name in self._fed:
            return self._fed[name]
        name = name.removeprefix("truth/")
        return getattr(self._truth, name) if name in DERIVED else self._products[name]

    def __contains__(self, name: object) -> bool:
        return name in self._fed or str(name).removeprefix("truth/") in {*self._products, *DERIVED}

    def __iter__(self) -> Any:
        return iter(self._products)

    def __len__(self) -> int:
        return len(self._products)

    def fed(self, **products: Any) -> Event:
        """The same event for a stage that is fed these."""
        return Event(self._products, {**self._fed, **products})


def line(start: Any, end: Any, step: float = 1.0) -> np.ndarray:
    """Voxels int64 [n, 3] of a straight line, unique, from its start."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    n = max(2, int(np.abs(b - a).max() / step) + 1)
    voxels = np.rint(a + np.linspace(0, 1, n)[:, None] * (b - a)).astype(np.int64)
    _, first = np.unique(voxels, axis=0, return_index=True)
    return voxels[np.sort(first)]


def particle(
    voxels: np.ndarray,
    shape: int,
    pdg: int,
    *,
    group: int | None = None,
    interaction: int = 0,
    parent: int = -1,
    time: float = 0.0,
    energy: float = 1.0,
    p: float = 300.0,
    vertex: Any = None,
    at_vertex: bool = True,
) -> dict[str, Any]:
    """A particle that starts at the first and ends at the last of its voxels; group, parent: numbers of particles."""
    return {
        "voxels": voxels, "shape": shape, "pdg": pdg, "group": group, "interaction": interaction, "parent": parent,
        "time": time, "energy": energy, "p": p, "vertex": vertex, "at_vertex": at_vertex,
    }  # fmt: skip


def event(particles: list[dict[str, Any]]) -> Event:
    """An event of these particles; of two in one voxel the first owns it."""
    meta = np.zeros(1, META.dtype)
    for axis in "xyz":
        meta[f"size_{axis}"], meta[f"n{axis}"] = SIZE, 100
    table = np.zeros(len(particles), PARTICLES.dtype)
    for name in PARTICLES.dtype.names or ():
        if PARTICLES.dtype[name].kind == "i":
            table[name] = -1
    owner: dict[tuple[int, ...], int] = {}
    for i, one in enumerate(particles):
        for voxel in one["voxels"].tolist():
            owner.setdefault(tuple(voxel), i)
    voxels = np.array(sorted(owner, key=lambda v: (v[2], v[1], v[0])), np.int32).reshape(-1, 3)
    owners = np.array([owner[tuple(v)] for v in voxels.tolist()], np.int64)
    items = []
    for i, one in enumerate(particles):
        row = table[i]
        row["id"], row["trackid"], row["shape"], row["pdg"] = i, i + 1, one["shape"], one["pdg"]
        row["group_id"] = i if one["group"] is None else one["group"]
        row["interaction_id"], row["parent_id"], row["p"] = one["interaction"], one["parent"], one["p"]
        row["ancestor_trackid"] = row["group_id"] + 1 if one["at_vertex"] else 10_000
        row["ancestor_process"] = 0
        for point, at in (("first_step", one["voxels"][0]), ("last_step", one["voxels"][-1])):
            for axis, value in zip("xyz", at, strict=True):
                row[f"{point}_{axis}"] = (value + 0.5) * SIZE
        vertex = one["voxels"][0] + 0.5 if one["vertex"] is None else np.asarray(one["vertex"], float)
        for axis, value in zip("xyz", vertex, strict=True):
            row[f"ancestor_vtx_{axis}"] = value * SIZE
        row["first_step_t"] = one["time"]
        mine = np.flatnonzero(owners == i)
        row["num_voxels"] = len(mine)
        cluster = np.zeros(len(mine), CLUSTER)
        cluster["voxel"], cluster["energy"] = mine, one["energy"]
        items.append(cluster)
    charge = np.array([[particles[i]["energy"]] for i in owners], np.float32).reshape(-1, 1)
    semantics = np.array([[particles[i]["shape"]] for i in owners], np.int8).reshape(-1, 1)
    return Event(
        {
            "meta": meta,
            "voxels": voxels,
            "charge": charge,
            "semantics": semantics,
            "particles": table,
            "clusters": Ragged.of(items, np.zeros(0, CLUSTER)),
        }
    )


def shower(at: Any, first: int, pieces: int = 3, along: Any = (1, 0, 0), **more: Any) -> list[dict[str, Any]]:
    """A primary fragment and others behind it, with gaps; `first` is the number of the primary among the particles."""
    along, at = np.asarray(along), np.asarray(at)
    made = []
    for k in range(pieces):
        begin = at + along * 12 * k
        extra = {"group": first, "time": float(k), "parent": first if k else -1}
        made.append(particle(line(begin, begin + along * 6), 0, 22 if k == 0 else 11, **extra, **more))
    return made


def two_showers() -> Event:
    """Two showers of three fragments, far apart, and a track between."""
    return event(
        [*shower((10, 10, 10), 0), *shower((10, 60, 60), 3), particle(line((30, 30, 30), (60, 40, 30)), 1, 13)]
    )


def two_interactions(seed: int = 0) -> Event:
    """Each a muon and a proton from a vertex and a photon shower that points to it."""
    rng = np.random.default_rng(seed)
    made: list[dict[str, Any]] = []
    for k, vertex in enumerate(np.array([[20, 20, 20], [70, 70, 60]]) + rng.integers(-6, 7, (2, 3))):
        more = {"interaction": k, "vertex": vertex + 0.5}
        made.append(particle(line(vertex, vertex + np.array((20, 3, 0))), 1, 13, energy=1.0, p=400.0, **more))
        made.append(
            particle(
                line(vertex + np.array((0, 1, 1)), vertex + np.array((0, 9, 6))), 1, 2212, energy=4.0, p=700.0, **more
            )
        )
        made += shower(vertex + np.array((0, -6, 4)), len(made), 2, (0, 0, 1), energy=0.5, p=200.0, **more)
    return event(made)


def nothing() -> Event:
    """An event without a voxel."""
    return event([])


def one_shower() -> Event:
    """One node and no edge."""
    return event(shower((40, 40, 40), 0, 1))
