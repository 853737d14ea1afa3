"""LArMatch learns and is judged from labels of training files, and from pixels of known origin."""

import numpy as np
import pandas as pd
import pytest
from larmatch_files import event as of_arrays
from larmatch_files import write_larmatch
from larmatch_tasks import SMALL, small_task
from wire_events import DETECTOR, event, nothing

from weft.config.experiment import Stage
from weft.config.loading import ConfigError
from weft.engine.deploy import deploy
from weft.engine.fit import fit
from weft.io.convert import convert_file
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.store import EventStore
from weft.io.triplet_labels import LABEL_CLASSES
from weft.io.wire_products import PIXEL_TRUTH
from weft.triplets.label_options import LabelOptions
from weft.triplets.labels import label_event
from weft.triplets.truth import label_triplets

STATED = {"data": {"labels": {"truth": "triplets"}}}
HEADS = {"larmatch": [8], "key_points": [8], "semantics": [8]}


def training_file(path, events, without=()):
    """Events as a training file has them, with the labels that our own rules give; `without`: left empty."""
    rows = []
    for one in events:
        pixels, triplets = one["pixels"], one["triplets"]
        labels = label_event(pixels, triplets, one["truth/wire_deposits"], one["truth/particles"], LabelOptions())
        first = np.searchsorted(pixels["plane"], np.arange(3))
        planes = []
        for p in range(3):
            mine = pixels[pixels["plane"] == p]
            charge = np.where(mine["dead"] != 0, 1.0, np.maximum(mine["charge"], 10))
            planes.append(list(zip(mine["row"].tolist(), mine["wire"].tolist(), charge.tolist(), strict=True)))
        members = np.stack([triplets[f"pixel_{p}"] - first[p] for p in range(3)], axis=1)
        stated = {
            "larmatch_truth": labels.good == 1, "ssnet_truth": labels.semantic + 1,
            "ssnet_top_weight": labels.boundary, "kp_truth": labels.key_points,
        } | {name: np.zeros(0) for name in without}  # fmt: skip
        rows.append(of_arrays(planes, members, **stated))
    return write_larmatch(path, rows)


@pytest.fixture(scope="module")
def stated(tmp_path_factory):
    """A store of a training file."""
    folder = tmp_path_factory.mktemp("stated")
    source = training_file(folder / "train.root", [event(0), nothing(), event(1)])
    convert_file(source, folder / "truth.h5", detector=DETECTOR)
    return folder / "truth.h5"


def test_labels_come_back_as_they_were_computed(stated):
    task = small_task({"heads": HEADS}, **STATED)
    assert task.labels == ("triplet_truth", "triplet_labels")
    with EventStore.open({"truth": stated}) as store:
        names = ("pixels", "triplets", *(f"truth/{name}" for name in task.labels))
        found = task.sample({name: store[name][0] for name in names}, (0, 0), True).arrays
    exact = small_task().sample(event(0), (0, 0), True).arrays
    assert (exact["good"] == 1).sum() > 50
    for name in ("good", "semantic", "boundary", "pixel", "row", "wire"):
        assert np.array_equal(found[name], exact[name]), name
    assert np.allclose(found["key_points"], exact["key_points"])
    assert exact["key_points"].max() > 0.5
    assert (exact["semantic"] >= 0).any()


def test_a_training_on_a_training_file(stated, tmp_path):
    """Without a stage of triplets, and judged by the same labels."""
    task = small_task({"heads": HEADS}, **STATED)
    training = {"iterations": 2, "batch_size": 2, "validate_every": 2, "log_every": 1}
    stage = Stage.model_validate({"task": "larmatch", "training": training})
    shard = {"truth": stated}
    fit(task, stage, 0, [shard], [shard], tmp_path, tmp_path / "work", {})
    log = pd.read_csv(tmp_path / "log.csv")
    terms = [name for name in log.columns if "loss" in name]
    assert terms
    assert np.isfinite(log[terms].to_numpy()[~log[terms].isna().to_numpy()]).all()
    deploy(task, tmp_path / "model.ckpt", shard, tmp_path / "predictions.h5", {}, batch_size=2)
    with EventStore.open({"truth": stated, "prediction": tmp_path / "predictions.h5"}) as store:
        scores = task.score(store, "test", "0")
        good = [int((store["triplet_truth"][i]["good"] == 1).sum()) for i in range(3)]
    assert sum(good) > 100
    bins = [name for name in scores.events if name.removeprefix("good_").isdigit()]
    assert scores.events[bins].sum(axis=1).tolist() == good
    assert (scores.events["unknown"] == 0).all()
    baseline = task.baseline()
    with EventStore.open({"truth": stated}) as store:
        names = ("pixels", "triplets", *(f"truth/{name}" for name in task.labels))
        baseline.fit([{name: store[name][i] for name in names} for i in range(3)], 0)
    assert {"larmatch", "semantics", "key_points"} <= set(baseline.parts)


def test_key_points_that_a_file_does_not_state_are_not_taught(tmp_path):
    """Not that all is far from them."""
    source = training_file(tmp_path / "train.root", [event(0)], without=["kp_truth"])
    convert_file(source, tmp_path / "truth.h5", detector=DETECTOR)
    task = small_task({"heads": HEADS}, data={"min_score": 0, "labels": {"truth": "triplets"}})
    with EventStore.open({"truth": tmp_path / "truth.h5"}) as store:
        names = ("pixels", "triplets", *(f"truth/{name}" for name in task.labels))
        products = {name: store[name][0] for name in names}
        sample = task.sample(products, (0, 0), True)
        good = sample.arrays["good"] == 1
        assert np.isnan(sample.arrays["key_points"][good]).all()
        assert (sample.arrays["key_points"][~good] == 0).all()
        batch = task.collate([task.draw(sample, np.random.default_rng(0))])
        terms = task.loss(task.network().train()(batch), batch)
        assert {name: float(weight) > 0 for name, (_, weight) in terms.items()} == {
            "larmatch": True, "key_points": False, "semantics": True,
        }  # fmt: skip
        assert float(terms["key_points"][0].detach()) == 0
        baseline = task.baseline()
        baseline.fit([products], 0)
    said = baseline.predict(products)["triplet_scores"].values
    assert len(said) == len(good)
    assert not any(said[f"key_{kind}"].any() for kind in KEY_POINT_KINDS)


def test_heads_that_such_files_cannot_teach():
    for head in ("affinity", "shift"):
        with pytest.raises(ConfigError, match=f"labels of triplets in a file have no {head}: leave the head out"):
            small_task({"heads": {**HEADS, head: [8]}}, **STATED)


def test_pixels_of_known_origin():
    """Good is what shares a particle: all that is exactly good, and neighbours."""
    one = event(0)
    parts = []
    for p in range(3):
        seen = one["truth/wire_deposits"]
        rows = np.zeros(len(seen), PIXEL_TRUTH.dtype)
        rows["plane"], rows["wire"], rows["known"] = p, seen[f"wire_{p}"], 1
        for name in ("row", "particle", "class", "energy"):
            rows[name] = seen[name]
        parts.append(rows)
    rows = np.concatenate(parts)
    key = ["tpc", "plane", "row", "wire", "particle"]
    _, first = np.unique(rows[key], return_index=True)
    task = small_task(data={"labels": {"truth": "pixels"}})
    assert task.labels == ("pixel_truth", "particles")
    products = {name: one[name] for name in ("pixels", "triplets", "truth/particles")}
    arrays = task.sample(products | {"truth/pixel_truth": rows[first]}, (0, 0), True).arrays
    exact = label_triplets(one["pixels"], one["triplets"], one["truth/wire_deposits"], 0)["good"]
    assert (arrays["good"][exact == 1] == 1).all()
    assert (exact == 1).sum() < (arrays["good"] == 1).sum() < len(exact)
    assert (arrays["good"] == 0).any()
    assert arrays["key_points"].shape == (len(exact), len(KEY_POINT_KINDS))
    assert set(np.unique(arrays["semantic"])) <= {-1, *range(len(LABEL_CLASSES))}
    assert SMALL["heads"].keys() >= {"affinity"}
    assert np.isfinite(arrays["affinity"][arrays["good"] == 1]).any()
