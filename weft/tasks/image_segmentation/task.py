"""The segmentation of pictures: how they become batches, logits become masks, and who judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from weft.engine.task import Batch, Event, LossTerms, Products, Sample, Store, Task
from weft.images import augment, sizes
from weft.images.normalise import normalised, unit, within_full_scale
from weft.io import image_products
from weft.io.products import Schema
from weft.metrics.scores import Scores
from weft.report.figure import Figure
from weft.tasks.image_segmentation.batch import ImageBatch, of_images, of_views
from weft.tasks.image_segmentation.options import Options

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.tasks.image_segmentation.baseline import ImageBaseline


class ImageSegmentation(Task[Options]):
    """Reads a picture, writes the class of each pixel and its probabilities."""

    name = "image_segmentation"
    options_model = Options
    reads = ("picture",)
    labels = ("mask",)
    headline = ("mean_iou", "accuracy", "mean_dice")
    thing = "image"
    claim_events = 10
    # How training pictures are drawn, and how whole ones are predicted: a deploy may do both otherwise.
    variations = frozenset({"crop", "crop_padding", "augment", "inference"})

    @property
    def makes(self) -> tuple[Schema, ...]:
        classes = self.options.data.classes
        return image_products.mask(classes), image_products.mask_probabilities(classes)

    # --- data ---------------------------------------------------------------------------------------------

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        """The picture and, with labels, its mask; both read where they are needed.

        Raises WeftError where the masks have other classes than data.classes.
        """
        arrays: dict[str, Any] = {"source": event["picture"]}
        if labels:
            require_classes(event, self.options.data.classes)
            arrays["mask"] = event["truth/mask"]
        return Sample(arrays, index)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """A varied view: ``picture`` [C, rows, columns] normalised, ``mask`` int16 [rows, columns]."""
        data = self.options.data
        picture, mask = self._picture(sample), self._mask(sample)
        # Of the picture as it is in the file: a dark part of one with larger values is not cut either.
        cut = within_full_scale(picture)
        if data.size is not None and data.fit == "resize":
            picture, mask = sizes.resized(picture, data.size), sizes.resized_mask(mask, data.size)
        elif data.size is not None:
            window = sizes.centre(mask.shape, data.size)
            picture, mask = sizes.cut(picture, window), sizes.cut_mask(mask, window)
        if data.crop is not None:
            window = sizes.random_window(mask.shape, data.crop, data.crop_padding, rng)
            picture, mask = sizes.cut(picture, window), sizes.cut_mask(mask, window)
        picture, mask = augment.mirrored(picture, mask, data.augment, rng)
        picture = normalised(augment.jittered(picture, data.augment, rng, cut=cut), data.mean, data.std)
        return Sample({"picture": picture, "mask": mask}, sample.event)

    def _picture(self, sample: Sample) -> np.ndarray:
        """[C, Y, X] in units of full scale."""
        return unit(np.asarray(sample.arrays["source"][:]), self.options.data.channels)

    def _mask(self, sample: Sample) -> np.ndarray:
        """int16 [Y, X], −1 where nothing is looked at."""
        mask = sizes.only_centre(np.asarray(sample.arrays["mask"][:]), self._window)
        return image_products.require_labels(mask, self.options.data.classes)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        return of_images(samples) if "source" in samples[0].arrays else of_views(samples)

    # --- learning -----------------------------------------------------------------------------------------

    def network(self) -> nn.Module:
        from weft.tasks.image_segmentation.network import SegmentationNetwork

        data = self.options.data
        return SegmentationNetwork(self.options.model, data.channels, len(data.classes))

    def layers(self, network: nn.Module) -> Sequence[Sequence[nn.Module]]:
        from weft.tasks.image_segmentation.backbones import stages
        from weft.tasks.image_segmentation.network import SegmentationNetwork

        assert isinstance(network, SegmentationNetwork)
        body = network.body
        return [*stages(body.encoder), [body.decoder], [body.segmentation_head]]

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor | float]:
        from weft.tasks.image_segmentation.loss import term_weights

        return term_weights(batch.targets["mask"], len(self.options.data.classes), self.options.loss)

    def loss(self, output: Tensor, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        from weft.tasks.image_segmentation.loss import loss_terms

        return loss_terms(output.float(), batch.targets["mask"], self.options.loss)

    def answers(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return output.movedim(1, -1).flatten(0, 2), batch.targets["mask"].flatten()

    def decode(self, output: Tensor, batch: Batch) -> list[Products]:
        """Of pictures of one size: their probabilities and masks."""
        probabilities = output.detach().float().softmax(1).cpu().numpy()
        masks = probabilities.argmax(1).astype(np.int16)
        return [{"mask": a, "mask_probabilities": b} for a, b in zip(masks, probabilities, strict=True)]

    def predict(self, model: nn.Module, batch: Batch) -> list[Products]:
        """Of whole images, window by window."""
        from weft.tasks.image_segmentation.inference import predict_picture
        from weft.tasks.image_segmentation.network import SegmentationNetwork

        assert isinstance(model, SegmentationNetwork)
        assert isinstance(batch, ImageBatch)
        data = self.options.data
        pictures = (self._picture(sample) for sample in batch.images)
        return [predict_picture(model.body, picture, len(data.classes), data) for picture in pictures]

    def validate(
        self, model: nn.Module, batch: Batch, counts: Tensor | None = None
    ) -> tuple[LossTerms, list[Products]]:
        """The loss of the probabilities of whole images, and the images' products."""
        import torch

        from weft.engine.precision import loss_terms

        assert isinstance(batch, ImageBatch)
        made = self.predict(model, batch)
        total: dict[str, Any] = {}
        for sample, products in zip(batch.images, made, strict=True):
            mask = self._mask(sample)
            # Softmax of the logarithm of probabilities gives them back.
            logits = torch.from_numpy(np.log(np.maximum(products["mask_probabilities"], 1e-12)))[None]
            one = ImageBatch(
                batch.coords.cpu(), batch.features.cpu(), batch.offsets.cpu(), [sample.event],
                {"mask": torch.from_numpy(mask)[None]},
            )  # fmt: skip
            for name, (value, weight) in loss_terms(self, logits, one, None).items():
                before = total.get(name, (0.0, 0.0))
                total[name] = before[0] + float(value), before[1] + float(weight)
        return total, made

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.tasks.image_segmentation.score import score_shard

        return score_shard(store, split, shard, self.options.data.classes, self._window)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.tasks.image_segmentation.score import metrics

        return metrics(counts, self.options.data.classes)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.tasks.image_segmentation.figures import figures

        return figures(scores, split, self.options.data.classes)

    def event_figures(self, store: Store, index: int, note: str) -> list[Figure]:
        from weft.tasks.image_segmentation.event_views import event_figures

        return event_figures(store, index, note, self.options.data.classes)

    def baseline(self) -> ImageBaseline:
        from weft.tasks.image_segmentation.baseline import ImageBaseline

        return ImageBaseline(self.options.baseline, self.options.data.classes, self._window)

    def load_baseline(self, path: Path) -> ImageBaseline:
        from weft.tasks.image_segmentation.baseline import ImageBaseline

        return ImageBaseline.load(path)

    @property
    def _window(self) -> sizes.Size | None:
        """The middle of an image that alone is looked at."""
        data = self.options.data
        return data.size if data.fit == "centre_crop" else None


def require_classes(event: Any, classes: Sequence[str]) -> None:
    """Raise WeftError where the masks of a store name other classes; events in memory name none."""
    if hasattr(event, "codes"):
        codes = event.codes("truth/mask").get("class", {})
        image_products.require_classes(codes, classes, "the dataset")
