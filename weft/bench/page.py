"""The tables of `weft bench chain`."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from weft.bench.compare import JOINT, SEGMENTATION, Comparison, Timing, share
from weft.bench.growth import FITTED_FROM, Size, exponent
from weft.bench.spine_setup import STAND_INS
from weft.io.provenance import processor
from weft.sparse.benchmark import commit

GOAL = 2.0
"""times faster than SPINE, all stages together"""


def page(
    command: str, about: Sequence[str], comparison: Comparison, spine: str | None, sizes: Sequence[Size], beside: str
) -> str:
    """Markdown: what was run, prediction, training, growth."""
    load, state = os.getloadavg()[0], commit(Path(__file__).parents[1])
    lines = [
        "# The chain",
        "",
        f"    {command}",
        "",
        f"{datetime.date.today()}, commit {state}, {processor()}, {torch.get_num_threads()} thread, torch "
        f"{torch.__version__}, {'SPINE ' + spine + ', MinkowskiEngine 0.5.4' if spine else 'without SPINE'}. "
        f"Beside it ran: {beside}; load {load:.0f}. Times are processor time.",
        "",
        *(f"* {line}" for line in about),
        "",
        *_prediction(comparison, spine is not None),
    ]
    if comparison.training:
        lines += ["", *_training(comparison, spine is not None)]
    if sizes:
        lines += ["", *_growth(sizes)]
    return "\n".join(lines)


def _prediction(found: Comparison, peer: bool) -> list[str]:
    lines = [
        "## Prediction",
        "",
        f"{found.events} events of {found.voxels / found.events:,.0f} voxels in one batch, milliseconds, medians of "
        f"{found.rounds} rounds in turns; ratios: median (least to greatest of the rounds).",
        "",
        "| stage | before, network, after | ours, ms | events/s | SPINE, ms | SPINE / ours | compared |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(stage, found.events) for stage in found.stages]
    lines.append(_row(found.chain, found.events, bold=True))
    if not peer:
        return lines
    ratio = found.chain.ratio
    assert ratio is not None
    verdict = "reached" if ratio[0] >= GOAL else "missed"
    lines += [
        "",
        f"Goal, {GOAL:.0f} times faster than SPINE on the same processor with the same networks: **{verdict}**, "
        f"{ratio[0]:.2f} times.",
        "",
        f"* SPINE has one network for semantics and points, so its chain has `{JOINT}` and no `{SEGMENTATION}`; ours "
        f"runs the trunk that both have once, in `{SEGMENTATION}`. `candidates` are made in its aggregation.",
        "* SPINE predicts the ends of clusters from its points in `shower`, `track` and `interaction`; ours have them "
        "from `fragments` and `candidates`. In its time SPINE finds its own, and then goes on with ours.",
        f"* Stand-ins for what SPINE imports and has no wheel here: {STAND_INS}.",
        "* Node features differ where a voxel is as far from the end of a cluster as the radius of directions, which "
        "rounding decides, and where the sign of a principal axis is open; networks and groups are compared on ours. "
        "Graph-SPICE of SPINE goes by the order of voxels where one direction of an edge keeps it and the other cuts. "
        "Vertices are equal where particles touch at one place only (`tests/peers/test_reco.py`).",
        "* Not compared: reading and writing files, the orientation head, energies by range and scattering "
        "(`tests/peers/test_reco.py` does).",
    ]
    return lines


def _row(timing: Timing, events: int, bold: bool = False) -> str:
    ours = median(timing.ours)
    theirs = f"{1000 * median(timing.theirs):,.1f}" if timing.theirs else "—"
    parts = ", ".join(f"{value:.0%}" for value in share(timing).values()) if len(timing.parts) > 1 else ""
    name = f"**{timing.name}**" if bold else f"`{timing.name}`"
    cells = [name, parts, f"{1000 * ours:,.1f}", f"{events / ours:,.0f}", theirs, _ratio(timing), timing.agreement]
    return f"| {' | '.join(cells)} |"


def _ratio(timing: Timing) -> str:
    ratio = timing.ratio
    return "—" if ratio is None else f"{ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f})"


def _training(found: Comparison, peer: bool) -> list[str]:
    lines = [
        "## One training step",
        "",
        "The same events as one micro-batch: batch and targets, forward, loss, backward, optimiser; labels are ready. "
        + (
            "SPINE's has the graph and features in its forward pass, and losses of ready targets."
            if peer
            else "SPINE was not run."
        ),
        "",
        "| stage | ours, ms | SPINE, ms | SPINE / ours |",
        "|---|---|---|---|",
    ]
    for timing in found.training:
        theirs = f"{1000 * median(timing.theirs):,.1f}" if timing.theirs else "—"
        lines.append(f"| `{timing.name}` | {1000 * median(timing.ours):,.1f} | {theirs} | {_ratio(timing)} |")
    return lines


def _growth(sizes: Sequence[Size]) -> list[str]:
    stages = list(sizes[0].seconds)
    head = [
        "## Growth",
        "",
        "One event: more interactions in a box whose volume grows likewise. Milliseconds, and the exponent of the "
        f"number of voxels, fitted from {FITTED_FROM:,} voxels on.",
        "",
        f"| stage | {' | '.join(f'{size.voxels:,}' for size in sizes)} | exponent |",
        "|---" * (len(sizes) + 2) + "|",
    ]
    lines = [
        f"| `{stage}` | {' | '.join(f'{1000 * size.seconds[stage]:,.1f}' for size in sizes)} "
        f"| {exponent(sizes, stage):.2f} |"
        for stage in stages
    ]
    whole = " | ".join(f"{1000 * sum(size.seconds.values()):,.0f}" for size in sizes)
    per_voxel = " | ".join(f"{1e6 * sum(size.seconds.values()) / size.voxels:.1f}" for size in sizes)
    lines += [f"| **chain** | {whole} | {exponent(sizes):.2f} |", f"| µs a voxel | {per_voxel} | |"]
    graphs = [stage for stage in stages if stage in sizes[0].edges]
    lines += ["", "Pairs of nodes in the graphs, which are complete up to a length and so grow with the square:", ""]
    lines += [f"| stage | {' | '.join(f'{size.voxels:,}' for size in sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    lines += [f"| `{stage}` | {' | '.join(f'{size.edges[stage]:,}' for size in sizes)} |" for stage in graphs]
    lines += ["", "Most memory of each stage above what the process held before it, MiB:", ""]
    lines += [f"| stage | {' | '.join(f'{size.voxels:,}' for size in sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    lines += [
        f"| `{stage}` | {' | '.join(f'{max(0, size.memory[stage]):,.0f}' for size in sizes)} |" for stage in stages
    ]
    lines.append(f"| **process**, all told | {' | '.join(f'{size.process:,.0f}' for size in sizes)} |")
    return [*head, *lines]
