"""A simulated town as a picture: docs/figures/town.png.

    python benchmarks/town.py

One tile of 60 m with the settings of `config/datasets/towns.yaml`, seen from the south-west and above, in parallel
projection: its faces in the mean colours of their texture, and in those of their classes.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch

from weft.io.mesh_products import FACE_PIXELS
from weft.io.products import Ragged
from weft.meshes.geometry import normals
from weft.meshes.texture import textured_pixels
from weft.report.mesh_colours import UNKNOWN, class_colours
from weft.report.mesh_view import mean_colours
from weft.simulation.towns.settings import TownSettings
from weft.simulation.towns.town import simulate_town
from weft.tasks.mesh_segmentation.options import CLASSES

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "figures" / "town.png"
SEED, TILE, EDGE = 3, 1, 60.0
TURN, LIFT = np.deg2rad(35), np.deg2rad(40)
LIGHT = np.array([-0.4, -0.3, 0.87])


def main() -> None:
    mpl.use("Agg")
    made = simulate_town(TownSettings.parse({"edge": EDGE}), SEED, TILE)
    surface = made.surface
    sizes = [texture.shape for texture in made.textures]
    found = textured_pixels(surface.coordinates.reshape(-1, 6), surface.texture, sizes, made.textures.__getitem__)
    pixels = np.zeros(len(found.rgb), FACE_PIXELS.dtype)
    pixels["r"], pixels["g"], pixels["b"] = found.rgb.T
    looks = mean_colours(Ragged(pixels, found.offsets)) / 255
    shown = class_colours(CLASSES)
    table = np.array([mpl.colors.to_rgb(color) for color in (UNKNOWN, *(color for _, color in shown.values()))])
    corners = surface.vertices[surface.faces]
    shade = 0.65 + 0.35 * np.clip(normals(corners) @ LIGHT, 0, 1)[:, None]
    flat, far = projected(corners - corners.mean(axis=(0, 1)))
    order = np.argsort(-far)
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.6))
    for axis, colours in zip(axes, (looks, shade * table[surface.labels]), strict=True):
        axis.add_collection(PolyCollection(flat[order], facecolors=colours[order], edgecolors="face", linewidths=0.2))
        axis.set_aspect("equal")
        axis.autoscale()
        axis.axis("off")
    handles = [Patch(color=color, label=name) for name, color in (*shown.values(), ("unclassified", UNKNOWN))]
    figure.legend(handles=handles, loc="lower center", ncol=len(handles), frameon=False)
    figure.subplots_adjust(0, 0.06, 1, 1, 0.02)
    figure.savefig(PICTURE, dpi=110, facecolor="white")
    print(PICTURE)


def projected(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[M, 3, 2] m on the picture, and [M] m, how far from who looks; corners: [M, 3, 3] m."""
    x, y, z = np.moveaxis(corners, 2, 0)
    right, away = x * np.cos(TURN) - y * np.sin(TURN), x * np.sin(TURN) + y * np.cos(TURN)
    up, far = z * np.cos(LIFT) + away * np.sin(LIFT), away * np.cos(LIFT) - z * np.sin(LIFT)
    return np.stack([right, up], axis=2), far.mean(axis=1)


if __name__ == "__main__":
    main()
