import itertools

import numpy as np

from weft.reco.views import charge_feature, view


def test_views_keep_distances_and_stay_in_the_image() -> None:
    coords = np.random.default_rng(0).integers(0, 64, (50, 3)).astype(np.int32)
    square = ((coords[:, None] - coords[None]) ** 2).sum(2)
    seen = set()
    for k in range(60):
        made = view(coords, np.full(3, 64), np.random.default_rng(k), flip=True, rotate=True, shift=0)
        assert made.dtype == np.int32
        assert made.min() >= 0
        assert made.max() < 64
        np.testing.assert_array_equal(((made[:, None] - made[None]) ** 2).sum(2), square)
        seen.add(made.tobytes())
    assert len(seen) > 25  # of 48
    long = np.array([64, 80, 100])
    seen = {tuple(view(np.zeros((1, 3), int), long, np.random.default_rng(k), True, False, 0)[0]) for k in range(60)}
    assert seen == set(itertools.product((0, 63), (0, 79), (0, 99)))  # each axis in its own length
    turned = {tuple(sorted(view(long[None] - 1, long, np.random.default_rng(k), False, True, 0)[0])) for k in range(9)}
    assert turned == {(63, 79, 99)}
    moved = view(coords, np.full(3, 64), np.random.default_rng(1), flip=False, rotate=False, shift=5) - coords
    assert (moved == moved[0]).all()
    assert np.abs(moved[0]).max() <= 5
    np.testing.assert_array_equal(view(coords, np.full(3, 64), np.random.default_rng(1), False, False, 0), coords)


def test_charge_on_a_logarithmic_scale() -> None:
    charge = np.array([[0.01], [20.0], [np.sqrt(0.2)], [0.0]], np.float32)
    np.testing.assert_allclose(charge_feature(charge, "log")[:, 0], [-1, 1, 0, -1], atol=1e-6)
    np.testing.assert_array_equal(charge_feature(charge, "linear"), charge)
    assert charge_feature(charge, "log").dtype == np.float32
