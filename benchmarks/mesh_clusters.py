"""Clusters of the faces of a mesh: time, how compact they are, how much of a batch is padding.

    OMP_NUM_THREADS=1 python benchmarks/mesh_clusters.py            # a minute of processor time; prints the tables
    OMP_NUM_THREADS=1 python benchmarks/mesh_clusters.py --write    # and writes benchmarks/results/mesh_clusters.md

Processor time of one thread, so that other users of the machine do not count. Faces are those of simulated towns laid
side by side; spread is the r.m.s. distance of a face from the centre of its cluster. "scikit-learn" is its KMeans, one
start and ten rounds, with as many clusters as faces over the cap.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from sklearn.cluster import KMeans

from weft.io.provenance import collect
from weft.meshes.adjacency import neighbours
from weft.meshes.clusters import cluster_faces
from weft.meshes.features import cluster_centres
from weft.meshes.geometry import centroids
from weft.meshes.samples import compact_samples, covering, prediction_parts
from weft.meshes.smoothing import smooth_labels
from weft.meshes.surface import DEFAULT, face_surface
from weft.simulation.towns.settings import TownSettings
from weft.simulation.towns.town import simulate_town
from weft.tasks.mesh_segmentation.clustered import PASSES

RESULT = Path(__file__).resolve().parent / "results" / "mesh_clusters.md"
CAP, PER_SAMPLE, CONTEXT, SEED = 128, 16, 4, 7
T = TypeVar("T")


def timed(what: Callable[[], T]) -> tuple[T, float]:
    start = time.process_time()
    made = what()
    return made, time.process_time() - start


def mesh(faces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and labels of as many towns as have so many faces, on a square of them, of which the first."""
    vertices, corners, labels, total = [], [], [], 0
    settings = TownSettings()
    while sum(map(len, corners)) < faces:
        town = simulate_town(settings, SEED, len(corners)).surface
        place = np.array(divmod(len(corners), 4)) * settings.edge - town.vertices[:, :2].min(axis=0)
        vertices.append(town.vertices + np.append(place, 0))
        corners.append(town.faces + total)
        labels.append(town.labels)
        total += len(town.vertices)
    return np.concatenate(vertices), np.concatenate(corners)[:faces], np.concatenate(labels)[:faces]


def spread(points: np.ndarray, clusters: np.ndarray) -> float:
    return float(np.sqrt(np.square(points - cluster_centres(points, clusters)[clusters]).sum(axis=1).mean()))


def clusterings(points: np.ndarray) -> list[str]:
    """Rows of the table of clusterings, for all of the points and for the first of them."""
    rows = []
    for n in sorted({20_000, 100_000, len(points)}):
        some = points[:n]
        ways: dict[str, Callable[[], np.ndarray]] = {
            f"{method}{'' if seed is None else ', another one'}": (
                lambda method=method, seed=seed, some=some: cluster_faces(some, CAP, method=method, seed=seed)
            )
            for method in ("split", "kmeans")
            for seed in (None, 1)
        }
        if n == 20_000:
            means = KMeans(math.ceil(n / CAP), n_init=1, max_iter=10, algorithm="lloyd", random_state=0)
            ways["scikit-learn, no cap"] = lambda some=some, means=means: means.fit(some).labels_
        for way, run in ways.items():
            clusters, spent = timed(run)
            counts = np.bincount(clusters)
            padding = 1 - n / (len(counts) * counts.max())
            rows.append(
                f"| {n} | {way} | {spent:.2f} | {len(counts)} | {counts.min()} to {counts.max()} | "
                f"{100 * padding:.0f} % | {spread(some, clusters):.2f} |"
            )
            print(rows[-1], flush=True)
    return rows


def rest(vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray) -> list[str]:
    """Rows of the table of what is done with clusters, and beside them."""
    points = centroids(vertices[faces])
    centres = cluster_centres(points, cluster_faces(points, CAP))
    around, sampled = timed(lambda: compact_samples(centres, PER_SAMPLE))
    passes, drawn = timed(lambda: [covering(around, number) for number in range(PASSES)])
    samples = around[passes[0]]
    compact = np.sqrt(np.mean([np.square(centres[s] - centres[s].mean(axis=0)).sum(axis=1).mean() for s in samples]))
    parts, parted = timed(lambda: prediction_parts(centres, PER_SAMPLE, CONTEXT))
    surface, measured = timed(lambda: face_surface(vertices, faces, DEFAULT))
    near, found = timed(lambda: neighbours(vertices, faces))
    rng = np.random.default_rng(0)
    said = np.where(rng.random(len(faces)) < 0.2, rng.integers(0, labels.max() + 1, len(faces)), labels)
    sure = np.full((len(faces), int(labels.max()) + 1), 0.4 / labels.max())
    sure[np.arange(len(faces)), said] = 0.6
    smoothed, spent = timed(lambda: smooth_labels(sure, near, 1.0))
    ground = np.median(np.abs(surface[labels == 1, 0]))
    rows = [
        f"| compact samples of {PER_SAMPLE} around {len(centres)} clusters | {sampled:.2f} | spread {compact:.1f} m |",
        f"| {PASSES} passes of training, the first with {len(samples)} samples | {drawn:.2f} | |",
        f"| {len(parts)} parts for prediction, {CONTEXT} clusters of {PER_SAMPLE} being context | {parted:.2f} | |",
        f"| heights and roughness of {len(faces)} faces | {measured:.2f} | "
        f"terrain is {ground:.2f} m high in the median |",
        f"| {len(near.pairs)} pairs of neighbours | {found:.2f} | |",
        f"| labels smoothed, a fifth of them drawn at random | {spent:.2f} | "
        f"right: {100 * (said == labels).mean():.1f} % before, {100 * (smoothed == labels).mean():.1f} % after |",
    ]
    print("\n".join(rows), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the tables too")
    parser.add_argument("--faces", type=int, default=300_000, help="of the largest mesh")
    asked = parser.parse_args()
    vertices, faces, labels = mesh(asked.faces)
    table = [
        "| faces | clusters | processor time, s | number | faces of one | padding | spread, m |",
        "|---|---|---|---|---|---|---|",
        *clusterings(centroids(vertices[faces])),
    ]
    other = ["| what | processor time, s | |", "|---|---|---|", *rest(vertices, faces, labels)]
    if asked.write:
        machine = collect()
        text = [
            "# Clusters of faces",
            "",
            f"`python benchmarks/mesh_clusters.py --write --faces {asked.faces}`, {machine['created'][:10]}, "
            f"{machine['device']}, commit `{machine['commit'][:10]}`{', with changes' if machine['dirty'] else ''}: "
            f"processor time of one thread; faces of simulated towns, at most {CAP} in a cluster.",
            "",
            *table,
            "",
            *other,
        ]
        RESULT.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
