"""The report of a clustering: what its tables hold, and that all is drawn."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from weft.errors import WeftError
from weft.io.products import EVENT_DTYPE
from weft.metrics.clustering_counts import metrics
from weft.metrics.scores import Scores, concat, pool
from weft.reco.clustering_scores import Answer, score_answers
from weft.report.clustering import class_table, clustering_figures, overall_table, shift_table


def made_up(mistakes: float, splits=("test",), seed: int = 0, events: int = 40) -> Scores:
    """Clusters of which a share of the voxels is put into others."""
    parts = []
    for k, split in enumerate(splits):
        rng = np.random.default_rng(100 * seed + k)
        answers = []
        for _ in range(events):
            truth = np.repeat(np.arange(8), rng.integers(1, 60, 8))
            wrong = rng.random(len(truth)) < mistakes
            prediction = np.where(wrong, rng.integers(0, 9, len(truth)), truth)
            answers.append(Answer(truth, prediction, truth % 4, rng.random(len(truth))))
        names = np.zeros(events, EVENT_DTYPE)
        names["uid"] = np.arange(events) + 1000 * k
        parts.append(score_answers(answers, names, split, "0000"))
    return concat(parts)


@pytest.fixture(scope="module")
def scores():
    splits = ("lifetime_low", "test")
    return {
        "seed0": made_up(0.02, splits, seed=0),
        "seed1": made_up(0.03, splits, seed=1),
        "baseline": made_up(0.2, splits, seed=2),
    }


def test_all_figures_are_drawn(scores):
    drawn = {figure.key: figure for figure in clustering_figures(scores, "test", "showers")}
    assert list(drawn) == [
        "overall", "classes", "ari", "efficiency-size", "efficiency-energy", "purity-size", "purity-energy", "shifts",
    ]  # fmt: skip
    for figure in drawn.values():
        assert figure.title
        assert figure.caption.endswith(".")
        if figure.svg is not None:
            ET.fromstring(figure.svg)
            assert "nan" not in re.sub(r"<[^>]*>", "", figure.svg)
    assert "showers" in drawn["overall"].title
    assert drawn["purity-size"].svg.count("Michel") >= 1


def test_drawings_are_the_same_every_time(scores):
    few = {"seed0": scores["seed0"]}
    assert [f.svg for f in clustering_figures(few, "test")] == [f.svg for f in clustering_figures(few, "test")]


def test_overall_table_holds_what_it_says(scores):
    table = overall_table(scores, "test", "fragments").table.set_index(["metric", "mean over"])
    row = table.loc[("ARI", "events")]
    values = [
        metrics(pool(scores[v].events[scores[v].events["split"] == "test"]))["ari"][0] for v in ("seed0", "seed1")
    ]
    assert row["model"] == f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
    low, high = map(float, re.fullmatch(r"\[(.*), (.*)\]", row["95 % interval"]).groups())
    assert low < min(values) <= max(values) < high
    assert set(table["verdict"]) == {"beats"}
    assert table.loc[("efficiency", "voxels"), "model"] != table.loc[("efficiency", "true clusters"), "model"]


def test_a_loss_is_shown_as_one_and_no_baseline_as_none():
    lost = overall_table({"seed0": made_up(0.2), "baseline": made_up(0.02, seed=1)}, "test", "fragments").table
    assert set(lost["verdict"]) == {"loses"}
    alone = overall_table({"seed0": made_up(0.1)}, "test", "fragments").table
    assert not {"baseline", "verdict"} & set(alone)


def test_classes_beside_the_baseline(scores):
    table = class_table(scores, "test", "showers").table.set_index("class")
    assert table.index.tolist() == ["shower", "track", "Michel", "delta"]
    assert (table["true showers"] == 2 * 40).all()
    assert table["ARI, model / baseline"].str.fullmatch(r"0\.\d{3} ± 0\.\d{3} / 0\.\d{3}").all()
    assert table["ARI − baseline [95 %]"].str.startswith("+").all()


def test_shifted_conditions_follow_the_nominal_ones(scores):
    table = shift_table(scores, "test", "fragments").table
    assert table["split"].tolist() == ["test", "lifetime_low"]
    assert table["ARI against test"].tolist()[0] == "–"
    assert re.fullmatch(r"[+−]\d\.\d{4}", table["ARI against test"].tolist()[1])


def test_variants_of_different_events_are_refused(scores):
    other = made_up(0.1, events=10)
    with pytest.raises(WeftError, match="split test: seed0 was scored on 40 events and baseline on 10 others"):
        overall_table({"seed0": scores["seed0"], "baseline": other}, "test", "fragments")
    with pytest.raises(WeftError, match="no trained variant"):
        clustering_figures({"baseline": scores["baseline"]}, "test")
