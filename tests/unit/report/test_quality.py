"""Metrics beside the baseline: on counts whose metrics are known."""

import numpy as np
import pandas as pd
import pytest

from weft.metrics.bootstrap import Interval
from weft.metrics.scores import Scores
from weft.report.comparison import Difference
from weft.report.confusion import short
from weft.report.quality import LESS, NEITHER, Quality, better_of, counted, events_of, quality_table, shift_rows
from weft.report.ratio_panels import ENERGY_EDGES, by_energy
from weft.report.variants import beside, envelope, same_events, worst

ROWS = (Quality("right", "right"), Quality("wrong", "wrong", LESS), Quality("asked", "asked", NEITHER))


def metrics(counts):
    right = counts["n_right"] / counts["n"]
    return pd.DataFrame({"right": right, "wrong": 1 - right, "asked": counts["n"]})


def scores(share, splits=("test",), n=40):
    """Events with ten questions each, of which some are answered rightly."""
    tables = []
    for k, split in enumerate(splits):
        rng = np.random.default_rng(k)
        uids = np.arange(n, dtype=np.uint64) + 100 * k
        right = rng.binomial(10, share - 0.3 * k, n)
        tables.append(pd.DataFrame({"uid": uids, "split": split, "n": 10, "n_right": right}))
    events = pd.concat(tables, ignore_index=True)
    return Scores(events, events[:0], events[:0])


def test_who_is_better_is_told_by_the_metric():
    judged = {"seed0": scores(0.9), "baseline": scores(0.5)}
    tables = same_events(judged, "test")
    found = counted(tables, metrics, [row.name for row in ROWS])
    table = quality_table(found, ["seed0"], ROWS, 50, {"a coin": {"right": 0.5}}, 3).set_index("metric")
    assert table["verdict"].tolist() == ["beats", "beats", "–"]
    assert table["a coin"].tolist() == ["0.500", "–", "–"]
    exact = tables["seed0"]["n_right"].sum() / 400
    assert table.loc["right", "model"] == f"{exact:.3f}"
    assert table.loc["wrong", "model"] == f"{1 - exact:.3f}"
    assert table.loc["wrong", "model − baseline [95 %]"].startswith("−")
    low, high = (float(x) for x in table.loc["right", "95 % interval"].strip("[]").split(", "))
    assert low < exact < high
    turned = {"seed0": judged["baseline"], "baseline": judged["seed0"]}
    found = counted(same_events(turned, "test"), metrics, [row.name for row in ROWS])
    assert quality_table(found, ["seed0"], ROWS, 50)["verdict"].tolist() == ["loses", "loses", "–"]


def test_without_a_baseline_nothing_is_compared():
    tables = same_events({"seed0": scores(0.9)}, "test")
    table = quality_table(counted(tables, metrics, ["right"]), ["seed0"], ROWS[:1], 20)
    assert list(table) == ["metric", "model", "95 % interval"]
    assert events_of(tables) == "40 events"
    assert events_of({"seed0": tables["seed0"][:1]}) == "1 event"


def test_shifted_conditions_are_held_against_the_nominal_one():
    judged = {"seed0": scores(0.9, ("noisy", "test")), "baseline": scores(0.5, ("noisy", "test"))}
    table = shift_rows(judged, "test", metrics, [("right", "right ones")], 50)
    assert table["split"].tolist() == ["test", "noisy"]
    assert table["right ones against test"][0] == "–"
    assert 0.2 < float(table["right ones against test"][1]) < 0.4
    model, baseline = (table["right ones, model / baseline"][0]).split(" / ")
    value, low, high = (float(x) for x in model.replace("[", "").replace("]", "").replace(",", "").split())
    assert low < value < high
    assert float(baseline) < value
    assert table["right ones − baseline [95 %]"][0].startswith("+")


def test_of_seeds_the_worst_counts():
    """Where less is better that is the one that ends highest."""
    some = [Difference(-0.5, -0.6, -0.4), Difference(-0.1, -0.3, 0.1)]
    assert worst(some).startswith("−0.5")
    assert worst(some, LESS, 2) == "−0.10 [−0.30, +0.10]"
    assert better_of(some, LESS) == "even"
    assert better_of(some[:1], LESS) == "beats"


def test_intervals_of_seeds_are_spanned():
    one, two = (Interval(np.array([v]), np.array([v - 0.1]), np.array([v + 0.1]), 0.95, 9) for v in (0.5, 0.7))
    assert envelope([one, two], 0, 2) == "[0.40, 0.80]"
    assert beside({"seed0": 0.5, "seed1": 0.7, "baseline": 0.2}, 2, [one, two], 0) == "0.60 ± 0.14 [0.40, 0.80] / 0.20"
    assert beside({"seed0": np.nan}, 2, [one], 0) == "–"


def test_what_lies_beyond_the_energies_is_in_the_outermost_bins():
    events = pd.DataFrame({"uid": [3, 5]})
    objects = pd.DataFrame({"uid": [5, 5, 3], "energy": [0.01, 1e6, 0.4], "class": [0, 1, -1]})
    sums = by_energy(events, objects, "energy", "class", [np.array([1.0, 2.0, 4.0])], 2)
    assert sums.shape == (2, 2, len(ENERGY_EDGES) - 1, 1)
    assert sums[1, 0, 0, 0] == 1
    assert sums[1, 1, -1, 0] == 2
    assert sums.sum() == 3


@pytest.mark.parametrize(("n", "text"), [(987, "987"), (1234, "1.2k"), (34_123, "34k"), (5_600_000, "5.6M")])
def test_numbers_are_short(n, text):
    assert short(n) == text
