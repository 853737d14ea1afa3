"""A model that was trained elsewhere, used as it is by a stage of another experiment."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weft.engine.fed import KEY
from weft.engine.log_file import LOG, write_rows
from weft.engine.model_file import load_weights
from weft.engine.predict import model_of
from weft.engine.task import Task
from weft.io.atomic import atomic_path
from weft.io.provenance import collect, of_file, write_record


def use_given(task: Task[Any], checkpoint: Path, output: Path, options: Mapping[str, Any], seed: int) -> None:
    """Leave a copy of a ``model.ckpt`` in ``output``, a ``model.json`` that says where it is from, and an empty log.

    options: of the stage, for the provenance.
    Raises WeftError where the model is of another task, of other options than the stage (but for those that a deploy
    may choose), or does not fit the network.
    """
    content = model_of(task, checkpoint)
    load_weights(task.network(), content.state, str(checkpoint))
    output.mkdir(parents=True, exist_ok=True)
    source = of_file(checkpoint)
    record = collect(
        config=options,
        seeds={"run": seed},
        inputs={source["path"]: source["sha256"]},
        task=task.name,
        trained=content.provenance,
        **{KEY: content.provenance.get(KEY, {})},
    )
    write_record(output / "model.json", record)
    write_rows(output / LOG)
    with atomic_path(output / "model.ckpt") as temporary:
        shutil.copyfile(checkpoint, temporary)
