"""The Graph-SPICE task: a graph on voxels whose edges are kept or cut."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from weft.engine.task import Batch, Event, ForeignLayout, LossTerms, Products, Sample
from weft.tasks.fragmenting import Fragmenting
from weft.tasks.graph_spice.options import Options

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.tasks.graph_spice.loss import EdgeLoss
    from weft.tasks.graph_spice.network import Edges


class GraphSpice(Fragmenting[Options]):
    """Supervised connected components: edges between neighbouring voxels are judged by the features of both ends."""

    name = "graph_spice"
    options_model = Options
    _references: Mapping[str, str] = {"edges": "edges"}

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        from weft.reco.voxel_graph import knn_edges, radius_edges

        sample = super().sample(event, index, labels)
        coords, semantics = sample.arrays["coords"], sample.arrays["semantics"]
        group = np.where(np.isin(semantics, self.classes), semantics, -1)
        graph = self.options.model.graph
        # Views of an event keep its distances, so its edges too.
        edges = (
            radius_edges(coords, graph.radius, group) if graph.kind == "radius" else knn_edges(coords, graph.k, group)
        )
        return sample.with_arrays(edges=edges)

    def network(self) -> nn.Module:
        from weft.tasks.graph_spice.network import GraphSpiceNetwork

        return GraphSpiceNetwork(self.options.model)

    def foreign_layout(self) -> ForeignLayout:
        from weft.tasks.graph_spice.network import spine_names

        return ForeignLayout("spine", spine_names(self.options.model))

    def counts(self, batch: Batch) -> Tensor | None:
        return self._loss.counts(self._targets(batch)[1]) if self.options.loss.balance else None

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor]:
        return self._loss.weights(self._targets(batch)[1], counts)

    def loss(self, output: Edges, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        return self._loss(output, *self._targets(batch), counts)

    def _targets(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._loss.targets(batch.targets["fragments"], batch.targets["edges"])

    @cached_property
    def _loss(self) -> EdgeLoss:
        from weft.tasks.graph_spice.loss import EdgeLoss

        return EdgeLoss(self.options.loss, self.options.model.invert)

    def decode(self, output: Edges, batch: Batch) -> list[Products]:
        """An edge stays where either of its directions says so (in SPINE that depends on the order of the voxels)."""
        from weft.tasks.fragmenting_components import fragments

        model = self.options.model
        scores = output.logits.detach().sigmoid()
        threshold = model.clustering.edge_threshold
        stays = (scores <= threshold if model.invert else scores >= threshold).any(1)
        kept = output.ends[stays].cpu().numpy()
        offsets = batch.offsets.cpu().numpy()
        # Edges come event after event.
        parts = np.split(kept, np.searchsorted(kept[:, 0], offsets[1:-1]))
        return [
            self.products_of(
                event,
                fragments(event["coords"], event["semantics"], part - start, self.classes, model.clustering),
            )
            for event, part, start in zip(self.events_of(batch), parts, offsets, strict=False)
        ]
