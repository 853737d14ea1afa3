import json

import numpy as np
import pytest
from point_events import LINES, LOW, SIZE, Fed, event, random_event

from weft import tasks
from weft.errors import WeftError
from weft.tasks.points.baseline import Choice, PointsBaseline


def build(semantic=False, **options):
    model = {"semantic": semantic}
    return tasks.build("points", {"model": model, "baseline": options})


def fitted(events=None, **options):
    baseline = build(**options).baseline()
    baseline.fit((Fed(e) for e in events or [random_event(k) for k in range(20)]), seed=0)
    return baseline


def positions(points):
    return (np.stack([points[axis] for axis in "xyz"], 1) - LOW) / SIZE


def test_tips_of_tracks_and_starts_of_others_are_found():
    points = fitted([event(LINES)]).predict(Fed(event(LINES)))["points"]
    at = {tuple(np.round(p - 0.5).astype(int)): c for p, c in zip(positions(points), points["class"], strict=True)}
    for tip in ((5, 5, 5), (28, 28, 5), (40, 8, 30), (40, 27, 49)):
        assert at[tip] == 1
    # The delta ray passes the track at (15, 15, 5).
    delta = [place for place, c in at.items() if c == 3]
    assert delta == [(12, 15, 6)]
    assert any(c == 0 and place in ((30, 50, 10), (44, 50, 24)) for place, c in at.items())


def test_the_end_of_a_track_is_where_the_charge_rises():
    points = fitted([event(LINES)]).predict(Fed(event(LINES)))["points"]
    tracks = points[points["class"] == 1]
    ends = {
        tuple(np.round(p - 0.5).astype(int)): s > 0.5
        for p, s in zip(positions(tracks), tracks["end_score"], strict=True)
    }
    assert ends == {(5, 5, 5): False, (28, 28, 5): True, (40, 8, 30): False, (40, 27, 49): True}
    assert np.isnan(points["end_score"][points["class"] != 1]).all()


def test_charge_is_compared_within_the_range_asked_for():
    # The charge peaks in the middle of the left half, so that near and far neighbourhoods of the tips disagree.
    made = event([(1, (5, 5, 5), (1, 0, 0), 30)])
    made["charge"][:, 0] = 1.0
    made["charge"][6:12] = 5.0
    made["charge"][-3:] = 2.0
    scores = []
    for reach in (3.0, 14.0):
        points = fitted([made], end_range=reach).predict(Fed(made))["points"]
        scores.append(float(points["end_score"][points["x"].argmax()]))
    assert scores[0] > 0.5 > scores[1]


def forked():
    return event([(1, (5, 5, 5), (1, 0, 0), 30), (1, (20, 6, 5), (0, 1, 0), 20)])


@pytest.mark.parametrize(("options", "found"), [({}, True), ({"max_branches": 0}, False),
                                                ({"min_branch": (25.0,)}, False)])  # fmt: skip
def test_side_branches_are_followed(options, found):
    at = positions(fitted([forked()], **options).predict(Fed(forked()))["points"])
    assert (np.abs(at - [34.5, 5.5, 5.5]).max(1) < 0.1).any() == found


def test_components_are_joined_over_gaps_within_reach():
    made = event([(1, (5, 5, 5), (1, 0, 0), 8), (1, (15, 5, 5), (1, 0, 0), 8)])
    counts = [len(fitted([made], reach=reach).predict(Fed(made))["points"]) for reach in (2.5, 3.5)]
    assert counts == [4, 2]


def test_small_components_that_are_no_particles_are_learned_to_be_left_out():
    made = event([(1, (5, 5, 5), (1, 0, 0), 20), *[(1, (5, 20 + 4 * k, 5), (1, 0, 0), 2) for k in range(5)]])
    made["particles"] = made["particles"][:1]
    baseline = fitted([made])
    assert baseline.choices[1].min_size == 3
    assert len(baseline.predict(Fed(made))["points"]) == 2
    assert len(fitted([made], min_size=(1,)).predict(Fed(made))["points"]) == 12


def test_the_fit_reads_so_many_events_and_no_more():
    good, bad = forked(), event([])
    assert fitted([good, bad], max_events=1).choices == fitted([good], max_events=5).choices

    def endless():
        while True:
            yield Fed(good)

    baseline = build(max_events=2).baseline()
    baseline.fit(endless(), 0)
    assert baseline.choices is not None


def test_it_sees_the_segmentation_that_it_is_fed():
    made = event(LINES)
    fed = Fed(made, semantics=np.full_like(made["semantics"], 4))
    assert len(fitted().predict(fed)["points"]) == 0


@pytest.mark.parametrize("semantic", [True, False])
def test_its_products_are_those_of_the_network(semantic):
    task = build(semantic)
    baseline = task.baseline()
    baseline.fit([Fed(random_event(0))], 0)
    for made in (random_event(1), event([]), event([(1, (3, 3, 3), (1, 0, 0), 1)])):
        products = baseline.predict(Fed(made))
        assert products.keys() == {schema.name for schema in task.makes}
        for schema in task.makes:
            schema.conform(products[schema.name], "prediction")
        proposals = products["point_proposals"]
        assert len(proposals) == len(made["voxels"])
        assert (proposals[:, 3] == 1).sum() == len(products["points"])
        if semantic:
            np.testing.assert_array_equal(products["semantics"], made["semantics"])


def test_no_events_and_empty_ones_can_be_fitted():
    for events in ([], [event([])]):
        baseline = build().baseline()
        baseline.fit((Fed(e) for e in events), 0)
        assert len(baseline.predict(Fed(event([])))["points"]) == 0


def test_what_is_saved_is_what_was_fitted(tmp_path):
    baseline = fitted()
    baseline.save(tmp_path / "model.ckpt")
    again = build().load_baseline(tmp_path / "model.ckpt")
    one, other = (b.predict(Fed(random_event(3)))["points"] for b in (baseline, again))
    assert one.tobytes() == other.tobytes()
    assert again.choices == baseline.choices
    assert isinstance(again.choices[0], Choice)


def test_refusals(tmp_path):
    path = tmp_path / "model.ckpt"
    with pytest.raises(WeftError, match="cannot be read"):
        PointsBaseline.load(path)
    path.write_text("{}")
    with pytest.raises(WeftError, match="not a fitted points baseline"):
        PointsBaseline.load(path)
    fitted().save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 0}))
    with pytest.raises(WeftError, match="version is 0, expected 1"):
        PointsBaseline.load(path)
    with pytest.raises(WeftError, match="nothing to save"):
        build().baseline().save(path)
    with pytest.raises(WeftError, match="has not been fitted"):
        build().baseline().predict(Fed(event([])))
