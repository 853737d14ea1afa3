"""Our tables of fragments, particles and interactions as the fields of SPINE 1.4's objects (spec §1.11, §4.4).

Both count positions in cm and energies in MeV and number semantic classes and particle types alike. What SPINE knows
and we do not (flashes, cosmic-ray tagger, times, modules) is left to the defaults of its classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.io.products import Ragged
from weft.io.reco_products import PIDS
from weft.io.spine_hdf5 import Objects
from weft.reco.matching import Matches
from weft.reco.topology import count_types, topology

#: PDG code of each particle type; 0 for none.
PDG = np.array([22, 11, 13, 211, 2212, 321, 0])

_BODY = {
    "id": "i8",
    "units": "str",
    "is_truth": "?",
    "is_contained": "?",
    "is_matched": "?",
    "index": "[i4]",
    "match_ids": "[i4]",
    "match_overlaps": "[f4]",
    "size": "i8",
    "depositions_sum": "f8",
}
_UNKNOWN_OF_FRAGMENTS = ("is_contained", "is_matched", "match_ids", "match_overlaps")
_FRAGMENT = {
    **{name: kind for name, kind in _BODY.items() if name not in _UNKNOWN_OF_FRAGMENTS},
    "particle_id": "i8",
    "interaction_id": "i8",
    "shape": "i8",
    "is_primary": "?",
    "length": "f8",
    "start_point": "3f4",
    "end_point": "3f4",
    "start_dir": "3f4",
    "end_dir": "3f4",
}
_PARTICLE = {
    **_BODY,
    "interaction_id": "i8",
    "fragment_ids": "[i4]",
    "num_fragments": "i8",
    "shape": "i8",
    "pid": "i8",
    "pdg_code": "i8",
    "is_primary": "?",
    "is_valid": "?",
    "length": "f8",
    "start_point": "3f4",
    "end_point": "3f4",
    "start_dir": "3f4",
    "end_dir": "3f4",
    "ke": "f8",
    "p": "f8",
    "calo_ke": "f8",
    "csda_ke": "f8",
    "mcs_ke": "f8",
    "csda_ke_per_pid": "6f4",
    "mcs_ke_per_pid": "6f4",
    "chi2_per_pid": "6f4",
}
_INTERACTION = {
    **_BODY,
    "particle_ids": "[i4]",
    "primary_particle_ids": "[i4]",
    "num_particles": "i8",
    "num_primary_particles": "i8",
    "particle_counts": "6i4",
    "primary_particle_counts": "6i4",
    "topology": "str",
    "vertex": "3f4",
    "is_fiducial": "?",
}

RECO_FRAGMENTS = Objects("RecoFragment", {**_FRAGMENT, "primary_scores": "2f4"})
RECO_PARTICLES = Objects(
    "RecoParticle",
    {
        **_PARTICLE,
        "pid_scores": "6f4",
        "primary_scores": "2f4",
        "ppn_ids": "[i4]",
        "start_dedx": "f8",
        "end_dedx": "f8",
        "start_straightness": "f8",
        "directional_spread": "f8",
        "axial_spread": "f8",
    },
)
RECO_INTERACTIONS = Objects("RecoInteraction", _INTERACTION)

_TRUE_INDEX = {"index_adapt": "[i4]", "orig_id": "i8"}
TRUTH_PARTICLES = Objects(
    "TruthParticle",
    {
        **_PARTICLE,
        **_TRUE_INDEX,
        "group_id": "i8",
        "nu_id": "i8",
        "parent_pdg_code": "i8",
        "ancestor_pdg_code": "i8",
        "creation_process": "str",
        "energy_init": "f8",
        "energy_deposit": "f8",
        "position": "3f4",
        "ancestor_position": "3f4",
        "first_step": "3f4",
        "last_step": "3f4",
        "momentum": "3f4",
        "reco_length": "f8",
        "reco_ke": "f8",
        "reco_start_dir": "3f4",
        "reco_end_dir": "3f4",
    },
)
TRUTH_INTERACTIONS = Objects("TruthInteraction", {**_INTERACTION, **_TRUE_INDEX, "nu_id": "i8", "reco_vertex": "3f4"})


def fragment_columns(table: np.ndarray, voxels: Ragged) -> dict[str, Any]:
    """Of `reco_fragments` and the rows of `voxels` of each."""
    columns = _body(table, voxels, None, truth=False)
    columns = {name: columns[name] for name in _FRAGMENT if name in columns}
    return columns | _pose(table) | {
        "particle_id": table["particle"],
        "interaction_id": table["interaction"],
        "is_primary": table["is_primary"] > 0,
        "primary_scores": _two(table["primary_score"]),
    }  # fmt: skip


def particle_columns(
    table: np.ndarray, voxels: Ragged, fragments: Ragged, matches: Matches | None, points: Ragged | None = None
) -> dict[str, Any]:
    """Of `reco_particles`, the rows of `voxels`, of `reco_fragments` and of `points` of each; None: of no points."""
    measured = ("start_dedx", "end_dedx", "start_straightness", "directional_spread", "axial_spread")
    return {
        **_particle(table, voxels, fragments, matches, truth=False),
        "pid_scores": _six(table, "score"),
        "primary_scores": _two(table["primary_score"]),
        "ppn_ids": list(_nothing(len(table)) if points is None else points),
        **{name: table[name] for name in measured},
    }


def true_particle_columns(
    table: np.ndarray,
    voxels: Ragged,
    fragments: Ragged,
    matches: Matches | None,
    processes: Mapping[int, str],
) -> dict[str, Any]:
    """Of `true_particles`. SPINE's plain names are what the simulation says, `reco_…` what the voxels say.

    processes: the creation process that each code stands for.
    """
    direction = _xyz(table, "true_dir")
    return {
        **_particle(table, voxels, fragments, matches, truth=True),
        "start_point": _xyz(table, "true_start"),
        "end_point": _xyz(table, "true_end"),
        "start_dir": direction,
        "end_dir": np.full_like(direction, np.nan),
        "ke": table["ke_init"],
        "p": table["true_p"],
        "pdg_code": table["pdg"],
        "index_adapt": list(voxels),
        "orig_id": table["particle"],
        "group_id": table["group"],
        "nu_id": table["nu"],
        "parent_pdg_code": table["parent_pdg"],
        "ancestor_pdg_code": table["ancestor_pdg"],
        "creation_process": [processes.get(code, "") for code in table["process"].tolist()],
        "energy_init": table["energy_init"],
        "energy_deposit": table["energy_deposit"],
        "position": _xyz(table, "creation"),
        "ancestor_position": _xyz(table, "origin"),
        "first_step": _xyz(table, "true_start"),
        "last_step": _xyz(table, "true_end"),
        "momentum": direction * table["true_p"][:, None],
        "reco_length": table["length"],
        "reco_ke": table["ke"],
        "reco_start_dir": _xyz(table, "start_dir"),
        "reco_end_dir": _xyz(table, "end_dir"),
    }


def interaction_columns(
    table: np.ndarray, members: Ragged, particles: np.ndarray, voxels: Ragged, matches: Matches | None
) -> dict[str, Any]:
    """Of `reco_interactions`, the rows of `reco_particles` of each, that table, and the rows of `voxels` of each."""
    return _interaction(table, members, particles, voxels, matches, truth=False)


def true_interaction_columns(
    table: np.ndarray, members: Ragged, particles: np.ndarray, voxels: Ragged, matches: Matches | None
) -> dict[str, Any]:
    """Of `true_interactions`."""
    return {
        **_interaction(table, members, particles, voxels, matches, truth=True),
        "vertex": _xyz(table, "true_vertex"),
        "reco_vertex": _xyz(table, "vertex"),
        "nu_id": table["nu"],
        "orig_id": table["true_interaction"],
        "index_adapt": list(voxels),
    }


def _body(table: np.ndarray, voxels: Ragged, matches: Matches | None, truth: bool) -> dict[str, Any]:
    n = len(table)
    ids, overlaps = (_nothing(n), _nothing(n)) if matches is None else matches
    contained = table["is_contained"] > 0 if "is_contained" in (table.dtype.names or ()) else np.zeros(n, bool)
    return {
        "id": np.arange(n),
        "units": ["cm"] * n,
        "is_truth": np.full(n, truth),
        "is_contained": contained,
        "is_matched": ids.counts > 0,
        "index": list(voxels),
        "match_ids": list(ids),
        "match_overlaps": list(overlaps),
        "size": table["size"],
        "depositions_sum": table["energy"],
    }


def _pose(table: np.ndarray) -> dict[str, Any]:
    points = {"start_point": "start", "end_point": "end", "start_dir": "start_dir", "end_dir": "end_dir"}
    return {
        "shape": table["shape"],
        "length": table["length"],
        **{theirs: _xyz(table, ours) for theirs, ours in points.items()},
    }


def _particle(
    table: np.ndarray, voxels: Ragged, fragments: Ragged, matches: Matches | None, truth: bool
) -> dict[str, Any]:
    return {
        **_body(table, voxels, matches, truth),
        **_pose(table),
        "interaction_id": table["interaction"],
        "fragment_ids": list(fragments),
        "num_fragments": fragments.counts,
        "pid": table["pid"],
        "pdg_code": PDG[table["pid"]],
        "is_primary": table["is_primary"] > 0,
        "is_valid": table["is_valid"] > 0,
        **{name: table[name] for name in ("ke", "p", "calo_ke", "csda_ke", "mcs_ke")},
        "csda_ke_per_pid": _six(table, "csda_ke"),
        "mcs_ke_per_pid": _six(table, "mcs_ke"),
        "chi2_per_pid": _six(table, "chi2"),
    }


def _interaction(
    table: np.ndarray, members: Ragged, particles: np.ndarray, voxels: Ragged, matches: Matches | None, truth: bool
) -> dict[str, Any]:
    n = len(table)
    primary = [rows[particles["is_primary"][rows] > 0] for rows in members]
    valid = np.where(particles["is_valid"] > 0, particles["pid"], -1)
    counts = np.stack([table[f"n_{PIDS[pid]}"] for pid in sorted(PIDS)], axis=1)
    return {
        **_body(table, voxels, matches, truth),
        "particle_ids": list(members),
        "primary_particle_ids": primary,
        "num_particles": members.counts,
        "num_primary_particles": [len(rows) for rows in primary],
        "particle_counts": count_types(particles["interaction"], valid, n),
        "primary_particle_counts": counts,
        "topology": [topology(row) for row in counts],
        "vertex": _xyz(table, "vertex"),
        "is_fiducial": table["is_fiducial"] > 0,
    }


def _nothing(n: int) -> Ragged:
    """n empty lists."""
    return Ragged(np.empty(0, np.int32), np.zeros(n + 1, np.int64))


def _xyz(table: np.ndarray, name: str) -> np.ndarray:
    return np.stack([table[f"{name}_{axis}"] for axis in "xyz"], axis=1)


def _six(table: np.ndarray, name: str) -> np.ndarray:
    """A column per particle type, [n, 6]; NaN for types without one."""
    names: Sequence[str] = table.dtype.names or ()
    missing = np.full(len(table), np.nan, np.float32)
    columns = [f"{name}_{PIDS[pid]}" for pid in sorted(PIDS)]
    return np.stack([table[column] if column in names else missing for column in columns], axis=1)


def _two(score: np.ndarray) -> np.ndarray:
    """Scores of not being, and of being primary, [n, 2]."""
    return np.stack([1 - score, score], axis=1)
