"""Experiments: a dataset and the stages that learn from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from weft.config.loading import ConfigError, at_scale, closest, find, only, override, read_mapping, validate
from weft.config.schedule import CosineSchedule, PlateauSchedule, Schedule
from weft.config.starting import WHOLE, Init, by_part
from weft.config.strict import Strict
from weft.config.sweep import expand, names_of, points_of, require_chosen, require_free
from weft.config.training import Optimizer, Training

EXPERIMENTS = Path("config/experiments")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
RESERVED = {"truth", "prediction", "chain", "data"}
Inputs = Literal["truth", "predictions"]
"""what a stage that reads predictions of earlier ones is fed: these, or the true products of the same names"""
TrainingInputs = Literal["truth", "predictions", "both"]
"""what its training is fed: one of them, or each event twice, with either"""


class Need(Strict):
    """What a stage takes from an earlier one."""

    weights: Literal["best"] | None = Field(None, description="start from the weights of that stage")
    predictions: tuple[str, ...] = Field((), description="products of that stage's deploy to read")
    seed: int | None = Field(None, ge=0, description="seed of the upstream stage; default: the same seed")
    point: str | None = Field(None, description="point of the upstream stage's sweep, such as lr=0.001-filters=16")


class Evaluation(Strict):
    """On which splits and inputs the model is deployed and scored."""

    splits: tuple[str, ...] = Field(("test",), min_length=1, description="the first is the headline")
    inputs: tuple[Inputs, ...] = Field(
        ("predictions",),
        min_length=1,
        description="what it is fed: predictions of earlier stages, true products in their place; the first is the "
        "headline",
    )
    batch_size: int = Field(8, ge=1, description="samples a batch of inference; does not change the result")
    views: int = Field(
        1, ge=1, description="views of an event that a prediction is the mean over: itself, then as training varies it"
    )

    @field_validator("inputs")
    @classmethod
    def _each_once(cls, inputs: tuple[Inputs, ...]) -> tuple[Inputs, ...]:
        if len(set(inputs)) < len(inputs):
            raise ValueError("each of truth and predictions once")
        return inputs


class Resources(Strict):
    """What a training job asks the machine or the cluster for; does not change the result."""

    threads: int = Field(1, ge=1, description="of the training; more did not pay (benchmarks/results/threads.md)")
    mem_mb: int = Field(4000, ge=1000, description="memory, MB")
    runtime: int = Field(120, ge=1, description="time limit, minutes")
    gpu: int = Field(0, ge=0, description="GPUs; of several each has a process of its own, and they share every batch")
    processes: int = Field(1, ge=1, description="on CPU: processes that share every batch")

    @model_validator(mode="after")
    def _one_process_a_gpu(self) -> Resources:
        if self.gpu and self.processes > 1:
            raise ValueError("processes are those of a training on CPU; on GPUs there is one for each")
        return self

    @property
    def ranks(self) -> int:
        """Processes that train one model together."""
        return self.gpu or self.processes

    @property
    def cpus(self) -> int:
        """CPU cores of the whole job."""
        return self.threads * self.ranks


class Stage(Strict):
    """One step. ``model``, ``loss``, ``data`` and ``baseline`` are validated by its task."""

    task: str = Field(description="what is learned or done: a folder of weft/tasks")
    needs: dict[str, Need] = Field({}, description="earlier stages, and truth; null: not this one")
    train_on: TrainingInputs = Field(
        "predictions",
        description="what the training is fed: predictions of earlier stages, true products instead, or both in turn",
    )
    init: dict[str, Init] = Field({}, description=f"{{module of the network, or '{WHOLE}': what it starts from}}")
    freeze: tuple[str, ...] = Field((), description="patterns of modules and parameters that are not trained")
    model: dict[str, Any] = Field({}, description="the network; keys of the task")
    loss: dict[str, Any] = Field({}, description="what is minimised; keys of the task")
    data: dict[str, Any] = Field({}, description="what the network sees, and augmentation; keys of the task")
    baseline: dict[str, Any] | None = Field({}, description="what it is compared with, keys of the task; null: none")
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Field(CosineSchedule(), description="how the learning rate goes with the steps of the run")
    training: Training | None = Field(None, description="length and batches; of a stage that learns")
    evaluation: Evaluation = Evaluation()
    resources: Resources = Resources()
    checkpoint: str | None = Field(
        None,
        description="a model.ckpt of this task: it is used as it is and nothing is trained; `model` and `data` are "
        "those in the model.json beside it, but for what is given here",
    )
    differs: tuple[str, ...] = Field(
        (),
        description="with checkpoint: options of the stages that feed it, as `triplets.model.max_per_row`, that may be "
        "others than those of what the model has learned from",
    )
    sweep: dict[str, list[Any]] | list[dict[str, Any]] | None = Field(
        None, description="{key: [values]}, every value with every other, or a list of points {key: value}"
    )
    follow: bool = Field(False, description="train at every point of the earlier stages' sweeps, times one's own")
    points: dict[str, Stage] = Field({}, repr=False, description="set by the loader: the stage at each point")
    learned: bool = Field(True, repr=False, description="set by the loader: whether there is something to train")
    fits: bool = Field(True, repr=False, description="set by the loader: whether its baseline learns from events")
    fitted_with: tuple[str, ...] = Field(
        ("data",), repr=False, description="set by the loader: options that the baseline depends on besides its own"
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, stage: Any) -> Any:
        """The stage at each point of its sweep; a stage that was written out by us has them already."""
        if not isinstance(stage, dict) or stage.get("sweep") is None:
            return stage
        return {"points": expand(stage)} | stage

    @model_validator(mode="after")
    def _plateau_of_validations(self) -> Stage:
        never = self.training is not None and self.training.validate_every is None
        if never and isinstance(self.schedule, PlateauSchedule):
            raise ValueError(
                "schedule: plateau follows the validations, and training.validate_every: null turns them off"
            )
        return self

    @model_validator(mode="after")
    def _own_points(self) -> Stage:
        if list(self.points) != ([] if self.sweep is None else names_of(points_of(self.sweep))):
            raise ValueError("points: these follow from sweep, give that")
        return self

    @model_validator(mode="after")
    def _has_predictions(self) -> Stage:
        if not self.inputs:
            if self.train_on != "predictions":
                raise ValueError("train_on: the stage reads no predictions, so it is fed the truth anyway")
            if "truth" in self.evaluation.inputs:
                raise ValueError("evaluation.inputs: the stage reads no predictions, so it is fed the truth anyway")
        return self

    @model_validator(mode="after")
    def _judged_once(self) -> Stage:
        if self.train_on == "both" and self.training is not None and self.training.hold_out is not None:
            raise ValueError("train_on: both has every held-out event twice; with training.hold_out choose one of them")
        return self

    @field_validator("needs", mode="before")
    @classmethod
    def _short_form(cls, needs: Any) -> Any:
        """``truth: [clusters]`` is short for ``truth: {predictions: [clusters]}``; null takes a need away again."""
        if isinstance(needs, dict):
            given = {key: value for key, value in needs.items() if value is not None}
            return {key: {"predictions": value} if isinstance(value, list) else value for key, value in given.items()}
        return needs

    @field_validator("init", mode="before")
    @classmethod
    def _whole_network(cls, init: Any) -> Any:
        return by_part(init)

    def _stages_of_init(self) -> list[str]:
        return [init.source for init in self.init.values() if not init.is_file]

    def _whole_by_need(self) -> list[str]:
        """Stages whose ``weights`` are needed, and init does not say for what."""
        return [name for name, need in self.needs.items() if need.weights and name not in self._stages_of_init()]

    @property
    def starts(self) -> dict[str, Init]:
        """``init``, and for ``weights`` of a stage that it does not name: that stage's for the whole network."""
        whole = [(WHOLE, Init(source=name)) for name in self._whole_by_need()]
        return dict(whole) | self.init

    def require_one_start(self, name: str) -> None:
        """Raise unless the network as a whole starts from one thing at most."""
        whole = [*self._whole_by_need(), *(init.source for part, init in self.init.items() if part == WHOLE)]
        if len(whole) > 1:
            raise ValueError(
                f"stages.{name}: several weights for the whole network ({', '.join(whole)}): "
                "init says which module starts from which"
            )

    def training_options(self) -> dict[str, Any]:
        """All that a trained model depends on besides its seed and its input files, as plain data."""
        if not self.learned:
            given = () if self.checkpoint is None else ("checkpoint",)
            return self.model_dump(mode="json", include={"task", "model", "data", *given})
        left_out = {"resources", "evaluation", "baseline", "sweep", "follow", "points", "learned", "fitted_with"}
        left_out |= {"checkpoint", "fits", "differs"}
        options = self.model_dump(mode="json", exclude=left_out if self.inputs else {*left_out, "train_on"})
        if self.training is not None:
            del options["training"]["workers"]
            if self.training.hold_out is None:
                del options["training"]["hold_out"]
        return options

    def baseline_options(self) -> dict[str, Any]:
        """All that a fitted baseline depends on besides its seed and its input files, as plain data."""
        own = ("task", "needs", "baseline", *(["train_on"] if self.inputs else []))
        return only(self.model_dump(mode="json"), (*own, *self.fitted_with))

    def require_training(self) -> Training:
        """The settings of the training; an error where there are none."""
        if self.training is None:
            raise ConfigError(f"a stage of task '{self.task}' needs the block `training`")
        return self.training

    @property
    def upstream(self) -> list[str]:
        """Stages this one waits for."""
        return list(dict.fromkeys([*(name for name in self.needs if name != "truth"), *self._stages_of_init()]))

    @property
    def providers(self) -> dict[str, str]:
        """Where a product is read from: ``{product: stage, or truth}``."""
        return {product: name for name, need in self.needs.items() for product in need.predictions}

    @property
    def training_inputs(self) -> tuple[Inputs, ...]:
        """Kinds of input that the training is fed, predictions first."""
        return ("predictions", "truth") if self.train_on == "both" else (self.train_on,)

    def providers_on(self, inputs: Inputs) -> dict[str, str]:
        """The same for either kind of input: of the truth also what is asked for as ``<stage>/<product>``."""
        if inputs == "predictions":
            return self.providers
        return {f"{name}/{product}": "truth" for name in self.inputs for product in self.needs[name].predictions}

    @property
    def inputs(self) -> list[str]:
        """Stages whose predictions this one reads."""
        return [name for name in self.upstream if name in self.needs and self.needs[name].predictions]


class Experiment(Strict):
    """A named study: a dataset, stages, and the seeds they are trained with."""

    name: str = Field(pattern=_NAME, description="letters, digits, - and _; the folder of its results")
    title: str = Field("", description="heading of the report")
    description: str = Field("", description="first paragraph of the report")
    scale: str | None = Field(None, description="set by the loader")
    dataset: str = Field(description="name of a file in config/datasets, or its path")
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="each stage is trained once for each")
    stages: dict[Annotated[str, Field(pattern=_NAME)], Stage] = Field(min_length=1, description="the steps")
    truth: bool = Field(
        True, description="false: nothing is known of the events, so that stages are deployed, not trained or scored"
    )
    chain: tuple[str, ...] = Field(
        (), description="stages that `deploy --stage chain` ends with; default: those that no other stage needs"
    )

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
                    key = f"needs.{needed}" if needed in stage.needs else f"init: '{needed}'"
                    raise ValueError(f"stages.{name}.{key}: no such stage{closest(needed, list(self.stages))}")
                seed = stage.needs.get(needed, Need()).seed
                if seed is not None and seed not in self.seeds:
                    raise ValueError(f"stages.{name}.needs.{needed}.seed: {seed} is not one of the seeds {self.seeds}")
            stage.require_one_start(name)
        for name in self.chain:
            if name not in self.stages:
                raise ValueError(f"chain: no stage '{name}'{closest(name, list(self.stages))}")
        try:
            list(self.order())
        except CycleError as error:
            raise ValueError(f"stages need each other in a circle: {' -> '.join(error.args[1])}") from None
        require_chosen(self.stages)
        return self

    @property
    def final(self) -> tuple[str, ...]:
        """Stages that the chain ends with: as ``chain`` says, else those that no other one needs."""
        needed = {name for stage in self.stages.values() for name in stage.upstream}
        return self.chain or tuple(name for name in self.stages if name not in needed)

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
    require_free(document.get("stages") or {}, overrides)
    for added in set(document.get("stages") or {}) - set(stages):
        raise ConfigError(f"{path}: no stage '{added}'{closest(added, stages)}; it has: {', '.join(stages)}")
    return validate(Experiment, document | {"scale": applied}, str(path))
