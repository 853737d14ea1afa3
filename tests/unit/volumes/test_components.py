"""Connected components in slabs: those of scipy, numbers included; small ones and holes."""

import numpy as np
import pytest
from scipy import ndimage

from weft.errors import WeftError
from weft.volumes import lazy
from weft.volumes.components import connected_components, holes, without_small


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("density", [0.05, 0.25, 0.6])
@pytest.mark.parametrize("deep", [1, 3, 100])
def test_the_same_as_scipy_whatever_the_slabs(connectivity, density, deep, monkeypatch):
    monkeypatch.setattr(lazy.slabs, "__defaults__", (deep * 13 * 15,))
    mask = np.random.default_rng(int(100 * density)).random((17, 13, 15)) < density
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    expected, n = ndimage.label(mask, structure)
    found = connected_components(mask, connectivity, memory_mib=0.001)
    np.testing.assert_array_equal(found.labels, expected)
    assert found.n == n
    np.testing.assert_array_equal(found.sizes, np.bincount(expected.ravel(), minlength=n + 1))


def test_a_spiral_through_many_slabs_is_one(monkeypatch):
    monkeypatch.setattr(lazy.slabs, "__defaults__", (1,))
    mask = np.zeros((9, 3, 3), bool)
    ring = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0)]
    for z, place in enumerate(ring):
        mask[(z, *place)] = True
    assert connected_components(mask, 18).n == 1
    assert connected_components(mask, 6).n == 9
    mask[8] = True  # a U that is joined by its last plane
    mask[:, 1, 1] = True
    assert connected_components(mask, 6).n < 9


def test_empty_masks_and_single_slices():
    assert connected_components(np.zeros((4, 5, 6), bool)).n == 0
    assert connected_components(np.ones((1, 5, 6), bool)).sizes.tolist() == [0, 30]
    assert connected_components(np.zeros((0, 5, 6), bool)).n == 0
    with pytest.raises(WeftError, match=r"expected \[Z, Y, X\]"):
        connected_components(np.ones((5, 6), bool))


def test_small_components_go_and_the_others_keep_their_order():
    mask = np.zeros((1, 1, 20), bool)
    for start, stop in ((0, 3), (4, 5), (6, 10), (12, 14)):
        mask[..., start:stop] = True
    kept = without_small(connected_components(mask), 3)
    assert kept.labels[0, 0].tolist() == [1, 1, 1, 0, 0, 0, 2, 2, 2, 2] + [0] * 10
    assert kept.sizes.tolist() == [13, 3, 4]
    assert without_small(kept, 1) is kept
    assert without_small(connected_components(mask), 99).n == 0


def test_holes_are_enclosed_and_small():
    mask = np.ones((7, 7, 7), bool)
    mask[0] = mask[-1] = False
    mask[3, 3, 3] = False  # one voxel
    mask[2:4, 1, 1] = False  # two
    mask[1, 5, 5] = False  # open to the first plane
    assert holes(mask, 5).sizes[1:].tolist() == [2, 1]
    assert holes(mask, 1).sizes[1:].tolist() == [1]
    assert holes(np.zeros((3, 3, 3), bool), 100).n == 0


def test_a_hole_does_not_leak_through_corners():
    """A cavity that touches the outside by an edge only is a hole of a mask that is joined by edges and corners."""
    mask = np.ones((5, 5, 5), bool)
    mask[2, 2, 2] = mask[2, 1, 1] = mask[2, 0, 0] = False
    assert holes(mask, 9, 26).sizes[1:].tolist() == [1, 1]
    assert holes(mask, 9, 6).n == 0
