"""Of each pixel only the best triplet: charge on a wire mostly came from one place (specs/larmatch.md §9)."""

from __future__ import annotations

import numpy as np

from weft.compiled import kernel


def best_of_pixel(pixels: np.ndarray, score: np.ndarray, plane: int) -> np.ndarray:
    """bool (n,): whether a triplet has the highest score of those with the same pixel in a plane.

    Of equal scores that with the lowest pixels in the other planes is taken, so their order does not matter. A pixel of
    a dead wire is one like any other: one of the triplets through it is kept.

    Args:
        pixels: int (n, 3), rows of `pixels` of each triplet. score: (n,), not NaN. plane: 0, 1 or 2.
    """
    pixels = np.ascontiguousarray(pixels, np.int64).reshape(-1, 3)
    first, second = (p for p in range(3) if p != plane)
    return _best(
        pixels[:, plane], pixels[:, first], pixels[:, second], np.asarray(score, np.float64),
        int(pixels[:, plane].max(initial=-1)) + 1,
    )  # fmt: skip


@kernel
def _best(pixel, first, second, score, n):
    best = np.full(n, -1)
    for i in range(len(pixel)):
        j = best[pixel[i]]
        if j < 0:
            better = True
        elif score[i] != score[j]:
            better = score[i] > score[j]
        elif first[i] != first[j]:
            better = first[i] < first[j]
        else:
            better = second[i] < second[j]
        if better:
            best[pixel[i]] = i
    kept = np.zeros(len(pixel), np.bool_)
    for j in best:
        if j >= 0:
            kept[j] = True
    return kept
