"""A PLY or OBJ file as triangles with their labels and coordinates of texture, whatever its header is like.

Polygons are cut into fans and know their parent. Labels are those of ``tile.txt`` where there is one, else a property
of the faces of the name ``label``, ``cls``, ``class`` or ``classification``. Coordinates of texture come from faces
(``texcoord``, with ``texnumber`` where there are several textures) or from vertices (``s t``, ``u v``, ``texture_u
texture_v``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.mesh_files import MeshFiles, texture_names
from weft.io.obj import read_obj
from weft.io.ply import Element, Ply, read_ply
from weft.io.products import Ragged

#: Names of a property of faces that holds their labels, by rank.
LABELS = ("label", "cls", "class", "classification")
_CORNERS = ("vertex_indices", "vertex_index")
_VERTEX_UV = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))


@dataclass(frozen=True)
class Mesh:
    """A mesh as its file has it.

    Attributes:
        vertices: float64 [V, 3] m.
        faces: int32 [M, 3], triangles.
        parent: int32 [M], number of the polygon of the file; None: every face of the file is a triangle.
        polygons: faces of the file.
        labels: int64 [polygons], as in the file; None: it has none.
        texcoords: float32 [M, 6]; NaN where a face has no texture; None: no face has.
        texture: int16 [M], number in `textures`, −1: none; None where `texcoords` are.
        textures: as the file calls them.
        classes: ``{id: name}`` of the header.
        label_property: where the labels of the header were, None where they come from elsewhere.
        ply: the file itself, None where it is OBJ.
        notes: what had to be decided.
    """

    vertices: np.ndarray
    faces: np.ndarray
    parent: np.ndarray | None
    polygons: int
    labels: np.ndarray | None
    texcoords: np.ndarray | None
    texture: np.ndarray | None
    textures: tuple[str, ...]
    classes: Mapping[int, str]
    label_property: str | None
    ply: Ply | None
    notes: dict[str, Any] = field(default_factory=dict)

    def of_triangles(self, values: np.ndarray) -> np.ndarray:
        """Values [polygons, …] for each triangle."""
        return values if self.parent is None else values[self.parent]


def read_mesh(files: MeshFiles, label_property: str | None = None, textures: bool = True) -> Mesh:
    """Read a mesh and its labels.

    Args:
        files: as `weft.io.mesh_files.find_meshes` finds them.
        label_property: of the faces of a PLY; None: the first of `LABELS` that it has.
        textures: whether coordinates of texture are read.

    Raises:
        WeftError: a damaged file, a face of two corners, or of one that does not exist, a number of labels that is not
            that of the faces, or coordinates of texture that do not fit the faces.
    """
    mesh = _of_obj(files.mesh, textures) if files.mesh.suffix.lower() == ".obj" else None
    if mesh is None:
        mesh = _of_ply(files.mesh, None if files.labels else (label_property or LABELS), textures)
        if label_property and mesh.label_property is None and not files.labels:
            mesh.notes["without property"] = label_property
    if files.labels is None:
        return mesh
    labels = _side_file(files.labels)
    if len(labels) != mesh.polygons:
        raise WeftError(f"{files.labels}: {len(labels)} labels, {files.mesh.name} has {mesh.polygons} faces")
    return Mesh(**{**vars(mesh), "labels": labels})


def _side_file(path: Path) -> np.ndarray:
    """Whole numbers with blanks or lines between them."""
    words = path.read_bytes().split()
    try:
        return np.array(words, "S").astype(np.int64) if words else np.empty(0, np.int64)
    except ValueError:
        raise WeftError(f"{path}: expected whole numbers, one for each face") from None


def _of_ply(path: Path, labels: str | tuple[str, ...] | None, textures: bool) -> Mesh:
    ply = read_ply(path)
    for name, needed in (("vertex", ("x", "y", "z")), ("face", ())):
        if name not in ply.elements:
            raise WeftError(f"{path}: no element {name}; there are {', '.join(ply.elements) or 'none'}")
        missing = [one for one in needed if one not in ply.elements[name].columns]
        if missing:
            raise WeftError(f"{path}: element {name} has no property {missing[0]}")
    vertex, face = ply.elements["vertex"], ply.elements["face"]
    corners = next((face.columns[name] for name in _CORNERS if name in face.columns), None)
    if not isinstance(corners, Ragged):
        raise WeftError(f"{path}: element face has no list {' or '.join(_CORNERS)}")
    columns = [vertex.columns[axis] for axis in "xyz"]
    # Row by row: means of other layouts differ in the last digit, and so would the hash of the store.
    vertices = np.ascontiguousarray(np.stack([np.asarray(column, np.float64) for column in columns], axis=1))
    faces, parent, fans = _triangles(path, corners, len(vertices))
    names = texture_names(ply.comments)
    notes: dict[str, Any] = {}
    uv = _face_uv(path, face, corners) if textures else None
    if uv is None and textures:
        uv = _vertex_uv(vertex, corners)
    texcoords = texture = None
    if uv is not None:
        texture = _texture_of(path, face, names, notes)
        texcoords, texture = _per_triangle(uv, texture, fans, parent)
    wanted = (labels,) if isinstance(labels, str) else (labels or ())
    found = next((name for name in wanted if name in face.columns), None)
    values = None if found is None else _whole(path, found, face.columns[found])
    return Mesh(
        vertices, faces, parent, face.rows, values, texcoords, texture, tuple(names), _classes(path, ply.comments),
        found, ply, notes,
    )  # fmt: skip


def _of_obj(path: Path, textures: bool) -> Mesh:
    obj = read_obj(path, textures)
    faces, parent, fans = _triangles(path, obj.corners, len(obj.vertices))
    names = tuple(dict.fromkeys(name for name in obj.textures if name))
    number = np.array([*(names.index(name) if name else -1 for name in obj.textures), -1], np.int64)
    notes: dict[str, Any] = {}
    if obj.missing:
        notes["materials that no library has"] = list(obj.missing)
    texcoords = texture = None
    if textures and len(obj.coordinates):
        uv = np.vstack([obj.coordinates, [[np.nan, np.nan]]])[obj.uv]
        texcoords, texture = _per_triangle(uv, number[obj.material], fans, parent)
    return Mesh(
        obj.vertices, faces, parent, len(obj.corners), None, texcoords, texture, names, {}, None, None, notes
    )  # fmt: skip


def _triangles(path: Path, corners: Ragged, vertices: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """int32 [M, 3]; int32 [M] the polygon of each, None if all are triangles; int64 [M, 3] which corners they are."""
    counts, values = corners.counts, corners.values.astype(np.int64)
    if len(counts) and counts.min() < 3:
        face = int(counts.argmin())
        raise WeftError(f"{path}: face {face} has {counts[face]} corners, expected 3 or more")
    wrong = (values < 0) | (values >= vertices)
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        face = int(np.searchsorted(corners.offsets, k, side="right")) - 1
        raise WeftError(f"{path}: face {face} names vertex {values[k]}, there are {vertices} counted from 0")
    cut = counts - 2
    parent = np.repeat(np.arange(len(counts)), cut)
    turn = np.arange(len(parent)) - np.repeat(np.cumsum(cut) - cut, cut)
    first = corners.offsets[:-1][parent]
    fans = np.stack([first, first + turn + 1, first + turn + 2], axis=1).astype(np.int64)
    triangles = bool((counts == 3).all())
    return values[fans].astype(np.int32).reshape(-1, 3), None if triangles else parent.astype(np.int32), fans


def _per_triangle(
    uv: np.ndarray, texture: np.ndarray, fans: np.ndarray, parent: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Coordinates float32 [M, 6] and texture int16 [M] of uv [corners, 2] and texture [polygons]."""
    texture = texture if parent is None else texture[parent]
    coordinates = uv[fans].reshape(-1, 6)
    texture = np.where(np.isfinite(coordinates).all(axis=1), texture, -1)
    coordinates = np.where(texture[:, None] >= 0, coordinates, np.nan)
    if (texture < 0).all() and len(texture):
        return None, None
    return coordinates.astype(np.float32), texture.astype(np.int16)


def _face_uv(path: Path, face: Element, corners: Ragged) -> np.ndarray | None:
    """float64 [corners, 2] of the property texcoord; faces with an empty list have none."""
    said = face.columns.get("texcoord")
    if not isinstance(said, Ragged):
        return None
    counts = corners.counts
    wrong = (said.counts != 2 * counts) & (said.counts != 0)
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        raise WeftError(f"{path}: face {k} of {counts[k]} corners has {said.counts[k]} numbers of texcoord")
    uv = np.full((len(corners.values), 2), np.nan)
    uv[np.repeat(said.counts > 0, counts)] = said.values.reshape(-1, 2)
    return uv


def _vertex_uv(vertex: Element, corners: Ragged) -> np.ndarray | None:
    pair = next((pair for pair in _VERTEX_UV if all(name in vertex.columns for name in pair)), None)
    if pair is None:
        return None
    uv = np.stack([np.asarray(vertex.columns[name], np.float64) for name in pair], axis=1)
    found: np.ndarray = uv[corners.values]
    return found


def _texture_of(path: Path, face: Element, names: list[str], notes: dict[str, Any]) -> np.ndarray:
    """int64 [polygons]: number of the texture of each face."""
    said = face.columns.get("texnumber")
    if isinstance(said, np.ndarray):
        number = _whole(path, "texnumber", said)
        if len(number) and (number.max() >= len(names) or number.min() < -1):
            raise WeftError(
                f"{path}: texnumber from {number.min()} to {number.max()}, the comments name {len(names)} textures"
            )
        return number
    if len(names) > 1:
        raise WeftError(f"{path}: {len(names)} textures, but faces have no texnumber to say which")
    if not names:
        notes["coordinates without a texture"] = "no comment TextureFile"
    return np.full(face.rows, len(names) - 1, np.int64)


def _whole(path: Path, name: str, values: np.ndarray | Ragged) -> np.ndarray:
    """int64 of a property that holds whole numbers in whatever type."""
    if isinstance(values, Ragged):
        raise WeftError(f"{path}: {name} of the faces is a list, expected a number")
    if values.dtype.kind == "f" and not (np.isfinite(values) & (np.floor(values) == values)).all():
        raise WeftError(f"{path}: {name} of the faces has values that are no whole numbers")
    return values.astype(np.int64)


def _classes(path: Path, comments: tuple[str, ...]) -> dict[int, str]:
    """``label <id> <name>`` of the comments."""
    found: dict[int, str] = {}
    for comment in comments:
        words = comment.strip().split(None, 2)
        if len(words) == 3 and words[0] == "label" and words[1].lstrip("-").isdigit():
            if found.get(int(words[1]), words[2]) != words[2]:
                raise WeftError(f"{path}: the comments give label {words[1]} two names")
            found[int(words[1])] = words[2]
    return found
