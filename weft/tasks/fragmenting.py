"""What SPICE and Graph-SPICE have in common: voxels of given classes in, fragments of each class out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured

from weft.engine.collation import join_voxels
from weft.engine.task import Batch, Event, Products, Sample, Store, Task
from weft.io.products import META, Ragged, Schema
from weft.io.reco_products import FRAGMENT_VOXELS, FRAGMENTS
from weft.metrics.scores import Scores
from weft.reco.views import charge_feature, charge_view, view
from weft.report.figure import Figure
from weft.tasks.fragmenting_options import FragmentingOptions

if TYPE_CHECKING:
    from torch import nn

    from weft.sparse.uresnet import UResNet
    from weft.tasks.fragmenting_baseline import DbscanBaseline

Options = TypeVar("Options", bound=FragmentingOptions)


class Fragmenting(Task[Options]):
    """Reads voxels, charge and semantics; writes fragments and their voxels.

    The semantics may be the true or predicted ones. A voxel that they put into a wrong class has no label in training
    and, since truth is what is judged, costs the prediction in the score.
    """

    fitted_with = ("data", "model.classes")
    headline = ("ari", "purity", "efficiency")

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        proposals = ("point_proposals",) if self.options.data.proposals else ()
        return ("voxels", "charge", "semantics", "meta", *proposals)

    @property
    def labels(self) -> tuple[str, ...]:
        from weft.reco.fragment_labels import TRUTH

        return TRUTH

    @property
    def makes(self) -> tuple[Schema, ...]:
        return FRAGMENTS, FRAGMENT_VOXELS

    @property
    def classes(self) -> tuple[int, ...]:
        """Numbers of the classes that are divided into fragments."""
        return tuple(self.options.model.class_numbers)  # type: ignore[attr-defined]

    # --- data ---------------------------------------------------------------------------------------------

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        """Arrays by voxel: coords, charge, semantics (as fed), row (in the event), with labels fragments; and meta."""
        semantics = event["semantics"][:, 0]
        arrays = {"coords": event["voxels"], "charge": event["charge"], "semantics": semantics}
        arrays["row"] = np.arange(len(semantics), dtype=np.int32)
        if self.options.data.proposals:
            arrays["proposals"] = event["point_proposals"]
        if labels:
            from weft.reco.fragment_labels import fragment_labels

            truth = {name: event[f"truth/{name}"] for name in self.labels}
            broken = self.options.data.break_clusters
            arrays["fragments"] = fragment_labels(truth, semantics, self.classes, broken)
        if not self.options.data.context:
            kept = np.isin(semantics, self.classes)
            arrays = {name: array[kept] for name, array in arrays.items()}
        arrays["meta"] = structured_to_unstructured(event["meta"], np.float64)
        return Sample(arrays, index)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        data, meta = self.options.data, unstructured_to_structured(sample.arrays["meta"], META.dtype)[0]
        count = np.array([meta[f"n{axis}"] for axis in "xyz"])
        coords = view(sample.arrays["coords"], count, rng, data.flip, data.rotate, data.shift)
        charge = charge_view(sample.arrays["charge"], data.charge_jitter, rng)
        return sample.with_arrays(coords=coords, charge=charge)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Targets, those by voxel end to end: charge (MeV), semantics, row, meta [B, 9]; proposals, fragments."""
        charge = np.concatenate([sample.arrays["charge"] for sample in samples])
        feature = charge_feature(charge, self.options.data.charge)
        names = ("charge", "semantics", "row", "meta", "proposals", "fragments")
        return join_voxels(samples, feature, names, self._references)

    _references: Mapping[str, str] = {}
    """further arrays of a sample that hold row numbers, and their targets: see `weft.engine.collation.join_voxels`"""

    # --- learning -----------------------------------------------------------------------------------------

    def layers(self, network: nn.Module) -> list[list[nn.Module]]:
        trunk: UResNet = network.trunk  # type: ignore[assignment]
        rest = [module for name, module in network.named_children() if name != "trunk"]
        return [*trunk.levels(), rest]

    def events_of(self, batch: Batch, **arrays: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """The targets of :meth:`collate` and further `arrays` [N, ...], as numpy, event by event."""
        voxels = {name: batch.targets[name] for name in ("charge", "semantics", "row", "proposals", "fragments")
                  if name in batch.targets}  # fmt: skip
        whole: dict[str, Any] = {name: tensor.cpu().numpy() for name, tensor in voxels.items()}
        whole |= {"coords": batch.coords[:, 1:].cpu().numpy(), **arrays}
        meta = batch.targets["meta"].cpu().numpy()
        for b, (start, stop) in enumerate(itertools.pairwise(batch.offsets.tolist())):
            yield {name: array[start:stop] for name, array in whole.items()} | {"meta": meta[b : b + 1]}

    def products_of(self, event: Mapping[str, np.ndarray], labels: np.ndarray) -> Products:
        """Products of an event of :meth:`events_of`; labels: int [n], fragment of each voxel, −1 for none.

        Fragments are numbered by the lowest voxel in them.
        """
        from weft.reco.nodes import by_label, fragment_products, numbered_by_first

        items = by_label(numbered_by_first(labels))
        shapes = event["semantics"][items.values[items.offsets[:-1]]]
        meta = unstructured_to_structured(event["meta"], META.dtype)
        made = fragment_products(items, shapes, event["coords"], event["charge"], meta, event.get("proposals"))
        return made | {"fragment_voxels": Ragged(event["row"][items.values], items.offsets)}

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        from weft.reco.clustering_scores import score_answers
        from weft.reco.fragment_labels import fragment_answers

        answers = fragment_answers(store, self.classes, self.options.data.break_clusters)
        return score_answers(answers, store.events, split, shard, self.classes)

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        from weft.metrics.clustering_counts import metrics

        return metrics(counts)

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        from weft.report.clustering import clustering_figures

        return clustering_figures(scores, split, "fragments")

    def baseline(self) -> DbscanBaseline:
        from weft.tasks.fragmenting_baseline import DbscanBaseline

        return DbscanBaseline(self.options.baseline, self.classes, self.options.data.break_clusters)

    def load_baseline(self, path: Path) -> DbscanBaseline:
        from weft.tasks.fragmenting_baseline import DbscanBaseline

        return DbscanBaseline.load(path)
