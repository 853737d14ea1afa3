"""Which mesh a training sample is of, and which of its samples: a pure function of the seed and the sample's number.

A pass over the meshes takes ``turns`` samples of each. The samples of a mesh are numbered through all passes, so
that in time every face of it is seen (:meth:`weft.tasks.mesh_segmentation.clustered.Clustered.sample`).
"""

from __future__ import annotations

import numpy as np

from weft.engine.randomness import epoch_order
from weft.errors import WeftError

_PURPOSE = 1 << 16  # apart from the streams of the engine


def pick(seed: int, number: int, meshes: int, turns: int) -> tuple[int, np.random.Generator]:
    """The mesh of sample ``number``, and a generator that :func:`turn_of` knows the turn of."""
    block, k = divmod(number, turns)
    round_, position = divmod(block, meshes)
    mesh = int(epoch_order(seed, round_, meshes)[position])
    sequence = np.random.SeedSequence(seed, spawn_key=(_PURPOSE, mesh, round_ * turns + k))
    return mesh, np.random.Generator(np.random.Philox(sequence))


def turn_of(rng: np.random.Generator) -> int:
    """The how-manieth sample of its mesh a generator of :func:`pick` is for.

    Raises:
        WeftError: it is another generator.
    """
    sequence = rng.bit_generator.seed_seq
    key = sequence.spawn_key if isinstance(sequence, np.random.SeedSequence) else ()
    if len(key) != 3 or key[0] != _PURPOSE:
        raise WeftError("evaluation.views: a mesh has no views to average; use data.inference.shifted")
    return int(key[2])
