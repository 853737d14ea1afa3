"""Scores, figures, the viewer and the trees of segmented images, from small pictures in memory."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from small_images import CLASSES, MemoryStore, guess, image

from weft.errors import WeftError
from weft.metrics.scores import concat, pool
from weft.report.pictures import Layer, picture_viewer
from weft.tasks.image_segmentation.baseline import ImageBaseline
from weft.tasks.image_segmentation.baseline_options import BaselineOptions
from weft.tasks.image_segmentation.event_views import event_figures
from weft.tasks.image_segmentation.figures import figures
from weft.tasks.image_segmentation.score import CONFIDENCE_BINS, metrics, score_shard

EVENTS = [image(k) for k in range(4)]


def scores(wrong: float, split: str = "test", window=None):
    store = MemoryStore(EVENTS, [guess(event, wrong, k) for k, event in enumerate(EVENTS)])
    return score_shard(store, split, "0000", CLASSES, window)


def by_hand(truths, masks):
    """Metrics of all pixels together, pixel by pixel in words."""
    pairs = [(t, m) for truth, mask in zip(truths, masks, strict=True)
             for t, m in zip(truth.ravel().tolist(), mask.ravel().tolist(), strict=True) if t >= 0]  # fmt: skip
    ious, dices, recalls, weighted = [], [], [], 0.0
    for c in range(3):
        both = sum(t == m == c for t, m in pairs)
        true, called = sum(t == c for t, _ in pairs), sum(m == c for _, m in pairs)
        if true + called == 0:
            continue
        ious.append(both / (true + called - both))
        dices.append(2 * both / (true + called))
        if true:
            recalls.append(both / true)
            weighted += true / len(pairs) * ious[-1]
    accuracy = sum(t == m for t, m in pairs) / len(pairs)
    return {
        "accuracy": accuracy, "mean_iou": np.mean(ious), "mean_dice": np.mean(dices),
        "mean_accuracy": np.mean(recalls), "frequency_weighted_iou": weighted,
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_metrics_equal_a_loop_over_pixels(wrong):
    made = metrics(pool(scores(wrong).events), CLASSES).iloc[0]
    masks = [guess(event, wrong, k)["mask"] for k, event in enumerate(EVENTS)]
    for name, value in by_hand([event["truth/mask"] for event in EVENTS], masks).items():
        assert made[name] == pytest.approx(value), name
    assert (made["mean_iou"] == 1) == (wrong == 0)
    assert made["iou_disc"] <= 1


def test_classes_that_nobody_has_are_left_out():
    event = {"picture": EVENTS[0]["picture"], "truth/mask": np.zeros((4, 4), np.int16)}
    mask = np.zeros((4, 4), np.int16)
    mask[0] = 1
    store = MemoryStore([event], [{"mask": mask}])
    made = metrics(pool(score_shard(store, "test", "0", CLASSES).events), CLASSES).iloc[0]
    assert made["mean_iou"] == pytest.approx((12 / 16 + 0) / 2), "the disc is called, the bar is not there"
    assert np.isnan(made["iou_bar"])
    assert np.isnan(made["nll"]), "without probabilities nothing is known of them"


def test_certainty_and_reliability():
    found = scores(0.3)
    right = sum(int(part.sum()) for part in (
        (guess(e, 0.3, k)["mask"] == e["truth/mask"])[e["truth/mask"] >= 0] for k, e in enumerate(EVENTS)
    ))  # fmt: skip
    judged = int(found.events["n_judged"].sum())
    expected = -right * np.log(0.92) - (judged - right) * np.log(0.04)
    assert found.events["sum_nll"].sum() == pytest.approx(expected, rel=1e-5)
    assert set(found.curves["bin"]) == {int(0.92 * CONFIDENCE_BINS)}
    assert found.curves["n"].sum() == judged
    assert found.curves["n_correct"].sum() == right


def test_only_the_middle_is_judged_where_only_that_is_predicted():
    found = scores(0.0, window=(10, 20))
    assert (found.events["n_judged"] == 200).all()
    assert (found.events["n_pixels"] == 32 * 48).all()
    partial = [guess(event, 0.0) for event in EVENTS]
    for made in partial:
        made["mask"][:11] = -1  # rows above the middle were not predicted
    assert len(score_shard(MemoryStore(EVENTS, partial), "test", "0", CLASSES, (10, 20)).events) == 4
    with pytest.raises(WeftError, match="image 1/0/0: prediction -1 on a labelled voxel"):
        score_shard(MemoryStore(EVENTS, partial), "test", "0", CLASSES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mask": np.zeros((3, 3), np.int16)}, r"image 1/0/0: prediction/mask has shape \(3, 3\)"),
        ({"mask": np.full((32, 48), 7, np.int16)}, "prediction 7"),
        ({"mask_probabilities": np.full((3, 32, 48), 0.5, np.float32)}, "no probabilities"),
        ({"mask_probabilities": np.full((2, 32, 48), 0.5, np.float32)}, "expected"),
    ],
)
def test_predictions_that_do_not_fit_are_named(change, said):
    with pytest.raises(WeftError, match=said):
        score_shard(MemoryStore(EVENTS[:1], [guess(EVENTS[0], 0.1) | change]), "test", "0000", CLASSES)


def test_figures_of_model_and_baseline():
    model = concat([scores(0.1), scores(0.4, "test_dark")])
    baseline = concat([scores(0.3), scores(0.5, "test_dark")])
    made = {figure.key: figure for figure in figures({"seed0": model, "baseline": baseline}, "test", CLASSES)}
    assert list(made) == ["overall", "classes", "confusion", "per-image", "reliability", "shifts"]
    overall = made["overall"].table.set_index("metric")
    assert overall.loc["mean IoU", "verdict"] == "beats"
    assert overall.loc["−ln probability of the true class, smaller is better", "verdict"] == "beats"
    assert made["classes"].table["class"].tolist() == list(CLASSES)
    assert "seed0 is better on 4" in made["per-image"].caption
    assert made["shifts"].table["split"].tolist() == ["test", "test_dark"]
    alone = {figure.key for figure in figures({"seed0": scores(0.1)}, "test", CLASSES)}
    assert alone == {"overall", "classes", "confusion", "per-image", "reliability"}


def test_the_viewer_shows_truth_prediction_and_errors():
    event = EVENTS[0]
    store = MemoryStore([event], [guess(event, 0.2)])
    (figure,) = event_figures(store, 0, "which is the first", CLASSES)
    wrong = (guess(event, 0.2)["mask"] != event["truth/mask"])[event["truth/mask"] >= 0]
    assert f"{wrong.mean():.1%} of its judged pixels are wrong" in figure.caption
    assert re.findall(r"<button[^>]*>([^<]+)</button>", figure.html) == [
        "truth", "prediction", "errors, as predicted", "picture"
    ]  # fmt: skip
    assert figure.html.count("data:image/png;base64,") == 4
    assert all(f"</i>{name}</span>" in figure.html for name in CLASSES)
    assert "http" not in figure.html, "nothing is asked of the network"


def test_layers_are_the_colours_of_their_classes():
    import base64
    import io

    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 1000, (1, 3, 4)).astype(np.uint16)
    mask = np.array([[0, 1, -1, 1]] * 3)
    colors = np.array([[10, 20, 30], [200, 0, 5]], np.uint8)
    figure = picture_viewer("k", "t", "c", picture, [Layer("<b>", mask)], ("a & b", "c"), colors)
    found = re.findall(r"base64,([A-Za-z0-9+/=]+)", figure.html)
    seen, layer = (np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found)
    assert seen.shape == (3, 4, 3)
    assert layer[0].tolist() == [[10, 20, 30, 255], [200, 0, 5, 255], [0, 0, 0, 0], [200, 0, 5, 255]]
    assert "<b>" not in figure.html
    assert "a &amp; b" in figure.html
    with pytest.raises(WeftError, match="has shape"):
        picture_viewer("k", "t", "c", picture, [Layer("x", mask[:2])], ("a", "b"), colors)


QUICK = BaselineOptions(iterations=15, min_leaf=5)


def test_trees_learn_what_pixels_look_like(tmp_path):
    baseline = ImageBaseline(QUICK, CLASSES)
    baseline.fit(EVENTS[:3], seed=0)
    made = baseline.predict(EVENTS[3])
    truth = EVENTS[3]["truth/mask"]
    assert (made["mask"] == truth)[truth >= 0].mean() > 0.9
    assert made["mask_probabilities"].sum(0) == pytest.approx(1, abs=1e-5)
    baseline.save(tmp_path / "model.ckpt")
    again = ImageBaseline.load(tmp_path / "model.ckpt")
    assert np.array_equal(again.predict(EVENTS[3])["mask_probabilities"], made["mask_probabilities"])
    assert again.fitted_on["images"] == 3
    (tmp_path / "other").write_text(json.dumps({"magic": "another"}) + "\n")
    with pytest.raises(WeftError, match="not a fitted image_segmentation baseline"):
        ImageBaseline.load(tmp_path / "other")


def test_trees_look_at_the_middle_only_where_only_that_counts():
    event = {"picture": EVENTS[0]["picture"], "truth/mask": EVENTS[0]["truth/mask"].copy()}
    event["truth/mask"][:8] = 9  # beyond the classes, and beyond the middle
    baseline = ImageBaseline(QUICK, CLASSES, (16, 40))
    baseline.fit([event], seed=0)
    with pytest.raises(WeftError, match="class 9"):
        ImageBaseline(QUICK, CLASSES).fit([event], seed=0)
    with pytest.raises(WeftError, match="expected at least 2"):
        ImageBaseline(QUICK, CLASSES).fit([EVENTS[0] | {"truth/mask": np.zeros((32, 48), np.int16)}], seed=0)
    with pytest.raises(WeftError, match="not been fitted"):
        ImageBaseline(QUICK, CLASSES).predict(EVENTS[0])


def test_score_tables_have_types_of_their_own():
    found = scores(0.1)
    assert found.events["uid"].dtype == np.uint64
    assert len(found.objects) == 0
    empty = score_shard(MemoryStore(EVENTS[:1], [{"mask": guess(EVENTS[0], 0)["mask"]}]), "test", "0", CLASSES)
    assert empty.curves.dtypes.equals(found.curves.dtypes)
    assert isinstance(empty.events, pd.DataFrame)
