"""The stages of an experiment, ready to be timed: their tasks, networks and the events that they are fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import nn

from weft import tasks
from weft.config import Layout, chain_of
from weft.config.dataset import Dataset
from weft.config.experiment import Experiment, Stage
from weft.engine.chain import Link, Stretch, View
from weft.engine.corpus import TRUTH, Corpus
from weft.engine.model_file import load_weights, read_model
from weft.engine.optimizers import build_optimizer
from weft.engine.precision import loss_terms
from weft.engine.shared_trunks import SharedTrunks
from weft.engine.starting import freeze
from weft.engine.stream import EventBatches
from weft.engine.task import Batch, FixedTask, Products, Task

PARTS = ("prepare", "network", "decode")
"""of a stage with a network: samples and their batch, the forward pass, from its output to products"""


@dataclass(frozen=True)
class Step:
    """One stage of the chain."""

    name: str
    task: Task[Any]
    stage: Stage
    network: nn.Module | None
    """None where there is nothing to learn"""
    runner: nn.Module | None
    """the network as the chain runs it: trunks that several networks have are shared"""
    providers: Mapping[str, str]

    def link(self, parts: dict[str, float]) -> Link:
        """As :func:`weft.engine.chain.deploy_chain` runs it; `parts` as in :meth:`predict`."""
        return Link(self.name, self.task, lambda events: iter(self.predict(events, parts)), self.providers)

    def predict(self, events: Any, parts: dict[str, float]) -> list[Products]:
        """Products of all events; adds the processor seconds of each part to `parts`."""
        if isinstance(self.task, FixedTask):
            begun = process_time()
            made = [self.task.predict_event(events[k]) for k in range(len(events))]
            _add(parts, "decode", begun)
            return made
        assert self.runner is not None
        made = []
        batches = EventBatches(self.task, events, self.stage.evaluation.batch_size, labels=False)
        for k in range(len(batches)):
            begun = process_time()
            batch = batches[k]
            _add(parts, "prepare", begun)
            with torch.inference_mode():
                begun = process_time()
                output = self.runner(batch)
                _add(parts, "network", begun)
                begun = process_time()
                made += self.task.decode(output, batch)
                _add(parts, "decode", begun)
        return made


def _add(parts: dict[str, float], name: str, begun: float) -> None:
    parts[name] = parts.get(name, 0.0) + process_time() - begun


def steps_of(experiment: Experiment, dataset: Dataset, *, models: Path | None = None) -> list[Step]:
    """The stages that a chain runs through, in order, in evaluation mode.

    models: a results folder with the checkpoints of the experiment; default: networks are drawn at random, those that
    start from an earlier stage as copies of it. With checkpoints every stage reads predictions, without the truth,
    since what random networks say is no work like that of trained ones for the stages after them.
    """
    chain = chain_of(experiment, dataset, Layout(str(models or "results")))
    steps: list[Step] = []
    shared = SharedTrunks()
    for run in chain.runs:
        where = f"experiment '{experiment.name}', stage '{run.stage_name}'"
        task = tasks.of(run.stage, where)
        network = runner = None
        if task.learned:
            torch.manual_seed(0)
            network = task.network()
            if models is None:
                _copy_starts(network, run.stage, steps)
            else:
                load_weights(network, read_model(Path(run.model)).state, run.model)
            network.eval()
            runner = deepcopy(network)
            shared.adopt(runner)
        providers = run.providers(TRUTH if models is None else None)
        steps.append(Step(run.stage_name, task, run.stage, network, runner, providers))
    return steps


def _copy_starts(network: nn.Module, stage: Stage, earlier: list[Step]) -> None:
    """Give modules that a training would take from an earlier stage the weights of that."""
    known = {step.name: step.network for step in earlier}
    for module, start in stage.init.items():
        source = known.get(start.source)
        if source is not None:
            part = source.get_submodule(start.part or module)
            network.get_submodule(module).load_state_dict(part.state_dict())


class Run:
    """Events in memory, and what the stages make of them."""

    def __init__(self, events: Path, count: int | None = None) -> None:
        """events: an event store; count: how many of it, from the first; default: all."""
        self.corpus = Corpus([{TRUTH: events}])
        self.stretch = Stretch(self.corpus, range(min(count or len(self.corpus), len(self.corpus))))

    def __len__(self) -> int:
        return len(self.stretch.rows)

    @property
    def voxels(self) -> int:
        """Of all events."""
        return sum(len(self.corpus[row]["truth/voxels"]) for row in self.stretch.rows)

    def view(self, step: Step) -> View:
        """The events as a stage sees them."""
        return View(self.stretch, step.providers)

    def predict(self, step: Step, parts: dict[str, float] | None = None) -> float:
        """Run a stage, and keep its products for those that read them; returns the processor seconds."""
        link = step.link({} if parts is None else parts)
        return timed(lambda: self.stretch.add(link))

    def close(self) -> None:
        self.corpus.close()


class Training:
    """Training steps of a stage with all events as one micro-batch, always the same."""

    def __init__(self, step: Step, run: Run) -> None:
        assert step.network is not None
        self.step = step
        self.network = step.task.network()
        self.network.load_state_dict(step.network.state_dict())
        self.network.train()
        if step.stage.freeze:
            freeze(self.network, step.stage.freeze)
        self.optimiser = build_optimizer(step.task, self.network, step.stage.optimizer)
        self.events = EventBatches(step.task, run.view(step), len(run), labels=True)
        self.samples = [self.events._sample(k, 0) for k in range(len(run))]

    def collate(self) -> Batch:
        """Batch and targets, from samples with their labels."""
        return self.step.task.collate(self.samples)

    def learn(self) -> None:
        """Batch, forward pass, loss, backward pass, optimiser."""
        batch = self.collate()
        self.optimiser.zero_grad()
        terms = loss_terms(self.step.task, self.network(batch), batch, self.step.task.counts(batch))
        total = sum(value / max(float(weight), 1.0) for value, weight in terms.values())
        assert isinstance(total, torch.Tensor)
        total.backward()
        self.optimiser.step()


def timed(work: Callable[[], object]) -> float:
    """Processor seconds of doing something once."""
    begun = process_time()
    work()
    return process_time() - begun
