"""What is given with the call of a workflow that deploys: a model, files to run it on, and options."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.config.dataset import Dataset, FileDataset, load_dataset
from weft.config.experiment import Experiment, load_experiment
from weft.config.loading import ConfigError
from weft.io.atomic import atomic_path


@dataclass(frozen=True)
class Given:
    """What takes the place of what the files of the experiment and its dataset say."""

    model: str | None = None
    """of the one stage that has a checkpoint"""
    files: tuple[str, ...] = ()
    """of a dataset that lists its files"""
    set: tuple[str, ...] = ()
    """``stages.S.key.path=value``, of an experiment without a truth"""

    @classmethod
    def of_call(cls, config: Mapping[str, Any]) -> Given:
        """As the configuration of the workflow has it; one file, or one option, need not be a list."""

        def several(key: str) -> tuple[str, ...]:
            value = config.get(key) or ()
            return (value,) if isinstance(value, str) else tuple(value)

        return cls(config.get("model"), several("files"), several("set"))


def load_with(name: str | Path, scale: str | None, given: Given) -> tuple[Experiment, Dataset]:
    """An experiment and its dataset; the options of its tasks are not looked at (:func:`weft.tasks.resolve`).

    Experiments without a checkpoint have no use for a model, datasets that list no files none for files: these are left
    alone. Raises ConfigError where it is not clear which stage or split is meant, and for options of an experiment that
    is trained: their results would lie where those of its file belong.
    """
    experiment = load_experiment(name, scale)
    assignments = list(given.set)
    if assignments and experiment.truth:
        raise ConfigError(f"set: experiment '{experiment.name}' is trained and judged: set options in its file")
    for assignment in assignments:
        if not assignment.startswith("stages."):
            raise ConfigError(f"set: '{assignment}': expected stages.STAGE.key.path=value")
    if given.model is not None:
        stages = [key for key, stage in experiment.stages.items() if stage.checkpoint is not None]
        if len(stages) > 1:
            raise ConfigError(f"model: experiment '{experiment.name}' has several checkpoints: {', '.join(stages)}")
        assignments += [f"stages.{key}.checkpoint={json.dumps(given.model)}" for key in stages]
    if assignments:
        experiment = load_experiment(name, scale, assignments)
    return experiment, _dataset_with(experiment.dataset, scale, given.files)


def _dataset_with(name: str, scale: str | None, files: Sequence[str]) -> Dataset:
    dataset = load_dataset(name, scale)
    if not files or not isinstance(dataset, FileDataset):
        return dataset
    splits = [key for key, split in dataset.splits.items() if split.files]
    if len(splits) > 1:
        raise ConfigError(f"files: dataset '{dataset.name}' lists files in several splits: {', '.join(splits)}")
    return load_dataset(name, scale, tuple(f"splits.{key}.files={json.dumps(list(files))}" for key in splits))


def remember(path: Path, given: Given) -> None:
    """Leave what a deploy was given, for who asks later what became of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(given), indent=2) + "\n", encoding="utf-8")


def remembered(path: Path) -> Given | None:
    """What :func:`remember` left; None where there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Given(content["model"], tuple(content["files"]), tuple(content["set"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: expected model, files and set, as a deploy leaves them; remove it") from None
