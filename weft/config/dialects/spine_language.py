"""What SPINE's configuration language has beyond YAML (spine_full_chain §3.4).

``include`` (files relative to the including one, then to ``SPINE_CONFIG_PATH``, extension optional, recursive),
``override`` (dotted keys; ``key+`` and ``key-`` append to and remove from lists), ``remove``, ``__meta__``, and the
tags ``!include`` and ``!path``. ``!download`` is refused: only `weft fetch` uses the network. The order is that of
SPINE 1.4: included files one after the other, the file itself, overrides, removals.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from weft.config.loading import ConfigError, UniqueKeyLoader, closest

_DIRECTIVES = ("include", "override", "remove", "__meta__")


def load_spine(path: Path) -> dict[str, Any]:
    """The configuration of a file with all that it includes. Raises ConfigError, naming file and key."""
    tree, changes = _load(Path(path), ())
    for change in changes:
        change.apply(tree)
    expanded = _expanded(tree)
    assert isinstance(expanded, dict)
    return expanded


class _Change:
    """One line of ``override`` or ``remove``."""

    def __init__(self, file: Path, key: str, value: Any, remove: bool, unique: bool) -> None:
        self.file, self.value, self.unique = file, value, unique
        self.operation = "remove" if remove else key[-1] if key.endswith(("+", "-")) else "="
        self.path = (key if self.operation in {"remove", "="} else key[:-1]).split(".")

    def apply(self, tree: dict[str, Any]) -> None:
        *parents, last = self.path
        dotted = ".".join(self.path)
        node: Any = tree
        for name in parents:
            if not isinstance(node, dict) or name not in node:
                near = closest(name, list(map(str, node))) if isinstance(node, dict) else ""
                raise ConfigError(f"{self.file}: override or remove '{dotted}': no key '{name}'{near}")
            node = node[name]
        if not isinstance(node, dict):
            raise ConfigError(f"{self.file}: override or remove '{dotted}': '{parents[-1]}' is not a mapping")
        if self.operation == "=":
            node[last] = self.value
        elif self.operation == "+":
            old = node.get(last, [])
            if not isinstance(old, list):
                raise ConfigError(f"{self.file}: override '{dotted}+': expected a list to append to, got {old!r}")
            added = self.value if isinstance(self.value, list) else [self.value]
            node[last] = old + [item for item in added if not (self.unique and item in old)]
        elif last not in node:
            raise ConfigError(f"{self.file}: '{dotted}' cannot be removed: no such key{closest(last, list(node))}")
        elif self.operation == "remove":
            del node[last]
        else:
            gone = self.value if isinstance(self.value, list) else [self.value]
            if isinstance(node[last], dict):
                node[last] = {key: value for key, value in node[last].items() if key not in gone}
            elif isinstance(node[last], list):
                node[last] = [item for item in node[last] if item not in gone]
            else:
                raise ConfigError(f"{self.file}: override '{dotted}-': expected a list or a mapping")

    def waits_for(self, tree: dict[str, Any]) -> bool:
        """Whether what it changes is not there yet; an including file may still bring it."""
        node: Any = tree
        for name in self.path if self.operation in {"-", "remove"} else self.path[:-1]:
            if not isinstance(node, dict) or name not in node:
                return True
            node = node[name]
        return False


def _load(path: Path, stack: tuple[Path, ...]) -> tuple[dict[str, Any], list[_Change]]:
    """The merged tree of a file, and the changes that still wait for what an including file brings."""
    path = path.resolve() if stack else path
    if path in stack:
        raise ConfigError(f"{stack[0]}: files include each other in a circle: {' -> '.join(map(str, (*stack, path)))}")
    document = _parse(path, (*stack, path))
    unique = _meta(document, path).get("list_append") == "unique"
    tree: dict[str, Any] = {}
    waiting: list[_Change] = []
    for name in _texts(document.get("include", []), "include", path):
        included, changes = _load(find_included(name, path), (*stack, path))
        tree = _merged(tree, included)
        changes = waiting + changes
        waiting = []
        for change in changes:
            blocked = any(change.path[: len(w.path)] == w.path[: len(change.path)] for w in waiting)
            if blocked or change.waits_for(tree):
                waiting.append(change)
            else:
                change.apply(tree)
    tree = _merged(tree, {key: value for key, value in document.items() if key not in _DIRECTIVES})
    overrides = document.get("override") or {}
    if not isinstance(overrides, dict):
        raise ConfigError(f"{path}: override: expected a mapping of dotted keys to values")
    own = [_Change(path, str(key), value, False, unique) for key, value in overrides.items()]
    own += [_Change(path, key, None, True, unique) for key in _texts(document.get("remove", []), "remove", path)]
    return tree, waiting + own


def _parse(path: Path, stack: tuple[Path, ...]) -> dict[str, Any]:
    class Loader(UniqueKeyLoader):
        pass

    def include(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
        assert isinstance(node, yaml.ScalarNode)
        tree, changes = _load(find_included(loader.construct_scalar(node), path), stack)
        for change in changes:
            change.apply(tree)
        return tree

    def file(loader: yaml.SafeLoader, node: yaml.Node) -> str:
        assert isinstance(node, yaml.ScalarNode)
        return str(find_included(loader.construct_scalar(node), path))

    def download(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
        where = f"{path}, line {node.start_mark.line + 1}"
        raise ConfigError(f"{where}: !download: only `weft fetch` uses the network; fetch the file, give its path here")

    Loader.add_constructor("!include", include)
    Loader.add_constructor("!path", file)
    Loader.add_constructor("!download", download)
    try:
        loader = Loader(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text: {error}") from None
    loader.name = str(path)
    try:
        document = loader.get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    finally:
        loader.dispose()
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values")
    return document


def _meta(document: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    meta = document.get("__meta__") or {}
    if not isinstance(meta, dict):
        raise ConfigError(f"{path}: __meta__: expected a mapping")
    return meta


def _texts(value: Any, key: str, path: Path) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in values):
        raise ConfigError(f"{path}: {key}: expected a text or a list of texts, got {value!r}")
    return values


def find_included(name: str, including: Path) -> Path:
    """An included file: beside the including one, or in a folder of ``SPINE_CONFIG_PATH``; .yaml may be left out."""
    folders = [including.parent, *(Path(f) for f in os.environ.get("SPINE_CONFIG_PATH", "").split(":") if f.strip())]
    for folder in folders:
        for suffix in ("", ".yaml", ".yml"):
            found = folder / (name + suffix)
            if found.is_file():
                return found
    raise ConfigError(f"{including}: no file '{name}' in {', '.join(map(str, folders))}; see SPINE_CONFIG_PATH")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge key by key, anything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else deepcopy(value)
    return merged


def _expanded(value: Any) -> Any:
    """Environment variables in texts, as SPINE has them."""
    if isinstance(value, str):
        return os.path.expandvars(value)
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if isinstance(value, dict):
        return {key: _expanded(item) for key, item in value.items()}
    return value
