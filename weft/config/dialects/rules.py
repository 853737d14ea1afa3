"""Tables that say, key by key, what becomes of another tool's configuration.

A dialect is a table ``{their key: rule}``. Keys are dotted; ``*`` stands for any one name, ``{a, b}`` for one of those.
A rule speaks for its key and for all below it, unless the table has rules for those. A key that no rule speaks for is
an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from weft.config.loading import ConfigError, at, closest


class Unfit(ValueError):
    """A value that cannot work here; the message says what would, nearest first."""


@dataclass(frozen=True)
class Source:
    """The configuration being read."""

    path: Path
    document: Mapping[str, Any]
    key: str = ""
    """the key that a rule is just about"""

    def get(self, *keys: str, default: Any = None) -> Any:
        """The value of the first of the dotted keys that is given and not null."""
        for key in keys:
            value = at(self.document, key)
            if value is not None:
                return value
        return default

    def above(self, levels: int = 1) -> str:
        """The key ``levels`` above the one that the rule is about."""
        return ".".join(self.key.split(".")[:-levels])

    def beside(self, name: str, levels: int = 1, default: Any = None) -> Any:
        """The value of ``name`` below :meth:`above`: of a neighbour of the key that the rule is about."""
        return self.get(f"{self.above(levels)}.{name}", default=default)

    @property
    def module(self) -> str:
        """The block of ``model.modules`` that the rule is about, as a dotted key."""
        return ".".join(self.key.split(".")[:3])


@dataclass(frozen=True)
class Several:
    """A value that becomes several of our keys."""

    values: Mapping[str, Any]


@dataclass(frozen=True)
class Noted:
    """A value with something to say about it."""

    value: Any
    note: str


@dataclass(frozen=True)
class Open:
    """What only the user can fill in, and how; until then ours stays at its default."""

    how: str


Convert = Callable[[Any, Source], Any]


class Rule:
    """What becomes of a key."""

    def describe(self) -> tuple[str, str]:
        """What docs/coming_from.md says: our key, or nothing; and what happens on the way, or why nothing does."""
        raise NotImplementedError


@dataclass(frozen=True)
class Maps(Rule):
    """The key becomes ``ours``, a dotted key of the stage.

    With ``experiment:`` or ``dataset:`` before it, it is one of the whole, with another name that of a stage
    (:class:`weft.config.dialects.stages.Plan`). ``*`` and ``{}`` in ``ours`` are the names that ``*`` and the first
    choice of the table's key met. ``convert`` may return :class:`Several` or :class:`Noted`, or raise :class:`Unfit`;
    what it returns as None is not written.
    """

    ours: str
    convert: Convert = lambda value, source: value
    says: str = ""

    def describe(self) -> tuple[str, str]:
        part, colon, key = self.ours.rpartition(":")
        shown = {"experiment": key, "dataset": f"dataset: {key}", "{}": key}
        return shown.get(part, f"{part}: {key}") if colon else key, self.says


@dataclass(frozen=True)
class Only(Rule):
    """The key is built in here: only the ``allowed`` values, the nearest first, do what they say.

    A block with a ``name`` (or ``provider``) stands for its name.
    """

    allowed: tuple[Any, ...]
    reason: str

    def check(self, value: Any) -> None:
        if isinstance(value, Mapping):
            value = value.get("name", value.get("provider"))
        if value not in self.allowed:
            raise Unfit(f"{self.reason}; nearest that works: {_shown(self.allowed[0])}")

    def describe(self) -> tuple[str, str]:
        return "", f"only {' or '.join(_shown(value) for value in self.allowed)}: {self.reason}"


@dataclass(frozen=True)
class Checked(Rule):
    """The key is built in here, in a way that depends on other keys: ``check`` raises Unfit for another value."""

    check: Callable[[Any, Source], None]
    reason: str

    def describe(self) -> tuple[str, str]:
        return "", self.reason


@dataclass(frozen=True)
class Drops(Rule):
    """The key is not applicable here."""

    reason: str

    def describe(self) -> tuple[str, str]:
        return "", self.reason


@dataclass(frozen=True)
class PartOf(Rule):
    """The key is read together with another one."""

    key: str

    def describe(self) -> tuple[str, str]:
        return "", f"read with `{self.key}`"


@dataclass(frozen=True)
class Refuses(Rule):
    """Nothing here can do what the key asks for, and leaving it out would change the result."""

    reason: str

    def describe(self) -> tuple[str, str]:
        return "", f"refused unless null: {self.reason}"


@dataclass(frozen=True)
class When(Rule):
    """One rule for files of one kind, another for the rest."""

    holds: Callable[[Source], bool]
    where: str
    """of which files ``holds`` is true, as a sentence ends"""
    then: Rule
    otherwise: Rule

    def of(self, source: Source) -> Rule:
        return self.then if self.holds(source) else self.otherwise

    def describe(self) -> tuple[str, str]:
        ours, says = self.then.describe()
        return ours, f"{self.where}{': ' if says else ''}{says}; else {self.otherwise.describe()[1]}"


Table = Mapping[str, Rule]
_Pattern = tuple[tuple[str, ...], ...]
"""a key of a table by its parts, each with the names that fit there; ``*`` alone for any"""


class Met(NamedTuple):
    """The names that a table's key left open."""

    any: str
    choice: str
    """of the first choice"""

    def fill(self, ours: str) -> str:
        return ours.replace("*", self.any).replace("{}", self.choice)


def choice(*names: str) -> str:
    """The part of a table's key that stands for one of ``names``."""
    return names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"


def walk(document: Mapping[str, Any], table: Table, source: Source) -> Iterator[tuple[str, Any, Rule, Met]]:
    """``(key, value, rule, names left open)`` of every key of ``document``; raises ConfigError for an unknown one."""
    yield from _walk(document, {_pattern(key): rule for key, rule in table.items()}, source, ())


def _pattern(key: str) -> _Pattern:
    parts = re.findall(r"\{[^}]*\}|[^.]+", key)
    return tuple(tuple(part.strip("{}").split(", ")) for part in parts)


def _walk(
    tree: Mapping[str, Any], table: Mapping[_Pattern, Rule], source: Source, path: tuple[str, ...]
) -> Iterator[tuple[str, Any, Rule, Met]]:
    n = len(path)
    for name, value in tree.items():
        key = (*path, str(name))
        dotted = ".".join(key)
        matching = {pattern: rule for pattern, rule in table.items() if _fits(pattern[n], str(name))}
        below = {pattern: rule for pattern, rule in matching.items() if len(pattern) > len(key)}
        here = [pattern for pattern in matching if len(pattern) == len(key)]
        if isinstance(value, Mapping) and below:
            yield from _walk(value, below, source, key)
        elif here:
            nearest = min(here, key=lambda pattern: (pattern.count(("*",)), sum(map(len, pattern))))
            parts = list(zip(nearest, key, strict=True))
            any_one = ".".join(part for names, part in parts if names == ("*",))
            chosen = next((part for names, part in parts if len(names) > 1), "")
            yield dotted, value, table[nearest], Met(any_one, chosen)
        elif below and value is None:
            yield dotted, None, Drops("empty"), Met("", "")
        elif below:
            raise ConfigError(f"{source.path}: {dotted}: expected a mapping, got {value!r}")
        else:
            known = sorted({fitting for pattern in table for fitting in pattern[n]} - {"*"})
            hint = closest(str(name), known)
            raise ConfigError(f"{source.path}: unknown key '{dotted}'{hint}; known here: {', '.join(known)}")


def _fits(names: tuple[str, ...], name: str) -> bool:
    return names == ("*",) or name in names


def _shown(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    return words[value] if isinstance(value, bool | None) else str(value)
