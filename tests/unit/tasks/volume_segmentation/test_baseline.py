"""The classical segmentation: it finds what is easy, chooses the filter that suits, and is the same after a file."""

import numpy as np
import pytest
from made_stacks import event

from weft.errors import WeftError
from weft.metrics.overlap import dice, overlap_counts
from weft.tasks.volume_segmentation.baseline import VolumeBaseline
from weft.tasks.volume_segmentation.baseline_options import BaselineOptions
from weft.volumes.objects import ObjectOptions

CLASSES = ("background", "structure")
FEW = {"scales": (0.15, 0.3), "most_stacks": 2, "background": 10.0}


def fitted(kind, objects=None, **how):
    options = {name: how.pop(name) for name in list(how) if name in BaselineOptions.model_fields}
    made = VolumeBaseline(BaselineOptions(**{**FEW, **options}), CLASSES, objects=objects)
    made.fit((event(kind, seed, **how) for seed in range(3)), seed=0)
    return made


def reached(baseline, **how):
    stack = event(seed=7, **how)
    return float(dice(overlap_counts(stack["truth/labels"], baseline.predict(stack)["labels"], 2))[1])


@pytest.mark.parametrize("kind", ["ball", "shell", "tube"])
def test_easy_stacks_are_segmented(kind):
    baseline = fitted(kind)
    assert baseline.fitted_on["stacks"] == 2
    assert reached(baseline, kind=kind) > 0.8


def test_an_uneven_background_asks_for_a_filter_that_does_not_see_it():
    plain = fitted("tube", uneven=4.0, filters=("intensity",), background=None)
    free = fitted("tube", uneven=4.0)
    assert free.chosen[0].response.background is not None or free.chosen[0].response.filter != "intensity"
    assert reached(plain, kind="tube", uneven=4.0) < 0.5 < reached(free, kind="tube", uneven=4.0)


@pytest.mark.parametrize("kind", ["otsu", "li", "fitted"])
def test_each_kind_of_threshold_works_and_agrees_with_what_was_measured(kind):
    baseline = fitted("ball", filters=("intensity",), thresholds=(kind,), background=None)
    chosen = baseline.chosen[0]
    assert chosen.threshold == kind
    assert (chosen.fitted is None) == (kind != "fitted")
    training = [event("ball", seed) for seed in range(2)]
    measured = [dice(overlap_counts(s["truth/labels"], baseline.predict(s)["labels"], 2))[1] for s in training]
    assert np.mean(measured) == pytest.approx(chosen.dice, abs=2e-3)


def test_a_fitted_threshold_is_the_best_one():
    baseline = fitted("ball", filters=("intensity",), thresholds=("fitted",), background=None)
    stack = [event("ball", seed) for seed in range(2)]
    volumes = [next(iter(baseline._answers([baseline.chosen[0].response], s)))[1] for s in stack]

    def mean_dice(threshold):
        pairs = zip(stack, volumes, strict=True)
        return np.mean([dice(overlap_counts(s["truth/labels"], (v > threshold) * 1, 2))[1] for s, v in pairs])

    assert max(mean_dice(t) for t in np.linspace(0, 1, 201)) <= mean_dice(baseline.chosen[0].fitted) + 1e-3


def test_probabilities_say_the_labels_and_sum_to_one():
    made = fitted("ball").predict(event(seed=5))
    assert made["labels"].dtype == np.int16
    assert made["probabilities"].dtype == np.float32
    np.testing.assert_allclose(made["probabilities"].sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(made["labels"], made["probabilities"].argmax(axis=0))
    middle = (made["probabilities"] > 0.05).all(axis=0)
    assert middle.any(), "it is less sure near the threshold"


def test_objects_are_found_where_asked_for():
    made = fitted("ball", objects=ObjectOptions(min_voxels=50)).predict(event(seed=5))
    assert len(made["objects"]) == 4
    assert set(np.unique(made["instances"])) == {0, 1, 2, 3, 4}
    np.testing.assert_array_equal(made["instances"] > 0, made["labels"] > 0)
    radius = (made["objects"]["volume"] * 3 / 4 / np.pi) ** (1 / 3)
    assert ((radius > 0.7) & (radius < 1.05)).all()


def test_it_says_how_sure_its_one_answer_is():
    baseline = fitted("ball")
    baseline.uncertain = True
    made = baseline.predict(event(seed=5))
    entropy, variance, information, missing = made["uncertainty"]
    p = made["probabilities"].astype(np.float64)
    np.testing.assert_allclose(entropy, -(p * np.log(np.maximum(p, 1e-300))).sum(axis=0), atol=1e-5)
    np.testing.assert_allclose(missing, p.min(axis=0), atol=1e-6)
    assert not variance.any()
    assert not information.any()


def test_the_file_gives_the_same_baseline(tmp_path):
    before = fitted("shell", objects=ObjectOptions(connectivity=6))
    before.uncertain = True
    before.save(tmp_path / "model.ckpt")
    after = VolumeBaseline.load(tmp_path / "model.ckpt")
    assert after.chosen == before.chosen
    assert after.words == before.words
    stack = event("shell", 9)
    for name, values in before.predict(stack).items():
        np.testing.assert_array_equal(values, after.predict(stack)[name])
    with pytest.raises(WeftError, match="fitted"):
        VolumeBaseline(BaselineOptions(), CLASSES).save(tmp_path / "no")
    (tmp_path / "other").write_text("{}")
    with pytest.raises(WeftError, match="not a fitted volume_segmentation baseline"):
        VolumeBaseline.load(tmp_path / "other")


def test_two_classes_each_have_their_filter():
    def two(seed):
        stack, other = event("ball", seed), event("tube", seed)
        stack["image"] = np.maximum(stack["image"] // 3, other["image"])
        stack["truth/labels"] = np.where(other["truth/labels"] > 0, 2, stack["truth/labels"]).astype(np.int16)
        return stack

    baseline = VolumeBaseline(BaselineOptions(**FEW), ("background", "nucleus", "fibre"))
    baseline.fit((two(seed) for seed in range(2)), seed=0)
    stack = two(7)
    made = baseline.predict(stack)
    found = dice(overlap_counts(stack["truth/labels"], made["labels"], 3))
    assert made["probabilities"].shape[0] == 3
    assert found[2] > 0.7
    assert "nucleus: " in baseline.words
    assert "fibre: " in baseline.words


def test_voxels_without_cost_or_label_are_not_learned_from():
    def spoiled(seed, how):
        stack = event("ball", seed)
        if how == "none":
            return stack
        stack["image"][..., 24:] = 60000  # the half where nobody looks
        if how == "cost":
            stack["truth/cost"] = np.ones(stack["truth/labels"].shape, np.float32)
            stack["truth/cost"][..., 24:] = 0
        else:
            stack["truth/labels"][..., 24:] = -1
        return stack

    found = []
    for how in ("cost", "label"):
        baseline = VolumeBaseline(
            BaselineOptions(filters=("intensity",), thresholds=("fitted",), background=None), CLASSES
        )
        baseline.fit((spoiled(seed, how) for seed in range(2)), seed=0)
        found.append(baseline.chosen[0])
    assert found[0] == found[1]
    assert found[0].dice > 0.9


def test_single_slices_and_constant_stacks_have_an_answer():
    baseline = fitted("ball", thresholds=("otsu",))
    flat = event("ball", shape=(1, 48, 48))
    assert baseline.predict(flat)["labels"].shape == (1, 48, 48)
    flat["image"][:] = 7
    assert not baseline.predict(flat)["labels"].any()


def test_a_class_that_no_training_stack_has_is_an_error():
    baseline = VolumeBaseline(BaselineOptions(**FEW), ("background", "structure", "rare"))
    with pytest.raises(WeftError, match="class 'rare' in 2 training stacks"):
        baseline.fit((event(seed=seed) for seed in range(2)), seed=0)
    with pytest.raises(WeftError, match="not been fitted"):
        VolumeBaseline(BaselineOptions(), CLASSES).predict(event())


def test_a_deploy_may_ask_the_baseline_for_more_than_its_fit_did(tmp_path):
    """Objects and uncertainty are the deploy's to ask for: all that the task declares is in the file."""
    from weft import tasks
    from weft.engine.deploy import deploy
    from weft.io.products import EventId
    from weft.io.store import EventStore
    from weft.io.volume_products import LABELS, SPACING, image
    from weft.io.writer import StoreWriter

    stacks = [event(seed=seed) for seed in range(2)]
    with StoreWriter(tmp_path / "a.h5", [image("u2"), SPACING, LABELS], provenance={}) as writer:
        for k, stack in enumerate(stacks):
            products = {name: stack[name] for name in ("image", "spacing")}
            writer.append(EventId(0, 0, k, k), products | {"labels": stack["truth/labels"]})

    def built(**inference):
        model = {"name": "unet_xy_0pad", "base_channels": 2, "dropout": 0.2}
        data = {"patch": [8, 32, 32], "inference": inference}
        return tasks.build("volume_segmentation", {"model": model, "data": data, "baseline": FEW})

    for fit_with, ask in (({}, {"uncertainty": {}, "objects": {}}), ({"uncertainty": {}, "objects": {}}, {})):
        baseline = built(**fit_with).baseline()
        baseline.fit(iter(stacks), seed=0)
        baseline.save(tmp_path / "model.ckpt")
        task = built(**ask)
        deploy(task, tmp_path / "model.ckpt", {"truth": tmp_path / "a.h5"}, tmp_path / "out.h5", {}, baseline=True)
        with EventStore.open({"prediction": tmp_path / "out.h5"}) as store:
            assert {schema.name for schema in task.makes} >= {"labels", "probabilities"}
            for schema in task.makes:
                assert f"prediction/{schema.name}" in store
                assert len(store[f"prediction/{schema.name}"][1])
            assert ("prediction/uncertainty" in store) == bool(ask)
            if ask:
                assert store["prediction/uncertainty"][1].shape == (4, *stacks[1]["truth/labels"].shape)
                assert store["prediction/uncertainty"][1][0].max() > 0
