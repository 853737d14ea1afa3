"""The file of every task's baseline: absent, cut off, foreign or of another task it is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from grappa_events import two_interactions
from made_meshes import CLASSES
from made_meshes import plain as mesh
from wire_events import event as wire_event

from weft import tasks
from weft.errors import WeftError

SMALL = {"iterations": 3, "leaves": 4, "min_leaf": 2}
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "segmentation": ("segmentation", {"baseline": SMALL}),
    "points": ("points", {}),
    "spice": ("spice", {}),
    "graph_spice": ("graph_spice", {}),
    "fragments": ("fragments", {}),
    "candidates": ("candidates", {}),
    "shower": ("grappa", {"model": {"instance": "shower"}, "baseline": SMALL}),
    "interaction": ("grappa", {"model": {"instance": "interaction", "heads": ["edge", "pid"]}, "baseline": SMALL}),
    "reconstruction": ("reconstruction", {}),
    "space_points": ("space_points", {}),
    "mesh_segmentation": ("mesh_segmentation", {"data": {"classes": list(CLASSES)}, "baseline": SMALL}),
    "larmatch": ("larmatch", {"baseline": {"kind": "trees", "per_event": 200, "trees": SMALL}}),
    "larmatch_perceptron": (
        "larmatch",
        {"baseline": {"kind": "perceptron", "per_event": 200, "perceptron": {"hidden": [4], "epochs": 2}}},
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fitted")
    for name, (task, options) in TASKS.items():
        baseline = tasks.build(task, options).baseline()
        event = {"larmatch": wire_event, "mesh_segmentation": lambda k: mesh(seed=k)}.get(task, two_interactions)
        baseline.fit((event(k) for k in range(3)), seed=0)
        baseline.save(folder / name)
    return {name: folder / name for name in TASKS}


def load(name: str, path: Path) -> Any:
    task, options = TASKS[name]
    return tasks.build(task, options).load_baseline(path)


def refusal(name: str, path: Path) -> str:
    with pytest.raises(WeftError) as caught:
        load(name, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", TASKS)
def test_files_that_are_not_of_this_baseline_are_refused(name: str, saved: dict[str, Path], tmp_path: Path) -> None:
    whole = saved[name].read_bytes()
    path = tmp_path / "model.ckpt"
    assert "cannot be read" in refusal(name, path)
    for share in (0.0, 0.3, 0.75, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        assert "cut off" in refusal(name, path) or "not a fitted" in refusal(name, path)
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    assert "not a fitted" in refusal(name, path)
    own = refusal(name, path).partition("not a fitted ")[2]
    for other, file in saved.items():
        path.write_bytes(file.read_bytes())
        if TASKS[other][0] == TASKS[name][0] or {other, name} == {"spice", "graph_spice"}:  # these share a baseline
            load(name, path)
        else:
            assert own in refusal(name, path)
