"""Distances between surfaces: by hand, in µm, and against MONAI."""

import math

import numpy as np
import pytest

from weft.errors import WeftError
from weft.metrics.surface import hausdorff, mean_distance, surface, surface_counts, surface_dice, surface_distances


def box(shape, *edges):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*edge) for edge in edges)] = True
    return mask


def blobs(seed, shape=(12, 24, 22)):
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return noise > 0.5 * noise.std()


def test_a_surface_has_the_voxels_with_a_face_outside():
    mask = box((7, 7, 7), (1, 6), (1, 6), (1, 6))
    assert surface(mask).sum() == 5**3 - 3**3
    assert surface(np.ones((4, 4, 4), bool)).sum() == 4**3 - 2**3, "the stack ends there"
    assert surface(np.ones((1, 5, 5), bool)).all(), "a single slice is all surface"


def test_a_shift_by_two_planes_is_twice_their_distance():
    first, second = np.zeros((9, 8, 8), bool), np.zeros((9, 8, 8), bool)
    first[2], second[4] = True, True
    distances = surface_distances(first, second, (0.3, 0.1, 0.1))
    assert hausdorff(distances) == pytest.approx(0.6)
    assert mean_distance(distances) == pytest.approx(0.6)
    assert surface_dice(distances, 0.59) == 0
    assert surface_dice(distances, 0.6) == 1
    assert surface_counts(distances, 0.6) == (128, 128)


def test_equal_masks_are_at_no_distance():
    distances = surface_distances(blobs(1), blobs(1), (0.3, 0.1, 0.1))
    assert hausdorff(distances) == mean_distance(distances) == 0
    assert surface_dice(distances, 0) == 1


def test_empty_masks():
    nothing, something = np.zeros((3, 4, 5), bool), box((3, 4, 5), (0, 1), (0, 2), (0, 2))
    both = surface_distances(nothing, nothing, (1, 1, 1))
    assert surface_dice(both, 1) == 1
    assert math.isnan(hausdorff(both))
    assert math.isnan(mean_distance(both))
    for pair in ((nothing, something), (something, nothing)):
        one = surface_distances(*pair, (1, 1, 1))
        assert surface_dice(one, 1e9) == 0
        assert hausdorff(one) == mean_distance(one) == math.inf


@pytest.mark.parametrize("seed", range(3))
def test_the_same_as_monai(seed):
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    truth, predicted, spacing = blobs(seed), blobs(seed + 10), (0.29, 0.11, 0.13)
    ours = surface_distances(truth, predicted, spacing)
    pair = [torch.tensor(np.stack([~mask, mask])[None].astype(np.float32)) for mask in (predicted, truth)]
    assert hausdorff(ours) == pytest.approx(
        compute_hausdorff_distance(*pair, percentile=95, spacing=spacing).item(), rel=1e-5
    )
    assert hausdorff(ours, 100) == pytest.approx(compute_hausdorff_distance(*pair, spacing=spacing).item(), rel=1e-5)
    assert mean_distance(ours) == pytest.approx(
        compute_average_surface_distance(*pair, symmetric=True, spacing=spacing).item(), rel=1e-5
    )
    for tolerance in (0.05, 0.2, 0.5):
        theirs = compute_surface_dice(*pair, [tolerance], spacing=spacing).item()
        assert surface_dice(ours, tolerance) == pytest.approx(theirs, abs=1e-6)


def test_what_is_not_judged_makes_no_surface():
    truth = box((4, 10, 10), (1, 3), (2, 8), (2, 8))
    predicted = truth.copy()
    predicted[:, :, 8:] = True  # wrong only where the truth is not known
    judged = np.ones(truth.shape, bool)
    judged[:, :, 8:] = False
    distances = surface_distances(truth, predicted, (1, 1, 1), judged)
    assert surface_dice(distances, 0) == 1
    assert hausdorff(distances) == 0
    assert hausdorff(surface_distances(truth, predicted, (1, 1, 1)), 100) > 1


def test_a_voxel_size_is_needed():
    with pytest.raises(WeftError, match="voxel size"):
        surface_distances(blobs(0), blobs(0), (math.nan, 0.1, 0.1))
    with pytest.raises(WeftError, match="shape"):
        surface_distances(blobs(0), blobs(0)[1:], (1, 1, 1))
