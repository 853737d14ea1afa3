"""The report of a cross-validation: a row for each fold, and all held-out events together."""

from pathlib import Path

import invented
import pandas as pd
import pytest
from invented_sweep import Accuracy, make, rows

from weft.config import plan
from weft.metrics.bootstrap import bootstrap
from weft.metrics.scores import HELD_OUT, counts
from weft.report.experiment import report_experiment
from weft.report.folds import fold_of, folds_of

FOLDS = {
    "training": {"iterations": 1500, "batch_size": 1, "validate_every": 250, "hold_out": {"fold": 0, "folds": 3}},
    "sweep": {"training.hold_out.fold": [2, 0, 1]},
}


def held_out(run) -> pd.DataFrame:
    """Counts of 20 events of a fold; those of fold 0 are easier."""
    fold = fold_of(run)
    table = invented.event_scores(run.seed, 0.95 if fold == 0 else 0.8, 60)
    return table.iloc[20 * fold : 20 * (fold + 1)]


def finished(root: Path, **stage):
    experiment, dataset, layout = make(root, **(FOLDS | stage))
    runs = [run for run in plan(experiment, dataset, layout) if not run.is_baseline]
    for run in runs:
        held_out(run).to_parquet(Path(run.model).with_name(HELD_OUT), index=False)
    return experiment, dataset, layout, runs


def page_of(made) -> str:
    experiment, dataset, layout, _ = made
    path = Path(layout.report(experiment.id))
    report_experiment(experiment, dataset, {"net": Accuracy()}, layout, path)
    return path.read_text()


def test_each_fold_and_all_together(tmp_path):
    made = finished(tmp_path)
    page = page_of(made)
    _, *folds = rows(page, "folds")
    assert [row[0] for row in folds] == ["0", "1", "2", "all"]
    assert [row[2] for row in folds] == ["20", "20", "20", "60"]
    # Of all folds: the counts of all events, the mean of both seeds, and an interval of their sums.
    whole = [pd.concat([held_out(run) for run in made[3] if run.seed == seed]) for seed in (0, 1)]
    expected = sum(invented.metrics(counts(table).sum().to_frame().T)["accuracy"][0] for table in whole) / 2
    value, interval = folds[-1][3].split(" ", 1)
    assert float(value) == pytest.approx(expected, abs=5e-4)
    summed = sum(counts(table.sort_values("uid")).to_numpy(float) for table in whole)
    columns = counts(whole[0]).columns
    spread = bootstrap(
        summed, lambda sums: invented.metrics(pd.DataFrame(sums, columns=columns))["accuracy"].to_numpy()
    )
    assert interval == f"[{float(spread.low):.4f}, {float(spread.high):.4f}]"
    assert float(folds[0][3]) > float(folds[1][3])
    assert "adds up the counts of all folds" in page
    assert "which flatters it a little" in page


def test_folds_are_not_chosen_among(tmp_path):
    page = page_of(finished(tmp_path))
    assert "A cross-validation: each of 3 folds was held out once. Shown in full is the model of fold 2;" in page
    assert "the one with the best validation" not in page


def test_validated_at_the_end_only_nothing_was_chosen(tmp_path):
    training = FOLDS["training"] | {"validate_every": 1500}
    assert "nothing was chosen on these events" in page_of(finished(tmp_path, training=training))


def test_folds_beside_another_key_are_chosen_among_together(tmp_path):
    swept = {"training.hold_out.fold": [0, 1, 2], "model.filters": [16, 32]}
    made = finished(tmp_path, sweep=swept)
    groups = folds_of(made[3])
    assert [sorted({fold_of(run) for run in runs}) for runs in groups] == [[0, 1, 2]] * 2
    assert [{run.stage.model["filters"] for run in runs} for runs in groups] == [{16}, {32}]
    page = page_of(made)
    assert "Cross-validation with filters = 16" in page
    assert "Cross-validation with filters = 32" in page
    assert "of the 6 points of the sweep the one with the best validation" in page


def test_a_fold_without_its_table_makes_no_whole(tmp_path):
    made = finished(tmp_path)
    Path(made[3][0].model).with_name(HELD_OUT).unlink()
    _, *folds = rows(page_of(made), "folds")
    assert [row[3] for row in folds if row[0] in ("2", "all")] == ["–", "–"]
