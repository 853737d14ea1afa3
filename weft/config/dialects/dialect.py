"""From another tool's configuration to an experiment of ours: what all dialects share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weft.config.dataset import FileDataset
from weft.config.dialects.draft import Draft, flow
from weft.config.dialects.rules import (
    Drops,
    Later,
    Maps,
    Noted,
    Only,
    PartOf,
    Refuses,
    Several,
    Source,
    Table,
    Unfit,
    When,
    walk,
)
from weft.config.experiment import Experiment
from weft.config.loading import ConfigError, parse_yaml, read_mapping, validate


@dataclass(frozen=True)
class Dialect:
    """One tool's way of writing a configuration."""

    name: str
    title: str
    """the tool, as a sentence names it"""
    stage: str
    """name of the stage that is written"""
    table: Table
    defaults: Mapping[str, tuple[Any, str]]
    """our keys that are written where no key of theirs does: value, and why; among them the task"""
    signs: tuple[tuple[str, ...], ...]
    """combinations of dotted keys, each of which only such a file has"""
    differs: tuple[str, ...] = ()
    """what the same settings do differently here"""
    read: Callable[[Path], dict[str, Any]] = lambda path: read_mapping(path, parse_yaml)  # whatever its suffix
    check: Callable[[Source], None] = lambda source: None
    """raises Unfit for values that cannot work together"""


@dataclass
class Imported:
    """An experiment of ours, made of a file of another tool."""

    source: Path
    dialect: Dialect
    experiment: Draft = field(default_factory=Draft)
    dataset: Draft = field(default_factory=Draft)
    left_out: list[tuple[str, Any, str]] = field(default_factory=list)
    """keys that are not applicable: key, value, reason"""
    later: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)
    """keys of steps that there are not yet, by step"""

    @property
    def task(self) -> str:
        return self.experiment.plain()["stages"][self.dialect.stage]["task"]

    def validated(self, dataset: str) -> Experiment:
        """The experiment, reading the dataset of that name or path where the source says nothing of another."""
        if "dataset" not in self.experiment:
            self.experiment.put("dataset", dataset, "")
        if "source" in self.dataset:
            validate(FileDataset, self.dataset.plain(), f"{self.source} as a dataset")
        return validate(Experiment, self.experiment.plain(), f"{self.source} as an experiment")

    def render(self, task_exists: bool = True) -> str:
        """The experiment as YAML, what was left out at its end.

        task_exists: whether this release can train it; where not, the file says so.
        """
        head = [f"# Imported from {self.source.name} of {self.dialect.title}. Behind each line the key it comes from."]
        if not task_exists:
            head.append(f"# This release of Weft has no task '{self.task}': the file cannot be trained with it.")
        head += [f"# Different here: {line}." for line in self.dialect.differs]
        tail = []
        if self.left_out:
            tail += ["", "# Keys without a line of their own, and why:"]
            tail += [f"#   {key}: {flow(value)}  ({reason})" for key, value, reason in self.left_out]
        for step, keys in self.later.items():
            tail += ["", f"# There is no step for {step} yet; what the file says of it:"]
            tail += [f"#   {key}: {flow(value)}" for key, value in keys]
        return "\n".join(head) + "\n" + self.experiment.render() + "\n".join(tail) + ("\n" if tail else "")

    def render_dataset(self) -> str | None:
        """The dataset as YAML; None where the source says nothing of one that can be read here."""
        if "source" not in self.dataset:
            return None
        return f"# The data of {self.source.name} of {self.dialect.title}.\n" + self.dataset.render()


def translate(dialect: Dialect, path: Path, document: Mapping[str, Any] | None = None) -> Imported:
    """Apply a dialect's table to a file, or to what has been read of it.

    Raises ConfigError for an unknown key, with the closest known one, and for a value that cannot work, with the
    nearest that can.
    """
    source = Source(path, dialect.read(path) if document is None else document)
    made = Imported(path, dialect)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_") or dialect.name
    with _explained(f"{path}", dialect.title):
        dialect.check(source)
    for key, value, found, met in walk(source.document, dialect.table, source):
        rule = found.of(source) if isinstance(found, When) else found
        with _explained(f"{path}: {key}", dialect.title, f"; the file says {flow(value)}"):
            if isinstance(rule, Later):
                made.later.setdefault(rule.step, []).append((key, value))
            elif isinstance(rule, Drops):
                made.left_out.append((key, value, rule.reason))
            elif isinstance(rule, PartOf):
                made.left_out.append((key, value, f"read with {rule.key}"))
            elif isinstance(rule, Only):
                if value is not None:
                    rule.check(value)
                made.left_out.append((key, value, rule.reason))
            elif value is None:
                made.left_out.append((key, value, "nothing to carry over"))
            elif isinstance(rule, Refuses):
                raise Unfit(rule.reason)
            elif isinstance(rule, Maps):
                converted = rule.convert(value, source)
                if converted is None or (isinstance(converted, Noted) and converted.value is None):
                    reason = converted.note if converted else rule.says or "as here without the key"
                    made.left_out.append((key, value, reason))
                else:
                    _put(made, key, rule.ours.replace("*", met), converted)
    _put(made, "", "experiment:name", Noted(name, f"from the name {path.name}"), default=True)
    for ours, (value, why) in dialect.defaults.items():
        _put(made, "", ours, Noted(value, why), default=True)
    if "source" in made.dataset:
        _put(made, "", "dataset:name", Noted(name, ""), default=True)
    return made


@contextmanager
def _explained(where: str, title: str, given: str = "") -> Iterator[None]:
    """What a conversion says of a value, and what it trips over, as one line that names the key."""
    try:
        yield
    except Unfit as error:
        raise ConfigError(f"{where}: {error}{given}") from None
    except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
        raise ConfigError(f"{where}: not of the form that {title} has{given}") from error


def _put(made: Imported, key: str, ours: str, value: Any, default: bool = False) -> None:
    if isinstance(value, Several):
        for name, one in value.values.items():
            _put(made, key, name, one, default)
        return
    note = ""
    if isinstance(value, Noted):
        value, note = value.value, value.note
    draft, path = made.experiment, ours
    if ours.startswith("experiment:"):
        path = ours.removeprefix("experiment:")
    elif ours.startswith("dataset:"):
        draft, path = made.dataset, ours.removeprefix("dataset:")
    else:
        path = f"stages.{made.dialect.stage}.{ours}"
    if default and path in draft:
        return
    draft.put(path, value, "; ".join(filter(None, [key, note])))
