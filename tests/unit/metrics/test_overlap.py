"""Overlap of label volumes: by hand, with voxels that do not count, and against MONAI."""

import numpy as np
import pytest

from weft.errors import WeftError
from weft.metrics.overlap import dice, iou, overlap_counts, precision, recall


def test_counts_by_hand_without_ignored_voxels():
    truth = np.array([[[0, 0, 1, 1, -1, 1]]])
    predicted = np.array([[[0, 1, 1, 0, 1, 1]]])
    cost = np.array([[[1, 1, 2.5, 1, 1, 0]]])
    assert overlap_counts(truth, predicted, 2).tolist() == [[1, 1], [1, 2]]
    assert overlap_counts(truth, predicted, 2, cost).tolist() == [[1, 1], [1, 1]]
    counts = overlap_counts(truth, predicted, 2, cost)
    assert dice(counts)[1] == 2 / 4
    assert iou(counts)[1] == 1 / 3
    assert precision(counts)[1] == 1 / 2
    assert recall(counts)[1] == 1 / 2


def test_empty_against_empty_is_one_or_left_out():
    nothing = overlap_counts(np.zeros((2, 3, 3), int), np.zeros((2, 3, 3), int), 2)
    for metric in (dice, iou, precision, recall):
        assert metric(nothing)[1] == 1
        assert np.isnan(metric(nothing, np.nan)[1])
    invented = overlap_counts(np.zeros((1, 1, 2), int), np.array([[[0, 1]]]), 2)
    assert dice(invented)[1] == 0
    assert iou(invented)[1] == 0
    assert precision(invented)[1] == 0


def test_the_same_as_monai():
    import torch
    from monai.metrics import compute_dice, compute_iou

    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, (2, 5, 8, 9))
    hot = [torch.tensor(np.moveaxis(np.eye(3)[labels], -1, 0)[None]) for labels in (predicted, truth)]
    counts = overlap_counts(truth, predicted, 3)
    np.testing.assert_allclose(dice(counts), compute_dice(*hot)[0], rtol=1e-6)
    np.testing.assert_allclose(iou(counts), compute_iou(*hot)[0], rtol=1e-6)


def test_other_shapes_are_refused():
    with pytest.raises(WeftError, match="cost has shape"):
        overlap_counts(np.zeros((2, 2, 2), int), np.zeros((2, 2, 2), int), 2, np.ones((2, 2)))
    with pytest.raises(WeftError, match="predicted has shape"):
        overlap_counts(np.zeros((2, 2, 2), int), np.zeros((2, 2), int), 2)
