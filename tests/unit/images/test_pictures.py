"""Pictures as arrays: full scale, sizes, augmentation, features."""

import numpy as np
import pytest

from weft.colours.luma import LUMA
from weft.errors import WeftError
from weft.images import augment, sizes
from weft.images.augment_options import AugmentOptions
from weft.images.normalise import normalised, unit, within_full_scale
from weft.images.pixel_features import FEATURES, pixel_features


def noise(seed: int = 0, size: tuple[int, int] = (12, 17)) -> np.ndarray:
    return np.random.default_rng(seed).random((3, *size), np.float32)


def test_full_scale():
    eight = np.array([[[0, 255]]], np.uint8)
    assert unit(eight, 1).tolist() == [[[0, 1]]]
    assert unit(np.array([[[65535]]], np.uint16), 3).shape == (3, 1, 1), "grey for each channel"
    assert unit(np.array([[[0.3]]], np.float32), 1)[0, 0, 0] == np.float32(0.3)
    with pytest.raises(WeftError, match="3 channels for a network of 1"):
        unit(np.zeros((3, 2, 2), np.uint8), 1)
    made = normalised(unit(eight, 3), (0.5, 0, 0), (0.5, 1, 2))
    assert made[:, 0].tolist() == [[-1, 1], [0, 1], [0, 0.5]]


def test_resized_pictures_cover_the_same_area():
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32) + 0.5, (1, 4, 8))
    twice = sizes.resized(ramp, (4, 16))
    assert twice[0, 0, 1:-1] == pytest.approx((np.arange(1, 15) + 0.5) / 2)
    half = sizes.resized(ramp, (4, 4))
    assert half[0, 0, 1:3] == pytest.approx([3, 5], abs=0.05)
    assert sizes.resized(ramp, (4, 8)) is ramp
    assert sizes.resized(np.full((2, 5, 7), 0.25, np.float32), (9, 3)) == pytest.approx(0.25)


def test_resized_masks_have_no_new_classes():
    mask = np.repeat(np.repeat(np.array([[0, 5], [-1, 9]], np.int16), 3, 0), 3, 1)
    assert sizes.resized_mask(mask, (2, 2)).tolist() == [[0, 5], [-1, 9]]
    assert set(np.unique(sizes.resized_mask(mask, (7, 5)))) <= {-1, 0, 5, 9}
    assert np.array_equal(sizes.resized_mask(mask, mask.shape), mask)


def test_picture_and_mask_are_cut_alike():
    picture = noise()
    mask = np.arange(12 * 17, dtype=np.int16).reshape(12, 17)
    window = sizes.Window(-2, 5, 10, 21)
    cut, labels = sizes.cut(picture, window), sizes.cut_mask(mask, window)
    assert cut.shape == (3, 12, 16)
    assert labels.shape == (12, 16)
    inside = labels >= 0
    assert inside.sum() == 10 * 12
    place = labels[inside]
    assert np.array_equal(cut[:, inside], picture.reshape(3, -1)[:, place])
    assert np.array_equal(cut[:, 0], picture[:, 1, 5:].repeat(1, 1)[:, [*range(12), 11, 10, 9, 8]]), "mirrored"


def test_windows():
    assert sizes.centre((10, 11), (4, 5)) == (3, 3, 7, 8)
    assert sizes.centre((3, 3), (5, 5)) == (-1, -1, 4, 4)
    rng = np.random.default_rng(0)
    tops = {sizes.random_window((10, 12), (6, 6), 2, rng).top for _ in range(200)}
    assert tops == set(range(-2, 7))
    small = [sizes.random_window((4, 12), (6, 6), 0, rng) for _ in range(50)]
    assert {window.top for window in small} == {-2, -1, 0}
    mask = np.zeros((6, 6), np.int16)
    assert (sizes.only_centre(mask, (2, 4)) == 0).sum() == 8
    assert sizes.only_centre(mask, None) is mask


def test_a_mask_is_mirrored_with_its_picture():
    picture = noise()
    mask = (picture[0] * 100).astype(np.int16)
    both = AugmentOptions(vertical_flip=True)
    seen = set()
    for seed in range(20):
        turned, labels = augment.mirrored(picture, mask, both, np.random.default_rng(seed))
        assert np.array_equal((turned[0] * 100).astype(np.int16), labels)
        seen.add(labels.tobytes())
    assert len(seen) == 4
    none = augment.mirrored(picture, mask, AugmentOptions(horizontal_flip=False), np.random.default_rng(0))
    assert np.array_equal(none[0], picture)


def test_colour_jitter_varies_the_whole_picture_alike():
    picture = 0.2 + 0.5 * noise()
    options = AugmentOptions(brightness=0.2)
    made = [augment.jittered(picture, options, np.random.default_rng(seed), cut=True) for seed in range(20)]
    assert all(np.ptp(one / picture) < 1e-5 for one in made)
    assert len({float(one.mean()) for one in made}) == 20
    coloured = augment.jittered(picture, AugmentOptions(saturation=0.5), np.random.default_rng(1), cut=True)
    assert np.tensordot(LUMA, coloured, 1) == pytest.approx(np.tensordot(LUMA, picture, 1), abs=1e-5)
    assert not np.allclose(coloured, picture, atol=1e-3)
    all_of_them = AugmentOptions(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)
    assert augment.jittered(picture[:1], all_of_them, np.random.default_rng(1), cut=True).shape == (1, 12, 17)


def test_pictures_within_full_scale():
    assert within_full_scale(unit(np.array([[[0, 65535]]], np.uint16), 1))
    assert not within_full_scale(np.array([[[0.2, 1.001]]], np.float32))
    assert not within_full_scale(np.array([[[-0.1, 0.5]]], np.float32))
    assert within_full_scale(np.zeros((3, 0, 4), np.float32))


def test_features_say_what_is_around_a_pixel():
    picture = np.zeros((3, 40, 60), np.float32)
    picture[0, :, 30:] = 1  # red on the right
    made = dict(zip(FEATURES, pixel_features(picture).transpose(2, 0, 1), strict=True))
    assert made["row"][0, 0] == pytest.approx(0.5 / 40)
    assert made["column"][3, 59] == pytest.approx(59.5 / 60)
    assert made["red"][5, 29:31].tolist() == [0, 1]
    assert made["hue_cos"][5, 40] == 1
    assert made["saturation"][5, 10] == 0
    assert made["red_6"][5, 29] == pytest.approx(0.47, abs=0.02)
    assert made["contrast_2"][20, 30] > 10 * made["contrast_2"][20, 55]
    assert made["edges_x_2"][20, 30] > 0.01 > made["edges_y_2"][20, 30]
