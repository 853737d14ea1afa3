"""What is in a mesh and its files, and what is wrong with it, one line per mesh.

Errors are what cannot be converted (a damaged file, labels that are no classes, textures that are not there,
coordinates that are not finite); warnings are what may be meant: meshes need not be manifold, but whoever reads the
table should know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.mesh_files import MeshFiles
from weft.io.mesh_options import ClassTable
from weft.io.mesh_reading import Mesh
from weft.meshes.geometry import areas


@dataclass(frozen=True)
class MeshReport:
    """One row of the table of `weft inspect`; of a mesh that cannot be read its name and problem alone."""

    mesh: str
    form: str | None = None
    vertices: int | None = None
    faces: int | None = None
    triangles: int | None = None
    extent: tuple[float, float, float] | None = None
    area: float | None = None
    labels: Mapping[int, int] | None = None
    textured: float | None = None
    textures: int | None = None
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def report(
    files: MeshFiles,
    mesh: Mesh,
    labels: np.ndarray | None,
    table: ClassTable,
    classes: int | None,
    textures: bool,
) -> MeshReport:
    """Look at a mesh.

    Args:
        labels: of the faces of the file, None where none are asked for.
        table: which labels are classes.
        classes: how many classes a network has; None: no matter.
        textures: whether they are asked for.
    """
    problems: list[str] = []
    warnings = [f"{note}: {what}" for note, what in mesh.notes.items()]
    finite = np.isfinite(mesh.vertices).all(axis=1)
    if not finite.all():
        problems.append(f"{int((~finite).sum())} vertices whose coordinates are not finite")
    found: dict[int, int] | None = None
    if labels is None:
        warnings.append("no labels")
    else:
        ids, counts = np.unique(labels, return_counts=True)
        found = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        problems += _problems_of_labels(labels, table, classes)
    textured = None
    if textures:
        paths = [files.texture(name) for name in mesh.textures]
        used = [] if mesh.texture is None else np.unique(mesh.texture[mesh.texture >= 0]).tolist()
        problems += [f"texture {paths[k].name} is not there" for k in used if not paths[k].is_file()]
        if mesh.texture is None:
            warnings.append("no texture")
        elif len(mesh.texture):
            textured = float((mesh.texture >= 0).mean())
    corners = mesh.vertices[mesh.faces]
    area = areas(corners)
    warnings += _oddities(mesh.faces, area)
    extent = np.ptp(mesh.vertices[finite], axis=0) if finite.any() else np.zeros(3)
    if not len(mesh.faces):
        warnings.append("no faces")
    return MeshReport(
        files.name,
        "obj" if mesh.ply is None else mesh.ply.form,
        len(mesh.vertices),
        mesh.polygons,
        len(mesh.faces),
        (float(extent[0]), float(extent[1]), float(extent[2])),
        float(np.nansum(area)),
        found,
        textured,
        len(mesh.textures),
        tuple(problems),
        tuple(warnings),
    )


def _problems_of_labels(labels: np.ndarray, table: ClassTable, classes: int | None) -> list[str]:
    try:
        known = table.classes(labels, "labels")
    except WeftError as error:
        return [str(error)]
    if classes is not None and len(known) and known.max() >= classes:
        return [f"labels: class {known.max()} of a network with {classes}"]
    return []


def _oddities(faces: np.ndarray, area: np.ndarray) -> list[str]:
    """Faces that come twice, have no area, or share an edge with more than one other."""
    if not len(faces):
        return []
    said = []
    twice = len(faces) - len(np.unique(np.sort(faces, axis=1), axis=0))
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1).astype(np.int64)
    _, counts = np.unique(edges[:, 0] * (int(faces.max()) + 1) + edges[:, 1], return_counts=True)
    for number, what in (
        (twice, "duplicated faces"),
        (int((area == 0).sum()), "faces without area"),
        (int((counts > 2).sum()), "edges of more than two faces"),
    ):
        if number:
            said.append(f"{number} {what}")
    return said
