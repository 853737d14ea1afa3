"""Every stage beside SPINE's, in turns in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch

from weft.bench.stages import PARTS, Run, Step, Training, learned, timed

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


def compare(steps: Sequence[Step], events: Path, count: int, rounds: int, peer: bool, train: bool = True) -> Comparison:
    """Time the prediction and a training step of every stage, ours and, with `peer`, SPINE's, in turns.

    events, count: an event store and how many of its events, which make one batch. The first round warms up and is not
    counted; after it, what both have answered is compared.
    """
    run = Run(list(steps), events, count)
    named = {step.name: step for step in steps}
    timings = {step.name: Timing(step.name) for step in steps}
    sides = {}
    for number in range(rounds + 1):
        for step in steps:
            timing = timings[step.name]
            parts = timing.parts if number else {}
            spent = run.predict(step, parts)
            if peer and not number:
                from weft.bench.spine_chain import SIDES

                if step.name in SIDES:
                    with torch.inference_mode():
                        sides[step.name] = SIDES[step.name](step, run, named)
            if number:
                timing.ours.append(spent.cpu)
            if step.name in sides:
                side = sides[step.name]
                with torch.inference_mode():
                    spent = timed(lambda side=side: setattr(side, "found", side()))  # type: ignore[misc]
                    if number:
                        timing.theirs.append(spent.cpu)
                    else:
                        timing.agreement = side.agreement()
    training = [_train(step, run, rounds, sides.get(step.name)) for step in learned(list(steps))] if train else []
    found = Comparison(len(run), run.voxels, rounds, list(timings.values()), training)
    run.close()
    return found


def _train(step: Step, run: Run, rounds: int, side: object | None) -> Timing:
    from weft.bench.spine_chain import Side

    timing = Timing(step.name)
    ours = Training(step, run)
    theirs = optimiser = batch = None
    if side is not None:
        assert isinstance(side, Side)
        theirs = side.make().train()
        optimiser = torch.optim.Adam(theirs.parameters(), lr=1e-3, fused=True)
        batch = ours.collate()
    for number in range(rounds + 1):
        spent = timed(ours.learn)
        if number:
            timing.ours.append(spent.cpu)
        if theirs is None:
            continue
        assert isinstance(side, Side)
        assert optimiser is not None
        assert batch is not None

        def learn(side: Side = side, theirs: torch.nn.Module = theirs) -> None:
            optimiser.zero_grad()
            side.loss(theirs, batch).backward()
            optimiser.step()

        spent = timed(learn)
        if number:
            timing.theirs.append(spent.cpu)
    return timing


def share(timing: Timing) -> Mapping[str, float]:
    """Part of the time that goes to each of :data:`~weft.bench.stages.PARTS`."""
    total = sum(timing.parts.values()) or 1.0
    return {part: timing.parts.get(part, 0.0) / total for part in PARTS}
