"""Weighted non-maximum suppression: hand cases, a brute force, any order, a million points."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.triplets.suppression import suppress


def brute_force(
    position: np.ndarray, weight: np.ndarray, radius: float, min_support: int
) -> tuple[list[int], list[int]]:
    near = ((position[:, None] - position[None]) ** 2).sum(axis=2) <= radius**2
    support = near.sum(axis=1)
    order = sorted(range(len(weight)), key=lambda i: (-weight[i], *position[i]))
    order = [i for i in order if support[i] >= min_support]
    rows = [i for k, i in enumerate(order) if not near[i, order[:k]].any()]
    return rows, support[rows].tolist()


def test_by_hand() -> None:
    #                     0: best       1: near 0   2: on the rim   3: beyond   4: near 2   5: away from 1
    position = np.array([[0.0, 0, 0], [1, 0, 0], [3, 0, 0], [3.01, 0, 0], [5, 0, 0], [4.1, 0, 0]])
    weight = np.array([0.9, 0.8, 0.1, 0.5, 0.6, 0.7])
    rows, support = suppress(position, weight, radius=3.0)
    assert rows.tolist() == [0, 5]
    assert support.tolist() == [3, 4]


def test_the_slope_of_a_hill_wider_than_the_radius_is_no_hill() -> None:
    x = np.arange(-60, 61) / 10
    position = np.stack([x, np.zeros_like(x), np.zeros_like(x)], axis=1)
    rows, support = suppress(position, np.exp(-0.5 * (x / 3) ** 2), radius=3.0)
    assert position[rows, 0].tolist() == [0.0]
    assert support.tolist() == [61]
    two = np.exp(-0.5 * ((x - 4) / 2) ** 2) + 0.9 * np.exp(-0.5 * ((x + 4) / 2) ** 2)
    assert np.round(position[suppress(position, two, radius=3.0)[0], 0], 1).tolist() == [4.0, -4.0]


def test_a_lone_maximum_neither_counts_nor_keeps_others_from_counting() -> None:
    position = np.array([[0.0, 0, 0], [2, 0, 0], [4, 0, 0], [4.1, 0, 0]])
    weight = np.array([0.9, 0.5, 0.4, 0.3])
    assert suppress(position, weight, 2.5, min_support=3)[0].tolist() == [1]
    assert suppress(position, weight, 2.5, min_support=1)[0].tolist() == [0]
    assert suppress(position, weight, 2.5, min_support=5)[0].tolist() == []


def test_no_points_and_one_point() -> None:
    rows, support = suppress(np.zeros((0, 3)), np.zeros(0), 1.0)
    assert rows.dtype == support.dtype == np.int64
    assert len(rows) == len(support) == 0
    assert suppress(np.ones((1, 3)), np.ones(1), 1.0)[0].tolist() == [0]


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        suppress(np.array([[0.0, 0, np.nan]]), np.ones(1), 1.0)
    with pytest.raises(ValueError, match="finite"):
        suppress(np.zeros((1, 3)), np.array([np.nan]), 1.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 60),
    radius=st.sampled_from([0.5, 1.0, 2.0, 30.0]),
    min_support=st.integers(1, 4),
)
def test_equals_a_brute_force(seed: int, n: int, radius: float, min_support: int) -> None:
    rng = np.random.default_rng(seed)
    # Whole numbers, so that many points coincide, have equal weights or lie on the rim.
    position, weight = rng.integers(-4, 5, (n, 3)).astype(float), rng.integers(0, 4, n) / 4
    rows, support = suppress(position, weight, radius, min_support)
    expected, expected_support = brute_force(position, weight, radius, min_support)
    np.testing.assert_array_equal(position[rows], position[expected])
    np.testing.assert_array_equal(weight[rows], weight[expected])
    assert support.tolist() == expected_support


def test_neither_order_nor_place_matter() -> None:
    rng = np.random.default_rng(3)
    position, weight = rng.integers(0, 320, (4000, 3)) / 8, rng.random(4000).round(2)
    rows, support = suppress(position, weight, 3.0, 2)
    order = rng.permutation(len(weight))
    again, again_support = suppress(position[order], weight[order], 3.0, 2)
    np.testing.assert_array_equal(position[order][again], position[rows])
    np.testing.assert_array_equal(again_support, support)
    moved, _ = suppress(position + np.array([128.0, -512.0, 64.0]), weight, 3.0, 2)
    np.testing.assert_array_equal(moved, rows)


def test_maxima_are_apart_and_every_other_point_is_near_a_heavier_one() -> None:
    rng = np.random.default_rng(4)
    position, weight = rng.uniform(0, 25, (1500, 3)), rng.random(1500)
    rows, _ = suppress(position, weight, 2.0)
    near = np.linalg.norm(position[:, None] - position[None], axis=2) <= 2.0
    assert near[np.ix_(rows, rows)].sum() == len(rows) > 50
    heavier = (near & (weight[None] > weight[:, None])).any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(~heavier), np.sort(rows))


def test_cells_of_a_tiny_radius_still_have_numbers() -> None:
    position = np.array([[0.0, 0, 0], [1e6, 1e6, 1e6], [1e6, 1e6, 1e6 + 1e-7]])
    assert suppress(position, np.array([1.0, 0.5, 0.4]), 1e-6)[0].tolist() == [0, 1]


@pytest.mark.parametrize(("n", "extent"), [(1_000_000, 100.0), (100_000, 6.0)], ids=["large", "crowded"])
def test_a_million_points_take_seconds_and_little_memory(n: int, extent: float) -> None:
    rng = np.random.default_rng(5)
    position, weight = rng.uniform(0, extent, (n, 3)), rng.random(n)
    suppress(position[:9], weight[:9], 3.0)  # compiled from here on
    tracemalloc.start()
    start = time.process_time()
    rows, support = suppress(position, weight, 3.0, 3)
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rows)
    assert support.min() >= 3
    assert seconds < 15, seconds  # about 2 s on a machine that others use too
    assert peak < 300 * n, peak
