"""The fragments task: where each class comes from, what it reads, its files, scores and baseline."""

from typing import Any

import numpy as np
import pytest
from grappa_events import Event, event, line, particle

from weft import tasks
from weft.config.loading import ConfigError
from weft.engine.deploy import deploy
from weft.engine.evaluate import evaluate
from weft.engine.fixed import settle
from weft.errors import WeftError
from weft.io.products import CHARGE, CLUSTERS, DELTA, META, PARTICLES, SEMANTICS, SHOWER, TRACK, VOXELS, EventId
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.metrics.scores import read_scores
from weft.reco.feed import FedStore
from weft.reco.nodes import voxel_labels
from weft.tasks.fragments.baseline import DbscanBaseline
from weft.tasks.fragments.options import NUMBER

CLASSES = ("shower", "track", "michel", "delta")


def task(**model: Any) -> Any:
    return tasks.build("fragments", {"model": model})


def tracks() -> Event:
    """Two tracks from one vertex, a delta on one of them, a shower, and two voxels that are too few."""
    return event(
        [
            particle(line((20, 20, 20), (50, 20, 20)), TRACK, 13),
            particle(line((20, 21, 20), (20, 50, 20)), TRACK, 2212),
            particle(line((35, 20, 21), (35, 20, 24)), DELTA, 11),
            particle(line((70, 70, 70), (80, 75, 70)), SHOWER, 11),
            particle(line((5, 5, 90), (6, 5, 90)), SHOWER, 11),
        ]
    )


def shapes(products: dict[str, Any]) -> list[int]:
    return sorted(products["fragments"]["shape"].tolist())


def test_tracks_are_cut_at_their_vertex_by_true_points():
    made = task().predict_event(tracks())
    assert shapes(made) == [SHOWER, TRACK, TRACK, DELTA]
    assert made["fragments"]["size"].sum() == len(tracks()["voxels"]) - 2
    whole = task(dbscan={"split": []}).predict_event(tracks())
    assert shapes(whole) == [SHOWER, TRACK, DELTA]
    assert shapes(task(dbscan={"min_size": 1}).predict_event(tracks())) == [SHOWER, SHOWER, TRACK, TRACK, DELTA]


def test_fragments_do_not_overlap_and_are_numbered_by_their_lowest_voxel():
    made = task().predict_event(tracks())
    voxels = made["fragment_voxels"]
    assert len(np.unique(voxels.values)) == len(voxels.values)
    firsts = [item[0] for item in voxels]
    assert firsts == sorted(firsts)
    semantics = tracks()["semantics"][:, 0]
    for row, item in zip(made["fragments"], voxels, strict=True):
        assert (np.diff(item) > 0).all()
        assert (semantics[item] == row["shape"]).all()


def test_points_that_are_not_sure_enough_cut_nothing():
    points = tracks()["points"].copy()
    points["score"] = 0.6
    assert shapes(task().predict_event(tracks().fed(points=points))) == [SHOWER, TRACK, DELTA]
    sure = task(dbscan={"point_score": 0.5})
    assert shapes(sure.predict_event(tracks().fed(points=points))) == [SHOWER, TRACK, TRACK, DELTA]
    points["score"], points["class"] = 1.0, DELTA
    points["score_delta"] = 1.0
    assert shapes(task().predict_event(tracks().fed(points=points))) == [SHOWER, TRACK, DELTA]


def test_which_points_cut_is_an_option():
    """Points of tracks that are also, less surely, called something else: of which class, and how sure of it."""
    given, cut, whole = tracks(), [SHOWER, TRACK, TRACK, DELTA], [SHOWER, TRACK, DELTA]
    points = given["points"].copy()
    points["score"], points["score_track"] = 1.0, 0.4
    points["class"] = np.where(points["class"] == TRACK, TRACK, SHOWER)
    fed = given.fed(points=points)
    assert shapes(task().predict_event(fed)) == cut
    assert shapes(task(dbscan={"point_class_score": 0.5}).predict_event(fed)) == whole
    assert shapes(task(dbscan={"point_classes": ["michel"]}).predict_event(fed)) == whole
    assert shapes(task(dbscan={"point_classes": ["delta", "track"]}).predict_event(fed)) == cut


def test_a_value_for_every_class():
    built = task(dbscan={"min_size": {"shower": 50, "track": 1, "michel": 1, "delta": 1}})
    assert shapes(built.predict_event(tracks())) == [TRACK, TRACK, DELTA]
    with pytest.raises(ConfigError, match=r"dbscan.eps: no value for track, which DBSCAN divides"):
        task(dbscan={"eps": {"shower": 1.9, "michel": 1.9, "delta": 1.9}})
    assert task(providers={"track": "graph_spice"}, dbscan={"eps": {"shower": 1.9}})  # not needed


def test_deltas_hold_tracks_together():
    given = tracks()
    semantics = given["semantics"].copy()
    bridge = np.flatnonzero((given["voxels"] == [40, 20, 20]).all(1) | (given["voxels"] == [41, 20, 20]).all(1))
    semantics[bridge] = DELTA
    given = given.fed(semantics=semantics)
    held = task(dbscan={"split": []}).predict_event(given)
    assert shapes(held) == [SHOWER, TRACK, DELTA]  # two delta voxels are too few for a fragment
    apart = task(dbscan={"split": [], "track_include_delta": False}).predict_event(given)
    assert shapes(apart) == [SHOWER, TRACK, TRACK, DELTA]


def test_the_truth_as_provider():
    given = tracks()
    made = task(providers=dict.fromkeys(CLASSES, "truth")).predict_event(given)
    n = len(given["voxels"])
    found, true = voxel_labels(made["fragment_voxels"], n), voxel_labels(given["truth/fragment_voxels"], n)
    assert len(made["fragments"]) == 5
    assert len(np.unique(np.stack([found, true]), axis=1).T) == len(np.unique(true))


def test_another_stage_for_tracks_dbscan_for_showers():
    """What the stage found of other classes is not taken, and a class without provider has no fragments."""
    other = task(dbscan={"split": []}).predict_event(tracks())
    given = tracks().fed(**{f"graph_spice/{name}": value for name, value in other.items()})
    built = task(providers={"track": "graph_spice", "shower": "dbscan"})
    assert shapes(built.predict_event(given)) == [SHOWER, TRACK]
    assert built.reads[-2:] == ("graph_spice/fragments", "graph_spice/fragment_voxels")
    assert "points" not in built.reads
    assert built.classes == (SHOWER, TRACK)


@pytest.mark.parametrize(("broken", "ari"), [(True, 1.0), (False, 0.0)])
def test_pieces_of_a_particle_that_do_not_touch_are_judged_apart_or_together(broken, ari, tmp_path):
    gap = np.concatenate([line((10, 10, 10), (20, 10, 10)), line((40, 10, 10), (50, 10, 10))])
    given = event([particle(gap, TRACK, 13)])
    built = tasks.build("fragments", {"data": {"break_clusters": broken}})
    assert len(built.predict_event(given)["fragments"]) == 2
    schemas = [META, VOXELS, CHARGE, SEMANTICS, CLUSTERS, PARTICLES]
    with StoreWriter(tmp_path / "truth.h5", schemas, provenance={}) as writer:
        writer.append(EventId(1, 0, 0, 0), {schema.name: given[schema.name] for schema in schemas})
    settle(built, tmp_path, {}, 0)
    deploy(built, tmp_path / "model.ckpt", {"truth": tmp_path / "truth.h5"}, tmp_path / "out.h5", {})
    files = {"truth": tmp_path / "truth.h5", "prediction": tmp_path / "out.h5"}
    evaluate(built, {"test": {"0000": files}}, tmp_path / "scores")
    assert built.summary(read_scores(tmp_path / "scores").events)["ari"] == ari


def test_a_voxel_of_two_providers_goes_to_the_first_class():
    given = tracks()
    semantics = np.full_like(given["semantics"], SHOWER)  # all of the tracks were called shower
    made = task(providers={"track": "truth", "shower": "dbscan"}).predict_event(given.fed(semantics=semantics))
    assert len(np.unique(made["fragment_voxels"].values)) == len(made["fragment_voxels"].values)
    assert set(shapes(made)) == {SHOWER}


@pytest.mark.parametrize("cut", [(), ("track",)])
def test_nothing_and_one_voxel(cut):
    for given in (event([]), event([particle(np.array([[4, 4, 4]]), TRACK, 13)])):
        made = task(dbscan={"split": cut, "min_size": 1}).predict_event(given)
        assert len(made["fragments"]) == len(given["voxels"])


def test_what_is_read():
    assert task().reads == ("voxels", "charge", "semantics", "meta", "points")
    assert "points" not in task(dbscan={"split": []}).reads
    assert "point_proposals" in tasks.build("fragments", {"data": {"proposals": True}}).reads
    assert task().labels == ()
    assert not task().learned
    with pytest.raises(WeftError, match="task 'fragments' does not learn"):
        task().network()


def test_showers_start_where_proposed():
    given = tracks()
    proposals = np.zeros((len(given["voxels"]), 10), np.float32)
    end = np.flatnonzero((given["voxels"] == [80, 75, 70]).all(1))
    proposals[end, 3] = 0.99
    made = tasks.build("fragments", {"data": {"proposals": True}}).predict_event(given.fed(point_proposals=proposals))
    row = made["fragments"][made["fragments"]["shape"] == SHOWER][0]
    assert [float(row[f"start_{axis}"]) for axis in "xyz"] == pytest.approx([80.5 * 0.3, 75.5 * 0.3, 70.5 * 0.3])


def test_baseline_is_dbscan_without_points(tmp_path):
    built = task()
    baseline = built.baseline()
    baseline.fit([], 0)
    baseline.save(tmp_path / "model.ckpt")
    loaded = built.load_baseline(tmp_path / "model.ckpt")
    assert isinstance(loaded, DbscanBaseline)
    whole = task(dbscan={"split": [], "track_include_delta": False}).predict_event(tracks())
    made = loaded.predict(tracks())
    for name in ("fragments", "fragment_voxels"):
        first, second = made[name], whole[name]
        np.testing.assert_array_equal(getattr(first, "values", first), getattr(second, "values", second))
    with pytest.raises(WeftError, match="cannot be read"):
        DbscanBaseline.load(tmp_path / "none")
    (tmp_path / "other").write_text("{}")
    with pytest.raises(WeftError, match="not a fitted dbscan baseline"):
        DbscanBaseline.load(tmp_path / "other")


def test_files_all_the_way(tmp_path):
    """Trained, deployed, evaluated like any other stage; events without voxels keep their place."""
    schemas = [META, VOXELS, CHARGE, SEMANTICS, CLUSTERS, PARTICLES]
    with StoreWriter(tmp_path / "truth.h5", schemas, provenance={}) as writer:
        for k, given in enumerate([tracks(), event([]), tracks()]):
            writer.append(EventId(1, 0, k, k), {schema.name: given[schema.name] for schema in schemas})
    built = task()
    settle(built, tmp_path, {}, 0)
    deploy(built, tmp_path / "model.ckpt", {"truth": tmp_path / "truth.h5"}, tmp_path / "out.h5", {})
    files = {"truth": tmp_path / "truth.h5", "prediction": tmp_path / "out.h5"}
    with EventStore.open(files) as store:
        assert [len(FedStore(store)["prediction/fragments"][k]) for k in range(3)] == [4, 0, 4]
    evaluate(built, {"test": {"0000": files}}, tmp_path / "scores")
    scores = read_scores(tmp_path / "scores")
    summary = built.summary(scores.events)
    assert scores.events["judged_all"].tolist() == [1, 0, 1]
    assert summary["ari"] == pytest.approx(1.0, abs=0.02)
    assert summary["efficiency"] == pytest.approx(4 / 5)  # the two voxels that are too few
    assert set(built.headline) <= set(summary)
    assert len(built.figures({"seed0": scores}, "test")) > 3
    assert NUMBER["shower"] == SHOWER
