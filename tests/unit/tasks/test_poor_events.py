"""Every stage of the chain on events that have next to nothing: trained, deployed, judged and drawn like any other.

Events without voxels, of one voxel, of one cluster, of clusters of one class, of low-energy voxels alone; micro-batches
hold one of them each, so that nothing richer helps out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from grappa_events import Event, event, line, nothing, one_shower, particle, shower

from weft import tasks
from weft.config.experiment import Stage
from weft.engine.deploy import deploy
from weft.engine.evaluate import evaluate
from weft.engine.fit import fit, fit_baseline
from weft.engine.fixed import settle
from weft.errors import WeftError
from weft.io.products import CHARGE, CLUSTERS, LOW_ENERGY, META, PARTICLES, SEMANTICS, TRACK, VOXELS, EventId
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.metrics.scores import read_scores
from weft.reco.feed import SOURCES

EVERY = ["edge", "primary", "pid", "orientation", "momentum", "vertex"]
CNN = {"filters": 2, "depth": 2, "features": 4}
TRUNK: dict[str, Any] = {"filters": 2, "depth": 3, "reps": 1}
EMBEDDER = {**TRUNK, "input_kernel": 3, "spatial_size": 128}
GRAPH: dict[str, Any] = {"width": 4, "rounds": 2, "depth": 1}
BIPARTITE = {"kind": "bipartite", "primaries": "shower_primary"}
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "segmentation": ("segmentation", {"model": TRUNK}),
    "points, every scale": ("points", {"model": {**TRUNK, "ends": True}, "loss": {"same_particle": True}}),
    "points, three scales": (
        "points",
        {"model": {**TRUNK, "form": "scales3", "spatial_size": 128, "ppn1_size": 32, "ppn2_size": 64,
                   "use_true_masks": True, "semantic": True}},
    ),
    "spice of 2020": ("spice", {"model": EMBEDDER}),
    "spice of SPINE": ("spice", {"model": {**EMBEDDER, "clustering": {"rule": "greedy"}}, "loss": {"form": "bce"}}),
    "graph_spice": ("graph_spice", {"model": EMBEDDER, "loss": {"balance": True}}),
    "graph_spice, nearest neighbours": (
        "graph_spice",
        {"model": {**EMBEDDER, "features": "heads", "kernel": "default", "graph": {"kind": "knn", "k": 4}},
         "loss": {"equal_sampling": True}},
    ),
    "graph_spice, perceptron": ("graph_spice", {"model": {**EMBEDDER, "kernel": "mlp"}, "data": {"context": False}}),
    "fragments": ("fragments", {}),
    "candidates": ("candidates", {}),
    "shower": ("grappa", {"model": {"instance": "shower", **GRAPH}, "loss": {"edge": {"target": "forest"}}}),
    "shower, bipartite": ("grappa", {"model": {"instance": "shower", **GRAPH, "graph": BIPARTITE}}),
    "track, nnconv": ("grappa", {"model": {"instance": "track", "network": "nnconv", "width": 4, "rounds": 2}}),
    "particle, laid over": (
        "grappa",
        {"model": {"instance": "particle", **GRAPH, "graph": {"kind": "delaunay"}},
         "data": {"overlay": {"kind": "const", "events": 2}}},
    ),
    "interaction": ("grappa", {"model": {"instance": "interaction", **GRAPH, "heads": EVERY}}),
    "interaction, convolutions": (
        "grappa",
        {"model": {"instance": "interaction", **GRAPH, "encoder": "cnn", "cnn": CNN, "edge_encoder": "cnn",
                   "edge_cnn": CNN}},
    ),
}  # fmt: skip

#: One of each kind: to draw takes longer than all the rest.
DRAWN = ("segmentation", "points, every scale", "spice of 2020", "candidates", "shower", "interaction")


def one_voxel() -> Event:
    return event([particle(np.array([[4, 4, 4]]), TRACK, 13)])


def one_track() -> Event:
    return event([particle(line((10, 10, 10), (40, 20, 10)), TRACK, 13)])


def one_class() -> Event:
    return event([*shower((10, 10, 10), 0), *shower((10, 60, 60), 3)])


def scattered() -> Event:
    return event([particle(line((10, 10, 10), (20, 10, 10), 3), LOW_ENERGY, 11)])


POOR = (nothing, one_voxel, one_shower, one_track, one_class, scattered)


def written(path: Path, events: list[Event]) -> dict[str, Path]:
    schemas = [META, VOXELS, CHARGE, SEMANTICS, CLUSTERS, PARTICLES]
    with StoreWriter(path, schemas, provenance={}) as writer:
        for k, one in enumerate(events):
            writer.append(EventId(1, 0, k, k), {schema.name: one[schema.name] for schema in schemas})
    return {"truth": path}


def trained(built: Any, shard: dict[str, Path], n: int, output: Path) -> None:
    if not built.learned:
        settle(built, output, {}, 0)
        return
    stage = Stage.model_validate(
        {
            "task": built.name,
            "needs": {"truth": list(SOURCES)},
            "training": {"iterations": n, "batch_size": 1, "validate_every": n, "log_every": 1},
        }
    )
    if built.options.model_dump().get("data", {}).get("overlay", {}).get("kind") == "const":
        stage = stage.model_copy(update={"training": stage.require_training().model_copy(update={"batch_size": 2})})
    fit(built, stage, 0, [shard], [shard], output, output / "work", {})
    log = pd.read_csv(output / "log.csv")
    assert np.isfinite(log[log.split == "train"]["loss"]).all()


def judged(built: Any, shard: dict[str, Path], folder: Path, n: int, *, baseline: bool = False) -> Any:
    """Scores of the predictions of a run; all of its products have a place for every event."""
    deploy(built, folder / "model.ckpt", shard, folder / "out.h5", {}, baseline=baseline, batch_size=2)
    files = {**shard, "prediction": folder / "out.h5"}
    with EventStore.open(files) as store:
        assert all(len(store[f"prediction/{schema.name}"]) == n for schema in built.makes)
    evaluate(built, {"test": {"0000": files}}, folder / "scores")
    scores = read_scores(folder / "scores")
    assert len(scores.events) == n
    assert set(built.headline) <= set(built.summary(scores.events))
    return scores


@pytest.mark.parametrize("name", TASKS)
def test_every_stage_can_do_with_next_to_nothing(name: str, tmp_path: Path) -> None:
    built = tasks.build(*TASKS[name])
    shard, n = written(tmp_path / "poor.h5", [make() for make in POOR]), len(POOR)
    trained(built, shard, n, tmp_path / "model")
    scores = {"seed0": judged(built, shard, tmp_path / "model", n)}
    fit_baseline(built, [shard], tmp_path / "baseline", {}, 0)
    scores["baseline"] = judged(built, shard, tmp_path / "baseline", n, baseline=True)
    if name in DRAWN:
        assert built.figures(scores, "test")
    # A shard of events without a voxel.
    shard = written(tmp_path / "empty.h5", [nothing(), nothing()])
    scores = {"seed0": judged(built, shard, tmp_path / "model", 2)}
    scores["baseline"] = judged(built, shard, tmp_path / "baseline", 2, baseline=True)
    assert built.figures(scores, "test")


@pytest.mark.parametrize("name", ["spice of 2020", "shower"])
def test_a_training_on_nothing_at_all_teaches_nothing(name: str, tmp_path: Path) -> None:
    built = tasks.build(*TASKS[name])
    shard = written(tmp_path / "truth.h5", [nothing(), nothing()])
    trained(built, shard, 2, tmp_path / "model")
    assert built.figures({"seed0": judged(built, shard, tmp_path / "model", 2)}, "test")


def test_a_baseline_says_that_it_was_given_nothing(tmp_path: Path) -> None:
    shard = written(tmp_path / "truth.h5", [nothing(), nothing()])
    for name in ("segmentation", "shower"):
        with pytest.raises(WeftError, match=r"^the baseline (of grappa )?was given "):
            fit_baseline(tasks.build(*TASKS[name]), [shard], tmp_path / name, {}, 0)
