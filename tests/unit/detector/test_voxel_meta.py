import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weft.detector.meta import VoxelMeta

META = VoxelMeta((-1.0, 0.0, 2.0), (0.5, 1.0, 2.0), (4, 3, 5))


def test_ids_are_larcvs():
    # z·nx·ny + y·nx + x, by hand: 4·4·3 + 2·4 + 3 = 59.
    assert META.ids(np.array([[3, 2, 4], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])).tolist() == [59, 0, 1, 4, 12]


@given(st.lists(st.integers(0, 59), max_size=30))
def test_ids_and_voxels_are_inverse(ids):
    xyz = META.xyz(np.array(ids, np.int64))
    assert META.ids(xyz).tolist() == ids
    assert np.array_equal(META.index(META.centre(xyz)), xyz)


def test_walls():
    assert META.upper == (1.0, 3.0, 12.0)
    points = np.array([[-1.0, 0, 2], [1, 3, 12], [-1.01, 0, 2], [1.01, 0, 2], [-0.5, 1.0, 4.0]])
    assert META.index(points).tolist() == [[0, 0, 0], [3, 2, 4], [-1, 0, 0], [4, 0, 0], [1, 1, 1]]
    assert META.inside(points).tolist() == [True, True, False, False, True]


def test_a_cube_is_centred():
    meta = VoxelMeta.cube(256, 0.3)
    assert np.allclose(meta.lower, -38.4)
    assert np.allclose(meta.upper, 38.4)
