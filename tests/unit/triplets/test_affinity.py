import numpy as np
import pytest
from label_events import deposits_at, line, particle, table

from weft.simulation.event import simulate_event
from weft.simulation.settings import SimulationSettings
from weft.triplets.affinity import particle_directions, track_directions
from weft.triplets.key_points import seen_deposits
from weft.triplets.label_options import LabelOptions

OPTIONS = LabelOptions()


def angle(found, expected):
    """Degrees."""
    cosine = np.einsum("ij,ij->i", np.atleast_2d(found).astype(float), np.broadcast_to(expected, np.shape(found)))
    return np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 0, -1), (2, -3, 6)])
def test_a_straight_track(axis):
    axis = np.array(axis) / np.linalg.norm(axis)
    start = -10 * axis
    deposits = deposits_at(line(start, 10 * axis), 0)
    at = line(start, 10 * axis, 0.5) + np.random.default_rng(0).normal(0, 0.15, (41, 3))
    found = track_directions(at, np.zeros(41, int), deposits, start[None], 2.0)
    assert angle(found, axis).max() < 0.05
    # In the direction of its motion: the other way round it points the other way.
    assert angle(track_directions(at, np.zeros(41, int), deposits, -start[None], 2.0), -axis).max() < 0.05


def test_charge_that_is_spread_around_a_track():
    rng = np.random.default_rng(1)
    axis = np.array([1, 2, 2]) / 3
    path = line(-10 * axis, 10 * axis, 0.02)
    deposits = deposits_at(path + rng.normal(0, 0.15, path.shape), 0, energy=rng.exponential(0.1, len(path)))
    found = track_directions(path[::10], np.zeros(len(path[::10]), int), deposits, path[:1], 2.0)
    off = angle(found, axis)
    assert np.median(off) < 2
    assert off.max() < 10


def test_a_track_that_turns_back_is_followed():
    # A half circle of radius 5 cm and back along a line: half of it runs against the way from its start to its end.
    turn = np.linspace(0, np.pi, 158)
    arc = np.stack([0 * turn, 5 * np.sin(turn), 5 - 5 * np.cos(turn)], axis=1)  # from (0, 0) to (0, 10) in (y, z)
    back = line((0, -0.1, 10), (0, -15, 10))
    path = np.concatenate([arc, back])
    direction = np.concatenate(
        [np.stack([0 * turn, np.cos(turn), np.sin(turn)], 1), np.tile([0, -1, 0], (len(back), 1))]
    )
    found = track_directions(path, np.zeros(len(path), int), deposits_at(path, 0), path[:1], 2.0)
    assert angle(found, direction)[20:].max() < 5  # the circle bends by 23° in 2 cm
    against = direction @ (path[-1] - path[0]) < 0
    assert 0.1 < against.mean() < 0.9


def test_a_track_in_pieces_and_tracks_that_cross():
    first, second = line((0, 0, 0), (0, 0, 5)), line((0, 0, 9), (0, 0, 20))
    other = line((0, -10, 12), (0, 10, 12))
    deposits = np.concatenate([deposits_at(other, 0), deposits_at(first, 1), deposits_at(second, 1)])
    start = np.array([[0, -10, 12], [0, 0, 0.0]])
    at = np.array([[0, 0, 2], [0, 0, 15], [0, 0, 12], [0, 0, 12]])
    found = track_directions(at, np.array([1, 1, 1, 0]), deposits, start, 2.0)
    assert found == pytest.approx(np.array([[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0]]), abs=1e-6)


def test_no_direction():
    deposits = deposits_at(line((0, 0, 0), (0, 0, 5)), 0)
    at, whose = np.array([[0, 0, 2.0], [0, 0, 9.0], [0, 0, 2.0]]), np.array([0, 0, 1])
    start = np.zeros((2, 3))
    found = track_directions(at, whose, deposits, start, 2.0)
    assert np.isnan(found).any(axis=1).tolist() == [False, True, True]  # too far from its charge, none of its own
    assert np.isnan(track_directions(at, whose, deposits[:1], start, 2.0)).all()  # a single point
    assert np.isnan(track_directions(at, whose, deposits[:0], start, 2.0)).all()
    assert np.isnan(track_directions(at, whose, deposits, start * np.nan, 2.0)).all()
    assert track_directions(at[:0], whose[:0], deposits, start, 2.0).shape == (0, 3)


def test_which_particles_have_which_direction():
    rows = table(
        particle(shape=1, group_id=0, first_step=(0, 0, 5), momentum=(1, 0, 0)),  # track: not its momentum
        particle(shape=0, group_id=1, first_step=(0, 0, 0), momentum=(0, 3, 4)),  # shower
        particle(shape=0, group_id=1, first_step=(5, 0, 0), momentum=(9, 0, 0)),  # its fragment: as its leader
        particle(shape=4, group_id=1, first_step=(5, 0, 0), momentum=(9, 0, 0)),  # low-energy charge of the shower
        particle(shape=4, group_id=4, first_step=(5, 0, 0), momentum=(9, 0, 0)),  # low-energy charge of its own
        particle(shape=2, group_id=5, momentum=(0, -2, 0)),  # Michel electron
        particle(shape=3, group_id=6, momentum=(0, 0, 0)),  # delta ray of unknown momentum
    )
    deposits = deposits_at(line((0, 0, 0), (0, 0, 5)), 0)
    at = np.tile([0, 0, 2.5], (7, 1))
    found = particle_directions(at, np.arange(7), rows, deposits, OPTIONS)
    assert found.dtype == np.float32
    expected = [[0, 0, -1], [0, 0.6, 0.8], [0, 0.6, 0.8], [0, 0.6, 0.8], [np.nan] * 3, [0, -1, 0], [np.nan] * 3]
    assert found == pytest.approx(np.array(expected), abs=1e-6, nan_ok=True)
    moved = deposits_at(line((7, 0, 0), (7, 0, 5)), 0)  # coordinates of another origin
    shifted = LabelOptions(origin=(7.0, 0.0, 0.0))
    assert particle_directions(at + np.array([7, 0, 0]), np.arange(7), rows, moved, shifted)[0] == pytest.approx(
        [0, 0, -1]
    )


def test_scattered_tracks_of_the_simulation():
    """The label against the path that each muon, pion and proton really took, over 1.2 cm of it."""
    settings = SimulationSettings.parse({"wires": {"detector": "toy"}})
    off = []
    for index in range(3):
        event = simulate_event(settings, 21, index)
        deposits, owner = event.transported.deposits, event.labels.of_deposit
        own = (deposits["track"] == event.labels.track[owner]) & (event.labels.shape[owner] == 1)
        place, owner = np.stack([deposits[a] for a in "xyz"], 1)[own], owner[own]
        middle = np.flatnonzero(owner[4:] == owner[:-4]) + 2
        step = place[middle + 2] - place[middle - 2]
        start = np.stack([event.particles[f"_first_step._{a}"] for a in "xyz"], axis=1)
        found = track_directions(place[middle], owner[middle], seen_deposits(event.wires.deposits), start, 2.0)
        off.append(angle(found, step / np.linalg.norm(step, axis=1, keepdims=True)))
    off = np.concatenate(off)
    assert len(off) > 1000
    assert not np.isnan(off).any()
    assert np.median(off) < 1
    assert np.mean(off > 20) < 0.01
    assert np.mean(off > 90) < 0.001
