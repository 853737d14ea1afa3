"""A task small enough to train in milliseconds, and events for it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from weft.engine.task import Baseline, Batch, Event, LossTerms, Products, Sample, Store, Task
from weft.io.products import CHARGE, SEMANTICS, VOXELS, EventId, Schema
from weft.io.writer import StoreWriter
from weft.metrics.scores import Scores
from weft.report.figure import Figure


class ToyOptions(BaseModel):
    width: int = 8


class ToyNetwork(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(1, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, 2)
        )

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.layers(batch.features)
        return logits


class ToyBaseline(Baseline):
    threshold = 0.0

    def fit(self, events: Iterable[Event], seed: int) -> None:
        charges = [np.mean(event["charge"]) for event in events if len(event["charge"])]
        self.threshold = float(np.mean(charges))

    def predict(self, event: Event) -> Products:
        return {"semantics": (event["charge"] > self.threshold).astype(np.int8)}

    def save(self, path: Path) -> None:
        path.write_text(str(self.threshold))

    @classmethod
    def load(cls, path: Path) -> ToyBaseline:
        loaded = cls()
        loaded.threshold = float(path.read_text())
        return loaded


class Toy(Task[ToyOptions]):
    """Is a voxel's charge above one? Learned with noise, dropout and batch norm."""

    name = "toy"
    options_model = ToyOptions
    reads = ("voxels", "charge")
    labels = ("semantics",)
    headline = ("accuracy",)
    makes: tuple[Schema, ...] = (SEMANTICS,)

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        arrays = {"coords": event["voxels"], "charge": event["charge"]}
        return Sample(arrays | ({"semantics": event["semantics"]} if labels else {}), index)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        noise = 0.01 * rng.standard_normal(sample.arrays["charge"].shape, np.float32)
        return sample.with_arrays(charge=sample.arrays["charge"] + noise)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        counts = [len(s.arrays["coords"]) for s in samples]
        index = np.repeat(np.arange(len(samples), dtype=np.int32), counts)[:, None]
        targets = {}
        if "semantics" in samples[0].arrays:
            labels = np.concatenate([s.arrays["semantics"] for s in samples])[:, 0]
            targets["semantics"] = torch.from_numpy(labels.astype(np.int64))
        return Batch(
            torch.from_numpy(np.concatenate([index, np.concatenate([s.arrays["coords"] for s in samples])], 1)),
            torch.from_numpy(np.concatenate([s.arrays["charge"] for s in samples])),
            torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)),
            [s.event for s in samples],
            targets,
        )

    def network(self) -> nn.Module:
        return ToyNetwork(self.options.width)

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor | float]:
        return {"semantic": float(len(batch.features))}

    def loss(self, output: Tensor, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        total = nn.functional.cross_entropy(output, batch.targets["semantics"], reduction="sum")
        return {"semantic": (total, float(len(output)))}

    def answers(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return output, batch.targets["semantics"]

    def decode(self, output: Tensor, batch: Batch) -> list[Products]:
        classes = output.argmax(1).to(torch.int8).numpy()[:, None]
        edges = batch.offsets.tolist()
        return [{"semantics": classes[a:b]} for a, b in pairwise(edges)]

    def score(self, store: Store, split: str, shard: str) -> Scores:
        truth, predicted = store["truth/semantics"], store["prediction/semantics"]
        right = [int((truth[i] == predicted[i]).sum()) for i in range(len(store))]
        events = pd.DataFrame({"split": split, "shard": shard, "right": right})
        events["total"] = [len(truth[i]) for i in range(len(store))]
        return Scores(events, pd.DataFrame({"split": []}), pd.DataFrame({"split": []}))

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"accuracy": counts["right"] / counts["total"]})

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        return []

    def baseline(self) -> ToyBaseline:
        return ToyBaseline()

    def load_baseline(self, path: Path) -> ToyBaseline:
        return ToyBaseline.load(path)


class SlowToy(Toy):
    """Leaves a mark when it has begun to train, and takes its time."""

    def __init__(self, mark: Path, seconds: float) -> None:
        super().__init__(ToyOptions())
        self.mark, self.seconds = mark, seconds

    def loss(self, *arguments: Any) -> Any:
        self.mark.touch()
        time.sleep(self.seconds)
        return super().loss(*arguments)


def write_shard(path: Path, seed: int, sizes: Sequence[int]) -> Path:
    rng = np.random.default_rng(seed)
    with StoreWriter(path, [VOXELS, CHARGE, SEMANTICS]) as writer:
        for i, size in enumerate(sizes):
            charge = rng.exponential(1.0, (size, 1)).astype(np.float32)
            cells = np.sort(rng.choice(20**3, size, replace=False))
            coords = np.stack([cells % 20, cells // 20 % 20, cells // 400], 1).astype(np.int32)
            products = {"voxels": coords, "charge": charge, "semantics": (charge > 1).astype(np.int8)}
            writer.append(EventId(0, 0, i, 1000 * seed + i), products)
    return path
