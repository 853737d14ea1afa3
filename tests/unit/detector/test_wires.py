import dataclasses

import numpy as np
import pytest

from weft.detector.wires import Detector, Plane, Readout, Tpc
from weft.errors import WeftError

READOUT = Readout(tick=0.5, first_tick=100, ticks_per_row=6, rows=50, anode_tick=130, drift_velocity=0.1)


def tpc(planes, drift=1, anode=0.0):
    lower, upper = ((0.0, -20.0, 0.0), (10.0, 20.0, 60.0)) if drift > 0 else ((-10.0, -20.0, 0.0), (0.0, 20.0, 60.0))
    return Tpc(lower, upper, anode, drift, planes, READOUT)


SIXTY = tpc((Plane("U", 60, 0.3, 58, 217), Plane("V", -60, 0.3, 58, 217), Plane("Y", 0, 0.3, -0.5, 200)))
RANDOM = tpc((Plane("A", 20, 0.4, 60, 300), Plane("B", -50, 0.33, 50, 300), Plane("C", 85, 0.5, 60, 200)), -1)


def test_wire_coordinates_by_hand():
    # w = (−y sin θ + z cos θ)/pitch + offset
    position = np.array([[3.0, 0.0, 0.0], [3.0, 2.0, 6.0]])
    root = np.sqrt(3) / 2
    expected = [[58, 58, -0.5], [(-2 * root + 3) / 0.3 + 58, (2 * root + 3) / 0.3 + 58, 19.5]]
    assert np.allclose(SIXTY.coordinates(position), expected)
    # 62.23 and 73.77; Y: halfway between 19 and 20, and below the first wire
    assert SIXTY.wires(position).tolist() == [[58, 58, 0], [62, 74, 20]]
    assert SIXTY.wires(np.array([[0.0, 0.0, -0.1], [0.0, 0.0, 60.3]]))[:, 2].tolist() == [-1, -1]
    assert np.allclose(SIXTY.planes[0].normal, [-root, 0.5])


def test_wires_run_along_their_angle():
    for plane in (*SIXTY.planes, *RANDOM.planes):
        along = np.array([np.cos(np.deg2rad(plane.angle)), np.sin(np.deg2rad(plane.angle))])
        assert np.isclose(plane.coordinate(*(7 * along)), plane.offset)
        y, z = plane.pitch * plane.normal
        assert np.isclose(plane.coordinate(y, z), plane.offset + 1)


@pytest.mark.parametrize("volume", [SIXTY, RANDOM])
def test_a_point_is_found_again(volume):
    position = np.random.default_rng(1).uniform(volume.lower, volume.upper, (500, 3))
    assert np.allclose(volume.yz(volume.coordinates(position)), position[:, 1:])
    assert np.allclose(volume.x(volume.tick(position[:, 0])), position[:, 0])
    wires = volume.wires(position)
    seen = (wires >= 0).all(1)
    assert seen.mean() > 0.9
    rows = volume.rows(position[:, 0])
    back = volume.position(wires[seen], rows[seen])
    assert np.abs(back[:, 0] - position[seen, 0]).max() <= 0.5 * READOUT.row_length + 1e-9, "centre of the row"
    assert np.abs(back[:, 1:] - position[seen, 1:]).max() < max(plane.pitch for plane in volume.planes)


def test_least_squares_of_three_wires():
    wires = np.array([[60, 70, 25]])
    y, z = SIXTY.yz(wires)[0]
    pitch = np.array([plane.pitch for plane in SIXTY.planes])

    def miss(y, z):
        return (((SIXTY.coordinates(np.array([[0, y, z]])) - wires) * pitch) ** 2).sum()

    here = miss(y, z)
    assert all(miss(y + dy, z + dz) > here for dy, dz in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)))


def test_closure_by_hand():
    # cos 60° = ½: the normals of U and V add up to that of Y
    closure = SIXTY.closure
    assert np.isclose(closure.slope0, 1)
    assert np.isclose(closure.slope1, 1)
    assert np.isclose(closure.offset, -0.5 - 58 - 58)
    assert np.isclose(closure.reach, 1.5)
    assert np.allclose(closure.residual(np.array([[60, 60, 3], [60, 60, 5]])), [-0.5, 1.5])


@pytest.mark.parametrize("volume", [SIXTY, RANDOM])
def test_wires_of_any_point_close(volume):
    position = np.random.default_rng(2).uniform(volume.lower, volume.upper, (20000, 3))
    assert np.abs(volume.closure.residual(volume.coordinates(position))).max() < 1e-9
    wires = volume.wires(position)
    residual = volume.closure.residual(wires[(wires >= 0).all(1)])
    assert np.abs(residual).max() <= volume.closure.reach
    if volume is RANDOM:
        assert np.abs(residual).max() > 0.9 * volume.closure.reach, "and the reach is no larger than it must be"


def test_time_by_hand():
    # 0.1 cm/µs and 0.5 µs: 0.05 cm a tick, 0.3 cm a row; the anode is at tick 130, row 5
    assert np.isclose(READOUT.row_length, 0.3)
    x = np.array([0.0, 0.29, 0.3, 3.0])
    assert np.allclose(SIXTY.tick(x), [130, 135.8, 136, 190])
    assert SIXTY.rows(x).tolist() == [5, 5, 6, 15]
    assert SIXTY.rows(x, time=3.0).tolist() == [6, 6, 7, 16]
    assert SIXTY.rows(np.array([-1.51, -1.5, 13.49, 13.51])).tolist() == [-1, 0, 49, -1]
    assert np.allclose(SIXTY.position(np.array([[58, 58, 0]]), np.array([5]))[0, 0], 0.15)
    mirrored = dataclasses.replace(RANDOM, anode=0.0)
    assert mirrored.rows(-x).tolist() == [5, 5, 6, 15]
    assert np.allclose(READOUT.tick_of(READOUT.row_of(np.array([101.5, 399.0]))), [101.5, 399.0])


def test_volumes_and_their_edges():
    detector = Detector("two", (SIXTY, RANDOM))
    position = np.array([[5, 0, 30], [-5, 0, 30], [0, 0, 30], [10, 20, 60], [11, 0, 30], [5, 20.1, 30]])
    assert detector.tpc_of(position).tolist() == [0, 1, 0, 0, -1, -1]
    assert detector.tpc_of(np.zeros((0, 3))).tolist() == []
    assert SIXTY.inside(position).tolist() == [True, False, True, True, False, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"planes": (SIXTY.planes[0], SIXTY.planes[0], SIXTY.planes[2])}, "wires of planes U and U are parallel"),
        ({"planes": SIXTY.planes[:2]}, "2 wire planes, expected 3"),
        ({"drift": 0}, "drift is 0, expected 1 or −1"),
        ({"upper": (10.0, -20.0, 60.0)}, "has no volume"),
    ],
)
def test_what_is_no_drift_volume(change, message):
    with pytest.raises(WeftError, match=message):
        dataclasses.replace(SIXTY, **change)
