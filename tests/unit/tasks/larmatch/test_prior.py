"""Scores that are probabilities: the share of good triplets goes into the logit."""

import math

import numpy as np
import pytest
import torch
from larmatch_tasks import batch_of, network_of, small_task
from wire_events import event, nothing

from weft.errors import WeftError
from weft.tasks.larmatch.baseline import LarmatchBaseline
from weft.tasks.larmatch.judging import answer_in_chunks
from weft.tasks.larmatch.prior import MOST, count_triplets, prior_shift, shifted
from weft.triplets.label_options import LabelOptions

MEASURED = {"events": 2, "good": 100, "ghosts": 900}
SHIFT = math.log(1 / 9)


def test_counts_are_those_of_the_labels():
    task = small_task()
    events = [event(20), nothing(), event(2, dead=40)]
    good = np.concatenate([task.sample(of, (0, 0), True).arrays["good"] for of in events])
    assert (good < 0).any() or (good >= 0).all()
    expected = {"events": 3, "good": int((good == 1).sum()), "ghosts": int((good == 0).sum())}
    assert task.measure(events) == expected
    assert min(expected.values()) > 0
    assert task.measure([]) == {"events": 0, "good": 0, "ghosts": 0}


class Asked(list):
    """Events that remember which of them were read."""

    def __init__(self, events):
        super().__init__(events)
        self.read = []

    def __getitem__(self, k):
        self.read.append(k)
        return super().__getitem__(k)


def test_of_many_events_a_part_is_counted_and_not_the_first_alone():
    events = Asked([nothing()] * (2 * MOST))
    assert count_triplets(events, LabelOptions())["events"] == MOST
    assert events.read[0] == 0
    assert events.read[-1] == 2 * MOST - 1
    assert np.diff(events.read).max() <= 3


def test_by_hand():
    assert prior_shift(MEASURED) == pytest.approx(SHIFT)
    # Bayes: even odds become those of the counts.
    np.testing.assert_allclose(shifted(np.array([0, 0.5, 0.9, 1]), SHIFT), [0, 0.1, 0.5, 1])
    np.testing.assert_allclose(shifted(np.array([0.2, 0.7]), 0.0), [0.2, 0.7])


@pytest.mark.parametrize(("measured", "words"), [
    ({}, "does not say how many good triplets"),
    ({"events": 1, "good": 0, "ghosts": 4}, "0 good triplets and 4 ghosts"),
])  # fmt: skip
def test_a_share_that_is_not_known_is_refused(measured, words):
    task = small_task(data={"prior": "events"})
    with pytest.raises(WeftError, match=words):
        task.prepare(task.network(), measured)
    small_task().prepare(task.network(), measured)  # balanced: not needed


def test_the_network_says_probabilities_wherever_it_is_asked():
    task, plain = small_task(data={"prior": "events", "min_score": 0.0}), small_task(data={"min_score": 0.0})
    network, batch = network_of(task), batch_of(task, event(20), nothing(), labels=True)
    with torch.inference_mode():
        plain.prepare(network, MEASURED)
        before = plain.predict(network, batch)
        task.prepare(network, MEASURED)
        after = task.predict(network, batch)
        forward = task.decode(network(batch), batch)
        _, validated = task.validate(network, batch)
        losses = [t.loss(answer_in_chunks(network, batch, 100, 0.0), batch) for t in (task, plain)]
    for b in range(2):
        old, new = (said[b]["triplet_scores"].values for said in (before, after))
        np.testing.assert_allclose(new["larmatch"], shifted(old["larmatch"], SHIFT), rtol=1e-5)
        for name in old.dtype.names:
            if name != "larmatch":
                np.testing.assert_array_equal(new[name], old[name])
        for other in (forward, validated):
            np.testing.assert_allclose(other[b]["triplet_scores"].values["larmatch"], new["larmatch"], rtol=1e-5)
    assert len(before[0]["triplet_scores"].values) > 10
    # What is learned is not moved.
    assert losses[0]["larmatch"][0] == losses[1]["larmatch"][0]


def test_what_is_written_is_chosen_by_the_probability():
    task = small_task(data={"prior": "events", "min_score": 0.0})
    network, batch = network_of(task), batch_of(task, event(20), labels=True)
    task.prepare(network, MEASURED)
    with torch.inference_mode():
        score = task.predict(network, batch)[0]["triplet_scores"].values["larmatch"]
        middle = np.sort(score)[len(score) // 2 :][:2]
        cut = float(middle.mean())  # no score lies there
        some = small_task(data={"prior": "events", "min_score": cut})
        _, validated = some.validate(network, batch)
        for said in (some.predict(network, batch), some.decode(network(batch), batch), validated):
            written = said[0]["triplet_scores"]
            np.testing.assert_array_equal(written.index, np.flatnonzero(score >= np.float32(cut)))
            np.testing.assert_allclose(written.values["larmatch"], score[written.index], rtol=1e-5)
    assert 0 < (score >= np.float32(cut)).sum() < len(score)
    assert cut < 0.4  # with even odds nearly all would be above


def test_the_baseline_says_probabilities_too(tmp_path):
    events = [event(seed) for seed in range(14, 18)]
    made = {}
    for prior in ("balanced", "events"):
        task = small_task(
            data={"prior": prior, "min_score": 0.0},
            baseline={"perceptron": {"hidden": [8], "epochs": 5}, "per_event": 50},
        )
        made[prior] = task.baseline()
        made[prior].fit(events, seed=0)
    counted = made["events"].counted
    assert counted == count_triplets(events, LabelOptions())
    made["events"].save(tmp_path / "model.ckpt")
    again = LarmatchBaseline.load(tmp_path / "model.ckpt")
    assert again.counted == counted
    one, two = (b.predict(event(20))["triplet_scores"].values["larmatch"] for b in (made["balanced"], again))
    np.testing.assert_allclose(two, shifted(one, math.log(counted["good"] / counted["ghosts"])), rtol=1e-5)
