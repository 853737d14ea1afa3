"""Figures and tables of segmented stacks, from scores of invented predictions."""

import numpy as np
import pytest
from made_stacks import MemoryStore, event, perfect, worse

from weft.metrics.scores import Scores, concat
from weft.tasks.volume_segmentation.figures import figures
from weft.tasks.volume_segmentation.score import score_shard

CLASSES = ("background", "structure")


def scored(predict, split="test", seeds=range(4), classes=CLASSES):
    stacks = [event(seed=seed) for seed in seeds]
    made = [predict(stack) for stack in stacks]
    for prediction in made if len(classes) == 3 else []:
        prediction["probabilities"] = np.pad(prediction["probabilities"], ((0, 1), (0, 0), (0, 0), (0, 0)))
    return score_shard(MemoryStore(stacks, made), split, "0000", classes)


@pytest.fixture(scope="module")
def scores():
    model, baseline = scored(perfect), scored(worse)
    return {"seed0": model, "baseline": baseline}


def test_the_report_of_a_model_that_beats_its_baseline(scores):
    made = {figure.key: figure for figure in figures(scores, "test", CLASSES)}
    assert list(made) == ["overall", "per-stack", "surfaces", "objects", "sizes", "reliability"]
    table = made["overall"].table.set_index("metric")
    assert table.loc["Dice, all voxels", "model"] == "1.0000"
    assert (
        table.loc[["Dice, all voxels", "95 % Hausdorff distance [µm], smaller is better"], "verdict"] == "beats"
    ).all()
    assert "seed0 is better on 4" in made["per-stack"].caption
    assert "16 true and 16 predicted (model)" in made["objects"].caption
    assert all(figure.svg.startswith("<svg") for key, figure in made.items() if key != "overall")


def test_a_model_alone_and_predictions_without_objects(scores):
    bare = Scores(scores["seed0"].events, scores["seed0"].objects.iloc[:0], scores["seed0"].curves.iloc[:0])
    bare.events.loc[:, [name for name in bare.events if name[:3] in ("tp_", "fp_", "fn_")]] *= 0
    made = {figure.key: figure for figure in figures({"seed0": bare}, "test", CLASSES)}
    assert list(made) == ["overall", "per-stack"]
    assert "baseline" not in made["overall"].table


def test_several_classes_and_shifted_splits_have_tables():
    classes = ("background", "nucleus", "fibre")
    splits = [scored(worse, split, classes=classes) for split in ("test", "noisy")]
    made = {
        figure.key: figure for figure in figures({"seed0": concat(splits), "seed1": concat(splits)}, "test", classes)
    }
    assert made["classes"].table["class"].tolist() == ["nucleus", "fibre"]
    assert made["shifts"].table["split"].tolist() == ["test", "noisy"]
    assert made["shifts"].table["against test"].tolist() == ["–", "+0.0000"]


def test_too_few_objects_are_said_to_be():
    two = {"seed0": scored(worse, seeds=range(1)), "baseline": scored(worse, seeds=range(1))}
    sizes = next(figure for figure in figures(two, "test", CLASSES) if figure.key == "sizes")
    assert "too few" in sizes.svg
