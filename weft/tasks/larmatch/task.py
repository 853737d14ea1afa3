"""The LArMatch task: how triplets become batches, answers become products, and who judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from weft.detector.wires import PLANES
from weft.engine.task import Batch, Event, LossTerms, Products, Sample, Store, Task
from weft.io.larmatch_products import triplet_scores
from weft.io.products import Schema
from weft.metrics.scores import Scores
from weft.report.figure import Figure
from weft.tasks.larmatch.batch import LABELS, collate, triplets_through
from weft.tasks.larmatch.options import Options

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.reco.feed import Events
    from weft.tasks.larmatch.baseline import LarmatchBaseline
    from weft.tasks.larmatch.loss import LarmatchLoss
    from weft.tasks.larmatch.network import Answers

_PIXEL = ("tpc", "plane", "row", "wire", "charge", "dead")


class Larmatch(Task[Options]):
    """Reads pixels and triplets of them, writes how likely each is a point, what it is, and how near key points are."""

    name = "larmatch"
    options_model = Options
    reads = ("pixels", "triplets")
    # Where the truth of other events lies does not matter to a network.
    fitted_with = ("data", "model.heads")
    variations = Task.variations | {"sampling", "prior", "min_score", "chunk", "labels.truth", "labels.origin"}
    headline = ("average_precision", "ghost_rejection_95", "efficiency_at_0.5", "purity_at_0.5")

    @property
    def makes(self) -> tuple[Schema, ...]:
        return (triplet_scores(self.options.model.heads, self.options.data.labels.classes.classes),)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.options.data.labels.products

    # --- data ---------------------------------------------------------------------------------------------

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        """Arrays as :func:`weft.tasks.larmatch.batch.collate` wants them, of all triplets of the event."""
        pixels, triplets = event["pixels"], event["triplets"]
        arrays = {name: np.ascontiguousarray(pixels[name]) for name in _PIXEL}
        arrays["pixel"] = np.stack([triplets[f"pixel_{plane}"] for plane in range(PLANES)], axis=1)
        arrays["triplet"] = np.arange(len(triplets), dtype=np.int32)
        arrays |= triplets_through(arrays["pixel"], arrays["dead"])
        if labels:
            from weft.reco.feed import processes_of
            from weft.triplets.stored_truth import read_truth

            truth = read_truth(
                lambda name: event[f"truth/{name}"], pixels, triplets, self.options.data.labels, processes_of(event)
            )
            arrays |= {name: getattr(truth.labels, name) for name in LABELS}
        return Sample(arrays, index)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Some of the triplets, and the whole images mirrored and moved (:mod:`weft.tasks.larmatch.views`)."""
        from weft.tasks.larmatch.sampling import sample_triplets
        from weft.tasks.larmatch.views import gain_view, random_view

        data, arrays = self.options.data, sample.arrays
        rows = sample_triplets(arrays, data.sampling, rng)
        chosen = {name: arrays[name][rows] for name in ("pixel", "triplet", *LABELS) if name in arrays}
        chosen["charge"] = gain_view(arrays, data.charge_jitter, rng)
        return sample.with_arrays(**chosen | random_view({**arrays, **chosen}, data.flip, data.shift, rng))

    def collate(self, samples: Sequence[Sample]) -> Batch:
        return collate(samples, self.options.data.charge_scale, self.options.data.charge_clip)

    # --- learning -----------------------------------------------------------------------------------------

    def network(self) -> nn.Module:
        from weft.tasks.larmatch.network import LarmatchNetwork

        uncertainty, heads = self.options.loss.uncertainty, self.options.model.heads
        learned: dict[str, float] = {}
        if uncertainty is not None:
            learned = {term: uncertainty.initial.get(term, 0.0) for term in heads}
        return LarmatchNetwork(self.options.model, len(self.options.data.labels.classes.classes), learned)

    def measure(self, events: Events) -> dict[str, Any]:
        """How many of their triplets are good."""
        from weft.tasks.larmatch.prior import count_triplets

        return count_triplets(events, self.options.data.labels)

    def prepare(self, network: nn.Module, measured: Mapping[str, Any]) -> None:
        from weft.tasks.larmatch.network import LarmatchNetwork
        from weft.tasks.larmatch.prior import prior_shift

        assert isinstance(network, LarmatchNetwork)
        network.prior_shift = prior_shift(measured) if self.options.data.prior == "events" else 0.0

    def layers(self, network: nn.Module) -> list[list[nn.Module]]:
        from weft.tasks.larmatch.network import LarmatchNetwork

        assert isinstance(network, LarmatchNetwork)
        return [*network.forward_features.levels(), [network.classify_triplets]]

    def lr_multipliers(self, network: nn.Module) -> list[tuple[nn.Module, float]]:
        from weft.tasks.larmatch.network import LarmatchNetwork

        assert isinstance(network, LarmatchNetwork)
        uncertainty = self.options.loss.uncertainty
        return [] if uncertainty is None else [(network.log_variance, uncertainty.rate)]

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor | float]:
        return self._loss.weights(batch)  # type: ignore[arg-type]

    def loss(self, output: Answers, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        return self._loss(output, batch)  # type: ignore[arg-type]

    @cached_property
    def _loss(self) -> LarmatchLoss:
        from weft.tasks.larmatch.loss import LarmatchLoss

        return LarmatchLoss(self.options.loss, tuple(self.options.model.heads))

    def decode(self, output: Answers, batch: Batch) -> list[Products]:
        from weft.tasks.larmatch.judging import products_of

        (schema,) = self.makes
        made = products_of(output, batch, schema, self.options.data.min_score)  # type: ignore[arg-type]
        return [{schema.name: scores} for scores in made]

    def predict(self, model: nn.Module, batch: Batch) -> list[Products]:
        from weft.tasks.larmatch.judging import judge

        (schema,), data = self.makes, self.options.data
        made = judge(model, batch, schema, data.chunk, data.min_score)  # type: ignore[arg-type]
        return [{schema.name: scores} for scores in made]

    def validate(
        self, model: nn.Module, batch: Batch, counts: Tensor | None = None
    ) -> tuple[LossTerms, list[Products]]:
        from weft.engine.precision import loss_terms
        from weft.tasks.larmatch.judging import answer_in_chunks

        data = self.options.data
        output = answer_in_chunks(model, batch, data.chunk, data.min_score)  # type: ignore[arg-type]
        return loss_terms(self, output, batch, counts), self.decode(output, batch)

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.tasks.larmatch.score import score_shard

        return score_shard(store, split, shard, self.options)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.tasks.larmatch.score import metrics

        return metrics(counts)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.tasks.larmatch.figures import figures

        return figures(scores, split, self.options)

    def event_payload(self, store: Store, index: int, subtitle: str, label: str) -> Mapping[str, Any]:
        from weft.tasks.larmatch.event_views import payload

        return payload(store, index, self.options, subtitle, label)

    def event_figures(self, store: Store, index: int, note: str) -> list[Figure]:
        from weft.tasks.larmatch.event_views import event_figures

        return event_figures(store, index, self.options, note)

    def baseline(self) -> LarmatchBaseline:
        from weft.tasks.larmatch.baseline import LarmatchBaseline

        return LarmatchBaseline(self.options)

    def load_baseline(self, path: Path) -> LarmatchBaseline:
        from weft.tasks.larmatch.baseline import LarmatchBaseline

        return LarmatchBaseline.load(path)
