"""The true counterpart of every product that the stages of the chain predict.

A true product has the name and the form of the predicted one, so that what reads one reads the other: a stage can be
fed, trained and judged on either. What a store does not hold is derived here from its voxels, clusters and particles.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from weft.io.products import DELTA, LOW_ENERGY, MICHEL, SHOWER, TRACK, Ragged
from weft.io.reco_products import CANDIDATES, FRAGMENTS, POINT_PROPOSALS, POINTS
from weft.reco.label_points import label_points
from weft.reco.labels import LABELS, Majority, majority, particle_labels, voxel_particles

__all__ = ["DERIVED", "LABELS", "Majority", "Truth", "derive", "majority", "particle_labels", "voxel_particles"]

#: Voxels; how near a voxel must be to a point to propose it, as PPN is trained.
PROPOSING = 5.0
_AXES = "xyz"


class Truth:
    """Labels and derived products of one event, each made when it is first asked for.

    event: any mapping with the products `voxels, charge, semantics, clusters, particles, meta` of the truth.
    """

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._event = event

    # --- labels -------------------------------------------------------------------------------------------

    @cached_property
    def voxel_particles(self) -> np.ndarray:
        return voxel_particles(self._event)

    @cached_property
    def particle_labels(self) -> np.ndarray:
        return particle_labels(self._event, self.voxel_particles)

    @cached_property
    def _fragment_particles(self) -> np.ndarray:
        """int64 [n]: the row of `particles` that each true fragment is."""
        owner, semantics = self.voxel_particles, self._event["semantics"][:, 0]
        shapes = self._event["particles"]["shape"]
        own = (owner >= 0) & (semantics >= 0) & (semantics < LOW_ENERGY)
        own[own] = shapes[owner[own]] == semantics[own]
        return np.unique(owner[own]).astype(np.int64)

    @cached_property
    def _fragment_labels(self) -> np.ndarray:
        return self.particle_labels[self._fragment_particles]

    @cached_property
    def _candidate_labels(self) -> np.ndarray:
        return self._fragment_labels[self.candidates["primary_fragment"]]

    # --- points -------------------------------------------------------------------------------------------

    @cached_property
    def points(self) -> np.ndarray:
        """True starts and ends of particles, :data:`~weft.io.reco_products.POINTS`."""
        found = label_points(self._event["particles"], self._event["meta"])
        points = np.zeros(len(found.position), POINTS.dtype)
        for axis, position in zip(_AXES, self._to_cm(found.position).T, strict=True):
            points[axis] = position
        points["class"], points["score"], points["occupancy"] = found.shape, 1, 1
        points["end_score"] = found.end
        for k, name in enumerate(name for name in POINTS.dtype.names or () if name.startswith("score_")):
            points[name] = found.shape == k
        return points

    @cached_property
    def point_proposals(self) -> np.ndarray:
        """What PPN should say, float32 [N, 10]: of voxels nearer than :data:`PROPOSING` to a start or an end of their
        own particle, where it is; zeros, and no end score, of the others."""
        found = label_points(self._event["particles"], self._event["meta"])
        centre, owner = self._event["voxels"] + 0.5, self.voxel_particles
        made = np.zeros((len(centre), len(POINT_PROPOSALS.columns)), np.float32)
        made[:, -1] = np.nan
        nearest = np.full(len(centre), PROPOSING)
        for kind in (False, True):  # of a point that is start and end the start
            rows = np.flatnonzero(found.end == kind)
            of_particle = np.full(len(self._event["particles"]) + 1, -1)
            of_particle[found.particle[rows]] = rows
            voxels = np.flatnonzero(of_particle[owner] >= 0)  # the last entry, of no owner, stays −1
            point = of_particle[owner[voxels]]
            away = found.position[point] - centre[voxels]
            distance = np.sqrt((away**2).sum(1))
            near = distance < nearest[voxels]
            voxels, point = voxels[near], point[near]
            nearest[voxels] = distance[near]
            classes = np.eye(LOW_ENERGY + 1, dtype=np.float32)[found.shape[point]]
            end = np.full((len(voxels), 1), kind)
            made[voxels] = np.concatenate([away[near], np.ones((len(voxels), 1)), classes, end], axis=1)
        return made

    # --- fragments ----------------------------------------------------------------------------------------

    @cached_property
    def fragment_voxels(self) -> Ragged:
        """The voxels that each particle of the classes 0 to 3 owns and that have its class."""
        owner, semantics = self.voxel_particles, self._event["semantics"][:, 0]
        particles = self._fragment_particles
        fragment = np.full(len(self._event["particles"]) + 1, -1)
        fragment[particles] = np.arange(len(particles))
        of_voxel = fragment[owner]  # the last entry, of no owner, stays −1
        shapes = self._event["particles"]["shape"][particles]
        kept = np.flatnonzero(of_voxel >= 0)
        kept = kept[shapes[of_voxel[kept]] == semantics[kept]]
        return _grouped(kept, of_voxel[kept], len(particles))

    @cached_property
    def fragments(self) -> np.ndarray:
        """One row for each of :attr:`fragment_voxels`; start and end: the voxels nearest to the first and last step."""
        labels = self._fragment_labels
        table = self._nodes(self.fragment_voxels, labels["shape"], FRAGMENTS.dtype)
        for point in ("start", "end"):
            position = np.stack([labels[f"{point}_{axis}"] for axis in _AXES], axis=1)
            self._place(table, point, self._snapped(self.fragment_voxels, position))
        return table

    # --- groups of fragments ------------------------------------------------------------------------------

    @property
    def shower_groups(self) -> np.ndarray:
        return self._fragment_groups(SHOWER, MICHEL, DELTA)

    @property
    def track_groups(self) -> np.ndarray:
        return self._fragment_groups(TRACK)

    @property
    def particle_groups(self) -> np.ndarray:
        return self._fragment_groups(SHOWER, TRACK, MICHEL, DELTA)

    @property
    def shower_primary(self) -> np.ndarray:
        return self._fragment_primary(SHOWER, MICHEL, DELTA)

    @property
    def particle_primary(self) -> np.ndarray:
        return self._fragment_primary(SHOWER, TRACK, MICHEL, DELTA)

    def _fragment_groups(self, *shapes: int) -> np.ndarray:
        return _lowest(self._fragment_group, np.isin(self._fragment_labels["shape"], shapes))[:, None]

    def _fragment_primary(self, *shapes: int) -> np.ndarray:
        labels = self._fragment_labels
        chosen = np.isin(labels["shape"], shapes) & (labels["group_primary"] >= 0)
        return np.where(chosen, labels["group_primary"], np.nan).astype(np.float32)[:, None]

    @cached_property
    def _fragment_group(self) -> np.ndarray:
        """int64 [n]: the true group, the fragment's own where none is known."""
        known = self._fragment_labels["group"]
        return np.where(known >= 0, known, self._fragment_particles)

    # --- candidates ---------------------------------------------------------------------------------------

    @cached_property
    def candidate_fragments(self) -> Ragged:
        _, number = np.unique(self._fragment_group, return_inverse=True)
        order = _by_first(number)
        return _grouped(np.arange(len(number)), order, int(order.max(initial=-1)) + 1)

    @cached_property
    def candidate_voxels(self) -> Ragged:
        of_fragment = np.empty(len(self.fragments), np.int64)
        of_fragment[self.candidate_fragments.values] = np.repeat(
            np.arange(len(self.candidate_fragments)), self.candidate_fragments.counts
        )
        voxels = self.fragment_voxels
        candidate = np.repeat(of_fragment, voxels.counts)
        return _grouped(voxels.values, candidate, len(self.candidate_fragments))

    @cached_property
    def candidates(self) -> np.ndarray:
        """The particles: true groups of fragments, with shape, start and end of the fragment that leads each."""
        items, labels = self.candidate_fragments, self._fragment_labels
        fragment = items.values
        candidate = np.repeat(np.arange(len(items)), items.counts)
        leads = self._fragment_particles == self._fragment_group
        order = np.lexsort((fragment, ~leads[fragment], labels["group_primary"][fragment] != 1, candidate))
        primary = fragment[order[items.offsets[:-1]]] if len(items) else np.empty(0, np.int64)
        fragments = self.fragments
        table = self._nodes(self.candidate_voxels, fragments["shape"][primary], CANDIDATES.dtype)
        for name in (f"{point}_{axis}" for point in ("start", "end") for axis in _AXES):
            table[name] = fragments[name][primary]
        table["primary_fragment"] = primary
        return table

    # --- what GrapPA-interaction says of candidates ---------------------------------------------------------

    @property
    def interaction_groups(self) -> np.ndarray:
        interaction = self._candidate_labels["interaction"]
        return _lowest(interaction, interaction >= 0)[:, None]

    @property
    def interaction_primary(self) -> np.ndarray:
        label = self._candidate_labels["interaction_primary"]
        return np.where(label >= 0, label, np.nan).astype(np.float32)[:, None]

    @property
    def interaction_pid(self) -> np.ndarray:
        pid = self._candidate_labels["pid"]
        scores = (pid[:, None] == np.arange(5)).astype(np.float32)
        scores[(pid < 0) | (pid >= 5)] = np.nan
        return scores

    @property
    def interaction_momentum(self) -> np.ndarray:
        return self._candidate_labels["p"].astype(np.float32)[:, None]

    @property
    def interaction_orientation(self) -> np.ndarray:
        track = self.candidates["shape"] == TRACK
        return np.where(track, 1, np.nan).astype(np.float32)[:, None]

    @property
    def interaction_vertex(self) -> np.ndarray:
        labels = self._candidate_labels
        position = np.stack([labels[f"vertex_{axis}"] for axis in _AXES], axis=1)
        return np.concatenate([self.interaction_primary, self._to_cm(position)], axis=1)

    # --- parts --------------------------------------------------------------------------------------------

    @cached_property
    def _box(self) -> tuple[np.ndarray, np.ndarray]:
        box = self._event["meta"][0]
        return np.array([box[f"min_{a}"] for a in _AXES]), np.array([box[f"size_{a}"] for a in _AXES])

    def _to_cm(self, position: np.ndarray) -> np.ndarray:
        low, size = self._box
        return (low + position * size).astype(np.float32)

    def _nodes(self, voxels: Ragged, shape: np.ndarray, dtype: np.dtype) -> np.ndarray:
        table = np.zeros(len(voxels), dtype)
        table["shape"], table["size"] = shape, voxels.counts
        node = np.repeat(np.arange(len(voxels)), voxels.counts)
        table["energy"] = np.bincount(node, self._event["charge"][voxels.values, 0], len(voxels))
        return table

    def _snapped(self, voxels: Ragged, position: np.ndarray) -> np.ndarray:
        """float64 [n, 3]: the centre of the voxel of each item that is nearest to a position, voxel units."""
        if not len(voxels):
            return np.empty((0, 3))
        node = np.repeat(np.arange(len(voxels)), voxels.counts)
        centre = self._event["voxels"][voxels.values] + 0.5
        distance = ((centre - position[node]) ** 2).sum(1)
        order = np.lexsort((voxels.values, distance, node))
        return centre[order[voxels.offsets[:-1]]]

    def _place(self, table: np.ndarray, point: str, position: np.ndarray) -> None:
        for axis, values in zip(_AXES, self._to_cm(position).T, strict=True):
            table[f"{point}_{axis}"] = values


#: Names of what can be derived: products, and the labels of voxels and particles.
DERIVED = frozenset(name for name in vars(Truth) if not name.startswith("_"))


def derive(name: str, event: Mapping[str, Any]) -> Any:
    """A true product, or labels, of an event; `name` is one of :data:`DERIVED`, else KeyError."""
    if name not in DERIVED:
        raise KeyError(name)
    return getattr(Truth(event), name)


def _grouped(values: np.ndarray, item: np.ndarray, items: int) -> Ragged:
    """Values by the item that each belongs to, increasing within it."""
    order = np.lexsort((values, item))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(item, minlength=items))])
    return Ragged(values[order].astype(np.int32), offsets.astype(np.int64))


def _lowest(group: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """int32 [n]: the lowest chosen row of each one's group, −1 where not chosen."""
    lowest = np.full(len(group), -1, np.int32)
    _, first, number = np.unique(group[chosen], return_index=True, return_inverse=True)
    lowest[chosen] = np.flatnonzero(chosen)[first][number]
    return lowest


def _by_first(number: np.ndarray) -> np.ndarray:
    """Groups numbered anew, in the order of their first members."""
    groups, first = np.unique(number, return_index=True)
    rank = np.empty(len(groups), np.int64)
    rank[np.argsort(first)] = np.arange(len(groups))
    return rank[number] if len(number) else number.astype(np.int64)
