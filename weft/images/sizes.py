"""Pictures of one size: resized, cut from the centre, cropped at random; masks in the same way.

The centre of pixel 0 lies at 0.5, so that a resized picture covers the same area. Beyond a picture its pixels are
mirrored, and masks are −1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]


class Window(NamedTuple):
    """Rows and columns [start, stop) of a picture; they may lie beyond it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> Size:
        return self.bottom - self.top, self.right - self.left

    def within(self, size: Sequence[int]) -> tuple[slice, slice]:
        """The part of it that a picture of a size has."""
        return slice(max(0, self.top), min(self.bottom, size[0])), slice(max(0, self.left), min(self.right, size[1]))


def resized(picture: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """[C, *size], linear between pixels; what shrinks is blurred first, so that fine patterns do not become coarse."""
    before = picture.shape[1:]
    if before == size:
        return picture
    from scipy import ndimage  # score and task read this module, and work without

    shrink = [max(0.0, (old / new - 1) / 2) for old, new in zip(before, size, strict=True)]
    smooth = ndimage.gaussian_filter(picture, (0, *shrink), mode="nearest") if any(shrink) else picture
    rows, columns = (_places(old, new) for old, new in zip(before, size, strict=True))
    return _along(_along(smooth, rows, 1), columns, 2).astype(np.float32)


def resized_mask(mask: np.ndarray, size: Size) -> np.ndarray:
    """[*size], each pixel the nearest one."""
    rows, columns = (
        np.minimum((_places(old, new) + 0.5).astype(int), old - 1)
        for old, new in zip(mask.shape, size, strict=True)
    )  # fmt: skip
    return mask[np.ix_(rows, columns)]


def centre(size: Sequence[int], window: Size) -> Window:
    """The window of a size around the middle of a picture."""
    top, left = ((n - m) // 2 for n, m in zip(size, window, strict=True))
    return Window(top, left, top + window[0], left + window[1])


def only_centre(mask: np.ndarray, window: Size | None) -> np.ndarray:
    """A mask [Y, X] with −1 around the window in its middle; None: all of it."""
    if window is None:
        return mask
    inside = centre(mask.shape, window).within(mask.shape)
    made = np.full_like(mask, -1)
    made[inside] = mask[inside]
    return made


def random_window(size: Sequence[int], window: Size, padding: int, rng: np.random.Generator) -> Window:
    """A window anywhere in a picture that is `padding` pixels wider on each side; smaller pictures lie anywhere in
    it."""
    starts = []
    for n, m in zip(size, window, strict=True):
        low, high = sorted((-padding, n + padding - m))
        starts.append(int(rng.integers(low, high + 1)))
    return Window(starts[0], starts[1], starts[0] + window[0], starts[1] + window[1])


def cut(picture: np.ndarray, window: Window) -> np.ndarray:
    """[C, *window.size] of [C, Y, X], mirrored beyond it."""
    rows, columns = (
        _mirrored(np.arange(start, stop), n)
        for start, stop, n in zip(window[:2], window[2:], picture.shape[1:], strict=True)
    )
    return picture[:, rows[:, None], columns]


def cut_mask(mask: np.ndarray, window: Window) -> np.ndarray:
    """[*window.size] of [Y, X], −1 beyond it."""
    made = np.full(window.size, -1, mask.dtype)
    rows, columns = window.within(mask.shape)
    inside = (slice(rows.start - window.top, rows.stop - window.top),
              slice(columns.start - window.left, columns.stop - window.left))  # fmt: skip
    made[inside] = mask[rows, columns]
    return made


def _mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """Pixels that stand for those beyond a picture, mirrored at its edge as often as needed."""
    place = index % (2 * size)
    return np.minimum(place, 2 * size - 1 - place)


def _places(old: int, new: int) -> NDArray[np.float64]:
    """Where the new pixels lie among the old ones."""
    return np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)


def _along(picture: np.ndarray, places: NDArray[np.float64], axis: int) -> np.ndarray:
    low = np.minimum(places.astype(int), picture.shape[axis] - 1)
    high = np.minimum(low + 1, picture.shape[axis] - 1)
    shape = [1, 1, 1]
    shape[axis] = -1
    share = (places - low).astype(np.float32).reshape(shape)
    return picture.take(low, axis) * (1 - share) + picture.take(high, axis) * share
