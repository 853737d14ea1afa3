"""Small meshes made by hand, as files."""

from pathlib import Path

import numpy as np
from PIL import Image

from weft.io.ply import Element, Ply, write_ply
from weft.io.products import Ragged

#: A roof of two slopes over a floor: 6 vertices, faces in no order, one twice, one without area.
VERTICES = np.array(
    [[7750.95, 4750.95, 16.6], [7752.95, 4750.95, 16.6], [7752.95, 4752.95, 16.6], [7750.95, 4752.95, 16.6],
     [7751.95, 4750.95, 18.6], [7751.95, 4752.95, 18.6]]
)  # fmt: skip
FACES = np.array([[0, 1, 2], [0, 2, 3], [0, 4, 5], [0, 5, 3], [1, 2, 5], [1, 5, 4], [0, 1, 2], [0, 0, 1]])
LABELS = np.array([1, 1, 3, 3, 3, 3, 1, 0])
#: The lower left half of the texture, for each face but the last two.
UV = np.tile(np.array([0, 0, 1, 0, 0, 1], np.float32), (8, 1))
TEXTURE = np.array([0, 0, 1, 1, 0, 0, -1, -1])
NAMES = {0: "unclassified", 1: "terrain", 2: "high vegetation", 3: "building"}


def colour(number: int) -> list[int]:
    return [250 - number, 100 + number, number]


def write_textures(folder: Path, names: tuple[str, ...] = ("tile_0.png", "tile_1.png")) -> None:
    for number, name in enumerate(names):
        Image.new("RGB", (4, 4), tuple(colour(number))).save(folder / name)


def ply_of(form="ascii", labels=LABELS, label="label", textures=("tile_0.png", "tile_1.png"), faces=FACES, **more):
    """A file with the header of SUM; `more` are further columns of the faces."""
    vertex = Element.of("vertex", {axis: VERTICES[:, k].copy() for k, axis in enumerate("xyz")})
    columns = {"vertex_indices": Ragged.of([np.asarray(face, "i4") for face in faces], np.empty(0, "i4"))}
    if labels is not None:
        columns[label] = np.asarray(labels, "i4")
    if textures is not None:
        columns["texcoord"] = Ragged.of(list(UV[: len(faces)]), np.empty(0, "f4"))
        columns["texnumber"] = TEXTURE[: len(faces)].astype("i4")
    comments = [f"TextureFile {name}" for name in textures or ()]
    if labels is not None:
        comments += [f"label {number} {name}" for number, name in NAMES.items()]
    return Ply(form, {"vertex": vertex, "face": Element.of("face", columns | more)}, tuple(comments))


def write_tile(folder: Path, name: str = "tile", **options) -> Path:
    """A tile with its textures."""
    folder.mkdir(parents=True, exist_ok=True)
    write_textures(folder)
    return write_ply(folder / f"{name}.ply", ply_of(**options))


OBJ = """# by hand
mtllib tile.mtl
v 0 0 0
v 1 0 0
v 1 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
o roof
usemtl red tiles
f 1/1 2/2 3/3
v 0 1 0
usemtl plain
f -4//-1 -2//-1 -1//-1
usemtl red tiles
f 1/1/1 2/2/1 3/3/1 4/4/1
f -4/-4 -3/-3 -1/-1
"""
MTL = """newmtl red tiles
Kd 1 1 1
map_Kd -s 1 1 -clamp off -mm 0 1 sub folder/red tiles.png
newmtl plain
Kd 1 0 0
"""


def write_obj(folder: Path, text: str = OBJ, materials: str | None = MTL) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tile.obj").write_text(text)
    if materials is not None:
        (folder / "tile.mtl").write_text(materials)
        (folder / "sub folder").mkdir(exist_ok=True)
        write_textures(folder / "sub folder", ("red tiles.png",))
    return folder / "tile.obj"
