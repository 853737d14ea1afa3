"""From probabilities to objects: thresholds, holes, small ones, and the table, by hand and against scikit-image."""

import tracemalloc

import numpy as np
import pytest

from weft.volumes import lazy
from weft.volumes.objects import ObjectOptions, decided, find_objects, measure

SPACING = (0.3, 0.1, 0.2)


def scene():
    """Labels of two classes: a block with a hole, a speck, and a block of class 2 that holds class 1."""
    labels = np.zeros((8, 20, 20), np.int16)
    labels[1:6, 1:8, 1:8] = 1
    labels[3, 4, 4] = 0
    labels[1, 15, 2] = 1
    labels[2:7, 10:18, 10:18] = 2
    labels[4, 13:15, 13:15] = 1
    return labels


def test_decisions_of_probabilities():
    probabilities = np.array([[0.5, 0.4, 0.2], [0.3, 0.35, 0.7], [0.2, 0.25, 0.1]]).reshape(3, 1, 1, 3)
    assert decided(probabilities)[:].ravel().tolist() == [0, 0, 1]
    assert decided(probabilities, 0.34)[:].ravel().tolist() == [0, 1, 1]
    assert decided(probabilities, 0.7)[0, 0].tolist() == [0, 0, 1], "a probability at the threshold is above it"
    assert decided(probabilities, 0.71)[:].dtype == np.int16
    assert not decided(probabilities, 0.71)[:].any()


def test_holes_are_filled_and_specks_removed():
    image = np.ones((1, 8, 20, 20), np.float32)
    found = find_objects(scene(), ObjectOptions(min_voxels=5, max_hole=3), SPACING, image)
    assert found.labels[3, 4, 4] == 1
    assert found.labels[1, 15, 2] == 0
    assert found.labels[4, 13, 13] == 0, "four voxels of class 1 are a speck too"
    assert found.objects["class"].tolist() == [1, 2]
    assert found.objects["voxels"].tolist() == [5 * 7 * 7, 5 * 8 * 8 - 4]
    np.testing.assert_array_equal(found.instances > 0, found.labels > 0)


def test_a_hole_with_another_class_in_it_stays():
    image = np.ones((8, 20, 20), np.float32)
    found = find_objects(scene(), ObjectOptions(max_hole=100), SPACING, image)
    assert (found.labels[4, 13:15, 13:15] == 1).all()
    assert len(found.objects) == 4
    assert found.objects["class"].tolist() == [1, 1, 1, 2]


def test_nothing_to_clean_changes_no_label():
    labels = scene()
    labels[0, 0, 0] = -1
    found = find_objects(labels, ObjectOptions(), SPACING, np.ones(labels.shape, np.float32))
    np.testing.assert_array_equal(found.labels, np.maximum(labels, 0))
    assert labels[0, 0, 0] == -1, "what is given is not changed"


def test_the_table_is_that_of_scikit_image(monkeypatch):
    from skimage.measure import regionprops

    monkeypatch.setattr(lazy.slabs, "__defaults__", (800,))
    rng = np.random.default_rng(0)
    image, probabilities = rng.random((2, 8, 20, 20)).astype(np.float32), rng.random((3, 8, 20, 20))
    found = find_objects(scene(), ObjectOptions(), SPACING, image, probabilities)
    for row, region in zip(found.objects, regionprops(found.instances, image[0]), strict=True):
        assert row["label"] == region.label
        assert row["voxels"] == region.area
        assert row["volume"] == pytest.approx(region.area * 0.006)
        np.testing.assert_allclose([row[f"centroid_{a}"] for a in "zyx"], np.array(region.centroid) * SPACING)
        assert tuple(row[f"{edge}_{a}"] for edge in ("start", "stop") for a in "zyx") == region.bbox
        assert row["mean_intensity"] == pytest.approx(region.intensity_mean, rel=1e-6)
        inside = found.instances == row["label"]
        assert row["mean_probability"] == pytest.approx(probabilities[row["class"]][inside].mean(), rel=1e-6)


def test_unknown_voxel_sizes_and_empty_stacks():
    nan = (np.nan,) * 3
    found = find_objects(scene(), ObjectOptions(), nan, np.ones((8, 20, 20), np.float32))
    assert np.isnan(found.objects["volume"]).all()
    assert np.isnan(found.objects["centroid_x"]).all()
    assert np.isnan(found.objects["mean_probability"]).all()
    assert found.objects["voxels"].all()
    nothing = find_objects(np.zeros((1, 4, 4), np.int16), ObjectOptions(), SPACING, np.ones((1, 4, 4), np.float32))
    assert len(nothing.objects) == 0
    assert not nothing.labels.any()


def test_an_object_without_voxels_has_an_empty_box():
    row = measure(np.zeros((1, 2, 2), np.int32), np.array([1]), SPACING, np.ones((1, 2, 2)))[0]
    assert row["voxels"] == 0
    assert np.isnan(row["mean_intensity"])
    assert [row[f"stop_{a}"] - row[f"start_{a}"] for a in "zyx"] == [0, 0, 0]


def test_memory_of_a_table_is_that_of_pieces():
    """4 million voxels, all of them in objects: their places alone would be 128 MiB."""
    instances = np.repeat(np.arange(1, 3, dtype=np.int32), 1 << 21).reshape(2, 2048, 1024)
    image = np.ones(instances.shape, np.uint16)
    probabilities = np.broadcast_to(np.float32(0.25), (2, *instances.shape))
    tracemalloc.start()
    try:
        table = measure(instances, np.array([1, 1]), SPACING, image, probabilities)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table["voxels"].tolist() == [1 << 21, 1 << 21]
    assert table["stop_y"].tolist() == [2048, 2048]
    assert table["mean_probability"].tolist() == [0.25, 0.25]
    assert most < 32 << 20
