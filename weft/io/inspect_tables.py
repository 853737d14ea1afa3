"""Tables of `weft inspect` for stacks, images and meshes: one row for each, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table


def label(row: Mapping[str, Any]) -> str:
    """Which file a row is about."""
    name = str(row["mesh"] if "mesh" in row else row["image"])
    return f"{name} T{row['time']}" if "time" in row else name


def stacks_table(stacks: Sequence[Mapping[str, Any]]) -> Table:
    """One row per stack: size, type, truth, and what is wrong."""
    table = _table(
        "image", "T", "C", "voxels z × y × x", "type", "µm z, y, x", "intensity", "classes", "inside", "objects", "cost"
    )
    for stack in stacks:
        classes, cost = stack["classes"], stack["cost"]
        table.add_row(
            stack["image"],
            str(stack["time"]),
            str(stack["channels"]),
            " × ".join(map(str, stack["shape"])),
            stack["dtype"],
            ", ".join(f"{length:g}" for length in stack["spacing"]),
            f"{stack['low']:g} to {stack['high']:g}",
            "" if classes is None else ", ".join(map(str, classes)),
            "" if stack["foreground"] is None else f"{stack['foreground']:.1%}",
            "" if stack["instances"] is None else str(stack["instances"]),
            "" if cost is None else f"{cost[0]:g} to {cost[1]:g}",
            _said(stack),
        )
    return table


def images_table(images: Sequence[Mapping[str, Any]]) -> Table:
    """One row per image: size, type, mask, and what is wrong."""
    table = _table("image", "C", "pixels y × x", "type", "values", "ids of the mask", "ignored")
    for image in images:
        table.add_row(
            image["image"],
            str(image["channels"]),
            " × ".join(map(str, image["size"])),
            image["dtype"],
            f"{image['low']:g} to {image['high']:g}",
            "" if image["classes"] is None else ", ".join(map(str, image["classes"])),
            "" if image["ignored"] is None else f"{image['ignored']:.1%}",
            _said(image),
        )
    return table


def meshes_table(meshes: Sequence[Mapping[str, Any]]) -> Table:
    """One row per mesh: size, labels with the number of their faces, textures, and what is wrong."""
    table = _table("mesh", "vertices, faces", "m, m²", "labels", "textures")
    for mesh in meshes:
        labels, textured = mesh["labels"], mesh["textured"]
        faces = [f"{mesh['vertices']:,}", f"{mesh['faces']:,}"]
        if mesh["triangles"] != mesh["faces"]:
            faces.append(f"{mesh['triangles']:,} triangles")
        table.add_row(
            mesh["mesh"],
            "\n".join(faces),
            "\n".join([*(f"{length:.4g}" for length in mesh["extent"]), f"{mesh['area']:.4g} m²"]),
            "" if labels is None else "\n".join(f"{one}: {count:,}" for one, count in labels.items()),
            "" if textured is None else f"{mesh['textures']}\n{textured:.1%}",
            _said(mesh),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, overflow="fold")
    table.add_column("problems", overflow="fold", min_width=20)
    return table


def _said(row: Mapping[str, Any]) -> str:
    return "; ".join([*(f"error: {text}" for text in row["problems"]), *row["warnings"]])


#: By the kind of the source.
TABLES: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], Table]] = {
    "stacks": stacks_table,
    "images": images_table,
    "meshes": meshes_table,
}
