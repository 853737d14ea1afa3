"""Changes of intensities: what they do to numbers, that nothing else changes, names of other programs."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from weft.volumes.augment import bias_field, low_resolution, to_power, vary_intensities
from weft.volumes.augment_options import Augmentations, AugmentOptions, BiasField, LowResolution

OPTIONS = TypeAdapter(Augmentations)
CHANGES = ("gamma", "brightness", "contrast", "noise", "blur", "bias_field", "low_resolution")


def patch(seed=0):
    return np.random.default_rng(seed).random((2, 4, 16, 20), np.float32)


def only(name, **values):
    given = {"probability": 1.0} | values
    return OPTIONS.validate_python({"flip": [], "turn": False, name: given})


@pytest.mark.parametrize("name", CHANGES)
def test_each_changes_the_image_and_leaves_its_input(name):
    before = patch()
    kept = before.copy()
    made = vary_intensities(before, only(name), np.random.default_rng(5))
    assert np.array_equal(before, kept)
    assert made.dtype == np.float32
    assert made.shape == before.shape
    assert np.isfinite(made).all()
    assert not np.array_equal(made, before)
    assert np.array_equal(made, vary_intensities(before, only(name), np.random.default_rng(5)))
    assert not np.array_equal(made, vary_intensities(before, only(name), np.random.default_rng(6)))


def test_nothing_asked_for_is_nothing_done():
    assert np.array_equal(vary_intensities(patch(), AugmentOptions(), np.random.default_rng(0)), patch())


@pytest.mark.parametrize("name", CHANGES)
def test_probability(name):
    rng = np.random.default_rng(0)
    done = sum(
        not np.array_equal(vary_intensities(patch(), only(name, probability=0.25), rng), patch()) for _ in range(200)
    )
    assert 30 < done < 72


@pytest.mark.parametrize("name", CHANGES)
def test_constant_and_single_voxels_are_no_trouble(name):
    for shape in ((1, 1, 1, 1), (1, 1, 5, 1), (2, 3, 8, 8)):
        made = vary_intensities(np.full(shape, 0.5, np.float32), only(name), np.random.default_rng(2))
        assert np.isfinite(made).all()


def test_hand_computed_values():
    rng = np.random.default_rng
    before = patch()
    shifted = vary_intensities(before, only("brightness", low=0.25, high=0.25), rng(0))
    assert np.allclose(shifted, before + 0.25)
    stretched = vary_intensities(before, only("contrast", low=2, high=2), rng(0))
    assert np.allclose(stretched.mean((1, 2, 3)), before.mean((1, 2, 3)), atol=1e-5)
    assert np.allclose(stretched.std((1, 2, 3)), 2 * before.std((1, 2, 3)), rtol=1e-4)
    noisy = vary_intensities(np.zeros((1, 16, 64, 64), np.float32), only("noise", low=0.5, high=0.5), rng(0))
    assert noisy.std() == pytest.approx(0.5, rel=0.02)
    assert noisy.mean() == pytest.approx(0, abs=0.01)
    blurred = vary_intensities(before, only("blur", low=1, high=1), rng(0))
    flat = vary_intensities(before[:, :1], only("blur", low=1, high=1), rng(0))
    assert np.allclose(blurred[:, :1], flat), "slices are not mixed"
    assert blurred.std() < before.std()
    powered = to_power(np.array([0, 1, 2, 4], np.float32).reshape(1, 1, 1, 4) - 3, 2.0)
    assert powered.ravel().tolist() == [-3, -2.75, -2, 1]


def test_a_bias_field_is_smooth_and_positive():
    field = bias_field((6, 40, 50), BiasField(), np.random.default_rng(1))
    assert field.min() > 0
    assert max(np.abs(np.diff(np.log(field), axis=axis)).max() for axis in (1, 2)) < 0.5
    assert field.std() > 0.01


def test_low_resolution_keeps_what_is_linear():
    ramp = np.broadcast_to(np.arange(20, dtype=np.float32), (1, 2, 16, 20)).copy()
    made = low_resolution(ramp, LowResolution(low=2, high=2), np.random.default_rng(0))
    assert np.allclose(made, ramp, atol=1e-4)
    assert np.array_equal(low_resolution(ramp, LowResolution(low=1, high=1), np.random.default_rng(0)), ramp)


def test_names_of_other_programs():
    options = OPTIONS.validate_python(["RR", "RF", "RN", "RI", "RBF"])
    assert options.flip == ("z", "y", "x")
    assert options.rotate is not None
    assert options.rotate.probability == 0.5
    assert all(getattr(options, name) is not None for name in ("noise", "brightness", "bias_field"))
    assert not options.turn
    assert options.gamma is None
    plain = OPTIONS.validate_python(["turn", "gamma", "flip"])
    assert plain.turn
    assert plain.flip == ("z", "y", "x")
    assert OPTIONS.validate_python([]) == AugmentOptions(flip=(), turn=False)
    with pytest.raises(ValidationError, match="no augmentation 'RX'; there are: RR"):
        OPTIONS.validate_python(["RX"])
    with pytest.raises(ValidationError, match="must not be more than high"):
        OPTIONS.validate_python({"gamma": {"low": 2, "high": 1}})
