"""The same numbers from the same inputs: algorithms without races, and generators seeded before every batch."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from weft.errors import WeftError

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    """Compute inside with algorithms that give the same bits in every run, or, with ``on=False``, the fastest ones.

    Sets torch's deterministic algorithms, cuDNN's, and the workspace that cuBLAS needs for it; all is put back after.
    On the CPU this costs nothing that can be measured (benchmarks/results/determinism.md). New tensors are not filled
    with NaN, as torch would do on top of it: that takes up to 8 %, and finds errors rather than prevents them.

    Raises:
        WeftError: an operation has no deterministic algorithm on this device; it is named.
    """
    cudnn, filling, workspace = torch.backends.cudnn, torch.utils.deterministic, os.environ.get(_CUBLAS)
    algorithms = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    flags = cudnn.deterministic, cudnn.benchmark, filling.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(on)
    cudnn.deterministic, cudnn.benchmark = on, not on
    filling.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if on:
        os.environ.setdefault(_CUBLAS, ":4096:8")
    try:
        yield
    except RuntimeError as error:
        operation, found, _ = str(error).partition(" does not have a deterministic implementation")
        if not found:
            raise
        raise WeftError(
            f"training.deterministic: {operation} has no deterministic algorithm here; set it to false"
        ) from None
    finally:
        torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
        cudnn.deterministic, cudnn.benchmark, filling.fill_uninitialized_memory = flags  # type: ignore[attr-defined]
        if workspace is None:
            os.environ.pop(_CUBLAS, None)


def seed_generators(seed: int) -> None:
    """Seed the generators of torch, numpy and Python that libraries draw from behind our back; ``seed``: 63 bits."""
    # As torch.manual_seed, which on a machine without a GPU formats the stack three times, 2 ms a step.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    np.random.seed(np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32))  # noqa: NPY002, the one that libraries use
    random.seed(seed)
