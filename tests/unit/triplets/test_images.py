import dataclasses

import numpy as np
import pytest
from triplet_detectors import SIXTY

from weft.detector.wires import Detector, GapRule
from weft.errors import WeftError
from weft.triplets.images import dead_masks, dead_of, dead_table, pixels_of

ONE = Detector("one", (SIXTY,))
TWO = Detector("two", (SIXTY, SIXTY))
STATUS = np.dtype([("plane", "i2"), ("channel", "i4"), ("status", "i2")])


def test_pixels_by_hand():
    images = np.zeros((6, 10, 30), np.float32)
    images[4, 3, 29] = 10
    images[4, 3, 2] = 12
    images[4, 1, 7] = 9.99
    images[0, 9, 0] = 400
    found = pixels_of(TWO, images, 10)
    assert found.tolist() == [(0, 0, 9, 0, 400, 0), (1, 1, 3, 2, 12, 0), (1, 1, 3, 29, 10, 0)]
    assert len(pixels_of(TWO, np.zeros_like(images), 10)) == 0


def test_images_that_do_not_fit():
    with pytest.raises(WeftError, match="has 3 planes of 10 rows and up to 30 wires"):
        pixels_of(ONE, np.zeros((2, 10, 30)), 10)
    with pytest.raises(WeftError, match=r"images of shape \(3, 9, 30\)"):
        dead_of(ONE, np.zeros((3, 9, 30)), None)
    images = np.zeros((3, 10, 40))
    assert len(pixels_of(ONE, images, 10)) == 0, "padding is fine"
    images[2, 1, 20] = 11
    with pytest.raises(
        WeftError, match="image 2 has charge in column 20, but plane Y of the detector one has 20 wires"
    ):
        pixels_of(ONE, images, 10)


def test_dead_wires_of_status_and_gaps():
    detector = dataclasses.replace(ONE, gaps=GapRule(10, 2))
    images = np.full((3, 10, 30), 5.0)
    images[:, 4] = 20
    images[0, :, [3, 4]] = 10
    images[1, :, 10:20] = 0
    images[2, :, 20:] = 0  # beyond the last wire of Y
    status = np.array([(0, 7, 0), (0, 8, 3), (0, 9, 4), (2, 19, 1), (2, 5, 5)], STATUS)
    found = dead_of(detector, images, status)
    assert [np.flatnonzero(mask).tolist() for mask in found[0]] == [[3, 4, 7, 8], [], [19]]
    assert [len(mask) for mask in found[0]] == [30, 30, 20]
    assert [mask.sum() for mask in dead_of(detector, images, None)[0]] == [2, 0, 0]
    assert [mask.sum() for mask in dead_of(ONE, images, status)[0]] == [2, 0, 1]

    with pytest.raises(WeftError, match=r"status of channel 20 of plane 2, but plane Y .* has 20 wires"):
        dead_of(ONE, images, np.array([(2, 20, 1)], STATUS))


def test_a_table_of_dead_wires_and_back():
    rng = np.random.default_rng(0)
    dead = tuple(tuple(rng.random(plane.wires) < 0.3 for plane in tpc.planes) for tpc in TWO.tpcs)
    table = dead_table(dead)
    assert table.tolist() == sorted(table.tolist())
    for masks, again in zip(dead, dead_masks(TWO, table), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(masks, again, strict=True))
    nothing = dead_table(tuple(tuple(np.zeros(plane.wires, bool) for plane in tpc.planes) for tpc in TWO.tpcs))
    assert len(nothing) == 0
    assert sum(mask.sum() for masks in dead_masks(TWO, nothing) for mask in masks) == 0
