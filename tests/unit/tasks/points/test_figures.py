import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from point_events import LOW, SIZE, Fed, Store, random_event

from weft import tasks
from weft.errors import WeftError
from weft.metrics.scores import Scores, concat
from weft.reco.truth import derive
from weft.tasks.points.figures import class_table, figures, overall_table, shift_table

TASK = tasks.build("points", {})


def made_up(spread, missed, seed, splits=("test",)) -> Scores:
    """Scores of true points, moved by ``spread`` voxels, of which a share ``missed`` is left out."""
    rng = np.random.default_rng(seed)
    parts = []
    for split in splits:
        events = [random_event(k, particles=7) for k in range(30)]
        predictions = []
        for e in events:
            points = derive("points", Fed(e)).copy()
            points = points[rng.random(len(points)) >= missed]
            for axis in "xyz":
                points[axis] += SIZE * spread * rng.normal(size=len(points))
            predictions.append({"points": points})
        parts.append(TASK.score(Store(events, predictions), split, "a"))
    assert LOW < 0
    return concat(parts)


@pytest.fixture(scope="module")
def scores():
    splits = ("test_noise", "test")
    return {
        "seed0": made_up(0.3, 0.02, 0, splits),
        "seed1": made_up(0.4, 0.03, 1, splits),
        "baseline": made_up(1.5, 0.3, 2, splits),
    }


def test_all_figures_are_drawn(scores):
    drawn = {figure.key: figure for figure in figures(scores, "test")}
    assert list(drawn) == ["overall", "classes", "distance", "types", "energy", "per-event", "shifts"]
    for figure in drawn.values():
        assert figure.title
        assert figure.caption.endswith(".")
        if figure.svg is not None:
            ET.fromstring(figure.svg)
            assert "nan" not in re.sub(r"<[^>]*>", "", figure.svg)


def test_drawings_are_the_same_every_time_and_need_no_baseline(scores):
    few = {"seed0": scores["seed0"]}
    assert [f.svg for f in figures(few, "test")] == [f.svg for f in figures(few, "test")]
    assert "verdict" not in overall_table(few, "test").table


def test_the_better_one_beats_the_other_also_where_less_is_better(scores):
    table = overall_table(scores, "test").table.set_index("metric")
    assert table.loc["F1 at 3 voxels", "verdict"] == "beats"
    assert table.loc["median distance of what was found [voxels]", "verdict"] == "beats"
    assert "accuracy of the segmentation" not in table.index
    pooled = [TASK.summary(s.events[s.events["split"] == "test"])["f1_3"] for s in (scores["seed0"], scores["seed1"])]
    expected = f"{np.mean(pooled):.4f} ± {np.std(pooled, ddof=1):.4f}"
    assert table.loc["F1 at 3 voxels", "model"] == expected
    swapped = {"seed0": scores["baseline"], "baseline": scores["seed0"]}
    worse = overall_table(swapped, "test").table.set_index("metric")
    assert worse.loc["F1 at 3 voxels", "verdict"] == "loses"
    assert worse.loc["median distance of what was found [voxels]", "verdict"] == "loses"


def test_class_table_holds_what_it_says(scores):
    table = class_table(scores, "test").table.set_index("class")
    events = scores["seed0"].events
    events = events[events["split"] == "test"]
    assert table.loc["track", "true points"] == events["true_1"].sum()
    model, baseline = table.loc["track", "efficiency at 3, model / baseline"].split(" / ")
    assert float(model.split(" ± ")[0]) > float(baseline)
    assert table.loc["track", "efficiency − baseline [95 %]"].startswith("+")


def test_shifted_conditions_begin_with_the_nominal_one(scores):
    table = shift_table(scores, "test").table
    assert table["split"].tolist() == ["test", "test_noise"]
    assert table["F1 at 3 against test"].tolist()[0] == "–"


def test_refusals(scores):
    with pytest.raises(WeftError, match="no trained variant"):
        figures({"baseline": scores["baseline"]}, "test")
    with pytest.raises(WeftError, match="no scored events of the split 'val'"):
        figures(scores, "val")
    other = made_up(0.1, 0, 0)
    short = Scores(other.events.iloc[:5], other.objects, other.curves)
    with pytest.raises(WeftError, match="others: deploy and evaluate"):
        figures({"seed0": scores["seed0"], "baseline": short}, "test")
