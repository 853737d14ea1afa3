"""Objects found, missed and invented: by hand, and against an exhaustive search."""

from itertools import permutations

import numpy as np
import pytest

from weft.errors import WeftError
from weft.metrics.instances import average_precision, best_iou, f1, match, match_counts, overlap


def line(*runs, length=20):
    """int [1, 1, length]: object k + 1 from runs[k][0] to runs[k][1]."""
    made = np.zeros((1, 1, length), np.int32)
    for number, (start, stop) in enumerate(runs, 1):
        made[..., start:stop] = number
    return made


def exhaustive(found, threshold):
    """Most matches, and the largest IoU with so many, of all assignments."""
    iou = np.zeros((len(found.true), len(found.predicted)))
    iou[found.pairs[:, 0], found.pairs[:, 1]] = found.iou
    if iou.shape[0] > iou.shape[1]:
        iou = iou.T
    best = (0, 0.0)
    for columns in permutations(range(iou.shape[1]), iou.shape[0]):
        values = iou[np.arange(len(iou)), list(columns)]
        good = values >= threshold
        best = max(best, (int(good.sum()), float(values[good].sum())))
    return best


def test_overlaps_by_hand():
    found = overlap(line((0, 4), (6, 10)), line((0, 3), (3, 8)))
    assert found.true.tolist() == [1, 2]
    assert found.predicted_size.tolist() == [3, 5]
    assert found.pairs.tolist() == [[0, 0], [0, 1], [1, 1]]
    np.testing.assert_allclose(found.iou, [3 / 4, 1 / 8, 2 / 7])
    np.testing.assert_allclose(best_iou(found), [3 / 4, 2 / 7])


def test_counts_by_threshold():
    found = overlap(line((0, 4), (6, 10)), line((0, 3), (3, 8)))
    counts = match_counts(found, (0.1, 0.3, 0.75, 0.8))
    assert counts.tolist() == [[2, 0, 0], [1, 1, 1], [1, 1, 1], [0, 2, 2]]
    np.testing.assert_allclose(f1(counts), [1, 0.5, 0.5, 0])
    np.testing.assert_allclose(average_precision(counts), [1, 1 / 3, 1 / 3, 0])


def test_more_matches_outweigh_a_better_one():
    """True 1 overlaps both, best the one that is the only chance of true 2."""
    truth, predicted = line((0, 10), (10, 13)), line((0, 3), (3, 13))
    found = overlap(truth, predicted)
    assert found.iou.max() == pytest.approx(7 / 13)
    assert found.pairs[match(found, 0.2)].tolist() == [[0, 0], [1, 1]]
    assert found.pairs[match(found, 0.5)].tolist() == [[0, 1]]


@pytest.mark.parametrize("seed", range(8))
def test_the_assignment_is_the_best_there_is(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 6, (2, 2, 6, 5))
    found = overlap(truth, predicted)
    for threshold in (0.02, 0.1, 0.15):
        chosen = match(found, threshold)
        assert len(set(found.pairs[chosen, 0])) == len(set(found.pairs[chosen, 1])) == len(chosen)
        assert (len(chosen), pytest.approx(found.iou[chosen].sum())) == exhaustive(found, threshold)


def test_numbers_of_objects_do_not_matter():
    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 7, (2, 3, 8, 8))
    other = np.array([0, 40, 3, 999, 12, 5, 7])[truth]
    np.testing.assert_array_equal(match_counts(overlap(truth, predicted)), match_counts(overlap(other, predicted)))


def test_empty_volumes():
    nothing, some = line(), line((0, 4), (6, 9))
    assert match_counts(overlap(nothing, nothing), (0.5,)).tolist() == [[0, 0, 0]]
    assert np.isnan(f1(match_counts(overlap(nothing, nothing), (0.5,)))[0])
    assert match_counts(overlap(some, nothing), (0.5,)).tolist() == [[0, 0, 2]]
    assert match_counts(overlap(nothing, some), (0.5,)).tolist() == [[0, 2, 0]]


def test_objects_that_lie_mostly_where_nothing_is_known_do_not_count():
    truth = line((0, 4), (6, 10))
    truth[..., 12:] = -1
    predicted = line((0, 4), (11, 16), (8, 13))
    found = overlap(truth, predicted)
    assert found.predicted.tolist() == [1, 3], "2 lies at 11-15, of which 12-15 are not known"
    assert found.predicted_size.tolist() == [4, 4]
    judged = np.ones(truth.shape, bool)
    judged[..., :3] = False
    assert overlap(truth, predicted, judged).true.tolist() == [2]


def test_other_shapes_are_refused():
    with pytest.raises(WeftError, match="shape"):
        overlap(line(), line(length=3))
