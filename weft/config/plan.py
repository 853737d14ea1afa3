"""Which runs an experiment consists of, and which files each of them reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from weft.config.dataset import Dataset, require_split
from weft.config.experiment import Experiment, Inputs, Need, Stage
from weft.config.layout import Layout
from weft.config.loading import ConfigError, at, only
from weft.config.sweep import (
    Setting,
    baseline_name,
    labels_of,
    points_of,
    setting_name,
    settings_of,
    upstream_setting,
)

BASELINE = "baseline"
SPLITS = ("train", "val")
TRUTH, PREDICTION = "truth", "prediction"
"""aliases of the true events and of what is judged, beside the names of stages"""


@dataclass(frozen=True)
class Run:
    """One stage trained with one seed, at one point of its sweep if it has one; or its baseline.

    ``variant`` is ``seed<k>`` or ``baseline``, then ``-<point>`` (``seed0-lr=0.001-filters=16``); with options given by
    hand, ``+<hash>`` follows, so that such a run does not take the place of what the experiment's file describes.
    """

    experiment: Experiment
    dataset: Dataset
    stage_name: str
    variant: str
    layout: Layout
    seed: int
    """a baseline is fitted with the first of the experiment"""
    setting: Setting = field(default_factory=dict)
    """the point at which each swept stage stands that this run depends on"""
    is_baseline: bool = False

    @property
    def stage(self) -> Stage:
        """The stage, at the run's point of its sweep."""
        stage = self.experiment.stages[self.stage_name]
        return stage.points[self.setting[self.stage_name]] if stage.sweep is not None else stage

    @property
    def point(self) -> str:
        """Name of what tells the run apart from others of its seed; "" where nothing is swept."""
        return setting_name(self.setting, self.stage_name)

    def swept(self) -> dict[str, Any]:
        """The values of all keys that are swept, its own first; None for a key that this point has no use for."""
        values: dict[str, Any] = {}
        for name in sorted(self.setting, key=lambda name: name != self.stage_name):
            stage = self.experiment.stages[name]
            assert stage.sweep is not None
            options = stage.points[self.setting[name]].training_options()
            for key, label in labels_of(key for point in points_of(stage.sweep) for key in point).items():
                values[label if name == self.stage_name else f"{name}.{label}"] = at(options, key)
        return values

    def baseline(self) -> Run | None:
        """The run of the baseline that this one is compared with."""
        if self.experiment.stages[self.stage_name].baseline is None:
            return None
        known = _baselines(self.experiment, self.dataset, self.layout, self.stage_name)
        return known[baseline_name(self.experiment.stages, self.stage_name, self.setting)]

    def upstream(self, stage: str) -> Run:
        """The run of an earlier stage that this one builds on: the same seed and point unless pinned."""
        need = self.stage.needs.get(stage, Need())
        seed = self.seed if need.seed is None else need.seed
        setting = upstream_setting(self.experiment.stages, self.stage_name, self.setting, stage)
        return _trained(self.experiment, self.dataset, self.layout, stage, seed, setting)

    def source_of(self, inputs: Inputs) -> str:
        """Short id of what the stage reads: ``truth``, or the upstream variants it takes predictions of."""
        runs = [] if inputs == TRUTH else [self.upstream(name) for name in self.stage.inputs]
        return "+".join(f"{run.stage_name}.{run.variant}" for run in runs) or TRUTH

    @property
    def source(self) -> str:
        """What the predictions are made from that later stages read."""
        return self.source_of("predictions")

    @property
    def sources(self) -> list[str]:
        """What the stage is fed in each of its evaluations, the headline first."""
        return [self.source_of(inputs) for inputs in self.stage.evaluation.inputs]

    @property
    def trained_on(self) -> str:
        """What the stage is fed in training; the predictions where that is both."""
        return self.source_of(self.stage.training_inputs[0])

    @property
    def training_feeds(self) -> list[dict[str, str]]:
        """Where a product is read from in training, of each kind of input that it is fed in turn."""
        return [self.stage.providers_on(inputs) for inputs in self.stage.training_inputs]

    def training_inputs(self, split: str) -> dict[str, dict[str, str]]:
        """Files to learn from by shard and alias; none where there is nothing to learn."""
        learns = self.stage.fits if self.is_baseline else self.stage.learned
        if split not in learning_splits(self.stage):
            return {}
        return self.inputs(split, self.trained_on) if learns else {}

    def inputs(self, split: str, source: str | None = None) -> dict[str, dict[str, str]]:
        """Files by shard and alias: ``{"0000": {"truth": ..., "uresnet": ...}}``; default source: :attr:`source`."""
        require_split(self.dataset, split)
        return {shard.id: self.shard_inputs(split, shard.id, source) for shard in self.dataset.shards(split)}

    def shard_inputs(self, split: str, shard: str, source: str | None = None) -> dict[str, str]:
        """Files of one shard by alias."""
        files = {TRUTH: self.layout.data(self.dataset.id, split, shard)}
        if source != TRUTH:
            for name in self.stage.inputs:
                files[name] = self.upstream(name).prediction(split, shard)
        return files

    def weights(self) -> dict[str, str]:
        """``{stage or file, as init names it: file}`` of all that this run starts from."""
        if self.is_baseline:
            return {}
        if self.stage.checkpoint is not None:
            return {self.stage.checkpoint: self.stage.checkpoint}
        return {
            start.source: start.source if start.is_file else self.upstream(start.source).model
            for start in self.stage.starts.values()
        }

    def prediction(self, split: str, shard: str, source: str | None = None) -> str:
        """The predictions of one shard; default source: :attr:`source`, what later stages read."""
        source = source or self.source
        return self.layout.predictions(self.experiment.id, self.stage_name, self.variant, source, split, shard)

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

    def score(self, table: str, source: str | None = None) -> str:
        """A score table; default source: the headline."""
        source = source or self.sources[0]
        return self.layout.scores(self.experiment.id, self.stage_name, self.variant, source, table)

    def training_options(self) -> dict[str, Any]:
        """All that the trained model depends on besides its input files, as plain data."""
        stage = self.stage
        if self.is_baseline:
            return stage.baseline_options() | {"seed": self.seed}
        return stage.training_options() | {"seed": self.seed}

    def deploy_options(self) -> dict[str, Any]:
        """All that predictions depend on besides the model and the input files, as plain data."""
        if self.is_baseline:
            # It has no network: at which point of a sweep the model is trained is nothing to it.
            return only(self.stage.model_dump(mode="json"), ("task", "data", *self.stage.fitted_with))
        views = self.stage.evaluation.views
        several = {"views": views} if views > 1 else {}
        differs = {"differs": list(self.stage.differs)} if self.stage.differs else {}
        return {"task": self.stage.task, "model": self.stage.model, "data": self.stage.data, **several, **differs}

    def providers(self, source: str | None = None) -> dict[str, str]:
        """Where a product is read from: ``{product: alias}``; default source: :attr:`source`."""
        return self.stage.providers_on("truth" if source == TRUTH else "predictions")

    def evaluation_inputs(self, source: str | None = None) -> dict[str, dict[str, dict[str, str]]]:
        """Files of every shard that is scored: ``{split: {shard: {alias: file}}}``; default source: the headline.

        The aliases are ``truth``, the stages whose predictions were read, and ``prediction``.
        """
        source = source or self.sources[0]
        return {
            split: {
                shard: files | {PREDICTION: self.prediction(split, shard, source)}
                for shard, files in self.inputs(split, source).items()
            }
            for split in self.stage.evaluation.splits
        }


def runs_of(experiment: Experiment, dataset: Dataset, layout: Layout, stage: str) -> list[Run]:
    """Every run of a stage, each point of its sweep with each seed, then the baselines if there are any."""
    trained = [
        _trained(experiment, dataset, layout, stage, seed, setting)
        for setting in settings_of(experiment.stages, stage)
        for seed in experiment.seeds
    ]
    fitted = experiment.stages[stage].baseline is not None
    return trained + (list(_baselines(experiment, dataset, layout, stage).values()) if fitted else [])


def learning_splits(stage: Stage) -> tuple[str, ...]:
    """Splits that the training of a stage reads: without `val` where it validates on others, or on none."""
    return SPLITS if stage.training is None or stage.training.reads_val else SPLITS[:1]


def plan(experiment: Experiment, dataset: Dataset, layout: Layout) -> list[Run]:
    """Every run of an experiment, in an order in which they can be made."""
    for name, stage in experiment.stages.items():
        for split in (*(learning_splits(stage) if experiment.truth else ()), *stage.evaluation.splits):
            if split not in dataset.splits:
                known = ", ".join(dataset.splits)
                raise ConfigError(f"stage '{name}': dataset '{dataset.name}' has no split '{split}'; it has: {known}")
    return [run for stage in experiment.order() for run in runs_of(experiment, dataset, layout, stage)]


def run_of(experiment: Experiment, dataset: Dataset, layout: Layout, stage: str, variant: str | None = None) -> Run:
    """One run by name (default: the first); an unknown stage or variant is an error that lists the known ones."""
    if stage not in experiment.stages:
        raise ConfigError(
            f"experiment '{experiment.name}' has no stage '{stage}'; it has: {', '.join(experiment.stages)}"
        )
    runs = {run.variant: run for run in runs_of(experiment, dataset, layout, stage)}
    if variant is None:
        return next(iter(runs.values()))
    if variant not in runs:
        raise ConfigError(f"stage '{stage}' has no variant '{variant}'; it has: {', '.join(runs)}")
    return runs[variant]


def _name(kind: str, point: str) -> str:
    return f"{kind}-{point}" if point else kind


def _trained(experiment: Experiment, dataset: Dataset, layout: Layout, stage: str, seed: int, setting: Setting) -> Run:
    variant = _name(f"seed{seed}", setting_name(setting, stage))
    return Run(experiment, dataset, stage, variant, layout, seed, setting)


def _baselines(experiment: Experiment, dataset: Dataset, layout: Layout, stage: str) -> dict[str, Run]:
    """The baselines of a stage by the name of what they depend on; each stands at the first point that it serves."""
    fitted: dict[str, Run] = {}
    for setting in settings_of(experiment.stages, stage):
        kind = baseline_name(experiment.stages, stage, setting)
        variant, seed = _name(BASELINE, kind), experiment.seeds[0]
        fitted.setdefault(kind, Run(experiment, dataset, stage, variant, layout, seed, setting, is_baseline=True))
    return fitted
