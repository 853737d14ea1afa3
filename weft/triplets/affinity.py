"""Directions of particles at points of theirs, the particle affinity field (specs/larmatch.md §3.4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from weft.triplets.key_points import xyz
from weft.triplets.label_options import LabelOptions
from weft.triplets.owned import OwnedPoints, along_way, links, owned_points
from weft.triplets.particle_kinds import TRACK_END, TRACK_START, leaders, particle_kinds

#: cm between deposits that follow each other along a track.
_LINK = 1.0


def particle_directions(
    position: np.ndarray,
    particle: np.ndarray,
    particles: np.ndarray,
    deposits: np.ndarray,
    options: LabelOptions,
    processes: Mapping[int, str] | None = None,
) -> np.ndarray:
    """float32 (n, 3): unit vectors along the particles at positions (n, 3) of theirs, NaN where there is none.

    Tracks have the direction in which their charge within `affinity_radius` goes on along the track; of showers,
    Michel electrons and delta rays it is the momentum with which the particle that leads them was made. Low-energy
    charge that belongs to none of these has no direction.

    Args:
        position: cm. particle: int (n,), rows of `particles`.
        deposits: `WIRE_DEPOSITS` that are seen.
        processes: what codes of creation processes mean; only needed for particles without a shape.
    """
    directions = np.full((len(position), 3), np.nan, np.float32)
    kind = particle_kinds(particles, processes)
    of_track = np.flatnonzero(kind[particle] == TRACK_START)
    directions[of_track] = track_directions(
        position[of_track], particle[of_track], deposits, xyz(particles, "first_step") + options.origin,
        options.affinity_radius,
    )  # fmt: skip
    leader = leaders(particles)[particle]
    showers = np.flatnonzero((kind[particle] != TRACK_START) & (kind[leader] > TRACK_END))
    momentum = np.stack([particles[f"p{axis}"] for axis in "xyz"], axis=1)
    directions[showers] = unit(momentum)[leader[showers]]
    return directions


def track_directions(
    position: np.ndarray, track: np.ndarray, deposits: np.ndarray, start: np.ndarray, radius: float
) -> np.ndarray:
    """float64 (n, 3): how positions of a track's charge change with the way along it from its start, as unit vectors.

    The way of a deposit is the shortest one over deposits of its own track from the one nearest to the start, so that
    tracks that turn back are followed. The direction is that of the regression of position on way over the deposits
    within the radius, weighted by energy.

    Args:
        position: (n, 3), cm. track: int (n,), particle of each.
        deposits: `WIRE_DEPOSITS`.
        start: (p, 3), cm, where each particle starts; where that is not known its tracks have no direction.
        radius: cm.
    """
    known = np.isfinite(start[track]).all(axis=1)
    deposits = deposits[np.isin(deposits["particle"], track[known])]
    place, owner = xyz(deposits), deposits["particle"].astype(np.int64)
    points = owned_points(place, owner, len(start))
    weight = deposits["energy"].astype(np.float64)[points.order]
    way = way_along(points, owner[points.order], start)
    return unit(along_way(points, way, weight, position, track, radius))


def way_along(points: OwnedPoints, owner: np.ndarray, start: np.ndarray) -> np.ndarray:
    """float64 (d,): cm from the deposit nearest to the start of the track that owns it, from deposit to deposit.

    Pieces of a track that are not linked to it count from the start in a straight line.

    Args:
        points, owner: deposits and their tracks, sorted. start: (p, 3), cm, where each particle starts.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import dijkstra

    straight = np.linalg.norm(points.position - start[owner], axis=1)
    if not len(owner):
        return straight
    order = np.lexsort((points.order, straight, owner))
    first = order[np.append(True, owner[order][1:] != owner[order][:-1])]
    pairs = csr_matrix(links(points, _LINK), shape=(len(owner), len(owner)))
    way = dijkstra(pairs, indices=first, min_only=True)
    return np.where(np.isfinite(way), way, straight)


def unit(vectors: np.ndarray) -> np.ndarray:
    """float64 (n, 3): vectors of length 1; NaN where they have none."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(length > 0, vectors / length, np.nan)
