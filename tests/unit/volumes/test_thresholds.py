"""Thresholds of histograms: by hand, and those that scikit-image finds of all voxels, within a bin."""

import numpy as np
import pytest
from skimage.filters import threshold_li, threshold_otsu

from weft.volumes.thresholds import histogram, li, otsu


def images():
    rng = np.random.default_rng(0)
    two = np.where(rng.random(20000) < 0.2, rng.normal(5, 1, 20000), rng.normal(1, 0.3, 20000))
    return {
        "two": two,
        "dim": rng.gamma(2, 1, 20000),
        "answers": rng.normal(0, 1, 20000) ** 3,
        "many": np.abs(two) * 300,
    }


@pytest.mark.parametrize("name", images())
def test_the_same_as_scikit_image(name):
    image = images()[name]
    counts, centres = histogram(image)
    width = centres[1] - centres[0]
    assert counts.sum() == image.size
    assert otsu(counts, centres) == pytest.approx(threshold_otsu(image, nbins=len(counts)), abs=1.01 * width)
    assert li(counts, centres) == pytest.approx(threshold_li(image), abs=3 * width)


def test_two_values_are_told_apart_by_any():
    image = np.array([1.0] * 5 + [3.0] * 2)
    for threshold in (otsu, li):
        assert 1 <= threshold(*histogram(image)) < 3


def test_nothing_is_brighter_than_the_threshold_of_a_constant():
    for image in (np.full(9, 4.0), np.zeros(0)):
        for threshold in (otsu, li):
            assert not (image > threshold(*histogram(image))).any()


def test_a_shift_and_a_factor_move_the_threshold_with_them():
    image = images()["two"]
    for threshold in (otsu, li):
        once = threshold(*histogram(image))
        assert threshold(*histogram(image * 7 + 40)) == pytest.approx(once * 7 + 40, rel=1e-6)
