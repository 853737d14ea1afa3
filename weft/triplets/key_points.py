"""Points that mark an event: where neutrinos interact, and where particles start, end or decay, as far as it is seen.

The rules are those of LArMatch (specs/larmatch.md §3.2), applied to deposits: a point counts where charge of its own
particle was seen, tracks that enter or leave what is seen have their points there, and photons where they convert.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from weft.compiled import kernel
from weft.errors import WeftError
from weft.io.deposits import arrived
from weft.io.larmatch_products import KEY_POINT_KINDS, TRUE_KEY_POINTS
from weft.triplets.label_options import LabelOptions
from weft.triplets.owned import OwnedPoints, is_near, owned_points
from weft.triplets.particle_kinds import NU_VERTEX, TRACK_END, TRACK_START, leaders, particle_kinds, sizes

_NEUTRINOS = (12, 14, 16)
#: cm by which space charge and charge that joined a track may lie off its path.
_OFF_PATH = 30.0


def xyz(rows: np.ndarray, name: str = "") -> np.ndarray:
    """float64 (n, 3): the columns x, y, z of structured rows, or `name`_x, … of a point of particles."""
    columns = [f"{name}_{axis}" if name else axis for axis in "xyz"]
    return np.stack([rows[column] for column in columns], axis=-1).astype(np.float64)


def seen_deposits(deposits: np.ndarray) -> np.ndarray:
    """Those of `WIRE_DEPOSITS` that the readout and all three planes see, and that hold energy themselves."""
    deposits = arrived(deposits)
    return deposits[deposits["energy"] > 0]


def true_key_points(
    particles: np.ndarray,
    deposits: np.ndarray,
    options: LabelOptions,
    processes: Mapping[int, str] | None = None,
) -> np.ndarray:
    """`TRUE_KEY_POINTS` of an event, in the coordinates of the detector.

    * Tracks have a start and an end where they have at least `track_pixels` pixels in one plane: their first and last
      step, or, where no charge of theirs was seen within `reach` of it, the first and last of what was seen.
    * Showers, Michel electrons and delta rays have a start, the first step of the particle that leads them, where they
      have at least `shower_pixels` pixels in one plane and some of them within `reach` of it.
    * An interaction of a neutrino, or one from whose vertex at least two particles come that were seen, has a vertex
      where charge of it was seen within `reach`.

    Args:
        particles, deposits: rows of `particles` and of `wire_deposits`.
        processes: what codes of creation processes mean; only needed for particles without a shape.

    Raises:
        WeftError: processes are needed and not given, or the charge of no track lies where the particles say.
    """
    strange = (deposits["particle"] < 0) | (deposits["particle"] >= len(particles))
    if strange.any():
        which = deposits["particle"][strange][0]
        raise WeftError(f"wire_deposits: a row belongs to particle {which}, expected one of {len(particles)} particles")
    deposits = seen_deposits(deposits)
    if not len(deposits):
        return np.zeros(0, TRUE_KEY_POINTS.dtype)
    kind = particle_kinds(particles, processes)
    unit = np.where(kind == TRACK_START, np.arange(len(particles)), leaders(particles))
    owner = unit[deposits["particle"]]
    position = xyz(deposits)
    first, last = xyz(particles, "first_step") + options.origin, xyz(particles, "last_step") + options.origin
    pixels = best_plane(deposits, owner, len(particles))
    tracks = np.flatnonzero((kind == TRACK_START) & (pixels >= options.track_pixels))
    tracks = tracks[np.isfinite(first[tracks]).all(1) & np.isfinite(last[tracks]).all(1)]
    _check_origin(particles, tracks, first, position, owner)
    points = owned_points(position, owner, len(particles))
    starts = np.flatnonzero((kind > TRACK_END) & (pixels >= options.shower_pixels) & (unit == np.arange(len(unit))))
    starts = starts[is_near(points, first[starts], starts, options.reach)]
    vertices = _vertices(particles, deposits, options)

    def outermost(here: np.ndarray, there: np.ndarray) -> np.ndarray:
        return _outermost(points, tracks, here, there, position, owner, options.reach)

    parts = [
        (np.full(len(vertices), NU_VERTEX), np.full(len(vertices), -1), vertices),
        (np.full(len(tracks), TRACK_START), tracks, outermost(first, last)),
        (np.full(len(tracks), TRACK_END), tracks, outermost(last, first)),
        (kind[starts], starts, first[starts]),
    ]
    kinds, rows, places = (np.concatenate(column) for column in zip(*parts, strict=True))
    found = np.zeros(len(kinds), TRUE_KEY_POINTS.dtype)
    found["kind"], found["particle"] = kinds, rows
    for axis, name in enumerate("xyz"):
        found[name] = places[:, axis]
    return found[np.lexsort([found["particle"], found["kind"]])]


def best_plane(deposits: np.ndarray, owner: np.ndarray, number: int) -> np.ndarray:
    """int64 (number,): pixels in which each owner left energy, in the plane where they are most.

    deposits: `WIRE_DEPOSITS` (d,) that are seen. owner: int (d,).
    """
    most = np.zeros(number, np.int64)
    for plane in range(3):
        columns = [owner, deposits["tpc"], deposits["row"], deposits[f"wire_{plane}"]]
        order = np.lexsort(columns)
        new = np.ones(len(order), bool)
        new[1:] = np.any([column[order][1:] != column[order][:-1] for column in columns], axis=0)
        most = np.maximum(most, np.bincount(owner[order][new], minlength=number))
    return most


def _outermost(
    points: OwnedPoints,
    tracks: np.ndarray,
    here: np.ndarray,
    there: np.ndarray,
    position: np.ndarray,
    owner: np.ndarray,
    reach: float,
) -> np.ndarray:
    """float64 (t, 3): where tracks begin `here`, or the seen charge that lies farthest on this side, from `there`."""
    places = here[tracks].copy()
    outside = tracks[~is_near(points, places, tracks, reach)]
    mine = np.flatnonzero(np.isin(owner, outside))
    if not len(mine):
        return places
    along = np.einsum("ij,ij->i", position[mine], (here - there)[owner[mine]])
    order = np.lexsort((*position[mine].T, along, owner[mine]))  # equally far ones in an order of their own
    whose = owner[mine][order]
    last = np.append(whose[1:] != whose[:-1], True)
    places[np.searchsorted(tracks, whose[last])] = position[mine[order[last]]]
    return places


def _vertices(particles: np.ndarray, deposits: np.ndarray, options: LabelOptions) -> np.ndarray:
    """float64 (v, 3): vertices of neutrino-like interactions near which charge of theirs was seen."""
    place = xyz(particles, "ancestor_vtx") + options.origin
    rows = np.flatnonzero((particles["ancestor_trackid"] >= 0) & np.isfinite(place).all(axis=1))
    if not len(rows):
        return np.zeros((0, 3))
    keys = np.column_stack([particles["interaction_id"][rows], place[rows]])
    distinct, which = np.unique(keys, axis=0, return_inverse=True)
    group = np.full(len(particles), -1, np.int64)
    group[rows] = which.reshape(-1)
    owner = group[deposits["particle"]]
    seen = np.unique(deposits["particle"][owner >= 0])
    primaries = np.unique(np.stack([group[seen], particles["ancestor_trackid"][seen]]), axis=1)
    neutrino = np.bincount(primaries[0], minlength=len(distinct)) >= 2
    neutrino[group[rows[np.isin(sizes(particles["ancestor_pdg"][rows]), _NEUTRINOS)]]] = True
    known = owner >= 0
    found = np.flatnonzero(neutrino)
    if not known.any() or not len(found):
        return np.zeros((0, 3))
    points = owned_points(xyz(deposits[known]), owner[known], len(distinct))
    return distinct[found[is_near(points, distinct[found, 1:], found, options.reach)], 1:]


def _check_origin(
    particles: np.ndarray, tracks: np.ndarray, first: np.ndarray, position: np.ndarray, owner: np.ndarray
) -> None:
    """The charge of a track lies no farther from its first step than the track is long. Along x it may, out of time."""
    tracks = tracks[particles["dist_travel"][tracks] > 0]
    if not len(tracks):
        return
    counts = np.maximum(np.bincount(owner, minlength=len(particles)), 1)[tracks]
    off = [np.bincount(owner, position[:, a], len(particles))[tracks] / counts - first[tracks, a] for a in (1, 2)]
    excess = np.hypot(*off) - particles["dist_travel"][tracks]
    if (excess > _OFF_PATH).all():
        which = tracks[np.argmin(excess)]
        raise WeftError(
            f"particle {which}: its charge lies {excess.min():.0f} cm farther from its start than it is long, like "
            f"that of all tracks here; expected particles and wire_deposits in the same coordinates: set labels.origin"
        )


def key_point_labels(position: np.ndarray, points: np.ndarray, options: LabelOptions) -> tuple[np.ndarray, np.ndarray]:
    """float32 (n, 6), scores, and float32 (n, 6, 3), cm to the nearest key point, of positions (n, 3).

    The score is exp(−d²/2σ²), or 0 where that is below `floor`; the shift is NaN there.

    Args:
        position: cm. points: `TRUE_KEY_POINTS`.
    """
    scores = np.zeros((len(position), len(KEY_POINT_KINDS)), np.float32)
    shift = np.full((len(position), len(KEY_POINT_KINDS), 3), np.nan, np.float32)
    for kind in np.unique(points["kind"]):
        place = xyz(points[points["kind"] == kind])
        distance, nearest = nearest_place(position, place, options.cut)
        near = np.flatnonzero(nearest >= 0)
        scores[near, kind] = np.exp(-0.5 * (distance[near] / options.sigma) ** 2)
        shift[near, kind] = place[nearest[near]] - position[near]
    return scores, shift


@kernel
def nearest_place(position, place, limit):
    """Of positions (n, 3) to places (m, 3): float64 (n,), the distance to the nearest, infinite from the limit on;
    int64 (n,), which one, the first of those in one place; −1 where there is none.

    All pairs are tried: there are few key points.
    """
    distance = np.full(len(position), np.inf)
    nearest = np.full(len(position), -1)
    for i in range(len(position)):
        best = limit * limit
        for j in range(len(place)):
            squared = 0.0
            for a in range(3):
                squared += (position[i, a] - place[j, a]) ** 2
            if squared < best:
                best, nearest[i] = squared, j
        if nearest[i] >= 0:
            distance[i] = np.sqrt(best)
    return distance, nearest
