"""The GrapPA task: how clusters become graphs, answers become products, and who judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from weft.engine.task import Batch, Event, ForeignLayout, LossTerms, Products, Sample, Store, Task
from weft.io import reco_products
from weft.io.products import Schema
from weft.metrics.scores import Scores
from weft.reco.feed import SOURCES
from weft.report.figure import Figure
from weft.tasks.grappa.labels import node_labels
from weft.tasks.grappa.nodes import in_fixed_order, products, read_nodes
from weft.tasks.grappa.options import Options
from weft.tasks.grappa.views import overlay, random_view

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.tasks.grappa.baseline import GrappaBaseline
    from weft.tasks.grappa.loss import GrappaLoss


class Grappa(Task[Options]):
    """Reads clusters and their voxels, writes which belong together and what each one is."""

    name = "grappa"
    options_model = Options
    variations = Task.variations | {"overlay", "break_clusters"}
    fitted_with = (
        "data",
        *(f"model.{key}" for key in ("instance", "nodes", "classes", "min_size", "heads", "graph")),
        *(f"loss.{key}" for key in ("min_purity", "min_efficiency", "primary", "pid")),
    )

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        return products(self.options.model)

    @property
    def headline(self) -> tuple[str, ...]:  # type: ignore[override]
        from weft.tasks.grappa.score import headline

        return headline(self.options.model)

    labels = SOURCES

    @property
    def makes(self) -> tuple[Schema, ...]:
        model = self.options.model
        kinds = {head: getattr(reco_products, head) for head in model.heads if head != "edge"}
        schemas = [schema(model.instance, model.nodes) for schema in kinds.values()]
        if "edge" in model.heads:
            groups = reco_products.groups(model.instance, model.nodes)
            schemas = [groups, reco_products.edges(model.instance, model.nodes), *schemas]
        return tuple(schemas)

    # --- data ---------------------------------------------------------------------------------------------

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        arrays = read_nodes(event, self.options.model)
        if labels:
            arrays |= node_labels(event, arrays, self.options.model, self.options.loss)
        if self.options.data.order == "random":
            arrays |= in_fixed_order(arrays)
        return Sample(arrays, index)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return random_view(sample, self.options.data, rng)

    def mix(self, samples: list[Sample], rng: np.random.Generator) -> list[Sample]:
        options = self.options.data.overlay
        return samples if options.kind == "none" else overlay(samples, options, rng)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        from weft.tasks.grappa.batch import collate

        return collate(samples, self.options.model, self.options.loss)

    # --- learning -----------------------------------------------------------------------------------------

    def network(self) -> nn.Module:
        from weft.tasks.grappa.network import GrappaNetwork

        return GrappaNetwork(self.options.model)

    def layers(self, network: nn.Module) -> list[list[nn.Module]]:
        from weft.tasks.grappa.network import GrappaNetwork, layers

        assert isinstance(network, GrappaNetwork)
        return layers(network)

    def foreign_layout(self) -> ForeignLayout | None:
        from weft.tasks.grappa.network import spine_names

        names = spine_names(self.options.model)
        return None if names is None else ForeignLayout("spine", names)

    def counts(self, batch: Batch) -> Tensor | None:
        return self._loss.counts(batch)  # type: ignore[arg-type]

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor | float]:
        return self._loss.weights(batch, counts)  # type: ignore[arg-type]

    def loss(self, output: Mapping[str, Tensor], batch: Batch, counts: Tensor | None = None) -> LossTerms:
        return self._loss(output, batch, counts)  # type: ignore[arg-type]

    @cached_property
    def _loss(self) -> GrappaLoss:
        from weft.tasks.grappa.loss import GrappaLoss

        return GrappaLoss(self.options.model, self.options.loss)

    def decode(self, output: Mapping[str, Tensor], batch: Batch) -> list[Products]:
        from weft.tasks.grappa.decode import decode

        return decode(output, batch, self.options.model)  # type: ignore[arg-type]

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.tasks.grappa.score import score_shard

        return score_shard(store, split, shard, self.options)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.tasks.grappa.score import metrics

        return metrics(counts)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.tasks.grappa.figures import figures

        return figures(scores, split, self.options.model)

    def baseline(self) -> GrappaBaseline:
        from weft.tasks.grappa.baseline import GrappaBaseline

        return GrappaBaseline(self.options)

    def load_baseline(self, path: Path) -> GrappaBaseline:
        from weft.tasks.grappa.baseline import GrappaBaseline

        return GrappaBaseline.load(path)
