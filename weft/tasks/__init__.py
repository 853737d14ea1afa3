"""Learnable steps, one folder each: adding a folder with a ``TASK`` adds a step.

``weft/tasks/<name>/__init__.py`` sets ``TASK``, a subclass of :class:`weft.engine.task.Task`. Importing it must not
import torch.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from weft.config.experiment import Experiment, Stage
from weft.config.loading import ConfigError, closest, validate
from weft.config.sweep import require_different
from weft.engine.task import Task
from weft.tasks.as_trained import as_trained, require_fed_as_trained
from weft.tasks.needs import require_met

SECTIONS = ("model", "loss", "data", "baseline")
"""parts of a stage that its task knows"""
_OF_TRAINING = ("training", "optimizer", "schedule", "init", "freeze", "train_on")
"""parts of a stage that only one that learns has; but a baseline that is fitted needs to know what it is fed"""


def names() -> list[str]:
    """The tasks there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def load(name: str) -> type[Task[Any]]:
    """The class of a task."""
    if name not in names():
        raise ConfigError(f"no task '{name}'{closest(name, names())}; there are: {', '.join(names())}")
    task: type[Task[Any]] = import_module(f"{__name__}.{name}").TASK
    return task


def build(task: str, options: Mapping[str, Any], source: str = "options") -> Task[Any]:
    """A task from options as in a stage: ``model``, ``loss``, ``data``, ``baseline``; unknown keys are errors."""
    kind = load(task)
    # A section that the task does not have may be there, as long as there is nothing in it.
    known = kind.options_model.model_fields
    given = {key: options[key] for key in SECTIONS if options.get(key) or (key in known and options.get(key) == {})}
    return kind(validate(kind.options_model, given, source))


def of(stage: Stage, source: str = "options") -> Task[Any]:
    """The task of a stage."""
    return build(stage.task, stage.model_dump(), source)


def resolve(experiment: Experiment) -> Experiment:
    """The experiment with every task's options validated and their defaults filled in, at every point of a sweep, and
    what its stages take from each other looked at."""
    stages = {}
    for name, stage in experiment.stages.items():
        where = f"experiment '{experiment.name}', stage '{name}'"
        points = {point: _resolved(at, f"{where}, point {point}") for point, at in stage.points.items()}
        require_different({point: at.training_options() for point, at in points.items()}, where)
        stages[name] = _resolved(stage, where).model_copy(update={"points": points})
    resolved = experiment.model_copy(update={"stages": stages})
    _require_deployable(resolved)
    built = {n: {p: of(at) for p, at in (s.points or {"": s}).items()} for n, s in stages.items()}
    require_met(resolved, built)
    require_fed_as_trained(resolved, built)
    return resolved


def _resolved(stage: Stage, where: str) -> Stage:
    if stage.checkpoint is not None:
        stage = as_trained(stage, stage.checkpoint, where)
    task = of(stage, where)
    if stage.checkpoint is not None and not task.learned:
        raise ConfigError(f"{where}: checkpoint: task '{stage.task}' does not learn")
    learned = task.learned and stage.checkpoint is None
    options: dict[str, Any] = {key: {} for key in SECTIONS} | task.options.model_dump(mode="json")
    if stage.baseline is None or stage.checkpoint or "baseline" not in type(task.options).model_fields:
        options["baseline"] = None
    if learned and stage.training is None:
        raise ConfigError(f"{where}: training: field required, task '{stage.task}' learns")
    for key in _OF_TRAINING:
        fitted = key == "train_on" and task.fits and options["baseline"] is not None
        if not learned and not fitted and key in stage.model_fields_set and getattr(stage, key):
            why = "the model is given by checkpoint" if task.learned else f"task '{stage.task}' does not learn"
            raise ConfigError(f"{where}: {key}: {why}")
    if stage.evaluation.views > 1 and type(task).mean is Task.mean:
        raise ConfigError(f"{where}: evaluation.views: task '{stage.task}' has no mean over views of an event; use 1")
    of_task = {"learned": learned, "fits": task.fits, "fitted_with": task.fitted_with}
    return stage.model_copy(update={key: options[key] for key in SECTIONS} | of_task)


def _require_deployable(experiment: Experiment) -> None:
    """Raise ConfigError where something is to be learned from events without a truth."""
    for name, stage in experiment.stages.items():
        if not experiment.truth and any(at.learned for at in (stage, *stage.points.values())):
            raise ConfigError(
                f"experiment '{experiment.name}', stage '{name}': with truth: false nothing can be learned; give it a "
                "checkpoint"
            )
