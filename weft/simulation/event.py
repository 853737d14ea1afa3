"""One event, from a seed and its number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weft.simulation.generate import MASS, primaries
from weft.simulation.labels import Particles, label
from weft.simulation.readout import read_out
from weft.simulation.settings import SimulationSettings
from weft.simulation.stack import World
from weft.simulation.transport import Transported, generator, transport
from weft.simulation.wires import WireEvent, read_wires

#: Purposes of random numbers. The response has its own, so that another detector sees the same particles; the wires'
#: have two, so that other noise sees the same electrons.
_GENERATE, _TRANSPORT, _RESPONSE, _DRIFT, _WIRE_NOISE = range(5)


@dataclass(frozen=True)
class SimulatedEvent:
    """Arrays of one event, named and typed as the branches of the ROOT file (docs/architecture.md).

    Attributes:
        index: number of the event.
        voxel_id: uint64 (v,), ids of the visible voxels, increasing.
        voxel_value: float32 (v,), visible energy, MeV.
        semantics: float32 (v,), class of each voxel.
        cluster_id, cluster_value: uint64 and float32 (c,), voxels and true MeV, cluster by cluster.
        cluster_size: int64 (p,), voxels of each particle's cluster (what counts: `weft.simulation.readout`).
        faint_energy: float64 (p,), MeV of each particle in voxels that its cluster does not list.
        particles: one array (p,) per LArCV member, named without the `_part_v.` prefix.
        transported: tracks, deposits and ledger before the detector.
        labels: which particle each deposit belongs to.
        wires: what the wire planes see, if there are any.
    """

    index: int
    voxel_id: np.ndarray
    voxel_value: np.ndarray
    semantics: np.ndarray
    cluster_id: np.ndarray
    cluster_value: np.ndarray
    cluster_size: np.ndarray
    faint_energy: np.ndarray
    particles: dict[str, np.ndarray]
    transported: Transported
    labels: Particles
    wires: WireEvent | None = None


def simulate_event(settings: SimulationSettings, seed: int, index: int) -> SimulatedEvent:
    """The event that is a function of (settings, seed, index) alone."""
    meta = settings.box.meta()
    key = (seed, index)
    first, neutrino_like = primaries(settings, generator(key, _GENERATE))
    world = World(np.array(meta.lower), np.array(meta.upper), settings.box.margin, settings.box.step)
    moved = transport(first, world, key, _TRANSPORT)
    particles = label(moved, meta, settings.labels)
    image = read_out(moved.deposits, particles, meta, settings.response, settings.labels, generator(key, _RESPONSE))
    wires = None
    if settings.wires is not None:
        streams = generator(key, _DRIFT), generator(key, _WIRE_NOISE)
        wires = read_wires(moved.deposits, particles, settings.response, settings.wires, *streams)
    return SimulatedEvent(
        index,
        image.voxel.astype(np.uint64),
        image.energy,
        image.semantics.astype(np.float32),
        image.cluster_voxel.astype(np.uint64),
        image.cluster_energy.astype(np.float32),
        image.cluster_size,
        image.faint_energy,
        particle_members(moved, particles, image.cluster_size, neutrino_like),
        moved,
        particles,
        wires,
    )


def particle_members(
    event: Transported, particles: Particles, size: np.ndarray, neutrino_like: int
) -> dict[str, np.ndarray]:
    """LArCV's members of each particle; track ids count from 1, ids that do not exist are −1."""
    tracks, deposits = event.tracks, event.deposits
    row = particles.track
    track = tracks[row]
    mother_row = track["parent"].astype(np.int64)
    mother = tracks[mother_row]
    ancestor_row = _ancestors(tracks["parent"])[row]
    ancestor = tracks[ancestor_row]
    first, last = deposits[particles.first], deposits[particles.last]
    own = deposits["track"] == first["track"][particles.of_deposit]
    path = np.bincount(particles.of_deposit[own], deposits["dx"][own], len(row))
    mass = _masses(track["pdg"])
    number = len(row)

    of_track = np.full(len(tracks), -1, np.int32)
    leads = particles.group == np.arange(number)
    of_track[row[~leads][::-1]] = np.flatnonzero(~leads)[::-1]
    of_track[row[leads][::-1]] = np.flatnonzero(leads)[::-1]

    momentum = np.sqrt(track["kinetic"] * (track["kinetic"] + 2 * mass))
    return {
        "_id": np.arange(number, dtype=np.int32),
        "_mct_index": track["interaction"].astype(np.int32),
        "_genid": np.where(track["interaction"] < neutrino_like, track["interaction"], -1).astype(np.int32),
        "_shape": particles.shape.astype(np.int32),
        "_trackid": (row + 1).astype(np.int32),
        "_pdg": track["pdg"].astype(np.int32),
        **{f"_p{a}": momentum * track[f"u{a}"] for a in "xyz"},
        **{f"_vtx._{a}": track[a] for a in "xyzt"},
        **{f"_end_pt._{a}": track[f"end_{a}"] for a in "xyzt"},
        **{f"_first_step._{a}": first[a] for a in "xyzt"},
        **{f"_last_step._{a}": last[a] for a in "xyzt"},
        "_dist_travel": path,
        "_energy_init": track["kinetic"] + mass,
        "_energy_deposit": np.bincount(particles.of_deposit, deposits["energy"], number),
        "_process": track["process"].astype(np.int32),
        "_num_voxels": size.astype(np.int32),
        "_parent_trackid": (mother_row + 1).astype(np.int32),
        "_parent_pdg": mother["pdg"].astype(np.int32),
        **{f"_parent_vtx._{a}": mother[a] for a in "xyzt"},
        "_parent_process": mother["process"].astype(np.int32),
        "_ancestor_trackid": (ancestor_row + 1).astype(np.int32),
        "_ancestor_pdg": ancestor["pdg"].astype(np.int32),
        **{f"_ancestor_vtx._{a}": ancestor[a] for a in "xyzt"},
        "_ancestor_process": ancestor["process"].astype(np.int32),
        "_parent_id": of_track[mother_row],
        "_group_id": particles.group.astype(np.int32),
        "_interaction_id": track["interaction"].astype(np.int32),
    }


def _ancestors(parent: np.ndarray) -> np.ndarray:
    """int64 (n,): the primary that each track descends from."""
    ancestor = parent.astype(np.int64)
    while True:
        further = ancestor[ancestor]
        if np.array_equal(further, ancestor):
            return ancestor
        ancestor = further


def _masses(pdg: np.ndarray) -> np.ndarray:
    return np.array([MASS[abs(int(code))] for code in pdg], np.float64)
