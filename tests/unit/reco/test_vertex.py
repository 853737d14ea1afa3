"""Vertices of hand-made interactions."""

import numpy as np
import pytest

from weft.io.products import SHOWER, TRACK
from weft.reco.vertex import (
    CONFLUENCE,
    CONFLUENCE_OF_STARTS,
    LONGEST_TRACK,
    NONE,
    POINTING,
    PSEUDO_VERTEX,
    SINGLE,
    TRACK_AND_SHOWERS,
    confluences,
    find_vertex,
    misalignment,
    nearest_to_lines,
)

X, Y, Z = np.eye(3)


def _find(*particles, **options):
    """particles: (start, end, shape); directions from start to end, or as given by a fourth element."""
    start, end = np.array([p[0] for p in particles], float), np.array([p[1] for p in particles], float)
    towards = [np.asarray(p[3] if len(p) > 3 else np.subtract(p[1], p[0]), float) for p in particles]
    direction = np.array([d / (np.linalg.norm(d) or 1) for d in towards])
    return find_vertex(start, end, direction, np.array([p[2] for p in particles]), **options)


def _shower(start, direction):
    return (start, start, SHOWER, direction)


def test_nothing_and_one_particle():
    empty = np.empty((0, 3))
    found = find_vertex(empty, empty, empty, np.empty(0, int))
    assert found.rule == NONE
    assert np.isnan(found.position).all()
    found = _find(((1, 2, 3), (9, 9, 9), TRACK))
    assert found.rule == SINGLE
    assert found.position.tolist() == [1, 2, 3]


def test_two_tracks_meet_between_their_starts():
    found = _find(((0, 0, 0), (30, 0, 0), TRACK), ((0, 1, 0), (0, 40, 0), TRACK))
    assert found.rule == CONFLUENCE
    assert np.allclose(found.position, [0, 0.5, 0])


def test_a_track_that_was_turned_round_still_meets_the_other():
    found = _find(((30, 0, 0), (0, 0, 0), TRACK), ((0, 1, 0), (0, 40, 0), TRACK))
    assert found.rule == CONFLUENCE
    assert np.allclose(found.position, [0, 0.5, 0])


def test_touching_is_less_than_the_distance():
    tracks = ((0, 0, 0), (30, 0, 0), TRACK), ((0, 2, 0), (0, 40, 0), TRACK)
    assert _find(*tracks).rule == LONGEST_TRACK
    assert _find(*tracks, touching=2.01).rule == CONFLUENCE


def test_three_particles_meet_at_the_mean_of_their_starts():
    found = _find(((0, 0, 0), (30, 0, 0), TRACK), ((0.9, 0, 0), (0, 40, 0), TRACK), _shower((0, 0.9, 0), Y))
    assert found.rule == CONFLUENCE
    assert np.allclose(found.position, [0.3, 0.3, 0])


def test_of_two_confluences_the_one_of_starts_counts():
    """A track whose end touches a second vertex: starts meet only at the first."""
    found = _find(((0, 0, 0), (50, 0, 0), TRACK), ((0, 1, 0), (0, 40, 0), TRACK), ((80, 0, 0), (50, 1, 0), TRACK))
    assert found.rule == CONFLUENCE_OF_STARTS
    assert np.allclose(found.position, [0, 0.5, 0])


def test_of_two_confluences_the_one_that_particles_point_away_from():
    particles = (
        ((0, 0, 0), (50, 0, 0), TRACK),
        ((0, 1, 0), (0, 40, 0), TRACK),
        ((50, 1, 0), (80, 0, 0), TRACK),
        ((50, 0, 1), (80, 0, 20), TRACK),
    )
    found = _find(*particles, pointing=True)
    assert found.rule == POINTING
    assert np.allclose(found.position, [0, 0.5, 0])


def test_one_track_among_showers_starts_where_they_point_from():
    showers = _shower((0, 10, 0), Y), _shower((-10, 0, 0), -X)
    for track in (((0, 0, 0), (0, 0, 50), TRACK), ((0, 0, 50), (0, 0, 0), TRACK)):
        found = _find(track, *showers)
        assert found.rule == TRACK_AND_SHOWERS
        assert found.position.tolist() == [0, 0, 0]


def test_else_the_longest_track_starts_it():
    found = _find(((0, 0, 0), (10, 0, 0), TRACK), ((5, 20, 0), (5, 60, 0), TRACK))
    assert found.rule == LONGEST_TRACK
    assert found.position.tolist() == [5, 20, 0]


def test_showers_alone_meet_where_their_lines_do():
    found = _find(_shower((10, 0, 0), X), _shower((0, 10, 0), Y), _shower((0, 0, 7), Z))
    assert found.rule == PSEUDO_VERTEX
    assert np.allclose(found.position, 0)


def test_not_anchored_ignores_the_points():
    tracks = ((0, 0, 0), (30, 0, 0), TRACK), ((0, 1, 0), (0, 40, 0), TRACK)
    assert _find(*tracks, anchor=False).rule == PSEUDO_VERTEX


def test_parallel_lines_meet_nowhere():
    start = np.array([[0, 0, 0], [0, 4, 0]], float)
    assert np.allclose(nearest_to_lines(start, np.array([X, X])), [0, 2, 0])


def test_misalignment_by_hand():
    """Straight away 0, sideways 1/2, towards it 1, at it 0."""
    start = np.array([[5, 0, 0]] * 3 + [[0, 0, 0]], float)
    direction = np.array([X, Y, -X, Y])
    each = [misalignment(np.zeros((1, 3)), start[i : i + 1], direction[i : i + 1])[0] for i in range(4)]
    assert np.allclose(each, [0, 0.5, 1, 0])
    assert misalignment(np.zeros((1, 3)), start, direction)[0] == pytest.approx(1.5)


def test_order_and_place_do_not_matter():
    rng = np.random.default_rng(3)
    for _ in range(30):
        start = np.round(rng.normal(0, 2, (5, 3)), 3)
        end = start + np.round(rng.normal(0, 20, (5, 3)), 3)
        found = confluences(start, end, 2.5)
        moved = confluences(start + 7, end + 7, 2.5)
        assert np.allclose(found + 7, moved)
