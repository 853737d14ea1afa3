"""Columns and orders of 2020 and of SPINE, there and back (spine_full_chain spec §9.1)."""

import numpy as np
import pytest
from grappa_events import event, line, nothing, particle, two_interactions

from weft.errors import WeftError
from weft.io.products import LOW_ENERGY
from weft.reco.other_layouts import (
    COLUMNS_2020,
    COLUMNS_SPINE,
    edges_to_2020,
    edges_to_spine,
    label_rows,
    labels_to_2020,
    labels_to_spine,
    proposals_to_2020,
    proposals_to_spine,
    sparse_to_2020,
    sparse_to_spine,
)

RNG = np.random.default_rng(0)


def test_the_batch_comes_last_in_2020_and_first_in_spine() -> None:
    rows = np.array([[1, 2, 3, 7, 0.5, 0.6]])
    assert sparse_to_spine(rows).tolist() == [[7, 1, 2, 3, 0.5, 0.6]]
    many = RNG.random((5, 9))
    np.testing.assert_array_equal(sparse_to_2020(sparse_to_spine(many)), many)
    assert sparse_to_spine(many[:0]).shape == (0, 9)


def test_scores_come_before_the_classes_in_2020_and_after_them_in_spine() -> None:
    rows = np.array([[0.1, 0.2, 0.3, -1, 1, 10, 11, 12, 13, 14]])
    assert proposals_to_spine(rows).tolist() == [[0.1, 0.2, 0.3, 10, 11, 12, 13, 14, -1, 1]]
    many = RNG.random((5, 10))
    np.testing.assert_array_equal(proposals_to_2020(proposals_to_spine(many)), many)


def test_edges_of_2020_go_forth_first_and_then_back() -> None:
    edges = np.array([[0, 1], [0, 2], [1, 2], [1, 0], [2, 0], [2, 1]])
    assert edges_to_spine(edges).tolist() == [[0, 1], [1, 0], [0, 2], [2, 0], [1, 2], [2, 1]]
    np.testing.assert_array_equal(edges_to_2020(edges_to_spine(edges)), edges)
    assert edges_to_spine(np.arange(4.0)).tolist() == [0, 2, 1, 3]  # scores go with them
    assert edges_to_2020(np.zeros((0, 2))).shape == (0, 2)
    with pytest.raises(WeftError, match="both directions"):
        edges_to_spine(edges[:3])


def test_labels_of_2020_come_back_from_the_columns_of_spine() -> None:
    rows = RNG.integers(0, 50, (8, 10)).astype(float)
    rows[:, -1] = [0, 1, 2, 3, 4, 0, 1, 4]
    rows[rows[:, -1] >= LOW_ENERGY, 5:9] = -1
    wide = labels_to_spine(rows)
    assert wide.shape == (8, 21)
    assert (wide[:, COLUMNS_SPINE.index("pid")] == -1).all()
    np.testing.assert_array_equal(wide[:, COLUMNS_SPINE.index("shape")], rows[:, COLUMNS_2020.index("semantic")])
    np.testing.assert_array_equal(wide[:, COLUMNS_SPINE.index("batch")], rows[:, COLUMNS_2020.index("batch")])
    np.testing.assert_array_equal(labels_to_2020(wide), rows)
    with pytest.raises(WeftError, match=r"shape \(8, 10\), expected \(N, 21\)"):
        labels_to_2020(rows)


def test_label_rows_of_an_event() -> None:
    """A photon's shower whose second fragment is its daughter's, and a low-energy deposit."""
    made = event(
        [
            particle(line((10, 10, 10), (14, 10, 10)), 0, 22, p=300.0, vertex=(8, 10, 10)),
            particle(line((20, 10, 10), (24, 10, 10)), 0, 11, group=0, parent=0, time=1.0, p=50.0, vertex=(8, 10, 10)),
            particle(line((70, 70, 70), (72, 70, 70)), LOW_ENERGY, 11, energy=0.2),
        ]
    )
    rows = dict(zip(COLUMNS_SPINE, label_rows(made, batch=3).T, strict=True))
    np.testing.assert_array_equal(np.stack([rows[axis] for axis in "xyz"], 1), made["voxels"])
    assert set(rows["batch"]) == {3}
    second = made["voxels"][:, 0] // 10 == 2
    assert set(rows["cluster"][second]) == {1}
    for name, expected in (("group", 0), ("pid", 0), ("group_primary", 0), ("p", 300), ("vertex_x", 8), ("shape", 0)):
        assert set(rows[name][second]) == {expected}, name
    for name, expected in (("ancestor", 0), ("ancestor_pid", 0), ("ancestor_p", 300)):
        assert set(rows[name][second]) == {expected}, name
    low = made["semantics"][:, 0] == LOW_ENERGY
    old = labels_to_2020(label_rows(made))
    assert (old[low][:, 5:9] == -1).all()
    assert (old[~low][:, 5:8] >= 0).all()
    assert old[low][:, 4].tolist() == pytest.approx([0.2] * 3)


def test_label_rows_of_nothing_and_of_many() -> None:
    assert label_rows(nothing()).shape == (0, 21)
    made = two_interactions()
    rows = dict(zip(COLUMNS_SPINE, label_rows(made).T, strict=True))
    labels, owner = made["truth/particle_labels"], made["truth/voxel_particles"]
    for name in ("group", "interaction", "nu", "pid", "interaction_primary"):
        np.testing.assert_array_equal(rows[name], labels[name][owner])
