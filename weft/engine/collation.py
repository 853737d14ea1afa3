"""Samples of voxels side by side in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from weft.engine.task import Batch, Sample


def join_voxels(
    samples: Sequence[Sample],
    features: np.ndarray,
    rows: Sequence[str] = (),
    references: Mapping[str, str] | None = None,
) -> Batch:
    """A batch of samples with the arrays `coords` [n, D] int32.

    features: float32 [N, F], of all voxels of the batch.
    rows: names of further arrays, laid end to end as targets; those that the samples do not have are left out.
    references: ``{array: name of the target}`` for arrays that hold row numbers of the sample's voxels, which become
        row numbers of the batch (int64); −1 stays.
    """
    import torch

    counts = [len(sample.arrays["coords"]) for sample in samples]
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    coords = np.empty((offsets[-1], 1 + samples[0].arrays["coords"].shape[1]), np.int32)
    coords[:, 0] = np.repeat(np.arange(len(samples), dtype=np.int32), counts)
    np.concatenate([sample.arrays["coords"] for sample in samples], out=coords[:, 1:])
    given = samples[0].arrays
    targets = {name: np.concatenate([sample.arrays[name] for sample in samples]) for name in rows if name in given}
    for name, target in (references or {}).items():
        if name in given:
            moved = [s.arrays[name].astype(np.int64) + np.where(s.arrays[name] < 0, 0, start)
                     for s, start in zip(samples, offsets[:-1], strict=True)]  # fmt: skip
            targets[target] = np.concatenate(moved)
    return Batch(
        coords=torch.from_numpy(coords),
        features=torch.from_numpy(features),
        offsets=torch.from_numpy(offsets),
        events=[sample.event for sample in samples],
        targets={name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in targets.items()},
    )
