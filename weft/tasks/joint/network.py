"""The modules as one network: each sees what those before it say with the weights of the moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from weft.engine.distributed import sum_over_ranks
from weft.engine.task import Batch, FixedTask
from weft.errors import WeftError
from weft.tasks.joint.batch import JointBatch, Made, keep, part, predict_fixed
from weft.tasks.joint.wiring import Module, Wiring


@dataclass
class Beside:
    """What belongs to the answers of the modules."""

    parts: dict[str, Batch]
    """the batch that each module saw"""
    counts: dict[str, Tensor]
    """in training, of the modules whose batches were made on the way: counts of their batches over all ranks"""
    made: Made


class Answers(NamedTuple):
    """What the network gives."""

    outputs: dict[str, Any]
    """by module"""
    beside: Beside


class JointNetwork(nn.Module):
    """The networks of the modules that learn, by their names."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__()
        self.wiring = wiring
        for module in wiring.learned:
            try:
                self.add_module(module.name, module.task.network())
            except KeyError:
                raise WeftError(f"modules.{module.name}: a network has something else of this name") from None

    def forward(self, batch: JointBatch) -> Answers:
        wiring, training = self.wiring, batch.training
        wanted = wiring.read(training)
        answers = Answers({}, Beside(dict(batch.parts), {}, [dict(made) for made in batch.made]))
        made = answers.beside.made
        for module in wiring.running(training):
            if isinstance(module.task, FixedTask):
                if module.name not in wiring.ready(training):
                    predict_fixed(module, wiring, batch.records, made, training)
                continue
            own = batch.parts.get(module.name)
            if own is None:
                own = self._part(module, batch, answers.beside)
            output = answers.outputs[module.name] = getattr(self, module.name)(own)
            if module.name in wanted:
                with torch.no_grad():
                    decoded = module.task.decode(_detached(output), own)
                for event, products, of_event in zip(batch.events, decoded, made, strict=True):
                    keep(module, event, products, of_event)
        return answers

    def _part(self, module: Module, batch: JointBatch, beside: Beside) -> Batch:
        made = part(module, self.wiring, batch.records, beside.made, batch.training)
        own = beside.parts[module.name] = made.to(batch.features.device)
        counts = module.task.counts(own) if batch.training else None
        if counts is not None:
            beside.counts[module.name] = sum_over_ranks(counts)
        return own


def _detached(output: Any) -> Any:
    """The same structure without what gradients need."""
    if isinstance(output, Tensor):
        return output.detach()
    if isinstance(output, dict):
        return {key: _detached(value) for key, value in output.items()}
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*map(_detached, output))
    if isinstance(output, (tuple, list)):
        return type(output)(map(_detached, output))
    return output
