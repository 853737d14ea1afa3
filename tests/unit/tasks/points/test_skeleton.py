import numpy as np

from weft.tasks.points.skeleton import FORK, TIP, skeleton


def line(start, step, n):
    return np.array(start) + np.arange(n)[:, None] * np.array(step)


def found(voxels, places, kind):
    return sorted(tuple(int(x) for x in voxels[v]) for v in places.voxel[places.kind == kind])


def test_a_line_has_two_tips():
    voxels = line((0, 0, 0), (1, 1, 0), 12)
    places = skeleton(voxels, 1.8, 5, 3)
    assert found(voxels, places, TIP) == [(0, 0, 0), (11, 11, 0)]
    assert not (places.kind == FORK).any()
    assert np.isinf(places.branch).all()
    assert places.size.tolist() == [12, 12]
    assert voxels[places.other].tolist() == voxels[places.voxel][::-1].tolist()


def test_a_side_branch_has_a_tip_and_a_fork():
    voxels = np.concatenate([line((0, 0, 0), (1, 0, 0), 21), line((8, 1, 0), (0, 1, 0), 6)])
    places = skeleton(voxels, 1.5, 5, 3)
    assert found(voxels, places, TIP) == [(0, 0, 0), (8, 6, 0), (20, 0, 0)]
    fork = voxels[places.voxel[places.kind == FORK]]
    assert np.abs(fork - [[8, 0, 0]]).max() <= 1
    assert not (skeleton(voxels, 1.5, 5, 7).kind == FORK).any()  # the branch is shorter
    assert not (skeleton(voxels, 1.5, 0, 3).kind == FORK).any()


def test_components_do_not_see_each_other():
    parts = [line((0, 0, 0), (1, 0, 0), 5), line((0, 50, 0), (0, 0, 1), 9), np.array([[90, 90, 90]])]
    voxels = np.concatenate(parts)
    order = np.random.default_rng(0).permutation(len(voxels))
    places = skeleton(voxels[order], 1.8, 3, 3)
    tips = [(0, 0, 0), (0, 50, 0), (0, 50, 8), (4, 0, 0), (90, 90, 90)]
    assert found(voxels[order], places, TIP) == tips
    single = places.size == 1
    assert places.voxel[single].tolist() == places.other[single].tolist()


def test_nothing():
    assert [len(column) for column in skeleton(np.zeros((0, 3), int), 1.8, 3, 3)] == [0] * 5
