"""Particle candidates from groups of fragments: what GrapPA-interaction takes as its nodes (spec §1.7, §1.10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.products import LOW_ENERGY, TRACK
from weft.io.reco_products import CANDIDATES
from weft.reco.ends import cluster_ends
from weft.reco.nearest import nearest_rows
from weft.reco.nodes import by_label, node_table, numbered_by_first, place_ends, select, voxel_labels


def join_groups(groups: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """int64 [n]: the candidate of each fragment, numbered in the order of their first fragments.

    groups: by instance, such as shower and track, integer [n, 1]: the lowest row of a fragment's group, −1 where the
    instance left it alone. Fragments that all leave alone are candidates by themselves. Raises WeftError where two
    claim a fragment, and for groups that are not numbered so.
    """
    candidate = np.arange(n)
    taken = np.zeros(n, bool)
    for instance, group in groups.items():
        group = np.asarray(group, np.int64).reshape(-1)
        if len(group) != n:
            raise WeftError(f"{instance}_groups has {len(group)} rows, expected one for each of the {n} fragments")
        own = np.flatnonzero(group >= 0)
        if (group >= n).any() or (group[group[own]] != group[own]).any():
            raise WeftError(f"{instance}_groups: expected the number of a group to be that of a row in it")
        if taken[own].any():
            row = int(own[taken[own]][0])
            raise WeftError(f"{instance}_groups: fragment {row} is in a group of an earlier instance too, expected one")
        candidate[own], taken[own] = group[own], True
    return numbered_by_first(candidate)


def leading_fragments(candidate: np.ndarray, sizes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """int64 [candidates]: the fragment in which each candidate starts.

    candidate, sizes: integer [n]: the candidate and the voxels of each fragment. scores: float [n]: probability of
    being primary, NaN where nobody said. Of the fragments of a candidate the one with the highest score is taken, any
    score before none; of equals the one of the most voxels, then the lowest row.
    """
    rows = np.arange(len(candidate))
    order = np.lexsort((rows, -sizes, -np.where(np.isnan(scores), -np.inf, scores), candidate))
    first = np.flatnonzero(np.diff(candidate[order], prepend=-1))
    return order[first]


def attach(voxels: np.ndarray, labels: np.ndarray, loose: np.ndarray, distance: float) -> np.ndarray:
    """int64 [N]: labels in which each loose voxel has that of the nearest labelled one, if that is near enough.

    voxels: [N, 3]. labels: integer [N], −1 for none. loose: rows of voxels without a label. distance: voxels,
    inclusive. Of equally near ones, the lowest label.
    """
    labels = np.array(labels, np.int64)
    known = np.flatnonzero(labels >= 0)
    if not len(known) or not len(loose):
        return labels
    known = known[np.argsort(labels[known], kind="stable")]
    nearest = nearest_rows(voxels, known, loose)
    step = voxels[nearest].astype(np.float64) - voxels[loose]
    within = (step**2).sum(1) <= distance**2
    labels[loose[within]] = labels[nearest[within]]
    return labels


def assemble(
    event: Mapping[str, Any] | Any, instances: Sequence[str], primaries: Sequence[str], low_energy: float | None
) -> dict[str, Any]:
    """The products `candidates`, `candidate_voxels` and `candidate_fragments` of an event.

    event: with `fragments`, `fragment_voxels`, `voxels`, `charge`, `meta`, of each instance `<instance>_groups`, of
        those among `primaries` `<instance>_primary`; with `low_energy`, `semantics`.
    low_energy: voxels of that class join the nearest candidate within so many voxels; None: they are left out.

    A candidate has the shape and the start of its leading fragment; a track of several fragments has the ends of all of
    them together.
    """
    fragments, items, voxels = event["fragments"], event["fragment_voxels"], event["voxels"]
    n = len(fragments)
    candidate = join_groups({name: event[f"{name}_groups"] for name in instances}, n)
    scores = np.full(n, np.nan)
    for name in primaries:
        score = event[f"{name}_primary"][:, 0]
        scores = np.where(np.isnan(score), scores, score)
    leader = leading_fragments(candidate, fragments["size"], scores)
    of_voxel = voxel_labels(items, len(voxels), candidate)
    core = by_label(of_voxel, len(leader))
    if low_energy is not None:
        semantics = np.asarray(event["semantics"]).reshape(-1)
        loose = np.flatnonzero((semantics == LOW_ENERGY) & (of_voxel < 0))
        of_voxel = attach(voxels, of_voxel, loose, low_energy)
    whole = by_label(of_voxel, len(leader))
    table = node_table(whole, fragments["shape"][leader], event["charge"], CANDIDATES.dtype)
    table["primary_fragment"] = leader
    for name in (f"{point}_{axis}" for point in ("start", "end") for axis in "xyz"):
        table[name] = fragments[name][leader]
    several = np.bincount(candidate, minlength=len(leader)) > 1
    again = np.flatnonzero(several & (table["shape"] == TRACK))
    ends = cluster_ends(voxels, select(core, again), table["shape"][again])
    place_ends(table, again, ends, event["meta"])
    return {
        "candidates": table,
        "candidate_voxels": whole,
        "candidate_fragments": by_label(candidate, len(leader)),
    }
