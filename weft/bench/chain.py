"""`weft bench chain`: every stage of an experiment beside SPINE's, and against the size of the event."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from weft.bench.compare import compare
from weft.bench.events import simulate_events
from weft.bench.growth import measure_growth
from weft.bench.page import page
from weft.bench.spine_setup import load_spine
from weft.bench.stages import steps_of
from weft.config.dataset import Dataset
from weft.config.experiment import Experiment

#: Where SPINE's has no choice: so that both do the same, these are the options of the stages here.
ALIKE = ("stages.points.model.points.anchor=corner", "stages.graph_spice.data.context=false")


def bench_chain(
    experiment: Experiment,
    dataset: Dataset,
    *,
    command: str,
    models: Path | None = None,
    events: Path | None = None,
    count: int,
    rounds: int,
    sizes: Sequence[int],
    peer: bool,
    beside: str = "not said",
) -> str:
    """The page of the benchmark.

    experiment: with the options :data:`ALIKE`. models: a results folder with its checkpoints; default: networks drawn
    at random, each stage fed the truth. events: an event store; default: `count` simulated ones.
    """
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
    spine = load_spine() if peer else None
    steps = steps_of(experiment, dataset, models=models)
    with tempfile.TemporaryDirectory() as folder:
        store = events or simulate_events(Path(folder) / "events.h5", count)
        comparison = compare(steps, store, count, rounds, peer)
    grown = measure_growth(experiment, dataset, sizes, models) if sizes else []
    fed = "drawn at random, every stage fed the truth" if models is None else "trained; every stage is fed predictions"
    about = [
        f"Stages and networks of `{experiment.name}` at scale `{experiment.scale}`; weights: {fed}. SPINE's networks "
        "have the same weights, and each of its stages is fed what ours was fed.",
        f"Options that differ from the file, since SPINE has no choice: {', '.join(f'`{key}`' for key in ALIKE)}.",
        f"Events: {'the first of a given store' if events else 'simulated with the settings of the dataset lartpc'}.",
    ]
    return page(command, about, comparison, spine, grown, beside)
