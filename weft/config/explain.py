"""The resolved options of a stage, each with where its value comes from, its default, type and meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from weft.config.experiment import EXPERIMENTS
from weft.config.loading import find, merge, override, read_mapping
from weft.config.plan import Run
from weft.config.reference import REQUIRED, default_of, fields, kind, kinds_of, meaning, plain, summary
from weft.config.sweep import names_of, points_of

DEFAULT = "default"
Layers = Mapping[str, Mapping[str, Any]]
"""What each source gives of a stage, later ones over earlier: ``{"file": {...}, "scale demo": {...}}``."""


class Line(NamedTuple):
    """One resolved option; ``value`` and ``default`` as YAML. A section has a key and a meaning only."""

    key: str
    value: str | None = None
    source: str = ""
    default: str = ""
    kind: str = ""
    meaning: str = ""

    @property
    def changed(self) -> bool:
        return self.value is not None and self.value != self.default


def explain(run: Run, options: BaseModel, source: str | Path, overrides: Sequence[str] = ()) -> list[Line]:
    """The options of a run: what its experiment's file, scale, sweep, overrides and the defaults make together.

    options: those of the run's task, validated.
    source, overrides: the experiment's name or path and the assignments to ``stages.<stage>.<key>`` it was loaded with.
    """
    layers = _layers(run, source, overrides)
    together: Mapping[str, Any] = {}
    for part in layers.values():
        together = merge(together, part)
    lines = [_sourced(line, layers, together) for line in _lines(run.stage, None, options, "")]
    if run.is_baseline:  # it has no network that could be trained in one way or another
        known = run.training_options().keys() | {"evaluation", "resources"}
        lines = [line for line in lines if line.key.partition(".")[0] in known]
    return lines


def _layers(run: Run, source: str | Path, overrides: Sequence[str]) -> Layers:
    name, scale = run.stage_name, run.experiment.scale
    document = read_mapping(find("experiment", source, EXPERIMENTS))
    parts = {
        "file": document,
        f"scale {scale}": (document.get("scales") or {}).get(scale) or {},
        "override": override({}, overrides),
    }
    layers = {source: (part.get("stages") or {}).get(name) or {} for source, part in parts.items()}
    swept = run.experiment.stages[name].sweep
    if swept is not None:
        points = points_of(swept)
        point = dict(zip(names_of(points), points, strict=True))[run.setting[name]]
        layers["sweep"] = override({}, [f"{key}={plain(value)}" for key, value in point.items()])
    return layers


def _lines(section: BaseModel, default: Any, options: BaseModel | None, prefix: str) -> Iterator[Line]:
    """``default``: the section that stands there by default, if any; ``options``: fill in for fields of that name."""
    model = type(section)
    for name, field in fields(model).items():
        key, value = prefix + (field.alias or name), getattr(section, name)
        usual = getattr(default, name, REQUIRED) if type(default) is model else default_of(field)
        if options is not None and name in type(options).model_fields and value is not None:
            value, usual = getattr(options, name), default_of(type(options).model_fields[name])
        inside = {key: value} if isinstance(value, BaseModel) else {}
        if isinstance(value, Mapping) and any(isinstance(item, BaseModel) for item in value.values()):
            inside = {f"{key}.{entry}": item for entry, item in value.items()}
        for inner, item in inside.items():
            yield Line(inner, meaning=summary(type(item)))
            chosen = field.discriminator if isinstance(field.discriminator, str) else ""
            for line in _lines(item, usual, None, f"{inner}."):
                if line.key == f"{inner}.{chosen}":  # which kind of section this is
                    names = " | ".join(other.model_fields[chosen].default for other in kinds_of(field.annotation))
                    line = line._replace(
                        default=plain(getattr(usual, chosen)), kind=names, meaning=field.description or ""
                    )
                yield line
        if not inside:
            shown = usual if usual is REQUIRED else plain(usual)
            yield Line(key, plain(value), DEFAULT, shown, kind(field), meaning(field))


def _sourced(line: Line, layers: Layers, together: Mapping[str, Any]) -> Line:
    """With the last layer that gives the key; what a later layer took out again is a default."""
    if line.value is None or not _gives(together, line.key, line.changed):
        return line
    given = [source for source, part in layers.items() if _gives(part, line.key, line.changed)]
    return line._replace(source=given[-1])


def _gives(part: Any, key: str, short: bool) -> bool:
    """Whether a key is given; with ``short`` also by a short form, such as ``truth: [voxels]``."""
    for step in key.split("."):
        if not isinstance(part, Mapping):
            return short
        if step not in part:
            return False
        part = part[step]
    return True


def show(run: Run, lines: Sequence[Line], console: Console | None = None) -> None:
    """Print what the run is and its options; in a pipe each option is one line, whatever its length."""
    console = console or Console(highlight=False)
    console.print(f"[bold]{run.experiment.id}[/], stage {run.stage_name}, variant {run.variant}", soft_wrap=True)
    console.print(f"reads {run.dataset.id}: {', '.join(run.dataset.splits)}", soft_wrap=True)
    console.print(f"makes {run.model}", soft_wrap=True)
    console.print("options as an override takes them; * differs from the default\n", soft_wrap=True)
    table = _table(lines)
    if console.is_terminal:
        console.print(table)
        return
    wide = Console(width=10_000, highlight=False, color_system=None)
    with wide.capture() as capture:
        wide.print(table)
    for text in capture.get().splitlines():
        console.file.write(text.rstrip() + "\n")


def _table(lines: Sequence[Line]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", "option", "from", "default", "type and bounds", "meaning"):
        table.add_column(heading, no_wrap=heading in {"", "from"}, overflow="fold")
    for line in lines:
        if line.value is None:
            table.add_row("", Text(line.key, "bold"), "", "", "", Text(line.meaning, "italic"))
            continue
        strong = line.changed
        name = Text.assemble((line.key, "cyan" if strong else ""), "=", (line.value, "bold" if strong else ""))
        source = Text(line.source, "dim" if line.source == DEFAULT else "")
        dim = [Text(cell, "dim") for cell in (line.default, line.kind)]
        table.add_row("*" if strong else "", name, source, *dim, Text(line.meaning))
    return table
