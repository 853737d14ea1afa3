"""PLY and OBJ files as a source of `weft convert`: a mesh is an event, with its labels and the pixels of its textures.

Files are read by their headers (`weft.io.mesh_reading`), and what belongs to a mesh lies beside it
(`weft.io.mesh_files`). What the surroundings of a face say of it, and the pixels under it, are found once, here
(`weft.meshes.surface`, `weft.meshes.texture`). A texture that a mesh names and that is not there is an error, unless
textures are left out (``textures: null``). A mesh without a texture has faces without pixels: what reads textures
predicts it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from weft.errors import WeftError
from weft.io.class_files import read_classes
from weft.io.image_reading import read_picture, size_of
from weft.io.mesh_checks import MeshReport, report
from weft.io.mesh_files import MeshFiles, classes_file, files_of, find_meshes, places
from weft.io.mesh_options import ClassTable, MeshReading, class_table
from weft.io.mesh_products import (
    FACE_PIXELS,
    FACE_SURFACE,
    FACES,
    ORIGIN,
    PARENT_FACE,
    TEXCOORDS,
    TEXTURE,
    UNKNOWN,
    VERTICES,
    face_labels,
)
from weft.io.mesh_reading import Mesh, read_mesh
from weft.io.products import Ragged, Schema
from weft.meshes.surface import face_surface
from weft.meshes.surface_settings import SurfaceSettings
from weft.meshes.texture import FacePixels, textured_pixels


class _Facts(NamedTuple):
    """What a mesh has, without its arrays."""

    about: Mapping[str, Any]
    polygons: bool
    labelled: bool
    textured: bool
    classes: Mapping[int, str]


class MeshSource:
    """Meshes of a folder, or one of them.

    Args:
        path: a folder, or a PLY or OBJ file.
        products: where labels and textures lie, see `weft.io.mesh_files`.
        reading: which label is which class, and what is measured.

    Attributes:
        files: all files that are read.
        meshes: the meshes with their files.

    Raises:
        WeftError: no mesh, or settings that make no sense. What is wrong with a mesh itself is said when it is
            converted, its file named, or in its row of the survey.
    """

    kind = "meshes"

    def __init__(
        self,
        path: str | Path,
        products: Mapping[str, str | None] | None = None,
        reading: MeshReading | None = None,
    ) -> None:
        self.path = Path(path)
        self.reading = reading or MeshReading()
        self.meshes = find_meshes(self.path, products)
        self.entries = len(self.meshes)
        self.notes: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}
        self._products, self._place = products, places(products or {})
        self._last: tuple[int, Mesh] | None = None

    @cached_property
    def files(self) -> list[Path]:
        return files_of(self.path, self._products)

    def _read(self, entry: int) -> Mesh:
        """A mesh; the last one is kept, so that a source of one mesh is read once."""
        if self._last is None or self._last[0] != entry:
            self._last = None
            textures = "textures" in self._place
            files = self.meshes[entry] if "labels" in self._place else self.meshes[entry]._replace(labels=None)
            self._last = entry, read_mesh(files, self.reading.label_property, textures)
        return self._last[1]

    @cached_property
    def _looked(self) -> tuple[dict[int, _Facts], dict[int, str]]:
        """Of each entry what it has, or why it cannot be read; the first is read last, since it is asked for next."""
        facts: dict[int, _Facts] = {}
        damaged: dict[int, str] = {}
        for entry in reversed(range(self.entries)):
            try:
                facts[entry] = self._fact(entry)
            except WeftError as error:
                damaged[entry] = str(error)
        return dict(sorted(facts.items())), dict(sorted(damaged.items()))

    @property
    def _facts(self) -> dict[int, _Facts]:
        return self._looked[0]

    def _fact(self, entry: int) -> _Facts:
        mesh, files = self._read(entry), self.meshes[entry]
        about: dict[str, Any] = {
            "file": files.mesh.name,
            "form": "obj" if mesh.ply is None else mesh.ply.form,
            "vertices": len(mesh.vertices),
            "faces": mesh.polygons,
            "triangles": len(mesh.faces),
            "textures": list(mesh.textures),
        }
        if files.labels is not None and "labels" in self._place:
            about["labels"] = files.labels.name
        elif mesh.label_property is not None and "labels" in self._place:
            about["labels"] = f"property {mesh.label_property}"
        labelled = mesh.labels is not None and "labels" in self._place
        return _Facts(about, mesh.parent is not None, labelled, mesh.texcoords is not None, mesh.classes)

    @cached_property
    def table(self) -> ClassTable:
        """Which labels are which class."""
        said = classes_file(self.meshes[0].mesh)
        if said is not None:
            return class_table(self.reading, read_classes(said, negative=True))
        named = {tuple(fact.classes.items()): k for k, fact in self._facts.items() if fact.classes}
        if len(named) > 1 and self.reading.label_map is None:
            one, other = [self.meshes[k].mesh.name for k in list(named.values())[:2]]
            raise WeftError(f"{self.path}: {one} and {other} name their labels differently: give a label_map")
        return class_table(self.reading, dict(next(iter(named), ())))

    @property
    def schemas(self) -> Sequence[Schema]:
        found = [VERTICES, FACES, FACE_SURFACE, ORIGIN]
        if any(fact.polygons for fact in self._facts.values()):
            found.append(PARENT_FACE)
        if "textures" in self._place:
            found += [TEXCOORDS, TEXTURE, FACE_PIXELS]
        if any(fact.labelled for fact in self._facts.values()):
            found.append(face_labels(self.table.names))
        return found

    @property
    def about(self) -> Mapping[str, Any]:
        meshes = {self.meshes[entry].name: fact.about for entry, fact in self._facts.items()}
        names = self.table.names
        classes = [{"name": name, "label": label} for name, label in zip(names, self.table.ids, strict=True)]
        reading = self.reading._asdict()
        if self.reading.label_map is not None:
            reading["label_map"] = {str(label): c for label, c in self.reading.label_map.items()}
        folder = str(self.meshes[0].mesh.parent)
        return {"folder": folder, "meshes": meshes, "classes": classes, "reading": reading}

    def numbers(self) -> np.ndarray | None:
        """Run, subrun, event: meshes have names."""
        return None

    def names(self) -> list[str]:
        """Who each event is, whatever other meshes lie beside it: folder and mesh."""
        return [f"{files.mesh.absolute().parent.name}\0{files.name}" for files in self.meshes]

    def events(self, start: int, stop: int, encode: Any) -> Iterator[dict[str, Any]]:
        """Products of each entry. Raises WeftError where any mesh of the source is damaged, before the first."""
        for why in self._looked[1].values():
            raise WeftError(why)
        has = {schema.name for schema in self.schemas}
        for entry in range(start, stop):
            files, mesh = self.meshes[entry], self._read(entry)
            if not np.isfinite(mesh.vertices).all():
                bad = int((~np.isfinite(mesh.vertices).all(axis=1)).sum())
                raise WeftError(f"{files.mesh}: {bad} vertices whose coordinates are not finite")
            for note, what in mesh.notes.items():
                self.notes.setdefault(note, {})[files.name] = what
            products: dict[str, Any] = {
                "vertices": mesh.vertices,
                "faces": mesh.faces,
                "face_surface": self._surface(files, mesh),
                "origin": np.array([(encode("origin", "mesh", [files.name])[0],)], ORIGIN.dtype),
            }
            if "parent_face" in has:
                everyone = np.arange(len(mesh.faces), dtype=np.int32)
                products["parent_face"] = everyone if mesh.parent is None else mesh.parent
            if "texture" in has:
                products |= self._texture(files, mesh)
            if "face_labels" in has:
                products["face_labels"] = self._labels(files, mesh)
            yield products

    def _surface(self, files: MeshFiles, mesh: Mesh) -> np.ndarray:
        read = self.reading
        settings = SurfaceSettings(
            read.ground, read.ground_cell, read.ground_radius, read.roughness_radius, read.ground_slope
        )
        try:
            return face_surface(mesh.vertices, mesh.faces, settings)
        except WeftError as error:
            raise WeftError(f"{files.mesh}: {error}") from None

    def _texture(self, files: MeshFiles, mesh: Mesh) -> dict[str, Any]:
        if mesh.texcoords is None or mesh.texture is None:
            if any(fact.textured for fact in self._facts.values()):
                self.notes.setdefault("without texture", []).append(files.name)
            return {
                "texcoords": np.full((len(mesh.faces), 6), np.nan, np.float32),
                "texture": np.full(len(mesh.faces), UNKNOWN, np.int16),
                "face_pixels": Ragged(FACE_PIXELS.empty(), np.zeros(len(mesh.faces) + 1, np.int64)),
            }
        found = self._pixels(files, mesh, mesh.texcoords, mesh.texture)
        if found.capped:
            kept = f"{found.capped} of {len(mesh.faces)} faces have more pixels than the {self.reading.max_pixels} kept"
            self.notes.setdefault("pixels", {})[files.name] = f"{kept}, {found.under} under all faces"
        values = np.empty(len(found.rgb), FACE_PIXELS.dtype)
        for k, name in enumerate("rgb"):
            values[name] = found.rgb[:, k]
        values["w1"], values["w2"] = found.weights.T
        return {
            "texcoords": mesh.texcoords,
            "texture": mesh.texture,
            "face_pixels": Ragged(values, found.offsets),
        }

    def _pixels(self, files: MeshFiles, mesh: Mesh, texcoords: np.ndarray, texture: np.ndarray) -> FacePixels:
        paths = [files.texture(name) for name in mesh.textures]
        used = set(np.unique(texture[texture >= 0]).tolist())
        for number in used:
            if not paths[number].is_file():
                raise WeftError(
                    f"{files.mesh}: texture {mesh.textures[number]} is not there ({paths[number]}); weft convert "
                    "--product textures=FOLDER says where textures lie, --product textures=none leaves them out, for "
                    "stages that read shapes alone; a dataset says products: {textures: FOLDER}, or null"
                )
        sizes = [size_of(path).size if number in used else (1, 1) for number, path in enumerate(paths)]
        try:
            return textured_pixels(
                texcoords, texture, sizes, lambda number: read_texture(paths[number]),
                self.reading.max_pixels, self.reading.texture_wrap,
            )  # fmt: skip
        except WeftError as error:
            raise WeftError(f"{files.mesh}: {error}") from None

    def _labels(self, files: MeshFiles, mesh: Mesh) -> np.ndarray:
        if mesh.labels is None:
            self.notes.setdefault("without labels", []).append(files.name)
            return np.full(len(mesh.faces), UNKNOWN, np.int16)
        classes = self.table.classes(mesh.labels, str(files.labels or files.mesh))
        if len(classes) and (classes < 0).all():
            self.notes.setdefault("without a valid label", []).append(files.name)
        return mesh.of_triangles(classes)

    def survey(self, classes: int | None = None, smallest: Sequence[int] | None = None) -> Iterator[MeshReport]:
        """Look at all meshes, see `weft.io.mesh_checks.report`; one that cannot be read is a row that says why.

        classes: of a network; classes of the faces are below it. smallest: for stacks and images only.
        """
        if smallest is not None:
            raise WeftError(f"{self.path}: --smallest is a size of patches, meshes have none")
        damaged = self._looked[1]
        for entry, files in enumerate(self.meshes):
            if entry in damaged:
                yield MeshReport(files.name, problems=(damaged[entry].removeprefix(f"{files.mesh}: "),))
                continue
            mesh = self._read(entry)
            labels = mesh.labels if "labels" in self._place else None
            yield report(files, mesh, labels, self.table, classes, "textures" in self._place)

    def close(self) -> None:
        self._last = None


def read_texture(path: Path) -> np.ndarray:
    """uint8 [h, w, 3], red, green, blue; a grey one three times.

    Raises WeftError for what is no image of 8 bits.
    """
    picture, _ = read_picture(path)
    if picture.dtype != np.uint8:
        raise WeftError(f"{path}: a texture of {picture.dtype}, expected 8 bits a colour")
    return np.ascontiguousarray(np.broadcast_to(picture, (3, *picture.shape[1:])).transpose(1, 2, 0))
