"""From the answers of the network to products: groups, edges, and what is said of each node."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from weft.engine.task import Products
from weft.graph.grouping import group_bipartite, group_by_score, group_by_threshold
from weft.io.products import TRACK
from weft.io.reco_products import edges as edge_schema
from weft.tasks.grappa.batch import GraphBatch
from weft.tasks.grappa.loss import on_probability, vertex_position, vertex_unit
from weft.tasks.grappa.options import ModelOptions


def decode(output: Mapping[str, Tensor], batch: GraphBatch, options: ModelOptions) -> list[Products]:
    """Products of each event, by the names of :mod:`weft.io.reco_products`; NaN, or group −1, for what is no node."""
    row, rows = batch.row.cpu().numpy(), batch.rows.cpu().numpy()
    answers = {head: _node_values(head, output, batch, options) for head in options.heads if head != "edge"}
    scores = on_probability(output["edge"]) if "edge" in output else np.zeros(0)
    edges, shape = batch.edge_index.cpu().numpy().T, batch.shape.cpu().numpy()
    first = batch.first.cpu().numpy()
    made = []
    for k, (nodes, of_event) in enumerate(batch.slices()):
        products: Products = {}
        if "edge" in output:
            local, score = edges[of_event] - nodes.start, scores[of_event]
            found = group(local, score, options, shape[nodes], first[nodes])
            groups = np.full((rows[k], 1), -1, np.int32)
            groups[row[nodes], 0] = row[nodes][found]
            products[f"{options.instance}_groups"] = groups
            products[f"{options.instance}_edges"] = judged_pairs(local, score, row[nodes], options)
        for head, values in answers.items():
            table = np.full((rows[k], values.shape[1]), np.nan, np.float32)
            table[row[nodes]] = values[nodes]
            products[f"{options.instance}_{head}"] = table
        made.append(products)
    return made


def group(
    edges: np.ndarray, scores: np.ndarray, options: ModelOptions, shape: np.ndarray, first: np.ndarray
) -> np.ndarray:
    """int64 [n]: group of each node, the number of its lowest node; edges [E, 2], scores [E] in both directions."""
    if options.graph.kind == "bipartite":
        return group_bipartite(edges, scores, first)
    if options.grouping == "threshold":
        return group_by_threshold(edges, scores, len(shape), options.threshold)
    return group_by_score(edges, scores, len(shape), shape == TRACK if options.through_track else None)


def judged_pairs(edges: np.ndarray, scores: np.ndarray, row: np.ndarray, options: ModelOptions) -> np.ndarray:
    """Each pair of rows once, source < target, with the mean score of both directions; sorted."""
    if options.graph.kind != "loop":
        edges, scores = edges[::2], (scores[::2] + scores[1::2]) / 2
    ends = np.sort(row[edges], axis=1)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    pairs = np.zeros(len(ends), edge_schema(options.instance, options.nodes).dtype)
    pairs["source"], pairs["target"], pairs["score"] = ends[order, 0], ends[order, 1], scores[order]
    return pairs


def _node_values(head: str, output: Mapping[str, Tensor], batch: GraphBatch, options: ModelOptions) -> np.ndarray:
    """float32 [n, columns] of the product of a head."""
    answer = output[head].detach().float()
    if head == "pid":
        return answer.softmax(1).cpu().numpy()
    if head == "primary":
        return answer.softmax(1)[:, 1:].cpu().numpy()
    if head == "orientation":
        score = answer.softmax(1)[:, 1]
        score = score.where(~batch.swapped, 1 - score)  # of the ends as they stand in the product
        return score.where(batch.shape == TRACK, float("nan"))[:, None].cpu().numpy()
    if head == "momentum":
        return (answer * options.momentum_unit).clamp(min=0).cpu().numpy()
    unit = vertex_unit(batch, options)
    position = vertex_position(answer[:, 2:].double(), batch, options, unit) * unit
    _, low, size = batch.box.repeat_interleave(batch.node_offsets.diff(), dim=0).unbind(1)
    centimetres = (low + position * size).float().cpu().numpy()
    return np.concatenate([answer[:, :2].softmax(1)[:, 1:].cpu().numpy(), centimetres], axis=1)
