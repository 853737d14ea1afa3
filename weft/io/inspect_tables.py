"""Tables of `weft inspect` for stacks, images and meshes: one row for each, and below what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]
"""what a survey says of one stack, image or mesh, as plain values"""

_NAMED = 5  # files with the same problem that are named
_USUAL = {"T": "0"}  # what says nothing where all rows say it: each file is one time point


def label(row: Row) -> str:
    """Which file a row is about, and which time point of it."""
    return f"{_name(row)} T{row['time']}" if "time" in row else _name(row)


def surveyed(kind: str, rows: Sequence[Row]) -> RenderableType:
    """A table of the files of a kind of `COLUMNS`, with the columns that say something, and their problems."""
    table = Table(box=box.SIMPLE_HEAD)
    cells = {name: [cell(row) for row in rows] for name, cell in COLUMNS[kind].items()}
    shown = {name: column for name, column in cells.items() if not set(column) <= {"", _USUAL.get(name)}}
    for name in shown:
        table.add_column(name, overflow="fold")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return Group(table, *_problems(rows))


def _problems(rows: Sequence[Row]) -> list[Text]:
    """What is wrong, each said once, with the files that it is wrong with."""
    name = label if any(row.get("time") for row in rows) else _name
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for level, said in (("error", row["problems"]), ("warning", row["warnings"])):
            for text in said:
                found.setdefault((level, text), []).append(name(row))
    lines = []
    for (level, text), files in found.items():
        more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
        line = Text.assemble((f"{level}: ", "bold"), f"{text}  ", (", ".join(files[:_NAMED]) + more, "dim"))
        lines.append(line)
    return lines


def _name(row: Row) -> str:
    return str(row["mesh"] if "mesh" in row else row["image"])


def _numbers(values: Sequence[Any] | None) -> str:
    return "" if values is None else ", ".join(map(str, values))


def _times(values: Sequence[int]) -> str:
    return " × ".join(map(str, values))


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _span(low: float, high: float) -> str:
    return f"{low:g} to {high:g}"


def _size(mesh: Row) -> str:
    if mesh["faces"] is None:
        return ""
    lines = [f"{mesh['vertices']:,}", f"{mesh['faces']:,}"]
    if mesh["triangles"] != mesh["faces"]:
        lines.append(f"{mesh['triangles']:,} triangles")
    return "\n".join(lines)


def _extent(mesh: Row) -> str:
    if mesh["extent"] is None:
        return ""
    return "\n".join([*(f"{length:.4g}" for length in mesh["extent"]), f"{mesh['area']:.4g} m²"])


Cell = Callable[[Row], str]

_STACKS: dict[str, Cell] = {
    "image": lambda row: row["image"],
    "T": lambda row: "" if row["time"] is None else str(row["time"]),
    "C": lambda row: str(row["channels"]) if (row["channels"] or 0) > 1 else "",
    "voxels z × y × x": lambda row: "" if row["shape"] is None else _times(row["shape"]),
    "type": lambda row: row["dtype"] or "",
    "µm z, y, x": lambda row: ", ".join(f"{length:g}" for length in row["spacing"] or ()),
    "intensity": lambda row: "" if row["low"] is None else _span(row["low"], row["high"]),
    "classes": lambda row: _numbers(row["classes"]),
    "inside": lambda row: _share(row["foreground"]),
    "objects": lambda row: "" if row["instances"] is None else str(row["instances"]),
    "cost": lambda row: "" if row["cost"] is None else _span(*row["cost"]),
}
_IMAGES: dict[str, Cell] = {
    "image": lambda row: row["image"],
    "C": lambda row: "" if row["channels"] is None else str(row["channels"]),
    "pixels y × x": lambda row: "" if row["size"] is None else _times(row["size"]),
    "type": lambda row: row["dtype"] or "",
    "values": lambda row: "" if row["low"] is None else _span(row["low"], row["high"]),
    "ids of the mask": lambda row: _numbers(row["classes"]),
    "ignored": lambda row: _share(row["ignored"]),
}
_MESHES: dict[str, Cell] = {
    "mesh": lambda row: row["mesh"],
    "vertices, faces": _size,
    "m, m²": _extent,
    "labels": lambda row: "\n".join(f"{one}: {count:,}" for one, count in (row["labels"] or {}).items()),
    "textures": lambda row: "" if row["textured"] is None else f"{row['textures']}\n{row['textured']:.1%}",
}

#: By the kind of the source: what each column says of a file.
COLUMNS: Mapping[str, Mapping[str, Cell]] = {"stacks": _STACKS, "images": _IMAGES, "meshes": _MESHES}
