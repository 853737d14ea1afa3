"""Normalisation: every recipe against a direct computation, lazily the same as at once, and how it is written."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from weft.errors import WeftError
from weft.volumes import lazy
from weft.volumes.lazy import LazyVolume, scratch
from weft.volumes.normalise import channel, normalised, normalised_channels
from weft.volumes.recipes import RECIPES, AutoContrast, Steps, recipe
from weft.volumes.smoothing import blur


def stack(seed=0, shape=(11, 40, 37)):
    rng = np.random.default_rng(seed)
    image = rng.gamma(2, 150, shape)
    image[shape[0] // 3, 0, 0] = 30000
    return image.astype(np.uint16)


def auto_contrast(x, below, above):
    m, s = x.mean(), x.std()
    low, high = x.min() if below is None else max(m - below * s, x.min()), min(m + above * s, x.max())
    return (np.clip(x, low, high) - low) / (high - low)


def min_max(x):
    return (x - x.min()) / (x.max() - x.min())


def background(x):
    return min_max(x - gaussian_filter(x, 50, truncate=3, mode="nearest"))


#: What the table of the specification says (§8).
DIRECT = {
    0: min_max,
    1: lambda x: auto_contrast(x, 2, 11),
    2: lambda x: auto_contrast(x, 2.5, 10),
    4: lambda x: auto_contrast(x, 1, 15),
    7: lambda x: auto_contrast(x, 1, 6),
    10: lambda x: auto_contrast(x, None, 25),
    11: background,
    12: lambda x: auto_contrast(background(x), 2.5, 10),
    13: lambda x: auto_contrast(background(x), 2, 11),
    14: lambda x: auto_contrast(x, 1, 10),
    15: lambda x: background(np.where(x > 4000, x.min(), x)),
    16: lambda x: auto_contrast(background(x), 1.5, 6),
    17: lambda x: auto_contrast(background(x), 1, 10),
    18: lambda x: auto_contrast(background(x), 1.5, 10),
}


@pytest.mark.parametrize("number", RECIPES)
def test_the_integer_recipes_are_those_of_the_table(number):
    made = normalised(stack(), recipe(number))
    assert isinstance(made, LazyVolume)
    assert made.dtype == made[:].dtype == np.float32
    np.testing.assert_allclose(made[:], DIRECT[number](stack().astype(np.float64)), atol=2e-5)


def test_the_other_steps():
    x = stack().astype(np.float64)
    low, high = np.percentile(x, [1, 99])
    cases = {
        "z_score": (x - x.mean()) / x.std(),
        "log": np.log1p(x - x.min()),
    }
    for step, expected in cases.items():
        np.testing.assert_allclose(normalised(stack(), recipe(step))[:], expected, rtol=2e-5, atol=2e-5)
    scaled = (x - low) / (high - low)
    pieces = [
        ({"percentile": [1, 99]}, np.clip(scaled, 0, 1)),
        ({"percentile": {"low": 1, "high": 99, "clip": False}}, scaled),
        ({"clip": [100, 500]}, np.clip(x, 100, 500)),
        ({"clip": {"high": 500}}, np.minimum(x, 500)),
        ({"outliers": 500}, np.where(x > 500, x.min(), x)),
        ({"log": 50}, np.log1p((x - x.min()) / 50)),
    ]
    for step, expected in pieces:
        np.testing.assert_allclose(normalised(stack(), recipe([step]))[:], expected, rtol=2e-5, atol=2e-5)


def test_a_range_for_the_mean():
    x = stack().astype(np.float64)
    inside = x[(x > 50) & (x < 2000)]
    low, high = max(inside.mean() - inside.std(), x.min()), min(inside.mean() + 6 * inside.std(), x.max())
    made = normalised(stack(), recipe([{"auto_contrast": [1, 6, 2000, 50]}]))[:]
    np.testing.assert_allclose(made, (np.clip(x, low, high) - low) / (high - low), atol=1e-5)
    with pytest.raises(WeftError, match="no voxel between low"):
        normalised(stack(), recipe([{"auto_contrast": [1, 6, 70000, 60000]}]))


@pytest.mark.parametrize("number", [1, 12, 15])
def test_any_slice_and_any_slabs_say_the_same(number, monkeypatch, tmp_path):
    whole = normalised(stack(), recipe(number))[:]
    monkeypatch.setattr(lazy.slabs, "__defaults__", (40 * 37 * 2,))
    read = []

    class Lazy:
        shape, dtype = stack().shape, stack().dtype

        def __getitem__(self, key):
            made = stack()[key]
            read.append(made.size)
            return made

    made = normalised(Lazy(), recipe(number), memory_mib=0.01, folder=tmp_path)
    np.testing.assert_allclose(made[:], whole, atol=1e-6)
    np.testing.assert_allclose(made[2:5, 7, ::3], whole[2:5, 7, ::3], atol=1e-6)
    assert list(tmp_path.iterdir()) == [], "the scratch file has no name"


def test_memory_is_that_of_slabs(monkeypatch):
    monkeypatch.setattr(lazy.slabs, "__defaults__", (40 * 37 * 2,))
    most = []

    class Lazy:
        shape, dtype = stack().shape, stack().dtype

        def __getitem__(self, key):
            most.append(stack()[key].size)
            return stack()[key]

    normalised(Lazy(), recipe([{"percentile": [1, 99]}, {"auto_contrast": [1, 6]}]))
    assert max(most) == 40 * 37 * 2


def test_scratch_files_hold_what_is_written(tmp_path):
    made = scratch((3, 4, 5), np.float32, 0.0, tmp_path)
    assert isinstance(made, np.memmap)
    made[1] = 2
    assert made.sum() == 40
    assert not isinstance(scratch((3, 4, 5), np.float32), np.memmap)


@pytest.mark.parametrize("step", ["min_max", "z_score", "percentile", "auto_contrast", "background", "log"])
@pytest.mark.parametrize("shape", [(1, 8, 9), (3, 1, 1)])
def test_constant_stacks_and_single_slices(step, shape):
    given = {"auto_contrast": {"auto_contrast": [1, 6]}}.get(step, step)
    assert not normalised(np.full(shape, 9, np.uint8), recipe(given))[:].any()
    assert np.isfinite(normalised(stack(shape=shape), recipe(given))[:]).all()


def test_nothing_to_do_is_float32():
    made = normalised(stack(), recipe([]))[:]
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, stack())


def test_values_that_are_not_finite_are_refused():
    bad = stack().astype(np.float32)
    bad[4, 0, 0] = np.nan
    with pytest.raises(WeftError, match="plane 4"):
        normalised(bad, recipe("z_score"))
    with pytest.raises(WeftError, match=r"expected \[Z, Y, X\]"):
        normalised(bad[0], recipe("z_score"))


def test_channels_are_normalised_each_by_itself():
    image = np.stack([stack(0), stack(1) * 3])
    made = normalised_channels(image, [recipe("min_max"), recipe([{"auto_contrast": [1, 6]}])])
    assert made.shape == image.shape
    np.testing.assert_array_equal(made[0], normalised(stack(0), recipe("min_max"))[:])
    np.testing.assert_array_equal(made[1, 2], normalised(stack(1) * 3, recipe([{"auto_contrast": [1, 6]}]))[2])
    np.testing.assert_array_equal(made[:, 2:4, ..., 5], made[:][:, 2:4, ..., 5])
    np.testing.assert_array_equal(made[...], made[:])
    last = normalised_channels(image, [recipe("min_max")], channels=[-1])
    np.testing.assert_array_equal(last[0], normalised(stack(1) * 3, recipe("min_max"))[:])
    with pytest.raises(WeftError, match="3 recipes for 2 channels"):
        normalised_channels(image, [recipe(0)] * 3)
    with pytest.raises(WeftError, match="channel 2 of an image with 2"):
        channel(image, 2)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize(("sigma", "n"), [(0.7, 9), (5, 40), (50, 37), (3, 700)])
def test_the_blur_and_its_derivatives_are_those_of_scipy(sigma, n, order, axis):
    from scipy.ndimage import gaussian_filter1d

    shape = [3, 4, 2]
    shape[axis] = n
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = gaussian_filter1d(array.astype(float), sigma, axis, order, mode="nearest", truncate=3)
    np.testing.assert_allclose(blur(array, sigma, axis, order=order), expected, atol=5e-6)


def test_the_ways_to_write_a_recipe_are_the_same():
    expected = (recipe(12),)
    assert (recipe([{"background_sub": 50}, {"auto_contrast": [2.5, 10]}]),) == expected
    assert (recipe([{"background": {"sigma": 50}}, {"name": "auto_contrast", "below": 2.5, "above": 10}]),) == expected
    assert recipe("min_max") == recipe(["min_max"]) == recipe({"min_max": None}) == recipe(0)
    assert recipe(recipe(12)) == recipe(12)
    assert recipe([step.model_dump(mode="json") for step in recipe(12)]) == recipe(12)
    assert recipe(10) == (AutoContrast(name="auto_contrast", above=25),)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "there is no recipe 3; recipes are 0, 1, 2, 4"),
        ([{"sharpen": 2}], "there is no step 'sharpen'"),
        ([{"auto_contrast": [1, 2, 3, 4, 5]}], "5 values for below, above, high, low"),
        ([{"percentile": [99, 1]}], "must be less than high"),
        ([{"clip": [5, 1]}], "must be less than high"),
        ([{"background": -1}], "greater than 0"),
        ([{"background": {"width": 3}}], "width"),
        ([{"min_max": 3}], "1 values for no options"),
        (True, "valid tuple"),
    ],
)
def test_what_is_no_recipe_is_refused(given, said):
    with pytest.raises(ValidationError, match=said):
        recipe(given)


def test_an_option_may_hold_a_recipe():
    from weft.config.strict import Strict

    class Options(Strict):
        normalisation: Steps = recipe(1)

    assert Options(normalisation=12).normalisation == recipe(12)
    assert Options(**Options(normalisation=12).model_dump(mode="json")) == Options(normalisation=12)
