"""What comes out of the chain: fragments, particles and interactions as tables, and how they belong together.

Positions are in cm, energies in MeV, directions are unit vectors. A float that could not be measured is NaN, a row or a
type that is not known is −1. The true tables have the columns of the reconstructed ones, made from true voxels by the
same functions, followed by what only the simulation knows.
"""

from __future__ import annotations

import numpy as np

from weft.io.products import CLASSES, Column, Schema, structured
from weft.io.reco_products import KAON, MUON, PIDS, PION, PROTON, xyz_columns

#: Types that leave tracks: those with a range, in the order of the columns `*_muon`, `*_pion`, `*_proton`, `*_kaon`.
TRACK_PIDS = (MUON, PION, PROTON, KAON)
#: Types that have a score.
SCORED_PIDS = tuple(PIDS)[:5]

#: How a vertex was found, `vertex_rule` (weft.reco.vertex).
VERTEX_RULES = {
    -1: "none",
    0: "single",
    1: "confluence",
    2: "confluence_of_starts",
    3: "track_and_showers",
    4: "longest_track",
    5: "pseudo_vertex",
    6: "pointing",
    7: "network",
}

_DIRECTIONS = [
    *xyz_columns("start_dir", "the direction at the start", ""),
    *xyz_columns("end_dir", "the direction at the end", ""),
]
_BODY = [
    ("shape", "i1", "", "semantic class"),
    ("size", "i4", "", "voxels"),
    ("energy", "f4", "MeV", "visible energy"),
    *xyz_columns("start", "the start"),
    *xyz_columns("end", "the end; the start again where it is no track"),
    *_DIRECTIONS,
    ("length", "f4", "cm", "length along the track; NaN where it is no track"),
]


def _by_pid(name: str, what: str, unit: str) -> list[tuple[str, str, str, str]]:
    return [(f"{name}_{PIDS[pid]}", "f4", unit, f"{what}, were it a {PIDS[pid]}") for pid in TRACK_PIDS]


_FRAGMENT = [
    *_BODY,
    ("particle", "i4", "", "row of the particle that it is part of"),
    ("interaction", "i4", "", "row of the interaction that it is part of"),
    ("is_primary", "i1", "", "1: the particle starts here"),
    ("primary_score", "f4", "", "probability that its group starts here"),
]
_PARTICLE = [
    *_BODY,
    ("pid", "i1", "", "type"),
    *((f"score_{PIDS[pid]}", "f4", "", "probability of the type") for pid in SCORED_PIDS),
    ("is_primary", "i1", "", "1: comes from the vertex, 0: does not"),
    ("primary_score", "f4", "", "probability that it comes from the vertex"),
    ("interaction", "i4", "", "row of the interaction that it is part of"),
    ("fragments", "i4", "", "number of its fragments"),
    ("primary_fragment", "i4", "", "row of the fragment where it starts"),
    ("ke", "f4", "MeV", "best: tracks by range if contained, by scattering, by range; else calorimetric"),
    ("p", "f4", "MeV/c", "momentum: as the network says, else from `ke` and the type"),
    ("calo_ke", "f4", "MeV", "kinetic energy from the visible energy"),
    ("csda_ke", "f4", "MeV", "kinetic energy from the range, were it to stop where it ends"),
    *_by_pid("csda_ke", "kinetic energy from the range", "MeV"),
    ("mcs_ke", "f4", "MeV", "kinetic energy from multiple scattering"),
    *_by_pid("mcs_ke", "kinetic energy from multiple scattering", "MeV"),
    ("start_dedx", "f4", "MeV/cm", "visible energy per length at the start"),
    ("end_dedx", "f4", "MeV/cm", "visible energy per length at the end"),
    *_by_pid("chi2", "χ² per degree of freedom of its dE/dx along the track", ""),
    ("start_straightness", "f4", "", "share of the principal axis in the scatter of the voxels at the start"),
    ("directional_spread", "f4", "", "mean 1 − cos between the direction and the voxels as seen from the start"),
    ("axial_spread", "f4", "", "correlation of the distances along the axis and from it"),
    ("is_contained", "i1", "", "1: all voxels keep the margin from the walls of the box"),
    ("is_valid", "i1", "", "1: has the kinetic energy to count in the topology"),
]  # fmt: skip
_INTERACTION = [
    ("particles", "i4", "", "number of its particles"),
    ("primaries", "i4", "", "number of its primary particles that count"),
    *((f"n_{PIDS[pid]}", "i4", "", "primary particles of the type that count") for pid in PIDS),
    ("size", "i4", "", "voxels"),
    ("energy", "f4", "MeV", "visible energy"),
    *xyz_columns("vertex", "where it began"),
    ("vertex_rule", "i1", "", "how the vertex was found"),
    ("is_contained", "i1", "", "1: all voxels keep the margin from the walls of the box"),
    ("is_fiducial", "i1", "", "1: the vertex keeps the larger margin from the walls of the box"),
]
_TRUE_PARTICLE = [
    ("particle", "i4", "", "row of `particles` of the particle that leads it"),
    ("pdg", "i4", "", "PDG code of the particle that leads it"),
    ("group", "i4", "", "true group"),
    ("true_interaction", "i4", "", "true interaction"),
    ("nu", "i4", "", "number of the interaction among those that look like a neutrino's"),
    ("ancestor_pdg", "i4", "", "PDG code of the ancestor"),
    ("parent_pdg", "i4", "", "PDG code of the parent"),
    ("process", "i4", "", "creation process, as coded in `particles`"),
    ("true_p", "f4", "MeV/c", "momentum at creation"),
    ("ke_init", "f4", "MeV", "kinetic energy at creation"),
    ("energy_init", "f4", "MeV", "total energy at creation"),
    ("energy_deposit", "f4", "MeV", "energy that the whole group left in the box"),
    *xyz_columns("true_dir", "the direction at creation", ""),
    *xyz_columns("true_start", "the first step in the box"),
    *xyz_columns("true_end", "the last step in the box; the first again where it is no track"),
    *xyz_columns("creation", "the creation"),
    *xyz_columns("origin", "the creation of the ancestor"),
]
_TRUE_INTERACTION = [
    ("true_interaction", "i4", "", "true interaction"),
    ("nu", "i4", "", "number of the interaction among those that look like a neutrino's"),
    *xyz_columns("true_vertex", "the creation of the ancestors"),
]

_CODES = {"shape": CLASSES, "pid": PIDS}


def _table(name: str, rows: list[tuple[str, str, str, str]], description: str, **options: object) -> Schema:
    dtype, columns = structured(*rows)
    codes = {column: table for column, table in _CODES.items() if column in (dtype.names or ())}
    if "vertex_rule" in (dtype.names or ()):
        codes["vertex_rule"] = VERTEX_RULES
    return Schema(name, "table", dtype, columns, codes=codes, description=description, **options)  # type: ignore[arg-type]


RECO_FRAGMENTS = _table("reco_fragments", _FRAGMENT, "fragments, row by row those of `fragments`", on="fragments")
RECO_PARTICLES = _table("reco_particles", _PARTICLE, "particles, row by row those of `candidates`", on="candidates")
RECO_INTERACTIONS = _table("reco_interactions", _INTERACTION, "interactions")
TRUE_PARTICLES = _table(
    "true_particles", _PARTICLE + _TRUE_PARTICLE, "true particles, in the form of reconstructed ones"
)
TRUE_INTERACTIONS = _table(
    "true_interactions", _INTERACTION + _TRUE_INTERACTION, "true interactions, in the form of reconstructed ones"
)


def _rows_of(name: str, of: str, items_on: str, description: str) -> Schema:
    columns = (Column("row", "", f"row of `{of}` in this event"),)
    return Schema(name, "list", np.dtype("i4"), columns, on=of, items_on=items_on, description=description)


RECO_FRAGMENT_VOXELS = _rows_of(
    "reco_fragment_voxels", "voxels", "reco_fragments", "voxels of each fragment, increasing"
)
RECO_PARTICLE_VOXELS = _rows_of(
    "reco_particle_voxels", "voxels", "reco_particles", "voxels of each particle, increasing"
)
RECO_PARTICLE_FRAGMENTS = _rows_of(
    "reco_particle_fragments", "reco_fragments", "reco_particles", "fragments of each particle, increasing"
)
RECO_INTERACTION_PARTICLES = _rows_of(
    "reco_interaction_particles", "reco_particles", "reco_interactions", "particles of each interaction, increasing"
)

#: Made where the reconstruction is told to read proposed points.
RECO_PARTICLE_POINTS = _rows_of(
    "reco_particle_points", "points", "reco_particles", "proposed points at each particle, increasing"
)

#: What the reconstruction makes of every event.
RECONSTRUCTED = (
    RECO_FRAGMENTS,
    RECO_FRAGMENT_VOXELS,
    RECO_PARTICLES,
    RECO_PARTICLE_VOXELS,
    RECO_PARTICLE_FRAGMENTS,
    RECO_INTERACTIONS,
    RECO_INTERACTION_PARTICLES,
)
