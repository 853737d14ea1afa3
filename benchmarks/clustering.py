"""DBSCAN, its cut at points, and clustering metrics against the number of voxels, beside SPINE's and scikit-learn's.

    NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/clustering.py [--rounds 3] [--longest 60] [--write]

Synthetic events of tracks and showers in a cube of 768 voxels. All do the same in the same process, on one thread; the
lowest processor time of the rounds. SPINE is left out where it compares all pairs of voxels for longer than `--longest`
seconds, extrapolated from the event before, or in more memory than there is.

* dbscan: connected components, eps 1.999, of all voxels.
* cut: the same, cut at one point in 200 voxels (masked DBSCAN, radius 5).
* metrics: ARI, AMI, SBD, purity and efficiency of the two answers; SPINE's AMI is another, cheaper number, scikit-learn
  has ARI and AMI of these.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics as sklearn_metrics
from sklearn.cluster import DBSCAN

from weft.io.provenance import processor
from weft.metrics.clustering import contingency
from weft.reco.dbscan import dbscan, masked_dbscan
from weft.sparse.benchmark import commit
from weft.sparse.synthetic import synthetic_event

RESULT = Path(__file__).parent / "results" / "clustering.md"
SIZES = [1_000, 5_000, 20_000, 50_000, 100_000, 200_000]
EPS, RADIUS = 1.999, 5.0


def ours(voxels: np.ndarray, points: np.ndarray) -> dict[str, Callable[[], Any]]:
    whole = dbscan(voxels, EPS)
    cut = masked_dbscan(voxels, points, EPS, mask_radius=RADIUS)

    def metrics() -> Any:
        table = contingency(cut, whole)
        return table.ari, table.ami, table.sbd, table.purity(), table.efficiency()

    return {
        "dbscan": lambda: dbscan(voxels, EPS),
        "cut": lambda: masked_dbscan(voxels, points, EPS, mask_radius=RADIUS),
        "metrics": metrics,
    }


def scikit_learn(voxels: np.ndarray, points: np.ndarray) -> dict[str, Callable[[], Any]]:
    whole, cut = dbscan(voxels, EPS), masked_dbscan(voxels, points, EPS, mask_radius=RADIUS)
    scores = sklearn_metrics.adjusted_rand_score, sklearn_metrics.adjusted_mutual_info_score
    return {
        "dbscan": lambda: DBSCAN(eps=EPS, min_samples=1).fit_predict(voxels),
        "metrics": lambda: [score(cut, whole) for score in scores],
    }


def spine(voxels: np.ndarray, points: np.ndarray) -> dict[str, Callable[[], Any]]:
    if importlib.util.find_spec("spine") is None:
        return {}
    from spine.math.cluster import DBSCAN as SpineDBSCAN
    from spine.math.metrics import cluster_metrics
    from spine.model.common.point_break import PointBreakClusterer

    whole, cut = dbscan(voxels, EPS), masked_dbscan(voxels, points, EPS, mask_radius=RADIUS)
    single, breaker = voxels.astype(np.float32), PointBreakClusterer(eps=EPS, mask_radius=RADIUS)
    return {
        "dbscan": lambda: SpineDBSCAN(EPS, 1, "euclidean", 2.0).fit_predict(single),
        "cut": lambda: breaker(single, points.astype(np.float32)),
        "metrics": lambda: cluster_metrics(cut, whole, ("ari", "ami", "sbd", "pur", "eff")),
    }


def measure(rounds: int, longest: float) -> list[str]:
    rows = []
    before: dict[str, tuple[int, float]] = {}
    makers = {"weft": ours, "scikit-learn": scikit_learn, "SPINE": spine}
    for size in [1_000, *SIZES]:  # the first only compiles
        voxels = synthetic_event(np.random.default_rng(size), size).astype(np.int64)
        points = voxels[::200] + 0.5
        cells = [f"{len(voxels):,}"]
        for step in ("dbscan", "cut", "metrics"):
            times = []
            for name, make in makers.items():
                run = make(voxels, points).get(step)
                key = f"{name} {step}"
                n, last = before.get(key, (len(voxels), 0.0))
                if run is None or last * (len(voxels) / n) ** 2 > longest:
                    times.append("—")
                    continue
                try:
                    best = min(_seconds(run) for _ in range(rounds))
                except MemoryError:  # a matrix of all pairs
                    best = float("inf")
                before[key] = len(voxels), best
                times.append(f"{1e3 * best:.1f}" if best < float("inf") else "—")
            cells.append(" / ".join(times))
        rows.append("| " + " | ".join(cells) + " |")
        if len(rows) == 1:
            before.clear()
    return rows[1:]


def _seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--longest", type=float, default=60.0, help="seconds")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    rows = measure(arguments.rounds, arguments.longest)
    installed = [
        name
        for name in ("spine", "scikit-learn", "numpy")
        if importlib.util.find_spec(name.replace("scikit-learn", "sklearn"))
    ]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in installed)
    text = "\n".join(
        [
            "# Clustering\n",
            "    NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/clustering.py --write\n",
            "Milliseconds of processor time of one event, weft / scikit-learn / SPINE; — where there is no such or it "
            "would take too long, or more memory than there is.\n",
            "| voxels | dbscan | cut | metrics |",
            "|---|---|---|---|",
            *rows,
            "",
            f"{processor()}, one thread, {versions}; {datetime.date.today()}, commit {commit()}.",
        ]
    )
    print(text)
    if arguments.write:
        RESULT.write_text(text + "\n")


if __name__ == "__main__":
    main()
