"""Positions in cm, in voxels and as columns."""

import numpy as np

from weft.io.products import META
from weft.reco.positions import set_xyz, to_cm, to_voxels, xyz


def test_voxel_units_and_cm():
    meta = np.zeros(1, META.dtype)
    meta["min_x"], meta["min_y"], meta["min_z"] = -10, 0, 5
    for axis in "xyz":
        meta[f"size_{axis}"] = 0.3
    assert np.allclose(to_cm([[0.5, 1.5, 2.0]], meta), [[-9.85, 0.45, 5.6]])
    position = np.random.default_rng(1).normal(size=(4, 3))
    assert np.allclose(to_voxels(to_cm(position, meta), meta), position)


def test_columns_of_a_point():
    table = np.zeros(2, [("start_x", "f4"), ("start_y", "f4"), ("start_z", "f4"), ("end_x", "f4")])
    set_xyz(table, "start", np.array([[1, 2, 3], [4, 5, 6]]))
    assert table["start_y"].tolist() == [2, 5]
    assert table["end_x"].tolist() == [0, 0]
    assert xyz(table, "start").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert xyz(table, "start").dtype == np.float64
