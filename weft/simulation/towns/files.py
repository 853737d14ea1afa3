"""Files of simulated tiles: PLY with the header of SUM (specification §2.1), and their textures as JPEG."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from weft.simulation.towns.classes import COLOURS, NAMES
from weft.simulation.towns.town import SimulatedTown

_VERTEX = "{:.3f} {:.3f} {:.3f}\n"
_FACE = "{:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f} 6 " + "{:.6f} " * 6 + "{:.0f} {:.0f} {:g}\n"
_BINARY = np.dtype(
    [("corners", "u1"), ("corner", "<i4", 3), ("label", "<i4"), ("colour", "u1", 3), ("coordinates", "u1"),
     ("coordinate", "<f4", 6), ("texture", "<i4"), ("segment", "<i4"), ("probability", "<f4")]
)  # fmt: skip


def write_town(town: SimulatedTown, folder: Path, tile: str, encoding: str, quality: int) -> Path:
    """Write `<tile>_groundtruth_L1.ply` and `<tile>_0.jpg`, `<tile>_1.jpg`, …; the mesh's path.

    A face without a texture has the texture −1 and coordinates of 0.

    Args:
        tile: name of the tile, such as ``Tile_+1984_+2692``.
        encoding: ``ascii``, or ``binary``: little-endian.
        quality: of the JPEG, 1 to 100.
    """
    names = [f"{tile}_{k}.jpg" for k in range(len(town.textures))]
    for name, picture in zip(names, town.textures, strict=True):
        Image.fromarray(picture, "RGB").save(folder / name, quality=quality)
    path = folder / f"{tile}_groundtruth_L1.ply"
    with path.open("wb") as file:
        file.write(_header(town, names, encoding).encode())
        _write_vertices(file, town.surface.vertices, encoding)
        _write_faces(file, town, encoding)
    return path


def _header(town: SimulatedTown, textures: list[str], encoding: str) -> str:
    lines = ["ply", f"format {'ascii' if encoding == 'ascii' else 'binary_little_endian'} 1.0"]
    lines += [f"comment TextureFile {name}" for name in textures]
    lines += [f"comment label {number} {name}" for number, name in enumerate(NAMES)]
    lines += [f"element vertex {len(town.surface.vertices)}", *(f"property double {axis}" for axis in "xyz")]
    lines += [f"element face {len(town.surface.faces)}", "property list uchar int vertex_indices", "property int label"]
    lines += [f"property uchar {name}" for name in ("red", "green", "blue")]
    lines += ["property list uchar float texcoord", "property int texnumber", "property int face_segment_id"]
    return "\n".join([*lines, "property float label_probabilities", "end_header", ""])


def _write_vertices(file: BinaryIO, vertices: np.ndarray, encoding: str) -> None:
    if encoding == "binary":
        file.write(vertices.astype("<f8").tobytes())
    else:
        file.write("".join(_VERTEX.format(*row) for row in vertices.tolist()).encode())


def _write_faces(file: BinaryIO, town: SimulatedTown, encoding: str) -> None:
    surface = town.surface
    rows = np.zeros(len(surface.faces), _BINARY)
    rows["corners"], rows["coordinates"], rows["probability"] = 3, 6, 1
    rows["corner"], rows["label"], rows["segment"] = surface.faces, surface.labels, surface.segments
    rows["colour"] = np.array(COLOURS, np.uint8)[surface.labels]
    textured = surface.texture >= 0
    rows["coordinate"] = np.where(textured[:, None], surface.coordinates.reshape(-1, 6), 0)
    rows["texture"] = surface.texture
    if encoding == "binary":
        file.write(rows.tobytes())
        return
    whole = [rows[name] for name in ("corner", "label", "colour", "coordinate", "texture", "segment", "probability")]
    columns = [part if part.ndim == 2 else part[:, None] for part in whole]
    table = np.hstack([np.full((len(rows), 1), 3), *columns])
    file.write("".join(_FACE.format(*row) for row in table.tolist()).encode())
