"""From scored triplets to space points and key points (specs/larmatch.md §6, §9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.io.larmatch_products import KEY_POINT_KINDS, KEY_POINTS
from weft.io.products import Filtered, Schema
from weft.triplets.deghost import best_of_pixel
from weft.triplets.suppression import suppress

_PLANES = range(3)


def kept_rows(triplets: np.ndarray, scores: Filtered, min_score: float, best_per_pixel: int | None) -> np.ndarray:
    """int64 (m,): rows of `triplet_scores` with at least this larmatch score; of each pixel of a plane only the best.

    triplets: `TRIPLETS` of the event. scores: `triplet_scores`.
    """
    larmatch = scores.values["larmatch"]
    rows = np.flatnonzero(larmatch >= np.float32(min_score))
    if best_per_pixel is None:
        return rows
    chosen = triplets[scores.index[rows]]
    members = np.stack([chosen[f"pixel_{plane}"] for plane in _PLANES], axis=1)
    return rows[best_of_pixel(members, larmatch[rows], best_per_pixel)]


def space_points_of(
    pixels: np.ndarray, triplets: np.ndarray, scores: Filtered, rows: np.ndarray, schema: Schema
) -> np.ndarray:
    """`space_points` of some rows of `triplet_scores`, which may have more columns than the schema asks for."""
    index = scores.index[rows]
    chosen, said = triplets[index], scores.values[rows]
    made = np.empty(len(rows), schema.dtype)
    made["triplet"], made["dead_plane"] = index, -1
    for plane in reversed(_PLANES):
        pixel = pixels[chosen[f"pixel_{plane}"]]
        made[f"wire_{plane}"], made[f"charge_{plane}"] = pixel["wire"], pixel["charge"]
        made["dead_plane"][pixel["dead"] != 0] = plane
        made["tpc"], made["row"] = pixel["tpc"], pixel["row"]
    for axis in "xyz":
        made[axis] = chosen[axis]
    for name in schema.dtype.names or ():
        if name in (said.dtype.names or ()):
            made[name] = said[name]
    return made


def find_key_points(
    triplets: np.ndarray, scores: np.ndarray, radius: float, min_scores: Sequence[float], min_support: int
) -> np.ndarray:
    """`KEY_POINTS`: maxima of larmatch score × key-point score that are farther apart than a radius, kind by kind.

    A key point lies where its best triplet lies. Its score may exceed 1 a little: the network does not bound it.

    Args:
        triplets, scores: `TRIPLETS` and `triplet_scores`, a row each for n triplets.
        radius: cm. min_scores: least key-point score of a triplet, by kind.
        min_support: fewest of these triplets within the radius, itself included.
    """
    position = np.stack([triplets[axis] for axis in "xyz"], axis=1).astype(np.float64)
    parts = []
    for kind, (name, least) in enumerate(zip(KEY_POINT_KINDS, min_scores, strict=True)):
        key = scores[f"key_{name}"]
        near = np.flatnonzero(key >= np.float32(least))
        weight = scores["larmatch"][near].astype(np.float64) * key[near]
        best, support = suppress(position[near], weight, radius, min_support)
        found = np.empty(len(best), KEY_POINTS.dtype)
        found["kind"], found["score"], found["support"] = kind, weight[best], support
        for axis in "xyz":
            found[axis] = triplets[axis][near[best]]
        parts.append(found)
    return np.concatenate(parts)
