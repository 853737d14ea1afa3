"""Colours varied at random: each change changes its own thing, and nothing else."""

import colorsys
from typing import NamedTuple

import numpy as np
import pytest

from weft.colours.hue import turned_hue
from weft.colours.jitter import jittered
from weft.colours.luma import LUMA, grey


class Widths(NamedTuple):
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


ALL = Widths(0.2, 0.2, 0.2, 0.1)


def colours(*shape):
    return np.random.default_rng(0).random((*shape, 3), np.float32)


def made(rgb, seed=0, cut=True, **widths):
    return jittered(rgb, Widths(**widths), np.random.default_rng(seed), cut=cut)


@pytest.mark.parametrize("turns", [0.1, -0.4, 1 / 3])
def test_hue_is_turned_as_colorsys_does(turns):
    corners = np.array([[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 1], [1, 1, 0], [0, 0, 1]], np.float32)
    rgb = np.concatenate([colours(100), corners])
    turned = turned_hue(rgb, turns)
    for before, after in zip(rgb.tolist(), turned.tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*before)
        assert after == pytest.approx(colorsys.hsv_to_rgb((h + turns) % 1, s, v), abs=1e-5)
    assert turned.dtype == np.float32
    assert np.array_equal(turned_hue(rgb.reshape(2, 53, 3), turns), turned.reshape(2, 53, 3))


def test_hue_of_colours_beyond_full_scale():
    assert turned_hue(4095 * colours(50), 0.2) == pytest.approx(4095 * turned_hue(colours(50), 0.2), rel=1e-4)


def test_brightness_is_one_factor_within_its_width():
    rgb = 0.3 + 0.3 * colours(8, 9)  # nothing is cut at 0 or 1
    factors = [made(rgb, seed, brightness=0.2) / rgb for seed in range(60)]
    assert all(np.ptp(each) < 1e-5 for each in factors)
    means = [each.mean() for each in factors]
    assert 0.8 <= min(means) < 0.85
    assert 1.15 < max(means) <= 1.2 + 1e-6


def test_contrast_keeps_the_mean_grey():
    rgb = 0.3 + 0.3 * colours(80)
    changed = made(rgb, 1, contrast=0.2)
    assert grey(changed).mean() == pytest.approx(grey(rgb).mean(), abs=1e-5)
    factor = changed.std() / rgb.std()
    assert 0.01 < abs(factor - 1) <= 0.2
    middle = grey(rgb).mean()
    assert changed == pytest.approx(middle + factor * (rgb - middle), abs=1e-5)


def test_saturation_leaves_greys_and_the_luma_alone():
    rgb = 0.3 + 0.3 * colours(80)
    changed = made(rgb, 1, saturation=0.5)
    assert changed @ LUMA == pytest.approx(rgb @ LUMA, abs=1e-5)
    assert not np.allclose(changed, rgb, atol=1e-3)
    assert made(np.full((4, 3), 0.4, np.float32), 1, saturation=0.5) == pytest.approx(0.4)


def test_the_order_of_changes_is_drawn():
    """With the same factors, contrast before brightness and after it are different colours, where light is cut."""
    rgb = colours(200)
    widths = Widths(brightness=1.0, contrast=1.0)
    orders = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        names = [str(name) for name in rng.permutation(["brightness", "contrast", "saturation", "hue"])]
        first, second = 1 + rng.uniform(-1, 1), 1 + rng.uniform(-1, 1)
        bright_first = names.index("brightness") < names.index("contrast")
        orders.add(bright_first)
        expected = rgb.astype(np.float64)
        for bright, factor in ((bright_first, first), (not bright_first, second)):
            middle = 0.0 if bright else (expected @ LUMA).mean()
            expected = np.clip(middle + factor * (expected - middle), 0, 1)
        assert jittered(rgb, widths, np.random.default_rng(seed)) == pytest.approx(expected, abs=1e-4)
    assert orders == {True, False}


def test_nothing_asked_for_nothing_done():
    rgb = 1.5 * colours(20)
    assert np.array_equal(made(rgb), rgb)
    assert jittered(colours(0), ALL, np.random.default_rng(0)).shape == (0, 3)


def test_the_same_generator_gives_the_same_colours():
    rgb = colours(20)
    first, again, other = (jittered(rgb, ALL, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(rgb, colours(20))


def test_colours_stay_within_full_scale_where_they_are_cut():
    rgb = colours(500)
    for seed in range(20):
        changed = made(rgb, seed, brightness=1, contrast=1, saturation=1, hue=0.5)
        assert changed.dtype == np.float32
        assert 0 <= changed.min() <= changed.max() <= 1


def test_what_is_not_cut_scales_with_the_colours():
    rgb = colours(300)
    beyond = False
    for seed in range(10):
        changed = jittered(rgb, ALL, np.random.default_rng(seed), cut=False)
        large = jittered(4095 * rgb, ALL, np.random.default_rng(seed), cut=False)
        assert large == pytest.approx(4095 * changed, rel=1e-3, abs=1)
        beyond |= changed.max() > 1.05
    assert beyond


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_have_light_and_contrast_alone(channels):
    values = np.random.default_rng(0).random((6, 7, channels), np.float32)
    seen = False
    for seed in range(5):
        changed = jittered(values, ALL, np.random.default_rng(seed))
        assert changed.shape == values.shape
        seen |= not np.allclose(changed, values, atol=1e-3)
        assert np.array_equal(jittered(values, Widths(saturation=1, hue=0.5), np.random.default_rng(seed)), values)
    assert seen
