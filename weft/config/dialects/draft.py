"""The YAML that an import writes: values in their place, each with the key it came from behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from weft.config.loading import ConfigError

#: How the keys of an experiment, of a stage and of a dataset are ordered; others follow as they came.
_ORDER = (
    "name", "title", "description", "source", "kind", "dataset", "products", "files", "splits", "seeds", "stages",
    "task", "needs", "init", "freeze", "model", "loss", "data", "baseline", "optimizer", "schedule", "training",
    "evaluation", "resources", "chain",
)  # fmt: skip


@dataclass
class _Leaf:
    value: Any
    comments: list[str]
    """where it comes from; each begins with the key, if there is one"""

    @property
    def comment(self) -> str:
        return ", ".join(_together(self.comments))


class Draft:
    """A document in the making."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}

    def put(self, path: str, value: Any, comment: str, extend: bool = False) -> None:
        """Set a dotted path. Raises ConfigError where another key has put another value there.

        extend: a list is added to what is there instead.
        """
        *parents, last = path.split(".")
        node = self._tree
        for name in parents:
            node = node.setdefault(name, {})
        there = node.get(last)
        if there is None:
            node[last] = _Leaf(value, [comment])
        elif extend:
            there.value += [item for item in value if item not in there.value]
            there.comments.append(comment)
        elif there.value != value:
            raise ConfigError(f"{there.comment} says {there.value!r} for {path}, {comment} says {value!r}")
        else:
            there.comments.append(comment)

    def __contains__(self, path: str) -> bool:
        node: Any = self._tree
        for name in path.split("."):
            if not isinstance(node, dict) or name not in node:
                return False
            node = node[name]
        return True

    def plain(self) -> dict[str, Any]:
        """The document as plain data."""

        def strip(node: Any) -> Any:
            return {k: strip(v) for k, v in node.items()} if isinstance(node, dict) else node.value

        return strip(self._tree)

    def render(self) -> str:
        """The document as YAML, a comment behind each line that has one."""
        return "\n".join(_lines(self._tree, 0)) + "\n"


def _lines(tree: Mapping[str, Any], depth: int) -> Iterable[str]:
    indent = "  " * depth
    rank = {name: i for i, name in enumerate(_ORDER)}
    for name, node in sorted(tree.items(), key=lambda item: rank.get(item[0], len(rank))):
        if isinstance(node, _Leaf):
            comment = f"  # {node.comment}" if node.comment else ""
            yield f"{indent}{flow(name)}: {flow(node.value)}{comment}"
        else:
            yield f"{indent}{flow(name)}:"
            yield from _lines(node, depth + 1)


def _together(comments: Iterable[str]) -> Iterable[str]:
    """Comments, each once; keys of one block, of which the same is said, in one: ``model.{depth, width}; note``."""
    found: dict[tuple[str, str], list[str]] = {}
    for comment in dict.fromkeys(filter(None, comments)):
        key, semicolon, note = comment.partition("; ")
        block, _, name = key.rpartition(".") if " " not in key else ("", "", key)
        found.setdefault((block, semicolon + note), []).append(name)
    for (block, note), names in found.items():
        shown = names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"
        yield (f"{block}.{shown}" if block else ", ".join(names)) + note


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
