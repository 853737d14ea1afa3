"""Arrays as other tools lay them out: lartpc_mlreco3d of 2020 and SPINE (spine_full_chain spec, first table and §1.0).

| | 2020 | SPINE |
|---|---|---|
| sparse row | x, y, z, batch, features | batch, x, y, z, features |
| proposal of a point | offset 3, empty, point, 5 classes | offset 3, 5 classes, empty, point |
| edges of an undirected graph | all forth, then all back | forth and back side by side, as ours |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.products import LOW_ENERGY
from weft.reco.labels import PID_OF_PDG, particle_labels, voxel_particles

#: Columns of a label row of 2020, and of SPINE's dense view.
COLUMNS_2020 = ("x", "y", "z", "batch", "value", "cluster", "group", "interaction", "nu", "semantic")
COLUMNS_SPINE = (
    *("batch", "x", "y", "z", "value", "cluster", "particle", "group", "ancestor", "interaction", "nu", "pid"),
    *("group_primary", "interaction_primary", "vertex_x", "vertex_y", "vertex_z", "p", "ancestor_pid", "ancestor_p"),
    "shape",
)
_SAME = {"semantic": "shape"}  # one column under two names


def sparse_to_spine(rows: np.ndarray) -> np.ndarray:
    """Sparse rows [N, 4 + F] of 2020 as SPINE has them."""
    return np.concatenate([_wide(rows, 4)[:, 3:4], rows[:, :3], rows[:, 4:]], axis=1)


def sparse_to_2020(rows: np.ndarray) -> np.ndarray:
    """Sparse rows [N, 4 + F] of SPINE as 2020 had them."""
    return np.concatenate([_wide(rows, 4)[:, 1:4], rows[:, :1], rows[:, 4:]], axis=1)


def proposals_to_spine(rows: np.ndarray) -> np.ndarray:
    """Proposals [N, 10] of 2020 as SPINE has them; logits stay logits."""
    return np.concatenate([_wide(rows, 10)[:, :3], rows[:, 5:10], rows[:, 3:5]], axis=1)


def proposals_to_2020(rows: np.ndarray) -> np.ndarray:
    """Proposals [N, 10] of SPINE as 2020 had them."""
    return np.concatenate([_wide(rows, 10)[:, :3], rows[:, 8:10], rows[:, 3:8]], axis=1)


def edges_to_spine(edges: np.ndarray) -> np.ndarray:
    """Edges, or what there is of each, [2E, ...] from the order of 2020, forth and then back, side by side."""
    return edges[np.arange(len(_paired(edges))).reshape(2, -1).T.reshape(-1)]


def edges_to_2020(edges: np.ndarray) -> np.ndarray:
    """Edges, or what there is of each, [2E, ...] side by side as SPINE's and ours, in the order of 2020."""
    return edges[np.arange(len(_paired(edges))).reshape(-1, 2).T.reshape(-1)]


def labels_to_spine(rows: np.ndarray) -> np.ndarray:
    """Label rows [N, 10] of 2020 in the columns of SPINE; −1 in those that 2020 did not have."""
    return _renamed(rows, COLUMNS_2020, COLUMNS_SPINE)


def labels_to_2020(rows: np.ndarray) -> np.ndarray:
    """Label rows [N, 21] of SPINE in the columns of 2020, with its −1 in voxels of low-energy deposits and above."""
    made = _renamed(rows, COLUMNS_SPINE, COLUMNS_2020)
    unlabelled = slice(COLUMNS_2020.index("cluster"), COLUMNS_2020.index("semantic"))
    made[made[:, -1] >= LOW_ENERGY, unlabelled] = -1
    return made


def label_rows(event: Mapping[str, Any], batch: int = 0) -> np.ndarray:
    """float32 [N, 21]: the true labels of each voxel in the columns of SPINE; −1 where there is none.

    event: the true products ``voxels, charge, semantics, clusters, particles, meta``. Positions are in voxels; a
    cluster (fragment) is a particle here.
    """
    particles = event["particles"]
    owner = voxel_particles(event)
    labels = particle_labels(event, owner)
    known = owner >= 0
    rows = np.full((len(owner), len(COLUMNS_SPINE)), -1.0, np.float32)

    def put(name: str, of_particle: np.ndarray) -> None:
        rows[known, COLUMNS_SPINE.index(name)] = np.nan_to_num(of_particle.astype(np.float32), nan=-1.0)[owner[known]]

    rows[:, 0], rows[:, 1:4] = batch, event["voxels"]
    rows[:, 4], rows[:, -1] = event["charge"][:, 0], event["semantics"][:, 0]
    ancestor = _rows_of_tracks(particles, particles["ancestor_trackid"])
    for name in ("cluster", "particle"):
        put(name, np.arange(len(particles)))
    for name in ("group", "interaction", "nu", "pid", "group_primary", "interaction_primary", "p"):
        put(name, labels[name])
    for axis in "xyz":
        put(f"vertex_{axis}", labels[f"vertex_{axis}"])
    put("ancestor", ancestor)
    pdg, p = np.append(particles["pdg"], 0)[ancestor], np.append(particles["p"], -1.0)[ancestor]
    put("ancestor_pid", np.array([PID_OF_PDG.get(abs(int(code)), -1) for code in pdg]))
    put("ancestor_p", p)
    return rows


def _rows_of_tracks(particles: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int64 [P]: the row of the particle with each track id, −1 where there is none."""
    if not len(particles):
        return np.empty(0, np.int64)
    order = np.argsort(particles["trackid"], kind="stable")
    place = np.minimum(np.searchsorted(particles["trackid"][order], wanted), len(order) - 1)
    found = order[place]
    return np.where((particles["trackid"][found] == wanted) & (wanted >= 0), found, -1)


def _renamed(rows: np.ndarray, names: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise WeftError(f"label rows of shape {rows.shape}, expected (N, {len(names)}): {', '.join(names)}")
    made = np.full((len(rows), len(wanted)), -1.0, rows.dtype)
    for k, name in enumerate(names):
        for other in (name, _SAME.get(name, name), *(a for a, b in _SAME.items() if b == name)):
            if other in wanted:
                made[:, wanted.index(other)] = rows[:, k]
    return made


def _wide(rows: np.ndarray, columns: int) -> np.ndarray:
    if rows.ndim != 2 or rows.shape[1] < columns:
        raise WeftError(f"rows of shape {rows.shape}, expected (N, {columns}) or more columns")
    return rows


def _paired(edges: np.ndarray) -> np.ndarray:
    if len(edges) % 2:
        raise WeftError(f"{len(edges)} edges, expected both directions of each")
    return edges
