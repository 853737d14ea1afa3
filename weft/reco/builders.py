"""Fragments, particles and interactions of an event as tables, from what the stages of the chain say (spec §1.11).

The steps and their order are those of :class:`weft.reco.settings.Settings`. The same functions build reconstructed
objects and, fed with true products, their true counterparts.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from weft.graph.closest import closest_pairs
from weft.graph.directions import dedx, directions, straightness
from weft.io.products import DELTA, MICHEL, SHOWER, TRACK, Ragged
from weft.io.reco_objects import RECO_FRAGMENTS, RECO_INTERACTIONS, RECO_PARTICLES, SCORED_PIDS, TRACK_PIDS
from weft.io.reco_products import PIDS
from weft.reco.containment import contained, inside
from weft.reco.csda import kinetic_of_range
from weft.reco.energy import best_kinetic, calorimetric, kinetic, momentum
from weft.reco.length import segments, track_length
from weft.reco.nodes import select
from weft.reco.orientation import starts_by_dedx, starts_by_points, starts_by_vertex
from weft.reco.particle_points import particle_points
from weft.reco.pid import template_scores, track_chi2
from weft.reco.positions import set_xyz, to_cm, xyz
from weft.reco.scattering import kinetic_of_angles, scattering_angles
from weft.reco.settings import Settings
from weft.reco.shape_logic import best_type, restrict_primaries, restrict_types
from weft.reco.spread import axial_spread, directional_spread
from weft.reco.topology import count_types, counts_in_topology
from weft.reco.vertex import NONE, cosines, find_vertex

NETWORK = 7  # of weft.io.reco_objects.VERTEX_RULES


class Event(Protocol):
    """Products of one event by name."""

    def __getitem__(self, product: str) -> Any: ...


def build(event: Event, settings: Settings) -> dict[str, Any]:
    """The products :data:`weft.io.reco_objects.RECONSTRUCTED` of one event; where the settings say so, points too.

    event: the products :func:`needed`, any mapping.
    """
    return _Build(event, settings).products()


class _Build:
    """One event on its way; `particles` fills up column by column."""

    def __init__(self, event: Event, settings: Settings) -> None:
        self.event, self.settings = event, settings
        self.meta = event["meta"]
        self.points = to_cm(event["voxels"] + 0.5, self.meta)
        self.energy = np.asarray(event["charge"], np.float64).reshape(-1)
        self.candidates = event["candidates"]
        self.voxels: Ragged = event["candidate_voxels"]
        self.fragments: Ragged = event["candidate_fragments"]
        self.track = self.candidates["shape"] == TRACK
        self.particles = self._body(self.candidates, RECO_PARTICLES.dtype)
        self.interaction = self._interactions()
        self.n_interactions = int(self.interaction.max(initial=-1)) + 1

    def products(self) -> dict[str, Any]:
        self._orient()
        self._measure(self.particles, self.voxels)
        self._energies()
        self._types()
        interactions = self._vertices()
        self._kinetics()
        self._finish(interactions)
        with_points = {"reco_particle_points": self._points()} if self.settings.sources.points == "ppn" else {}
        return with_points | {
            "reco_fragments": self._fragment_table(),
            "reco_fragment_voxels": self.event["fragment_voxels"],
            "reco_particles": self.particles,
            "reco_particle_voxels": self.voxels,
            "reco_particle_fragments": self.fragments,
            "reco_interactions": interactions,
            "reco_interaction_particles": _members(self.interaction, self.n_interactions),
        }

    # --- what fragments and particles have in common -------------------------------------------------------

    def _body(self, nodes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """A table with what the nodes have; other floats NaN, other integers −1."""
        table = np.zeros(len(nodes), dtype)
        for name in dtype.names or ():
            if name in (nodes.dtype.names or ()):
                table[name] = nodes[name]
            else:
                table[name] = np.nan if dtype[name].kind == "f" else -1
        return table

    def _measure(self, table: np.ndarray, voxels: Ragged) -> None:
        """Directions and lengths, from start and end."""
        ours = self.settings.directions
        start, end, track = xyz(table, "start"), xyz(table, "end"), table["shape"] == TRACK
        set_xyz(table, "start_dir", directions(self.points, voxels, start, ours.radius, ours.optimize))
        rows = np.flatnonzero(track)
        some = select(voxels, rows)
        backwards = directions(self.points, some, end[rows], ours.radius, ours.optimize)
        for k, axis in enumerate("xyz"):
            table[f"end_dir_{axis}"][rows] = -backwards[:, k]
        self._lengths(table, voxels, rows)

    def _lengths(self, table: np.ndarray, voxels: Ragged, rows: np.ndarray) -> None:
        start, tracking = xyz(table, "start"), self.settings.tracking
        for row in rows.tolist():
            table["length"][row] = track_length(self.points[voxels[row]], start[row], tracking.segment, tracking.method)

    def _fragment_table(self) -> np.ndarray:
        nodes, voxels = self.event["fragments"], self.event["fragment_voxels"]
        table = self._body(nodes, RECO_FRAGMENTS.dtype)
        self._measure(table, voxels)
        particle = np.full(len(nodes), -1, np.int64)
        particle[self.fragments.values] = np.repeat(np.arange(len(self.fragments)), self.fragments.counts)
        table["particle"] = particle
        known = particle >= 0
        table["interaction"][known] = self.interaction[particle[known]]
        table["is_primary"] = (
            known & (self.candidates["primary_fragment"][particle] == np.arange(len(nodes)))
            if len(self.candidates)
            else 0
        )
        if self.settings.sources.fragment_primary == "grappa":
            table["primary_score"] = self.event["shower_primary"][:, 0]
        return table

    # --- particles ------------------------------------------------------------------------------------------

    def _orient(self) -> None:
        """Swap start and end of tracks that go the other way."""
        source, local = self.settings.sources.orientation, self.settings.local
        start, end = xyz(self.particles, "start"), xyz(self.particles, "end")
        right = np.ones(len(self.particles), bool)
        if source == "dedx":
            right = starts_by_dedx(self.points, self.energy, self.voxels, start, end, local.orientation_radius)
        elif source == "points":
            right = starts_by_points(start, end, self.event["points"], local.point_reach)
        elif source == "grappa":
            right = ~(self.event["interaction_orientation"][:, 0] < 0.5)
        turn = self.track & ~right
        set_xyz(self.particles, "start", np.where(turn[:, None], end, start))
        set_xyz(self.particles, "end", np.where(turn[:, None], start, end))

    def _energies(self) -> None:
        """What does not depend on the type: calorimetry, ends, spread, χ², energies for each type."""
        table, settings, voxels = self.particles, self.settings, self.voxels
        start, end = xyz(table, "start"), xyz(table, "end")
        calorimetry, local, template = settings.calorimetry, settings.local, settings.template
        table["calo_ke"] = calorimetric(table["energy"], table["shape"], calorimetry.scale, calorimetry.shower_fudge)
        self._at_start(np.arange(len(table)))
        at_end = dedx(self.points, self.energy, voxels, end, local.dedx_radius)
        table["end_dedx"] = np.where(self.track, at_end, np.nan)
        table["is_contained"] = contained(self.points, voxels, self.meta, settings.containment.margin)
        table["fragments"] = self.fragments.counts
        self._ranges(np.flatnonzero(self.track))
        for row in np.flatnonzero(self.track).tolist() if template.enabled else ():
            points, energy = self.points[voxels[row]], self.energy[voxels[row]]
            chi2 = track_chi2(
                points, energy, start[row], end[row],
                template.segment, template.fewest, template.both_ways, template.visible,
            )  # fmt: skip
            for pid, value in zip(TRACK_PIDS, chi2, strict=True):
                table[f"chi2_{PIDS[pid]}"][row] = value

    def _at_start(self, rows: np.ndarray) -> None:
        """What is measured at the start of some particles, or as seen from it."""
        table, local, voxels = self.particles, self.settings.local, select(self.voxels, rows)
        start, direction = xyz(table, "start")[rows], xyz(table, "start_dir")[rows]
        table["start_dedx"][rows] = dedx(self.points, self.energy, voxels, start, local.dedx_radius)
        table["start_straightness"][rows] = straightness(self.points, voxels, start, local.straightness_radius)
        table["directional_spread"][rows] = directional_spread(self.points, voxels, start)
        table["axial_spread"][rows] = axial_spread(self.points, voxels, start, direction)

    def _ranges(self, rows: np.ndarray) -> None:
        """Energies by range, for each type, of some tracks."""
        for pid in TRACK_PIDS:
            self.particles[f"csda_ke_{PIDS[pid]}"][rows] = kinetic_of_range(self.particles["length"][rows], pid)

    def _points(self) -> Ragged:
        proposed, rules = self.event["points"], self.settings.points
        position = np.stack([proposed[axis] for axis in "xyz"], axis=1)
        of_class = (self.candidates["shape"], proposed["class"]) if rules.same_class else ()
        return particle_points(self.points, self.voxels, position, rules.within, *of_class)

    def _types(self) -> None:
        table, settings = self.particles, self.settings
        if settings.sources.pid == "grappa":
            scores = np.asarray(self.event["interaction_pid"], np.float64)
        else:
            chi2 = np.stack([table[f"chi2_{PIDS[pid]}"] for pid in TRACK_PIDS], axis=1)
            scores = template_scores(table["shape"], chi2, table["start_dedx"], settings.template.width)
        if settings.types.shape_logic:
            scores = restrict_types(scores, table["shape"])
        for k, pid in enumerate(SCORED_PIDS[: scores.shape[1]]):
            table[f"score_{PIDS[pid]}"] = scores[:, k]
        table["pid"] = best_type(scores, settings.types.by_pid())
        if settings.sources.primary == "grappa":
            primary = self.event["interaction_primary"][:, 0]
            if settings.types.shape_logic:
                primary = restrict_primaries(primary, table["shape"])
            self._set_primaries(primary)

    def _set_primaries(self, score: np.ndarray) -> None:
        known = np.isfinite(score)
        self.particles["primary_score"] = score
        self.particles["is_primary"] = np.where(known, score >= self.settings.types.primary_threshold, -1)

    def _kinetics(self) -> None:
        """Energies that depend on the type; multiple scattering measures a momentum, whatever the type."""
        table, scattering = self.particles, self.settings.scattering
        pid, start = table["pid"].astype(np.int64), xyz(table, "start")
        resolution = scattering.resolution / scattering.segment**scattering.resolution_power
        for k in TRACK_PIDS:
            named = pid == k
            table["csda_ke"][named] = table[f"csda_ke_{PIDS[k]}"][named]
        for row in np.flatnonzero(self.track & np.isin(pid, TRACK_PIDS)).tolist() if scattering.enabled else ():
            parts = segments(self.points[self.voxels[row]], start[row], scattering.segment, scattering.method)
            table["mcs_ke"][row] = kinetic_of_angles(
                scattering_angles(parts.direction), int(pid[row]), scattering.segment, resolution,
                scattering.low, scattering.high,
            )  # fmt: skip
        scattered = momentum(table["mcs_ke"], pid)
        for k in TRACK_PIDS:
            table[f"mcs_ke_{PIDS[k]}"] = kinetic(scattered, np.full(len(table), k))
        table["ke"] = best_kinetic(
            table["shape"], table["is_contained"], table["calo_ke"], table["csda_ke"], table["mcs_ke"]
        )
        table["p"] = momentum(table["ke"], pid)
        if self.settings.sources.momentum == "grappa":
            said = self.event["interaction_momentum"][:, 0]
            table["p"] = np.where(np.isfinite(said), said, table["p"])
        table["is_valid"] = counts_in_topology(pid, table["ke"], self.settings.topology.by_pid())

    # --- interactions ---------------------------------------------------------------------------------------

    def _interactions(self) -> np.ndarray:
        """int64 [n]: number of the interaction of each particle, in the order of their first particles; −1 without."""
        if self.settings.sources.interactions == "grappa":
            group = np.asarray(self.event["interaction_groups"], np.int64)[:, 0]
        else:
            group = near_groups(self.points, self.voxels, self.settings.grouping.distance)
        number = np.full(len(group), -1, np.int64)
        known = group >= 0
        _, first, member = np.unique(group[known], return_index=True, return_inverse=True)
        number[known] = np.argsort(np.argsort(first))[member.reshape(-1)]
        return number

    def _vertices(self) -> np.ndarray:
        """The table of interactions with their vertices; primaries and orientations where those follow from them."""
        table, rules, sources = self.particles, self.settings.vertex, self.settings.sources
        table["interaction"] = self.interaction
        interactions = np.zeros(self.n_interactions, RECO_INTERACTIONS.dtype)
        position = np.full((self.n_interactions, 3), np.nan)
        interactions["vertex_rule"] = NONE
        for k, rows in enumerate(_members(self.interaction, self.n_interactions)):
            rows = self._vertex_particles(rows)
            if sources.vertex == "grappa":
                said = self.event["interaction_vertex"][rows, 1:4].astype(np.float64)
                said = said[np.isfinite(said).all(axis=1)]  # of particles that took no part nothing is said
                if len(said):
                    position[k], interactions["vertex_rule"][k] = said.mean(axis=0), NETWORK
            else:
                part = table[rows]
                found = find_vertex(
                    xyz(part, "start"), xyz(part, "end"), xyz(part, "start_dir"), part["shape"],
                    rules.touching, rules.anchor, rules.pointing,
                )  # fmt: skip
                position[k], interactions["vertex_rule"][k] = found.position, found.rule
        set_xyz(interactions, "vertex", position)
        known = self.interaction >= 0
        seen_from = (
            np.where(known[:, None], position[self.interaction], np.nan)
            if len(position)
            else np.full((len(table), 3), np.nan)
        )
        if rules.orient_tracks:
            self._turn(self.track & ~starts_by_vertex(xyz(table, "start"), xyz(table, "end"), seen_from))
        if sources.primary == "vertex":
            self._set_primaries(self._from_vertex(seen_from))
        if rules.start_showers:
            self._start_showers(seen_from)
        return interactions

    def _vertex_particles(self, rows: np.ndarray) -> np.ndarray:
        """Those of an interaction's particles that tell its vertex: primaries if there are any, showers and tracks."""
        body = np.isin(self.particles["shape"][rows], (SHOWER, TRACK))
        primary = self.particles["is_primary"][rows] == 1
        for chosen in (body & primary, body):
            if chosen.any():
                return np.asarray(rows[chosen])
        return rows

    def _start_showers(self, vertex: np.ndarray) -> None:
        """Primary showers begin at the voxel nearest to the vertex, of equally near ones the first."""
        table = self.particles
        chosen = (table["shape"] == SHOWER) & (table["is_primary"] == 1) & np.isfinite(vertex).all(axis=1)
        rows = np.flatnonzero(chosen & (self.voxels.counts > 0))
        voxels = select(self.voxels, rows)
        away = np.linalg.norm(self.points[voxels.values] - np.repeat(vertex[rows], voxels.counts, axis=0), axis=1)
        order = np.lexsort((away, np.repeat(np.arange(len(rows)), voxels.counts)))
        nearest = self.points[voxels.values[order[voxels.offsets[:-1]]]]
        ours = self.settings.directions
        towards = directions(self.points, voxels, nearest, ours.radius, ours.optimize)
        for name, values in (("start", nearest), ("end", nearest), ("start_dir", towards)):
            for k, axis in enumerate("xyz"):
                table[f"{name}_{axis}"][rows] = values[:, k]
        self._at_start(rows)

    def _turn(self, turn: np.ndarray) -> None:
        """Swap start and end of tracks, with all that was measured there or depends on which one is the start."""
        table = self.particles
        for first, second, sign in (("start", "end", 1), ("start_dir", "end_dir", -1)):
            a, b = xyz(table, first), xyz(table, second)
            set_xyz(table, first, np.where(turn[:, None], sign * b, a))
            set_xyz(table, second, np.where(turn[:, None], sign * a, b))
        table["end_dedx"] = np.where(turn, table["start_dedx"], table["end_dedx"])
        rows = np.flatnonzero(turn)
        self._lengths(table, self.voxels, rows)
        self._ranges(rows)
        self._at_start(rows)

    def _from_vertex(self, vertex: np.ndarray) -> np.ndarray:
        """float64 [n]: 1 for what touches the vertex, and for showers that point away from it; 0 for the others."""
        table, rules = self.particles, self.settings.vertex
        start, shape = xyz(table, "start"), table["shape"]
        near = np.linalg.norm(start - vertex, axis=1) < rules.touching
        away = cosines(vertex, start, xyz(table, "start_dir"))
        points_away = (shape == SHOWER) & (away > np.cos(rules.angle))
        primary = (near | points_away) & ~np.isin(shape, (MICHEL, DELTA))
        return np.where(np.isfinite(vertex).all(axis=1), primary.astype(np.float64), np.nan)

    def _finish(self, interactions: np.ndarray) -> None:
        """Counts, sums and containment of interactions."""
        table, n = self.particles, self.n_interactions
        known = self.interaction >= 0
        of, member = self.interaction[known], table[known]
        counted = (member["is_primary"] == 1) & (member["is_valid"] == 1)
        types = count_types(of[counted], member["pid"][counted], n)
        interactions["particles"] = np.bincount(of, minlength=n)
        interactions["primaries"] = np.bincount(of[counted], minlength=n)
        for pid, name in PIDS.items():
            interactions[f"n_{name}"] = types[:, pid]
        interactions["size"] = np.bincount(of, member["size"], n)
        interactions["energy"] = np.bincount(of, member["energy"], n)
        interactions["is_contained"] = np.bincount(of, member["is_contained"] != 1, n) == 0
        margin = self.settings.containment.fiducial
        interactions["is_fiducial"] = inside(xyz(interactions, "vertex"), self.meta, margin)


def near_groups(points: np.ndarray, nodes: Ragged, distance: float) -> np.ndarray:
    """int64 [n]: clusters that hang together by steps of less than `distance` between their voxels."""
    n = len(nodes)
    edges = np.stack(np.triu_indices(n, 1), axis=1)
    found = closest_pairs(points, nodes, edges, within=distance).distance if len(edges) else np.empty(0)
    near = edges[np.isfinite(found)]
    graph = coo_array((np.ones(len(near), bool), (near[:, 0], near[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64) if n else np.empty(0, np.int64)


def _members(group: np.ndarray, groups: int) -> Ragged:
    """int32 rows of each group, increasing; rows of group −1 are in none."""
    order = np.argsort(group, kind="stable")
    order = order[group[order] >= 0]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(group[order], minlength=groups))]).astype(np.int64)
    return Ragged(order.astype(np.int32), offsets)
