"""Patches: the right voxels, aligned in image, labels and cost, at borders and under deformations."""

import numpy as np
import pytest

from weft.volumes.augment_options import AugmentOptions
from weft.volumes.deform import Deformation, Symmetry, draw_deformation, draw_symmetry, rotation
from weft.volumes.patches import Stack, cut, foreground_voxels, start_around, uniform_start

SIZE = (7, 30, 40)
IN, OUT = (5, 16, 12), (3, 8, 6)


def stack(size=SIZE, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, size).astype(np.int16)
    return Stack(rng.random((2, *size), np.float32), labels, rng.random(size, np.float32))


class Recording:
    """A lazy volume that remembers how much was read of it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, 0

    def __getitem__(self, key):
        found = self.array[key]
        self.read += found.size
        return found


def padded(array, before, after, **options):
    return np.pad(array, [(0, 0)] * (array.ndim - 3) + [*zip(before, after, strict=True)], **options)


@pytest.mark.parametrize("start", [(2, 10, 20), (0, 0, 0), (4, 22, 34), (-2, -5, -3), (6, 29, 39), (20, 60, 70)])
def test_a_patch_is_a_part_of_the_padded_stack(start):
    given = stack()
    got = cut(given, start, IN, OUT)
    around = (60, 90, 90)
    image = padded(padded(given.image, (0, 90, 90), (0, 90, 90), mode="reflect"), (60, 0, 0), (60, 0, 0), mode="edge")
    labels = padded(given.labels, around, around, constant_values=-1)
    cost = padded(given.cost, around, around, constant_values=0)
    first = [s + a for s, a in zip(start, around, strict=True)]
    out = tuple(slice(f, f + n) for f, n in zip(first, OUT, strict=True))
    inside = tuple(slice(f - (n - m) // 2, f - (n - m) // 2 + n) for f, n, m in zip(first, IN, OUT, strict=True))
    assert np.array_equal(got.image, image[(slice(None), *inside)])
    assert np.array_equal(got.labels, labels[out])
    assert np.array_equal(got.cost, cost[out])
    assert (got.image.dtype, got.labels.dtype, got.cost.dtype) == (np.float32, np.int16, np.float32)


def test_sixteen_bits_are_kept():
    values = np.arange(7 * 30 * 40, dtype=np.uint16).reshape(1, *SIZE) * 7
    got = cut(Stack(values, np.zeros(SIZE, np.int16)), (1, 5, 5), OUT, OUT)
    assert np.array_equal(got.image[0], values[0, 1:4, 5:13, 5:11].astype(np.float32))
    turned = cut(Stack(values, np.zeros(SIZE, np.int16)), (1, 5, 5), OUT, OUT, Symmetry(1))
    assert set(turned.image.ravel()) <= set(values.ravel().astype(np.float32))


@pytest.mark.parametrize(
    "symmetry", [Symmetry(1), Symmetry(2, True), Symmetry(3, True, False, True), Symmetry(0, False, True)]
)
def test_symmetries_are_those_of_the_patch(symmetry):
    given, start = stack(), (2, 10, 12)
    got = cut(given, start, IN, OUT, symmetry)
    plain = cut(given, start, symmetry.before(IN), symmetry.before(OUT))
    assert np.array_equal(got.image, symmetry.of(plain.image))
    assert np.array_equal(got.labels, symmetry.of(plain.labels))
    assert np.array_equal(got.cost, symmetry.of(plain.cost))
    assert got.image.shape == (2, *IN)
    assert got.labels.shape == OUT


def test_all_sixteen_symmetries_are_drawn_and_differ():
    rng, cube = np.random.default_rng(0), np.arange(27).reshape(3, 3, 3)
    options = AugmentOptions(flip=("z", "y", "x"), turn=True)
    seen = {draw_symmetry(options, rng).of(cube).tobytes() for _ in range(300)}
    assert len(seen) == 16


def test_no_deformation_and_the_identity_are_the_same():
    given, start = stack(), (1, 4, 30)
    plain = cut(given, start, IN, OUT)
    same = cut(given, start, IN, OUT, deformation=Deformation(np.eye(2)))
    assert np.allclose(plain.image, same.image, atol=1e-5)
    assert np.array_equal(plain.labels, same.labels)
    assert np.array_equal(plain.cost, same.cost)


def test_a_quarter_turn_of_the_plane_is_a_symmetry():
    given, start, out, size = stack(), (1, 10, 12), (3, 7, 7), (5, 13, 13)
    turned = cut(given, start, size, out, deformation=Deformation(rotation(90)))
    exact = [cut(given, start, size, out, Symmetry(turns)) for turns in (1, 3)]
    matches = [np.array_equal(turned.labels, other.labels) for other in exact]
    assert sum(matches) == 1
    assert np.allclose(turned.image, exact[matches.index(True)].image, atol=1e-5)


def spot():
    """A blob in the image, the voxels within it labelled, and its cost."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in (9, 90, 90)), indexing="ij")
    away = (y - 40) ** 2 + (x - 52) ** 2
    image = np.exp(-away / 18 - (z - 4) ** 2 / 4)[None].astype(np.float32)
    inside = (away <= 9) & (np.abs(z - 4) <= 1)
    return Stack(image, inside.astype(np.int16), np.where(inside, 2, 1).astype(np.float32))


@pytest.mark.parametrize("seed", range(12))
def test_image_label_and_cost_stay_aligned(seed):
    rng = np.random.default_rng(seed)
    options = AugmentOptions.model_validate(
        {
            "flip": ["z", "y", "x"],
            "rotate": {"probability": 1},
            "scale": {"probability": 1},
            "elastic": {"probability": 1},
        }
    )
    size, out = (7, 48, 56), (5, 32, 40)
    symmetry = draw_symmetry(options, rng)
    deformation = draw_deformation(options, symmetry.before(size)[1:], rng)
    start = start_around((4, 40, 52), (9, 90, 90), symmetry.before(out))
    got = cut(spot(), start, size, out, symmetry, deformation)
    answer = got.image[0, 1:-1, 8:-8, 8:-8]
    marked = got.labels == 1
    assert marked.any()
    assert np.array_equal(got.cost == 2, marked)
    of_image = np.array(np.unravel_index(answer.argmax(), answer.shape))
    of_labels = np.argwhere(marked).mean(0)
    assert np.abs(of_image - of_labels).max() < 1.5
    assert answer[marked].min() > answer[got.labels == 0].max() - 0.35


def test_what_is_turned_in_from_outside_does_not_count():
    given = Stack(np.ones((1, 3, 20, 20), np.float32), np.ones((3, 20, 20), np.int16))
    got = cut(given, (0, 0, 0), (3, 20, 20), (3, 20, 20), deformation=Deformation(rotation(45)))
    assert (got.labels == -1).any()
    assert np.array_equal(got.cost, (got.labels == 1).astype(np.float32))
    assert got.labels[:, 0, 0].tolist() == [-1] * 3
    assert np.allclose(got.image, 1, atol=1e-4)


def test_a_pivot_turns_the_whole_stack():
    """Patches of a stack that is turned about its middle are parts of one turned stack."""
    given = stack((3, 41, 41))
    turn = Deformation(rotation(30), pivot=(20.0, 20.0))
    whole = cut(given, (0, 0, 0), (3, 41, 41), (3, 41, 41), deformation=turn)
    part = cut(given, (0, 8, 11), (3, 10, 12), (3, 10, 12), deformation=turn)
    assert np.array_equal(part.labels, whole.labels[:, 8:18, 11:23])
    assert np.allclose(part.image[..., 3:-3, 3:-3], whole.image[..., 11:15, 14:20], atol=0.02)


@pytest.mark.parametrize("size", [(1, 3, 4), (2, 30, 5), (7, 5, 40)])
def test_stacks_smaller_than_a_patch(size):
    given = stack(size)
    start = uniform_start(size, OUT, np.random.default_rng(0))
    for deformation in (None, Deformation(rotation(20))):
        got = cut(given, start, IN, OUT, Symmetry(1), deformation)
        assert got.image.shape == (2, *IN)
        assert np.isfinite(got.image).all()
        assert (got.labels >= 0).any()
        assert (got.cost[got.labels < 0] == 0).all()


def test_a_voxel_is_in_the_middle_or_as_near_as_can_be():
    assert start_around((3, 15, 20), SIZE, OUT) == (2, 11, 17)
    assert start_around((0, 29, 39), SIZE, OUT) == (0, 22, 34)
    assert start_around((0, 1, 1), (1, 4, 6), OUT) == (-1, -2, 0)


def test_starts_are_uniform_over_the_stack():
    rng = np.random.default_rng(1)
    drawn = np.array([uniform_start(SIZE, OUT, rng) for _ in range(4000)])
    assert drawn.min(0).tolist() == [0, 0, 0]
    assert drawn.max(0).tolist() == [4, 22, 34]
    assert np.abs(drawn.mean(0) - [2, 11, 17]).max() < 0.6


def test_foreground_voxels_are_drawn_evenly_and_count():
    labels = np.zeros(SIZE, np.int16)
    labels[1:3, 2:12, 2:12] = 1
    labels[5, 20, 30] = 2
    labels[0, 0, 0] = -1
    cost = np.ones(SIZE, np.float32)
    cost[:, :, 7:] = 0
    cost[5] = 1
    found = foreground_voxels(Stack(labels[None], labels, cost), 40, np.random.default_rng(0))
    assert {label: len(voxels) for label, voxels in found.items()} == {1: 40, 2: 1}
    assert found[2].tolist() == [[5, 20, 30]]
    drawn = found[1]
    assert len(np.unique(drawn, axis=0)) == 40
    assert (labels[tuple(drawn.T)] == 1).all()
    assert (cost[tuple(drawn.T)] > 0).all()
    everything = foreground_voxels(Stack(labels[None], labels), 10_000, np.random.default_rng(0))
    assert len(everything[1]) == 200
    assert foreground_voxels(Stack(labels[None], np.zeros_like(labels)), 5, np.random.default_rng(0)) == {}


def test_only_what_is_needed_is_read():
    size = (20, 300, 300)
    image = Recording(np.zeros((1, *size), np.float32))
    labels = Recording(np.zeros(size, np.int16))
    cut(Stack(image, labels), (5, 100, 100), IN, OUT)
    assert image.read == np.prod(IN)
    assert labels.read == np.prod(OUT)
    cut(Stack(image, labels), (5, 100, 100), IN, OUT, deformation=Deformation(rotation(30)))
    assert image.read < np.prod(IN) + 5 * 30 * 30


def test_the_same_generator_draws_the_same_deformation():
    options = AugmentOptions.model_validate({name: {"probability": 1} for name in ("rotate", "scale", "elastic")})
    first, again, other = (draw_deformation(options, (20, 20), np.random.default_rng(i)) for i in (3, 3, 4))
    assert np.array_equal(first.matrix, again.matrix)
    assert np.array_equal(first.nodes, again.nodes)
    assert not np.array_equal(first.matrix, other.matrix)
    assert draw_deformation(AugmentOptions(), (20, 20), np.random.default_rng(0)) is None
