"""What is true of each node: by the majority of its voxels (DESIGN §2), so that predicted clusters have labels too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from weft.engine.task import Event
from weft.io.products import TRACK, Ragged
from weft.reco.truth import majority
from weft.tasks.grappa.nodes import AXES
from weft.tasks.grappa.options import LossOptions, ModelOptions


def node_labels(
    event: Event,
    nodes: Mapping[str, np.ndarray],
    options: ModelOptions,
    loss: LossOptions,
) -> dict[str, np.ndarray]:
    """Labels of n nodes, as arrays to put beside those of :func:`weft.tasks.grappa.nodes.read_nodes`.

    Returns:
        group int64 [n]: what belongs together: the true group of fragments, the true interaction of candidates;
        own int64 [n]: the true fragment (particle) that the node is; parent int64 [n]: the one that it comes from;
        primary, pid int64 [n]; momentum float32 [n], MeV/c, NaN where unknown;
        true_start, true_end float32 [n, 3]: voxel units, voxel i at i; vertex float32 [n, 3]: voxel units, voxel i at
        i + 1/2, NaN where unknown;
        good bool [n]: pure and efficient enough to learn from. −1 where there is no label.
    """
    owner, labels = event["truth/voxel_particles"], event["truth/particle_labels"]
    offsets = np.concatenate([[0], np.cumsum(nodes["count"])]).astype(np.int64)
    clusters = Ragged(nodes["voxel"], offsets)

    def of_voxel(column: np.ndarray) -> np.ndarray:
        return np.append(column, -1)[owner]

    fragment = majority(clusters, owner)
    if options.nodes == "fragments":
        own = fragment
        group = majority(clusters, of_voxel(labels["group"])).value
        primary = majority(clusters, of_voxel(labels["group_primary"])).value
        leader = own.value
        parent = _parents(event["truth/particles"]["parent_id"], np.arange(len(labels)))[leader]
    else:
        own = majority(clusters, of_voxel(labels["group"]))
        group = majority(clusters, of_voxel(labels["interaction"])).value
        primary = majority(clusters, of_voxel(labels["interaction_primary"])).value
        leader = np.where(own.value >= 0, own.value, fragment.value)
        parent = _parents(event["truth/particles"]["parent_id"], labels["group"])[leader]
    pid = majority(clusters, of_voxel(labels["pid"])).value
    row = np.append(labels, np.zeros(1, labels.dtype))[leader]
    known = leader >= 0
    good = (own.purity >= loss.min_purity) & (own.efficiency >= loss.min_efficiency)
    found = {
        "group": np.where(known, group, -1),
        "own": own.value,
        "parent": np.where(known, parent, -1),
        "primary": np.where(known, primary, -1),
        "pid": np.where(known & (pid < 5), pid, -1),
        "momentum": np.where(known, row["p"], np.nan).astype(np.float32),
        "good": good & known,
    }
    for point, shift in (("start", 0.5), ("end", 0.5), ("vertex", 0.0)):
        position = np.stack([row[f"{point}_{axis}"] for axis in AXES], axis=1).astype(np.float32) - np.float32(shift)
        found[point if point == "vertex" else f"true_{point}"] = np.where(known[:, None], position, np.float32(np.nan))
    rain = known & (row["nu"] < 0)  # of interactions that do not look like a neutrino's
    for head, options_of in (("primary", loss.primary), ("pid", loss.pid)):
        if not options_of.rain:
            found[head] = np.where(rain, -1, found[head])
    if not loss.pid.secondaries:
        found["pid"] = np.where(found["primary"] == 1, found["pid"], -1)
    if loss.primary.closest:
        closest = _closest(nodes, found)
        found["primary"] = np.where((found["primary"] == 1) & ~closest, 0, found["primary"])
    if loss.pid.closest:
        found["pid"] = np.where(_closest(nodes, found), found["pid"], -1)
    return found


def _parents(stored: np.ndarray, number: np.ndarray) -> np.ndarray:
    """int64 [P + 1]: `number` of the parent of each particle; −1 where it has none, is its own, or is unknown."""
    stored = stored.astype(np.int64)
    known = (stored >= 0) & (stored < len(stored)) & (stored != np.arange(len(stored)))
    return np.append(np.where(known, np.append(number, -1)[np.where(known, stored, -1)], -1), -1)


def _closest(nodes: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """bool [n]: of the nodes that are one true particle, the one with the voxel nearest to its true start."""
    n = len(nodes["count"])
    if not n:
        return np.zeros(0, bool)
    node = np.repeat(np.arange(n), nodes["count"])
    square = ((nodes["coords"] - labels["true_start"][node]) ** 2).sum(1)
    first = np.concatenate([[0], np.cumsum(nodes["count"])[:-1]])
    nearest = np.minimum.reduceat(square, first)
    order = np.lexsort((np.arange(n), nearest, labels["own"]))
    _, of_each = np.unique(labels["own"][order], return_index=True)
    closest = np.zeros(n, bool)
    closest[order[of_each]] = True
    return closest


def right_way_round(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """int64 [n]: 1 where start and end of a track stand as in truth, 0 the other way round, −1 for the others."""
    along = ((arrays["true_end"] - arrays["true_start"]) * (arrays["end"] - arrays["start"])).sum(1)
    decided = (arrays["shape"] == TRACK) & np.isfinite(along) & (along != 0)
    return np.where(decided, along > 0, -1).astype(np.int64)
