"""Where a network runs."""

from __future__ import annotations

import torch

from weft.errors import WeftError


def choose_device(gpus: int) -> torch.device:
    """The CPU for 0, the GPU for 1; a GPU that is not there is an error, never a reason to take the CPU."""
    if gpus and torch.cuda.device_count() < gpus:
        raise WeftError(f"resources.gpu: {gpus} asked for, {torch.cuda.device_count()} found")
    return torch.device("cuda" if gpus else "cpu")
