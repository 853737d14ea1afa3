import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from weft.detector.diffusion import spread_over_voxels

COUNT = np.array([6, 5, 4])


def spread(position, sigma, floor=0.0):
    point, voxel, share = spread_over_voxels(np.array(position, float), np.array(sigma, float), COUNT, floor)
    return point, voxel, share


def test_without_diffusion_all_stays():
    point, voxel, share = spread([[1.5, 2.2, 3.9], [6.0, 5.0, 4.0]], np.zeros((2, 3)))
    assert point.tolist() == [0, 1]
    assert voxel.tolist() == [3 * 30 + 2 * 6 + 1, 3 * 30 + 4 * 6 + 5]
    assert share.tolist() == [1.0, 1.0]


def test_equals_the_integral_of_the_gaussian():
    at, s = np.array([2.3, 2.7, 1.5]), np.array([0.2, 0.3, 0.25])
    _, voxel, share = spread([at], [s])
    expected = {}
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            for dz in (-1, 0, 1):
                k = np.floor(at).astype(int) + np.array([dx, dy, dz])
                # the outer voxels take the rest of their tails, which at these widths is under 1e-4
                p = np.prod(norm.cdf((k + 1 - at) / s) - norm.cdf((k - at) / s))
                expected[(k[2] * 5 + k[1]) * 6 + k[0]] = p
    got = dict(zip(voxel.tolist(), share.tolist(), strict=True))
    assert got.keys() == expected.keys()
    assert all(got[k] == pytest.approx(expected[k], abs=2e-4) for k in got)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 6), st.floats(0, 5), st.floats(0, 4)), min_size=1, max_size=10),
    st.floats(0, 0.6),
    st.sampled_from([0.0, 0.01]),
)
def test_every_point_is_conserved_inside_the_box(points, s, floor):
    point, voxel, share = spread(points, np.full((len(points), 3), s), floor)
    assert np.bincount(point, share) == pytest.approx(np.ones(len(points)), abs=1e-12)
    assert voxel.min() >= 0
    assert voxel.max() < 120
    assert share.min() >= 0


def test_floor_drops_faint_neighbours():
    few = spread([[2.5, 2.5, 1.5]], [[0.2, 0.2, 0.2]], floor=0.01)[2]
    assert len(few) == 1  # 2.5 σ to each side: 0.6 % stays home
