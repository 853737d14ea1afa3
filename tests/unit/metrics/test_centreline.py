"""Dice of centre lines: by hand on straight and broken tubes."""

import numpy as np
import pytest

from weft.errors import WeftError
from weft.metrics.centreline import centreline, centreline_counts, centreline_dice


def tube(start=2, stop=38, radius=2):
    y, z = np.mgrid[:15, :15][1], np.mgrid[:15, :15][0]
    mask = np.zeros((15, 15, 40), bool)
    mask[:, :, start:stop] = ((z - 7) ** 2 + (y - 7) ** 2 <= radius**2)[:, :, None]
    return mask


def value(truth, predicted, judged=None):
    return float(centreline_dice(*centreline_counts(truth, predicted, judged)))


def test_a_tube_thins_to_its_axis():
    line = centreline(tube())
    assert set(map(tuple, np.argwhere(line)[:, :2])) == {(7, 7)}
    assert 30 <= line.sum() <= 36
    assert not (line & ~tube()).any()


def test_thickness_does_not_matter_and_a_gap_does():
    assert value(tube(radius=3), tube(radius=1)) == 1
    broken = tube()
    broken[:, :, 15:25] = False
    counts = centreline_counts(tube(), broken)
    assert counts.predicted == counts.predicted_inside
    assert counts.true - counts.true_inside == 10
    share = counts.true_inside / counts.true
    assert value(tube(), broken) == pytest.approx(2 * share / (1 + share))


def test_it_does_not_depend_on_where_the_tube_is_or_along_which_axis():
    broken = tube(stop=30)
    expected = value(tube(), broken)
    assert value(np.roll(tube(), 3, 0), np.roll(broken, 3, 0)) == expected
    assert value(tube().transpose(2, 0, 1), broken.transpose(2, 0, 1)) == pytest.approx(expected, abs=0.02)


def test_empty_masks_and_what_is_not_judged():
    nothing = np.zeros((15, 15, 40), bool)
    assert value(nothing, nothing) == 1
    assert value(tube(), nothing) == value(nothing, tube()) == 0
    judged = np.ones(nothing.shape, bool)
    judged[:, :, 15:25] = False
    broken = tube()
    broken[:, :, 15:25] = False
    assert value(tube(), broken, judged) == 1
    with pytest.raises(WeftError, match="shape"):
        centreline_counts(nothing, nothing[1:])


def test_a_single_slice_and_single_voxels_keep_a_line():
    flat = np.zeros((1, 9, 30), bool)
    flat[0, 3:6, 2:28] = True
    assert centreline(flat).sum() >= 20
    dot = np.zeros((3, 3, 3), bool)
    dot[1, 1, 1] = True
    assert centreline(dot).sum() == 1


def test_counts_of_images_pool_by_their_sum():
    first = np.array(centreline_counts(tube(), tube(stop=20)))
    second = np.array(centreline_counts(tube(), tube()))
    pooled = centreline_dice(*(first + second))
    assert centreline_dice(*first) < pooled < centreline_dice(*second)
