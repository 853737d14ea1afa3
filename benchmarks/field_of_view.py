"""Which nuclei are too large for the field of view of `unet_xy`, and not for that of `unet_xy_zoom`.

    python benchmarks/field_of_view.py [--sizes 1 2 3 4 5] [--write]

A nucleus whose envelope alone is stained is to be filled (`marks: filled`, `lumen: 0`). Counted are the voxels in it
from which a network sees nothing but its inside, which looks like no nucleus at all: it can only guess there. The
stacks are those of seeds 0 and 1, so the table is the same everywhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from weft.dense.field_of_view import field_of_view
from weft.dense.options import UNetXYOptions
from weft.simulation.stacks.drawing import Grid
from weft.simulation.stacks.settings import Shells
from weft.simulation.stacks.shells import draw_shells
from weft.volumes.sight import blind_share

SEEDS = (0, 1)
NETWORKS = {
    "unet_xy": UNetXYOptions(name="unet_xy"),
    "unet_xy_zoom, k = 2": UNetXYOptions(name="unet_xy_zoom", zoom_ratio=2),
    "unet_xy_zoom, k = 3": UNetXYOptions(name="unet_xy_zoom", zoom_ratio=3),
}


NUCLEUS = Shells(kind="shells", count=(1, 1), marks="filled", lumen=0)
GRID = Grid((48, 320, 320), (0.29, 0.1, 0.1))
"""as high as patches are"""


def nucleus(size: float, seed: int) -> np.ndarray:
    """uint8 [Z, Y, X]: 1 in the nucleus of a simulated stack, as the label of its voxels is."""
    inside = np.zeros(GRID.shape, np.uint8)
    for drawn in draw_shells(NUCLEUS, size, GRID, np.random.default_rng([seed, 0, 0])):
        inside[drawn.box][drawn.inside] = 1
    return inside


def blind(size: float) -> dict[str, float]:
    """Mean over the seeds of the share of the nucleus that each network is blind to."""
    stacks = [nucleus(size, seed) for seed in SEEDS]
    return {
        name: float(np.mean([blind_share(stack, field_of_view(options)) for stack in stacks]))
        for name, options in NETWORKS.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results/field_of_view.md")
    arguments = parser.parse_args()
    fields = [f"{name}: {list(field_of_view(options))}" for name, options in NETWORKS.items()]
    lines = [
        "# Objects and fields of view",
        "",
        f"Made by `python benchmarks/field_of_view.py --sizes {' '.join(f'{size:g}' for size in arguments.sizes)} "
        "--write`. Fields of view [z, y, x], voxels: " + "; ".join(fields) + ".",
        "",
        "Share of the voxels of a nucleus from which nothing but its inside is seen, against the knob `size` of the "
        "simulated stacks.",
        "",
        "| size | mean width [voxels] | " + " | ".join(NETWORKS) + " |",
        "|---|---|" + "---|" * len(NETWORKS),
    ]
    for size in arguments.sizes:
        width = size * np.mean(NUCLEUS.diameter) / GRID.spacing[1]
        shares = blind(size)
        lines.append(f"| {size:g} | {width:.0f} | " + " | ".join(f"{shares[name]:.2f}" for name in NETWORKS) + " |")
        print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    if arguments.write:
        Path(__file__).with_name("results").joinpath("field_of_view.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
