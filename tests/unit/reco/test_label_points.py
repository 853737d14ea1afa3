import numpy as np
import pytest

from weft.io.products import META, PARTICLES
from weft.reco.label_points import label_points, near_points


@pytest.fixture
def meta() -> np.ndarray:
    meta = np.zeros(1, META.dtype)
    for axis in "xyz":
        meta[f"min_{axis}"], meta[f"size_{axis}"], meta[f"n{axis}"] = -3.0, 0.3, 20
    return meta


def particle(**fields: float) -> np.ndarray:
    row = np.zeros(1, PARTICLES.dtype)
    row["num_voxels"], row["energy_deposit"] = 10, 5.0
    for name, value in fields.items():
        row[name] = value
    return row


def test_track_has_two_points_in_voxel_units(meta: np.ndarray) -> None:
    track = particle(pdg=13, shape=1, first_step_x=-3.0, first_step_y=0.0, first_step_z=0.45, last_step_x=2.85)
    points = label_points(track, meta)
    np.testing.assert_allclose(points.position, [[0, 10, 11.5], [19.5, 10, 10]], rtol=1e-6)
    assert points.end.tolist() == [False, True]
    assert points.shape.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"pdg": 11, "shape": 0}, 1),
        ({"pdg": 22, "shape": 0, "first_step_x": 3.1}, 0),  # a photon that comes in from outside
        ({"pdg": 2212, "shape": 1, "first_step_x": 3.1}, 2),  # anything else may
        ({"pdg": 22, "shape": 0, "first_step_x": 3.0}, 1),  # the edge belongs to the box
        ({"pdg": 1000180400, "shape": 1}, 0),
        ({"pdg": 11, "shape": 4}, 0),
        ({"pdg": 11, "shape": -1}, 0),
        ({"pdg": 11, "shape": 6}, 0),
        ({"pdg": 11, "shape": 0, "num_voxels": 0}, 0),
    ],
)
def test_which_particles_are_marked(meta: np.ndarray, fields: dict[str, float], expected: int) -> None:
    assert len(label_points(particle(**fields), meta).position) == expected


def test_minimum_size_and_energy(meta: np.ndarray) -> None:
    two = np.concatenate([particle(pdg=11, num_voxels=4, energy_deposit=9), particle(pdg=11, num_voxels=9)])
    assert label_points(two, meta, min_voxels=5).particle.tolist() == [1]
    assert label_points(two, meta, min_energy=6.0).particle.tolist() == [0]


def test_near_points_is_inclusive_and_agrees_with_brute_force() -> None:
    voxels = np.array([[0, 0, 0], [3, 4, 0], [3, 4, 1]])
    assert near_points(voxels, np.array([[0.0, 0, 0]]), 5.0).tolist() == [True, True, False]
    rng = np.random.default_rng(0)
    voxels, points = rng.integers(0, 60, (500, 3)), rng.uniform(0, 60, (7, 3))
    distance = np.linalg.norm(voxels[:, None] - points[None], axis=2)
    np.testing.assert_array_equal(near_points(voxels, points, 12.0), (distance <= 12.0).any(axis=1))


def test_no_points_and_no_voxels() -> None:
    assert near_points(np.zeros((3, 3)), np.zeros((0, 3)), 5.0).tolist() == [False] * 3
    assert near_points(np.zeros((0, 3)), np.zeros((2, 3)), 5.0).tolist() == []
