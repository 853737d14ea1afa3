"""Contact sheets: a stack and its segmentations in a few planes, to be judged at a glance (spec §9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.io.tiff import LazyArray
from weft.volumes.curation.masks import Mask
from weft.volumes.lazy import slabs
from weft.volumes.thresholds import otsu

#: Slices between the planes of a sheet, fewer in a shallow stack.
APART = 4
#: Pixels of a plane on a sheet at most; a larger one is thinned.
MOST_PIXELS = 256
WINDOW = (0.5, 99.8)
#: Red, green, blue of the first classes; more classes repeat them.
COLOURS = np.array([(60, 180, 255), (255, 200, 60), (120, 230, 120), (240, 120, 240)], np.float32)
EXCLUDED = np.array((255, 40, 40), np.float32)
_GAP = 4


def middle_slice(profile: np.ndarray) -> int:
    """The slice at which Otsu's threshold parts a profile of foreground along z, read as a histogram; without
    foreground the middle of the stack."""
    if not profile.any():
        return len(profile) // 2
    return round(otsu(np.asarray(profile), np.arange(len(profile), dtype=float)))


def three_planes(profile: np.ndarray) -> tuple[int, int, int]:
    """mid - 4, mid, mid + 4, nearer to each other, and moved, where the stack is too shallow."""
    depth = len(profile)
    apart = min(APART, (depth - 1) // 2)
    middle = min(max(middle_slice(profile), apart), depth - 1 - apart)
    return middle - apart, middle, middle + apart


def contact_sheet(image: LazyArray, segmentations: Sequence[LazyArray], excluded: Mask | None = None) -> np.ndarray:
    """uint8 [rows, columns, 3]: in four columns three slices and the highest value along z, the image on top.

    Slices lie around the middle of what the first segmentation found (`three_planes`). Below the image a row for each
    segmentation, each class in a colour of its own; what is excluded is red, what has no valid label dark red.

    image: [Z, Y, X]. segmentations: labels [Z, Y, X]. excluded: mask of the stack.
    """
    profiles, tops = zip(*(_along_z(labels) for labels in segmentations), strict=True)
    chosen = three_planes(profiles[0])
    brightest = np.full(tuple(image.shape[1:]), -np.inf)
    for _, slab in slabs(image):
        np.maximum(brightest, slab.max(axis=0), out=brightest)
    step = max(1, -(-max(image.shape[1:]) // MOST_PIXELS))
    planes = [np.asarray(image[z : z + 1])[0] for z in chosen] + [brightest]
    thin = [np.nan_to_num(np.asarray(plane[::step, ::step], np.float32)) for plane in planes]
    low, high = np.percentile(np.stack(thin), WINDOW)
    grey = [
        np.clip((plane - low) / ((high - low) or 1), 0, 1)[..., None] * np.full(3, 255, np.float32) for plane in thin
    ]
    rows = [grey]
    for labels, top in zip(segmentations, tops, strict=True):
        shown = [np.asarray(labels[z : z + 1])[0] for z in chosen] + [top]
        marked = [excluded(slice(z, z + 1))[0] for z in chosen] if excluded is not None else [None] * 3
        tiles = []
        for plane, red in zip(shown, [*marked, None], strict=True):
            tile = _coloured(plane[::step, ::step])
            if red is not None:
                tile = np.where(red[::step, ::step, None], 0.5 * tile + 0.5 * EXCLUDED, tile)
            tiles.append(tile)
        rows.append(tiles)
    return _mosaic(rows)


def _along_z(labels: LazyArray) -> tuple[np.ndarray, np.ndarray]:
    """Foreground voxels of each slice, and the highest class along z."""
    profile = np.zeros(labels.shape[0], np.int64)
    top = np.full(tuple(labels.shape[1:]), -1, np.int64)
    for z, slab in slabs(labels):
        profile[z : z + len(slab)] = (slab > 0).sum(axis=(1, 2))
        np.maximum(top, slab.max(axis=0), out=top)
    return profile, top


def _coloured(labels: np.ndarray) -> np.ndarray:
    tile = np.where(labels[..., None] > 0, COLOURS[(labels - 1) % len(COLOURS)], 0)
    return np.where(labels[..., None] < 0, EXCLUDED * 0.4, tile)


def _mosaic(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Tiles of one size side by side, white between them."""
    height, width = rows[0][0].shape[:2]
    sheet = np.full((len(rows) * (height + _GAP) - _GAP, len(rows[0]) * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            y, x = i * (height + _GAP), j * (width + _GAP)
            sheet[y : y + height, x : x + width] = np.rint(tile)
    return sheet
