"""True particles and interactions in the form of the reconstructed ones, and what only the simulation knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from weft.io.products import TRACK, Ragged
from weft.io.reco_objects import TRUE_INTERACTIONS, TRUE_PARTICLES
from weft.reco.builders import build
from weft.reco.positions import set_xyz, xyz
from weft.reco.settings import Settings, Sources
from weft.reco.truth import Truth, majority

_SAID = Sources(
    interactions="grappa", primary="grappa", pid="grappa", orientation="grappa", momentum="grappa", vertex="grappa",
    fragment_primary="grappa",
)  # fmt: skip


def true_objects(
    event: Mapping[str, Any], settings: Settings | None = None, truth: Truth | None = None
) -> dict[str, Any]:
    """`true_particles`, `true_interactions` and their lists, as :func:`weft.reco.builders.build` names them.

    event: the products `voxels, charge, semantics, clusters, particles, meta` of the truth.
    settings: those of the reconstruction; what it takes from GrapPA, or from rules, is the truth here, starts and ends
        included.
    truth: that of the event, where it is known already.
    """
    truth = truth or Truth(event)
    settings = settings or Settings()
    known = settings.vertex.model_copy(update={"orient_tracks": False, "start_showers": False})
    built = build(_TrueProducts(event, truth), settings.model_copy(update={"sources": _SAID, "vertex": known}))
    particles = _extended(built["reco_particles"], TRUE_PARTICLES.dtype)
    _fill_particles(particles, event, truth)
    interactions = _extended(built["reco_interactions"], TRUE_INTERACTIONS.dtype)
    members: Ragged = built["reco_interaction_particles"]
    first = particles[members.values[members.offsets[:-1]]]
    for name in ("true_interaction", "nu"):
        interactions[name] = first[name]
    set_xyz(interactions, "true_vertex", xyz(first, "origin"))
    return {
        "true_fragments": built["reco_fragments"],
        "true_fragment_voxels": built["reco_fragment_voxels"],
        "true_particles": particles,
        "true_particle_voxels": built["reco_particle_voxels"],
        "true_particle_fragments": built["reco_particle_fragments"],
        "true_interactions": interactions,
        "true_interaction_particles": members,
    }


def _fill_particles(table: np.ndarray, event: Mapping[str, Any], truth: Truth) -> None:
    particles, labels = event["particles"], truth.particle_labels
    # A true fragment has the voxels of one particle only.
    owner = majority(truth.fragment_voxels, truth.voxel_particles).value
    row = owner[table["primary_fragment"]]
    own, label = particles[row], labels[row]
    table["particle"] = row
    table["pdg"], table["group"], table["nu"] = own["pdg"], label["group"], label["nu"]
    table["true_interaction"] = label["interaction"]
    for name in ("ancestor_pdg", "parent_pdg", "process"):
        table[name] = own[name]
    table["true_p"], table["energy_init"] = label["p"], label["energy_init"]
    # Of the leader, as are momentum and energy; the fragment that starts the group may be another one.
    leader = np.where(label["group"] >= 0, label["group"], row)
    lead = particles[leader]
    mass2 = lead["energy_init"] ** 2 - lead["p"] ** 2
    table["ke_init"] = lead["energy_init"] - np.sqrt(np.maximum(mass2, 0))
    known = labels["group"] >= 0
    deposit = np.bincount(labels["group"][known], particles["energy_deposit"][known], len(particles))
    table["energy_deposit"] = np.where(label["group"] >= 0, deposit[leader], own["energy_deposit"])
    size = np.where(lead["p"] > 0, lead["p"], np.nan)
    for axis in "xyz":
        table[f"true_dir_{axis}"] = lead[f"p{axis}"] / size
        table[f"true_start_{axis}"] = own[f"first_step_{axis}"]
        table[f"true_end_{axis}"] = np.where(own["shape"] == TRACK, own[f"last_step_{axis}"], own[f"first_step_{axis}"])
        table[f"creation_{axis}"] = lead[f"vtx_{axis}"]
        table[f"origin_{axis}"] = own[f"ancestor_vtx_{axis}"]


def _extended(table: np.ndarray, dtype: np.dtype) -> np.ndarray:
    out = np.zeros(len(table), dtype)
    for name in table.dtype.names or ():
        out[name] = table[name]
    return out


class _TrueProducts(dict[str, Any]):
    """Products of an event by name, derived where the truth does not hold them."""

    def __init__(self, event: Mapping[str, Any], truth: Truth) -> None:
        super().__init__({name: event[name] for name in ("meta", "voxels", "charge")})
        self._truth = truth

    def __missing__(self, name: str) -> Any:
        return getattr(self._truth, name)
