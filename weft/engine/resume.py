"""Where a training goes on from: the last whole checkpoint of the same work, or one that is named."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from weft.config.loading import leaves
from weft.engine.checkpoint_file import DamagedFile, read_checked
from weft.engine.log_file import LOG
from weft.errors import WeftError

AUTO, NONE = "auto", "none"
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
RECORD = "weft"
"""Key of a checkpoint below which our own part of it is: provenance, with config and inputs, and ``progress``."""

FIXED = (
    "task", "model", "freeze", "training.accumulate",
    "optimizer.name", "optimizer.options", "optimizer.decay_all", "optimizer.layer_decay", "optimizer.head_multiplier",
)  # fmt: skip
"""Keys that weights, the optimiser's state and the number of a micro-batch depend on: no change is possible."""

JUDGED_BY = (
    "inputs",
    "loss",
    "data",
    "training.monitor",
    "training.mode",
    "training.hold_out",
    "training.validation_events",
)
"""Keys that the value of the monitored metric depends on, besides the weights."""


@dataclass(frozen=True)
class Point:
    """A whole checkpoint."""

    path: Path
    step: int
    record: Mapping[str, Any]
    changed: tuple[str, ...] = ()
    """what of config and inputs is not as it was, as ``key: old -> new``"""

    @property
    def finished(self) -> bool:
        """Whether nothing but ``model.ckpt`` was left to do; not so if something has changed since."""
        return bool(self.record["progress"]["finished"]) and not self.changed

    @property
    def comparable(self) -> bool:
        """Whether the validations so far are worth as much as those to come."""
        return not self.changes_of(JUDGED_BY)

    def changes_of(self, roots: tuple[str, ...]) -> list[str]:
        """What has changed at some keys and below them."""
        return [change for change in self.changed if any(_below(change.partition(":")[0], root) for root in roots)]


def resume_point(folder: Path, resume: str | Path, record: Mapping[str, Any], allow_changes: bool) -> Point | None:
    """The checkpoint to go on from; None to begin at the beginning.

    folder: the work of this config and these inputs.
    resume: ``auto``: the last whole checkpoint in ``folder``; damaged ones are set aside with a warning, and where none
        is whole the training begins again, which costs time but gives the same result. ``none``: begin again; what is
        in ``folder`` is deleted. Else the path of a checkpoint: it must be whole, and with ``allow_changes`` its config
        and inputs may be others.
    record: provenance of this training, with ``config`` and ``inputs``.
    Raises WeftError.
    """
    if allow_changes and resume in (AUTO, NONE):
        raise WeftError(f"--allow-changes is for --resume PATH; '{resume}' never takes work of another config")
    if resume == NONE:
        if folder.is_dir():
            print(f"beginning again: {folder} deleted", flush=True)
            shutil.rmtree(folder)
        return None
    if resume == AUTO:
        return _last(folder)
    point = _named(Path(resume), record)
    fixed = point.changes_of(FIXED)
    if fixed:
        raise WeftError(
            f"--resume {point.path}: cannot be resumed with another {'; '.join(fixed)}; to start a training from its "
            "weights use 'init'"
        )
    if point.changed and not allow_changes:
        raise WeftError(
            f"--resume {point.path}: config or inputs differ from those of this training: {'; '.join(point.changed)}; "
            "add --allow-changes to go on with the new ones, or --resume auto to go on only with work of the same"
        )
    if point.path.parent.resolve() != folder.resolve():
        _take_along(point, folder)
    if not point.finished:
        _set_others_aside(point, folder)
    return point


def _last(folder: Path) -> Point | None:
    damaged = False
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            return _read(path)
        except DamagedFile as error:
            damaged = True
            warn(f"{error}; set aside as {_set_aside(path, 'damaged').name}")
    if damaged:
        warn(f"{folder}: no whole checkpoint, the training begins again")
    return None


def _named(path: Path, record: Mapping[str, Any]) -> Point:
    if not path.is_file():
        raise WeftError(f"--resume {path}: no such file; expected a checkpoint, '{AUTO}' or '{NONE}'")
    point = _read(path)
    return Point(point.path, point.step, point.record, tuple(_changes(point.record, record)))


def _read(path: Path) -> Point:
    content = read_checked(path)
    if not isinstance(content, Mapping) or RECORD not in content or "global_step" not in content:
        raise DamagedFile(path, "not a checkpoint of a training; to start from the weights of a model use 'init'")
    return Point(path, int(content["global_step"]), content[RECORD])


def _take_along(point: Point, folder: Path) -> None:
    """Copy the log, and the best weights so far, from where the checkpoint comes from."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in [LOG, *(kept["file"] for kept in point.record["progress"]["kept"])]:
        source = point.path.with_name(name)
        if source.is_file():
            shutil.copyfile(source, folder / name)


def _set_others_aside(point: Point, folder: Path) -> None:
    """Leave in ``folder`` no checkpoint that a later resume could take though it has steps that ``point`` has not."""
    own = point.path.resolve()
    others = [] if own == (folder / LAST).resolve() else [folder / LAST, folder / PREVIOUS]
    for path in others:
        if path.exists() and path.resolve() != own:
            print(f"{path}: set aside as {_set_aside(path, 'replaced').name}", flush=True)


def _set_aside(path: Path, why: str) -> Path:
    """The new name of a file, one that no file has."""
    names = (path.with_name(f"{why}-{f'{n}-' if n else ''}{path.name}") for n in count())
    aside = next(name for name in names if not name.exists())
    os.replace(path, aside)
    return aside


def named_by(path: Path) -> set[str]:
    """Files with best weights that a checkpoint needs; none if there is no whole checkpoint."""
    try:
        return {kept["file"] for kept in _read(path).record["progress"]["kept"]}
    except (DamagedFile, FileNotFoundError):
        return set()


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, now = _options(old["config"]), _options(json.loads(json.dumps(new["config"])))
    for key in dict.fromkeys([*before, *now]):
        if before.get(key, _ABSENT) != now.get(key, _ABSENT):
            yield f"{key}: {_text(before.get(key, _ABSENT))} -> {_text(now.get(key, _ABSENT))}"
    files, others = Counter(old["inputs"].values()), Counter(new["inputs"].values())
    if files != others:
        yield f"inputs: {(others - files).total()} files are new or changed, {(files - others).total()} no longer there"


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted key; a section without any says nothing."""
    return {key: value for key, value in leaves(config) if value != {}}


def _below(key: str, root: str) -> bool:
    return key == root or key.startswith(f"{root}.")


_ABSENT = object()


def _text(value: Any) -> str:
    return "not there" if value is _ABSENT else json.dumps(value)


def warn(message: str) -> None:
    """One line on the error output."""
    print(f"warning: {message}", file=sys.stderr, flush=True)
