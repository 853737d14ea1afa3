import numpy as np

from weft.detector.dead import dead_pixels


def test_shares_and_tiles():
    dead = dead_pixels(512, 512, 0.0, 0.1, 16, 1)
    boards = dead.reshape(32, 16, 32, 16).transpose(0, 2, 1, 3).reshape(1024, 256)
    assert set(boards.sum(1)) == {0, 256}  # whole tiles or none
    assert 0.07 < dead.mean() < 0.13
    assert 0.03 < dead_pixels(512, 512, 0.04, 0.0, 16, 1).mean() < 0.05


def test_a_map_is_its_seed():
    assert np.array_equal(dead_pixels(100, 70, 0.1, 0.1, 16, 3), dead_pixels(100, 70, 0.1, 0.1, 16, 3))
    assert not np.array_equal(dead_pixels(100, 70, 0.1, 0.1, 16, 3), dead_pixels(100, 70, 0.1, 0.1, 16, 4))
    assert not dead_pixels(100, 70, 0.0, 0.0, 16, 3).any()
