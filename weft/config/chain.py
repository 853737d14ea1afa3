"""The chain: the stages of an experiment that a prediction runs through, one after the other, on the same events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from weft.config.dataset import Dataset
from weft.config.experiment import Experiment
from weft.config.layout import Layout
from weft.config.loading import ConfigError
from weft.config.plan import BASELINE, TRUTH, Run, runs_of

CHAIN = "chain"
"""name that stands for all stages together, where a stage is named"""


@dataclass(frozen=True)
class Chain:
    """One run of each stage that somebody reads or that is final, each after those it reads."""

    runs: tuple[Run, ...]
    variant: str
    """``seed<k>``, or ``seed<k>-<point>`` where the final stages are swept, or follow an earlier one that is; or
    ``baseline``"""

    def models(self) -> dict[str, str]:
        """``{stage: its model}``."""
        return {run.stage_name: run.model for run in self.runs}

    def models_at_hand(self) -> dict[str, str]:
        """The same without a workflow that makes them first: a checkpoint as it is given, and of a stage that learns
        nothing only what is there."""
        files = {run.stage_name: run.stage.checkpoint or run.model for run in self.runs}
        fixed = {run.stage_name for run in self.runs if not (run.stage.learned or run.is_baseline)}
        return {name: path for name, path in files.items() if name not in fixed or Path(path).is_file()}

    def prediction(self, split: str, shard: str) -> str:
        """The products of all stages on one shard."""
        first = self.runs[0]
        return first.layout.predictions(first.experiment.id, CHAIN, self.variant, TRUTH, split, shard)

    def events(self, split: str, shard: str) -> str:
        """The events of one shard."""
        return self.runs[0].layout.data(self.runs[0].dataset.id, split, shard)

    def batch_sizes(self) -> dict[str, int]:
        """Samples a batch of inference of each stage; does not change the result."""
        return {run.stage_name: run.stage.evaluation.batch_size for run in self.runs}

    @property
    def gpu(self) -> bool:
        """Whether any stage asks for one."""
        return any(run.stage.resources.gpu for run in self.runs)

    @property
    def threads(self) -> int:
        return max(run.stage.resources.threads for run in self.runs)

    @property
    def mem_mb(self) -> int:
        return max(run.stage.resources.mem_mb for run in self.runs)

    @property
    def runtime(self) -> int:
        """Minutes: those of the longest training, which a prediction of all stages stays below; their sum is more than
        most clusters grant."""
        return max(run.stage.resources.runtime for run in self.runs)

    @property
    def splits(self) -> tuple[str, ...]:
        """Where the last stage is evaluated."""
        return self.runs[-1].stage.evaluation.splits

    def options(self) -> dict[str, dict[str, object]]:
        """All that the products depend on besides models and events, as plain data: ``{stage: options}``."""
        return {
            run.stage_name: run.deploy_options()
            | {"providers": run.providers()}
            | ({"is_baseline": True} if run.is_baseline else {})
            for run in self.runs
        }


def chain_of(experiment: Experiment, dataset: Dataset, layout: Layout, variant: str | None = None) -> Chain:
    """The chain of one variant of the experiment's final stages; default: the first seed, if nothing is swept.

    A stage that others need only for its weights is no part of it. The variant ``baseline`` has the baseline of each
    stage that has one, each reading what those before it make. Raises ConfigError where there is no such variant, where
    one of several points must be chosen, and for a stage that would be run in two variants.
    """
    if variant == BASELINE:
        return _of_baselines(experiment, dataset, layout)
    finals = [
        {run.variant: run for run in runs_of(experiment, dataset, layout, name) if not run.is_baseline}
        for name in experiment.final
    ]
    known = [name for name in finals[0] if all(name in runs for runs in finals)]
    if not known:
        swept = "; ".join(f"{n}: {', '.join(runs)}" for n, runs in zip(experiment.final, finals, strict=True))
        raise ConfigError(f"chain: the final stages have no variant in common ({swept})")
    if variant is None and finals[0][known[0]].setting:
        raise ConfigError(f"the chain has points of a sweep, choose one with --variant: {', '.join(known)}")
    if variant is not None and variant not in known:
        raise ConfigError(f"the chain has no variant '{variant}'; it has: {', '.join(known)}")
    chosen: dict[str, Run] = {}
    for runs in finals:
        _add(runs[variant or known[0]], chosen)
    return Chain(tuple(chosen[name] for name in experiment.order() if name in chosen), variant or known[0])


def chains_of(experiment: Experiment, dataset: Dataset, layout: Layout) -> dict[str, Chain]:
    """The chain of each variant; none of a single stage, and none where :func:`chain_of` says that there cannot be
    one."""
    if len(experiment.stages) == 1:
        return {}
    variants = [run.variant for run in runs_of(experiment, dataset, layout, experiment.final[0]) if not run.is_baseline]
    try:
        return {name: chain_of(experiment, dataset, layout, name) for name in variants}
    except ConfigError:
        return {}


def _of_baselines(experiment: Experiment, dataset: Dataset, layout: Layout) -> Chain:
    needed, waiting = set[str](), list(experiment.final)
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting += [other for other in experiment.stages[name].inputs if other not in needed]
    chosen = []
    for name in (name for name in experiment.order() if name in needed):
        runs = runs_of(experiment, dataset, layout, name)
        runs = [run for run in runs if run.is_baseline] or runs
        if len({run.setting.get(name) for run in runs}) > 1 or (runs[0].is_baseline and len(runs) > 1):
            known = ", ".join(run.variant for run in runs)
            raise ConfigError(f"chain: stage '{name}' has several runs that could be meant by baseline: {known}")
        chosen.append(runs[0])
    if not any(run.is_baseline for run in chosen):
        raise ConfigError("the chain has no variant 'baseline': none of its stages has a baseline")
    return Chain(tuple(chosen), BASELINE)


def _add(run: Run, chosen: dict[str, Run]) -> None:
    """The run and all whose predictions it reads."""
    other = chosen.setdefault(run.stage_name, run)
    if other.variant != run.variant:
        raise ConfigError(f"chain: stage '{run.stage_name}' is read as {other.variant} and as {run.variant}")
    for name in run.stage.inputs:
        _add(run.upstream(name), chosen)
