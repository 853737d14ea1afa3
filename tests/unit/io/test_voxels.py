import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weft.io.voxels import PRECEDENCE, merge_voxels, voxel_id, voxel_index


def test_x_counts_fastest():
    assert voxel_index(np.array([0, 1, 5, 5 * 7, 5 * 7 + 5 + 1]), (5, 7, 9)).tolist() == [
        [0, 0, 0],
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [1, 1, 1],
    ]


@given(st.tuples(*[st.integers(1, 2000)] * 3), st.integers(0, 2**32 - 1))
def test_ids_and_indices_are_inverse(shape, seed):
    index = np.random.default_rng(seed).integers(0, shape, (20, 3))
    assert np.array_equal(voxel_index(voxel_id(index, shape), shape), index)


def test_shared_voxels_add_up_and_take_the_class_of_precedence():
    ids = np.array([9, 4, 9, 4, 7, 9], np.uint64)
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    shapes = np.array([0, 3, 1, 4, 4, 1])
    merged, sums, row = merge_voxels(ids, values, shapes)
    assert merged.tolist() == [4, 7, 9]
    assert sums.tolist() == [10, 16, 37]
    assert row.tolist() == [1, 4, 5], "delta before low energy; of two tracks the last"
    assert merge_voxels(ids, values, shapes, (4, 3, 0, 1))[2].tolist() == [3, 4, 0]
    assert merge_voxels(ids, values)[2].tolist() == [3, 4, 5]


def test_nothing_merges_to_nothing():
    assert [len(x) for x in merge_voxels(np.empty(0, np.uint64), np.empty(0), np.empty(0, int))] == [0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(-5, 5), st.integers(-1, 6)), max_size=40))
def test_merging_agrees_with_a_dictionary(rows):
    ids = np.array([r[0] for r in rows], np.uint64)
    values, shapes = np.array([r[1] for r in rows], float), np.array([r[2] for r in rows], int)
    rank = {s: k for k, s in enumerate(PRECEDENCE)}
    best: dict = {}
    total: dict = {}
    for k, (i, v, s) in enumerate(rows):
        total[i] = total.get(i, 0) + v
        if i not in best or rank.get(s, 99) <= rank.get(rows[best[i]][2], 99):
            best[i] = k
    merged, sums, row = merge_voxels(ids, values, shapes)
    assert merged.tolist() == sorted(total)
    assert sums.tolist() == [total[i] for i in sorted(total)]
    assert row.tolist() == [best[i] for i in sorted(best)]
