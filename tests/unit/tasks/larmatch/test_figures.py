import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from judged_events import ALL_HEADS, answer, by_hand, store_of
from wire_events import event, nothing

from weft.errors import WeftError
from weft.metrics.scores import Scores, concat, pool
from weft.metrics.separation import rejection
from weft.report.variants import pooled, select
from weft.tasks.larmatch import event_views, head_tables, part_views, quality_tables
from weft.tasks.larmatch import figures as module
from weft.tasks.larmatch.counting import DISTANCE_BINS
from weft.tasks.larmatch.figures import _curves, figures, threshold_figure
from weft.tasks.larmatch.head_tables import class_table, key_point_table
from weft.tasks.larmatch.options import Options
from weft.tasks.larmatch.part_views import slice_counts, slice_metrics, slice_table
from weft.tasks.larmatch.quality_tables import bounds_table, charge_table, overall_table, shift_table
from weft.tasks.larmatch.score import histograms, metrics, score_shard

ONE_HEAD = Options.model_validate({"model": {"heads": {"larmatch": [4]}}})


@pytest.fixture(scope="module", autouse=True)
def few_replicas():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality_tables, "_SHIFT_REPLICAS", 40)
        for where in (quality_tables, head_tables, part_views, module):
            patch.setattr(where, "_REPLICAS", 40)
        yield


@pytest.fixture(scope="module")
def events():
    made = [event(seed, dead=20 * (seed % 2)) for seed in range(4)] + [nothing()]
    return [{**of, "truth/particles": with_energy(of["truth/particles"])} for of in made]


def with_energy(particles):
    particles = particles.copy()
    particles["energy_deposit"] = 50
    return particles


@pytest.fixture(scope="module")
def scores(events):
    made = {}
    for seed, (name, quality) in enumerate((("seed0", 1.5), ("seed1", 1.6), ("baseline", 0.4))):
        parts = [score_shard(store_of(events, quality, 10 * seed), "test", "0", ALL_HEADS)]
        parts.append(score_shard(store_of(events[:3], 0.7 * quality, 10 * seed, first=50), "noisy", "0", ALL_HEADS))
        made[name] = concat(parts)
    return made


@pytest.fixture(scope="module")
def judged(scores):
    return {name: select(part, "test") for name, part in pooled(scores).items()}


@pytest.fixture(scope="module")
def drawn(scores):
    return {figure.key: figure for figure in figures(scores, "test", ALL_HEADS)}


def test_all_figures_are_drawn(drawn):
    assert list(drawn) == [
        "overall", "bounds", "separation", "charges", "thresholds", "distances", "calibration", "per-event", "parts",
        "slices", "energy", "confusion", "affinity", "classes", "key-points", "shifts",
    ]  # fmt: skip
    for figure in drawn.values():
        assert figure.title
        assert figure.caption.endswith(".")
        if figure.svg is not None:
            ET.fromstring(figure.svg)
            assert "nan" not in re.sub(r"<title>.*?</title>", "", figure.svg)


def test_one_variant_without_baseline_and_with_one_head(events):
    alone = {"seed0": score_shard(store_of(events, options=ONE_HEAD), "test", "0", ONE_HEAD)}
    made = {figure.key: figure for figure in figures(alone, "test", ONE_HEAD)}
    assert not {"confusion", "affinity", "classes", "key-points", "shifts"} & set(made)
    assert "energy" in made
    unknown = score_shard(store_of([event(0)], options=ONE_HEAD), "test", "0", ONE_HEAD)
    assert "energy" not in {figure.key for figure in figures({"seed0": unknown}, "test", ONE_HEAD)}
    assert "baseline" not in made["overall"].table.columns
    assert "charge agreement" in made["overall"].table.columns


def test_it_is_said_what_was_not_written_where_something_was_not(judged):
    assert threshold_figure(judged, 0.2).caption.startswith("Scores below 0.2 are not written. Lines:")
    assert threshold_figure(judged, 0.0).caption.startswith("Lines:")


def test_overall_table_holds_what_it_says(scores):
    table = overall_table(scores, "test").table.set_index("metric")
    values = [metrics(pool(scores[v].events[scores[v].events["split"] == "test"])).iloc[0] for v in ("seed0", "seed1")]
    mean = np.mean([v["average_precision"] for v in values])
    assert float(table["model"]["average precision"].split(" ±")[0]) == pytest.approx(mean, abs=1e-3)
    assert table["verdict"]["average precision"] == "beats"
    assert table["verdict"]["distance of ghosts at 0.5, median [cm]"] == "–"
    assert float(table["all candidates"]["average precision"]) == pytest.approx(values[0]["good_share"], abs=1e-3)
    assert float(table["all candidates"]["efficiency at 0.5, of good candidates"]) == 1
    assert table["charge agreement"]["mean recall of classes"] == "–"


def test_less_is_better_where_it_is(scores):
    """A model whose calibration is worse loses, though its number is larger."""
    turned = {"seed0": scores["baseline"], "baseline": scores["seed0"]}
    for name, judged in (("as is", scores), ("turned", turned)):
        row = overall_table(judged, "test").table.set_index("metric").loc["angle of directions, median [°]"]
        assert row["verdict"] in ("even", "beats", "loses"), name
    error = overall_table(turned, "test").table.set_index("metric").loc["expected calibration error"]
    difference = float(error["model − baseline [95 %]"].split(" [")[0].replace("−", "-"))
    low, high = (float(x.replace("−", "-")) for x in re.findall(r"[+−]\d\.\d+", error["model − baseline [95 %]"])[1:])
    assert low <= difference <= high
    assert error["verdict"] == ("beats" if high < 0 else "loses" if low > 0 else "even")


def test_charges_are_beaten_and_can_beat(scores, events):
    assert set(charge_table(scores, "test").table["verdict"]) <= {"beats", "even", "loses"}
    assert charge_table(scores, "test").table["verdict"][0] == "beats"
    assert [name for name in charge_table(scores, "test").table["metric"] if "wire" in name] == [
        f"{what}, {wires}"
        for wires in ("three live wires", "one dead wire")
        for what in ("average precision", "ROC area")
    ]
    poor = {"seed0": score_shard(store_of(events, -2.0), "test", "0", ALL_HEADS)}
    assert charge_table(poor, "test").table["verdict"][0] == "loses"


def test_bounds(scores):
    table = bounds_table(scores, "test").table.set_index("share")
    rows = scores["seed0"].events
    rows = rows[rows["split"] == "test"]
    assert float(table["value"]["true cells that are candidates"]) == pytest.approx(
        rows["found"].sum() / rows["cells"].sum(), abs=1e-3
    )
    limit = pool(rows).iloc[0]
    at_most = limit["best_at_most_0"] / sum(limit[f"best_at_most_{k}"] for k in range(DISTANCE_BINS))
    shown = float(table["value"]["best candidate of a pixel is the true one, at most"])
    assert shown == pytest.approx(at_most, abs=1e-3)
    # Of several good candidates of a pixel one is found.
    assert 0 < at_most < 1


def test_class_and_key_point_tables(scores):
    classes = class_table(scores, "test").table.set_index("class")
    total = histograms(scores["seed0"].events[scores["seed0"].events["split"] == "test"])[0].sum()
    assert classes["good triplets"].sum() == total
    assert classes["recall, model / baseline"]["photon"].startswith("–")  # there is none
    assert classes["recall, model / baseline"]["muon"] > "0.5"
    for cell in (classes["recall, model / baseline"]["muon"], classes["IoU, model / baseline"]["muon"]):
        within(cell)
    points = key_point_table(scores, "test").table.set_index("key point")
    assert points["rms error of the score, model / baseline"]["track start"].startswith("0.000")
    within(points["near ones said to be near, model / baseline"]["track start"])


def within(cell):
    """A cell of the report is a value, of seeds perhaps with their spread, in its interval."""
    value, low, high = re.fullmatch(r"([\d.]+)(?: ± [\d.]+)? \[([\d.]+), ([\d.]+)\](?: / .*)?", cell).groups()
    assert float(low) <= float(value) <= float(high)


def test_slices(judged):
    table = slice_table(judged).table
    wires = table[table["slice"] == "wires"]
    total = [array.sum(axis=(0, 1)) for array in histograms(judged["baseline"].events)]
    assert wires["good"].sum() == sum(total[0:1])
    assert wires["ghosts"].sum() == total[1]
    for name in ("efficiency at 0.5", "purity at 0.5", "average precision"):
        within(table[f"{name}, model / baseline"][0])
    # The mean of parts, weighed by their good triplets, is that of the whole.
    array = slice_counts(judged["model"], "planes").sum(axis=0)
    parts, weight = slice_metrics(array)[:, 0], array[:, 0].sum(axis=-1)
    whole = metrics(pool(judged["model"].events)).iloc[0]["efficiency_at_0.5"]
    assert (parts * weight).sum() / weight.sum() == pytest.approx(whole)


def test_shift_table_starts_with_the_nominal_split(scores):
    table = shift_table(scores, "test").table
    assert table["split"].tolist() == ["test", "noisy"]
    assert table["average precision against test"][0] == "–"
    assert table["average precision against test"][1].startswith("−")


def test_points_of_the_curves_are_the_metrics(judged):
    sums = np.stack(histograms(judged["model"].events), axis=1).sum(axis=0)[None]
    left, purity = _curves(sums)[0]
    at = int(np.flatnonzero(np.isclose(module._GRID, 0.96))[0])
    assert 1 - left[at] == pytest.approx(float(rejection(sums[0, 0], sums[0, 1], 0.96)))
    assert purity[-1] == pytest.approx(sums[0, 0].sum() / sums.sum())


def test_variants_must_be_scored_on_the_same_events(scores):
    other = Scores(*scores["seed0"])
    events = other.events.copy()
    events.loc[0, "uid"] = np.uint64(7)
    with pytest.raises(WeftError, match="deploy and evaluate all variants on the same events"):
        figures({"seed0": scores["seed1"], "baseline": Scores(events, *other[1:])}, "test", ALL_HEADS)


# ------------------------------------------------------------------------------------------------------ one event


def test_pixels_have_their_best_triplets_score():
    score = event_views.pixel_scores(by_hand())
    # Pixel 0 is in triplets 0 (0.9) and 2 (0.25), pixel 3 in 1 (0.6) and 2.
    assert score.tolist() == pytest.approx([0.9, 0.8, 0.9, 0.6, 0.9, 0.8])


def test_an_event_is_drawn(events):
    store = store_of(events)
    for index in (1, len(events) - 1):  # the last holds nothing
        for figure in event_views.event_figures(store, index, ALL_HEADS, "which is one"):
            ET.fromstring(figure.svg)
            assert figure.caption.startswith(f"Event 0/0/{index}, which is one.")


def test_what_the_display_reads(events):
    store = store_of(events)
    payload = event_views.payload(store, 1, ALL_HEADS, "average precision 0.5", "worst 1")
    n = len(events[1]["triplets"])
    kept = int((answer(events[1], 1.5, 1).values["larmatch"] >= 0.5).sum())
    assert payload["subtitle"].startswith(f"average precision 0.5, {n} triplets, ")
    assert payload["subtitle"].endswith(f"{kept} kept")
    assert [c["name"] for c in payload["classes"]] == ["good", "ghost", "unknown"]
    assert (payload["things"], payload["unit"]) == ("triplets", "ADC")
    assert event_views.payload(store, len(events) - 1, ALL_HEADS, "", "")["subtitle"] == "0 triplets, 0 good, 0 kept"


def test_large_events_keep_what_matters(events, monkeypatch):
    store = store_of(events)
    monkeypatch.setattr(event_views, "_MOST", 100)
    payload = event_views.payload(store, 1, ALL_HEADS, "", "")
    assert payload["subtitle"].endswith("100 of them drawn")
