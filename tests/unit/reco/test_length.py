"""Segments of tracks."""

import numpy as np
import pytest

from weft.reco.length import segments, track_length

LINE = np.stack([np.arange(0, 30.1, 0.3), np.zeros(101), np.zeros(101)], axis=1)


@pytest.mark.parametrize("method", ["step_next", "bin_pca"])
def test_a_straight_track_is_as_long_as_its_ends_are_apart(method):
    assert track_length(LINE, LINE[0], 5.0, method) == pytest.approx(30.0)
    assert track_length(LINE[::-1], LINE[-1], 5.0, method) == pytest.approx(30.0)


def test_segments_of_a_straight_track():
    found = segments(LINE, LINE[-1], 5.0)
    assert np.allclose(found.direction, [-1, 0, 0])
    assert np.allclose(found.length[:-1], 5.0)
    assert (np.diff(found.of_voxel[::-1]) >= 0).all()
    assert found.of_voxel.min() == 0
    assert len(found.length) == found.of_voxel.max() + 1


def test_a_bent_track_is_longer_than_its_chord():
    """A quarter circle of radius 50 cm: 78.5 cm along, 70.7 cm across; chords of 5 cm lose 0.04 % of it."""
    angle = np.linspace(0, np.pi / 2, 400)
    arc = 50 * np.stack([np.sin(angle), 1 - np.cos(angle), 0 * angle], axis=1)
    assert track_length(arc, arc[0], 5.0) == pytest.approx(78.54, rel=0.01)
    assert track_length(arc, arc[-1], 5.0) == pytest.approx(78.54, rel=0.01)


def test_slices_follow_a_bent_track_where_they_have_enough_points():
    angle = np.linspace(0, 1, 400)
    arc = 50 * np.stack([np.sin(angle), 1 - np.cos(angle), 0 * angle], axis=1)
    found = segments(arc, arc[0], 5.0, "bin_pca")
    turns = np.degrees(np.arccos((found.direction[:-1] * found.direction[1:]).sum(1)))
    assert turns[1:-1].mean() == pytest.approx(np.degrees(5 / 50), rel=0.15)
    assert np.allclose(segments(arc, arc[0], 5.0, "bin_pca", fewest=400).direction, found.direction.mean(0), atol=0.3)


def test_few_points():
    empty = segments(np.empty((0, 3)), np.zeros(3), 5.0)
    assert len(empty.length) == 0
    assert empty.direction.shape == (0, 3)
    for method in ("step_next", "bin_pca"):
        assert track_length(np.ones((1, 3)), np.ones(3), 5.0, method) == 0
        assert track_length(np.array([[0.0, 0, 0], [0, 3, 0]]), np.zeros(3), 5.0, method) == pytest.approx(3)


def test_a_gap_is_crossed():
    gap = LINE[(LINE[:, 0] < 8) | (LINE[:, 0] > 20)]
    assert track_length(gap, gap[0], 5.0) == pytest.approx(30.0, rel=0.01)


def test_a_gap_may_be_wider_than_all_points_are_many():
    two = np.array([[0.0, 0, 0], [100, 0, 0]])
    assert track_length(two, two[0], 1.0) == pytest.approx(100.0)


def test_the_order_of_points_does_not_matter():
    rng = np.random.default_rng(0)
    noisy = LINE + rng.normal(0, 0.2, LINE.shape)
    shuffled = rng.permutation(noisy)
    for method in ("step_next", "bin_pca"):
        assert track_length(shuffled, noisy[0], 5.0, method) == pytest.approx(
            track_length(noisy, noisy[0], 5.0, method)
        )
