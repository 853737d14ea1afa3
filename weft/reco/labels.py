"""What is true of every voxel and every particle: the labels that the stages of the chain learn from (spec §1.0).

Positions are in voxel units here (a voxel's index plus a half is its centre), as the networks work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from weft.io.products import DELTA, LOW_ENERGY, MICHEL, SHOWER, TRACK, Ragged
from weft.io.reco_products import ELECTRON, KAON, MUON, PHOTON, PION, PROTON
from weft.reco.positions import set_xyz, to_voxels, xyz

#: Which class a voxel belongs to that particles of several classes share: the first of these.
PRECEDENCE = (MICHEL, TRACK, SHOWER, DELTA, LOW_ENERGY)

#: Type of a particle by the size of its PDG code.
PID_OF_PDG = {22: PHOTON, 11: ELECTRON, 13: MUON, 211: PION, 2212: PROTON, 321: KAON}
_DECAYING_AT_ONCE = (111, 113, 221, 331, 3212)  # π0, ρ0, η, η′, Σ0: what they decay to counts as primary

LABELS = np.dtype(
    [
        ("shape", "i4"),  # semantic class of the particle
        ("group", "i4"),  # row of the particle that leads the group; a shower's fragments have one
        ("interaction", "i4"),
        ("nu", "i4"),  # number of the interaction among those that look like a neutrino's
        ("pid", "i4"),  # type of the group's leader, see weft.io.reco_products.PIDS
        ("group_primary", "i4"),  # 1: the group begins here
        ("interaction_primary", "i4"),  # 1: its group comes from the vertex itself
        *((f"{point}_{axis}", "f4") for point in ("vertex", "start", "end") for axis in "xyz"),
        ("p", "f4"),  # MeV/c, of the group's leader
        ("energy_init", "f4"),  # MeV, of the group's leader, rest mass included
    ]
)  # integers are −1 where there is no valid label

Event = Mapping[str, Any]


def voxel_particles(event: Event) -> np.ndarray:
    """int32 [N]: the row of `particles` that owns each voxel; −1 where none left anything.

    Of several particles the one of the voxel's own semantic class is taken, then by :data:`PRECEDENCE` of the class,
    then the one that left more energy, then the lower row (spec §1.0; there the last of equal classes wins).
    """
    clusters: Ragged = event["clusters"]
    shapes, semantics = event["particles"]["shape"], event["semantics"][:, 0]
    owner = np.full(len(event["voxels"]), -1, np.int32)
    if not len(clusters.values):
        return owner
    particle = np.repeat(np.arange(len(clusters), dtype=np.int32), clusters.counts)
    voxel, shape = clusters.values["voxel"], shapes[particle]
    rank = np.full(256, len(PRECEDENCE), np.int8)
    rank[list(PRECEDENCE)] = np.arange(len(PRECEDENCE))
    other = shape != semantics[voxel]
    order = np.lexsort((particle, -clusters.values["energy"], rank[shape & 255], other, voxel))
    voxels, first = np.unique(voxel[order], return_index=True)
    owner[voxels] = particle[order[first]]
    return owner


def particle_labels(event: Event, owner: np.ndarray | None = None) -> np.ndarray:
    """:data:`LABELS` [P], one row for each of `particles`.

    owner: :func:`voxel_particles` of the event, where it is known already.
    """
    particles = event["particles"]
    owner = voxel_particles(event) if owner is None else owner
    labels = np.full(len(particles), -1, LABELS)
    for name in LABELS.names or ():
        if LABELS[name].kind == "f":
            labels[name] = np.nan
    if not len(particles):
        return labels
    labels["shape"] = np.where(particles["shape"] >= 0, particles["shape"], -1)
    _positions(labels, particles, event["meta"])
    valid, interaction = _interactions(particles)
    rows = np.arange(len(particles))
    stored = particles["group_id"]
    has_group = valid & (stored >= 0) & (stored < len(particles))
    leader = np.where(has_group, stored, rows)
    labels["group"][has_group] = leader[has_group]
    labels["interaction"][valid] = interaction[valid]
    labels["p"], labels["energy_init"] = particles["p"][leader], particles["energy_init"][leader]
    pdg = np.abs(particles["pdg"][leader].astype(np.int64))
    for code, pid in PID_OF_PDG.items():
        labels["pid"][valid & (pdg == code)] = pid

    counts = np.bincount(owner[owner >= 0], minlength=len(particles))
    _group_primaries(labels, particles, has_group & (counts > 0) & (labels["shape"] < LOW_ENERGY), has_group)
    at_vertex = particles["trackid"][leader] == particles["ancestor_trackid"]
    at_once = np.isin(particles["parent_pdg"][leader], _DECAYING_AT_ONCE)
    at_once &= particles["parent_trackid"][leader] == particles["ancestor_trackid"]
    labels["interaction_primary"][has_group] = (at_vertex | at_once)[has_group]
    # A muon's decay or knock-on electron never belongs to the vertex.
    labels["interaction_primary"][has_group & np.isin(labels["shape"], (MICHEL, DELTA))] = 0
    labels["nu"] = _neutrino_like(labels)
    return labels


def _positions(labels: np.ndarray, particles: np.ndarray, meta: np.ndarray) -> None:
    track = particles["shape"] == TRACK
    first, last = xyz(particles, "first_step"), xyz(particles, "last_step")
    set_xyz(labels, "start", to_voxels(first, meta))
    set_xyz(labels, "end", to_voxels(np.where(track[:, None], last, first), meta))
    set_xyz(labels, "vertex", to_voxels(xyz(particles, "ancestor_vtx"), meta))


def _interactions(particles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which particles have a known origin, and the interaction of each; by the ancestor's vertex where none is kept."""
    stored = particles["interaction_id"]
    if (stored >= 0).any():
        return stored >= 0, stored
    valid = (particles["ancestor_trackid"] >= 0) & (particles["ancestor_process"] >= 0)
    _, number = np.unique(xyz(particles, "ancestor_vtx"), axis=0, return_inverse=True)
    return valid, number.reshape(-1)


def _group_primaries(labels: np.ndarray, particles: np.ndarray, kept: np.ndarray, has_group: np.ndarray) -> None:
    """1 for a leader that is earlier than every other member that is left, 0 for the other members."""
    labels["group_primary"][has_group] = 0
    rows, group = np.flatnonzero(kept), labels["group"][kept]
    order = np.lexsort((particles["first_step_t"][rows], group))
    rows, group = rows[order], group[order]
    first = np.flatnonzero(np.diff(group, prepend=-1) != 0)
    earliest, time = rows[first], particles["first_step_t"]
    second = np.minimum(first + 1, len(rows) - 1)
    alone = group[second] != group[first]
    tied = ~alone & (second != first) & (time[rows[second]] == time[earliest])
    leads = (labels["group"][earliest] == earliest) & ~tied
    labels["group_primary"][earliest[leads]] = 1


def _neutrino_like(labels: np.ndarray) -> np.ndarray:
    """int32 [P]: interactions with at least two primary groups, numbered from 0 in their order; −1 for the others."""
    nu = np.full(len(labels), -1, np.int32)
    primary = labels[labels["interaction_primary"] == 1]
    pairs = np.unique(np.stack([primary["interaction"], primary["group"]], axis=1), axis=0)
    interactions, groups = np.unique(pairs[:, 0], return_counts=True)
    for number, interaction in enumerate(interactions[groups >= 2]):
        nu[labels["interaction"] == interaction] = number
    return nu


class Majority(NamedTuple):
    """What most voxels of a node say."""

    value: np.ndarray
    """int64 [n]; the lowest of equally frequent ones; −1 where no voxel of the node has a label"""
    purity: np.ndarray
    """float64 [n], voxels of the node with that value / voxels of the node"""
    efficiency: np.ndarray
    """float64 [n], voxels of the node with that value / all voxels with it"""


def majority(nodes: Ragged, values: np.ndarray) -> Majority:
    """The most frequent label among the voxels of each node.

    nodes: rows of voxels, n items. values: integer [N], a label of each voxel of the event, −1 for none.
    """
    counts = nodes.counts
    node = np.repeat(np.arange(len(nodes)), counts)
    label = np.asarray(values, np.int64)[nodes.values]
    node, label = node[label >= 0], label[label >= 0]
    value, shared = np.full(len(nodes), -1, np.int64), np.zeros(len(nodes))
    known = values[values >= 0]
    total = np.bincount(known) if len(known) else np.zeros(1, np.int64)
    keys, number = np.unique(node * len(total) + label, return_counts=True)
    node, label = keys // len(total), keys % len(total)
    order = np.lexsort((label, -number, node))
    which, first = np.unique(node[order], return_index=True)
    best = order[first]
    value[which], shared[which] = label[best], number[best]
    whole = np.where(value >= 0, total[np.maximum(value, 0)], 1)
    return Majority(value, shared / np.maximum(counts, 1), shared / whole)
