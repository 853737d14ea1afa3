"""The model file of a stage that does not learn: what it was asked to do, so that all later rules are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weft.engine.log_file import LOG, write_rows
from weft.engine.task import Task
from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.provenance import collect, write_record

FORMAT = "weft stage that does not learn"


def settle(task: Task[Any], output: Path, options: Mapping[str, Any], seed: int) -> None:
    """Leave ``model.ckpt`` (the options as one line of JSON), ``model.json`` and an empty ``log.csv`` in ``output``."""
    output.mkdir(parents=True, exist_ok=True)
    write_record(output / "model.json", collect(config=options, seeds={"run": seed}, inputs={}, task=task.name))
    write_rows(output / LOG)
    content = {"format": FORMAT, "task": task.name, "options": task.options.model_dump(mode="json")}
    with atomic_path(output / "model.ckpt") as temporary:
        temporary.write_text(json.dumps(content, sort_keys=True) + "\n", encoding="utf-8")


def settled_options(path: Path, task: str) -> dict[str, Any]:
    """The options in a file that :func:`settle` left; an error where it is of another task or no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeftError(f"{path}: no such file; train the stage first") from None
    except ValueError:  # of the text or of its encoding
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise WeftError(f"{path}: expected what `weft train` leaves of a stage that does not learn")
    if content["task"] != task:
        raise WeftError(f"{path}: of task '{content['task']}', not '{task}'")
    options: dict[str, Any] = content["options"]
    return options
