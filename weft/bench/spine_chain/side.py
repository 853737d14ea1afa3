"""What every stage of SPINE has here: our events in its types, its answers beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weft.bench.stages import Run, Step
from weft.engine.stream import EventBatches
from weft.engine.task import Batch
from weft.errors import WeftError
from weft.io.products import Ragged

Found = dict[str, Any]
"""what a stage of SPINE gives, by its own names"""


class Side:
    """A stage of SPINE: made once, run any number of times."""

    def __init__(self, step: Step, run: Run, steps: Mapping[str, Step]) -> None:
        self.step, self.run, self.steps = step, run, steps
        self.events = [run.view(step)[k] for k in range(len(run))]
        self.counts = np.array([len(event["truth/voxels"]) for event in self.events])
        self.offsets = np.concatenate([[0], np.cumsum(self.counts)])
        self.found: Found = {}
        self.prepare()

    @property
    def model(self) -> Any:
        """Options of our network."""
        return self.step.task.options.model

    def prepare(self) -> None:
        """Network with our weights, and the inputs in SPINE's types; not part of the time."""
        raise NotImplementedError

    def make(self) -> Any:
        """SPINE's network with our weights."""
        raise NotImplementedError

    def __call__(self) -> Found:
        """What is timed."""
        raise NotImplementedError

    def agreement(self) -> str:
        """How what it found compares with our products; raises WeftError where they should be equal and are not."""
        raise NotImplementedError

    def loss(self, network: Any, batch: Batch) -> Tensor:
        """One number to learn from, of a copy of the network in training; batch: ours, with targets."""
        raise NotImplementedError

    # --- for the stages -----------------------------------------------------------------------------------

    def own(self, product: str) -> list[Any]:
        """What our stage has made, event by event."""
        return [made[product] for made in self.run.stretch.made[self.step.name]]

    def read(self, product: str) -> list[Any]:
        """What our stage was fed."""
        return [event[product] for event in self.events]

    def batch(self) -> Batch:
        """All events as our network reads them."""
        return EventBatches(self.step.task, self.run.view(self.step), len(self.run), labels=False)[0]

    def voxels(self) -> Any:
        """The event's voxels with their charge in MeV, as a batch of SPINE's."""
        rows = [
            np.column_stack([np.full(len(coords), k), coords, charge])
            for k, (coords, charge) in enumerate(zip(self.read("voxels"), self.read("charge"), strict=True))
        ]
        return tensor_batch(torch.from_numpy(np.concatenate(rows).astype(np.float32)), self.counts)

    def clusters(self, items: list[Ragged]) -> Any:
        """Lists of voxel rows as SPINE's, over all events."""
        from spine.data import IndexBatch

        flat = [part[k].astype(np.int64) + first for part, first in zip(items, self.offsets, strict=False)
                for k in range(len(part))]  # fmt: skip
        sizes = np.array([len(rows) for rows in flat], np.int64)
        return IndexBatch(flat, self.counts, [len(part) for part in items], sizes, default=np.empty(0, np.int64))

    def per_event(self, values: list[np.ndarray]) -> Any:
        """Arrays of the events as one batch of SPINE's."""
        from spine.data import TensorBatch

        return TensorBatch(np.concatenate(values), [len(part) for part in values])


def tensor_batch(rows: Tensor, counts: Any) -> Any:
    """[N, 4 + F] (batch, x, y, z, features) in SPINE's type."""
    from spine.data import TensorBatch

    return TensorBatch(rows, counts=np.asarray(counts), has_batch_col=True, coord_cols=np.array([1, 2, 3]))


def values_batch(values: Tensor, counts: Any) -> Any:
    """Values without coordinates in SPINE's type."""
    from spine.data import TensorBatch

    return TensorBatch(values, counts=np.asarray(counts))


def as_spine(batch: Batch) -> Any:
    """Coordinates and features of a batch of ours."""
    return tensor_batch(torch.cat([batch.coords.float(), batch.features], 1), batch.offsets.diff().numpy())


def require_close(name: str, ours: np.ndarray, theirs: np.ndarray, tolerance: float = 2e-3) -> str:
    """Largest difference of two arrays of scores; raises WeftError above the tolerance."""
    if ours.shape != theirs.shape:
        raise WeftError(f"{name}: ours has the shape {ours.shape}, SPINE's {theirs.shape}")
    both = np.isfinite(ours) & np.isfinite(theirs)
    largest = float(np.abs(ours - theirs)[both].max(initial=0.0))
    if largest > tolerance:
        raise WeftError(f"{name}: ours and SPINE's differ by up to {largest:.2g}, expected at most {tolerance}")
    return f"{name} to {largest:.0e}" if largest else f"{name} equal"
