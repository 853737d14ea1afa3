"""What the configuration models say of themselves: every key with its type, bounds, default and meaning.

The documentation's tables of options and ``weft train --explain`` are both made here, so they cannot disagree with
what is accepted.
"""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from weft.config.loading import is_set_by_loader

REQUIRED = "required"


class Option(NamedTuple):
    """One key: ``optimizer.lr``, ``number > 0``, ``0.001``, ``peak learning rate``."""

    key: str
    kind: str
    default: str
    meaning: str


def options(model: type[BaseModel], prefix: str = "", deep: bool = True) -> list[Option]:
    """The keys of a model in order, those of its sections included if ``deep``.

    A key under which sections of several kinds fit (a schedule) stays one row; see :func:`kinds_of`.
    """
    return list(_options(model, _defaults(model), prefix, deep))


_INSIDE = {dict: ".<name>.", tuple: "[].", list: "[]."}
"""What stands between a key and those of the sections that it holds several of."""


def _options(model: type[BaseModel], defaults: Mapping[str, Any], prefix: str, deep: bool) -> Iterator[Option]:
    for name, field in fields(model).items():
        key, default, sections = prefix + (field.alias or name), defaults[name], kinds_of(field.annotation)
        if kind(field) == default:
            continue  # says which kind of section this is, and has no other value
        origin, opened = get_origin(field.annotation), deep and len(sections) == 1
        several = _INSIDE.get(origin) if origin else None
        if several or default is None or not opened:
            yield Option(key, kind(field), _default(default), meaning(field))
        if opened:
            section = sections[0]
            own = {n: getattr(default, n) for n in section.model_fields} if isinstance(default, section) else {}
            yield from _options(section, _defaults(section) | own, key + (several or "."), deep)


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields that a person sets, the one that chooses among kinds first; what the loader sets is left out."""
    own = {n: field for n, field in model.model_fields.items() if not is_set_by_loader(field)}
    return dict(
        sorted(own.items(), key=lambda item: get_origin(item[1].annotation) is not Literal or item[0] != "name")
    )


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """``{field: default}``, :data:`REQUIRED` where there is none."""
    return {name: default_of(field) for name, field in model.model_fields.items()}


def default_of(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True, validated_data={})
    return REQUIRED if value is PydanticUndefined else value


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return f"{len(value)} sections"
    return value if value is REQUIRED else plain(value)


def plain(value: Any) -> str:
    """A value as YAML on one line, as an override takes it."""
    text: str = yaml.safe_dump(
        _data(value), default_flow_style=True, width=math.inf, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def _data(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if isinstance(value, Mapping):
        return {key: _data(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_data(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def meaning(field: FieldInfo) -> str:
    """The description of a field; a section may leave it to its model."""
    if field.description:
        return field.description
    sections = kinds_of(field.annotation)
    return summary(sections[0]) if len(sections) == 1 else ""


def summary(model: type[BaseModel]) -> str:
    """The first paragraph of a model's docstring on one line."""
    text = inspect.cleandoc(model.__doc__ or "")
    return " ".join(text.split("\n\n")[0].replace("``", "`").split())


def kinds_of(annotation: Any) -> list[type[BaseModel]]:
    """The models that fit under a key, directly, in a mapping or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Literal:
        return []
    found = [model for argument in get_args(annotation) for model in kinds_of(argument)]
    return list(dict.fromkeys(found))


def models(root: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and all those inside it, each once."""
    found = [root]
    for model in found:
        for field in model.model_fields.values():
            found += [inner for inner in kinds_of(field.annotation) if inner not in found]
    return found


# --- types and bounds in words --------------------------------------------------------------------------------

_WORDS = {int: "integer", float: "number", str: "string", bool: "true or false", type(None): "null", Path: "path"}


def kind(field: FieldInfo) -> str:
    """Type and bounds in words: ``number in [0, 1)``, ``integer >= 1 or null``, ``min | max``."""
    return _kind(field.annotation, field.metadata)


def _kind(annotation: Any, metadata: list[Any]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        infos = [m for item in arguments[1:] for m in (item.metadata if isinstance(item, FieldInfo) else [item])]
        return _kind(arguments[0], infos + metadata)
    if origin in (Union, types.UnionType):
        if all(kinds_of(item) for item in arguments):
            return "section"
        return " or ".join(_kind(item, metadata) for item in arguments)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if annotation in (int, float):
        return _WORDS[annotation] + _bounds(metadata)
    if annotation in _WORDS:
        return _WORDS[annotation]
    if origin in (tuple, list):
        if len(arguments) > 1 and arguments[-1] is not Ellipsis:
            return f"[{', '.join(_kind(item, []) for item in arguments)}]"
        least = _bound(metadata, "min_length")
        return ("non-empty " if least else "") + f"list of {_plural(_kind(arguments[0], []))}"
    if origin is dict:
        inner = arguments[1]
        return "mapping" if inner is Any else f"mapping of {_plural(_kind(inner, []))}"
    if kinds_of(annotation):
        return "section"
    return "any value"


def _plural(words: str) -> str:
    first, space, rest = words.partition(" ")
    return f"{first}s{space}{rest}" if first in {"integer", "number", "string", "section", "path"} else words


def _bound(metadata: list[Any], name: str) -> Any:
    return next((getattr(item, name) for item in metadata if getattr(item, name, None) is not None), None)


def _bounds(metadata: list[Any]) -> str:
    ge, gt, le, lt = (_bound(metadata, name) for name in ("ge", "gt", "le", "lt"))
    low, high = ge if gt is None else gt, le if lt is None else lt
    if low is None and high is None:
        return ""
    if high is None:
        return f" {'>=' if gt is None else '>'} {low:g}"
    if low is None:
        return f" {'<=' if lt is None else '<'} {high:g}"
    return f" in {'[' if gt is None else '('}{low:g}, {high:g}{']' if lt is None else ')'}"


# --- the documentation's tables ---------------------------------------------------------------------------------


def table(model: type[BaseModel], prefix: str = "", deep: bool = True) -> str:
    """The options of a model as a Markdown table."""
    rows = ["| key | type and bounds | default | meaning |", "|---|---|---|---|"]
    for option in options(model, prefix, deep):
        default = option.default if option.default.endswith((REQUIRED, " sections")) else f"`{option.default}`"
        cells = f"`{option.key}`", option.kind, default, option.meaning
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)
