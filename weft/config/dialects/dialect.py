"""From another tool's configuration to an experiment of ours: what all dialects share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from weft.config.dataset import FileDataset
from weft.config.dialects.draft import Draft, flow
from weft.config.dialects.rules import (
    Checked,
    Drops,
    Maps,
    Met,
    Noted,
    Only,
    Open,
    PartOf,
    Refuses,
    Rule,
    Several,
    Source,
    Table,
    Unfit,
    When,
    walk,
)
from weft.config.dialects.stages import Form, Plan
from weft.config.experiment import Experiment
from weft.config.loading import ConfigError, parse_yaml, read_mapping, validate


@dataclass(frozen=True)
class Dialect:
    """One tool's way of writing a configuration."""

    name: str
    title: str
    """the tool, as a sentence names it"""
    table: Table
    plan: Callable[[Source], Plan]
    """the stages of a file; raises Unfit for values that cannot work together"""
    signs: tuple[tuple[str, ...], ...]
    """combinations of dotted keys, each of which only such a file has"""
    dataset: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    """keys of the dataset that are written where no key of theirs does: value, and why"""
    experiment: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    """likewise, of the experiment itself"""
    differs: tuple[str, ...] = ()
    """what the same settings do differently here"""
    read: Callable[[Path], dict[str, Any]] = lambda path: read_mapping(path, parse_yaml)  # whatever its suffix
    modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """where a checkpoint of a chain keeps the network of a task, or of its instance: ``grappa shower``"""
    tidy: Callable[[dict[str, Any]], dict[str, Any]] = lambda document: document
    """brings the ways in which a file may say the same to one; raises Unfit"""


@dataclass
class Imported:
    """An experiment of ours, made of a file of another tool."""

    source: Path
    dialect: Dialect
    experiment: Draft = field(default_factory=Draft)
    dataset: Draft = field(default_factory=Draft)
    left_out: list[tuple[str, Any, str]] = field(default_factory=list)
    """keys that are not applicable: key, value, reason"""
    open: dict[str, str] = field(default_factory=dict)
    """options of ours that are left to the user, and how they follow"""
    plan: Plan = field(default_factory=lambda: Plan({}))

    @property
    def tasks(self) -> list[str]:
        """The tasks of the stages, each once."""
        stages = self.experiment.plain()["stages"].values()
        inner = [module for stage in stages for module in stage.get("model", {}).get("modules", {}).values()]
        return list(dict.fromkeys(block["task"] for block in (*stages, *inner)))

    def validated(self, dataset: str, own: bool = True) -> Experiment:
        """The experiment, reading the dataset of that name or path where the source says nothing of another.

        own: whether that is the dataset of the source's files, which then has to name some.
        """
        if "dataset" not in self.experiment:
            self.experiment.put("dataset", dataset, "")
        if own and "source" in self.dataset:
            if "splits" not in self.dataset:
                where = f"{self.source}: names no files to learn from"
                raise ConfigError(f"{where}: put them in, or name a dataset of ours by --dataset")
            validate(FileDataset, self.dataset.plain(), f"{self.source} as a dataset")
        return validate(Experiment, self.experiment.plain(), f"{self.source} as an experiment")

    def render(self) -> str:
        """The experiment as YAML, what was left out at its end."""
        head = [f"# Imported from {self.source.name} of {self.dialect.title}. Behind each line the key it comes from."]
        head += [f"# Different here: {line}." for line in self.dialect.differs]
        tail = []
        if self.open:
            tail += ["", "# For you to fill in:"]
            tail += [f"#   {option}: {how}" for option, how in self.open.items()]
        if self.left_out:
            tail += ["", "# Keys without a line of their own, and why:"]
            tail += [f"#   {key}: {flow(value)}  ({reason})" for key, value, reason in self.left_out]
        return "\n".join(head) + "\n" + self.experiment.render() + "\n".join(tail) + ("\n" if tail else "")

    def render_dataset(self) -> str | None:
        """The dataset as YAML; None where the source says nothing of one that can be read here."""
        if "source" not in self.dataset:
            return None
        return f"# The data of {self.source.name} of {self.dialect.title}.\n" + self.dataset.render()


def translate(dialect: Dialect, path: Path, document: Mapping[str, Any] | None = None, form: Form = "auto") -> Imported:
    """Apply a dialect's table to a file, or to what has been read of it.

    Raises ConfigError for an unknown key, with the closest known one, and for a value that cannot work, with the
    nearest that can.
    """
    given = dialect.read(path) if document is None else dict(document)
    with _explained(f"{path}", dialect.title):
        source = Source(path, dialect.tidy(given))
        made = Imported(path, dialect, plan=dialect.plan(source).of_form(form))
    for ours, task in made.plan.tasks().items():  # first, which gives the stages their order
        _put(made, "", ours, task)
    for key, value, found, met in walk(source.document, dialect.table, source):
        about = replace(source, key=key)
        rule = found.of(about) if isinstance(found, When) else found
        if unused := made.plan.idle(key):
            made.left_out.append((key, value, unused))
            continue
        with _explained(f"{path}: {key}", dialect.title, f"; the file says {flow(value)}"):
            _apply(made, rule, met, value, about)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_") or dialect.name
    _default(made, "experiment:name", name, f"from the name {path.name}")
    for ours, noted in made.plan.written().items():
        _default(made, ours, noted.value, noted.note)
    for ours, (value, why) in dialect.experiment.items():
        _default(made, f"experiment:{ours}", value, why)
    for ours, (value, why) in dialect.dataset.items():
        _default(made, f"dataset:{ours}", value, why)
    if "source" in made.dataset:
        _default(made, "dataset:name", name, "")
    return made


def _apply(made: Imported, rule: Rule, met: Met, value: Any, source: Source) -> None:
    """What one rule makes of one value."""
    if isinstance(rule, Drops):
        made.left_out.append((source.key, value, rule.reason))
    elif isinstance(rule, PartOf):
        made.left_out.append((source.key, value, f"read with {met.fill(rule.key)}"))
    elif isinstance(rule, Only):
        if value is not None:
            rule.check(value)
        made.left_out.append((source.key, value, rule.reason))
    elif isinstance(rule, Checked):
        if value is not None:
            rule.check(value, source)
        made.left_out.append((source.key, value, rule.reason))
    elif value is None:
        made.left_out.append((source.key, value, "nothing to carry over"))
    elif isinstance(rule, Refuses):
        raise Unfit(rule.reason)
    elif isinstance(rule, Maps):
        converted = rule.convert(value, source)
        if isinstance(converted, Several):
            converted = Several({met.fill(ours): one for ours, one in converted.values.items()})
        if converted is None or (isinstance(converted, Noted) and converted.value is None):
            reason = converted.note if converted else rule.says or "as here without the key"
            made.left_out.append((source.key, value, reason))
        elif not _put(made, source.key, met.fill(rule.ours), converted):
            made.left_out.append((source.key, value, "no stage of the file reads it"))


@contextmanager
def _explained(where: str, title: str, given: str = "") -> Iterator[None]:
    """What a conversion says of a value, and what it trips over, as one line that names the key."""
    try:
        yield
    except Unfit as error:
        raise ConfigError(f"{where}: {error}{given}") from None
    except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
        raise ConfigError(f"{where}: not of the form that {title} has{given}") from error


def _default(made: Imported, ours: str, value: Any, why: str) -> None:
    _put(made, "", ours, Noted(value, why), default=True)


def _put(made: Imported, key: str, ours: str, value: Any, default: bool = False) -> bool:
    """Write a value where ``ours`` says; whether there is such a place."""
    if isinstance(value, Several):
        done = [_put(made, key, name, one, default) for name, one in value.values.items()]
        return any(done)
    if isinstance(value, Open):
        made.open[ours] = value.how
        return True
    note = ""
    if isinstance(value, Noted):
        value, note = value.value, value.note
    comment = "; ".join(filter(None, [key, note]))
    if ours.startswith("dataset:"):
        draft, places = made.dataset, [ours.removeprefix("dataset:")]
    else:
        draft, places, value = made.experiment, made.plan.places(ours), made.plan.value(ours, value)
    for place in places:
        if not (default and place in draft):
            draft.put(place, value, comment, extend=place.endswith(".freeze"))
    return bool(places)
