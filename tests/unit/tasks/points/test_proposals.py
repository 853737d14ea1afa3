import numpy as np
import pytest
from scipy.spatial.distance import cdist

from weft.io.reco_products import POINTS
from weft.tasks.points.options import MergeOptions
from weft.tasks.points.proposals import merge_proposals

LOW, SIZE = np.array([-8.0, -8.0, -8.0]), np.array([0.5, 0.5, 0.25])


def proposals(rows):
    """rows: (offset, score, class, probability of it, end) of each voxel."""
    made = np.zeros((len(rows), 10), np.float32)
    for k, (offset, score, label, share, end) in enumerate(rows):
        made[k, :3], made[k, 3], made[k, 9] = offset, score, end
        made[k, 4:9] = (1 - share) / 4
        made[k, 4 + label] = share
    return made


def merge(rows, voxels, semantics=None, least=0.0, **options):
    voxels = np.array(voxels, np.int32).reshape(-1, 3)
    semantics = None if semantics is None else np.array(semantics, np.int8)
    return merge_proposals(proposals(rows), voxels, semantics, LOW, SIZE, MergeOptions(**options), least)


NEAR = [((1, 0, 0), 0.9, 1, 0.8, 0.2), ((0, 0, 0), 0.6, 1, 0.6, 0.6), ((0, 0, 0), 0.7, 1, 0.7, 0.1)]
VOXELS = [(10, 10, 10), (11, 10, 10), (30, 10, 10)]


def test_near_proposals_are_one_point_in_cm():
    points = merge(NEAR, VOXELS, [1, 1, 1])
    assert points.dtype == POINTS.dtype
    assert points["occupancy"].tolist() == [2, 1]
    assert points["x"].tolist() == pytest.approx([-8 + 0.5 * 11.5, -8 + 0.5 * 30.5])
    assert points["z"].tolist() == pytest.approx([-8 + 0.25 * 10.5] * 2)
    assert points["score"].tolist() == pytest.approx([0.9, 0.7])  # the largest
    assert points["score_track"].tolist() == pytest.approx([0.8, 0.7])
    assert points["end_score"].tolist() == pytest.approx([0.4, 0.1])  # the mean
    assert points["class"].tolist() == [1, 1]


def test_scores_can_be_pooled_by_their_mean():
    points = merge(NEAR, VOXELS, [1, 1, 1], pool="mean")
    assert points["score"].tolist() == pytest.approx([0.75, 0.7])
    assert points["score_track"].tolist() == pytest.approx([0.7, 0.7])


@pytest.mark.parametrize(("options", "left"), [({"score": 0.65}, [1, 1]), ({"distance": 30.0}, [3]),
                                               ({"least": 0.65}, [1, 1]), ({"score": 0.95}, [])])  # fmt: skip
def test_thresholds(options, left):
    assert merge(NEAR, VOXELS, [1, 1, 1], **options)["occupancy"].tolist() == left


def test_a_proposal_agrees_with_the_class_of_its_voxel():
    rows = [((0, 0, 0), 0.9, 1, 0.8, 0)] * 4 + [((0, 0, 0), 0.9, 1, 0.45, 0)]
    voxels = [(10 * k, 0, 0) for k in range(5)]
    semantics = [1, 0, 4, -1, 1]
    assert merge(rows, voxels, semantics)["x"].tolist() == pytest.approx([-7.75])
    assert len(merge(rows, voxels, semantics, class_score=0.4)) == 2
    assert len(merge(rows, voxels, enforce_class=False)) == 5


def test_a_point_is_near_a_voxel_of_its_class():
    rows, voxels = [((1.95, 0, 0), 0.9, 0, 0.9, 0)], [(5, 5, 5)]
    assert len(merge(rows, voxels, [0])) == 1
    assert len(merge(rows, voxels, [0], class_distance=1.9)) == 0
    assert len(merge(rows, voxels, [0], anchor="corner")) == 0  # from there it is √(2.45² + 0.5² + 0.5²) away
    # Another voxel of the class that proposes too vouches for it, one that does not propose or of another class not.
    far = [((2.5, 0, 0), 0.9, 0, 0.9, 0), ((0, 0, 0), 0.9, 0, 0.9, 0)]
    assert len(merge(far, [(5, 5, 5), (8, 5, 5)], [0, 0], distance=0.1)) == 2
    assert len(merge(far, [(5, 5, 5), (8, 5, 5)], [0, 1], distance=0.1)) == 0


def test_the_class_of_a_point_is_that_of_most_of_its_proposals_and_the_lowest_of_equals():
    rows = [((0, 0, 0), 0.9, label, 0.6, 0) for label in (3, 1, 3)]
    voxels = [(10, 10, 10), (11, 10, 10), (12, 10, 10)]
    assert merge(rows, voxels, enforce_class=False)["class"].tolist() == [3]
    assert merge(rows[:2], voxels[:2], enforce_class=False)["class"].tolist() == [1]


def test_chains_of_near_proposals_are_one_point():
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 12, (80, 3))
    rows = [((0, 0, 0), 0.9, 0, 0.9, 0)] * len(voxels)
    points = merge(rows, voxels, enforce_class=False)
    near = (cdist(voxels, voxels) <= 1.999).astype(int)
    reach = np.linalg.matrix_power(near.astype(float), 80) > 0
    groups = {tuple(np.flatnonzero(row)) for row in reach}
    assert sorted(points["occupancy"]) == sorted(map(len, groups))


def test_of_overlapping_boxes_the_best_is_kept():
    voxels = [(10, 10, 10), (11, 10, 10), (14, 10, 10)]
    options = {"select": "nms", "nms_half_side": 4.0}
    # Boxes of side 8 that are d apart along one axis overlap by (8 − d) / (8 + d).
    kept = merge([(o, s, c, p, e) for (o, s, c, p, e) in NEAR], voxels, [1, 1, 1], nms_iou=0.5, **options)
    assert kept["score"].tolist() == pytest.approx([0.9, 0.7])  # 0.9 stands at 11.5 as 0.6 does; 0.7 is 3 away: 0.45
    assert kept["occupancy"].tolist() == [2, 1]
    assert kept["end_score"].tolist() == pytest.approx([0.2, 0.1])  # of the best alone
    assert len(merge(NEAR, voxels, [1, 1, 1], nms_iou=0.4, **options)) == 1
    apart = [((0, 0, 0), *row[1:]) for row in NEAR]
    assert len(merge(apart, voxels, [1, 1, 1], nms_iou=0.8, **options)) == 3  # 1 apart: 7/9


def test_masked_proposals_are_dropped_whatever_the_threshold():
    assert len(merge([((0, 0, 0), 0.0, 0, 0.9, 0)], [(1, 1, 1)], [0], score=0.0)) == 0


@pytest.mark.parametrize("select", ["merge", "nms"])
@pytest.mark.parametrize("n", [0, 1])
def test_no_voxel_and_one(select, n):
    points = merge(NEAR[:n], VOXELS[:n], [1] * n, select=select)
    assert points["occupancy"].tolist() == [1] * n


@pytest.mark.parametrize("select", ["merge", "nms"])
def test_the_order_of_voxels_does_not_matter(select):
    rng = np.random.default_rng(1)
    voxels = rng.integers(0, 30, (60, 3))
    rows = [(rng.normal(size=3), rng.random(), rng.integers(4), 0.8, rng.random()) for _ in voxels]
    order = rng.permutation(len(voxels))
    names = ["x", "score", "occupancy"]
    first, second = (
        np.sort(merge([rows[k] for k in chosen], voxels[chosen], enforce_class=False, select=select)[names])
        for chosen in (np.arange(len(voxels)), order)
    )
    for name in names:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-5)
