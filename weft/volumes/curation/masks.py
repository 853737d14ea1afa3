"""Masks that a person drew: a TIFF of one plane or of the whole stack (1: it applies), or polygons in GeoJSON.

There is one meaning: an excluding mask says what is not judged, a merging mask where the second segmentation is taken.
Polygons are those of QuPath and ImageJ: x and y in pixels, the first pixel reaches from 0 to 1, so a pixel is inside
where its middle at (column + 0.5, row + 0.5) is. What is enclosed twice (a hole) is outside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.volumes.curation.places import Place, plane_volume

POLYGONS = (".geojson", ".json")
Mask = Callable[[slice], np.ndarray]
"""bool [dz or 1, Y, X] of some planes"""


@contextmanager
def open_mask(place: Place | None, shape: tuple[int, int, int]) -> Iterator[Mask | None]:
    """A mask for a stack [Z, Y, X], read as it is needed; None where there is none.

    Raises:
        WeftError: the mask has another size, or is none.
    """
    if place is None:
        yield None
        return
    if place.path.suffix.lower() in POLYGONS:
        parts = _parts(place.path, shape)
        yield lambda z: _planes(parts, z, shape)
        return
    with ExitStack() as stack:
        volume = plane_volume(place, stack)
        if tuple(volume.shape[1:]) != shape[1:] or volume.shape[0] not in (1, shape[0]):
            said, expected = (" × ".join(map(str, n)) for n in (volume.shape, shape))
            raise WeftError(f"{place.path}: a mask of {said} voxels (z × y × x) for a stack of {expected}")
        flat = volume.shape[0] == 1
        yield lambda z: volume[slice(None) if flat else z] > 0


def _planes(parts: list[tuple[np.ndarray, range]], z: slice, shape: tuple[int, int, int]) -> np.ndarray:
    depth = range(*z.indices(shape[0]))
    made = np.zeros((len(depth), *shape[1:]), bool)
    for plane, applies in parts:
        made[[k for k, number in enumerate(depth) if number in applies]] |= plane
    return made


def _parts(path: Path, shape: tuple[int, int, int]) -> list[tuple[np.ndarray, range]]:
    """Each feature as a plane, and the slices that it is for."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeftError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise WeftError(f"{path}: cannot be read as GeoJSON: {error}") from None
    try:
        return [
            (inside([np.asarray(ring, float)[:, :2] for ring in rings], shape[1:]), applies)
            for rings, applies in _features(document, shape[0])
        ]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise WeftError(f"{path}: expected GeoJSON of polygons, with z: [first, last] among the properties") from None


def _features(document: Any, depth: int) -> Iterator[tuple[list[Any], range]]:
    """(rings, slices) of each polygon."""
    if isinstance(document, list) or document["type"] == "FeatureCollection":
        for feature in document if isinstance(document, list) else document["features"]:
            yield from _features(feature, depth)
        return
    first, last = 0, depth - 1
    if document["type"] == "Feature":
        first, last = (document.get("properties") or {}).get("z", (0, depth - 1))
        document = document["geometry"]
    applies = range(int(first), int(last) + 1)
    if document["type"] == "Polygon":
        yield document["coordinates"], applies
    elif document["type"] == "MultiPolygon":
        yield from ((rings, applies) for rings in document["coordinates"])
    else:
        raise ValueError


def inside(rings: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """bool [Y, X]: the pixels whose middle is within a polygon, by the even-odd rule.

    rings: its outline and holes, each [n, 2] of x and y in pixels from the corner of the first one; open or closed.
    """
    rows, columns = shape
    crossings = np.zeros((rows, columns + 1), np.int64)
    middle = np.arange(rows) + 0.5
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            met = np.flatnonzero((np.minimum(y0, y1) <= middle) & (middle < np.maximum(y0, y1)))
            if len(met):
                x = x0 + (middle[met] - y0) * (x1 - x0) / (y1 - y0)
                # The first pixel whose middle lies at the crossing or to the right of it.
                np.add.at(crossings, (met, np.clip(np.ceil(x - 0.5), 0, columns).astype(np.int64)), 1)
    return (np.cumsum(crossings[:, :columns], axis=1) % 2).astype(bool)
