"""Overlaps of sets of voxels, by hand, and matches both ways."""

import numpy as np
import pytest

from weft.io.products import Ragged
from weft.reco.matching import match, overlap_matrix


def _lists(*items):
    return Ragged.of([np.array(item, np.int32) for item in items], np.empty(0, np.int32))


RECO, TRUTH = _lists(range(10), range(10, 14), []), _lists(range(8), range(8, 14), [20])
COORDS = np.stack([np.arange(30), np.zeros(30), np.zeros(30)], axis=1)


@pytest.mark.parametrize(
    ("mode", "first", "second"),
    [
        ("count", [8, 2, 0], [0, 4, 0]),
        ("iou", [8 / 10, 2 / 14, 0], [0, 4 / 6, 0]),
        ("dice", [16 / 18, 4 / 16, 0], [0, 8 / 10, 0]),
        ("weighted_iou", [8 / 10 * 18 / 3, 2 / 14 * 16 / 5, 0], [0, 4 / 6 * 10 / 3, 0]),
        ("weighted_dice", [16 / 18 * 18 / 3, 4 / 16 * 16 / 5, 0], [0, 8 / 10 * 10 / 3, 0]),
    ],
)
def test_overlaps_by_hand(mode, first, second):
    overlap = overlap_matrix(RECO, TRUTH, 30, mode)
    assert np.allclose(overlap, [first, second, [0, 0, 0]])


def test_chamfer_by_hand():
    """{0..9} and {0..7}: 8 and 9 are 1 and 2 away, so 0.3 + 0."""
    overlap = overlap_matrix(RECO, TRUTH, 30, "chamfer", COORDS)
    assert overlap[0, 0] == pytest.approx(0.3)
    assert overlap[1, 2] == pytest.approx(8.5 + 7)
    assert np.isinf(overlap[2]).all()
    with pytest.raises(ValueError, match="needs coordinates"):
        overlap_matrix(RECO, TRUTH, 30, "chamfer")


def test_matches_both_ways_best_first():
    reco, truth = match(overlap_matrix(RECO, TRUTH, 30))
    assert [item.tolist() for item in reco.ids] == [[0, 1], [1], []]
    assert [item.tolist() for item in truth.ids] == [[0], [1, 0], []]
    assert np.allclose(truth.overlaps[1], [4 / 6, 2 / 14])
    assert reco.best.tolist() == [0, 1, -1]
    assert np.allclose(reco.best_overlap[:2], [0.8, 4 / 6])
    assert np.isnan(reco.best_overlap[2])


def test_overlaps_must_be_greater_than_the_least():
    reco, _ = match(overlap_matrix(RECO, TRUTH, 30), least=0.7)
    assert reco.best.tolist() == [0, -1, -1]


def test_the_nearest_is_the_best_by_chamfer_distance():
    overlap = overlap_matrix(RECO, TRUTH, 30, "chamfer", COORDS)
    reco, _ = match(overlap, mode="chamfer")
    assert reco.ids[0].tolist() == [0, 1, 2]
    assert reco.best.tolist() == [0, 1, -1]
    assert match(overlap, 1.0, "chamfer")[0].ids[0].tolist() == [0]


def test_the_lower_row_of_equals():
    both = _lists([1], [1])
    assert match(overlap_matrix(_lists([1]), both, 3))[0].ids[0].tolist() == [0, 1]


def test_nothing():
    reco, truth = match(overlap_matrix(_lists(), TRUTH, 30))
    assert len(reco.ids) == 0
    assert truth.best.tolist() == [-1, -1, -1]
