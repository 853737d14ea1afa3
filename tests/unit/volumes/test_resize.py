"""Resizing against torch, loops and shapes that are known."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from weft.errors import WeftError
from weft.volumes.resize import Taps, resized, resized_slabs, shape_at

SHAPES = [((7, 12, 9), (11, 30, 9)), ((1, 5, 6), (1, 5, 13)), ((4, 4, 4), (1, 1, 1)), ((9, 20, 31), (5, 9, 7))]


def volume(*shape):
    return np.random.default_rng(5).random(shape, np.float32)


def slow(values, shape):
    """Triangle-weighted means, voxel by voxel along each axis."""
    for axis, after in enumerate(shape):
        before = values.shape[axis]
        if before == after:
            continue
        scale = before / after
        planes = []
        for k in range(after):
            weights = [max(0.0, 1 - abs(i + 0.5 - (k + 0.5) * scale) / max(1.0, scale)) for i in range(before)]
            planes.append(sum(w * values.take(i, axis) for i, w in enumerate(weights)) / sum(weights))
        values = np.stack(planes, axis)
    return values


@pytest.mark.parametrize(("before", "after"), SHAPES)
def test_linear_is_the_mean_weighted_by_a_triangle(before, after):
    given = volume(*before)
    np.testing.assert_allclose(resized(given, after)[:], slow(given, after), atol=1e-6)


def test_enlarging_is_the_trilinear_interpolation_of_torch():
    given = volume(2, 6, 5, 8)
    expected = functional.interpolate(torch.from_numpy(given)[None], (13, 5, 20), mode="trilinear", align_corners=False)
    np.testing.assert_allclose(resized(given, (13, 5, 20))[:], expected[0], atol=1e-6)


def test_shrinking_is_the_antialiased_interpolation_of_torch():
    given = volume(3, 40, 33)
    tensor = torch.from_numpy(given)[:, None]
    expected = functional.interpolate(tensor, (17, 9), mode="bilinear", align_corners=False, antialias=True)
    np.testing.assert_allclose(resized(given, (3, 17, 9))[:], expected[:, 0], atol=1e-6)


@pytest.mark.parametrize(("before", "after"), SHAPES)
def test_nearest_takes_values_as_they_are(before, after):
    given = np.arange(np.prod(before)).reshape(before).astype(np.int16)
    found = resized(given, after, "nearest")
    expected = functional.interpolate(torch.from_numpy(given).double()[None, None], after, mode="nearest-exact")[
        0, 0
    ].numpy()
    assert found.dtype == np.int16
    assert np.array_equal(found[:], expected)


@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_slices_are_those_of_the_whole(method):
    made = resized(volume(2, 9, 14, 11), (15, 6, 20), method)
    whole = made[:]
    assert whole.shape == made.shape == (2, 15, 6, 20)
    rng = np.random.default_rng(1)
    for _ in range(30):
        a, b = np.sort(rng.integers(0, [[15], [6], [20]], (3, 2)), 1).T
        key = (slice(None), *(slice(int(i), int(j)) for i, j in zip(a, b, strict=True)))
        np.testing.assert_allclose(made[key], whole[key], atol=1e-6)
    np.testing.assert_allclose(made[1, 3, ..., -1], whole[1, 3, ..., -1], atol=1e-6)
    np.testing.assert_allclose(made[..., 4], whole[..., 4], atol=1e-6)
    np.testing.assert_allclose(made[-1], whole[-1], atol=1e-6)
    with pytest.raises(IndexError, match="steps of 2"):
        made[:, ::2]


def test_only_what_a_slice_needs_is_read():
    class Noting:
        shape, dtype = (30, 10, 10), np.dtype("f4")
        seen: tuple = ()

        def __getitem__(self, key):
            self.seen = key
            return np.zeros(self.shape, np.float32)[key]

    given = Noting()
    resized(given, (60, 10, 10))[20:24]
    assert given.seen[0] == slice(9, 13)


@pytest.mark.parametrize(("before", "after"), [*SHAPES, ((9, 8, 7), (9, 8, 7)), ((10, 4, 4), (40, 8, 8))])
@pytest.mark.parametrize("depth", [1, 3, 50])
@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_slabs_of_a_volume_become_slabs_of_the_resized_one(before, after, depth, method):
    given = volume(2, *before)
    slabs = ((z, given[:, z : z + depth]) for z in range(0, before[0], depth))
    found = list(resized_slabs(slabs, before, after, method))
    stops = [z + slab.shape[1] for z, slab in found]
    assert [z for z, _ in found] == [0, *stops[:-1]]
    np.testing.assert_allclose(
        np.concatenate([slab for _, slab in found], 1), np.asarray(resized(given, after, method)[:]), atol=1e-6
    )


def test_slabs_come_as_soon_as_their_planes_are_there():
    taken = []

    def slabs():
        for z in range(20):
            taken.append(z)
            yield z, np.zeros((1, 4, 4), np.float32)

    for z, slab in resized_slabs(slabs(), (20, 4, 4), (40, 8, 8)):
        assert taken[-1] <= (z + slab.shape[0]) // 2 + 1


def test_slabs_that_end_early_are_an_error():
    with pytest.raises(WeftError, match="end after 3 of 6 planes"):
        list(resized_slabs([(0, np.zeros((3, 4, 4)))], (6, 4, 4), (12, 4, 4)))


def test_a_constant_stays_and_a_mean_is_kept():
    np.testing.assert_allclose(resized(np.full((5, 9, 8), 3, np.uint16), (4, 20, 3))[:], 3, rtol=1e-6)
    given = volume(8, 12, 20)
    assert resized(given, (4, 6, 5))[:].mean() == pytest.approx(given.mean(), abs=0.01)


def test_a_plane_keeps_its_place_in_space():
    """A ramp over the centres of voxels, in µm from the edge: resized it is still one, to a fiftieth of a voxel."""
    edge = (np.arange(30) + 0.5) * 0.2
    made = resized(np.broadcast_to(edge[None, None], (2, 2, 30)).astype(np.float32), (2, 2, 12))[0, 0]
    np.testing.assert_allclose(made[1:-1], ((np.arange(12) + 0.5) * 0.5)[1:-1], atol=0.004)


def test_the_mask_of_a_ball_survives_a_coarser_grid_and_the_way_back():
    z, y, x = np.ogrid[:30, :60, :60]
    ball = (((z - 14.5) * 2) ** 2 + (y - 30) ** 2 + (x - 28) ** 2 < 20**2).astype(np.float32)
    coarse = shape_at(ball.shape, (0.2, 0.1, 0.1), (0.2, 0.2, 0.2))
    assert coarse == (30, 30, 30)
    small = resized(ball, coarse)
    back = np.concatenate(
        [slab for _, slab in resized_slabs(((z, small[z : z + 4]) for z in range(0, 30, 4)), coarse, ball.shape)]
    )
    mask = back > 0.5
    assert 2 * (mask * ball).sum() / (mask.sum() + ball.sum()) > 0.98


def test_voxel_sizes_that_are_not_known_are_refused():
    assert shape_at((10, 100, 100), (0.29, 0.065, 0.065), (0.29, 0.13, 0.13)) == (10, 50, 50)
    assert shape_at((1, 3, 3), (0.1, 0.1, 0.1), (5, 5, 5)) == (1, 1, 1)
    with pytest.raises(WeftError, match="spacing of the volume"):
        shape_at((10, 10, 10), (np.nan, 1, 1), (1, 1, 1))
    with pytest.raises(WeftError, match="spacing of the target"):
        shape_at((10, 10, 10), (1, 1, 1), (1, 0, 1))


@pytest.mark.parametrize(("before", "after"), [(1, 1), (1, 7), (7, 1), (100, 33), (33, 100), (5, 6)])
def test_taps_are_few_and_sum_to_one(before, after):
    taps = Taps.between(before, after, "linear")
    assert taps.index.shape[1] <= 2 * max(1, np.ceil(before / after)) + 1
    if taps.weights is not None:
        np.testing.assert_allclose(taps.weights.sum(1), 1, rtol=1e-6)
    assert (np.diff(taps.last) >= 0).all()
    assert (taps.index >= 0).all()
    assert (taps.index < before).all()
