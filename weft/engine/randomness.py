"""Where random numbers come from: a batch is a pure function of (seed, t), so there is no state to save or lose.

Every stream is keyed by what it is for. The key goes through numpy's ``SeedSequence``, whose hash keeps streams of
neighbouring keys independent.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_ORDER, _DRAW, _TORCH, _INIT, _LOAD, _VIEW = range(6)


def _sequence(purpose: int, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(entropy=key[0], spawn_key=(purpose, *key[1:]))


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """[count] int64: the order in which an epoch visits the training events."""
    return np.random.Generator(np.random.Philox(_sequence(_ORDER, seed, epoch))).permutation(count)


def batch_events(seed: int, t: int, size: int, count: int) -> np.ndarray:
    """[size] int64: the events of micro-batch ``t``. Epochs follow each other without a gap or a short batch."""
    positions = np.arange(t * size, (t + 1) * size)
    epochs, within = np.divmod(positions, count)
    return np.array([epoch_order(seed, int(e), count)[i] for e, i in zip(epochs, within, strict=True)])


def draw_generator(seed: int, t: int, position: int) -> np.random.Generator:
    """Generator for the augmentation of the sample at ``position`` of the global micro-batch ``t``."""
    return np.random.Generator(np.random.Philox(_sequence(_DRAW, seed, t, position)))


def view_generator(uid: int, view: int) -> np.random.Generator:
    """Generator for one of the views of an event that a prediction is the mean over: the same wherever the event is."""
    return np.random.Generator(np.random.Philox(_sequence(_VIEW, uid, view)))


def torch_seed(seed: int, t: int, rank: int = 0) -> int:
    """Seed of all generators before micro-batch ``t`` (dropout, sampling inside the loss)."""
    return int(_sequence(_TORCH, seed, t, rank).generate_state(1, np.uint64)[0] >> 1)


def loader_seed(seed: int, t: int, rank: int = 0) -> int:
    """Seed of all generators of the process that makes micro-batch ``t``, for libraries that draw from them."""
    return int(_sequence(_LOAD, seed, t, rank).generate_state(1, np.uint64)[0] >> 1)


def initial_seed(seed: int) -> int:
    """Seed of all generators for the first weights."""
    return int(_sequence(_INIT, seed).generate_state(1, np.uint64)[0] >> 1)
