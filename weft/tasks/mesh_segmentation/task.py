"""What the network of meshes reads, how its answers become products, and who judges them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from weft.engine.task import Batch, Event, LossTerms, Products, Sample, Store, Task
from weft.io import mesh_products
from weft.io.products import Schema
from weft.meshes.features import feature_names
from weft.metrics.scores import Scores
from weft.report.figure import Figure
from weft.tasks.mesh_segmentation.batch import MeshBatch, of_meshes, of_samples
from weft.tasks.mesh_segmentation.options import Options

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.reco.feed import Events
    from weft.tasks.mesh_segmentation.baseline import MeshBaseline
    from weft.tasks.mesh_segmentation.clustered import Clustered
    from weft.tasks.mesh_segmentation.held import HeldMeshes
    from weft.tasks.mesh_segmentation.loss import Target
    from weft.tasks.mesh_segmentation.tile import Reads, Tile


class MeshSegmentation(Task[Options]):
    """Reads a mesh, with its texture where asked for; writes the class of each face and the probabilities."""

    name = "mesh_segmentation"
    options_model = Options
    labels = ("face_labels",)
    headline = ("mean_f1", "area_mean_f1", "accuracy")
    claim_events = 10
    thing = "tile"
    # It reads textures where the network does.
    fitted_with = ("data.classes", "data.features.surface", "model.texture")
    # How samples are drawn, and how meshes are predicted: a deploy may do both otherwise.
    variations = frozenset(
        {"augment", "turns", "held", "inference", "clusters.recluster", "clusters.per_sample", "clusters.method"}
    )

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._measured: Mapping[str, Any] = {}

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        texture = self.options.model.texture
        return (
            "vertices",
            "faces",
            *(("face_surface",) if self.options.data.features.surface else ()),
            *(("face_pixels",) if texture is not None else ()),
            *(("texcoords",) if texture is not None and texture.positions == "uv" else ()),
        )

    @property
    def makes(self) -> tuple[Schema, ...]:
        classes = self.options.data.classes
        return mesh_products.face_labels(classes), mesh_products.face_probabilities(classes)

    # --- data ---------------------------------------------------------------------------------------------

    @property
    def _places(self) -> Reads:
        texture = self.options.model.texture
        return "none" if texture is None else texture.positions

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        """The event, read when it is drawn from or predicted."""
        read: Any = event
        return Sample({"event": read, "labels": np.array(labels)}, index)

    def _tile(self, sample: Sample) -> Tile:
        from weft.tasks.mesh_segmentation.tile import read_tile

        data, texture = self.options.data, self.options.model.texture
        return read_tile(
            sample.arrays["event"],
            surface=data.features.surface,
            texture=None if texture is None else texture.positions,
            classes=data.classes if sample.arrays["labels"] else None,
        )

    def _clustered(self, sample: Sample) -> Clustered:
        from weft.tasks.mesh_segmentation.clustered import Clustered

        source = getattr(sample.arrays["event"], "source", None)
        return self._held.get(source, lambda: Clustered.of(self._tile(sample), self.options.data.clusters))

    @cached_property
    def _held(self) -> HeldMeshes:
        from weft.tasks.mesh_segmentation.held import HeldMeshes

        return HeldMeshes(self.options.data.held)

    def pick(self, seed: int, number: int, events: int) -> tuple[int, np.random.Generator] | None:
        from weft.tasks.mesh_segmentation.turns import pick

        return pick(seed, number, events, self.options.data.turns)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Some clusters of a mesh (:func:`weft.tasks.mesh_segmentation.batch.of_samples`)."""
        from weft.tasks.mesh_segmentation.sampling import draw_sample
        from weft.tasks.mesh_segmentation.turns import turn_of

        turn = turn_of(rng)
        return Sample(draw_sample(self._clustered(sample), turn, self.options.data, self._places, rng), sample.event)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        return of_meshes(samples) if "event" in samples[0].arrays else of_samples(samples)

    # --- learning -----------------------------------------------------------------------------------------

    def network(self) -> nn.Module:
        from weft.tasks.mesh_segmentation.network import MeshNetwork

        data = self.options.data
        return MeshNetwork(self.options.network, len(feature_names(data.features)), len(data.classes))

    def layers(self, network: nn.Module) -> Sequence[Sequence[nn.Module]]:
        """The blocks of the encoder, and the head; stem and texture learn slower than any (spec §9)."""
        from weft.tasks.mesh_segmentation.network import MeshNetwork

        assert isinstance(network, MeshNetwork)
        return [*([block] for block in network.encoder.blocks), [network.head]]

    def measure(self, events: Events) -> dict[str, Any]:
        """Means and deviations of features and colours, faces and area of each class."""
        from weft.tasks.mesh_segmentation.measuring import measure_meshes

        def meshes() -> Iterator[Clustered]:
            for k in range(len(events)):
                yield self._clustered(self.sample(events[k], events.locate(k), labels=True))

        return measure_meshes(meshes(), self.options.data.features, self.options.data.classes)

    def prepare(self, network: nn.Module, measured: Mapping[str, Any]) -> None:
        from weft.tasks.mesh_segmentation.network import MeshNetwork

        assert isinstance(network, MeshNetwork)
        network.standardise(measured)
        self._measured = measured

    def _target(self, labels: Tensor, area: Tensor) -> Target:
        import torch

        from weft.tasks.mesh_segmentation.class_weights import class_weights
        from weft.tasks.mesh_segmentation.loss import target

        weights = class_weights(self.options.loss, self._measured, self.options.data.classes)
        return target(labels, area, torch.from_numpy(weights).to(labels.device), self.options.loss)

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor | float]:
        from weft.tasks.mesh_segmentation.loss import term_weights

        return term_weights(self._target(batch.targets["labels"], batch.targets["area"]), self.options.loss)

    def loss(self, output: Tensor, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        from weft.tasks.mesh_segmentation.loss import loss_terms

        to = self._target(batch.targets["labels"], batch.targets["area"])
        return loss_terms(output, to, self.options.loss)

    def answers(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return output.flatten(0, 2), batch.targets["labels"].flatten()

    def decode(self, output: Tensor, batch: Batch) -> list[Products]:
        """Of samples: the classes of their faces, in the order of the batch."""
        assert isinstance(batch, MeshBatch)
        assert batch.real is not None
        made = []
        for logits, real in zip(output, batch.real, strict=True):
            probabilities = logits[real].detach().float().softmax(1).cpu().numpy()
            labels = probabilities.argmax(1).astype(np.int16)[:, None]
            made.append({"face_labels": labels, "face_probabilities": probabilities})
        return made

    def predict(self, model: nn.Module, batch: Batch) -> list[Products]:
        """Of whole meshes, part by part."""
        assert isinstance(batch, MeshBatch)
        return [self._predict(model, self._tile(sample)) for sample in batch.meshes]

    def _predict(self, model: nn.Module, tile: Tile) -> Products:
        from weft.tasks.mesh_segmentation.inference import predict_tile
        from weft.tasks.mesh_segmentation.network import MeshNetwork

        assert isinstance(model, MeshNetwork)
        return predict_tile(model, tile, self.options.data, self._places)

    def validate(
        self, model: nn.Module, batch: Batch, counts: Tensor | None = None
    ) -> tuple[LossTerms, list[Products]]:
        """The loss of the probabilities of whole meshes, and their products."""
        import torch

        from weft.engine.precision import loss_terms
        from weft.meshes.geometry import areas

        assert isinstance(batch, MeshBatch)
        made: list[Products] = []
        total: dict[str, Any] = {}
        for sample in batch.meshes:
            tile = self._tile(sample)
            assert tile.labels is not None
            products = self._predict(model, tile)
            made.append(products)
            # Softmax of the logarithm of probabilities gives them back.
            logits = torch.from_numpy(np.log(np.maximum(products["face_probabilities"], 1e-12)))[None, None]
            targets = {
                "labels": torch.from_numpy(tile.labels.astype(np.int64))[None, None],
                "area": torch.from_numpy(areas(tile.vertices[tile.faces]))[None, None],
            }
            one = MeshBatch(batch.coords.cpu(), batch.features.cpu(), batch.offsets.cpu(), [sample.event], targets)
            for name, (value, weight) in loss_terms(self, logits, one, None).items():
                before = total.get(name, (0.0, 0.0))
                total[name] = before[0] + float(value), before[1] + float(weight)
        return total, made

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.tasks.mesh_segmentation.score import score_shard

        return score_shard(store, split, shard, self.options.data.classes)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.tasks.mesh_segmentation.score import metrics

        return metrics(counts, self.options.data.classes)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.tasks.mesh_segmentation.figures import figures

        return figures(scores, split, self.options.data.classes)

    def event_figures(self, store: Store, index: int, note: str) -> list[Figure]:
        from weft.tasks.mesh_segmentation.event_views import event_figures

        return event_figures(store, index, note, self.options.data.classes)

    def baseline(self) -> MeshBaseline:
        from weft.tasks.mesh_segmentation.baseline import MeshBaseline

        data = self.options.data
        textured = self.options.model.texture is not None
        return MeshBaseline(self.options.baseline, data.classes, data.features.surface, textured)

    def load_baseline(self, path: Path) -> MeshBaseline:
        from weft.tasks.mesh_segmentation.baseline import MeshBaseline

        return MeshBaseline.load(path)
