"""From answers about triplets to products: whole images once, triplets a chunk at a time (spec §6).

What is in memory at a time, beside the features of the pixels, is a chunk of triplets with all that the heads
compute of it, one number for every triplet, and what is written of those that are kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from weft.io.larmatch_products import columns_of
from weft.io.products import Filtered, Schema
from weft.io.wire_products import GOOD_TRIPLET
from weft.tasks.larmatch.batch import TripletBatch
from weft.tasks.larmatch.gather import extract_features
from weft.tasks.larmatch.network import Answers, LarmatchNetwork


def judge(
    network: LarmatchNetwork, batch: TripletBatch, schema: Schema, chunk: int, min_score: float
) -> list[Filtered]:
    """`triplet_scores` of each event. Only triplets that are kept are shown to the other heads.

    schema: of `triplet_scores`. chunk: triplets at a time. min_score: triplets below are not kept.
    """
    heads = network.classify_triplets
    pixels = network.pixels(batch)
    score = np.empty(len(batch.triplets), np.float32)
    for part in _chunks(0, len(score), chunk):
        answers = heads(extract_features(pixels, batch.triplets[part]), ["larmatch"])
        score[part] = probabilities(answers, network.prior_shift)["larmatch"]
    others = [name for name in heads.names if name != "larmatch"]
    made = []
    for start, stop in itertools.pairwise(batch.triplet_offsets.tolist()):
        kept = start + np.flatnonzero(score[start:stop] >= min_score)
        values = np.empty(len(kept), schema.dtype)
        values["larmatch"] = score[kept]
        for part in _chunks(0, len(kept), chunk) if others else ():
            rows = torch.from_numpy(kept[part]).to(batch.triplets.device)
            _fill(values[part], heads(extract_features(pixels, batch.triplets[rows]), others), schema)
        made.append(Filtered(values, _index(batch, kept)))
    return made


def answer_in_chunks(network: LarmatchNetwork, batch: TripletBatch, chunk: int, min_score: float) -> Answers:
    """What the network answers about all triplets of a batch with labels, a chunk at a time.

    Other heads than larmatch are asked about triplets that are good, which the loss is made of, or kept, which are
    written; the answer is 0 elsewhere.
    """
    pixels = network.pixels(batch)
    good = batch.targets["good"] == GOOD_TRIPLET
    heads, parts = network.classify_triplets, []
    for part in _chunks(0, len(batch.triplets), chunk) or [slice(0, 0)]:
        features = extract_features(pixels, batch.triplets[part])
        answers = heads(features, ["larmatch"])
        kept = (answers["larmatch"].float() + network.prior_shift).sigmoid() >= min_score
        parts.append(network.with_others(answers, features, good[part] | kept))
    return network.with_scalars({name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def products_of(answers: Answers, batch: TripletBatch, schema: Schema, min_score: float) -> list[Filtered]:
    """`triplet_scores` of each event, of answers about all triplets of the batch."""
    heads = {name: answer for name, answer in answers.items() if isinstance(answer, Tensor)}
    shift = float(heads.pop("prior_shift", 0.0))
    score = probabilities({"larmatch": heads["larmatch"]}, shift)["larmatch"]
    made = []
    for start, stop in itertools.pairwise(batch.triplet_offsets.tolist()):
        kept = start + np.flatnonzero(score[start:stop] >= min_score)
        rows = torch.from_numpy(kept).to(batch.triplets.device)
        values = np.empty(len(kept), schema.dtype)
        _fill(values, {name: answer[rows] for name, answer in heads.items()}, schema, shift)
        made.append(Filtered(values, _index(batch, kept)))
    return made


def probabilities(answers: Mapping[str, Tensor], prior_shift: float = 0.0) -> dict[str, np.ndarray]:
    """Answers as they are written: scores in 0 to 1, classes that sum to 1, affinity of length 1.

    prior_shift: added to the logit of larmatch (:mod:`weft.tasks.larmatch.prior`).
    """
    made = {name: answer.detach().float() for name, answer in answers.items()}
    if "larmatch" in made:
        made["larmatch"] = (made["larmatch"] + prior_shift).sigmoid()
    if "semantics" in made:
        made["semantics"] = made["semantics"].softmax(1)
    if "affinity" in made:
        made["affinity"] = torch.nn.functional.normalize(made["affinity"], dim=1)
    return {name: answer.cpu().numpy() for name, answer in made.items()}


def _fill(values: np.ndarray, answers: Mapping[str, Tensor], schema: Schema, prior_shift: float = 0.0) -> None:
    """Write answers [n, ...] into their columns of `values` [n]."""
    made = probabilities(answers, prior_shift)
    for head, columns in columns_of(schema.dtype.names or ()).items():
        if head in made:
            for k, column in enumerate(columns):
                values[column] = made[head].reshape(len(values), len(columns))[:, k]


def _index(batch: TripletBatch, kept: np.ndarray) -> np.ndarray:
    return batch.row[torch.from_numpy(kept).to(batch.row.device)].cpu().numpy().astype(np.int32)


def _chunks(start: int, stop: int, size: int) -> list[slice]:
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]
