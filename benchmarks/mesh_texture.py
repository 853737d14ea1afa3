"""Files of a large tile: pixels under its faces, and reading and writing its PLY.

    OMP_NUM_THREADS=1 python benchmarks/mesh_texture.py            # half a minute of processor time; prints the table
    OMP_NUM_THREADS=1 python benchmarks/mesh_texture.py --write    # and writes benchmarks/results/mesh_texture.md
    OMP_NUM_THREADS=1 python benchmarks/mesh_texture.py --peer     # plyfile beside it, two minutes more

Processor time of one thread, so that other users of the machine do not count. The tile has 300,000 faces, as those of
SUM have on average, and their triangles cover four textures of 2048 x 2048 pixels whole: about what its surface has at
7.5 cm a pixel.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from weft.io.mesh_products import FACE_PIXELS
from weft.io.ply import Element, Ply, read_ply, write_ply
from weft.io.products import Ragged
from weft.io.provenance import collect
from weft.meshes.texture import sample_pixels, textured_pixels

RESULT = Path(__file__).resolve().parent / "results" / "mesh_texture.md"
FACES, TEXTURES, SIZE = 300_000, 4, 2048
T = TypeVar("T")


def timed(what: Callable[[], T]) -> tuple[T, float]:
    start = time.process_time()
    made = what()
    return made, time.process_time() - start


def coordinates() -> tuple[np.ndarray, np.ndarray]:
    """Triangles of a grid on each texture: uv [M, 6] and the texture of each [M]."""
    cells = int(np.ceil(np.sqrt(FACES / TEXTURES / 2)))
    v, u = np.divmod(np.arange(cells * cells), cells)
    corner = np.stack([u, v], axis=1)[:, None]
    both = [corner + np.array(offsets) for offsets in (((0, 0), (1, 0), (0, 1)), ((1, 0), (1, 1), (0, 1)))]
    uv = np.concatenate(both).reshape(-1, 6) / cells
    return np.tile(uv, (TEXTURES, 1))[:FACES], np.repeat(np.arange(TEXTURES), len(uv))[:FACES]


def tile(uv: np.ndarray, texture: np.ndarray) -> Ply:
    """A file with SUM's header."""
    rng = np.random.default_rng(1)
    place = rng.uniform(7000, 7250, (FACES // 2, 3)).round(3)
    corners = rng.integers(0, len(place), (FACES, 3)).astype("i4")
    face: dict[str, np.ndarray | Ragged] = {
        "vertex_indices": Ragged(corners.reshape(-1), np.arange(FACES + 1) * 3),
        "label": rng.integers(0, 7, FACES).astype("i4"),
        **{name: rng.integers(0, 256, FACES).astype("u1") for name in ("red", "green", "blue")},
        "texcoord": Ragged(uv.reshape(-1).astype("f4"), np.arange(FACES + 1) * 6),
        "texnumber": texture.astype("i4"),
    }
    vertex = {axis: place[:, k].copy() for k, axis in enumerate("xyz")}
    return Ply("ascii", {"vertex": Element.of("vertex", vertex), "face": Element.of("face", face)})


def measure(peer: bool) -> list[tuple[str, float, str]]:
    uv, texture = coordinates()
    images = np.random.default_rng(2).integers(0, 256, (TEXTURES, SIZE, SIZE, 3), dtype=np.uint8)
    sizes = [(SIZE, SIZE)] * TEXTURES
    textured_pixels(uv[:10], texture[:10], sizes, images.__getitem__)  # compiled or read from the cache
    rows = []
    for most in (256, 32):
        found, seconds = timed(lambda most=most: textured_pixels(uv, texture, sizes, images.__getitem__, most))
        mib = (found.rgb.nbytes // 3 * FACE_PIXELS.dtype.itemsize) / 2**20
        said = f"{found.under / 1e6:.1f} million pixels, {len(found.rgb) / 1e6:.1f} million kept, {mib:.0f} MiB"
        rows.append((f"pixels under faces, at most {most} kept", seconds, said))
    counts = np.diff(found.offsets)
    (kept, _), seconds = timed(lambda: sample_pixels(counts, 12, np.random.default_rng(3)))
    rows.append(("12 of them at random, all faces", seconds, f"{len(kept) / 1e6:.1f} million"))
    made = tile(uv, texture)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tile.ply")
        for form in ("ascii", "binary_little_endian"):
            name = form.partition("_")[0]
            _, seconds = timed(lambda form=form: write_ply(path, replace(made, form=form)))
            rows.append((f"PLY, {name}: write", seconds, f"{path.stat().st_size / 2**20:.0f} MiB"))
            rows.append((f"PLY, {name}: read", timed(lambda: read_ply(path))[1], ""))
            if peer:
                import plyfile

                theirs, seconds = timed(lambda: plyfile.PlyData.read(path))
                rows.append((f"PLY, {name}: read by plyfile", seconds, f"version {plyfile.__version__}"))
                rows.append((f"PLY, {name}: write by plyfile", timed(lambda t=theirs: t.write(path))[1], ""))
    return rows


def table(rows: list[tuple[str, float, str]]) -> str:
    lines = ["| what | processor time, s | |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {seconds:.2f} | {said} |" for what, seconds, said in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    parser.add_argument("--peer", action="store_true", help="plyfile too")
    options = parser.parse_args()
    text = table(measure(options.peer))
    print(text)
    if options.write:
        machine = collect()
        command = f"OMP_NUM_THREADS=1 python benchmarks/mesh_texture.py --write{' --peer' if options.peer else ''}"
        head = [
            f"# Files of a tile of {FACES:,} faces",
            "",
            f"`{command}`, {machine['created'][:10]}, {machine['device']}, commit `{machine['commit'][:10]}`"
            f"{', with changes' if machine['dirty'] else ''}: processor time of one thread.",
            "",
        ]
        RESULT.write_text("\n".join([*head, text, ""]))


if __name__ == "__main__":
    main()
