import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from invented_scores import made_up

from weft.errors import WeftError
from weft.tasks.segmentation.figures import figures
from weft.tasks.segmentation.score import count_columns
from weft.tasks.segmentation.tables import class_table, overall_table, shift_table


@pytest.fixture(scope="module")
def scores():
    splits = ("lifetime_low", "test")
    return {
        "seed0": made_up(0.95, splits, seed=0),
        "seed1": made_up(0.96, splits, seed=1),
        "baseline": made_up(0.8, splits, seed=2),
    }


def test_all_figures_are_drawn(scores):
    drawn = {figure.key: figure for figure in figures(scores, "test")}
    assert list(drawn) == [
        "overall", "classes", "confusion", "energy", "charge", "reliability", "per-event", "shifts"
    ]  # fmt: skip
    for figure in drawn.values():
        assert figure.title
        assert figure.caption.endswith(".")
        if figure.svg is not None:
            ET.fromstring(figure.svg)
            assert "nan" not in re.sub(r"<[^>]*>", "", figure.svg)
    assert drawn["energy"].svg.count("Michel") >= 1


def test_drawings_are_the_same_every_time(scores):
    few = {"seed0": scores["seed0"]}
    assert [f.svg for f in figures(few, "test")] == [f.svg for f in figures(few, "test")]


def test_overall_table_holds_what_it_says(scores):
    table = overall_table(scores, "test").table.set_index(["metric", "low-energy"])
    row = table.loc[("accuracy", "kept")]
    pooled = [
        np.trace(c) / c.sum()
        for v in ("seed0", "seed1")
        for e in [scores[v].events]
        for c in [e[e["split"] == "test"][count_columns(5)].to_numpy().reshape(-1, 5, 5).sum(axis=0)]
    ]
    assert row["model"] == f"{np.mean(pooled):.4f} ± {np.std(pooled, ddof=1):.4f}"
    assert row["verdict"] == "beats"
    assert set(table["verdict"]) == {"beats"}
    low, high = map(float, re.fullmatch(r"\[(.*), (.*)\]", row["95 % interval"]).groups())
    assert low < min(pooled) <= max(pooled) < high
    assert table.loc[("accuracy", "removed"), "model"] != row["model"]


def test_a_loss_to_the_baseline_is_shown_as_one():
    table = overall_table({"seed0": made_up(0.8), "baseline": made_up(0.95, seed=1)}, "test").table
    assert set(table["verdict"]) == {"loses"}
    assert table["model − baseline [95 %]"].str.startswith("−").all()


def test_one_seed_that_does_not_beat_makes_it_even(scores):
    mixed = {"seed0": scores["seed0"], "seed1": scores["baseline"], "baseline": scores["baseline"]}
    table = overall_table(mixed, "test").table
    assert set(table["verdict"]) == {"even"}
    assert table["model − baseline [95 %]"].str.startswith("+0.0000 [+0.0000, +0.0000]").all()


def test_class_table(scores):
    table = class_table(scores, "test").table
    assert table["class"].tolist() == ["shower", "track", "Michel", "delta", "low-energy"]
    assert table["voxels"].sum() == scores["seed0"].events.query("split == 'test'")["n_voxels"].sum()
    model, baseline = table["recall, model / baseline"].str.extract(r"(.*) ± .* / (.*)").astype(float).to_numpy().T
    assert ((model > 0.9) & (baseline > 0.7) & (baseline < 0.9)).all()


def test_the_split_to_judge_by_is_the_one_given(scores):
    """Splits may have any name and order: `test` has no meaning of its own."""
    drawn = {figure.key: figure for figure in figures(scores, "lifetime_low")}
    for key in ("overall", "classes"):
        assert "of split lifetime_low;" in drawn[key].caption
    assert drawn["shifts"].table["split"].tolist() == ["lifetime_low", "test"]
    assert "against lifetime_low" in drawn["shifts"].table
    with pytest.raises(WeftError, match="seed0 has no scored events of the split 'tset'"):
        figures(scores, "tset")


def test_shift_table_starts_with_the_nominal_split(scores):
    table = shift_table(scores, "test").table
    assert table["split"].tolist() == ["test", "lifetime_low"]
    assert table["against test"].iloc[0] == "–"
    assert abs(float(table["against test"].iloc[1].replace("−", "-"))) < 0.05


def test_one_variant_without_baseline_scores_or_a_class():
    lone = made_up(0.9, splits=("holdout",), scored=False, empty_class=2)
    lone = lone._replace(objects=lone.objects.iloc[:0])
    drawn = {figure.key: figure for figure in figures({"seed0": lone}, "holdout")}
    assert list(drawn) == ["overall", "classes", "confusion", "charge", "per-event"]
    assert not any("baseline" in column for column in drawn["classes"].table)
    assert drawn["classes"].table.loc[2, "recall"] == "–"


def test_variants_must_be_scored_on_the_same_events(scores):
    other = made_up(0.9, uids=np.arange(5, 45))
    with pytest.raises(WeftError, match="split test: seed0 was scored on 40 events and baseline on 40 others"):
        figures({"seed0": made_up(0.9), "baseline": other}, "test")
    with pytest.raises(WeftError, match="no trained variant"):
        figures({"baseline": other}, "test")
