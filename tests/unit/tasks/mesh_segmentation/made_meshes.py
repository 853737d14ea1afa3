"""Small meshes as events: a plain with boxes on it, each side of one colour; no file is read."""

from typing import Any

import numpy as np

from weft.io.mesh_products import FACE_PIXELS
from weft.io.products import Ragged

GROUND, ROOF, WALL = range(3)
CLASSES = ("ground", "roof", "wall")
_SIDES = ((0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7))  # of a box without its bottom


def plain(size: int = 12, boxes: int = 3, seed: int = 0, textured: float = 1.0) -> dict[str, Any]:
    """An event: size² squares of 2 m, and boxes, with one duplicated face and some without a label or a texture."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(size + 1), np.arange(size + 1), indexing="ij"), -1).reshape(-1, 2) * 2.0
    vertices = [np.column_stack([grid, np.zeros(len(grid))])]
    i, j = (np.arange(size)[:, None] * (size + 1) + np.arange(size)).reshape(-1), size + 1
    faces = [np.stack([i, i + j, i + j + 1], 1), np.stack([i, i + j + 1, i + 1], 1)]
    labels = [np.full(2 * size * size, GROUND)]
    total = len(grid)
    for _ in range(boxes):
        low, wide = rng.uniform(2, 2 * size - 8, 2), rng.uniform(3, 6, 2)
        floor = low + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * wide
        vertices += [np.column_stack([floor, np.full(4, z)]) for z in (0, rng.uniform(3, 8))]
        quads = total + np.array(_SIDES)
        faces += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
        labels += [np.array([WALL] * 4 + [ROOF])] * 2
        total += 8
    offset = np.array([7750.0, 4750.0, 16.0])  # as in files
    corners = np.concatenate([*faces, faces[0][:1]]).astype(np.int32)
    true = np.concatenate([*labels, [GROUND]]).astype(np.int16)
    known = true.copy()
    known[::17] = -1
    return {
        "vertices": np.concatenate(vertices) + offset,
        "faces": corners,
        "face_surface": rng.random((len(corners), 2)).astype(np.float32),
        "face_pixels": _pixels(true, rng, textured),
        "texcoords": rng.random((len(corners), 6)).astype(np.float32),
        "truth/face_labels": known[:, None],
    }


def _pixels(classes: np.ndarray, rng: np.random.Generator, textured: float) -> Ragged:
    counts = np.where(rng.random(len(classes)) < textured, rng.integers(1, 9, len(classes)), 0)
    values = np.zeros(counts.sum(), FACE_PIXELS.dtype)
    colours = np.array([[60, 120, 50], [180, 60, 50], [150, 150, 160]])[np.repeat(classes, counts)]
    noisy = np.clip(colours + rng.normal(0, 8, colours.shape), 0, 255).astype(np.uint8)
    values["r"], values["g"], values["b"] = noisy.T
    weights = rng.dirichlet(np.ones(3), len(values))
    values["w1"], values["w2"] = weights[:, 1], weights[:, 2]
    return Ragged(values, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
