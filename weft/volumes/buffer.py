"""Training from a buffer of patches, as the Trainer does (spec §4): which patch is used when.

A buffer holds ``patches`` patches, shared evenly by the images; every image in it is turned once, by a random angle,
and mirrored or not. An epoch uses each patch of it once. After ``epochs`` epochs it is made anew. Nothing is held:
buffer k is a function of (seed, k), so a patch is read when its turn comes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from weft.config.strict import Strict

_SHARES, _ORDER, _PATCH = 101, 102, 103  # what random numbers are for; the engine has small numbers


class BufferOptions(Strict):
    """A buffer of patches, the Trainer's ``PatchPerBuffer`` and ``epoch_shuffle``."""

    patches: int = Field(200, ge=1, description="patches in the buffer, PatchPerBuffer; an epoch is as long")
    epochs: int = Field(5, ge=1, description="epochs until it is made anew, epoch_shuffle")


class Pick(NamedTuple):
    """The image that a sample is cut from, and the generators of what is drawn once an image and once a patch."""

    image: int
    of_image: np.random.Generator
    of_patch: np.random.Generator


def pick(seed: int, number: int, images: int, options: BufferOptions) -> Pick:
    """Sample ``number`` of a training on so many images."""
    epoch, position = divmod(number, options.patches)
    buffer = epoch // options.epochs
    patch = int(_order(seed, epoch, options.patches)[position])
    image = int(_owners(seed, buffer, images, options.patches)[patch])
    return Pick(image, _generator(seed, _PATCH, buffer, image), _generator(seed, _PATCH, buffer, image, patch))


def shares(images: int, patches: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Patches of each image: floor(P / n), and one more for P mod n images that chance chooses."""
    counts = np.full(images, patches // images, np.int64)
    counts[rng.permutation(images)[: patches % images]] += 1
    return counts


def of_image(rng: np.random.Generator) -> np.random.Generator:
    """The generator of what all patches of an image in a buffer share, from that of one of them."""
    sequence = rng.bit_generator.seed_seq
    assert isinstance(sequence, np.random.SeedSequence)
    assert len(sequence.spawn_key) == 4, "the generator of a patch (pick)"
    return _of(np.random.SeedSequence(sequence.entropy, spawn_key=sequence.spawn_key[:-1]))


@lru_cache(maxsize=8)
def _owners(seed: int, buffer: int, images: int, patches: int) -> NDArray[np.int64]:
    """The image of each patch."""
    return np.repeat(np.arange(images), shares(images, patches, _generator(seed, _SHARES, buffer)))


@lru_cache(maxsize=8)
def _order(seed: int, epoch: int, patches: int) -> NDArray[np.int64]:
    return _generator(seed, _ORDER, epoch).permutation(patches)


def _generator(seed: int, *key: int) -> np.random.Generator:
    return _of(np.random.SeedSequence(seed, spawn_key=key))


def _of(sequence: np.random.SeedSequence) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(sequence))
