"""The buffer: how many patches of which image, when it is made anew, what its patches share."""

from collections import Counter

import numpy as np
import pytest

from weft.volumes.buffer import BufferOptions, of_image, pick, shares


@pytest.mark.parametrize(("images", "patches"), [(4, 160), (7, 200), (5, 3), (1, 1), (3, 3)])
def test_shares_are_even_and_add_up(images, patches):
    counts = shares(images, patches, np.random.default_rng(0))
    assert counts.sum() == patches
    assert counts.min() == patches // images
    assert counts.max() <= counts.min() + 1
    chosen = [tuple(shares(images, patches, np.random.default_rng(i))) for i in range(40)]
    assert (len(set(chosen)) > 1) == (patches % images > 0 and images > 1)


def drawn(seed, number, options):
    found = pick(seed, number, 3, options)
    return found.image, found.of_image.integers(1 << 40), found.of_patch.integers(1 << 40)


def test_a_buffer_is_used_epoch_by_epoch():
    options = BufferOptions(patches=10, epochs=2)
    epochs = [[drawn(7, 10 * epoch + i, options) for i in range(10)] for epoch in range(4)]
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert sorted(epochs[2]) == sorted(epochs[3])
    assert epochs[0] != epochs[1], "in another order"
    assert not {patch for *_, patch in epochs[1]} & {patch for *_, patch in epochs[2]}
    assert len({patch for *_, patch in epochs[0]}) == 10
    by_image = Counter(image for image, *_ in epochs[0])
    assert sorted(by_image.values()) == [3, 3, 4]
    turned = {(image, turn) for image, turn, _ in epochs[0]}
    assert len(turned) == 3, "one turn for each image"
    assert not {turn for _, turn, _ in epochs[0]} & {turn for _, turn, _ in epochs[2]}


def test_a_patch_is_a_function_of_seed_and_number():
    options = BufferOptions(patches=6, epochs=1)
    assert [drawn(1, n, options) for n in (17, 3)] == [drawn(1, n, options) for n in (17, 3)]
    assert drawn(1, 3, options)[2] != drawn(2, 3, options)[2]


def test_the_generator_of_a_patch_knows_that_of_its_image():
    found = pick(3, 5, 4, BufferOptions(patches=8))
    assert of_image(found.of_patch).integers(1 << 40) == found.of_image.integers(1 << 40)
