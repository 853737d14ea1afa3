"""Ends of the cloud: pieces made by hand, and the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from space_point_stores import events

from weft import tasks
from weft.errors import WeftError
from weft.io.larmatch_products import KEY_POINT_KINDS, KEY_POINTS, space_points, triplet_scores
from weft.tasks.space_points.baseline import cloud_ends
from weft.tasks.space_points.options import BaselineOptions
from weft.triplets.key_points import xyz

OPTIONS = BaselineOptions()


def cloud(*pieces: np.ndarray) -> np.ndarray:
    """Space points at positions; 50 ADC in each plane."""
    place = np.concatenate([np.zeros((0, 3)), *pieces])
    made = np.zeros(len(place), space_points(triplet_scores()).dtype)
    for axis, name in enumerate("xyz"):
        made[name] = place[:, axis]
    made["larmatch"] = 0.8
    for plane in range(3):
        made[f"charge_{plane}"] = 50
    return made


def line(start: list[float], end: list[float], n: int = 60) -> np.ndarray:
    return np.asarray(start) + np.linspace(0, 1, n)[:, None] * (np.asarray(end) - np.asarray(start))


def found(points: np.ndarray, options: BaselineOptions = OPTIONS) -> list[tuple[str, list[float]]]:
    ends = cloud_ends(points, options)
    assert ends.dtype == KEY_POINTS.dtype
    return [(KEY_POINT_KINDS[k], np.round(p, 2).tolist()) for k, p in zip(ends["kind"], xyz(ends), strict=True)]


def test_a_track_ends_where_its_charge_is_high() -> None:
    points = cloud(line([0, 0, 0], [20, 0, 0]))
    points["charge_1"][points["x"] > 18] = 200
    assert found(points) == [("track_start", [0, 0, 0]), ("track_end", [20, 0, 0])]
    points["charge_1"] = points["charge_1"][::-1]
    assert found(points) == [("track_start", [20, 0, 0]), ("track_end", [0, 0, 0])]
    points["charge_1"][points["charge_1"] == 200] = 0  # a dead plane has no say
    points["charge_2"][:6] = 300
    assert found(points)[1] == ("track_end", [0, 0, 0])


def test_a_shower_starts_where_it_is_narrow() -> None:
    rng = np.random.default_rng(0)
    along = rng.uniform(0, 10, 800)
    off = rng.uniform(-0.25, 0.25, (800, 2)) * along[:, None]
    cone = np.concatenate([np.column_stack([along, off]), [[0.0, 0, 0]]])
    ((kind, place),) = found(cloud(cone))
    assert kind == "shower_start"
    assert np.linalg.norm(place) < 1
    ((kind, place),) = found(cloud([10, 0, 0] - cone))
    assert np.linalg.norm(np.array(place) - [10, 0, 0]) < 1


def test_ends_that_meet_make_a_vertex() -> None:
    pieces = line([2, 0, 0], [20, 0, 0]), line([0, 2, 0], [0, 20, 0]), line([0, 0, 40], [0, 0, 60])
    kinds = dict(found(cloud(*pieces)))
    assert kinds["nu_vertex"] == [1, 1, 0]
    assert [kind for kind, _ in found(cloud(*pieces))].count("track_start") == 3
    assert "nu_vertex" not in dict(found(cloud(*pieces), BaselineOptions(vertex_radius=1.0)))


def test_small_pieces_and_empty_clouds_have_no_ends() -> None:
    assert found(cloud()) == []
    assert found(cloud(line([0, 0, 0], [1, 0, 0], 9))) == []
    assert len(found(cloud(line([0, 0, 0], [1, 0, 0], 9)), BaselineOptions(min_size=9))) == 2
    far = [np.array([[50.0 * k, 0, 0]]) for k in range(4)]
    assert len(found(cloud(line([0, 0, 0], [9, 0, 0]), *far))) == 2
    assert len(found(cloud(np.zeros((12, 3))))) == 2  # all in one place


def test_the_order_of_points_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    points = cloud(line([0, 0, 0], [9, 3, 1]), rng.normal([30, 0, 0], 1.5, (200, 3)), line([-1, 0, 0], [-9, 4, 4]))
    points["charge_0"] = rng.uniform(20, 90, len(points))
    assert found(points[rng.permutation(len(points))]) == found(points)


def test_the_baseline_predicts_the_products_of_the_stage_and_is_kept(tmp_path: Path) -> None:
    task = tasks.build("space_points", {"baseline": {"eps": 0.9}})
    baseline = task.baseline()
    baseline.fit(iter(()), 0)
    baseline.save(tmp_path / "model.ckpt")
    again = task.load_baseline(tmp_path / "model.ckpt")
    for one in events():
        made, of_task = again.predict(one), task.predict_event(one)
        np.testing.assert_array_equal(made["space_points"], of_task["space_points"])
        expected = cloud_ends(made["space_points"], BaselineOptions(eps=0.9))
        np.testing.assert_array_equal(made["key_points"], expected)
    plain = tasks.build("space_points", {"model": {"heads": [], "key_points": None}}).baseline()
    assert set(plain.predict(events()[0])) == {"space_points"}
    (tmp_path / "other").write_text("{}")
    with pytest.raises(WeftError, match="other"):
        task.load_baseline(tmp_path / "other")
