"""Batches of patches, for training, or of whole stacks, which are read where they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.engine.task import Batch, Sample

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class VolumeBatch(Batch):
    """Patches have ``image`` and the targets ``labels`` and ``cost``; of whole stacks there are ``stacks``.

    There are no sparse voxels: coords and features have no rows.
    """

    image: Tensor | None = None
    """[B, C, Z, Y, X] float32"""
    stacks: list[Sample] = field(default_factory=list)


def of_patches(samples: Sequence[Sample]) -> VolumeBatch:
    """Patches side by side; all are of one size."""
    import torch

    def beside(name: str) -> Tensor:
        return torch.from_numpy(np.stack([sample.arrays[name] for sample in samples]))

    return VolumeBatch(
        **_no_voxels(samples), image=beside("image"), targets={"labels": beside("labels"), "cost": beside("cost")}
    )


def of_stacks(samples: Sequence[Sample]) -> VolumeBatch:
    """Whole stacks, of any sizes."""
    return VolumeBatch(**_no_voxels(samples), stacks=list(samples))


def _no_voxels(samples: Sequence[Sample]) -> dict[str, Any]:
    import torch

    return {
        "coords": torch.zeros((0, 4), dtype=torch.int32),
        "features": torch.zeros((0, 1)),
        "offsets": torch.zeros(len(samples) + 1, dtype=torch.int64),
        "events": [sample.event for sample in samples],
    }
