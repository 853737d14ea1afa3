"""Batches of the modules: those that wait for no network are made where events are read, the others on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from weft.engine.collation import join_voxels
from weft.engine.task import Batch, FixedTask, Products, Sample
from weft.errors import WeftError
from weft.io.conform import conform_all
from weft.tasks.joint.record import Record, Seen, rng_of
from weft.tasks.joint.wiring import Module, Wiring

Made = list[dict[str, Products]]
"""of each event: ``{module: products}``, as a store would hold them"""


@dataclass
class JointBatch(Batch):
    """Events for all modules; coords and features are voxels and charges in MeV."""

    training: bool = False
    """whether these are random views to learn from, not whole events to predict"""
    parts: dict[str, Batch] = field(default_factory=dict)
    """the batches of the modules that wait for no network"""
    records: list[Record] = field(default_factory=list)
    """what the batches of the others are made from; none where there are no others"""
    made: Made = field(default_factory=list)
    """what modules without a network have made so far"""


def collate(samples: Sequence[Sample], wiring: Wiring) -> JointBatch:
    """A batch of :class:`Record`, all of them for training or none."""
    records = [_record(sample) for sample in samples]
    training = records[0].seed is not None
    voxels = [Sample({"coords": record.fed["voxels"]}, record.event) for record in records]
    whole = join_voxels(voxels, np.concatenate([record.fed["charge"] for record in records]).astype(np.float32))
    made: Made = [{} for _ in records]
    parts: dict[str, Batch] = {}
    ready = wiring.ready(training)
    for module in wiring.running(training):
        if module.name not in ready:
            continue
        if isinstance(module.task, FixedTask):
            predict_fixed(module, wiring, records, made, training)
        else:
            parts[module.name] = part(module, wiring, records, made, training)
    waiting = len(ready) < len(wiring.running(training))
    return JointBatch(
        whole.coords, whole.features, whole.offsets, whole.events, training=training, parts=parts,
        records=records if waiting else [], made=made if waiting or not training else [{} for _ in records],
    )  # fmt: skip


def part(module: Module, wiring: Wiring, records: Sequence[Record], made: Made, training: bool) -> Batch:
    """The batch of one module, from what those before it have made."""
    sources = wiring.sources(module, training)
    samples = []
    for record, products in zip(records, made, strict=True):
        sample = module.task.sample(Seen(record, module, sources, products), record.event, record.labels)
        samples.append(module.task.draw(sample, rng_of(record, module)) if training else sample)
    return module.task.collate(samples)


def predict_fixed(module: Module, wiring: Wiring, records: Sequence[Record], made: Made, training: bool) -> None:
    """Have a module without a network add its products."""
    assert isinstance(module.task, FixedTask)
    sources = wiring.sources(module, training)
    for record, products in zip(records, made, strict=True):
        found = module.task.predict_event(Seen(record, module, sources, products))
        keep(module, record.event, found, products)


def keep(module: Module, event: tuple[int, int], found: Products, made: dict[str, Products]) -> None:
    """Add the products of a module to what is made of an event, as a store would hold them."""
    where = f"event {event[1]} of file {event[0]}: module '{module.name}'"
    made[module.name] = conform_all(module.task.makes, found, where, whole=True)


def counts_of(parts: Mapping[str, Batch], wiring: Wiring) -> torch.Tensor | None:
    """What the weights of the losses depend on, of the modules whose batches are there, end to end."""
    found = [counts for _, counts in _counts(parts, wiring)]
    return torch.cat([counts.double() for counts in found]) if found else None


def split_counts(counts: torch.Tensor, parts: Mapping[str, Batch], wiring: Wiring) -> dict[str, torch.Tensor]:
    """:func:`counts_of`, perhaps added up over batches, by module."""
    own = _counts(parts, wiring)
    sizes = [len(each) for _, each in own]
    if sum(sizes) != len(counts):
        raise WeftError(f"{len(counts)} counts of a step, expected {sum(sizes)}")
    return {name: total.to(each.dtype) for (name, each), total in zip(own, counts.split(sizes), strict=True)}


def _counts(parts: Mapping[str, Batch], wiring: Wiring) -> list[tuple[str, torch.Tensor]]:
    found = []
    for module in wiring.learned:
        counts = module.task.counts(parts[module.name]) if module.name in parts else None
        if counts is not None:
            found.append((module.name, counts))
    return found


def _record(sample: Sample) -> Record:
    assert isinstance(sample, Record)
    return sample
