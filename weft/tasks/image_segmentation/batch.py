"""Batches of pictures of one size, for training, or of whole images, which are read where they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.engine.task import Batch, Sample
from weft.errors import WeftError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class ImageBatch(Batch):
    """In training ``pictures`` and the target ``mask``; of whole images there are ``images``.

    There are no voxels: coords and features have no rows.
    """

    pictures: Tensor | None = None
    """[B, C, Y, X] float32"""
    images: list[Sample] = field(default_factory=list)


def of_views(samples: Sequence[Sample]) -> ImageBatch:
    """Drawn pictures side by side. Raises WeftError where they differ in size."""
    import torch

    sizes = {sample.arrays["mask"].shape for sample in samples}
    if len(sizes) > 1:
        said = ", ".join(f"{rows} × {columns}" for rows, columns in sorted(sizes))
        raise WeftError(f"images of different sizes in one batch ({said}): give data.crop or data.size")

    def beside(name: str) -> Tensor:
        return torch.from_numpy(np.stack([sample.arrays[name] for sample in samples]))

    return ImageBatch(**_no_voxels(samples), pictures=beside("picture"), targets={"mask": beside("mask")})


def of_images(samples: Sequence[Sample]) -> ImageBatch:
    """Whole images, of any sizes."""
    return ImageBatch(**_no_voxels(samples), images=list(samples))


def _no_voxels(samples: Sequence[Sample]) -> dict[str, Any]:
    import torch

    return {
        "coords": torch.zeros((0, 3), dtype=torch.int32),
        "features": torch.zeros((0, 1)),
        "offsets": torch.zeros(len(samples) + 1, dtype=torch.int64),
        "events": [sample.event for sample in samples],
    }
