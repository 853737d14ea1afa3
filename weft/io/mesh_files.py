"""Which files belong together: a mesh with its labels, materials, textures and the names of its classes.

Beside ``tile.ply`` or ``tile.obj`` lie, where there are any: ``tile.txt``, the class of each face (specification §2.5);
the textures that the PLY's comments or the OBJ's materials name; ``classes.txt``, ``<id> <name>`` in each line, beside
the meshes or one folder up. A dataset of another layout says where labels lie (``labels: ../labels/{name}.txt``, in
which ``{folder}`` would be the name of the mesh's folder; or another ending: ``labels: _labels``), and in which folder
textures do (``textures: ../textures``), seen from the mesh; null: nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from weft.errors import WeftError
from weft.io.class_files import CLASSES
from weft.io.obj import libraries, read_materials
from weft.io.ply import is_ply, read_header

#: Endings of files of meshes.
ENDINGS = (".ply", ".obj")
#: Where labels and textures lie by default.
PLACES: Mapping[str, str] = {"labels": "", "textures": "."}
#: Key of the comments of a PLY that name its textures.
TEXTURE_FILE = "TextureFile"


class MeshFiles(NamedTuple):
    """One mesh, the file of its labels, and the folder of its textures, seen from the mesh; None: without textures."""

    name: str
    mesh: Path
    labels: Path | None
    textures: str | None

    def texture(self, name: str) -> Path:
        """Where a texture lies, by the name that the mesh gives it: by its path in the folder, or by its name alone, as
        exports of other machines need. It need not be there: who reads it says so."""
        plain = name.replace("\\", "/")
        root = self.mesh.parent / (self.textures or "")
        path = Path(os.path.normpath(root / plain))
        return path if path.is_file() else Path(os.path.normpath(root / Path(plain).name))


def is_meshes(path: str | Path) -> bool:
    """Whether a path is a PLY file by its first line, an OBJ file by its ending, or a folder with one of them."""
    path = Path(path)
    if path.is_dir():
        return bool(meshes_in(path))
    return path.is_file() and (path.suffix.lower() == ".obj" or is_ply(path))


def meshes_in(folder: Path) -> list[Path]:
    """PLY and OBJ files of a folder, without those below it and hidden ones, by name."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]
    return sorted((path for path in found if path.is_file()), key=lambda path: (path.stem, path.name))


def places(products: Mapping[str, str | None]) -> dict[str, str]:
    """Where labels and textures lie, what is not said by default; without those that are null.

    Raises WeftError for any other product.
    """
    for name in products:
        if name not in PLACES:
            raise WeftError(f"products: '{name}': a mesh has files of {', '.join(PLACES)}")
    return {name: place for name, place in {**PLACES, **products}.items() if place is not None}


def find_meshes(source: str | Path, products: Mapping[str, str | None] | None = None) -> list[MeshFiles]:
    """The meshes of a folder, by name, or the one that is named; each with its other files.

    Raises:
        WeftError: no mesh, two of one name or an unknown product; the meshes themselves are not looked at.
    """
    source, place = Path(source), places(products or {})
    if source.is_dir():
        meshes = meshes_in(source)
    elif source.is_file():
        meshes = [source]
    else:
        raise WeftError(f"{source}: no such file or folder")
    if not meshes:
        raise WeftError(f"{source}: no mesh: expected files that end with {' or '.join(ENDINGS)}")
    twin = next((a for a, b in pairwise(meshes) if a.stem == b.stem), None)
    if twin is not None:
        raise WeftError(f"{source}: two meshes are called {twin.stem}")
    return [MeshFiles(mesh.stem, mesh, _labels(mesh, place), place.get("textures")) for mesh in meshes]


def files_of(source: str | Path, products: Mapping[str, str | None] | None = None) -> list[Path]:
    """Every file that a conversion of `source` reads and that is there. Raises WeftError for a damaged header."""
    found = find_meshes(source, products)
    files: dict[Path, None] = {}
    for one in found:
        beside = [*([one.labels] if one.labels else []), *libraries(one.mesh), *_textures(one)]
        files |= dict.fromkeys([one.mesh, *(path for path in beside if path.is_file())])
    classes = classes_file(found[0].mesh)
    return [*files] if classes is None else [*files, classes]


def classes_file(mesh: Path) -> Path | None:
    """The ``classes.txt`` beside a mesh, or one folder up."""
    folders = (mesh.parent, mesh.absolute().parent.parent)
    return next((folder / CLASSES for folder in folders if (folder / CLASSES).is_file()), None)


def texture_names(comments: Iterable[str]) -> list[str]:
    """Names of the textures of a PLY, in their order: ``TextureFile NAME`` in its comments."""
    found = [comment.strip().split(None, 1) for comment in comments]
    return [words[1] for words in found if len(words) == 2 and words[0] == TEXTURE_FILE]


def _labels(mesh: Path, place: Mapping[str, str]) -> Path | None:
    said = place.get("labels")
    if said is None:
        return None
    if Path(said).suffix.lower() == ".txt":
        # Without the dots of ``../labels``, so that one file has one path.
        named = said.replace("{name}", mesh.stem).replace("{folder}", mesh.absolute().parent.name)
        path = Path(os.path.normpath(mesh.parent / named))
    else:
        path = mesh.with_name(f"{mesh.stem}{said}.txt")
    return path if path.is_file() and path.name != CLASSES else None


def _textures(files: MeshFiles) -> list[Path]:
    if files.textures is None:
        return []
    if files.mesh.suffix.lower() == ".obj":
        names = [name for library in libraries(files.mesh) for name in read_materials(library).values() if name]
    else:
        names = texture_names(read_header(files.mesh).comments)
    return [files.texture(name) for name in dict.fromkeys(names)]
