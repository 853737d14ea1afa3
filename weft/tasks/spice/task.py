"""The SPICE task: an embedding of voxels, read off as fragments."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from weft.engine.task import Batch, ForeignLayout, LossTerms, Products
from weft.tasks.fragmenting import Fragmenting
from weft.tasks.spice.options import Options

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.tasks.spice.loss import SpiceLoss, Subset
    from weft.tasks.spice.network import Embedding


class Spice(Fragmenting[Options]):
    """Dense clustering (Koh et al., arXiv:2007.03083): voxels of a fragment are brought together in an embedding."""

    name = "spice"
    options_model = Options

    def network(self) -> nn.Module:
        from weft.tasks.spice.network import SpiceNetwork

        return SpiceNetwork(self.options.model)

    def foreign_layout(self) -> ForeignLayout:
        from weft.tasks.spice.network import spine_names

        return ForeignLayout("spine", spine_names(self.options.model))

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, float]:
        from weft.tasks.spice.loss import TERMS

        return dict.fromkeys(TERMS, self._loss.weight(self._subsets(batch)))

    def loss(self, output: Embedding, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        return self._loss(output, self._subsets(batch))

    def _subsets(self, batch: Batch) -> list[Subset]:
        return self._loss.subsets(batch.targets["fragments"], batch.targets["semantics"], batch.offsets)

    @cached_property
    def _loss(self) -> SpiceLoss:
        from weft.tasks.spice.loss import SpiceLoss

        return SpiceLoss(self.options.loss)

    def decode(self, output: Embedding, batch: Batch) -> list[Products]:
        names = ("position", "margin", "seediness")
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in zip(names, output, strict=True)}
        return [self.products_of(event, self._clusters(event)) for event in self.events_of(batch, **arrays)]

    def _clusters(self, event: Mapping[str, np.ndarray]) -> np.ndarray:
        """int64 [n]: the fragment of each voxel of an event; −1: none."""
        from weft.tasks.fragmenting_components import touching_parts
        from weft.tasks.spice.clustering import cluster, dropped_below

        classes, options = event["semantics"], self.options.model
        labels = cluster(event["position"], event["margin"], event["seediness"], classes, options)
        if not options.clustering.touching:
            return labels
        labels = touching_parts(labels, event["coords"], classes, options.clustering.touching)
        return dropped_below(labels, options.clustering.min_size)
