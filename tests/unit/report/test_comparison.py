import re
import time

import invented
import numpy as np
import pytest

from weft import tasks
from weft.errors import WeftError
from weft.metrics.bootstrap import paired_bootstrap
from weft.report.comparison import Comparison, Difference, compare, metric_label
from weft.report.page import interval_bar


def comparison(*differences, events=240):
    named = {f"seed{k}": Difference(*d) for k, d in enumerate(differences)}
    return Comparison("mean_iou", "test", events, dict.fromkeys(named, 0.9) or {"seed0": 0.9}, 0.8, named or None)


def test_a_claim_needs_every_seed():
    up, down, open_ = (0.1, 0.05, 0.15), (-0.1, -0.15, -0.05), (0.1, -0.01, 0.2)
    assert comparison(up, up, up).verdict == "beats"
    assert comparison(down, down, down).verdict == "loses"
    assert comparison(up, up, open_).verdict == "even"
    assert comparison(up, down).verdict == "even"
    assert comparison().verdict == "alone"
    assert comparison((float("nan"),) * 3).verdict == "even"


def test_the_sentence_says_what_was_found():
    beats = comparison(*[(0.1, 0.05, 0.15)] * 3).sentence("uresnet")
    assert beats == (
        "uresnet beats the baseline in mean IoU by 0.1000 on average (3 seeds, 240 held-out events; "
        "the 95 % interval of each seed excludes zero)."
    )
    loses = comparison((-0.2, -0.3, -0.1), events=100).sentence("uresnet")
    assert loses.startswith(
        "uresnet loses to the baseline in mean IoU by 0.2000 [0.1000, 0.3000] (95 % interval over 100"
    )
    assert loses.endswith("An indication: a claim takes 3 seeds and 200 events.")
    assert "cannot be told apart" in comparison((0.1, -0.1, 0.3)).sentence("uresnet")
    mixed = comparison((0.1, 0.05, 0.15), (0.1, -0.1, 0.3)).sentence("uresnet")
    assert mixed.startswith("The seeds of uresnet do not agree")
    assert "no baseline" in comparison().sentence("uresnet")


def test_a_single_event_tells_nothing_apart():
    model, baseline = invented.event_scores(0, 0.95, events=1), invented.event_scores(1, 0.5, events=1)
    (found,) = compare(invented.metrics, ["accuracy"], "test", {"seed0": model}, baseline, thing="stack")
    assert found.verdict == "even"
    said = found.sentence("net")
    assert re.search(r"on one stack, the baseline 0\.\d+: a single stack does not tell them apart\.$", said), said
    assert "[" not in str(found.differences["seed0"])
    assert "nan" not in interval_bar(found)
    assert "circle" in interval_bar(found)


def test_a_task_says_how_many_events_a_claim_takes():
    """A stack or an image holds many things that are judged: ten of them do (DESIGN §6)."""
    assert (tasks.load("segmentation").claim_events, tasks.load("volume_segmentation").claim_events) == (200, 10)
    model, baseline = invented.event_scores(0, 0.95, events=12), invented.event_scores(1, 0.93, events=12)
    models = {f"seed{k}": model for k in range(3)}

    def caveat(claim_events, n=12):
        cut = {name: table[:n] for name, table in models.items()}
        found = compare(invented.metrics, ["accuracy"], "test", cut, baseline[:n], claim_events=claim_events)
        return re.search("An indication.*", found[0].sentence("net"))

    assert caveat(12) is None
    assert caveat(10) is None
    assert caveat(10, n=9)[0] == "An indication: a claim takes 3 seeds and 10 events."
    assert caveat(200)[0] == "An indication: a claim takes 3 seeds and 200 events."


def test_differences_are_paired_by_event():
    """The order of the rows does not matter, and the interval is that of the library's paired bootstrap."""
    model, baseline = invented.event_scores(0, 0.95), invented.event_scores(1, 0.93)
    result = compare(invented.metrics, ["accuracy"], "test", {"seed0": model}, baseline)[0]
    shuffled = compare(
        invented.metrics, ["accuracy"], "test", {"seed0": model.sample(frac=1, random_state=3)}, baseline
    )[0]
    assert shuffled == result
    difference = result.differences["seed0"]
    counts = [table[["right", "n"]].to_numpy() for table in (model, baseline)]
    expected = paired_bootstrap(*counts, lambda c: c[..., 0] / c[..., 1])
    found = (difference.value, difference.low, difference.high)
    assert found == pytest.approx((float(expected.value), expected.low, expected.high), abs=1e-12)


def test_a_study_is_compared_in_moments():
    """Three seeds on 4,000 events: a bootstrap of weighted sums, not of tables."""
    models = {f"seed{k}": invented.event_scores(k, 0.95, events=4000) for k in range(3)}
    begin = time.process_time()
    compare(invented.metrics, ["accuracy", "mean_iou"], "test", models, invented.event_scores(9, 0.93, events=4000))
    assert time.process_time() - begin < 5


def test_a_model_does_not_beat_itself():
    table = invented.event_scores(0, 0.95)
    result = compare(invented.metrics, ["accuracy"], "test", {"seed0": table}, table)[0]
    assert result.differences["seed0"] == Difference(0.0, 0.0, 0.0)
    assert result.verdict == "even"


def test_other_events_are_refused():
    table = invented.event_scores(0, 0.9)
    with pytest.raises(WeftError, match="split test: seed0 was scored on 240 events and the baseline on 10"):
        compare(invented.metrics, ["accuracy"], "test", {"seed0": table}, table[:10])


def test_without_a_baseline():
    result = compare(invented.metrics, ["accuracy"], "test", {"seed0": invented.event_scores(0, 0.9)}, None)[0]
    assert result.baseline is None
    assert result.verdict == "alone"


def test_spread_is_the_standard_deviation_over_seeds():
    made = Comparison("accuracy", "test", 5, {"seed0": 0.9, "seed1": 0.92, "seed2": 0.97})
    assert made.mean == pytest.approx(0.93)
    assert made.spread == pytest.approx(np.std([0.9, 0.92, 0.97], ddof=1))


def test_labels():
    assert metric_label("mean_iou_without_low_energy") == "mean IoU without low energy"
    assert metric_label("macro_f1") == "macro F1"
    assert metric_label("f1_3") == "F1 at 3"
    assert metric_label("vertex_within_3cm") == "vertex within 3 cm"
