"""Scores of stacks: counts by hand, what is not judged, pooling, and refusals."""

import numpy as np
import pandas as pd
import pytest
from made_stacks import SPACING, MemoryStore, event, perfect, worse

from weft.errors import WeftError
from weft.io.volume_products import spacing_row
from weft.metrics.scores import concat, pool, read_scores, write_scores
from weft.metrics.surface import hausdorff, mean_distance, surface_dice, surface_distances
from weft.tasks.volume_segmentation.score import (
    CURVE_COLUMNS,
    OBJECT_COLUMNS,
    TOLERANCE,
    confusion_of,
    matches_of,
    metrics,
    score_shard,
)

CLASSES = ("background", "structure")


def scored(stacks, predict=worse):
    return score_shard(MemoryStore(stacks, [predict(stack) for stack in stacks]), "test", "0000", CLASSES)


def test_a_right_prediction_is_right_in_every_metric():
    found = scored([event(seed=1), event(seed=2)], perfect)
    values = metrics(pool(found.events), CLASSES).iloc[0]
    for name in ("dice", "dice_per_image", "iou", "precision", "recall", "accuracy", "surface_dice",
                 "centreline_dice", "object_f1", "object_ap"):  # fmt: skip
        assert values[name] == 1, name
    for name in ("hd95", "assd", "nll"):
        assert values[name] == 0, name
    assert found.objects["found"].all()
    assert (found.objects["best_iou"] == 1).all()
    assert len(found.objects) == 8


def test_one_stack_by_direct_computation():
    stack = event(seed=3)
    made = worse(stack)
    found = scored([stack])
    values = metrics(found.events, CLASSES).iloc[0]
    true, called = stack["truth/labels"] == 1, made["labels"] == 1
    assert values["dice"] == pytest.approx(2 * (true & called).sum() / (true.sum() + called.sum()))
    assert values["dice_per_image"] == pytest.approx(values["dice"])
    assert values["recall"] == pytest.approx((true & called).sum() / true.sum())
    distances = surface_distances(true, called, SPACING)
    assert values["surface_dice"] == pytest.approx(surface_dice(distances, TOLERANCE))
    assert values["hd95"] == pytest.approx(hausdorff(distances))
    assert values["assd"] == pytest.approx(mean_distance(distances))
    right = np.where(true, made["probabilities"][1], made["probabilities"][0])
    assert values["nll"] == pytest.approx(-np.log(right.astype(np.float64)).mean())
    assert matches_of(found.events)[0, 0].tolist() == [3, 1, 1]
    assert found.objects["best_iou"].tolist()[0] == 0
    row = found.objects.iloc[2]
    inside = stack["truth/instances"] == 3
    assert row["voxels"] == inside.sum()
    assert row["volume"] == pytest.approx(inside.sum() * 0.003)
    assert row["intensity"] == pytest.approx(stack["image"][0][inside].mean())
    assert 0.3 < row["depth"] < 0.7
    assert row["class"] == 1


def test_metrics_of_a_pool_are_those_of_all_voxels_and_distances_means_of_images():
    stacks = [event(seed=1), event(seed=2)]
    one, two = (scored([stack]).events for stack in stacks)
    both = scored(stacks).events
    pooled, (a, b) = metrics(pool(both), CLASSES).iloc[0], (metrics(t, CLASSES).iloc[0] for t in (one, two))
    counted = confusion_of(both).sum(axis=0)
    assert pooled["dice"] == 2 * counted[1, 1] / (counted[1].sum() + counted[:, 1].sum())
    assert pooled["dice_per_image"] == pytest.approx((a["dice"] + b["dice"]) / 2)
    assert pooled["hd95"] == pytest.approx((a["hd95"] + b["hd95"]) / 2)


def test_voxels_without_label_or_cost_are_not_judged():
    spoiled = {}
    for how in ("label", "cost"):
        stack = event(seed=4)
        made = perfect(stack)
        made["labels"][..., 40:] = 1
        if how == "label":
            stack["truth/labels"][..., 40:] = -1
        else:
            stack["truth/cost"] = np.ones(stack["truth/labels"].shape, np.float32)
            stack["truth/cost"][..., 40:] = 0
        spoiled[how] = score_shard(MemoryStore([stack], [made]), "test", "0000", CLASSES)
        values = metrics(spoiled[how].events, CLASSES).iloc[0]
        assert values["dice"] == 1
        assert values["surface_dice"] == 1
        assert values["centreline_dice"] == 1
        assert spoiled[how].events["n_judged"].iloc[0] == 14 * 48 * 40
    pd.testing.assert_frame_equal(spoiled["label"].events, spoiled["cost"].events)


def test_an_empty_stack_that_is_called_empty_is_right():
    stack = event(seed=5)
    stack["truth/labels"][:], stack["truth/instances"][:] = 0, 0
    found = scored([stack], perfect)
    values = metrics(found.events, CLASSES).iloc[0]
    assert values["dice"] == values["surface_dice"] == values["centreline_dice"] == 1
    assert np.isnan(values["hd95"])
    assert np.isnan(values["object_f1"])
    assert len(found.objects) == 0
    invented = metrics(scored([stack], lambda s: perfect(event(seed=5))).events, CLASSES).iloc[0]
    assert invented["dice"] == invented["surface_dice"] == invented["centreline_dice"] == 0
    assert np.isnan(invented["hd95"])


def test_without_voxel_size_there_are_no_distances_and_a_pool_has_those_of_the_others():
    unknown = event(seed=1)
    unknown["spacing"] = spacing_row(np.nan, np.nan, np.nan)
    alone = metrics(scored([unknown]).events, CLASSES).iloc[0]
    assert np.isnan(alone["surface_dice"])
    assert np.isnan(alone["hd95"])
    assert alone["dice"] > 0
    mixed = metrics(pool(scored([unknown, event(seed=2)]).events), CLASSES).iloc[0]
    other = metrics(scored([event(seed=2)]).events, CLASSES).iloc[0]
    assert mixed["hd95"] == pytest.approx(other["hd95"])
    assert mixed["surface_dice"] == pytest.approx(other["surface_dice"])


def test_predictions_without_probabilities_or_instances_are_scored():
    stack = event(seed=1)
    found = score_shard(MemoryStore([stack], [{"labels": worse(stack)["labels"]}]), "test", "0000", CLASSES)
    values = metrics(found.events, CLASSES).iloc[0]
    assert np.isnan(values["nll"])
    assert np.isnan(values["object_f1"])
    assert set(found.curves["curve"]) == {"surface"}
    assert len(found.objects) == 0


def test_instances_that_are_not_known_are_not_judged():
    """A shard has instances as soon as one of its images has them; the others, or parts of them, are -1."""
    known, unknown, partly = event(seed=1), event(seed=2), event(seed=3)
    made = [worse(stack) for stack in (known, unknown, partly)]
    unknown["truth/instances"] = np.full_like(unknown["truth/instances"], -1)
    partly["truth/instances"][..., 24:] = -1  # objects 2 and 4, and the one that is invented
    alone = score_shard(MemoryStore([known], made[:1]), "test", "0000", CLASSES)
    found = score_shard(MemoryStore([known, unknown, partly], made), "test", "0000", CLASSES)
    matched = matches_of(found.events)
    np.testing.assert_array_equal(matched[0], matches_of(alone.events)[0])
    assert not matched[1].any()
    assert matched[2, 0].tolist() == [1, 0, 1], "object 3 is found, object 1 is not"
    assert found.objects["object"].tolist() == [1, 2, 3, 4, 1, 3]
    assert (found.objects["voxels"] > 0).all()
    values = metrics(found.events, CLASSES)
    assert np.isnan(values["object_f1"].iloc[1])
    assert values["dice"].iloc[1] > 0, "the classes of its voxels are known all the same"
    two = score_shard(MemoryStore([known, partly], made[::2]), "test", "0000", CLASSES)
    pooled, of_two = (metrics(pool(table.events), CLASSES)["object_f1"].iloc[0] for table in (found, two))
    assert pooled == of_two


def test_a_single_slice_is_scored():
    found = scored([event(shape=(1, 48, 48), seed=1)])
    assert np.isfinite(metrics(found.events, CLASSES)["dice"].iloc[0])


def test_curves_count_what_the_metrics_do():
    found = scored([event(seed=1), event(seed=2)])
    surface = found.curves[found.curves["curve"] == "surface"]
    assert surface["n"].sum() == found.events["surface_1"].sum()
    near = surface.loc[surface["high"] <= TOLERANCE, "n"].sum()
    assert near <= found.events["near_1"].sum()
    reliability = found.curves[found.curves["curve"] == "reliability"]
    assert reliability["n"].sum() == found.events["n_judged"].sum()
    confusion = confusion_of(found.events).sum(axis=0)
    assert reliability["n_correct"].sum() == np.trace(confusion)
    assert (reliability["sum_confidence"] >= reliability["low"] * reliability["n"] - 1e-6).all()


def test_tables_of_any_shards_join_and_go_through_files(tmp_path):
    empty = event(seed=5)
    empty["truth/labels"][:], empty["truth/instances"][:] = 0, 0
    none = score_shard(MemoryStore([empty], [{"labels": empty["truth/labels"]}]), "test", "0001", CLASSES)
    shards = [scored([event(seed=1)]), none]
    write_scores(tmp_path, iter(shards))
    back = read_scores(tmp_path)
    for table, joined in zip(back, concat(shards), strict=True):
        pd.testing.assert_frame_equal(table, joined)
    assert list(back.objects) == list(OBJECT_COLUMNS)
    assert list(back.curves) == list(CURVE_COLUMNS)


def test_what_does_not_fit_is_refused_with_the_name_of_the_stack():
    stack = event(seed=1)
    cases = [
        ({"labels": worse(stack)["labels"][1:]}, "prediction/labels has shape"),
        (worse(stack) | {"probabilities": np.ones((3, 14, 48, 48))}, "prediction/probabilities has shape"),
        (worse(stack) | {"probabilities": np.ones((2, 14, 48, 48))}, "no probabilities"),
        (worse(stack) | {"labels": np.full((14, 48, 48), 4)}, "prediction 4"),
        (worse(stack) | {"instances": np.ones((3, 3, 3), int)}, "prediction/instances has shape"),
    ]
    for made, said in cases:
        with pytest.raises(WeftError, match=f"shard 0007: stack 1/0/0: .*{said}"):
            score_shard(MemoryStore([stack], [made]), "test", "0007", CLASSES)
    with pytest.raises(WeftError, match="not the scores of stacks"):
        metrics(pd.DataFrame({"images": [1]}), CLASSES)


def test_classes_have_metrics_of_their_own_where_there_are_several():
    stack = event(seed=1)
    made = perfect(stack)
    three = ("background", "nucleus", "fibre")
    made["probabilities"] = np.concatenate([made["probabilities"], 0 * made["probabilities"][:1]])
    found = score_shard(MemoryStore([stack], [made]), "test", "0000", three)
    values = metrics(found.events, three).iloc[0]
    assert values["dice_nucleus"] == values["dice_fibre"] == values["dice"] == 1
