from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weft.engine.log_file import LogFile
from weft.engine.logbook import board_tag


def row(step: int, **more: float) -> dict[str, float | str]:
    return {"step": step, "epoch": step / 4, "split": "train", "loss": 1 / (step + 1), **more}


def written(path: Path, steps: range) -> LogFile:
    log = LogFile(path)
    log.cut(0)
    for step in steps:
        log.append(row(step))
        if step % 3 == 0:
            log.append(row(step, accuracy=0.1 * step) | {"split": "val"})
    log.close()
    return log


def test_rows_are_in_the_file_at_once_with_all_their_digits(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log.csv")
    log.cut(0)
    for step in range(1, 8):
        log.append(row(step))
        read = pd.read_csv(tmp_path / "log.csv")
        assert read.loss.tolist() == [1 / (k + 1) for k in range(1, step + 1)]


def test_a_new_column_is_empty_in_the_rows_before(tmp_path: Path) -> None:
    written(tmp_path / "log.csv", range(1, 7))
    read = pd.read_csv(tmp_path / "log.csv")
    assert list(read) == ["step", "epoch", "split", "loss", "accuracy"]
    assert read[read.split == "train"].accuracy.isna().all()
    assert read[read.split == "val"].accuracy.tolist() == pytest.approx([0.3, 0.6])


anywhere = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


@anywhere
@given(restored=st.integers(0, 9), lost=st.integers(0, 600))
def test_cut_back_and_written_again_is_the_same_file(tmp_path: Path, restored: int, lost: int) -> None:
    """Whatever the killed process had written after the restored step, half a line included."""
    path = tmp_path / "log.csv"
    written(path, range(1, 10))
    whole = path.read_text()
    cut = whole[: max(len(whole) - lost, len(upto(whole, restored)))]
    path.write_text(cut)
    log = LogFile(path)
    log.cut(restored)
    assert path.read_text() == upto(whole, restored)
    for step in range(restored + 1, 10):
        log.append(row(step))
        if step % 3 == 0:
            log.append(row(step, accuracy=0.1 * step) | {"split": "val"})
    log.close()
    assert path.read_text() == whole


def test_the_validation_of_the_restored_step_is_dropped_if_it_is_still_due(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    written(path, range(1, 10))
    LogFile(path).cut(6, validated=False)
    kept = pd.read_csv(path)
    assert list(zip(kept.step, kept.split, strict=True))[-2:] == [(5, "train"), (6, "train")]
    assert 3 in set(kept[kept.split == "val"].step)


def upto(text: str, step: int) -> str:
    lines = text.splitlines(keepends=True)
    return lines[0] + "".join(line for line in lines[1:] if int(line.split(",")[0]) <= step)


def test_half_a_header_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,epo")
    log = LogFile(tmp_path / "log.csv")
    log.cut(0)
    log.append(row(1))
    log.close()
    assert pd.read_csv(tmp_path / "log.csv").step.tolist() == [1]


def test_names_in_tensorboard() -> None:
    names = {
        ("loss", "train"): "Loss/train",
        ("loss", "val"): "Loss/val",
        ("accuracy", "val"): "Accuracy/val",
        ("macro_f1", "val"): "F1/val",
        ("mean_f1", "train"): "F1/train",
        ("area_mean_f1", "val"): "F1/area_mean",
        ("mean_accuracy", "val"): "Accuracy/mean",
        ("mean_iou", "val"): "IoU/val",
        ("mean_dice", "val"): "Dice/val",
        ("dice_car", "val"): "Dice/car",
        ("iou_shower", "val"): "IoU/shower",
        ("semantic", "train"): "Semantic/train",
        ("lr", "train"): "Learning_rate/all",
        ("grad_norm", "train"): "Gradient/norm",
        ("seconds_per_step", "train"): "Time/seconds_per_step",
    }
    assert {key: board_tag(*key) for key in names} == names
