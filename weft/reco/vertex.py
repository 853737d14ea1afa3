"""Where an interaction began, from the points and directions of its particles (spec §1.11)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from weft.io.products import TRACK

#: Keys of `weft.io.reco_objects.VERTEX_RULES`.
NONE, SINGLE, CONFLUENCE, CONFLUENCE_OF_STARTS, TRACK_AND_SHOWERS, LONGEST_TRACK, PSEUDO_VERTEX, POINTING = range(-1, 7)


class Vertex(NamedTuple):
    position: np.ndarray
    """float64 [3], unit of the points; NaN where there is no particle"""
    rule: int
    """how it was found, a key of `weft.io.reco_objects.VERTEX_RULES`"""


def find_vertex(
    start: np.ndarray,
    end: np.ndarray,
    direction: np.ndarray,
    shape: np.ndarray,
    touching: float = 2.0,
    anchor: bool = True,
    pointing: bool = False,
) -> Vertex:
    """The vertex of the particles that come from it.

    Args:
        start, end: [n, 3]; end is the start again for what is no track.
        direction: [n, 3], at the start, unit vectors.
        shape: [n], semantic class.
        touching: particles nearer than this touch.
        anchor: put it at a point of a particle wherever there is a track, or where particles touch.
        pointing: of several confluences take the one that most of the other particles touch or point away from,
            instead of the rules that follow.

    The first of these that applies:
        1. one particle: its start;
        2. the only place where at least two particles touch, by starts or ends: the mean of the touching points;
        3. if there are several, the only one among starts alone;
        4. one track among showers: the end of it from which the showers point away best, Σ(1 − cos)/2 least;
        5. tracks: the start of the longest;
        6. showers only, or not anchored: the point with the least sum of squares of distances to their lines.
    """
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    direction, shape = np.asarray(direction, np.float64), np.asarray(shape)
    if not len(start):
        return Vertex(np.full(3, np.nan), NONE)
    if len(start) == 1:
        return Vertex(start[0], SINGLE)
    if anchor:
        found = confluences(start, end, touching)
        if len(found) == 1:
            return Vertex(found[0], CONFLUENCE)
        if len(found) > 1 and pointing:
            return Vertex(found[_pointed_from(found, start, direction, touching).argmax()], POINTING)
        tracks = np.flatnonzero(shape == TRACK)
        if len(found) > 1 and len(tracks):
            found = confluences(start, None, touching)
            if len(found) == 1:
                return Vertex(found[0], CONFLUENCE_OF_STARTS)
        if len(tracks) == 1:
            candidates = np.stack([start[tracks[0]], end[tracks[0]]])
            showers = shape != TRACK
            loss = misalignment(candidates, start[showers], direction[showers])
            return Vertex(candidates[loss.argmin()], TRACK_AND_SHOWERS)
        if len(tracks):
            longest = tracks[((end[tracks] - start[tracks]) ** 2).sum(1).argmax()]
            return Vertex(start[longest], LONGEST_TRACK)
    return Vertex(nearest_to_lines(start, direction), PSEUDO_VERTEX)


def confluences(start: np.ndarray, end: np.ndarray | None, touching: float) -> np.ndarray:
    """float64 [k, 3]: where at least two particles come together, by starts and ends, or by starts alone.

    start, end: [n, 3]; a particle whose end is its start has one point. Points of different particles touch where they
    are less than `touching` apart; points that hang together so are one place. Of each of its particles that point
    counts that is nearest to another particle's, the start of equals; the place is their mean. So a track that meets
    particles at both ends is part of two places. Places come in the order of their first particles.

    SPINE groups particles instead of points, which makes one place, in between, of such a track's two.
    """
    n = len(start)
    points = np.asarray(start, np.float64) if end is None else np.concatenate([start, end]).astype(np.float64)
    of = np.arange(len(points)) % max(n, 1)
    distance = np.sqrt(((points[:, None] - points[None]) ** 2).sum(2))
    distance[of[:, None] == of[None]] = np.inf
    touch = distance < touching
    _, place = connected_components(csr_array(touch), directed=False) if n else (0, np.empty(0, np.int64))
    kept = np.flatnonzero(touch.any(axis=1))
    # The point of each particle at each place that is nearest to another particle, then the mean over particles.
    order = kept[np.lexsort((kept, distance[kept].min(axis=1), of[kept], place[kept]))]
    keys = place[order] * n + of[order]
    chosen = order[np.unique(keys, return_index=True)[1]]
    _, first, number = np.unique(place[chosen], return_index=True, return_inverse=True)
    count = np.bincount(number, minlength=len(first))
    mean = np.stack([np.bincount(number, points[chosen, k], len(first)) for k in range(3)], axis=1) / count[:, None]
    return np.asarray(mean[np.argsort(of[chosen[first]], kind="stable")])


def misalignment(candidates: np.ndarray, start: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """float64 [c]: Σ(1 − cos)/2 over particles, of the angle between where each starts as seen from a candidate and
    where it goes; a particle that starts at the candidate adds nothing."""
    return (0.5 * (1 - cosines(candidates[:, None], start[None], direction[None]))).sum(axis=1)


def cosines(seen_from: np.ndarray, start: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """float64 [...]: cosine of the angle between where a particle starts as seen from a place and where it goes; 1 for
    one that starts there. All [..., 3], broadcast against each other."""
    seen = start - seen_from
    norm = np.linalg.norm(seen, axis=-1)
    return np.divide((seen * direction).sum(-1), norm, out=np.ones_like(norm), where=norm > 0)


def nearest_to_lines(start: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """float64 [3]: the point with the least sum of squares of distances to lines [n, 3]; the mean of their starts where
    they are parallel, or where directions are not known."""
    across = np.eye(3) - direction[:, :, None] * direction[:, None]
    known = np.isfinite(across).all(axis=(1, 2))
    matrix = across[known].sum(axis=0)
    if not known.any() or np.linalg.cond(matrix) > 1e6:
        return np.asarray(start.mean(axis=0))
    return np.asarray(np.linalg.solve(matrix, np.einsum("nij,nj->i", across[known], start[known])))


def _pointed_from(candidates: np.ndarray, start: np.ndarray, direction: np.ndarray, touching: float) -> np.ndarray:
    """float64 [c]: particles that touch a candidate count 1, others (1 + cos)/2."""
    near = np.linalg.norm(start[None] - candidates[:, None], axis=2) < touching
    away = cosines(candidates[:, None], start[None], direction[None])
    return np.where(near, 1.0, 0.5 * (1 + away)).sum(axis=1)
