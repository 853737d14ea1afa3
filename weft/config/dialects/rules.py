"""Tables that say, key by key, what becomes of another tool's configuration.

A dialect is a table ``{their key: rule}``. Keys are dotted; ``*`` stands for any one name; a rule speaks for its key
and for all below it, unless the table has rules for those. A key that no rule speaks for is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.config.loading import ConfigError, at, closest


class Unfit(ValueError):
    """A value that cannot work here; the message says what would, nearest first."""


@dataclass(frozen=True)
class Source:
    """The configuration being read."""

    path: Path
    document: Mapping[str, Any]

    def get(self, *keys: str, default: Any = None) -> Any:
        """The value of the first of the dotted keys that is given and not null."""
        for key in keys:
            value = at(self.document, key)
            if value is not None:
                return value
        return default


@dataclass(frozen=True)
class Several:
    """A value that becomes several of our keys."""

    values: Mapping[str, Any]


@dataclass(frozen=True)
class Noted:
    """A value with something to say about it."""

    value: Any
    note: str


Convert = Callable[[Any, Source], Any]


class Rule:
    """What becomes of a key."""

    def describe(self) -> tuple[str, str]:
        """What docs/coming_from.md says: our key, or nothing; and what happens on the way, or why nothing does."""
        raise NotImplementedError


@dataclass(frozen=True)
class Maps(Rule):
    """The key becomes ``ours``, a dotted key of the stage; of the whole with ``experiment:`` or ``dataset:`` before it.

    ``*`` in ``ours`` is the name that ``*`` of the table's key met. ``convert`` may return :class:`Several` or
    :class:`Noted`, or raise :class:`Unfit`; what it returns as None is not written.
    """

    ours: str
    convert: Convert = lambda value, source: value
    says: str = ""

    def describe(self) -> tuple[str, str]:
        return self.ours.replace("experiment:", "").replace("dataset:", "dataset: "), self.says


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
class Later(Rule):
    """The key belongs to a step that Weft does not have yet."""

    step: str

    def describe(self) -> tuple[str, str]:
        return "", f"kept as a comment: no step for {self.step} yet"


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


def walk(document: Mapping[str, Any], table: Table, source: Source) -> Iterator[tuple[str, Any, Rule, str]]:
    """``(key, value, rule, name that * met)`` of every key of ``document``; raises ConfigError for an unknown one."""
    yield from _walk(document, {tuple(key.split(".")): rule for key, rule in table.items()}, source, ())


def _walk(
    tree: Mapping[str, Any], table: Mapping[tuple[str, ...], Rule], source: Source, path: tuple[str, ...]
) -> Iterator[tuple[str, Any, Rule, str]]:
    for name, value in tree.items():
        key = (*path, str(name))
        dotted = ".".join(key)
        below = [pattern for pattern in table if len(pattern) > len(key) and _fits(pattern[: len(key)], key)]
        matching = [pattern for pattern in table if _fits(pattern, key)]
        if isinstance(value, Mapping) and below:
            yield from _walk(value, table, source, key)
        elif matching:
            nearest = min(matching, key=lambda pattern: pattern.count("*"))
            met = [part for part, pattern in zip(key, nearest, strict=True) if pattern == "*"]
            yield dotted, value, table[nearest], ".".join(met)
        elif below and value is None:
            yield dotted, None, Drops("empty"), ""
        elif below:
            raise ConfigError(f"{source.path}: {dotted}: expected a mapping, got {value!r}")
        else:
            known = sorted({p[len(path)] for p in table if len(p) > len(path) and _fits(p[: len(path)], path)} - {"*"})
            hint = closest(str(name), known)
            raise ConfigError(f"{source.path}: unknown key '{dotted}'{hint}; known here: {', '.join(known)}")


def _fits(pattern: tuple[str, ...], key: tuple[str, ...]) -> bool:
    return len(pattern) == len(key) and all(a in ("*", b) for a, b in zip(pattern, key, strict=True))


def _shown(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    return words[value] if isinstance(value, bool | None) else str(value)
