"""The point proposal task: how events become batches, proposals become points, and who judges them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from weft.engine.collation import join_voxels
from weft.engine.task import Batch, Event, ForeignLayout, LossTerms, Products, Sample, Store, Task
from weft.io import products
from weft.io.reco_products import POINT_PROPOSALS, POINTS
from weft.metrics.scores import Scores
from weft.reco.views import charge_feature, charge_view, orientation
from weft.report.figure import Figure
from weft.tasks.points.options import Options

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.tasks.points.baseline import PointsBaseline
    from weft.tasks.points.loss import EveryScaleLoss, ThreeScalesLoss
    from weft.tasks.points.network import Proposals


class Points(Task[Options]):
    """Reads voxels and their charge, proposes a point at every voxel, and merges the proposals.

    Where points are held against the segmentation, that is the one of its own head, else the `semantics` it is fed.
    """

    name = "points"
    options_model = Options
    fitted_with = ("data", "model.semantic")
    headline = ("f1_3", "efficiency_3", "purity_3")

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        model = self.options.model
        fed = ("semantics",) if model.points.enforce_class and not model.semantic else ()
        return ("voxels", "charge", "meta", *fed)

    @property
    def labels(self) -> tuple[str, ...]:
        owners = ("clusters", "semantics") if self.options.loss.same_particle else ()
        segmented = ("semantics",) if self.options.model.semantic else ()
        return tuple(dict.fromkeys(("particles", "meta", *owners, *segmented)))

    @property
    def makes(self) -> tuple[products.Schema, ...]:
        made = (POINT_PROPOSALS, POINTS)
        return (*made, products.SEMANTICS, products.semantic_scores()) if self.options.model.semantic else made

    # --- data ---------------------------------------------------------------------------------------------

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        box = event["meta"][0]
        arrays = {
            "coords": event["voxels"],
            "charge": event["charge"],
            "box": np.array([[[box[f"{what}_{axis}"] for axis in "xyz"] for what in ("min", "size")]]),
        }
        if "semantics" in self.reads:
            arrays["fed"] = event["semantics"][:, 0]
        if labels:
            arrays |= self._labels(event)
        return Sample(arrays, index)

    def _labels(self, event: Event) -> dict[str, np.ndarray]:
        from weft.reco.label_points import label_points
        from weft.reco.labels import voxel_particles
        from weft.tasks.points.targets import nearest_points

        data, loss = self.options.data, self.options.loss
        found = label_points(event["truth/particles"], event["truth/meta"], data.min_voxels, data.min_energy)
        owners = None
        if loss.same_particle:
            names = ("voxels", "clusters", "particles", "semantics")
            owners = voxel_particles({name: event[f"truth/{name}"] for name in names})
        labels = {
            "points": found.position,
            "point_class": found.shape,
            "point_end": found.end.astype(np.int8),
            "nearest": nearest_points(event["voxels"], found.position, loss.radius, owners, found.particle),
        }
        if self.options.model.semantic:
            labels["semantics"] = event["truth/semantics"][:, 0]
        return labels

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        from weft.tasks.points.targets import view

        data = self.options.data
        order, mirrored = orientation(3, data.flip, data.rotate, rng)
        shift = rng.integers(0, data.shift, 3, np.int32, endpoint=True)
        arrays: dict[str, np.ndarray] = view(sample.arrays, order, mirrored, shift)
        arrays["charge"] = charge_view(sample.arrays["charge"], data.charge_jitter, rng)
        return sample.with_arrays(**arrays)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Targets, beside `box` float64 [B, 2, 3] (lower edge, voxel size; cm) and `fed` int8 [N] (semantics):

        `points` float32 [P, 3] in voxel units, `point_class`, `point_end`, `point_event` [P]; `nearest` int64 [N], row
        of the nearest of them, −1 where not positive; `centres` float32 [N, 3]; `mask_<l>` bool, positive voxels of the
        coarser scales; for scales3 `rows_<k>` int64 [B+1], the rows of each event at its scales.
        """
        import torch

        charge = np.concatenate([sample.arrays["charge"] for sample in samples])
        names = ("box", "fed", "semantics", "points", "point_class", "point_end")
        batch = join_voxels(samples, charge_feature(charge, self.options.data.charge), names)
        if "points" in samples[0].arrays:
            made = self._targets(samples, batch.coords.numpy())
            batch.targets |= {name: torch.from_numpy(array) for name, array in made.items()}
        return batch

    def _targets(self, samples: Sequence[Sample], coords: np.ndarray) -> dict[str, np.ndarray]:
        from weft.tasks.points.targets import event_rows, label_masks, pooled_masks

        counts = [len(sample.arrays["points"]) for sample in samples]
        first = np.cumsum([0, *counts])
        near = [sample.arrays["nearest"] for sample in samples]
        nearest = np.concatenate(
            [np.where(rows >= 0, rows + start, -1) for rows, start in zip(near, first, strict=False)]
        ).astype(np.int64)
        event = np.repeat(np.arange(len(samples)), counts)
        arrays = {"nearest": nearest, "point_event": event, "centres": coords[:, 1:].astype(np.float32) + 0.5}
        model = self.options.model
        if model.form == "every_scale":
            masks = pooled_masks(coords, nearest >= 0, model.depth - 1)
            return arrays | {f"mask_{level}": mask for level, mask in enumerate(masks, 1)}
        points = np.concatenate([sample.arrays["points"] for sample in samples])
        cells = np.concatenate([event[:, None], np.floor(points).astype(np.int64)], axis=1)
        masks = label_masks(coords, cells, model.levels)
        rows = event_rows(coords, len(samples), (0, *model.levels))
        named = {f"rows_{k}": offsets for k, offsets in enumerate(rows)}
        return arrays | {f"mask_{k}": mask for k, mask in enumerate(masks, 1)} | named

    # --- learning -----------------------------------------------------------------------------------------

    def network(self) -> nn.Module:
        from weft.tasks.points.network import PointNetwork

        return PointNetwork(self.options.model)

    def layers(self, network: nn.Module) -> list[list[nn.Module]]:
        from weft.tasks.points.network import PointNetwork

        assert isinstance(network, PointNetwork)
        heads: list[nn.Module] = [network.ppn] if network.head is None else [network.ppn, network.head]
        return [*network.trunk.levels(), heads]

    def foreign_layout(self) -> ForeignLayout | None:
        from weft.tasks.points.network import spine_names

        model = self.options.model
        return ForeignLayout("spine", spine_names(model)) if model.form == "every_scale" else None

    @cached_property
    def _loss(self) -> EveryScaleLoss | ThreeScalesLoss:
        from weft.tasks.points.loss import EveryScaleLoss, ThreeScalesLoss

        model, loss = self.options.model, self.options.loss
        if model.form == "scales3":
            return ThreeScalesLoss(loss)
        return EveryScaleLoss(loss, model.depth - 1, model.ends)

    def counts(self, batch: Batch) -> Tensor | None:
        from weft.tasks.points.loss import EveryScaleLoss

        loss = self.options.loss
        if not isinstance(self._loss, EveryScaleLoss) or not (loss.balance_mask or loss.balance_class):
            return None  # no weight depends on them
        return self._loss.counts(batch.targets)

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor | float]:
        weights: dict[str, Tensor | float] = dict(self._loss.weights(batch.targets, counts))
        if self._segments:
            weights["semantic"] = (batch.targets["semantics"] >= 0).sum()
        return weights

    def loss(self, output: Proposals, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        from weft.tasks.points.loss import semantic_term

        terms = self._loss(output, batch.targets, counts)
        return terms | semantic_term(output, batch.targets, self.options.loss.semantic_weight)

    @property
    def _segments(self) -> bool:
        return self.options.model.semantic and self.options.loss.semantic_weight > 0

    def decode(self, output: Proposals, batch: Batch) -> list[Products]:
        from weft.tasks.points.network import probabilities
        from weft.tasks.points.proposals import merge_proposals

        model = self.options.model
        proposals = probabilities(output).detach().cpu().numpy()
        voxels = batch.coords[:, 1:].cpu().numpy()
        box = batch.targets["box"].cpu().numpy()
        scores = None if output.semantic is None else output.semantic.float().softmax(1).detach().cpu().numpy()
        semantics = None
        if scores is not None:
            semantics = scores.argmax(1).astype(np.int8)
        elif "fed" in batch.targets:
            semantics = batch.targets["fed"].cpu().numpy()
        least = model.mask_score_threshold if model.form == "every_scale" else 0.0
        made: list[Products] = []
        for event, (start, stop) in enumerate(itertools.pairwise(batch.offsets.tolist())):
            part = slice(start, stop)
            own = None if semantics is None else semantics[part]
            low, size = box[event]
            points = merge_proposals(proposals[part], voxels[part], own, low, size, model.points, least)
            event_products: dict[str, Any] = {"point_proposals": proposals[part], "points": points}
            if scores is not None and own is not None:
                event_products |= {"semantics": own[:, None], "semantic_scores": scores[part]}
            made.append(event_products)
        return made

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.tasks.points.score import score_shard

        return score_shard(store, split, shard, self.options)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.tasks.points.score import metrics

        return metrics(counts)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.tasks.points.figures import figures

        return figures(scores, split)

    def baseline(self) -> PointsBaseline:
        from weft.tasks.points.baseline import PointsBaseline

        return PointsBaseline(self.options)

    def load_baseline(self, path: Path) -> PointsBaseline:
        from weft.tasks.points.baseline import PointsBaseline

        return PointsBaseline.load(path)
