"""Fragments, particles and interactions as light objects: rows of the tables that know their neighbours.

    event = reconstructed(products, voxels, charge, meta)
    for particle in event.interactions[0].primary_members:
        print(particle.pid_name, particle.ke, particle.points.shape)

Nothing is copied: an object is a row number and its event. Every column of its table is an attribute of that name, a
point or direction also one array: `particle.start` is [3] cm, `particle.start_x` its first number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, overload

import numpy as np

from weft.io.products import CLASSES, Ragged
from weft.io.reco_objects import VERTEX_RULES
from weft.io.reco_products import PIDS
from weft.reco.matching import Matches, Overlap, match, overlap_matrix
from weft.reco.positions import to_cm
from weft.reco.topology import topology


@dataclass(frozen=True)
class Reconstruction:
    """The objects of one event, reconstructed or true."""

    tables: Mapping[str, Any]
    """products by name without `reco_` or `true_`: fragments, fragment_voxels, particles, …"""
    voxels: np.ndarray
    charge: np.ndarray
    meta: np.ndarray
    is_truth: bool = False
    matches: dict[str, Matches] = field(default_factory=dict)
    """by `particles` and `interactions`, once :func:`match_events` has set them"""

    @cached_property
    def points(self) -> np.ndarray:
        """float64 [N, 3] cm, centres of all voxels."""
        return to_cm(self.voxels + 0.5, self.meta)

    @property
    def fragments(self) -> Objects[Fragment]:
        return Objects(self, Fragment)

    @property
    def particles(self) -> Objects[Particle]:
        return Objects(self, Particle)

    @property
    def interactions(self) -> Objects[Interaction]:
        return Objects(self, Interaction)

    @cached_property
    def interaction_voxels(self) -> Ragged:
        """Rows of the voxels of each interaction, increasing."""
        members, voxels = self.tables["interaction_particles"], self.tables["particle_voxels"]
        items = [np.unique(np.concatenate([voxels[int(k)] for k in rows])) for rows in members]
        return Ragged.of(items, np.empty(0, np.int32))


def reconstructed(
    products: Mapping[str, Any], voxels: np.ndarray, charge: np.ndarray, meta: np.ndarray, truth: bool = False
) -> Reconstruction:
    """Objects from the products `reco_*` of one event or, with `truth`, `true_*`; the others: of the store."""
    prefix = "true_" if truth else "reco_"
    names = ("fragments", "fragment_voxels", "particles", "particle_voxels", "particle_fragments", "interactions")
    tables = {name: products[prefix + name] for name in (*names, "interaction_particles")}
    if f"{prefix}particle_points" in products:
        tables["particle_points"] = products[f"{prefix}particle_points"]
    return Reconstruction(tables, voxels, charge, meta, truth)


def match_events(reco: Reconstruction, truth: Reconstruction, least: float = 0.0, mode: Overlap = "iou") -> None:
    """Match particles and interactions of an event with the true ones and the other way round, by their voxels."""
    for name, first, second in (
        ("particles", reco.tables["particle_voxels"], truth.tables["particle_voxels"]),
        ("interactions", reco.interaction_voxels, truth.interaction_voxels),
    ):
        overlap = overlap_matrix(first, second, len(reco.voxels), mode, reco.voxels)
        reco.matches[name], truth.matches[name] = match(overlap, least, mode)


class _Object:
    """One row of a table."""

    table: ClassVar[str]

    def __init__(self, event: Reconstruction, row: int) -> None:
        self.event, self.id = event, row

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        values = self.event.tables[self.table][self.id]
        names = values.dtype.names
        if name in names:
            return values[name].item()
        if f"{name}_x" in names:
            return np.array([values[f"{name}_{axis}"] for axis in "xyz"], np.float64)
        raise AttributeError(f"a {type(self).__name__.lower()} has no {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.event.tables[self.table].dtype.names]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Object)
            and (self.table, self.id) == (other.table, other.id)
            and self.event is other.event
        )

    def __hash__(self) -> int:
        return hash((type(self), id(self.event), self.id))

    @property
    def index(self) -> np.ndarray:
        """int32 [n]: rows of its voxels."""
        raise NotImplementedError

    @property
    def points(self) -> np.ndarray:
        """float64 [n, 3] cm: centres of its voxels."""
        return self.event.points[self.index]

    @property
    def depositions(self) -> np.ndarray:
        """float32 [n] MeV: visible energy of its voxels."""
        return np.asarray(self.event.charge).reshape(-1)[self.index]

    @property
    def match_ids(self) -> np.ndarray:
        """int32: rows of the objects of the other kind that it overlaps, best first."""
        return self.event.matches[self.table].ids[self.id]

    @property
    def match_overlaps(self) -> np.ndarray:
        """float32: overlap with each of :attr:`match_ids`."""
        return self.event.matches[self.table].overlaps[self.id]


class Fragment(_Object):
    table = "fragments"

    @property
    def index(self) -> np.ndarray:
        return self.event.tables["fragment_voxels"][self.id]

    @property
    def shape_name(self) -> str:
        return CLASSES.get(self.shape, "none")

    def __repr__(self) -> str:
        return f"Fragment({self.id}, {self.shape_name}, {self.size} voxels, particle {self.particle})"


class Particle(_Object):
    table = "particles"

    @property
    def index(self) -> np.ndarray:
        return self.event.tables["particle_voxels"][self.id]

    @property
    def fragment_ids(self) -> np.ndarray:
        return self.event.tables["particle_fragments"][self.id]

    @property
    def point_ids(self) -> np.ndarray:
        """int32: rows of `points`, the proposed ones that lie at it; where the reconstruction was told to say."""
        return self.event.tables["particle_points"][self.id]

    @property
    def shape_name(self) -> str:
        return CLASSES.get(self.shape, "none")

    @property
    def pid_name(self) -> str:
        return PIDS.get(self.pid, "unknown")

    def __repr__(self) -> str:
        primary = {1: "primary ", 0: "secondary "}.get(self.is_primary, "")
        return f"Particle({self.id}, {primary}{self.pid_name}, {self.size} voxels, {self.ke:.1f} MeV)"


class Interaction(_Object):
    table = "interactions"

    @property
    def index(self) -> np.ndarray:
        return self.event.interaction_voxels[self.id]

    @property
    def particle_ids(self) -> np.ndarray:
        return self.event.tables["interaction_particles"][self.id]

    @property
    def members(self) -> list[Particle]:
        """Its particles."""
        return [self.event.particles[int(k)] for k in self.particle_ids]

    @property
    def primary_members(self) -> list[Particle]:
        """Its primary particles, those below the thresholds of the topology included."""
        return [particle for particle in self.members if particle.is_primary == 1]

    @property
    def topology(self) -> str:
        """Primary particles that count, such as `1mu2p`."""
        return topology([getattr(self, f"n_{PIDS[pid]}") for pid in sorted(PIDS)])

    @property
    def vertex_rule_name(self) -> str:
        return VERTEX_RULES[self.vertex_rule]

    def __repr__(self) -> str:
        what = self.topology or "no primaries"
        return f"Interaction({self.id}, {what}, {self.particles} particles, {self.energy:.1f} MeV)"


T = TypeVar("T", Fragment, Particle, Interaction)


class Objects(Sequence[T], Generic[T]):
    """All objects of a kind in an event."""

    def __init__(self, event: Reconstruction, kind: type[T]) -> None:
        self.event = event
        self.kind: type[T] = kind

    def __len__(self) -> int:
        return len(self.event.tables[self.kind.table])

    @overload
    def __getitem__(self, k: int) -> T: ...
    @overload
    def __getitem__(self, k: slice) -> list[T]: ...
    def __getitem__(self, k: int | slice) -> T | list[T]:
        rows = range(len(self))[k]
        return self.kind(self.event, rows) if isinstance(rows, int) else [self.kind(self.event, row) for row in rows]

    def __iter__(self) -> Iterator[T]:
        return (self.kind(self.event, row) for row in range(len(self)))
