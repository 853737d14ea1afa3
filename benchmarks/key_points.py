"""How key points are best made of scores: local maxima or greedy ones, and how many triplets must agree.

    snakemake --cores 2 -- results/data/wires-demo/test/0000.h5
    OMP_NUM_THREADS=1 python benchmarks/key_points.py results/data/wires-demo/test/0000.h5

The scores are made up: the labels of good triplets scaled, with a Gaussian spread that is independent for each triplet,
and shares of good triplets and ghosts with a larmatch score above the cut. `--write` puts the table into
benchmarks/results/key_points.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from weft.config.detector import load_detector
from weft.io.larmatch_products import KEY_POINT_KINDS, KEY_POINTS, triplet_scores
from weft.io.provenance import collect
from weft.io.store import EventStore
from weft.metrics.points import nearest
from weft.reco.feed import FedStore
from weft.triplets.key_points import true_key_points, xyz
from weft.triplets.label_options import LabelOptions
from weft.triplets.labels import label_event
from weft.triplets.options import TripletOptions
from weft.triplets.points import find_key_points
from weft.triplets.produce import triplet_products

RESULT = Path(__file__).parent / "results" / "key_points.md"
RADIUS, LEAST, SCALE = 3.0, 0.5, 0.85
SPREADS, SUPPORTS = (0.08, 0.2), (1, 3, 6, 10)
KEPT, GHOSTS = 0.93, 0.06  # shares with a larmatch score above the cut
Finder = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def local_maxima(triplets: np.ndarray, scores: np.ndarray, support: int) -> np.ndarray:
    return find_key_points(triplets, scores, RADIUS, [LEAST] * len(KEY_POINT_KINDS), support)


def greedy(triplets: np.ndarray, scores: np.ndarray, support: int) -> np.ndarray:
    """The best triplet that is left, again and again; each takes all within the radius with it."""
    position, parts = xyz(triplets), []
    for kind, name in enumerate(KEY_POINT_KINDS):
        rows = np.flatnonzero(scores[f"key_{name}"] >= np.float32(LEAST))
        weight = scores["larmatch"][rows] * scores[f"key_{name}"][rows]
        tree = cKDTree(position[rows])
        gone, best = np.zeros(len(rows), bool), []
        for i in np.argsort(-weight, kind="stable"):
            if not gone[i]:
                near = tree.query_ball_point(position[rows[i]], RADIUS)
                if len(near) >= support:
                    gone[near] = True
                    best.append(rows[i])
        found = np.zeros(len(best), KEY_POINTS.dtype)
        found["kind"] = kind
        for axis in "xyz":
            found[axis] = triplets[axis][best]
        parts.append(found)
    return np.concatenate(parts)


def events(paths: list[Path]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Of each event the triplets above the cut, whether they are good, key-point labels, and the true key points."""
    detector, options, rng = load_detector("toy"), LabelOptions(), np.random.default_rng(0)
    made = []
    for path in paths:
        with EventStore.open({"truth": path}) as store:
            fed = FedStore(store)
            for i in range(len(store)):
                event = fed.event(i)
                found = triplet_products(detector, event, TripletOptions())
                deposits, particles = event["wire_deposits"], event["particles"]
                labels = label_event(found["pixels"], found["triplets"], deposits, particles, options)
                good = labels.good == 1
                kept = rng.random(len(good)) < np.where(good, KEPT, GHOSTS)
                true = true_key_points(particles, deposits, options)
                made.append((found["triplets"][kept], good[kept], labels.key_points[kept], true))
    return made


def measured(sample: list[tuple[np.ndarray, ...]], finder: Finder, spread: float, support: int) -> list[float]:
    """Shares of the true key points with a found one of their kind within 1 and 3 cm, of the found ones with a true one
    within 3 cm and without one within 5 cm, and key points per event."""
    rng, schema = np.random.default_rng(1), triplet_scores(("key_points",))
    true_distance, found_distance = [], []
    for triplets, good, labels, true in sample:
        scores = np.zeros(len(triplets), schema.dtype)
        scores["larmatch"] = np.where(good, 0.9, 0.6)
        for kind, name in enumerate(KEY_POINT_KINDS):
            scores[f"key_{name}"] = SCALE * labels[:, kind] + rng.normal(0, spread, len(triplets))
        found = finder(triplets, scores, support)
        true_distance.append(nearest(xyz(true), xyz(found), true["kind"], found["kind"]).distance)
        found_distance.append(nearest(xyz(found), xyz(true), found["kind"], true["kind"]).distance)
    true_all, found_all = np.concatenate(true_distance), np.concatenate(found_distance)
    return [
        float((true_all <= 1).mean()),
        float((true_all <= 3).mean()),
        float((found_all <= 3).mean()),
        float((found_all > 5).mean()),
        len(found_all) / len(sample),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path, help="event stores of the dataset wires")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/results/key_points.md")
    given = parser.parse_args()
    sample = events(given.stores)
    record = collect()
    changes = ", with changes" if record.get("dirty") else ""
    lines = [
        "# Key points of made-up scores",
        "",
        f"`python benchmarks/key_points.py {' '.join('/'.join(p.parts[-3:]) for p in given.stores)}`, "
        f"{record['created'][:10]}, commit `{str(record.get('commit', ''))[:10]}`{changes}: {len(sample)} simulated "
        f"events, radius {RADIUS:g} cm, scores of at least {LEAST:g}. Scores: {SCALE:g} of the label, with a spread "
        f"for each triplet; {KEPT:.0%} of the good triplets and {GHOSTS:.0%} of the ghosts are above the cut.",
        "",
        "| spread | maxima | support | found within 1 cm | within 3 cm | true within 3 cm | false (5 cm) | per event |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for spread in SPREADS:
        for name, finder in (("greedy", greedy), ("local", local_maxima)):
            for support in SUPPORTS:
                *shares, number = measured(sample, finder, spread, support)
                cells = " | ".join(f"{share:.3f}" for share in shares)
                lines.append(f"| {spread:g} | {name} | {support} | {cells} | {number:.1f} |")
                print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    if given.write:
        RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
