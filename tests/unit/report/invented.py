"""Invented events, trainings and scores that look like real ones, for the pages under test."""

from __future__ import annotations

import numpy as np
import pandas as pd

from weft.report.comparison import Comparison, compare
from weft.report.display import Grid, event_payload
from weft.report.figure import Figure
from weft.report.page import Cover, StageReport

SHIFTS = (("lifetime_low", 0.968), ("noise_high", 0.931), ("dead_map", 0.915))
GRID = Grid(origin=(-38.4, -38.4, 0.0), size=(0.3, 0.3, 0.3), shape=(256, 256, 256))


def _walk(rng, start, direction, steps, wiggle, step=1.0):
    points = [np.asarray(start, float)]
    direction = np.asarray(direction, float) / np.linalg.norm(direction)
    for _ in range(steps):
        direction = direction + wiggle * rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        points.append(points[-1] + step * direction)
    return np.array(points), direction


def event(seed: int):
    """(voxels int [N, 3], charge [N] MeV, truth [N]): tracks with a Bragg peak, deltas, a Michel, showers, blips."""
    rng = np.random.default_rng(seed)
    parts = []

    def add(points, energy, label):
        parts.append((np.rint(points).astype(int), np.broadcast_to(energy, len(points)).copy(), label))

    vertex = rng.uniform(90, 160, 3)
    for k in range(4):
        n = int(rng.integers(50, 190))
        points, direction = _walk(rng, vertex, rng.normal(size=3), n, 0.02)
        residual = 0.3 * np.arange(n, -1, -1) + 0.15
        add(points, np.clip(0.55 + 0.9 * residual**-0.6, 0, 4) * rng.lognormal(0, 0.2, n + 1), 1)
        for _ in range(2):
            start = points[int(rng.integers(5, n - 5))]
            add(_walk(rng, start, rng.normal(size=3), int(rng.integers(4, 12)), 0.25)[0], 0.5, 3)
        if k == 0:
            add(_walk(rng, points[-1], -direction + rng.normal(size=3), 38, 0.16)[0], 0.55, 2)
    for _ in range(2):
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        start = vertex + axis * rng.uniform(8, 30)
        for depth in rng.gamma(2.2, 14, 46):
            side = rng.normal(size=3) * 0.05 * depth
            add(_walk(rng, start + depth * axis + side, axis, int(rng.integers(4, 22)), 0.14)[0], 0.6, 0)
    for _ in range(90):
        add(rng.uniform(20, 236, 3) + rng.normal(0, 0.7, (int(rng.integers(1, 4)), 3)), 0.25, 4)

    voxels = np.concatenate([p for p, _, _ in parts])
    charge = np.concatenate([e for _, e, _ in parts]) * rng.lognormal(0, 0.25, len(voxels))
    truth = np.concatenate([np.full(len(p), label) for p, _, label in parts])
    inside = ((voxels >= 0) & (voxels < 256)).all(axis=1)
    voxels, index = np.unique(voxels[inside], axis=0, return_index=True)
    return voxels, charge[inside][index].astype(np.float32), truth[inside][index].astype(np.int8)


def prediction(voxels, truth, seed: int, blunder: float):
    """(classes [N], scores [N]): wrong in whole neighbourhoods, as networks are."""
    rng = np.random.default_rng(seed)
    predicted = truth.copy()
    for _ in range(int(60 * blunder)):
        middle = voxels[rng.integers(len(voxels))]
        near = np.linalg.norm(voxels - middle, axis=1) < rng.uniform(2, 14)
        predicted[near] = rng.choice([0, 1, 2, 3, 4], p=[0.4, 0.2, 0.1, 0.2, 0.1])
    score = np.where(predicted == truth, rng.beta(12, 1, len(truth)), rng.beta(4, 2, len(truth)))
    return predicted, score


def payloads():
    chosen = [
        ("worst 1", 0.9),
        ("worst 2", 0.7),
        ("worst 3", 0.55),
        ("best 1", 0.05),
        ("best 2", 0.08),
        ("best 3", 0.1),
    ]
    made = []
    for k, (label, blunder) in enumerate(chosen):
        voxels, charge, truth = event(100 + k)
        predicted, score = prediction(voxels, truth, k, blunder)
        right = (predicted == truth).mean()
        made.append(
            event_payload(
                voxels, charge, truth, predicted, score,
                grid=GRID, title=f"event 0/0/{17 + k}", label=label,
                subtitle=f"accuracy {right:.3f}, {len(voxels)} voxels, {charge.sum():.0f} MeV",
            )
        )  # fmt: skip
    return made


def log(seed: int, steps: int = 1500) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    step = np.arange(10, steps + 1, 10)
    loss = 0.12 + 1.4 * np.exp(-step / 180) + 0.25 * np.exp(-step / 900)
    train = pd.DataFrame({"step": step, "split": "train", "loss": loss * rng.lognormal(0, 0.16, len(step)), "lr": 1e-3})
    when = step[24::25]
    val = pd.DataFrame({"step": when, "split": "val", "loss": loss[24::25] * rng.lognormal(0.05, 0.05, len(when))})
    val["mean_iou"] = 0.86 - 0.5 * np.exp(-when / 420) + rng.normal(0, 0.008, len(when))
    val["accuracy"] = 0.975 - 0.2 * np.exp(-when / 250) + rng.normal(0, 0.002, len(when))
    return pd.concat([train, val], ignore_index=True).sort_values("step", kind="stable")


def event_scores(seed: int, quality: float, events: int = 240) -> pd.DataFrame:
    """Right and all voxels of each event."""
    shared = np.random.default_rng(7)
    n = shared.integers(800, 5000, events)
    hard = shared.normal(0, 0.02, events)
    rate = np.clip(quality + hard + np.random.default_rng(seed).normal(0, 0.005, events), 0, 1)
    return pd.DataFrame({"uid": np.arange(events, dtype=np.uint64), "n": n, "right": np.rint(n * rate)})


def metrics(counts: pd.DataFrame) -> pd.DataFrame:
    accuracy = counts["right"] / counts["n"]
    return pd.DataFrame({"accuracy": accuracy, "mean_iou": accuracy / (2 - accuracy)})


def comparisons(split: str = "test", quality: float = 0.975, seeds=(0, 1, 2)) -> list[Comparison]:
    models = {f"seed{k}": event_scores(k, quality) for k in seeds}
    return compare(metrics, ["mean_iou", "accuracy"], split, models, event_scores(9, 0.93), replicas=200)


def provenance(seed: int | None, commit: str = "f74b47c0d1e2") -> dict:
    record = {
        "weft": "0.1.0", "commit": commit, "dirty": False, "created": "2026-01-01T12:00:00+00:00",
        "device": "a processor (2 cores)", "wall_time_s": 1312.4, "peak_memory_mb": 1840.2,
        "config_hash": "ab12cd34ef56ab12", "config": {"task": "segmentation", "optimizer": {"lr": 3e-3}},
        "inputs": {"train/0000": "9f" * 32}, "packages": {"numpy": "2.4.0"},
    }  # fmt: skip
    if seed is not None:
        record |= {"parameters": 2745845, "best_step": 1250}
    return record


def classes_table() -> Figure:
    names = ["shower", "track", "Michel", "delta", "low-energy"]
    table = pd.DataFrame(
        {
            "class": names,
            "voxels": [183402, 251877, 9120, 12044, 8873],
            "recall": [0.981, 0.991, 0.842, 0.811, 0.902],
            "precision": [0.977, 0.993, 0.871, 0.842, 0.861],
            "IoU": [0.959, 0.984, 0.751, 0.704, 0.788],
            "IoU, baseline": [0.861, 0.943, 0.312, 0.388, 0.611],
        }
    )
    return Figure("classes", "Per class", "Pooled over the voxels of all test events.", table=table)


def confusion() -> Figure:
    from matplotlib.figure import Figure as Canvas

    from weft.report.palette import INK, style, to_svg

    names = ["shower", "track", "Michel", "delta", "low-en."]
    rng = np.random.default_rng(3)
    matrix = np.eye(5) * 12 + rng.uniform(0, 1, (5, 5))
    matrix /= matrix.sum(axis=1, keepdims=True)
    with style():
        canvas = Canvas(figsize=(4.6, 3.6))
        axis = canvas.subplots()
        axis.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
        axis.grid(False)
        axis.set_xticks(range(5), names)
        axis.set_yticks(range(5), names)
        axis.set_xlabel("predicted")
        axis.set_ylabel("true")
        for i in range(5):
            for j in range(5):
                axis.text(j, i, f"{matrix[i, j]:.2f}", ha="center", va="center", fontsize=8,
                          color="white" if matrix[i, j] > 0.5 else "#1b2331")  # fmt: skip
        svg = to_svg(canvas, "confusion", "Confusion matrix")
    assert INK not in svg
    return Figure("confusion", "Confusion", "Rows add up to one.", svg=svg)


def slices() -> Figure:
    from matplotlib.figure import Figure as Canvas

    from weft.report.palette import BASELINE_COLOR, SERIES_COLORS, style, to_svg

    energy = np.geomspace(20, 800, 12)
    with style():
        canvas = Canvas(figsize=(4.9, 3.4))
        axis = canvas.subplots()
        axis.errorbar(energy, 0.98 - 1.2 / energy**0.8, 0.01, fmt="o-", color=SERIES_COLORS[0], label="U-ResNet")
        axis.errorbar(energy, 0.93 - 2.2 / energy**0.7, 0.012, fmt="s-", color=BASELINE_COLOR, label="baseline")
        axis.set_xscale("log")
        axis.set_xlabel("particle energy [MeV]")
        axis.set_ylabel("fraction of voxels called right")
        axis.legend()
        svg = to_svg(canvas, "slices", "Accuracy by energy")
    return Figure("energy", "By particle energy", "Bars: 68 % interval over particles.", svg=svg)


def page() -> tuple[Cover, list[StageReport]]:
    cover = Cover(
        name="segmentation-study",
        title="Voxel segmentation with U-ResNet <3 mm> & trees",
        description="Each voxel of a liquid-argon event is a shower, track, Michel, delta-ray or low-energy deposit.",
        facts={"dataset": "Simulated liquid-argon TPC events (lartpc-study)", "scale": "study", "seeds": "0, 1, 2",
               "code": "f74b47c0d1"},
        rerun=[("Everything, from nothing", "snakemake --cores 2 segmentation --config scale=study")],
    )  # fmt: skip
    stage = StageReport(
        name="uresnet",
        task="segmentation",
        variants=["seed0", "seed1", "seed2", "baseline"],
        comparisons=comparisons(),
        shifts=[comparisons(*shift)[0] for shift in SHIFTS],
        figures=[classes_table(), confusion(), slices()],
        displays=payloads(),
        displayed="The three test events with the lowest and the highest mean IoU of seed0.",
        logs={f"seed{k}": log(k) for k in range(3)},
        provenance={f"seed{k}": provenance(k) for k in range(3)} | {"baseline": provenance(None)},
        rerun=[("Train one seed", "weft train segmentation --scale study --stage uresnet --variant seed0")],
        notes=["The baseline was made by another version of the code (0a1b2c3d4e) than the models (f74b47c0d1)."],
    )  # fmt: skip
    return cover, [stage]
