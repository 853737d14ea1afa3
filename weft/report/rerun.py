"""The commands that make an experiment again, whatever the configuration says that they are called with."""

from __future__ import annotations

import shlex

from weft.config import Dataset, Experiment, Layout, Run


def whole(experiment: Experiment, dataset: Dataset, layout: Layout, source: str) -> list[tuple[str, str]]:
    """(what it does, command) for the experiment as a whole; ``source``: its name or path, as it was loaded by."""
    settings = [f"experiments=[{source}]", *_scale("scale={}", experiment, dataset), f"results={layout.root}"]
    config = f"--config {shlex.join(settings)}"
    return [
        (
            "Everything, from the data to this page; what is up to date is not made again",
            f"snakemake --cores 2 {config}",
        ),
        ("The same on a cluster", f"snakemake --profile slurm {config}"),
        (
            "This page only",
            shlex.join(["weft", "report", source, *_options(experiment, dataset, layout)]),
        ),
    ]


def train(run: Run, source: str) -> str:
    """The command that trains one variant."""
    chosen = ["--stage", run.stage_name, "--variant", run.variant]
    return shlex.join(["weft", "train", source, *chosen, *_options(run.experiment, run.dataset, run.layout)])


def _options(experiment: Experiment, dataset: Dataset, layout: Layout) -> list[str]:
    scale = [word for option in _scale("--scale {}", experiment, dataset) for word in option.split()]
    return [*scale, "--results", layout.root]


def _scale(form: str, experiment: Experiment, dataset: Dataset) -> list[str]:
    scale = experiment.scale or dataset.scale
    return [form.format(scale)] if scale else []
