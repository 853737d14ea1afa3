"""From names of the call to experiments, datasets, runs and places of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weft.errors import WeftError


def setting(given: str | None, key: str) -> str | None:
    """An option as given, else as the workflow's configuration has it."""
    if given is not None:
        return given
    from weft.config.loading import read_mapping

    path = Path("config/config.yaml")
    return read_mapping(path).get(key) if path.is_file() else None


def find_layout(results: str | None) -> Any:
    from weft.config import Layout

    return Layout(setting(results, "results") or "results")


def find_dataset(name: str, scale: str | None, overrides: tuple[str, ...]) -> Any:
    from weft.config import load_dataset

    return load_dataset(name, setting(scale, "scale"), overrides)


def require_judged(experiment: Any) -> None:
    if not experiment.truth:
        raise WeftError(f"experiment '{experiment.name}' has no truth to judge by (truth: false)")


def find_experiment(name: str, scale: str | None, overrides: list[str]) -> Any:
    from weft import tasks
    from weft.config import load_dataset, load_experiment

    experiment = tasks.resolve(load_experiment(name, setting(scale, "scale"), overrides))
    return experiment, load_dataset(experiment.dataset, setting(scale, "scale"))


def find_given_experiment(name: str, scale: str | None, given: Any) -> Any:
    """The same with a model, files and options of the call."""
    from weft import tasks
    from weft.config.given import load_with

    experiment, dataset = load_with(name, setting(scale, "scale"), given)
    return tasks.resolve(experiment), dataset


def what_was_given(name: str, scale: str | None, layout: Any, model: str | None, files: list[str] | None) -> Any:
    """A model and files of this call; where there are none, what the last deploy was given, if that left a record."""
    from weft.config import load_experiment
    from weft.config.given import Given, remembered

    experiment = load_experiment(name, setting(scale, "scale"))
    last = Given() if experiment.truth else remembered(Path(layout.given(experiment.id))) or Given()
    return Given(model or last.model, tuple(files or last.files), last.set)


def stage_assignments(stage: str, overrides: list[str] | None) -> list[str]:
    """Overrides that address a stage, as seen from the experiment."""
    return [a if a.startswith(("stages.", "seeds=")) else f"stages.{stage}.{a}" for a in overrides or ()]


def find_run(
    name: str,
    scale: str | None,
    results: str | None,
    stage: str | None,
    variant: str | None,
    overrides: list[str] | None,
) -> Any:
    from dataclasses import replace

    from weft.config import load_experiment, run_of
    from weft.config.loading import ConfigError
    from weft.io.provenance import config_hash

    stages = list(load_experiment(name, setting(scale, "scale")).stages)
    if stage is None:
        if len(stages) > 1:
            raise ConfigError(f"experiment '{name}' has several stages, choose one with --stage: {', '.join(stages)}")
        stage = stages[0]
    assignments = stage_assignments(stage, overrides)
    experiment, dataset = find_experiment(name, scale, assignments)
    run = run_of(experiment, dataset, find_layout(results), stage, variant)
    # What the experiment's file describes keeps its place: the workflow could not tell the difference.
    return replace(run, variant=f"{run.variant}+{config_hash(sorted(assignments))[:8]}") if assignments else run
