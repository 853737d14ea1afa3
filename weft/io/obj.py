"""Wavefront OBJ files and their materials: corners, coordinates of texture, and which material a face has.

Read are ``v``, ``vt``, ``f v/vt/vn`` (counted from 1, or back from the last with negative numbers), ``usemtl`` and
``mtllib``; of materials ``newmtl`` and ``map_Kd``, with options and blanks in names. Normals, groups, smoothing, lines
and free-form surfaces are not (F. Ramey et al., Object Files and MTL material format, Alias|Wavefront).
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.errors import WeftError
from weft.io.products import Ragged

#: Numbers that may follow an option of a texture map; −s, −o and −t have one to three.
_OPTIONS = {"-blendu": 1, "-blendv": 1, "-cc": 1, "-clamp": 1, "-mm": 2, "-texres": 1, "-bm": 1, "-boost": 1,
            "-imfchan": 1, "-type": 1, "-o": 3, "-s": 3, "-t": 3}  # fmt: skip


@dataclass(frozen=True)
class Obj:
    """What an OBJ file holds.

    Attributes:
        vertices: float64 [V, 3].
        corners: rows of `vertices`, int64, one item each polygon.
        coordinates: float64 [T, 2], u and v.
        uv: rows of `coordinates`, one for each corner, −1: none.
        material: int64 [polygons], number in `materials`, −1: none.
        materials: names as ``usemtl`` gives them.
        textures: file of each material, None: it has none.
        missing: materials that no library has.
        left_out: how many lines of each kind were not read.
    """

    vertices: np.ndarray
    corners: Ragged
    coordinates: np.ndarray
    uv: np.ndarray
    material: np.ndarray
    materials: tuple[str, ...]
    textures: tuple[str | None, ...]
    missing: tuple[str, ...]
    left_out: dict[str, int]


def libraries(path: str | Path) -> list[Path]:
    """Files of materials that an OBJ names before its first face; none of a file that is no OBJ."""
    path = Path(path)
    found: list[Path] = []
    if path.suffix.lower() != ".obj":
        return found
    with path.open("rb") as file:
        for line in file:
            key, _, rest = line.strip().partition(b" ")
            if key == b"f":
                break
            if key == b"mtllib":
                found += _library(path, rest.decode("utf-8", "surrogateescape").strip())
    return found


def read_materials(path: str | Path) -> dict[str, str | None]:
    """``{material: file of its texture}`` of an MTL file, None where it has none.

    Raises WeftError where the file cannot be read, or has a texture before its first material.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().decode("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        raise WeftError(f"{path}: materials cannot be read ({error.strerror})") from None
    found: dict[str, str | None] = {}
    name: str | None = None
    for number, line in enumerate(lines, 1):
        key, _, rest = line.strip().partition(" ")
        if key == "newmtl":
            name = rest.strip()
            found[name] = None
        elif key.lower() == "map_kd":
            if name is None:
                raise WeftError(f"{path}: line {number}: map_Kd before any newmtl")
            found[name] = _file_of_map(rest.strip()) or None
    return found


def read_obj(path: str | Path, materials_too: bool = True) -> Obj:
    """Read a whole file; with its materials, or with their names alone.

    Raises:
        WeftError: a line that cannot be read, a corner that does not exist, or a library that is not there.
    """
    path = Path(path)
    vertices: list[list[bytes]] = []
    coordinates: list[list[bytes]] = []
    faces: list[list[bytes]] = []
    before: list[tuple[int, int]] = []
    material: list[int] = []
    materials: dict[str, int] = {}
    known: dict[str, str | None] = {}
    other: Counter[str] = Counter()
    now = -1
    for number, line in enumerate(path.read_bytes().replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith(b"#"):
            continue
        key = words[0]
        if key == b"v":
            vertices.append(words[1:4])
        elif key == b"vt":
            coordinates.append([*words[1:3], b"0"][:2])
        elif key == b"f":
            if len(words) < 4:
                raise WeftError(f"{path}: line {number}: a face of {len(words) - 1} corners, expected 3 or more")
            faces.append(words[1:])
            before.append((len(vertices), len(coordinates)))
            material.append(now)
        elif key == b"usemtl":
            name = line.strip()[len(key) :].strip().decode("utf-8", "surrogateescape")
            now = materials.setdefault(name, len(materials))
        elif key == b"mtllib":
            said = line.strip()[len(key) :].strip().decode("utf-8", "surrogateescape")
            for library in _library(path, said) if materials_too else ():
                known |= read_materials(library)
        else:
            other[key.decode("utf-8", "replace")] += 1
    corners, uv = _corners(path, faces, before, len(vertices), len(coordinates))
    return Obj(
        _floats(path, "v", vertices, 3),
        corners,
        _floats(path, "vt", coordinates, 2),
        uv,
        np.array(material, np.int64),
        tuple(materials),
        tuple(known.get(name) for name in materials),
        tuple(name for name in materials if materials_too and name not in known),
        dict(other),
    )


def _library(path: Path, said: str) -> list[Path]:
    """The files that a ``mtllib`` names: one with blanks in its name, or several."""
    whole = Path(os.path.normpath(path.parent / said.replace("\\", "/")))
    return [whole] if whole.is_file() or " " not in said else [path.parent / name for name in said.split()]


def _file_of_map(said: str) -> str:
    """The file of a texture map after its options; it may have blanks."""
    words = said.split(" ")
    while words and words[0].lower() in _OPTIONS:
        most = _OPTIONS[words.pop(0).lower()]
        fixed = most < 3
        while words and most and (fixed or _is_number(words[0])):
            words.pop(0)
            most -= 1
    return " ".join(words).strip().strip('"')


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _floats(path: Path, key: str, rows: list[list[bytes]], width: int) -> np.ndarray:
    short = next((row for row in rows if len(row) < width), None)
    if short is not None:
        raise WeftError(f"{path}: a line {key} of {len(short)} numbers, expected {width}")
    try:
        return np.array(rows, "S").astype(np.float64).reshape(-1, width)
    except ValueError:
        bad = next(word for row in rows for word in row if not _is_number(word.decode("utf-8", "replace")))
        raise WeftError(f"{path}: {key}: '{bad.decode('utf-8', 'replace')[:40]}' is no number") from None


def _corners(
    path: Path, faces: list[list[bytes]], before: list[tuple[int, int]], vertices: int, coordinates: int
) -> tuple[Ragged, np.ndarray]:
    """Rows of the vertices and of the coordinates of texture (−1: none) of each corner."""
    counts = np.array([len(face) for face in faces], np.int64)
    words = [corner.split(b"/") for face in faces for corner in face]
    try:
        v = np.array([int(word[0]) for word in words], np.int64)
        t = np.array([int(word[1]) if len(word) > 1 and word[1] else 0 for word in words], np.int64)
    except ValueError:
        raise WeftError(f"{path}: a face whose corners are not v, v/vt or v/vt/vn") from None
    seen = np.repeat(np.array(before, np.int64).reshape(-1, 2), counts, axis=0)
    rows = np.where(v > 0, v - 1, seen[:, 0] + v)
    uv = np.where(t > 0, t - 1, np.where(t < 0, seen[:, 1] + t, -1))
    for what, said, limit, wrong in (
        ("v", v, vertices, (v == 0) | (rows < 0) | (rows >= vertices)),
        ("vt", t, coordinates, (t != 0) & ((uv < 0) | (uv >= coordinates))),
    ):
        if wrong.any():
            k = int(np.flatnonzero(wrong)[0])
            face = int(np.searchsorted(np.cumsum(counts), k, side="right"))
            raise WeftError(f"{path}: face {face} names {what} {said[k]}, there are {limit}")
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return Ragged(rows, offsets), uv
