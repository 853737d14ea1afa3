"""The task itself: what it reads, makes and refuses, staged and in a chain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from space_point_stores import GHOST, GOOD, LABELS, PROVIDERS, events, inputs, true_points

from weft import tasks
from weft.config.loading import ConfigError
from weft.engine.deploy import deploy
from weft.engine.fixed import settle
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.store import EventStore
from weft.metrics.points import nearest
from weft.triplets.deghost import best_of_pixel
from weft.triplets.key_points import xyz


def test_space_points_are_the_good_triplets_where_scores_say_so() -> None:
    task = tasks.build("space_points", {})
    for one in events():
        made = task.predict_event(one)["space_points"]
        scores = one["triplet_scores"]
        good = scores.index[scores.values["larmatch"] == np.float32(GOOD)]
        np.testing.assert_array_equal(made["triplet"], good)
        np.testing.assert_array_equal(xyz(made), xyz(one["triplets"][good]))
        assert made.dtype == task.makes[0].dtype
        for plane in range(3):
            member = one["pixels"][one["triplets"][f"pixel_{plane}"][good]]
            np.testing.assert_array_equal(made[f"wire_{plane}"], member["wire"])
            np.testing.assert_array_equal(made[f"charge_{plane}"], member["charge"])
            np.testing.assert_array_equal(made["dead_plane"] == plane, member["dead"] == 1)
        np.testing.assert_array_equal(made["affinity_x"], scores.values["affinity_x"][np.isin(scores.index, good)])


def test_key_points_lie_at_the_true_ones() -> None:
    task = tasks.build("space_points", {})
    kinds = set()
    for one in events():
        true, found = true_points(one), task.predict_event(one)["key_points"]
        kinds |= set(true["kind"].tolist())
        assert (nearest(xyz(true), xyz(found), true["kind"], found["kind"]).distance < 1.0).all()
        assert (nearest(xyz(found), xyz(true), found["kind"], true["kind"]).distance < 1.0).all()
        assert len(found) <= len(true)
    assert kinds == {KEY_POINT_KINDS.index(name) for name in ("track_start", "track_end", "shower_start")}


def test_the_best_of_each_pixel() -> None:
    one = events(1)[0]
    made = tasks.build("space_points", {"model": {"min_score": 0.25, "best_per_pixel": 2}}).predict_event(one)
    every = tasks.build("space_points", {"model": {"min_score": 0.25}}).predict_event(one)["space_points"]
    members = np.stack([one["triplets"][f"pixel_{plane}"][every["triplet"]] for plane in range(3)], axis=1)
    np.testing.assert_array_equal(made["space_points"], every[best_of_pixel(members, every["larmatch"], 2)])
    assert len(made["space_points"]) == len(np.unique(members[:, 2])) < len(every)
    assert set(every["larmatch"].tolist()) == {np.float32(GOOD), np.float32(GHOST)}


def test_heads_decide_the_columns() -> None:
    plain = tasks.build("space_points", {"model": {"heads": [], "key_points": None}})
    assert [schema.name for schema in plain.makes] == ["space_points"]
    assert plain.makes[0].dtype.names[-4:] == ("x", "y", "z", "larmatch")
    assert set(plain.predict_event(events(1)[0])) == {"space_points"}
    assert plain.headline[0] == "point_purity"
    classes = tuple(f"class_{name}" for name in LABELS.classes.classes)
    names = tasks.build("space_points", {"model": {"heads": ["key_points", "semantics"]}}).makes[0].dtype.names
    assert names[-len(classes) - 7 :] == ("larmatch", *(f"key_{kind}" for kind in KEY_POINT_KINDS), *classes)


def test_key_point_thresholds_are_options() -> None:
    one = events(1)[0]

    def found(**options: object) -> np.ndarray:
        made = tasks.build("space_points", {"model": {"key_points": options}}).predict_event(one)
        return made["key_points"]

    everything = found()
    assert len(found(min_larmatch=0.95)) == 0
    assert len(found(min_support=10_000)) == 0
    assert len(found(radius=500.0)) == len(np.unique(everything["kind"]))
    least = dict.fromkeys(KEY_POINT_KINDS, 0.5) | {"track_end": 1.0}
    assert KEY_POINT_KINDS.index("track_end") not in found(min_score=least)["kind"]
    assert len(found(min_score=least)) > 0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"heads": ["semantics"]}, "key points are found by the scores of the head key_points"),
        ({"key_points": {"min_score": {"delta": 0.5}}}, "min_score: no value for nu_vertex"),
        ({"best_per_pixel": 3}, "best_per_pixel"),
        ({"key_points": {"radius": 0}}, "radius"),
    ],
)
def test_options_that_make_no_sense_are_refused(model: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tasks.build("space_points", {"model": model})


def test_what_the_network_does_not_say_is_refused() -> None:
    task = tasks.build("space_points", {"model": {"heads": ["key_points", "semantics", "shift"]}})
    network = tasks.build("larmatch", {})
    with pytest.raises(ConfigError, match=r"model\.heads: stage 'net' does not say shift_nu_vertex_x and 17 more; it "):
        task.check_providers({"net": network})
    tasks.build("space_points", {}).check_providers({"net": network, "triplets": tasks.build("space_points", {})})
    few = tasks.build("larmatch", {"data": {"min_score": 0.6}})
    with pytest.raises(ConfigError, match=r"model\.min_score: 0\.5, but stage 'net' writes no triplet below .* 0\.6"):
        tasks.build("space_points", {}).check_providers({"net": few})
    with pytest.raises(ConfigError, match=r"model\.key_points\.min_larmatch: 0\.5, but"):
        tasks.build("space_points", {"model": {"min_score": 0.7}}).check_providers({"net": few})


def test_a_deploy_of_stages(tmp_path: Path) -> None:
    made = events()
    files = inputs(tmp_path, made)
    task = tasks.build("space_points", {})
    settle(task, tmp_path / "model", {}, 0)
    output = tmp_path / "points.h5"
    deploy(task, tmp_path / "model/model.ckpt", files, output, {}, providers=PROVIDERS)
    with EventStore.open(output) as store:
        assert set(store.products) == {"space_points", "key_points"}
        for i, one in enumerate(made):
            expected = task.predict_event(one)
            np.testing.assert_array_equal(store["space_points"][i], expected["space_points"])
            np.testing.assert_array_equal(store["key_points"][i], expected["key_points"])
        assert store["space_points"].counts[1] == 0
