import json

import joblib
import numpy as np
import pytest

from weft.errors import WeftError
from weft.metrics.segmentation import accuracy, confusion_counts
from weft.tasks.segmentation.baseline import BaselineOptions, SegmentationBaseline

SMALL = BaselineOptions(iterations=12, leaves=8, min_leaf=5)


def toy(seed, ghost=False):
    """A track (a line), a shower (a cloud) and low-energy dots, far from each other."""
    rng = np.random.default_rng(seed)
    line = np.stack([np.arange(40), np.arange(40) // 2, np.zeros(40)], axis=1)
    blob = np.unique(rng.normal(0, 3, (120, 3)).round(), axis=0) + np.array([100, 0, 0])
    dots = 20 * np.stack([np.arange(8), np.full(8, 5), np.full(8, 5)], axis=1)
    voxels = np.concatenate([line, blob, dots]).astype(np.int32) + 50
    labels = np.repeat([1, 5 if ghost else 0, 4], [len(line), len(blob), len(dots)]).astype(np.int8)
    order = rng.permutation(len(voxels))
    charge = rng.gamma(4, 0.2, len(voxels)).astype(np.float32)[:, None]
    return {"voxels": voxels[order], "charge": charge, "truth/semantics": labels[order][:, None]}


@pytest.fixture(scope="module")
def fitted():
    baseline = SegmentationBaseline(SMALL)
    baseline.fit((toy(seed) for seed in range(12)), seed=3)
    return baseline


def test_learns_an_easy_task(fitted):
    for seed in range(100, 104):
        event = toy(seed)
        predicted = fitted.predict(event)
        counts = confusion_counts(event["truth/semantics"], predicted["semantics"], 5)
        assert accuracy(counts) > 0.97


def test_products_have_the_form_of_the_models(fitted):
    event = toy(0)
    predicted = fitted.predict(event)
    n = len(event["voxels"])
    assert predicted["semantics"].shape == (n, 1)
    assert predicted["semantics"].dtype == np.int8
    assert predicted["semantic_scores"].shape == (n, 5)
    assert predicted["semantic_scores"].dtype == np.float32
    np.testing.assert_allclose(predicted["semantic_scores"].sum(axis=1), 1, atol=1e-5)
    assert not predicted["semantic_scores"][:, [2, 3]].any()  # classes it has never seen
    empty = fitted.predict({"voxels": np.zeros((0, 3), np.int32), "charge": np.zeros((0, 1), np.float32)})
    assert empty["semantics"].shape == (0, 1)
    assert empty["semantic_scores"].shape == (0, 5)


def test_sees_voxels_and_charge_only(fitted):
    event = toy(0)
    blind = {name: event[name] for name in ("voxels", "charge")}
    np.testing.assert_array_equal(fitted.predict(blind)["semantics"], fitted.predict(event)["semantics"])


def test_voxel_order_does_not_matter(fitted):
    event = toy(5)
    order = np.random.default_rng(0).permutation(len(event["voxels"]))
    shuffled = {name: values[order] for name, values in event.items()}
    np.testing.assert_array_equal(
        fitted.predict(event)["semantic_scores"][order], fitted.predict(shuffled)["semantic_scores"]
    )


def test_same_seed_same_baseline(fitted):
    again = SegmentationBaseline(SMALL)
    again.fit([toy(seed) for seed in range(12)], seed=3)
    for seed in (0, 50):
        np.testing.assert_array_equal(
            again.predict(toy(seed))["semantic_scores"], fitted.predict(toy(seed))["semantic_scores"]
        )


def test_round_trip_through_a_file(fitted, tmp_path):
    fitted.save(tmp_path / "model.ckpt")
    loaded = SegmentationBaseline.load(tmp_path / "model.ckpt")
    assert loaded.options == fitted.options
    assert loaded.fitted_on == fitted.fitted_on == {"events": 12, "voxels": loaded.fitted_on["voxels"], "seed": 3}
    np.testing.assert_array_equal(loaded.predict(toy(9))["semantic_scores"], fitted.predict(toy(9))["semantic_scores"])
    assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt"]


@pytest.mark.parametrize(("name", "value"), [("scikit-learn", "0.1"), ("features", "others"), ("version", 0)])
def test_files_of_other_versions_are_refused_before_the_trees_are_read(fitted, tmp_path, monkeypatch, name, value):
    path = tmp_path / "model.ckpt"
    fitted.save(path)
    line, _, _ = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps(json.loads(line) | {name: value}).encode() + b"\nnot a pickle")
    monkeypatch.setattr(joblib, "load", lambda file: pytest.fail("read"))
    with pytest.raises(WeftError, match=f"{name} is {value}, expected .*fit the baseline again"):
        SegmentationBaseline.load(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(WeftError, match="cannot be read"):
        SegmentationBaseline.load(tmp_path / "none")
    (tmp_path / "torch.ckpt").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(WeftError, match="not a fitted segmentation baseline"):
        SegmentationBaseline.load(tmp_path / "torch.ckpt")


def test_unfitted_baselines_say_so(tmp_path):
    with pytest.raises(WeftError, match="not been fitted"):
        SegmentationBaseline(SMALL).predict(toy(0))
    with pytest.raises(WeftError, match="nothing to save"):
        SegmentationBaseline(SMALL).save(tmp_path / "x")
    assert not list(tmp_path.iterdir())
    one_class = {**toy(0), "truth/semantics": np.ones_like(toy(0)["truth/semantics"])}
    with pytest.raises(WeftError, match="1 events with 1 classes"):
        SegmentationBaseline(SMALL).fit([one_class], 0)
    with pytest.raises(WeftError, match="0 events with 0 classes"):
        SegmentationBaseline(SMALL).fit([], 0)


def test_ghosts_make_a_sixth_column():
    baseline = SegmentationBaseline(SMALL)
    baseline.fit([toy(seed, ghost=True) for seed in range(6)], seed=0)
    event = toy(20, ghost=True)
    predicted = baseline.predict(event)
    assert predicted["semantic_scores"].shape[1] == 6
    assert accuracy(confusion_counts(event["truth/semantics"], predicted["semantics"], 6)) > 0.95


def test_balancing_raises_the_recall_of_a_rare_class():
    rng = np.random.default_rng(0)

    def noise(seed):  # one cloud whose labels are 10 % class 1, more likely where there is charge
        event = toy(seed)
        rare = rng.random(len(event["charge"])) < np.clip(event["charge"][:, 0] - 0.6, 0, 1) * 0.3
        return {**event, "truth/semantics": rare.astype(np.int8)[:, None]}

    events = [noise(seed) for seed in range(6)]
    called = {}
    for weight in ("none", "balanced"):
        baseline = SegmentationBaseline(BaselineOptions(iterations=6, leaves=6, min_leaf=5, class_weight=weight))
        baseline.fit(events, seed=0)
        called[weight] = np.mean([baseline.predict(event)["semantics"].mean() for event in events])
    assert called["balanced"] > 3 * called["none"]
