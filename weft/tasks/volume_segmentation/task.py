"""The segmentation of stacks: how they become patches, logits become products, and who judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from weft.dense.laws import law_of
from weft.dense.options import MonaiOptions
from weft.dense.size_law import Size, SizeLaw
from weft.engine.task import Batch, Event, LossTerms, Products, Sample, Store, Task
from weft.io import volume_products
from weft.io.products import Schema
from weft.io.volume_products import spacing_of
from weft.metrics.scores import Scores
from weft.report.figure import Figure
from weft.tasks.volume_segmentation.batch import VolumeBatch, of_patches, of_stacks
from weft.tasks.volume_segmentation.options import Options
from weft.volumes.buffer import pick
from weft.volumes.lazy import LazyVolume

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.tasks.volume_segmentation.baseline import VolumeBaseline
    from weft.tasks.volume_segmentation.held import HeldStacks
    from weft.volumes.patches import Stack


class VolumeSegmentation(Task[Options]):
    """Reads a stack, writes probabilities and the class of each voxel; objects and uncertainty where asked for."""

    name = "volume_segmentation"
    options_model = Options
    reads = ("image", "spacing")
    labels = ("labels",)
    headline = ("dice", "iou", "surface_dice")
    thing = "stack"
    claim_events = 10
    # How patches are drawn, and how stacks are predicted: a deploy may do both otherwise.
    variations = frozenset({"patch", "size_out", "auto_patch", "augment", "sampling", "held", "inference"})

    @property
    def makes(self) -> tuple[Schema, ...]:
        made: tuple[Schema, ...] = (
            volume_products.LABELS,
            volume_products.probabilities(self.options.data.classes),
        )
        if self.options.data.inference.objects is not None:
            made += (volume_products.INSTANCES, volume_products.OBJECTS)
        if self.options.data.inference.uncertainty is not None:
            made += (volume_products.UNCERTAINTY,)
        return made

    # --- sizes --------------------------------------------------------------------------------------------

    @cached_property
    def size_law(self) -> SizeLaw:
        """Which sizes the network takes, and gives."""
        return law_of(self.options.model)

    @cached_property
    def patch(self) -> tuple[Size, Size]:
        """(input, output) of a training patch.

        Raises:
            WeftError: the network does not take it (the nearest legal ones are said), or nothing fits the memory.
        """
        data = self.options.data
        if data.patch != "auto":
            return self.size_law.pair(data.patch, data.size_out)
        from weft.dense.memory import largest_patch

        auto = data.auto_patch
        size = largest_patch(self.options.model, auto.memory, auto.batch_size, auto.most)
        return self.size_law.pair(size, data.size_out)

    @cached_property
    def window(self) -> Size:
        """The input of a window of inference."""
        size = self.options.data.inference.size_in
        return self.patch[0] if size is None else self.size_law.require(size, "data.inference.size_in")

    # --- data ---------------------------------------------------------------------------------------------

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        """The stack, read where it is needed: ``image`` normalised, ``raw``, ``spacing``, ``labels`` and ``cost``."""
        from weft.volumes.normalise import channel

        raw: LazyVolume = event["image"]
        arrays: dict[str, Any] = {
            "source": raw,
            "raw": channel(raw, self.options.data.channels[0]),
            "spacing": np.array(spacing_of(event["spacing"])),
        }
        if labels:
            arrays["labels"] = event["truth/labels"]
            if "truth/cost" in event:
                arrays["cost"] = event["truth/cost"]
        return Sample(arrays, index)

    def _image(self, sample: Sample) -> LazyVolume:
        """[C, Z, Y, X] as the network sees it: normalised, then resized. Read where it is needed."""
        from weft.volumes.normalise import normalised_channels
        from weft.volumes.resize import resized

        data = self.options.data
        source: Any = sample.arrays["source"]
        recipes = data.normalisations or (data.normalisation,)
        image = normalised_channels(source, recipes, data.channels, data.inference.memory)
        return resized(image, self._shape(sample))

    def _shape(self, sample: Sample) -> Size:
        """[Z, Y, X] that the network sees a stack at.

        Raises:
            WeftError: it is to be resized by its voxel size, and that is not known.
        """
        from weft.volumes.resize import shape_at

        z, y, x = sample.arrays["source"].shape[1:]
        target = self.options.data.spacing
        return (z, y, x) if target is None else shape_at((z, y, x), sample.arrays["spacing"].tolist(), target)

    def pick(self, seed: int, number: int, events: int) -> tuple[int, np.random.Generator] | None:
        buffer = self.options.data.sampling.buffer
        if buffer is None:
            return None
        picked = pick(seed, number, events, buffer)
        return picked.image, picked.of_patch

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """A patch: ``image`` [C, *in], ``labels`` and ``cost`` [*out]."""
        from weft.tasks.volume_segmentation.sampling import draw_patch

        ready = self._held.get(getattr(sample.arrays["source"], "source", None), lambda: self._stack(sample))
        size_in, size_out = self.patch
        patch = draw_patch(ready, size_in, size_out, self.options.data, rng)
        return Sample(patch._asdict(), sample.event)

    def _stack(self, sample: Sample) -> Stack:
        from weft.volumes.patches import Stack
        from weft.volumes.resize import resized

        shape, cost = self._shape(sample), sample.arrays.get("cost")
        labels = resized(sample.arrays["labels"], shape, "nearest")
        return Stack(self._image(sample), labels, None if cost is None else resized(cost, shape, "nearest"))

    @cached_property
    def _held(self) -> HeldStacks:
        from weft.tasks.volume_segmentation.held import HeldStacks

        return HeldStacks(self.options.data.held)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        return of_stacks(samples) if "source" in samples[0].arrays else of_patches(samples)

    # --- learning -----------------------------------------------------------------------------------------

    def network(self) -> nn.Module:
        from weft.tasks.volume_segmentation.network import SegmentationNetwork

        return SegmentationNetwork(self.options.model)

    @property
    def _heads(self) -> tuple[str, ...]:
        """Names of the outputs of the network in training."""
        model = self.options.model
        heads = ("main", *(f"aux{i}" for i in range(1, len(model.classes))))
        return (*heads, "vae") if isinstance(model, MonaiOptions) and model.name == "SegResNetVAE" else heads

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor | float]:
        from weft.dense.losses import term_weights

        return term_weights(self._heads, batch.targets["labels"], batch.targets["cost"], self.options.loss)

    def loss(self, output: Mapping[str, Tensor], batch: Batch, counts: Tensor | None = None) -> LossTerms:
        from weft.dense.losses import check_labels, loss_terms

        labels = batch.targets["labels"]
        check_labels(labels, self.options.model.classes, self.options.loss.ignore_index)
        return loss_terms(output, labels, batch.targets["cost"], self.options.loss)

    def decode(self, output: Mapping[str, Tensor], batch: Batch) -> list[Products]:
        """Of patches: their probabilities and labels."""
        probabilities = output["main"].detach().float().softmax(1).cpu().numpy()
        labels = probabilities.argmax(1).astype(np.int16)
        return [{"labels": a, "probabilities": b} for a, b in zip(labels, probabilities, strict=True)]

    def predict(self, model: nn.Module, batch: Batch) -> list[Products]:
        """Of whole stacks, window by window."""
        from weft.tasks.volume_segmentation.inference import predict_stack
        from weft.tasks.volume_segmentation.network import SegmentationNetwork

        assert isinstance(model, SegmentationNetwork)
        assert isinstance(batch, VolumeBatch)
        data = self.options.data
        made = []
        for sample in batch.stacks:
            image: Any = self._image(sample)
            whole = sample.with_arrays(image=image)
            made.append(predict_stack(model.body, self.size_law, self.window, len(data.classes), whole, data.inference))
        return made

    def validate(
        self, model: nn.Module, batch: Batch, counts: Tensor | None = None
    ) -> tuple[LossTerms, list[Products]]:
        """The loss of the blended probabilities of whole stacks, and the stacks' products."""
        import torch

        from weft.engine.precision import loss_terms

        assert isinstance(batch, VolumeBatch)
        made = self.predict(model, batch)
        total: dict[str, Any] = {}
        for sample, products in zip(batch.stacks, made, strict=True):
            arrays = sample.arrays
            labels = torch.from_numpy(np.asarray(arrays["labels"][:]))[None]
            cost = torch.from_numpy(np.asarray(arrays["cost"][:]))[None] if "cost" in arrays else None
            # Softmax of the logarithm of probabilities gives them back.
            logits = torch.from_numpy(np.log(np.maximum(products["probabilities"], 1e-12)))[None]
            targets = {"labels": labels, "cost": torch.ones(labels.shape) if cost is None else cost}
            one = VolumeBatch(batch.coords.cpu(), batch.features.cpu(), batch.offsets.cpu(), [sample.event], targets)
            for name, (value, weight) in loss_terms(self, {"main": logits}, one, None).items():
                before = total.get(name, (0.0, 0.0))
                total[name] = before[0] + float(value), before[1] + float(weight)
        return total, made

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.tasks.volume_segmentation.score import score_shard

        return score_shard(store, split, shard, self.options.data.classes)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.tasks.volume_segmentation.score import metrics

        return metrics(counts, self.options.data.classes)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.tasks.volume_segmentation.figures import figures

        return figures(scores, split, self.options.data.classes)

    def event_figures(self, store: Store, index: int, note: str) -> list[Figure]:
        from weft.tasks.volume_segmentation.event_views import event_figures

        data = self.options.data
        return event_figures(store, index, note, data.classes, data.channels[0])

    def baseline(self) -> VolumeBaseline:
        from weft.tasks.volume_segmentation.baseline import VolumeBaseline

        data = self.options.data
        recipe = (data.normalisations or (data.normalisation,))[0]
        asked = data.inference
        return VolumeBaseline(
            self.options.baseline, data.classes, recipe, data.channels[0], asked.objects, asked.uncertainty is not None
        )

    def load_baseline(self, path: Path) -> VolumeBaseline:
        from weft.tasks.volume_segmentation.baseline import VolumeBaseline

        made, asked = VolumeBaseline.load(path), self.options.data.inference
        # A deploy may ask for other products than the stage that the baseline was fitted for.
        made.objects, made.uncertain = asked.objects, asked.uncertainty is not None
        return made
