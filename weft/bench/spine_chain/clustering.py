"""SPINE's Graph-SPICE, and its fragments of all classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from weft.bench.spine_chain.side import Found, Side, as_spine, tensor_batch, values_batch
from weft.bench.spine_setup import give_weights, graph_spice_config
from weft.engine.task import Batch
from weft.errors import WeftError
from weft.io.products import CLASSES, Ragged

_NO_ROWS = np.empty(0, np.int32)


class GraphSpice(Side):
    """Voxels of the classes that are divided, their graph, the network, components and orphans."""

    def make(self) -> Any:
        from spine.model.graph_spice.model import GraphSPICE

        network = GraphSPICE(graph_spice_config(self.model, list(self.model.classes)))
        give_weights(self.step.task, self.step.network, network)  # type: ignore[arg-type]
        return network

    def prepare(self) -> None:
        self.network = self.make().eval()
        batch = self.batch()
        self.rows = batch.targets["row"].numpy() + np.repeat(self.offsets[:-1], batch.offsets.diff().numpy())
        self.data = as_spine(batch)
        classes = batch.targets["semantics"].float()[:, None]
        self.classes = tensor_batch(torch.cat([batch.coords.float(), classes], 1), batch.offsets.diff().numpy())

    def __call__(self) -> Found:
        return self.network(self.data, self.classes)

    def loss(self, network: Any, batch: Batch) -> Tensor:
        from spine.model.common.losses import BinaryLogDiceCELoss

        network.make_clusters = False
        logits = network(self.data, self.classes)["edge_attr"].torch_tensor().flatten()
        fragments = batch.targets["fragments"]
        ends = batch.targets["edges"]
        cut = (fragments[ends[:, 0]] != fragments[ends[:, 1]]).float().repeat(2)[: len(logits)]
        found: Tensor = BinaryLogDiceCELoss(reduction="mean")(logits[: len(cut)], cut)
        return found

    def agreement(self) -> str:
        """Fragments that are the same set of voxels. Of edges that one direction keeps and the other cuts, SPINE
        follows those to voxels that it has not visited yet, so not all are."""
        theirs = {tuple(sorted(self.rows[np.asarray(rows)].tolist())) for rows in self.found["clusts"].index_list}
        ours = voxel_sets(self.own("fragment_voxels"), self.offsets)
        return f"{len(ours & theirs)} of {len(ours)} fragments the same (SPINE {len(theirs)})"


def voxel_sets(items: list[Ragged], offsets: np.ndarray) -> set[tuple[int, ...]]:
    """Clusters of all events as sets of rows."""
    return {
        tuple(sorted((part[k].astype(np.int64) + first).tolist()))
        for part, first in zip(items, offsets, strict=False)
        for k in range(len(part))
    }


class Fragments(Side):
    """DBSCAN of the classes that no network divides, put together with those that one does."""

    def prepare(self) -> None:
        from spine.model.common.dbscan import DBSCAN

        numbers = {name: number for number, name in CLASSES.items()}
        own = self.model.by_dbscan
        dbscan = self.model.dbscan
        if any(name in dbscan.split for name in own):
            raise WeftError("the benchmark compares fragments whose DBSCAN cuts nothing at points")
        self.shapes = [numbers[name] for name in own]
        rules = [dbscan.rule(name) for name in own]
        self.dbscan = DBSCAN(
            eps=[rule.eps for rule in rules],
            min_samples=[rule.min_samples for rule in rules],
            min_size=[rule.min_size for rule in rules],
            shapes=self.shapes,
            break_shapes=[],
        )
        self.data = self.voxels()
        self.classes = values_batch(torch.from_numpy(np.concatenate(self.read("semantics"))[:, 0]), self.counts)
        taken: list[Ragged] = []
        shapes: list[np.ndarray] = []
        for event in self.events:
            parts: list[np.ndarray] = []
            classes: list[int] = []
            for name, provider in self.model.providers.items():
                if provider in self.model.stages:
                    table, voxels = event[f"{provider}/fragments"], event[f"{provider}/fragment_voxels"]
                    rows = np.flatnonzero(table["shape"] == numbers[name])
                    parts += [voxels[i] for i in rows]
                    classes += [numbers[name]] * len(rows)
            taken.append(Ragged.of(parts, _NO_ROWS))
            shapes.append(np.array(classes, np.int64))
        self.taken = self.clusters(taken)
        self.taken_shapes = self.per_event(shapes)

    def __call__(self) -> Found:
        found, shapes = self.dbscan(self.data, self.classes)
        merged = found.merge(self.taken)
        return {"clusts": merged, "shapes": shapes.merge(self.taken_shapes)}

    def agreement(self) -> str:
        theirs = {tuple(sorted(rows.tolist())) for rows in self.found["clusts"].index_list}
        ours = voxel_sets(self.own("fragment_voxels"), self.offsets)
        if ours != theirs:
            raise WeftError(f"fragments: {len(ours & theirs)} of {len(ours)} are SPINE's, which has {len(theirs)}")
        return f"{len(ours)} fragments the same"
