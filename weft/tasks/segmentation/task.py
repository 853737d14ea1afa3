"""The segmentation task: how events become batches, logits become products, and who judges them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from weft.engine.collation import join_voxels
from weft.engine.task import Batch, Event, ForeignLayout, LossTerms, Products, Sample, Store, Task
from weft.io import products
from weft.metrics.scores import Scores
from weft.reco.views import charge_feature, charge_view
from weft.report.figure import Figure
from weft.tasks.segmentation.options import Options

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.tasks.segmentation.baseline import SegmentationBaseline
    from weft.tasks.segmentation.loss import SegmentationLoss
    from weft.tasks.segmentation.network import Logits


class Segmentation(Task[Options]):
    """Reads voxels and their charge, writes a class and class scores for each."""

    name = "segmentation"
    options_model = Options
    reads = ("voxels", "charge")

    @property
    def labels(self) -> tuple[str, ...]:
        return ("semantics", "particles", "meta") if self.options.loss.upweight_points else ("semantics",)

    headline = ("mean_iou", "accuracy")

    @property
    def makes(self) -> tuple[products.Schema, ...]:
        classes = self.options.classes + self.options.model.ghost
        return products.SEMANTICS, products.semantic_scores([products.CLASSES[c] for c in range(classes)])

    # --- data ---------------------------------------------------------------------------------------------

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        arrays = {"coords": event["voxels"], "charge": event["charge"]}
        if labels:
            arrays["semantics"] = event["truth/semantics"][:, 0]
            if self.options.loss.upweight_points:
                from weft.reco.label_points import label_points, near_points

                points = label_points(event["truth/particles"], event["truth/meta"])
                arrays["near"] = near_points(arrays["coords"], points.position, self.options.loss.point_radius)
        return Sample(arrays, index)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        data = self.options.data
        coords = sample.arrays["coords"]
        dims = coords.shape[1]
        if data.rotate:
            coords = coords[:, rng.permutation(dims)]
        if data.flip:
            coords = coords * rng.choice(np.array([-1, 1], np.int32), dims)
        if data.shift:
            coords = coords + rng.integers(0, data.shift, dims, np.int32, endpoint=True)
        charge = charge_view(sample.arrays["charge"], data.charge_jitter, rng)
        return sample.with_arrays(coords=coords, charge=charge)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        charge = np.concatenate([sample.arrays["charge"] for sample in samples])
        return join_voxels(samples, charge_feature(charge, self.options.data.charge), ("semantics", "near"))

    # --- learning -----------------------------------------------------------------------------------------

    def network(self) -> nn.Module:
        from weft.tasks.segmentation.network import SegmentationNetwork

        return SegmentationNetwork(self.options.model, self.options.classes)

    def layers(self, network: nn.Module) -> list[list[nn.Module]]:
        from weft.tasks.segmentation.network import SegmentationNetwork

        assert isinstance(network, SegmentationNetwork)
        heads: list[nn.Module] = [head for head in (network.head, network.ghost_head) if head is not None]
        return [*network.trunk.levels(), heads]

    def foreign_layout(self) -> ForeignLayout:
        from weft.tasks.segmentation.network import spine_names

        return ForeignLayout("spine", spine_names(self.options.model))

    def counts(self, batch: Batch) -> Tensor | None:
        if not (self.options.loss.balance or self.options.loss.upweight_points):
            return None  # no weight depends on them: nothing to add up over ranks, or over all of the validation
        return self._loss.counts(batch.targets["semantics"], batch.targets.get("near"))

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor | float]:
        return self._loss.weights(batch.targets["semantics"], batch.targets.get("near"), counts)

    def loss(self, output: Logits, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        targets = batch.targets
        return self._loss(output.semantic, targets["semantics"], output.ghost, targets.get("near"), counts)

    def answers(self, output: Logits, batch: Batch) -> tuple[Tensor, Tensor]:
        true = batch.targets["semantics"]
        return output.semantic, true.where(true < self.options.classes, -1)  # with a ghost head ghosts come after them

    @cached_property
    def _loss(self) -> SegmentationLoss:
        from weft.tasks.segmentation.loss import SegmentationLoss

        loss = self.options.loss
        return SegmentationLoss(
            self.options.classes,
            self.options.model.ghost,
            loss.balance,
            loss.upweight_points,
            loss.semantic_weight,
            loss.ghost_weight,
        )

    def mean(self, outputs: Sequence[Logits]) -> Logits:
        """Logits of the mean probabilities."""
        from weft.tasks.segmentation.network import mean

        return mean(outputs)

    def decode(self, output: Logits, batch: Batch) -> list[Products]:
        from weft.tasks.segmentation.network import classify

        classes, scores = classify(output)
        semantics, semantic_scores = classes.cpu().numpy()[:, None], scores.detach().cpu().numpy()
        edges = batch.offsets.tolist()
        return [
            {"semantics": semantics[start:stop], "semantic_scores": semantic_scores[start:stop]}
            for start, stop in itertools.pairwise(edges)
        ]

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.tasks.segmentation.score import score_shard

        return score_shard(store, split, shard, self.options.classes + self.options.model.ghost)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.tasks.segmentation.score import metrics

        return metrics(counts)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.tasks.segmentation.figures import figures

        return figures(scores, split)

    def baseline(self) -> SegmentationBaseline:
        from weft.tasks.segmentation.baseline import SegmentationBaseline

        return SegmentationBaseline(self.options.baseline)

    def load_baseline(self, path: Path) -> SegmentationBaseline:
        from weft.tasks.segmentation.baseline import SegmentationBaseline

        return SegmentationBaseline.load(path)
