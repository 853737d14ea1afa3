"""Experiments: a dataset and the stages that learn from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from weft.config.loading import ConfigError, at_scale, closest, find, override, read_mapping, validate
from weft.config.strict import Strict
from weft.config.training import Optimizer, Schedule, Training

EXPERIMENTS = Path("config/experiments")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
RESERVED = {"truth", "chain", "data"}


class Need(Strict):
    """What a stage takes from an earlier one."""

    weights: Literal["best"] | None = Field(None, description="start from the weights of that stage")
    predictions: tuple[str, ...] = Field((), description="products of that stage's deploy to read")
    seed: int | None = Field(None, ge=0, description="seed of the upstream stage; default: the same seed")


class Evaluation(Strict):
    """On which splits the model is deployed and scored."""

    splits: tuple[str, ...] = Field(("test",), min_length=1, description="the first is the headline")
    batch_size: int = Field(8, ge=1, description="samples a batch of inference; does not change the result")


class Resources(Strict):
    """What a training job asks the machine or the cluster for; does not change the result."""

    threads: int = Field(1, ge=1, description="of the training; more did not pay (benchmarks/results/threads.md)")
    mem_mb: int = Field(4000, ge=1000)
    runtime: int = Field(120, ge=1, description="minutes")
    gpu: int = Field(0, ge=0, le=1, description="number of GPUs")


class Stage(Strict):
    """One learnable step. ``model``, ``loss``, ``data`` and ``baseline`` are validated by its task."""

    task: str
    needs: dict[str, Need] = Field({}, description="earlier stages, and truth")
    model: dict[str, Any] = Field({})
    loss: dict[str, Any] = Field({})
    data: dict[str, Any] = Field({})
    baseline: dict[str, Any] | None = Field({}, description="options of the baseline; null: none is fitted")
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    training: Training
    evaluation: Evaluation = Evaluation()
    resources: Resources = Resources()

    @field_validator("needs", mode="before")
    @classmethod
    def _short_form(cls, needs: Any) -> Any:
        """``truth: [clusters]`` is short for ``truth: {predictions: [clusters]}``."""
        if isinstance(needs, dict):
            return {key: {"predictions": value} if isinstance(value, list) else value for key, value in needs.items()}
        return needs

    @property
    def upstream(self) -> list[str]:
        """Stages this one waits for."""
        return [name for name in self.needs if name != "truth"]

    @property
    def providers(self) -> dict[str, str]:
        """Where a product is read from: ``{product: stage, or truth}``."""
        return {product: name for name, need in self.needs.items() for product in need.predictions}

    @property
    def inputs(self) -> list[str]:
        """Stages whose predictions this one reads."""
        return [name for name in self.upstream if self.needs[name].predictions]


class Experiment(Strict):
    """A named study: a dataset, stages, and the seeds they are trained with."""

    name: str = Field(pattern=_NAME)
    title: str = ""
    description: str = ""
    scale: str | None = Field(None, description="set by the loader")
    dataset: str = Field(description="name of a file in config/datasets, or its path")
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    stages: dict[Annotated[str, Field(pattern=_NAME)], Stage] = Field(min_length=1)

    @property
    def id(self) -> str:
        """Name of the folder below ``results``."""
        return self.name if self.scale is None else f"{self.name}-{self.scale}"

    @model_validator(mode="after")
    def _graph(self) -> Experiment:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: each seed once")
        for name, stage in self.stages.items():
            if name in RESERVED:
                raise ValueError(f"stages.{name}: this name is reserved")
            for needed in stage.upstream:
                if needed not in self.stages:
                    raise ValueError(f"stages.{name}.needs.{needed}: no such stage{closest(needed, list(self.stages))}")
                seed = stage.needs[needed].seed
                if seed is not None and seed not in self.seeds:
                    raise ValueError(f"stages.{name}.needs.{needed}.seed: {seed} is not one of the seeds {self.seeds}")
        try:
            list(self.order())
        except CycleError as error:
            raise ValueError(f"stages need each other in a circle: {' -> '.join(error.args[1])}") from None
        return self

    def order(self) -> Iterable[str]:
        """Stage names, each after all it needs."""
        return TopologicalSorter({name: stage.upstream for name, stage in self.stages.items()}).static_order()


def load_experiment(name: str | Path, scale: str | None = None, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of ``config/experiments/<name>.yaml``, ``.toml`` or ``.json`` (or of a path), overrides applied.

    Task options are not looked at here: see :func:`weft.tasks.resolve`.
    """
    path = find("experiment", name, EXPERIMENTS)
    document, applied = at_scale(read_mapping(path), scale, str(path))
    stages = list(document.get("stages") or {})
    document = override(document, overrides)
    for added in set(document.get("stages") or {}) - set(stages):
        raise ConfigError(f"{path}: no stage '{added}'{closest(added, stages)}; it has: {', '.join(stages)}")
    return validate(Experiment, document | {"scale": applied}, str(path))
