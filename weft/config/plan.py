"""Which runs an experiment consists of, and which files each of them reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weft.config.dataset import Dataset
from weft.config.experiment import Experiment, Need, Stage
from weft.config.layout import Layout
from weft.config.loading import ConfigError

BASELINE = "baseline"
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Run:
    """One stage trained with one seed, or its baseline.

    ``variant`` is ``seed<k>`` or ``baseline``; with options given by hand, ``+<hash>`` follows, so that such a run
    does not take the place of what the experiment's file describes.
    """

    experiment: Experiment
    dataset: Dataset
    stage_name: str
    variant: str
    layout: Layout

    @property
    def stage(self) -> Stage:
        return self.experiment.stages[self.stage_name]

    @property
    def is_baseline(self) -> bool:
        return self.variant.partition("+")[0] == BASELINE

    @property
    def seed(self) -> int:
        """The seed of the variant; a baseline is fitted with the first."""
        if self.is_baseline:
            return self.experiment.seeds[0]
        return int(self.variant.partition("+")[0].removeprefix("seed"))

    def upstream(self, stage: str) -> Run:
        """The run of an earlier stage that this one builds on: same seed unless pinned."""
        need = self.stage.needs.get(stage, Need())
        seed = self.seed if need.seed is None else need.seed
        return Run(self.experiment, self.dataset, stage, f"seed{seed}", self.layout)

    @property
    def source(self) -> str:
        """Short id of what the stage reads: ``truth``, or the upstream variants it takes predictions of."""
        runs = [self.upstream(name) for name in self.stage.inputs]
        return "+".join(f"{run.stage_name}.{run.variant}" for run in runs) or "truth"

    def inputs(self, split: str) -> dict[str, dict[str, str]]:
        """Files by shard and alias: ``{"0000": {"truth": ..., "uresnet": ...}}``."""
        if split not in self.dataset.splits:
            known = ", ".join(self.dataset.splits)
            raise ConfigError(f"dataset '{self.dataset.name}' has no split '{split}'; it has: {known}")
        return {shard.id: self.shard_inputs(split, shard.id) for shard in self.dataset.shards(split)}

    def shard_inputs(self, split: str, shard: str) -> dict[str, str]:
        files = {"truth": self.layout.data(self.dataset.id, split, shard)}
        for name in self.stage.inputs:
            files[name] = self.upstream(name).prediction(split, shard)
        return files

    def weights(self) -> dict[str, str]:
        """Model files of the stages whose weights this one starts from."""
        runs = [self.upstream(name) for name in self.stage.upstream if self.stage.needs[name].weights]
        return {run.stage_name: run.model for run in runs}

    def prediction(self, split: str, shard: str) -> str:
        return self.layout.predictions(self.experiment.id, self.stage_name, self.variant, self.source, split, shard)

    @property
    def model(self) -> str:
        return self.layout.model(self.experiment.id, self.stage_name, self.variant)

    @property
    def provenance(self) -> str:
        return self.layout.provenance(self.experiment.id, self.stage_name, self.variant)

    @property
    def log(self) -> str:
        return self.layout.log(self.experiment.id, self.stage_name, self.variant)

    @property
    def work(self) -> str:
        return self.layout.work(self.experiment.id, self.stage_name, self.variant)

    def score(self, table: str) -> str:
        return self.layout.scores(self.experiment.id, self.stage_name, self.variant, self.source, table)

    def training_options(self) -> dict[str, Any]:
        """All that the trained model depends on besides its input files, as plain data."""
        stage = self.stage
        if self.is_baseline:
            return stage.model_dump(mode="json", include={"task", "needs", "data", "baseline"}) | {"seed": self.seed}
        options = stage.model_dump(mode="json", exclude={"resources", "evaluation", "baseline"})
        del options["training"]["workers"]
        return options | {"seed": self.seed}

    def deploy_options(self) -> dict[str, Any]:
        """All that predictions depend on besides the model and the input files, as plain data."""
        return {"task": self.stage.task, "model": self.stage.model, "data": self.stage.data}

    def providers(self) -> dict[str, str]:
        """Where a product is read from: ``{product: alias}``."""
        return self.stage.providers

    def evaluation_inputs(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Truth and prediction of every shard that is scored: ``{split: {shard: (truth, prediction)}}``."""
        return {
            split: {
                shard: (files["truth"], self.prediction(split, shard)) for shard, files in self.inputs(split).items()
            }
            for split in self.stage.evaluation.splits
        }


def variants(experiment: Experiment, stage: str) -> list[str]:
    """Names of the variants of a stage: one per seed, and the baseline if there is one."""
    names = [f"seed{seed}" for seed in experiment.seeds]
    return names + ([BASELINE] if experiment.stages[stage].baseline is not None else [])


def plan(experiment: Experiment, dataset: Dataset, layout: Layout) -> list[Run]:
    """Every run of an experiment, in an order in which they can be made."""
    for name, stage in experiment.stages.items():
        for split in (*SPLITS, *stage.evaluation.splits):
            if split not in dataset.splits:
                known = ", ".join(dataset.splits)
                raise ConfigError(f"stage '{name}': dataset '{dataset.name}' has no split '{split}'; it has: {known}")
    return [
        Run(experiment, dataset, stage, variant, layout)
        for stage in experiment.order()
        for variant in variants(experiment, stage)
    ]


def run_of(experiment: Experiment, dataset: Dataset, layout: Layout, stage: str, variant: str) -> Run:
    """One run by name; an unknown stage or variant is an error that lists the known ones."""
    if stage not in experiment.stages:
        raise ConfigError(
            f"experiment '{experiment.name}' has no stage '{stage}'; it has: {', '.join(experiment.stages)}"
        )
    if variant not in variants(experiment, stage):
        raise ConfigError(
            f"stage '{stage}' has no variant '{variant}'; it has: {', '.join(variants(experiment, stage))}"
        )
    return Run(experiment, dataset, stage, variant, layout)
