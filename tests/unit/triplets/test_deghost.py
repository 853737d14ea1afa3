"""The best triplet of each pixel."""

from __future__ import annotations

import numpy as np
import pytest

from weft.triplets.deghost import best_of_pixel


def test_by_hand() -> None:
    pixels = np.array([[0, 5, 9], [1, 5, 9], [2, 6, 9], [2, 6, 10]])
    score = np.array([0.6, 0.9, 0.7, 0.2])
    assert best_of_pixel(pixels, score, 2).tolist() == [False, True, False, True]
    assert best_of_pixel(pixels, score, 1).tolist() == [False, True, True, False]
    assert best_of_pixel(pixels, score, 0).tolist() == [True, True, True, False]


def test_of_equal_scores_the_lowest_other_pixels_win() -> None:
    pixels = np.array([[3, 1, 0], [2, 8, 0], [2, 7, 0], [2, 9, 0]])
    assert best_of_pixel(pixels, np.full(4, 0.5), 2).tolist() == [False, False, True, False]


def test_none() -> None:
    assert best_of_pixel(np.zeros((0, 3), np.int32), np.zeros(0, np.float32), 1).tolist() == []


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_equals_a_loop_whatever_the_order(plane: int) -> None:
    rng = np.random.default_rng(plane)
    pixels = np.unique(rng.integers(0, 12, (600, 3)), axis=0)
    score = rng.integers(0, 5, len(pixels)) / 5
    kept = best_of_pixel(pixels, score, plane)
    expected = []
    for pixel in np.unique(pixels[:, plane]):
        mine = [tuple(row) for row in np.flatnonzero(pixels[:, plane] == pixel)[:, None]]
        expected.append(min((-score[i], *np.delete(pixels[i], plane), i) for (i,) in mine)[-1])
    assert np.flatnonzero(kept).tolist() == sorted(expected)
    order = rng.permutation(len(pixels))
    np.testing.assert_array_equal(best_of_pixel(pixels[order], score[order], plane), kept[order])
