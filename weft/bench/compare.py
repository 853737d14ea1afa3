"""Every stage beside SPINE's, in turns in one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch

from weft.bench.spine_chain import SIDES, Side
from weft.bench.stages import PARTS, Run, Step, Training, timed
from weft.engine.task import Batch

JOINT = "points"
"""SPINE's network for points makes the semantics too: its chain has no other segmentation"""
SEGMENTATION = "uresnet"


@dataclass
class Timing:
    """Processor seconds of one thing by round; empty where SPINE was not asked or has no counterpart."""

    name: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)
    """ours, by part, all rounds together"""
    agreement: str = ""

    @property
    def ratio(self) -> tuple[float, float, float] | None:
        """SPINE's time over ours: median, least and greatest of the rounds."""
        if not self.theirs:
            return None
        ratios = [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return median(ratios), min(ratios), max(ratios)


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` measured."""

    events: int
    voxels: int
    rounds: int
    stages: list[Timing]
    training: list[Timing]

    @property
    def chain(self) -> Timing:
        """All stages together, round by round."""
        ours = [sum(times) for times in zip(*(stage.ours for stage in self.stages), strict=True)]
        of_spine = [stage.theirs for stage in self.stages if stage.theirs and stage.name != SEGMENTATION]
        return Timing("chain", ours, [sum(times) for times in zip(*of_spine, strict=True)])


def compare(steps: Sequence[Step], events: Path, count: int, rounds: int, peer: bool) -> Comparison:
    """Time the prediction and a training step of every stage, ours and, with `peer`, SPINE's, in turns.

    events, count: an event store and how many of its events, which make one batch. The first round warms up and is not
    counted; after it, what both have answered is compared.
    """
    run = Run(events, count)
    timings = {step.name: Timing(step.name) for step in steps}
    sides: dict[str, Side] = {}
    for step in steps:
        run.predict(step)
        if peer and step.name in SIDES:
            sides[step.name], timings[step.name].agreement = _side(step, run, steps)
    for _ in range(rounds):
        for step in steps:
            timing = timings[step.name]
            timing.ours.append(run.predict(step, timing.parts))
            if step.name in sides:
                timing.theirs.append(_predict(sides[step.name]))
    training = [_train(step, run, rounds, sides.get(step.name)) for step in steps if step.network is not None]
    found = Comparison(len(run), run.voxels, rounds, list(timings.values()), training)
    run.close()
    return found


def _side(step: Step, run: Run, steps: Sequence[Step]) -> tuple[Side, str]:
    """SPINE's counterpart of a stage, run once, and how what it found compares with ours."""
    with torch.inference_mode():
        side = SIDES[step.name](step, run, {other.name: other for other in steps})
        side.found = side()
        return side, side.agreement()


def _predict(side: Side) -> float:
    """Processor seconds of SPINE's stage."""

    def predict() -> None:
        side.found = side()

    with torch.inference_mode():
        return timed(predict)


def _train(step: Step, run: Run, rounds: int, side: Side | None) -> Timing:
    timing = Timing(step.name)
    ours = Training(step, run)
    theirs = None if side is None else _learner(side, ours.collate())
    for number in range(rounds + 1):
        spent = timed(ours.learn)
        if number:
            timing.ours.append(spent)
        if theirs is not None:
            spent = timed(theirs)
            if number:
                timing.theirs.append(spent)
    return timing


def _learner(side: Side, batch: Batch) -> Callable[[], None]:
    """A training step of SPINE's network on that batch."""
    network = side.make().train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)

    def learn() -> None:
        optimiser.zero_grad()
        side.loss(network, batch).backward()
        optimiser.step()

    return learn


def share(timing: Timing) -> Mapping[str, float]:
    """Part of the time that goes to each of :data:`~weft.bench.stages.PARTS`."""
    total = sum(timing.parts.values()) or 1.0
    return {part: timing.parts.get(part, 0.0) / total for part in PARTS}
