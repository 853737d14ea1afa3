"""Windows along an axis, and mirrored borders."""

import numpy as np
import pytest

from weft.volumes.padded import PaddedPlanes
from weft.volumes.tiling import reflected, tiles


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 30, 101])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("weight", ["gaussian", "constant"])
def test_windows_cover_an_axis_and_weights_of_each_voxel_sum_to_one(size, overlap, weight):
    axis = tiles(size, 8, overlap, weight)
    total, seen = np.zeros(size), np.zeros(size, int)
    for k in range(len(axis)):
        place, part = axis.inside(k)
        assert place.stop - place.start == part.stop - part.start
        total[place] += axis.weights[k, part]
        seen[place] += 1
        assert axis.weights[k].sum() == pytest.approx(axis.weights[k, part].sum()), "nothing outside of the axis"
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    assert seen.min() >= 1
    steps = np.diff(axis.starts)
    assert (steps <= max(1, int(8 * (1 - overlap)))).all()
    if len(steps):
        assert steps.min() >= 1
        assert np.ptp(steps) <= 1, "windows are spread evenly"
        assert (axis.starts[0], axis.starts[-1]) == (0, size - 8)


def test_starts_and_weights_by_hand():
    assert tiles(8, 8, 0.5).starts == (0,)
    assert tiles(9, 8, 0.5).starts == (0, 1)
    assert tiles(20, 8, 0.5).starts == (0, 4, 8, 12)
    assert tiles(3, 8, 0.5).starts == (-2,)
    both = tiles(12, 8, 0.5, "constant")
    np.testing.assert_allclose(both.weights, [[1] * 4 + [0.5] * 4, [0.5] * 4 + [1] * 4])
    # A Gaussian of width 1: the two windows' centres are 3.5 and 7.5, voxel 4 is 0.5 and 3.5 away from them.
    near, far = np.exp(-0.5 * 0.5**2), np.exp(-0.5 * 3.5**2)
    assert tiles(12, 8, 0.5).weights[0, 4] == pytest.approx(near / (near + far), rel=1e-6)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_mirrored_voxels_are_those_of_numpy(size):
    expected = np.pad(np.arange(size), 13, "reflect") if size > 1 else np.zeros(27, int)
    assert reflected(np.arange(-13, size + 13), size).tolist() == expected.tolist()


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 9, 4, 5), (1, 3, 2, 30)])
@pytest.mark.parametrize(("before", "after"), [((0, 0), (0, 0)), ((3, 1), (0, 12))])
@pytest.mark.parametrize("memory_mib", [1024.0, 0.0])
def test_planes_are_those_of_the_padded_volume(tmp_path, shape, before, after, memory_mib):
    given = np.random.default_rng(3).integers(0, 60000, shape).astype(np.uint16)
    planes, size = 5, shape[1]
    depths = np.pad(given, ((0, 0), (20, 20), (0, 0), (0, 0)), "edge")
    widths = [(a, b) for a, b in zip(before, after, strict=True)]
    for axis, (a, b) in zip((2, 3), widths, strict=True):
        n = given.shape[axis]
        depths = depths.take(reflected(np.arange(-a, n + b), n), axis)
    held = PaddedPlanes(given, planes, before, after, memory_mib, tmp_path)
    for first in (-12, -6, -3, -1, 0, 1, 1, size - 2, size + 1, size + 9, -2):
        found = held.at(first)
        assert found.dtype == np.float32
        assert np.array_equal(found, depths[:, first + 20 : first + 20 + planes]), first
