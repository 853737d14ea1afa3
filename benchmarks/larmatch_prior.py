"""What the share of good triplets in the logit changes: calibration, and efficiency and purity at the usual scores.

    python benchmarks/larmatch_prior.py results/larmatch-demo/larmatch/seed0/scores/triplets.seed0/events.parquet \
        --share 0.235

The scores must be balanced ones (`data.prior: balanced`), all of which were written (`min_score: 0`) or those from
`--from` on. The share is that of the training events: good/(good + ghosts) of `measured` in the model.json.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from weft.metrics.separation import SCORE_BINS, SCORE_EDGES
from weft.tasks.larmatch.counting import CONFIDENCE_BINS, THRESHOLDS
from weft.tasks.larmatch.prior import shifted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=Path, help="events.parquet of balanced scores")
    parser.add_argument("--share", type=float, required=True, help="good triplets among those of the training events")
    parser.add_argument("--from", dest="low", type=float, default=0.0, help="lowest score that was written")
    chosen = parser.parse_args()
    table = pd.read_parquet(chosen.events)
    good, ghost = (
        table[[f"{name}_{k}" for k in range(SCORE_BINS)]].to_numpy(np.float64).sum(axis=0) for name in ("good", "ghost")
    )
    middle = (SCORE_EDGES[1:].astype(np.float64) + SCORE_EDGES[:-1]) / 2
    print(f"{good.sum():.0f} good triplets, {ghost.sum():.0f} ghosts: {good.sum() / (good + ghost).sum():.3f} are good")
    print("| prior | calibration error | " + " | ".join(f"efficiency, purity at {t}" for t in THRESHOLDS) + " |")
    print("|---" * (2 + len(THRESHOLDS)) + "|")
    for name, shift in (("balanced", 0.0), ("events", np.log(chosen.share / (1 - chosen.share)))):
        score = shifted(middle, shift)
        cells = [f"{calibration_error(good, ghost, score, middle >= chosen.low):.3f}"]
        for t in THRESHOLDS:
            kept = score >= t
            cells.append(f"{good[kept].sum() / good.sum():.3f}, {good[kept].sum() / (good + ghost)[kept].sum():.3f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def calibration_error(good: np.ndarray, ghost: np.ndarray, score: np.ndarray, written: np.ndarray) -> float:
    """Expected calibration error of what was written, in equal bins of the score."""
    bins = np.minimum((score * CONFIDENCE_BINS).astype(int), CONFIDENCE_BINS - 1)[written]
    n = (good + ghost)[written]
    right, said = (np.bincount(bins, weights, CONFIDENCE_BINS) for weights in (good[written], n * score[written]))
    return float(np.abs(right - said).sum() / n.sum())


if __name__ == "__main__":
    main()
