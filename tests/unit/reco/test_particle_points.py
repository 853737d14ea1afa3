"""Proposed points at particles, by hand."""

import numpy as np
import pytest

from weft.io.products import SHOWER, TRACK, Ragged
from weft.reco.particle_points import particle_points

# A track along x from 0 to 9 cm, a shower of two voxels on it and beside, and a particle without voxels.
POINTS = np.array([[x, 0, 0] for x in range(10)] + [[5, 1, 0]], np.float64)
NODES = Ragged.of([np.arange(10), np.array([5, 10]), np.empty(0, int)])
PROPOSED = np.array([[-1.5, 0, 0], [9, 2, 0], [5, 2.5, 0], [40, 0, 0]])


def items(ragged):
    return [rows.tolist() for rows in ragged]


def test_points_are_nearer_than_the_distance():
    assert items(particle_points(POINTS, NODES, PROPOSED, 2.0)) == [[0], [2], []]  # the second lies at 2 cm
    assert items(particle_points(POINTS, NODES, PROPOSED, 2.0001)) == [[0, 1], [2], []]
    assert items(particle_points(POINTS, NODES, PROPOSED, 3.0)) == [[0, 1, 2], [2], []]


def test_only_those_of_the_class():
    shapes, classes = np.array([TRACK, SHOWER, TRACK]), np.array([TRACK, SHOWER, TRACK, TRACK])
    assert items(particle_points(POINTS, NODES, PROPOSED, 3.0, shapes, classes)) == [[0, 2], [], []]


@pytest.mark.parametrize(("nodes", "proposed"), [(NODES, PROPOSED[:0]), (Ragged.of([], np.empty(0, int)), PROPOSED)])
def test_no_points_and_no_particles(nodes, proposed):
    found = particle_points(POINTS, nodes, proposed, 3.0)
    assert items(found) == [[]] * len(nodes)
    assert found.values.dtype == np.int32
