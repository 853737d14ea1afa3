"""Graphs of clusters beside SPINE's: closest voxels, features of nodes and edges, and groups.

    NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/graph.py [--rounds 3] [--longest 60] [--write]

Synthetic events of tracks and showers in a cube of 768 voxels, cut into clusters. Both do the same in the same process,
in turns, on one thread; the median of the processor time. SPINE is left out where one round of a step would take longer
than `--longest` seconds, extrapolated from a smaller event.

* closest: the closest pair of voxels of all pairs of clusters (a complete graph without a limit of length), which is
  also what edge features are made of.
* iterative: the same by both one's iterative search, which is not exact.
* nodes: 33 features (energies, class, ends, directions, energy loss).
* edges: 19 features of both directions of all edges, given the closest pairs.
* groups: the score method, on the complete graph with noisy scores.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from weft.bench.spine_setup import spine_grouping
from weft.graph.build import build_graph
from weft.graph.compositions import COMPOSITIONS
from weft.graph.features import edge_features, node_features, reverse
from weft.graph.grouping import group_by_score
from weft.io.products import Ragged
from weft.io.provenance import processor
from weft.sparse.benchmark import commit
from weft.sparse.synthetic import synthetic_event

RESULT = Path(__file__).parent / "results" / "graph.md"
SIZES = [(10, 1_000), (20, 4_000), (50, 10_000), (100, 30_000), (200, 60_000), (500, 200_000)]
#: The number of clusters held still, to see the growth with voxels alone.
GROWTH = [(50, 1_000), (50, 4_000), (50, 10_000), (50, 50_000), (50, 200_000)]
STEPS = ["closest", "iterative", "nodes", "edges", "groups"]


class Event:
    """Clusters of nearby voxels: a synthetic event, divided at seeds drawn from its voxels."""

    def __init__(self, clusters: int, voxels: int, seed: int = 0) -> None:
        from scipy.spatial import cKDTree

        rng = np.random.default_rng(seed)
        self.coords = synthetic_event(rng, voxels).astype(np.float32)
        seeds = self.coords[rng.choice(len(self.coords), clusters, replace=False)]
        owner = cKDTree(seeds).query(self.coords)[1]
        self.rows = [np.flatnonzero(owner == k) for k in range(clusters)]
        self.nodes = Ragged.of(self.rows)
        self.values = rng.gamma(2, 1, len(self.coords)).astype(np.float32)
        self.shapes = rng.integers(0, 4, clusters)
        self.starts = self.coords[[row[0] for row in self.rows]]
        self.ends = self.coords[[row[-1] for row in self.rows]]
        pairs = np.stack(np.triu_indices(clusters, 1), 1)
        self.edges = np.stack([pairs, pairs[:, ::-1]], 1).reshape(-1, 2)
        group = rng.integers(0, clusters // 4, clusters)
        same = group[self.edges[:, 0]] == group[self.edges[:, 1]]
        on = rng.normal(np.where(same, 3, -3), 1.5)
        self.logits = np.stack([np.zeros(len(on)), on], 1)
        self.scores = 1 / (1 + np.exp(-on))
        self.graph = build_graph(self.coords, self.nodes)


def ours(event: Event) -> dict[str, Callable[[], Any]]:
    """What each step does here."""

    def edges() -> np.ndarray:
        forward = edge_features(event.coords, event.nodes, event.graph.edges, event.graph.closest)
        return np.stack([forward, reverse(forward)], 1).reshape(-1, 19)

    return {
        "closest": lambda: build_graph(event.coords, event.nodes),
        "iterative": lambda: build_graph(event.coords, event.nodes, algorithm="iterative"),
        "nodes": lambda: node_features(
            event.coords, event.nodes, COMPOSITIONS[33], values=event.values, shapes=event.shapes,
            starts=event.starts, ends=event.ends,
        ),
        "edges": edges,
        "groups": lambda: group_by_score(event.edges, event.scores, len(event.nodes)),
    }  # fmt: skip


def theirs(event: Event) -> dict[str, Callable[[], Any]]:
    """The same steps in SPINE."""
    from spine.cluster.direction import get_cluster_dedxs, get_cluster_directions
    from spine.cluster.features import get_cluster_features
    from spine.cluster.graph import get_cluster_edge_features, inter_cluster_distance

    semantics = np.repeat(event.shapes, event.nodes.counts)[np.argsort(event.nodes.values)].astype(np.float32)
    n = len(event.rows)
    closest = np.zeros((n, n), np.int64)  # its form: position in the one times the size of the other plus position
    place = np.empty(len(event.coords), np.int64)
    for row in event.rows:
        place[row] = np.arange(len(row))
    sizes = event.nodes.counts
    (i, j), (first, second) = event.graph.edges.T, place[event.graph.closest].T
    closest[i, j], closest[j, i] = first * sizes[j] + second, second * sizes[i] + first

    def nodes() -> np.ndarray:
        parts = [get_cluster_features(event.coords, event.rows, event.values, semantics), event.starts, event.ends]
        for points in (event.starts, event.ends):
            parts.append(get_cluster_directions(event.coords, points, event.rows, 5.0, False))
        for points in (event.starts, event.ends):
            parts.append(get_cluster_dedxs(event.coords, event.values, points, event.rows, 5.0)[:, None])
        return np.concatenate(parts, 1)

    grouping = spine_grouping()
    return {
        "closest": lambda: inter_cluster_distance(event.coords, event.rows, return_index=True),
        "iterative": lambda: inter_cluster_distance(event.coords, event.rows, iterative=True, return_index=True),
        "nodes": nodes,
        "edges": lambda: get_cluster_edge_features(event.coords, event.rows, event.edges, closest),
        "groups": lambda: grouping.edge_assignment_score(event.edges, event.logits, n),
    }


def same(event: Event) -> None:
    """Both give the same, or what is timed is not the same work."""
    a, b = ours(event), theirs(event)
    np.testing.assert_allclose(a["edges"](), b["edges"](), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(a["groups"](), b["groups"]()[1])
    matrix = b["closest"]()[0]
    np.testing.assert_allclose(event.graph.lengths, matrix[tuple(event.graph.edges.T)], rtol=1e-5)
    mine, other = a["nodes"](), b["nodes"]()
    np.testing.assert_allclose(mine[:, :12], other[:, :12], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(mine[:, 15:], other[:, 15:], rtol=1e-3, atol=1e-3)


#: How the work of SPINE grows: with what power of the voxels, and of the clusters.
_POWER = {"closest": (2, 0), "iterative": (1, 1), "nodes": (1, 0), "edges": (0, 2), "groups": (0, 3)}


def measure(sizes: list[tuple[int, int]], rounds: int, longest: float) -> list[dict[str, Any]]:
    """Processor milliseconds of each step, for each size."""
    rows: list[dict[str, Any]] = []
    done: dict[str, tuple[int, int, float]] = {}
    for clusters, voxels in sizes:
        event = Event(clusters, voxels)
        mine, other = ours(event), theirs(event)
        row: dict[str, Any] = {"clusters": clusters, "voxels": len(event.coords), "directed": len(event.edges)}
        for step in STEPS:
            taken: dict[str, list[float]] = {"weft": [], "spine": []}
            expected = 0.0
            if step in done:
                c, v, seconds = done[step]
                expected = seconds * (clusters / c) ** _POWER[step][1] * (voxels / v) ** _POWER[step][0]
            for _ in range(rounds):
                for name, work in (("weft", mine[step]), ("spine", other[step])):
                    if name == "spine" and (expected > longest or sum(taken["spine"]) > longest):
                        continue
                    begun = time.process_time()
                    work()
                    taken[name].append(time.process_time() - begun)
            row[step] = [1000 * statistics.median(t) if t else None for t in taken.values()]
            if taken["spine"]:
                done[step] = (clusters, voxels, statistics.median(taken["spine"]))
        print(row, flush=True)
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"| clusters | voxels | directed edges | {' | '.join(STEPS)} | all but iterative |",
        "|---" * (4 + len(STEPS)) + "|",
    ]
    for row in rows:
        cells = [_cell(*row[step]) for step in STEPS]
        whole = [row[step] for step in STEPS if step != "iterative"]
        mine = sum(weft for weft, _ in whole)
        other = None if any(spine is None for _, spine in whole) else sum(spine for _, spine in whole)
        numbers = f"| {row['clusters']} | {row['voxels']:,} | {row['directed']:,} |"
        lines.append(f"{numbers} {' | '.join(cells)} | {_cell(mine, other)} |")
    return lines


def _cell(weft: float, spine: float | None) -> str:
    return (
        f"{weft:,.1f} / —"
        if spine is None
        else f"{weft:,.1f} / {spine:,.1f} ({spine / weft:,.{0 if spine > 10 * weft else 1}f}×)"
    )


def growth(rows: list[dict[str, Any]], step: str) -> float:
    """Power of the number of voxels with which the time here grows, from a fit over all sizes but the smallest."""
    rows = [row for row in rows if row["voxels"] > 3_000]
    time_, size = ([row[step][0] for row in rows], [row["voxels"] for row in rows])
    return float(np.polyfit(np.log(size), np.log(time_), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--longest", type=float, default=60.0, help="seconds that SPINE may take for a step")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT}")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="unsafe cast")
    same(Event(12, 600))  # compiles both, too
    rows = measure(SIZES, arguments.rounds, arguments.longest)
    grown = measure(GROWTH, arguments.rounds, 0.0)
    powers = ", ".join(f"{step} {growth(grown, step):.2f}" for step in ("closest", "iterative", "nodes"))
    lines = [
        "Milliseconds of processor time of one event, weft / SPINE (ratio); — where SPINE was not run for its length.",
        "",
        *table(rows),
        "",
        "The same number of clusters, more voxels:",
        "",
        *table(grown),
        "",
        f"Time grows with the power of the number of voxels: {powers}.",
        "",
        f"{processor()}, one thread, {arguments.rounds} rounds, SPINE {importlib.metadata.version('spine')}, "
        f"{datetime.date.today()}, commit {commit()}.",
    ]
    text = "\n".join(lines)
    print(text)
    if arguments.write:
        RESULT.write_text(f"# Graphs of clusters\n\n    {_COMMAND}\n\n{text}\n")


_COMMAND = "NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/graph.py --write"


if __name__ == "__main__":
    main()
