"""Scores of meshes: counts by number and by area against loops, classes that are absent, what does not fit."""

import numpy as np
import pandas as pd
import pytest
from made_meshes import CLASSES, plain
from mesh_store import MemoryStore, guess

from weft.errors import WeftError
from weft.metrics.scores import pool
from weft.tasks.mesh_segmentation.score import confusion_of, metrics, score_shard

CLASS_COUNT = len(CLASSES)


@pytest.fixture(scope="module")
def meshes():
    return [plain(seed=k, size=5) for k in range(3)]


@pytest.fixture(scope="module")
def scores(meshes):
    made = [guess(mesh, CLASS_COUNT, 0.3, seed=k) for k, mesh in enumerate(meshes)]
    return score_shard(MemoryStore(meshes, made), "test", "0000", CLASSES), made


def triangle(a, b, c):
    """Area by Heron's formula."""
    x, y, z = (float(np.linalg.norm(p - q)) for p, q in ((a, b), (b, c), (c, a)))
    s = (x + y + z) / 2
    return max(s * (s - x) * (s - y) * (s - z), 0) ** 0.5


def test_counts_equal_a_loop_over_faces(meshes, scores):
    tables, made = scores
    for k, (mesh, prediction) in enumerate(zip(meshes, made, strict=True)):
        faces, square, nll = np.zeros((3, 3)), np.zeros((3, 3)), 0.0
        for face, corners in enumerate(mesh["faces"]):
            true, called = int(mesh["truth/face_labels"][face, 0]), int(prediction["face_labels"][face, 0])
            if true < 0:
                continue
            faces[true, called] += 1
            square[true, called] += triangle(*mesh["vertices"][corners])
            nll -= np.log(float(prediction["face_probabilities"][face, true]))
        row = tables.events.iloc[[k]]
        np.testing.assert_array_equal(confusion_of(row)[0], faces)
        np.testing.assert_allclose(confusion_of(row, "a")[0], square, rtol=1e-5, atol=1e-6)
        assert row["sum_nll"].item() == pytest.approx(nll)
        assert row["n_faces"].item() == len(mesh["faces"])
        assert row["n_judged"].item() == faces.sum()


@pytest.mark.parametrize(("weighting", "prefix"), [("n", ""), ("a", "area_")])
def test_metrics_equal_their_definitions(scores, weighting, prefix):
    counts = pool(scores[0].events)
    m = confusion_of(counts, weighting)[0]
    found = metrics(counts, CLASSES).iloc[0]
    f1s, ious, recalls = [], [], []
    for c, name in enumerate(CLASSES):
        right, true, called = m[c, c], m[c].sum(), m[:, c].sum()
        precision, recall = right / called, right / true
        f1s.append(2 * precision * recall / (precision + recall))
        ious.append(right / (true + called - right))
        recalls.append(recall)
        for metric, value in (("precision", precision), ("recall", recall), ("f1", f1s[-1]), ("iou", ious[-1])):
            assert found[f"{prefix}{metric}_{name}"] == pytest.approx(value)
    assert found[f"{prefix}mean_f1"] == pytest.approx(np.mean(f1s))
    assert found[f"{prefix}mean_iou"] == pytest.approx(np.mean(ious))
    assert found[f"{prefix}mean_accuracy"] == pytest.approx(np.mean(recalls))
    assert found[f"{prefix}accuracy"] == pytest.approx(np.trace(m) / m.sum())
    assert found[f"{prefix}weighted_iou"] == pytest.approx((m.sum(axis=1) * ious).sum() / m.sum())


def test_a_large_face_weighs_more_by_area_only(meshes):
    mesh = meshes[0]
    right = guess(mesh, CLASS_COUNT, 0.0, probabilities=False)
    sizes = [triangle(*mesh["vertices"][corners]) for corners in mesh["faces"]]
    judged = mesh["truth/face_labels"][:, 0] >= 0
    values = {}
    for name, face in (
        ("large", int(np.argmax(sizes * judged))),
        ("small", int(np.argmin(np.where(judged, sizes, 9e9)))),
    ):
        wrong = right["face_labels"].copy()
        wrong[face] = (wrong[face] + 1) % CLASS_COUNT
        tables = score_shard(MemoryStore([mesh], [{"face_labels": wrong}]), "test", "0000", CLASSES)
        values[name] = metrics(pool(tables.events), CLASSES).iloc[0]
    assert values["large"]["accuracy"] == values["small"]["accuracy"] < 1
    assert values["large"]["area_accuracy"] < values["small"]["area_accuracy"] < 1


def test_classes_that_nobody_has_are_left_out_of_means(meshes):
    mesh = meshes[0]
    made = guess(mesh, 3, 0.0)
    made["face_probabilities"] = np.pad(made["face_probabilities"], ((0, 0), (0, 1)))
    tables = score_shard(MemoryStore([mesh], [made]), "test", "0000", (*CLASSES, "boat"))
    found = metrics(pool(tables.events), (*CLASSES, "boat")).iloc[0]
    assert found["mean_f1"] == 1
    assert found["area_mean_iou"] == pytest.approx(1)
    assert np.isnan(found["f1_boat"])


def test_each_face_counts_once_in_every_curve(meshes, scores):
    judged = sum(int((mesh["truth/face_labels"] >= 0).sum()) for mesh in meshes)
    for name in ("size", "reliability"):
        rows = scores[0].curves[scores[0].curves["curve"] == name]
        assert rows["n"].sum() == judged
        right = sum(confusion_of(scores[0].events)[:, c, c].sum() for c in range(3))
        assert rows["n_correct"].sum() == right


def test_without_probabilities_and_without_labels(meshes):
    made = [guess(mesh, CLASS_COUNT, 0.2, probabilities=False) for mesh in meshes]
    blank = [mesh | {"truth/face_labels": np.full_like(mesh["truth/face_labels"], -1)} for mesh in meshes]
    tables = score_shard(MemoryStore(meshes, made), "test", "0000", CLASSES)
    assert tables.events["sum_nll"].isna().all()
    assert set(tables.curves["curve"]) == {"size"}
    nothing = score_shard(MemoryStore(blank, made), "test", "0000", CLASSES)
    assert metrics(nothing.events, CLASSES)[["mean_f1", "accuracy", "area_mean_iou"]].isna().all(axis=None)
    pd.testing.assert_series_equal(nothing.events.dtypes, tables.events.dtypes)
    pd.testing.assert_series_equal(nothing.curves.dtypes, tables.curves.dtypes)


def test_what_does_not_fit_is_named(meshes):
    mesh = meshes[0]
    made = guess(mesh, CLASS_COUNT, 0.1)
    bad = {
        "rows": (made | {"face_labels": made["face_labels"][:-2]}, r"shard 7: mesh 1/0/0: .*rows"),
        "class": (made | {"face_labels": made["face_labels"] + 5}, r"prediction/face_labels: class \d"),
        "shape": (made | {"face_probabilities": made["face_probabilities"][:, :2]}, r"shape \(\d+, 2\), expected"),
        "sum": (made | {"face_probabilities": made["face_probabilities"] * 2}, r"sum to 1"),
    }
    for prediction, message in bad.values():
        with pytest.raises(WeftError, match=message):
            score_shard(MemoryStore([mesh], [prediction]), "test", "7", CLASSES)
    with pytest.raises(WeftError, match=r"truth/face_labels: class 2 of face"):
        score_shard(MemoryStore([mesh], [made]), "test", "7", CLASSES[:2])
    with pytest.raises(WeftError, match="n_0_0"):
        confusion_of(pd.DataFrame({"uid": [1]}))
