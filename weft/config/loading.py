"""From a YAML, TOML or JSON file to a validated model: scales, overrides, and errors a person can act on."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from weft.errors import WeftError

Model = TypeVar("Model", bound=BaseModel)


class ConfigError(WeftError):
    """A configuration that cannot be used; the message names the file and the key."""


class UniqueKeyLoader(yaml.SafeLoader):
    """YAML 1.1 without its two traps: a repeated key is an error, and ``1e-3`` is a number."""


def _unique_mapping(loader: UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise ConfigError(f"{key_node.start_mark.name}: key '{key}' is given twice")
        seen.add(key)
    loader.flatten_mapping(node)
    return dict(loader.construct_pairs(node, deep=True))


UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def parse_yaml(text: str, name: str = "<text>") -> Any:
    """One YAML document; a syntax error or a repeated key raises :class:`ConfigError` naming ``name``."""
    loader = UniqueKeyLoader(text)
    loader.name = name
    try:
        return loader.get_single_data()
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{name}: not valid YAML: {reason}") from None
    finally:
        loader.dispose()


def _parse_toml(text: str, name: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from None


def _parse_json(text: str, name: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for i, key in enumerate(keys) if key in keys[:i])
            raise ConfigError(f"{name}: key '{repeated}' is given twice")
        return mapping

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}: not valid JSON: {error}") from None


FORMATS: dict[str, Callable[[str, str], Any]] = {
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
    ".toml": _parse_toml,
    ".json": _parse_json,
}
"""How a file is read, by its suffix."""


def read_mapping(path: Path, parse: Callable[[str, str], Any] | None = None) -> dict[str, Any]:
    """The mapping in a YAML, TOML or JSON file; which of them, the suffix says, or ``parse``.

    A key given twice is an error in each. TOML has no null: where one is needed, the file is YAML or JSON.
    """
    parse = parse or FORMATS.get(path.suffix.lower())
    if parse is None:
        raise ConfigError(f"{path}: expected a file that ends in {', '.join(FORMATS)}")
    try:
        document = parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: expected text in UTF-8") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values")
    return document


def find(kind: str, name: str | Path, folder: Path) -> Path:
    """The file of a named configuration: a path as given, or ``<folder>/<name>`` with one of the known suffixes."""
    path = Path(name)
    if path.suffix.lower() in FORMATS:
        return path
    found = [file for suffix in FORMATS if (file := folder / f"{name}{suffix}").is_file()]
    if not found:
        known = sorted({file.stem for file in folder.glob("*") if file.suffix.lower() in FORMATS})
        raise ConfigError(
            f"unknown {kind} '{name}'{closest(str(name), known)}; {folder}/ has: {', '.join(known) or 'none'}"
        )
    if len(found) > 1:
        raise ConfigError(f"{kind} '{name}' could be {' or '.join(map(str, found))}; name the file")
    return found[0]


def at(document: Any, path: str) -> Any:
    """The value at a dotted path of nested mappings; None where there is none."""
    for key in path.split("."):
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def only(document: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """What of nested mappings is at dotted paths; a path that leads nowhere adds nothing."""
    kept: dict[str, Any] = {}
    for path in paths:
        key, _, rest = path.partition(".")
        if key in document:
            kept[key] = {**kept.get(key, {}), **only(document[key], [rest])} if rest else document[key]
    return kept


def leaves(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``(dotted path, value)`` of all that is no mapping, and of the mappings with nothing in them."""
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def closest(word: str, known: Sequence[str]) -> str:
    """`` (did you mean 'x'?)``, or nothing where no known word is near."""
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean '{match[0]}'?)" if match else ""


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` laid over it: mappings merge key by key, anything else is replaced.

    A schedule of another name replaces the block, whose keys are not its own; an optimiser of another name replaces
    the ``options``.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(_kept(key, old, value), value)
        else:
            merged[key] = value
    return merged


DEFAULT_KINDS = {"schedule": "cosine", "optimizer": "AdamW"}
"""Blocks whose ``name`` says which keys they have, and the name of one that does not give it."""


def _kept(key: str, old: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    """What remains of a block when ``over`` is laid over it."""
    if key not in DEFAULT_KINDS or "name" not in over or over["name"] == old.get("name", DEFAULT_KINDS[key]):
        return old
    return {} if key == "schedule" else {name: value for name, value in old.items() if name != "options"}


def at_scale(document: Mapping[str, Any], scale: str | None, source: str) -> tuple[dict[str, Any], str | None]:
    """Apply the ``scales`` block. Returns the document without it, and the scale that was applied.

    A document without the block is the same at every scale.
    """
    scales = document.get("scales")
    plain = {key: value for key, value in document.items() if key != "scales"}
    if not scales:
        return plain, None
    if scale is None:
        raise ConfigError(f"{source}: choose a scale, one of {', '.join(scales)}")
    if scale not in scales:
        raise ConfigError(
            f"{source}: unknown scale '{scale}'{closest(scale, list(scales))}; it has: {', '.join(scales)}"
        )
    return merge(plain, scales[scale] or {}), scale


def override(document: dict[str, Any], assignments: Sequence[str], prefix: str = "") -> dict[str, Any]:
    """Apply ``key.path=value`` assignments; values are read as YAML. ``prefix`` is put before each path.

    Whether a key exists is for the validation that follows to say.
    """
    # A block gets its name first, whatever the order: a schedule of another name has other keys.
    for assignment in sorted(assignments, key=lambda given: not given.partition("=")[0].endswith(".name")):
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise ConfigError(f"override '{assignment}': expected key.path=value")
        value = parse_yaml(text, f"override '{assignment}'")
        for key in reversed((prefix + path).split(".")):
            value = {key: value}
        document = merge(document, value)
    return document


def validate(model: type[Model], document: Any, source: str) -> Model:
    """``document`` as a ``model``; the first mistake becomes a one-line :class:`ConfigError`."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_first_mistake(model, error)}") from None


def _first_mistake(model: type[BaseModel], error: ValidationError) -> str:
    mistakes = error.errors()
    # An unknown key says more than the "field required" that its misspelling also causes.
    mistake = next((m for m in mistakes if m["type"] == "extra_forbidden"), mistakes[0])
    where = ".".join(_keys(mistake["loc"])) or "(top level)"
    if mistake["type"] == "extra_forbidden":
        known = sorted(set(_fields_at(model, mistake["loc"][:-1])))
        return f"unknown key '{where}'{closest(str(mistake['loc'][-1]), known)}; known here: {', '.join(known)}"
    message = mistake["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if mistake["type"] in {"missing", "value_error"}:
        return f"{where}: {message}"
    return f"{where}: {message}, got {mistake['input']!r}"


def _keys(path: Sequence[Any]) -> list[str]:
    """The keys of a place in a document, without the schedule's name, which pydantic puts after the block's key."""
    return [str(part) for before, part in zip([None, *path], path, strict=False) if before != "schedule"]


def is_set_by_loader(field: FieldInfo) -> bool:
    """Whether a field is no option: its description says so."""
    return (field.description or "").startswith("set by the loader")


def _fields_at(annotation: Any, path: Sequence[Any]) -> Iterator[str]:
    """Names of the fields of whatever models sit at ``path`` below ``annotation``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        if not path:
            yield from (field.alias or name for name, field in fields.items() if not is_set_by_loader(field))
        elif path[0] in fields:
            yield from _fields_at(fields[path[0]].annotation, path[1:])
        elif any(path[0] in get_args(field.annotation) for field in fields.values()):
            yield from _fields_at(annotation, path[1:])  # the name of its kind, which pydantic puts into the path
        return
    same_place = get_origin(annotation) in (Union, UnionType, Annotated)
    for argument in get_args(annotation):  # else the key of a mapping or the index of a sequence is passed
        yield from _fields_at(argument, path if same_place else path[1:])
