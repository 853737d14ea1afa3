"""SPINE's GrapPA with what its chain does around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from weft.bench.spine_chain.side import Found, Side, require_close
from weft.bench.spine_setup import give_weights, grappa_config
from weft.bench.stages import Run
from weft.engine.task import Batch
from weft.errors import WeftError
from weft.io.products import Ragged

FEATURE_TOLERANCE = 1e-3
_NO_ROWS = np.empty(0, np.int32)


class Aggregation(Side):
    """GrapPA with all around it: ends of clusters by PPN, graph, features, network, groups, and what they make."""

    def make(self) -> Any:
        from spine.model.grappa.model import GrapPA

        network = GrapPA(grappa_config(self.model))
        give_weights(self.step.task, self.step.network, network)  # type: ignore[arg-type]
        return network

    def prepare(self) -> None:
        from spine.data import TensorBatch, TensorSchema
        from spine.model.full_chain.ops import AggregationOperations

        from weft.tasks.grappa.nodes import read_nodes

        self.network = self.make().eval()
        nodes = [read_nodes(event, self.model) for event in self.events]
        self.node_rows = [each["row"] for each in nodes]
        name = f"{self.model.nodes[:-1]}_voxels"
        items = [
            Ragged.of([voxels[i] for i in rows], _NO_ROWS)
            for voxels, rows in zip(self.read(name), self.node_rows, strict=True)
        ]
        self.data, self.nodes = self.voxels(), self.clusters(items)
        self.shapes = self.per_event([each["shape"] for each in nodes])
        samples = self.batch()  # start and end as our network sees them, tracks in the order that it fixes
        ends = np.concatenate(
            [
                np.concatenate([each.arrays["start"], each.arrays["end"]], 1)
                for each in (self.step.task.sample(event, (0, k), labels=False) for k, event in enumerate(self.events))
            ]
        )
        assert len(ends) == len(samples.nodes)  # type: ignore[attr-defined]
        schema = TensorSchema(coordinate_groups={"start": (0, 1, 2), "end": (3, 4, 5)})
        points = TensorBatch(
            torch.from_numpy(ends.astype(np.float32)), self.nodes.counts, coord_cols=np.arange(6), schema=schema
        )
        self.operations = AggregationOperations({})
        self.operations.point_predictor = _OurEnds(self.operations.point_predictor, points)
        self.ppn = _proposals(self.run, self.counts)

    def __call__(self) -> Found:
        fragments = self.model.nodes == "fragments"
        primary = fragments and "primary" in self.model.heads
        groups, shapes, primaries, _, found = self.operations.run_grappa(
            self.network,
            self.data,
            self.nodes,
            self.shapes,
            self.model.classes,
            primaries=self.nodes,
            ppn_points=self.ppn,
            aggregate_shapes=fragments,
            shape_use_primary=primary,
            point_use_primary=not fragments,
            retain_primaries=primary,
        )
        return {**found, "groups": groups, "group_shapes": shapes, "primaries": primaries}

    def loss(self, network: Any, batch: Batch) -> Tensor:
        network.make_groups = False
        given = self.operations.prepare_grappa_input(
            network, self.data, self.nodes, self.shapes, self.nodes, ppn_points=self.ppn
        )
        found = network(**given)
        targets = batch.targets
        total = cross_entropy(found["edge_pred"].torch_tensor(), targets["edge"], ignore_index=-1)
        for head, key in (("primary", "primary"), ("pid", "type"), ("orientation", "orient")):
            if head in self.model.heads:
                name = f"node_{key}_pred" if self.model.instance == "interaction" else "node_pred"
                total = total + cross_entropy(found[name].torch_tensor(), targets[head], ignore_index=-1)
        return total

    def agreement(self) -> str:
        """Features as SPINE finds them beside ours, and what its network and grouping make of ours."""
        from spine.data import EdgeIndexBatch, TensorBatch

        instance = self.model.instance
        batch: Any = self.batch()
        nodes, edges = batch.node_offsets.diff().tolist(), batch.edge_offsets.diff().tolist()
        given = self.operations.prepare_grappa_input(
            self.network, self.data, self.nodes, self.shapes, self.nodes, ppn_points=self.ppn
        )
        graph = self.network.materialize_graph(**given)
        if graph["edge_index"].index.shape != tuple(batch.edge_index.shape):
            raise WeftError(
                f"{instance}: {batch.edge_index.shape[1]} edges, SPINE has {graph['edge_index'].index.shape}"
            )
        theirs = np.sort(graph["edge_features"].torch_tensor().numpy(), axis=0)
        said = [require_close("edge features", np.sort(batch.edges.numpy(), axis=0), theirs)]
        apart = np.abs(batch.nodes.numpy() - graph["node_features"].torch_tensor().numpy())
        said.append(f"{(apart < FEATURE_TOLERANCE).mean():.1%} of node features equal")
        found = self.network(
            node_features=TensorBatch(batch.nodes, counts=nodes),
            edge_index=EdgeIndexBatch(batch.edge_index, counts=edges, spans=nodes, directed=False),
            edge_features=TensorBatch(batch.edges, counts=edges),
            shapes=self.shapes,
        )
        scores = found["edge_pred"].torch_tensor().softmax(1)[:, 1].numpy().reshape(-1, 2).mean(1)
        ours = np.concatenate([pairs["score"] for pairs in self.own(f"{instance}_edges")])
        said.append(require_close("edges", np.sort(ours), np.sort(scores)))
        for head, key in (("primary", "primary"), ("pid", "type")):
            if head in self.model.heads:
                name = f"node_{key}_pred" if instance == "interaction" else "node_pred"
                scores = found[name].torch_tensor().softmax(1).numpy()
                mine = self._of_nodes(f"{instance}_{head}")
                said.append(require_close(head, np.concatenate(mine), scores if head == "pid" else scores[:, 1:]))
        group = found["group_pred"].to_numpy()
        mine = self._of_nodes(f"{instance}_groups")
        same = [pairs_equal(mine[k][:, 0], np.asarray(group[k]).reshape(-1)) for k in range(len(mine))]
        return f"{', '.join(said)}; groups the same in {sum(same)} of {len(same)} events"

    def _of_nodes(self, product: str) -> list[np.ndarray]:
        """What ours said of the nodes of each event."""
        return [values[rows] for values, rows in zip(self.own(product), self.node_rows, strict=True)]


class _OurEnds:
    """SPINE's predictor of ends does its work; then ours are taken, so that features can be compared."""

    def __init__(self, predictor: Any, points: Any) -> None:
        self.predictor, self.points = predictor, points

    def __call__(self, *given: Any) -> Any:
        self.predictor(*given)
        return self.points


def _proposals(run: Run, counts: np.ndarray) -> Any:
    """Our raw point proposals as those of SPINE's network."""
    from spine.data import TensorBatch
    from spine.utils.ppn import ppn_raw_schema

    made = np.concatenate([products["point_proposals"] for products in run.stretch.made["points"]])
    score = np.clip(made[:, 3:4], 1e-6, 1 - 1e-6)
    rows = np.concatenate([made[:, :3], np.log(made[:, 4:9] + 1e-9), np.log(1 - score), np.log(score)], 1)
    return TensorBatch(torch.from_numpy(rows.astype(np.float32)), counts=counts, schema=ppn_raw_schema())


def pairs_equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two labellings are the same partition."""
    pairs = np.unique(np.stack([a, b], 1), axis=0)
    return len(pairs) == len(np.unique(a)) == len(np.unique(b))
