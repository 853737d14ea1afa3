"""One event of LArMatch as a picture: its three planes, and its cloud before and after the cut on the score.

    python benchmarks/larmatch_event.py results/larmatch_microboone/chain/seed0/predictions/truth/files/NAME.h5 \
        --output docs/figures/larmatch_microboone.png

The store is one of `deploy_larmatch` or of `weft deploy … --stage chain`: it holds pixels, triplets and their scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from weft.io.store import EventStore

COLORS = "viridis"
DRAWN = 60_000  # points of a panel; more are thinned at random, the same ones each time


def best_scores(pixels: np.ndarray, triplets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """float (pixels,): the highest score of the triplets of each pixel, 0 without."""
    best = np.zeros(len(pixels))
    for plane in range(3):
        np.maximum.at(best, triplets[f"pixel_{plane}"], scores)
    return best


def draw_plane(axes: Axes, pixels: np.ndarray, best: np.ndarray, plane: int) -> None:
    """Charge of the plane's live pixels in grey, and over it those of kept triplets in the colour of their score."""
    mine = (pixels["plane"] == plane) & (pixels["dead"] == 0)
    rows, charge = pixels[mine], pixels["charge"][mine]
    kept = best[mine] > 0
    axes.scatter(rows["wire"], rows["row"], c=charge, s=0.25, cmap="Greys", norm=LogNorm(3, 400), linewidths=0)
    axes.scatter(
        rows["wire"][kept], rows["row"][kept], c=best[mine][kept], s=0.35, cmap=COLORS, vmin=0, vmax=1, linewidths=0
    )
    axes.set_title(f"plane {'UVY'[plane]}: {mine.sum():,} pixels, {kept.sum():,} of kept triplets", fontsize=8)
    axes.set_xlabel("wire")
    axes.set_ylabel("row")


def draw_cloud(axes: Axes, points: np.ndarray, scores: np.ndarray | None, across: str, title: str) -> None:
    """Points seen along one axis; coloured by score, the best on top."""
    chosen = np.random.default_rng(0).permutation(len(points))[:DRAWN]
    colour = "0.4" if scores is None else scores[chosen]
    if scores is not None:
        chosen = chosen[np.argsort(scores[chosen], kind="stable")]
        colour = scores[chosen]
    limits = {} if scores is None else {"cmap": COLORS, "vmin": 0, "vmax": 1}
    axes.scatter(points["z"][chosen], points[across][chosen], c=colour, s=0.15, linewidths=0, **limits)
    axes.set_title(title, fontsize=8)
    axes.set_xlabel("z (cm)")
    axes.set_ylabel(f"{across} (cm)")


def draw(store: EventStore, event: int, cut: float, path: Path) -> None:
    """The picture of one event; `cut`: score from which a triplet is in the cloud after the cut."""
    pixels, triplets = store["pixels"][event], store["triplets"][event]
    # A selection of rows carries which rows of `triplets` these are.
    filtered = store["triplet_scores"][event]
    rows = store["triplet_scores"].index(event)
    scores = filtered["larmatch"].astype(float)
    best = best_scores(pixels, triplets[rows], scores)
    kept = scores >= cut
    figure, grid = plt.subplots(3, 3, figsize=(10, 8.2), layout="constrained")
    for plane in range(3):
        draw_plane(grid[0, plane], pixels, best, plane)
    for k, across in enumerate(("x", "y")):
        draw_cloud(grid[1 + k, 0], triplets, None, across, f"{len(triplets):,} candidates")
        said = f"{len(rows):,} of score {scores.min(initial=1):.2f} and more"
        draw_cloud(grid[1 + k, 1], triplets[rows], scores, across, said)
        draw_cloud(
            grid[1 + k, 2], triplets[rows[kept]], scores[kept], across, f"{kept.sum():,} of score {cut:g} and more"
        )
        for axes in grid[1 + k, 1:]:
            axes.sharex(grid[1 + k, 0])
            axes.sharey(grid[1 + k, 0])
    for axes in grid.flat:
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set_size(7)
        axes.yaxis.label.set_size(7)
    mappable = mpl.cm.ScalarMappable(norm=mpl.colors.Normalize(0, 1), cmap=COLORS)
    bar = figure.colorbar(mappable, ax=grid, shrink=0.4)
    bar.set_label("larmatch score", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--event", type=int, default=0)
    parser.add_argument("--cut", type=float, default=0.5)
    parser.add_argument("--output", type=Path, default=Path("larmatch_event.png"))
    given = parser.parse_args()
    with EventStore.open(given.store) as store:
        draw(store, given.event, given.cut, given.output)
    print(given.output)


if __name__ == "__main__":
    main()
