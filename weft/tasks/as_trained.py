"""Stages whose model was trained elsewhere: its options, and whether it is fed as it was then."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from weft.config.experiment import Experiment, Stage
from weft.config.loading import ConfigError, closest, merge
from weft.engine.fed import KEY, feed_from, require_fed_alike
from weft.errors import WeftError
from weft.tasks.needs import Tasks, at_points


def as_trained(stage: Stage, checkpoint: str, where: str) -> Stage:
    """The stage with the options of the model that it is given, but for those of its own."""
    path, content = _record(checkpoint, where)
    try:
        task, trained = content["task"], content["config"]
        options = {section: merge(trained.get(section) or {}, getattr(stage, section)) for section in ("model", "data")}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{where}: checkpoint: {path}: expected the provenance of a trained model") from None
    if task != stage.task:
        raise ConfigError(f"{where}: checkpoint: {checkpoint} is of task '{task}', not '{stage.task}'")
    return stage.model_copy(update=options)


def require_fed_as_trained(experiment: Experiment, tasks: Tasks) -> None:
    """Raise ConfigError where a model is to be fed by stages with other options than those that made what it learned
    from, unless the stage says that these may differ."""
    for name, stage in experiment.stages.items():
        where = f"experiment '{experiment.name}', stage '{name}'"
        if stage.checkpoint is None:
            if stage.differs:
                raise ConfigError(
                    f"{where}: differs: only of a stage with a checkpoint; another is trained as it is fed"
                )
            continue
        reads = next(iter(tasks[name].values())).reads
        _, record = _record(stage.checkpoint, where)
        feeders = {needed: at_points(tasks, needed, stage.needs[needed]) for needed in stage.inputs}
        known = [f"{needed}.{option}" for needed, made in feeders.items() for at in made for option in at.method()]
        for given in stage.differs:
            if given not in known:
                raise ConfigError(
                    f"{where}: differs: no option '{given}'{closest(given, known)}; known: {', '.join(known)}"
                )
        for chosen in itertools.product(*([(needed, at) for at in made] for needed, made in feeders.items())):
            feed = feed_from(reads, stage.providers, dict(chosen), stage.differs)
            try:
                require_fed_alike(record.get(KEY), feed, stage.checkpoint)
            except WeftError as error:
                raise ConfigError(f"{where}: checkpoint: {error}") from None


def _record(checkpoint: str, where: str) -> tuple[Path, Any]:
    """The ``model.json`` beside a model, and what it says."""
    record = Path(checkpoint).with_name("model.json")
    missing = next((path for path in (Path(checkpoint), record) if not path.is_file()), None)
    if missing is not None:
        raise ConfigError(
            f"{where}: checkpoint: {missing}: no such file; train that model, or name another one (snakemake: "
            "model=PATH, weft: --model PATH)"
        )
    try:
        return record, json.loads(record.read_text(encoding="utf-8"))
    except ValueError:
        raise ConfigError(f"{where}: checkpoint: {record}: expected the provenance of a trained model") from None
