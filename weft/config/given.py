"""What is given with the call of a workflow that deploys: a model, and files to run it on."""

from __future__ import annotations

import json
from collections.abc import Sequence

from weft.config.dataset import Dataset, FileDataset, load_dataset
from weft.config.experiment import Experiment, load_experiment
from weft.config.loading import ConfigError


def load_with(
    name: str, scale: str | None, model: str | None = None, files: Sequence[str] = ()
) -> tuple[Experiment, Dataset]:
    """An experiment and its dataset; the options of its tasks are not looked at (:func:`weft.tasks.resolve`).

    model: takes the place of the checkpoint of the one stage that has one; an experiment without such is left alone.
    files: take the place of those of a dataset that lists its files, in one split; other datasets are left alone.
    Raises ConfigError where there are several such stages or splits.
    """
    experiment = load_experiment(name, scale)
    if model is not None:
        stages = [key for key, stage in experiment.stages.items() if stage.checkpoint is not None]
        if len(stages) > 1:
            raise ConfigError(f"model: experiment '{experiment.name}' has several checkpoints: {', '.join(stages)}")
        if stages:
            experiment = load_experiment(name, scale, [f"stages.{stages[0]}.checkpoint={json.dumps(model)}"])
    dataset = load_dataset(experiment.dataset, scale)
    if files and isinstance(dataset, FileDataset):
        splits = [key for key, split in dataset.splits.items() if split.files]
        if len(splits) > 1:
            raise ConfigError(f"files: dataset '{dataset.name}' lists files in several splits: {', '.join(splits)}")
        if splits:
            dataset = load_dataset(experiment.dataset, scale, (f"splits.{splits[0]}.files={json.dumps(list(files))}",))
    return experiment, dataset
