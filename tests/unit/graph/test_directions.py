"""Directions and energy loss at a point: hand-computed values and invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.errors import WeftError
from weft.graph.directions import dedx, dedx_along, directions, straightness
from weft.io.products import Ragged

#: A track along x that turns to y at (4, 0, 0).
HOOK = np.array([[x, 0, 0] for x in range(5)] + [[4, y, 0] for y in range(1, 5)])
ALL = Ragged.of([np.arange(len(HOOK))])
START = np.zeros((1, 3))


def test_the_mean_of_the_voxels_within_the_radius():
    np.testing.assert_allclose(directions(HOOK, ALL, START, radius=3), [[1, 0, 0]])
    whole = HOOK.mean(0) / np.linalg.norm(HOOK.mean(0))
    np.testing.assert_allclose(directions(HOOK, ALL, START), [whole], rtol=1e-6)
    near = HOOK[:6].mean(0) / np.linalg.norm(HOOK[:6].mean(0))  # (4, 1, 0) is √17 away
    np.testing.assert_allclose(directions(HOOK, ALL, START, radius=np.sqrt(17)), [near], rtol=1e-6)


def test_a_radius_without_voxels_grows_to_the_nearest_ones():
    point = np.array([[-3.0, 0, 0]])
    np.testing.assert_allclose(directions(HOOK + np.array([0, 4, 0]), ALL, point, radius=1), [[0.6, 0.8, 0]], rtol=1e-6)


def test_points_where_nothing_can_be_said():
    coords = np.array([[0, 0, 0], [5, 0, 0], [0, 0, 0], [1, 0, 0], [-1, 0, 0]])
    one = Ragged.of([np.array([0]), np.array([0, 1]), np.array([3, 4]), np.array([0]), np.array([], np.int64)])
    points = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [np.nan, 0, 0], [0, 0, 0]])
    found = directions(coords, one, points, radius=2)
    assert found[:3].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert np.isnan(found[3]).all()
    assert found[4].tolist() == [1, 0, 0]
    assert directions(coords, one, points, optimize=True)[2].tolist() == [0, 0, 0]
    assert directions(np.empty((0, 3)), Ragged.of([], np.empty(0, int)), np.empty((0, 3))).shape == (0, 3)


def test_the_straightest_ball_ends_where_the_track_turns():
    """A slightly crooked line of 30 voxels, then a blob: the eigenvalues are checked against numpy's."""
    rng = np.random.default_rng(0)
    line = np.arange(30)[:, None] * [1, 0.3, 0] + rng.normal(0, 0.1, (30, 3))
    blob = line[-1] + rng.normal(0, 4, (60, 3)) + [3, 0, 8]
    coords = np.concatenate([line, blob])
    nodes = Ragged.of([rng.permutation(90)])
    ordered = coords[np.argsort(np.linalg.norm(coords - coords[0], axis=1))]
    likeness = []
    for size in range(3, 91):
        low, middle, high = np.linalg.eigvalsh(np.cov(ordered[:size].T))
        likeness.append(np.sqrt(high / (low + middle)))
    chosen = ordered[: 3 + int(np.argmax(likeness))] - coords[0]
    expected = chosen.mean(0) / np.linalg.norm(chosen.mean(0))
    found = directions(coords, nodes, coords[:1], optimize=True)
    np.testing.assert_allclose(found, [expected], rtol=1e-5)
    assert found[0] @ np.array([1, 0.3, 0]) / np.linalg.norm([1, 0.3, 0]) > 0.999
    assert len(chosen) <= 32


def test_an_exact_line_is_taken_whole():
    line = np.arange(6)[:, None] * [1, 0, 0]
    found = directions(line, Ragged.of([np.arange(6)]), START, optimize=True)
    assert found.tolist() == [[1, 0, 0]]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), optimize=st.booleans(), radius=st.sampled_from([-1.0, 3.0]))
def test_voxels_at_one_distance_may_come_in_any_order(seed, optimize, radius):
    rng = np.random.default_rng(seed)
    coords = rng.integers(-4, 5, (40, 3))
    orders = [np.arange(40), rng.permutation(40)]
    first, second = (directions(coords, Ragged.of([order]), START, radius, optimize) for order in orders)
    np.testing.assert_allclose(first, second, atol=1e-6)
    turned = directions(coords[:, [2, 0, 1]], Ragged.of([orders[1]]), START, radius, optimize)
    np.testing.assert_allclose(turned, first[:, [2, 0, 1]], atol=1e-5)


def test_energy_over_length():
    values = np.arange(1.0, 10.0)
    np.testing.assert_allclose(dedx(HOOK, values, ALL, START, radius=3), [(1 + 2 + 3 + 4) / 3], rtol=1e-6)
    assert dedx(HOOK, values[:, None], ALL, START, radius=0.5).tolist() == [0]  # one voxel
    np.testing.assert_allclose(dedx(HOOK, values, ALL, START, radius=-1), [45 / np.sqrt(32)], rtol=1e-6)
    same = Ragged.of([np.array([0, 0])])
    assert dedx(HOOK, values, same, START).tolist() == [0]
    assert np.isnan(dedx(HOOK, values, ALL, START * np.nan)).all()
    single = dedx(HOOK, values, Ragged.of([np.array([1])]), START, radius=-1)
    assert single.tolist() == [2]  # the whole cluster is one voxel at distance 1


def test_energy_over_length_along_a_direction():
    values = np.arange(1.0, 10.0)
    point = np.array([[2.0, 0, 0]])
    along = np.array([[1.0, 0, 0]])
    # Ahead of (2,0,0) within 2.5: x = 2, 3, 4 and (4, 1, 0), whose projections span 2.
    assert dedx_along(HOOK, values, ALL, point, along, radius=2.5).tolist() == [(3 + 4 + 5 + 6) / 2]
    assert dedx_along(HOOK, values, ALL, point, -along, radius=2.5).tolist() == [(1 + 2 + 3) / 2]
    assert dedx_along(HOOK, values, ALL, point, np.array([[0.0, 0, 1]]), radius=2.5).tolist() == [0]
    with pytest.raises(WeftError, match="radius -1"):
        dedx_along(HOOK, values, ALL, point, along, radius=-1)


def test_straightness_of_a_line_a_hook_and_a_ball():
    assert straightness(HOOK, ALL, START, radius=3).tolist() == [1]
    low, middle, high = np.linalg.eigvalsh(np.cov(HOOK.T))
    np.testing.assert_allclose(straightness(HOOK, ALL, START, radius=-1), [high / (low + middle + high)], rtol=1e-6)
    cube = np.array([[x, y, z] for x in range(3) for y in range(3) for z in range(3)])
    np.testing.assert_allclose(straightness(cube, Ragged.of([np.arange(27)]), START, radius=-1), [1 / 3], rtol=1e-6)
    assert straightness(HOOK, ALL, START, radius=1).tolist() == [0]
    assert straightness(np.zeros((3, 3)), Ragged.of([np.arange(3)]), START).tolist() == [0]
    assert np.isnan(straightness(HOOK, ALL, START * np.nan)).all()


def test_arrays_of_the_wrong_length_are_named():
    with pytest.raises(WeftError, match=r"points of shape \(2, 3\), expected \(1, 3\)"):
        directions(HOOK, ALL, np.zeros((2, 3)))
    with pytest.raises(WeftError, match="values of shape"):
        dedx(HOOK, np.ones(3), ALL, START)
    with pytest.raises(WeftError, match="directions of shape"):
        dedx_along(HOOK, np.ones(9), ALL, START, np.zeros(3))
