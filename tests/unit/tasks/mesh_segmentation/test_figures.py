"""The report of meshes: what its tables and figures say."""

import pytest
from made_meshes import CLASSES, plain
from mesh_store import MemoryStore, guess

from weft.errors import WeftError
from weft.metrics.scores import Scores, concat, pool
from weft.tasks.mesh_segmentation.event_views import event_figures
from weft.tasks.mesh_segmentation.figures import figures
from weft.tasks.mesh_segmentation.score import metrics, score_shard


def judged(wrong, splits=("test",), classes=CLASSES) -> Scores:
    meshes = [plain(seed=k, size=6, boxes=2) for k in range(3)]
    made = [guess(mesh, len(classes), wrong, seed=k) for k, mesh in enumerate(meshes)]
    return concat([score_shard(MemoryStore(meshes, made), split, "0000", classes) for split in splits])


@pytest.fixture(scope="module")
def scores():
    splits = ("test", "test_torn")
    return {"seed0": judged(0.1, splits), "seed1": judged(0.12, splits), "baseline": judged(0.4, splits)}


@pytest.fixture(scope="module")
def made(scores):
    return {figure.key: figure for figure in figures(scores, "test", CLASSES)}


def test_all_that_is_shown(made):
    expected = ["overall", "classes", "classes-by-area", "confusion", "sizes", "per-mesh", "reliability", "shifts"]
    assert list(made) == expected


def test_numbers_of_the_tables_are_those_of_the_scores(scores, made):
    table = made["overall"].table.set_index("metric")
    events = scores["baseline"].events
    found = metrics(pool(events[events["split"] == "test"]), CLASSES).iloc[0]
    assert table.loc["mean F1, faces", "baseline"] == f"{found['mean_f1']:.4f}"
    assert table.loc["mean IoU, area", "baseline"] == f"{found['area_mean_iou']:.4f}"
    assert table.loc["mean F1, faces", "verdict"] == "beats"
    assert "±" in table.loc["mean F1, faces", "model"]
    assert table.loc["−ln probability of the true class, smaller is better", "verdict"] == "beats"
    classes = made["classes"].table.set_index("class")
    assert classes.loc["wall", "F1, model / baseline"].endswith(f"/ {found['f1_wall']:.3f}")
    by_area = made["classes-by-area"].table.set_index("class")
    assert by_area.loc["roof", "IoU, model / baseline"].endswith(f"/ {found['area_iou_roof']:.3f}")
    assert len(made["shifts"].table) == 2


def test_a_class_that_nobody_has_is_named():
    four = (*CLASSES, "boat")

    def made(wrong):
        meshes = [plain(seed=k, size=6, boxes=2) for k in range(2)]
        predictions = [guess(mesh, 3, wrong, probabilities=False) for mesh in meshes]
        return score_shard(MemoryStore(meshes, predictions), "test", "0000", four)

    shown = {figure.key: figure for figure in figures({"seed0": made(0.1), "baseline": made(0.2)}, "test", four)}
    assert "neither truth nor prediction has a face of them: boat (seed0); boat (baseline)" in shown["overall"].caption
    assert "reliability" not in shown
    assert shown["classes"].table.set_index("class").loc["boat", "faces"] == 0


def test_without_a_baseline():
    shown = {figure.key: figure for figure in figures({"seed0": judged(0.1)}, "test", CLASSES)}
    assert "baseline" not in shown["overall"].table
    assert "shifts" not in shown


def test_a_split_that_was_not_scored_is_an_error(scores):
    with pytest.raises(WeftError, match="no scored events"):
        figures(scores, "other", CLASSES)


def test_the_viewer_of_a_mesh():
    mesh = plain(seed=1, size=6)
    (figure,) = event_figures(MemoryStore([mesh], [guess(mesh, 3, 0.1)]), 0, "the middle one", CLASSES)
    assert figure.html is not None
    assert all(name in figure.html for name in ('"truth"', '"prediction"', '"errors"', '"texture"'))
    assert "Mesh 1/0/0, the middle one." in figure.caption
