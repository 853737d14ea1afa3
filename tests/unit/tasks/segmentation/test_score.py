import numpy as np
import pandas as pd
import pytest

from weft.errors import WeftError
from weft.io import products
from weft.io.products import EventId, Ragged
from weft.io.store import EventStore, StoreWriter
from weft.metrics.scores import concat, pool, read_scores, write_scores
from weft.tasks.segmentation import score as module
from weft.tasks.segmentation.score import CHARGE_EDGES, confusion_of, metrics, score_shard


def summary(events):
    return metrics(pool(events)).iloc[0].to_dict()


META = np.array([(0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 64, 64, 64)], products.META.dtype)


def particle(**values):
    row = np.zeros(1, products.PARTICLES.dtype)
    for axis in "xyz":
        for point in ("vtx", "end_pt", "first_step", "last_step", "ancestor_vtx"):
            row[f"{point}_{axis}"] = 5.0
    for name, value in values.items():
        row[name] = value
    return row


def event(semantics, charge, clusters=(), rows=()):
    n = len(semantics)
    lists = Ragged.of(
        [np.array([(v, 1.0) for v in c], products.CLUSTERS.dtype) for c in clusters],
        np.empty(0, products.CLUSTERS.dtype),
    )
    return {
        "meta": META,
        "voxels": np.stack([np.arange(n), np.zeros(n), np.zeros(n)], axis=1).astype(np.int32),
        "charge": np.array(charge, np.float32).reshape(-1, 1),
        "semantics": np.array(semantics, np.int8).reshape(-1, 1),
        "clusters": lists,
        "particles": np.concatenate(rows) if rows else np.empty(0, products.PARTICLES.dtype),
    }


def prediction(semantics, scores=None, n_classes=5):
    called = np.array(semantics, np.int8).reshape(-1, 1)
    if scores is None:
        scores = np.full((len(called), n_classes), 0.2 / (n_classes - 1))
        scores[np.arange(len(called)), called[:, 0]] = 0.8
    return {"semantics": called, "semantic_scores": np.array(scores, np.float32).reshape(-1, n_classes)}


EVENTS = [
    event(
        [1, 1, 1, 0, -1, 3],
        [0.1, 0.2, 0.3, 0.4, 0.5, 1.0],
        [[0, 1, 2], [3, 2], []],
        [
            particle(pdg=13, shape=1, energy_init=200.0, energy_deposit=150.0, p=170.0),
            particle(pdg=11, shape=0, energy_init=30.0, p=29.0, first_step_x=8.0, first_step_y=9.0, end_pt_z=32.1),
            particle(pdg=2112, shape=4),
        ],
    ),
    event([], []),
    event([4, 4], [0.01, 50.0], [[0, 1]], [particle(pdg=22, shape=4, energy_init=1.0)]),
]
PREDICTIONS = [prediction([1, 1, 0, 0, 2, 1]), prediction([]), prediction([4, 1])]
TRUTH = (
    products.META, products.VOXELS, products.CHARGE, products.SEMANTICS, products.CLUSTERS, products.PARTICLES
)  # fmt: skip


PREDICTED = (products.SEMANTICS, products.semantic_scores())


@pytest.fixture
def store(tmp_path):
    """A function that writes truth and predictions and opens them as one."""
    opened = []

    def write(path, schemas, contents, parents):
        with StoreWriter(path, schemas, provenance={}, parents=parents) as writer:
            for k, content in enumerate(contents):
                writer.append(EventId(1, 0, k, 100 + k), {schema.name: content[schema.name] for schema in schemas})
        return writer.content_hash

    def make(events=EVENTS, predictions=PREDICTIONS, made=PREDICTED, truth=TRUTH):
        paths = {alias: tmp_path / f"{alias}{len(opened)}.h5" for alias in ("truth", "prediction")}
        parent = write(paths["truth"], truth, events, {})
        write(paths["prediction"], made, predictions, {"truth": parent})
        opened.append(EventStore.open(paths))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_events_table_by_hand(store):
    events = score_shard(store(), "test", "a").events
    assert events[["run", "event", "uid", "split", "shard"]].iloc[0].tolist() == [1, 0, 100, "test", "a"]
    assert events["n_voxels"].tolist() == [6, 0, 2]
    assert events["visible_energy"].tolist() == pytest.approx([2.5, 0, 50.01])
    counts = confusion_of(events)
    expected = np.zeros((3, 5, 5), int)
    expected[0, 1, 1], expected[0, 1, 0], expected[0, 0, 0], expected[0, 3, 1] = 2, 1, 1, 1
    expected[2, 4, 4], expected[2, 4, 1] = 1, 1
    np.testing.assert_array_equal(counts, expected)
    right, wrong = -np.log(0.8), -np.log(0.05)
    assert events["sum_nll"].tolist() == pytest.approx([3 * right + 2 * wrong, 0, right + wrong], rel=1e-5)


def test_objects_table_by_hand(store):
    objects = score_shard(store(), "test", "a").objects
    assert objects["uid"].tolist() == [100, 100, 102]  # the neutron left no voxel
    assert objects["particle"].tolist() == [0, 1, 0]
    assert objects["pdg"].tolist() == [13, 11, 22]
    assert objects["n_voxels"].tolist() == [3, 2, 2]
    assert objects["n_own"].tolist() == [3, 1, 2]  # voxel 2 is shared and labelled as track
    assert objects["n_correct"].tolist() == [2, 1, 1]
    assert objects["majority"].tolist() == [1, 0, 1]  # 1 and 4 tie in the last: the lower one
    assert objects["energy_init"].tolist() == [200, 30, 1]
    assert objects["momentum"].tolist() == [170, 29, 0]
    assert objects["vertex_distance"].tolist() == pytest.approx([0, 5, 0])
    assert objects["contained"].tolist() == [True, False, True]  # the box ends at 32 cm


def test_curves_table_by_hand(store):
    curves = score_shard(store(), "test", "a").curves
    reliability = curves[curves["curve"] == "reliability"]
    assert reliability["n"].tolist() == [5, 2]  # every answer has a score of 0.8
    assert reliability["n_correct"].tolist() == [3, 1]
    assert reliability["sum_confidence"].tolist() == pytest.approx([4, 1.6])
    assert ((reliability["low"] <= 0.8 + 1e-6) & (reliability["high"] > 0.8 - 1e-6)).all()
    charge = curves[curves["curve"] == "charge"]
    assert charge["n"].sum() == 7
    assert charge["n_correct"].sum() == 4
    low_energy = charge[charge["label"] == 4]  # 0.01 and 50 MeV join the first and the last bin
    assert low_energy["bin"].tolist() == [0, len(CHARGE_EDGES) - 2]
    assert low_energy["n_correct"].tolist() == [1, 0]
    shower = charge[charge["label"] == 0].iloc[0]
    assert shower["low"] <= 0.4 < shower["high"]


def test_blocks_of_events_give_the_same_tables(store, monkeypatch):
    rng = np.random.default_rng(0)
    events, predictions = [], []
    for n in rng.integers(0, 40, 12):
        clusters = [rng.choice(n, rng.integers(0, n), replace=False) for _ in range(3)] if n else []
        rows = [particle(shape=rng.integers(5), energy_init=rng.random()) for _ in clusters]
        events.append(event(rng.integers(-1, 5, n), rng.gamma(2, 0.3, n), clusters, rows))
        predictions.append(prediction(rng.integers(0, 5, n), rng.dirichlet(np.ones(5), n)))
    whole = score_shard(store(events, predictions), "test", "a")
    monkeypatch.setattr(module, "_BLOCK", 5)
    blocks = score_shard(store(events, predictions), "test", "a")
    for one, other in zip(whole, blocks, strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert len(whole.objects) > 10


def test_ghosts_are_a_sixth_class(store):
    made = (products.SEMANTICS, products.semantic_scores([products.CLASSES[c] for c in range(6)]))
    one = store([event([5, 1], [1, 1])], [prediction([5, 5], n_classes=6)], made)
    counts = confusion_of(score_shard(one, "test", "a", n_classes=6).events)
    assert counts.shape == (1, 6, 6)
    assert counts[0, 5, 5] == 1
    assert counts[0, 1, 5] == 1
    with pytest.raises(WeftError, match="6 columns, expected 5"):
        score_shard(one, "test", "a")


def test_hard_predictions_of_a_third_party_can_be_scored(store):
    scores = score_shard(store(made=(products.SEMANTICS,)), "test", "a")
    assert scores.events["sum_nll"].isna().all()
    assert set(scores.curves["curve"]) == {"charge"}
    assert confusion_of(scores.events).sum() == 7
    assert np.isnan(summary(scores.events)["nll"])


def test_truth_without_particles_has_no_objects(store, tmp_path):
    scores = score_shard(store(truth=TRUTH[:4]), "test", "a")
    assert len(scores.objects) == 0
    full = score_shard(store(), "test", "b")
    assert scores.objects.dtypes.to_dict() == full.objects.dtypes.to_dict()
    write_scores(tmp_path / "scores", [scores, full])
    pd.testing.assert_frame_equal(read_scores(tmp_path / "scores").objects, concat([scores, full]).objects)


def test_every_column_is_explained(store):
    scores = score_shard(store(), "test", "a")
    for table in scores:
        meanings = table.attrs["columns"]
        names = {name for name in table if not (name.startswith("n_") and name[2:].isdigit())}
        assert names == set(meanings) - {"n_<i><j>"}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (prediction([1, 7], np.full((2, 5), 0.2)), "prediction 7 on a labelled voxel"),
        (prediction([1, -1], np.full((2, 5), 0.2)), "prediction -1 on a labelled voxel"),
        (prediction([1, 1], [[0.2] * 5, [0.5] * 5]), r"event 1/0/0: semantic_scores of a voxel sum to 2\.5"),
        (prediction([1, 1], [[0.2] * 5, [np.nan] * 5]), "event 1/0/0: semantic_scores of a voxel sum to nan"),
        (prediction([1, 1], [[0.2] * 5, [-1, 2, 0, 0, 0]]), "event 1/0/0: semantic_scores"),
    ],
)
def test_refusals_name_shard_and_fault(store, broken, message):
    with pytest.raises(WeftError, match=f"shard a: .*{message}"):
        score_shard(store([event([1, 1], [1, 1])], [broken]), "test", "a")


def test_rows_must_match(store):
    with pytest.raises(WeftError, match="3"):
        score_shard(store([event([1, 1], [1, 1])], [prediction([1, 1, 1])]), "test", "a")


def test_summary_pools_before_it_divides(store):
    values = summary(score_shard(store(), "test", "a").events)
    assert values["accuracy"] == pytest.approx(4 / 7)
    assert values["recall_track"] == pytest.approx(2 / 3)
    assert values["iou_track"] == pytest.approx(2 / 5)
    assert np.isnan(values["recall_michel"])
    assert values["mean_iou"] == pytest.approx((1 / 2 + 2 / 5 + 0 + 1 / 2) / 4)
    assert values["mean_iou_without_low_energy"] == pytest.approx((1 / 2 + 2 / 4 + 0) / 3)
    assert values["nll"] == pytest.approx((4 * -np.log(0.8) + 3 * -np.log(0.05)) / 7, rel=1e-5)


def test_metrics_of_many_rows_are_those_of_each(store):
    events = score_shard(store(), "test", "a").events
    every = metrics(events)
    for k in range(len(events)):
        assert every.iloc[k].to_dict() == pytest.approx(summary(events.iloc[k : k + 1]), nan_ok=True)
    assert every["accuracy"].tolist() == pytest.approx([3 / 5, np.nan, 1 / 2], nan_ok=True)


def test_no_events(store):
    scores = score_shard(store([], []), "test", "a")
    assert [len(table) for table in scores] == [0, 0, 0]
    assert confusion_of(scores.events).shape == (0, 5, 5)
    assert np.isnan(list(summary(scores.events).values())).all()


def test_shards_without_events_or_voxels_join_the_others(store, tmp_path):
    empty = [event([], []), event([], [])]
    for made in (PREDICTED, PREDICTED[:1]):
        shards = [score_shard(store(list(e), list(p), made), "test", "a")
                  for e, p in ((EVENTS, PREDICTIONS), ([], []), (empty, [prediction([])] * 2))]  # fmt: skip
        write_scores(tmp_path / "scores", shards)
        read = read_scores(tmp_path / "scores")
        assert read.events["uid"].tolist() == [100, 101, 102, 100, 101]
        assert read.events["visible_energy"].tolist() == pytest.approx([2.5, 0, 50.01, 0, 0])
        assert summary(read.events) == pytest.approx(summary(shards[0].events), nan_ok=True)


def test_tables_of_something_else_are_refused():
    with pytest.raises(WeftError, match="not the scores of a segmentation"):
        confusion_of(pd.DataFrame({"uid": [1]}))
