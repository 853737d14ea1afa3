"""Where a deploy of LArMatch is out of the range of its training: how many triplets lead through each pixel.

The network sees these numbers (`model.multiplicity`). A larger detector has longer tracks in one row of time, and more
triplets through their pixels. Prints shares of pixels and candidates, and draws the pixels of an event.

    python benchmarks/larmatch_multiplicity.py DEPLOYED.h5 --training TRIPLETS.h5 [...] \
        --output docs/figures/larmatch_multiplicity.png

DEPLOYED: a store of `deploy_larmatch`. TRIPLETS: stores of the stage `triplets` that the network learned from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from weft.io.store import EventStore
from weft.tasks.larmatch.batch import triplets_through

NAMES = {"through": "all", "through_live": "of three live pixels"}
INSIDE, ABOVE, BEYOND = "#b9bec6", "#e6a23c", "#c03b2b"


def numbers(store: EventStore, event: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rows of the pixels of each triplet [T, 3], and of each pixel the numbers of its triplets."""
    triplets = store["triplets"][event]
    rows = np.stack([triplets[f"pixel_{plane}"] for plane in range(3)], axis=1)
    return rows, triplets_through(rows, store["pixels"][event]["dead"])


def of_training(paths: list[Path]) -> dict[str, np.ndarray]:
    """The numbers of all pixels of all training events, sorted."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    for path in paths:
        with EventStore.open(path) as store:
            for event in range(len(store)):
                for name, values in numbers(store, event)[1].items():
                    found[name].append(values)
    return {name: np.sort(np.concatenate(values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--training", type=Path, nargs="+", required=True)
    parser.add_argument("--event", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("larmatch_multiplicity.png"))
    given = parser.parse_args()
    training = of_training(given.training)
    limits = {name: (np.quantile(values, 0.999), values[-1]) for name, values in training.items()}
    with EventStore.open(given.store) as store:
        pixels = store["pixels"][given.event]
        rows, seen = numbers(store, given.event)
        score = np.zeros(len(rows))
        score[store["triplet_scores"].index(given.event)] = store["triplet_scores"][given.event]["larmatch"]
    print("| triplets through a pixel | training: median, 99.9 %, most | here: median, most | pixels above the 99.9 %, "
          "above the most | candidates with one above the 99.9 %, above the most |\n|---|---|---|---|---|")  # fmt: skip
    for name, text in NAMES.items():
        high, most = limits[name]
        here, known = seen[name], training[name]
        shares = [f"{(here > limit).mean():.3f}" for limit in (high, most)]
        touched = [f"{(here > limit)[rows].any(axis=1).mean():.3f}" for limit in (high, most)]
        print(f"| {text} | {np.median(known):.0f}, {high:.0f}, {most} | {np.median(here):.0f}, {here.max()} | "
              f"{', '.join(shares)} | {', '.join(touched)} |")  # fmt: skip
    above, beyond = (np.logical_or(*(seen[name] > limits[name][k] for name in NAMES)) for k in range(2))
    print("candidates of score 0.5 and more: "
          f"{(score[~above[rows].any(axis=1)] >= 0.5).mean():.3f} of those within the 99.9 %, "
          f"{(score[above[rows].any(axis=1)] >= 0.5).mean():.3f} of the others")  # fmt: skip
    figure, grid = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained")
    for plane, axes in enumerate(grid):
        mine = (pixels["plane"] == plane) & (pixels["dead"] == 0)
        for chosen, colour, text in (
            (mine & ~above, INSIDE, "as in the training"),
            (mine & above & ~beyond, ABOVE, "more than 99.9 % of its pixels"),
            (mine & beyond, BEYOND, "more than any"),
        ):
            axes.scatter(pixels["wire"][chosen], pixels["row"][chosen], c=colour, s=0.4, linewidths=0, label=text)
        share = above[mine].mean() if mine.any() else 0.0
        axes.set_title(f"plane {'UVY'[plane]}: {share:.0%} of {mine.sum():,} pixels out of the range", fontsize=8)
        axes.set_xlabel("wire", fontsize=7)
        axes.tick_params(labelsize=7)
    grid[0].set_ylabel("row", fontsize=7)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, markerscale=8, fontsize=8,
                  frameon=False, title="triplets through the pixel", title_fontsize=8)  # fmt: skip
    given.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(given.output, dpi=100)
    print(given.output)


if __name__ == "__main__":
    main()
