"""Suggested normalisations: each reason occurs where it should, and the recipe does what it says."""

import numpy as np
import pytest

from weft.errors import WeftError
from weft.volumes.normalise import normalised
from weft.volumes.recipes import AutoContrast, Background, Percentile
from weft.volumes.suggestion import suggest

SHAPE = (6, 64, 72)


def flat(seed=0):
    rng = np.random.default_rng(seed)
    image = rng.normal(1000, 60, SHAPE)
    image[2:4, 20:26, 30:36] += 400
    return image.astype(np.uint16)


def kinds(found):
    return [type(step) for step in found.steps]


def test_an_even_stack_is_stretched():
    found = suggest(flat())
    assert kinds(found) == [AutoContrast]
    made = normalised(flat(), found.steps)[:]
    inside = (made > 0) & (made < 1)
    assert inside.mean() > 0.99
    assert found.facts["unevenness"] < 0.1
    assert "within" in found.reasons[0]


def test_a_single_hot_voxel_asks_for_percentiles():
    image = flat()
    image[0, 0, 0] = 60000
    found = suggest(image)
    assert kinds(found) == [Percentile]
    assert np.median(normalised(image, found.steps)[:]) > 0.2
    assert found.facts["range over that of 99.8 % of the voxels"] > 10


def test_a_ramp_asks_for_its_subtraction():
    image = flat().astype(np.float32) + np.linspace(0, 3000, SHAPE[2], dtype=np.float32)
    found = suggest(image)
    assert kinds(found) == [Background, Percentile]
    assert found.steps[0].sigma == 8
    made = normalised(image, found.steps)[:]
    before = np.quantile(image, 0.2, axis=(0, 1))
    after = np.quantile(made, 0.2, axis=(0, 1))
    assert np.ptp(after[8:-8]) / np.ptp(made) < 0.3 * np.ptp(before[8:-8]) / np.ptp(image)
    assert "background changes by" in found.reasons[0]


def test_structures_are_no_background():
    """A few bright objects leave the dim part of every tile as it is."""
    image = flat()
    image[:, 5:9, 5:9] += 4000
    assert Background not in kinds(suggest(image))


def test_saturation_is_said():
    image = flat().astype(np.uint8)
    image[:, :20] = 255
    assert any("saturated" in reason for reason in suggest(image).reasons)
    assert suggest(image).facts["saturated share"] >= 20 / 64


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 8, 9), (1, 2, 5)])
def test_constant_and_tiny_stacks(shape):
    found = suggest(np.full(shape, 7, np.uint8))
    assert "nothing will be seen" in found.reasons[0]
    rng = np.random.default_rng(0)
    other = rng.integers(0, 100, shape).astype(np.uint8)
    assert np.isfinite(normalised(other, suggest(other).steps)[:]).all()
    with pytest.raises(WeftError, match="no voxels"):
        suggest(np.zeros((0, 4, 4)))
