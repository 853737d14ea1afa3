"""Clusters as lists of rows and as labels, and their tables."""

import numpy as np
from boxes import box

from weft.io.products import SHOWER, TRACK, Ragged
from weft.io.reco_products import FRAGMENT_VOXELS, FRAGMENTS
from weft.reco.nodes import by_label, fragment_products, numbered_by_first, select, voxel_labels


def test_rows_by_label_and_back():
    labels = np.array([2, -1, 0, 2, 0, -1])
    items = by_label(labels)
    assert [item.tolist() for item in items] == [[2, 4], [], [0, 3]]
    np.testing.assert_array_equal(voxel_labels(items, 6), labels)
    assert len(by_label(labels, 5)) == 5
    assert len(by_label(np.empty(0, int))) == len(by_label(np.array([-1]))) == 0


def test_labels_by_the_group_of_the_item():
    items = by_label(np.array([0, 0, 1, 2, -1]))
    assert voxel_labels(items, 5, np.array([[0], [-1], [0]])).tolist() == [0, 0, -1, 0, -1]


def test_numbered_by_first():
    assert numbered_by_first(np.array([9, -3, 4, 9, 0])).tolist() == [0, -1, 1, 0, 2]
    assert numbered_by_first(np.array([7, -1, 3, 7, 0, -5])).tolist() == [0, -1, 1, 0, 2, -1]
    assert numbered_by_first(np.empty(0, np.int64)).tolist() == []


def test_some_items_in_an_order():
    items = Ragged.of([np.array([1, 2]), np.array([3]), np.empty(0, int), np.array([4, 5, 6])])
    assert [item.tolist() for item in select(items, np.array([3, 2, 0]))] == [[4, 5, 6], [], [1, 2]]
    assert len(select(items, np.empty(0, int))) == 0


def test_fragments_by_hand():
    voxels = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 9, 9]], np.int32)
    charge = np.array([[1.0], [2.0], [3.0], [4.0]], np.float32)
    products = fragment_products(by_label(np.array([0, 0, 0, 1])), np.array([TRACK, SHOWER]), voxels, charge, box())
    table = products["fragments"]
    assert table["shape"].tolist() == [TRACK, SHOWER]
    assert table["size"].tolist() == [3, 1]
    assert table["energy"].tolist() == [6.0, 4.0]
    ends = [[table[f"{point}_{axis}"][0] for axis in "xyz"] for point in ("start", "end")]
    assert sorted(ends) == [[-0.75, 0.25, 10.25], [0.25, 0.25, 10.25]]
    assert [table[f"start_{axis}"][1] for axis in "xyz"] == [3.75, 4.75, 14.75]
    assert [table[f"end_{axis}"][1] for axis in "xyz"] == [3.75, 4.75, 14.75]
    assert FRAGMENTS.conform(table, "test") is not None
    assert FRAGMENT_VOXELS.conform(products["fragment_voxels"].values, "test").tolist() == [0, 1, 2, 3]


def test_no_fragments():
    products = fragment_products(
        by_label(np.full(1, -1)), np.empty(0, int), np.zeros((1, 3), np.int32), np.ones((1, 1), np.float32), box()
    )
    assert len(products["fragments"]) == len(products["fragment_voxels"]) == 0
