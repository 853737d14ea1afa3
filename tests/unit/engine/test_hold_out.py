"""Validation on events of the training split: which, and that they are not learned from."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from weft.config.experiment import Stage
from weft.config.training import HoldOut
from weft.engine.corpus import Corpus
from weft.engine.hold_out import held_out, parted
from weft.engine.memory import PredictedEvents
from weft.errors import WeftError
from weft.io.products import EventId
from weft.io.volume_products import LABELS, SPACING, image, spacing_row
from weft.io.writer import StoreWriter
from weft.metrics.scores import HELD_OUT

SIZE = (4, 20, 24)


def write(path: Path, numbers: range) -> dict[str, Path]:
    """Stacks with a bright corner; the brightness of event n is n."""
    with StoreWriter(path, [image("u2"), SPACING, LABELS], provenance={}) as writer:
        for n in numbers:
            labels = np.zeros(SIZE, np.int16)
            labels[:, :8, :8] = 1
            made = {
                "image": (labels * 50 + n).astype(np.uint16)[None],
                "spacing": spacing_row(1, 1, 1),
                "labels": labels,
            }
            writer.append(EventId(0, 0, n, 1000 + n), made)
    return {"truth": path}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus([write(tmp_path / "a.h5", range(3)), write(tmp_path / "b.h5", range(3, 8))])


def numbers(corpus: Corpus) -> list[int]:
    return [int(event["image"][0, -1, -1, -1]) for event in corpus]


def test_folds_do_not_overlap_and_hold_out_all() -> None:
    for count in (5, 7, 23):
        folds = [held_out(count, HoldOut(fold=fold, folds=5)).tolist() for fold in range(5)]
        assert sorted(event for fold in folds for event in fold) == list(range(count))
        assert max(map(len, folds)) - min(map(len, folds)) <= 1
        assert all(fold == sorted(fold) for fold in folds)


def test_shares_and_lists() -> None:
    assert len(held_out(20, HoldOut(fraction=0.25))) == 5
    assert len(held_out(3, HoldOut(fraction=0.01))) == 1
    assert held_out(20, HoldOut(fraction=0.25)).tolist() == held_out(20, HoldOut(fraction=0.25)).tolist()
    assert held_out(4, HoldOut(events=(3, 0))).tolist() == [0, 3]
    with pytest.raises(WeftError, match=r"hold_out\.events: 7: there are 4 training events"):
        held_out(4, HoldOut(events=(1, 7)))
    for wrong in ({}, {"fold": 1, "fraction": 0.5}, {"fold": 5}, {"events": [1, 1]}, {"events": [-1]}):
        with pytest.raises(ValidationError):
            HoldOut.model_validate(wrong)


def test_a_corpus_in_two_parts(corpus: Corpus) -> None:
    learn, validate = parted(corpus, HoldOut(events=(1, 4, 7)))
    assert numbers(learn) == [0, 2, 3, 5, 6]
    assert numbers(validate) == [1, 4, 7]
    assert [validate.locate(i) for i in range(3)] == [(0, 1), (1, 1), (1, 4)]
    assert numbers(validate.part(np.array([0, 2]))) == [1, 7]
    with pytest.raises(IndexError):
        validate.locate(3)
    with pytest.raises(WeftError, match="of 8 training events 8 would be held out"):
        parted(corpus, HoldOut(events=tuple(range(8))))


def test_what_a_baseline_chose_is_recorded(tmp_path: Path) -> None:
    from weft import tasks
    from weft.engine.fit import fit_baseline

    stage = Stage.model_validate(
        {
            "task": "volume_segmentation",
            "needs": {"truth": ["image", "spacing", "labels"]},
            "training": {"iterations": 4, "batch_size": 2},
            "baseline": {"filters": ["intensity"], "thresholds": ["otsu"], "background": None},
        }
    )
    fit_baseline(tasks.of(stage), [write(tmp_path / "a.h5", range(2))], tmp_path / "out", stage.baseline_options(), 0)
    record = json.loads((tmp_path / "out" / "model.json").read_text())
    assert record["chosen"] == "structure: intensity, threshold otsu"


def test_predictions_of_scattered_events(corpus: Corpus) -> None:
    made = [{"labels": np.full(SIZE, n, np.int16)} for n in (0, 2, 4)]
    part = PredictedEvents(corpus.fed(1), made, rows=[0, 2, 4])
    assert part.events["uid"].tolist() == [1003, 1005, 1007]
    assert [int(part["truth/image"][i][0, -1, -1, -1]) for i in range(3)] == [3, 5, 7]
    assert [int(part["prediction/labels"][i].max()) for i in range(3)] == [0, 2, 4]
    spacing = part.read("truth/spacing", 0, 3)
    assert len(spacing) == 3
    assert part["truth/spacing"].counts.tolist() == [1, 1, 1]


def test_a_training_without_a_validation_split(tmp_path: Path) -> None:
    from weft import tasks
    from weft.engine.fit import fit

    stage = Stage.model_validate(
        {
            "task": "volume_segmentation",
            "needs": {"truth": ["image", "spacing", "labels"]},
            "model": {"name": "unet_xy_0pad", "base_channels": 1, "classes": [2]},
            "data": {"patch": [4, 16, 16]},
            "training": {"iterations": 4, "batch_size": 2, "workers": 0, "validate_every": 2, "log_every": 1,
                         "hold_out": {"events": [0, 2]}, "monitor": "dice", "mode": "max"},
        }
    )  # fmt: skip
    task = tasks.of(stage)
    shards = [write(tmp_path / "a.h5", range(3))]
    fit(task, stage, 0, shards, [], tmp_path / "out", tmp_path / "work", stage.training_options())
    log = pd.read_csv(tmp_path / "out" / "log.csv")
    assert log[log["split"] == "val"]["step"].tolist() == [2, 4]
    assert log[log["split"] == "val"]["dice"].notna().all()
    assert (tmp_path / "out" / "model.ckpt").exists()
    # The counts of what was held out are those of the kept validation, whose metrics the log has.
    counted = pd.read_parquet(tmp_path / "out" / HELD_OUT)
    assert sorted(counted["uid"]) == [1000, 1002]
    best = json.loads((tmp_path / "out" / "model.json").read_text())["best_step"]
    logged = log[(log["split"] == "val") & (log["step"] == best)].iloc[0]
    assert task.summary(counted)["dice"] == pytest.approx(logged["dice"])
    # A training without held-out events leaves no such table, nor one of a training before.
    never = stage.model_copy(
        update={"training": stage.require_training().model_copy(update={"hold_out": None, "validate_every": None})}
    )
    fit(task, never, 0, shards, [], tmp_path / "out", tmp_path / "work", never.training_options())
    assert not (tmp_path / "out" / HELD_OUT).exists()
    assert "hold_out" in stage.training_options()["training"]
    assert (
        "hold_out"
        not in stage.model_copy(
            update={"training": stage.require_training().model_copy(update={"hold_out": None})}
        ).training_options()["training"]
    ), "models trained before this option was there stay what they are"
