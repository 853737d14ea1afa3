import json
import warnings

import numpy as np
import pytest
from judged_events import ALL_HEADS, CLASSES, MemoryStore
from wire_events import event, nothing, single_plane

from weft.errors import WeftError
from weft.io.conform import conform
from weft.io.larmatch_products import triplet_scores
from weft.metrics.scores import pool
from weft.tasks.larmatch import trees
from weft.tasks.larmatch.baseline import LarmatchBaseline
from weft.tasks.larmatch.baseline_options import PerceptronOptions, TreeOptions
from weft.tasks.larmatch.drawn import Drawn
from weft.tasks.larmatch.options import Options
from weft.tasks.larmatch.own_features import own_features
from weft.tasks.larmatch.perceptron import Perceptron, fit_classes, fit_values
from weft.tasks.larmatch.score import metrics, score_shard
from weft.triplets.labels import TripletLabels

SMALL = {
    "per_event": 200,
    "perceptron": {"hidden": [8], "epochs": 10},
    "trees": {"iterations": 5, "leaves": 4, "min_leaf": 5},
}
#: The perceptron on charges without context (specs/larmatch.md §8).
CHARGES = {"multiplicity": False, "drift": False}


def options(**changes):
    made = ALL_HEADS.model_dump()
    made["baseline"] |= SMALL | changes.pop("baseline", {})
    made["data"]["min_score"] = changes.pop("min_score", 0.0)
    return Options.model_validate(made | changes)


@pytest.fixture(scope="module", params=["perceptron", "trees"])
def fitted(request):
    baseline = LarmatchBaseline(options(baseline={"kind": request.param}))
    baseline.fit((event(seed) for seed in range(14, 18)), seed=0)
    return baseline


LEARNING = {
    "perceptron": {"hidden": [32], "epochs": 60, "learning_rate": 0.01},
    "trees": {"iterations": 30, "leaves": 8, "min_leaf": 20},
}


def judged_after_learning(train, judged, **chosen):
    baseline = LarmatchBaseline(options(baseline=LEARNING | CHARGES | chosen))
    baseline.fit(train, seed=0)
    said = [baseline.predict(of)["triplet_scores"] for of in judged]
    return metrics(pool(score_shard(MemoryStore(judged, said), "test", "0", baseline.options).events)).iloc[0]


@pytest.mark.parametrize("kind", ["perceptron", "trees"])
def test_learns_what_charges_say(kind):
    """By heart: charges of these events say nothing of others."""
    events = [event(seed, particles=2) for seed in range(14, 18)]
    found = judged_after_learning(events, events, kind=kind)
    assert found["average_precision"] > found["good_share"] + 0.1
    assert found["roc_auc"] > 0.65


@pytest.mark.parametrize("kind", ["perceptron", "trees"])
def test_learns_what_counts_say_of_other_events(kind):
    train, others = ([event(seed, particles=2) for seed in seeds] for seeds in (range(14, 18), range(18, 22)))
    found = judged_after_learning(train, others, kind=kind, multiplicity=True)
    assert found["average_precision"] > found["good_share"] + 0.25


def test_products_have_the_form_of_the_models(fitted):
    schema = triplet_scores(ALL_HEADS.model.heads, CLASSES)
    for of in (event(20), event(2, dead=40), nothing(), single_plane()):
        said = conform(schema, fitted.predict(of)["triplet_scores"], "here")
        assert len(said.values) == len(of["triplets"])  # min_score is 0
        assert np.isfinite(said.values.view("f4")).all()
        assert ((said.values["larmatch"] >= 0) & (said.values["larmatch"] <= 1)).all()
        total = sum(said.values[f"class_{name}"] for name in CLASSES)
        np.testing.assert_allclose(total, 1, rtol=1e-5)
        length = sum(said.values[f"affinity_{axis}"].astype(float) ** 2 for axis in "xyz")
        np.testing.assert_allclose(length, 1, rtol=1e-5)


@pytest.mark.parametrize("kind", ["perceptron", "trees"])
def test_a_triplet_is_judged_by_its_own_pixels_alone(kind):
    fitted = LarmatchBaseline(options(baseline=CHARGES | {"kind": kind}))
    fitted.fit((event(seed) for seed in range(14, 18)), seed=0)
    of = event(20, dead=30)
    whole = fitted.predict(of)["triplet_scores"].values
    rows = np.arange(0, len(of["triplets"]), 7)
    alone = fitted.predict({**of, "triplets": of["triplets"][rows]})["triplet_scores"].values
    for name in whole.dtype.names:
        np.testing.assert_allclose(alone[name], whole[name][rows], rtol=1e-5, atol=1e-7)
    # Rows and wires may be any.
    moved = of["pixels"].copy()
    moved["row"] += 17
    moved["wire"] = moved["wire"][::-1]
    np.testing.assert_array_equal(fitted.predict({**of, "pixels": moved})["triplet_scores"].values, whole)


def test_good_ones_and_ghosts_weigh_the_same():
    """As in the training of the network: where charges say nothing the score is ½, however many ghosts there are."""
    plain = [{**event(seed), "pixels": alike(event(seed)["pixels"])} for seed in range(14, 18)]
    baseline = LarmatchBaseline(
        options(baseline=CHARGES | {"perceptron": {"hidden": [8], "epochs": 150, "learning_rate": 0.01}})
    )
    baseline.fit(plain, seed=0)
    assert baseline.predict(plain[0])["triplet_scores"].values["larmatch"][0] == pytest.approx(0.5, abs=0.05)
    good = [len(of["truth/wire_deposits"]) / len(of["triplets"]) for of in plain]
    assert abs(np.mean(good) - 0.5) > 0.02


def alike(pixels):
    pixels = pixels.copy()
    pixels["charge"] = 50
    return pixels


def test_low_scores_are_not_written(fitted):
    of = event(20)
    everything = fitted.predict(of)["triplet_scores"]
    threshold = float(np.median(everything.values["larmatch"]))
    few = LarmatchBaseline(options(min_score=threshold, baseline={"kind": fitted.options.baseline.kind}))
    few.parts, few.constants = fitted.parts, fitted.constants
    said = few.predict(of)["triplet_scores"]
    kept = everything.values["larmatch"] >= np.float32(threshold)
    assert 0 < kept.sum() < len(kept)
    np.testing.assert_array_equal(said.index, np.flatnonzero(kept))
    np.testing.assert_array_equal(said.values, everything.values[kept])


def test_heads_that_the_network_does_not_have_are_not_said():
    made = options()
    one = Options.model_validate(made.model_dump() | {"model": {"heads": {"larmatch": [4]}}})
    baseline = LarmatchBaseline(one)
    baseline.fit([event(10)], seed=0)
    assert baseline.predict(event(11))["triplet_scores"].values.dtype.names == ("larmatch",)
    assert list(baseline.parts) == ["larmatch"]


def test_a_file_holds_all_of_it(fitted, tmp_path):
    fitted.save(tmp_path / "model.ckpt")
    again = LarmatchBaseline.load(tmp_path / "model.ckpt")
    of = event(20)
    one, two = (b.predict(of)["triplet_scores"] for b in (fitted, again))
    np.testing.assert_array_equal(one.values, two.values)
    assert again.fitted_on == fitted.fitted_on
    assert again.options == fitted.options
    header, _, trees_behind = (tmp_path / "model.ckpt").read_bytes().partition(b"\n")
    assert bool(trees_behind) == (fitted.options.baseline.kind == "trees")  # perceptrons are plain numbers, no pickle
    (tmp_path / "model.ckpt").write_text(json.dumps(json.loads(header) | {"version": 0}))
    with pytest.raises(WeftError, match="version is 0, expected 3; fit the baseline again"):
        LarmatchBaseline.load(tmp_path / "model.ckpt")


def test_trees_of_another_scikit_learn_are_refused(tmp_path):
    baseline = LarmatchBaseline(options(baseline={"kind": "trees"}))
    baseline.fit([event(10)], seed=0)
    path = tmp_path / "model.ckpt"
    baseline.save(path)
    header, _, behind = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps(json.loads(header) | {"scikit-learn": "0.1"}).encode() + b"\n" + behind)
    with pytest.raises(WeftError, match=r"scikit-learn is 0.1, expected .*; fit the baseline again"):
        LarmatchBaseline.load(path)


def test_same_seed_same_baseline(fitted):
    of = event(20)
    again, other = (LarmatchBaseline(fitted.options) for _ in range(2))
    for baseline, seed in ((again, 0), (other, 1)):
        baseline.fit((event(seed) for seed in range(14, 18)), seed=seed)
    one, two, three = (b.predict(of)["triplet_scores"].values for b in (fitted, again, other))
    np.testing.assert_array_equal(one, two)
    assert (one["larmatch"] != three["larmatch"]).any()


def test_events_without_both_kinds_are_refused(tmp_path):
    baseline = LarmatchBaseline(options())
    with pytest.raises(WeftError, match="2 events with 0 good triplets and 0 ghosts, expected some of both"):
        baseline.fit([nothing(), single_plane()], seed=0)
    with pytest.raises(WeftError, match="has not been fitted"):
        baseline.predict(nothing())
    with pytest.raises(WeftError, match="nothing to save"):
        baseline.save(tmp_path / "model.ckpt")


# ---------------------------------------------------------------------------------------------------- perceptrons


def made_up(n, classes, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 6))
    return features, np.argmax(features[:, :classes] + 0.3 * rng.normal(size=(n, classes)), axis=1)


@pytest.mark.parametrize("classes", [2, 4])
def test_answers_are_those_of_scikit_learn(classes):
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    features, labels = made_up(600, classes)
    features = features * 3 + 5
    plain = (features - features.mean(axis=0)) / features.std(axis=0)
    chosen = PerceptronOptions(hidden=(8, 5), epochs=4)
    settings = {"hidden_layer_sizes": (8, 5), "alpha": chosen.l2, "learning_rate_init": chosen.learning_rate,
                "max_iter": 4, "random_state": 3, "batch_size": 1000}  # fmt: skip
    weights = np.ones(600)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = MLPClassifier(**settings).fit(plain, labels).predict_proba(plain)
        values = MLPRegressor(**settings).fit(plain, features[:, :3]).predict(plain)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # ours warns of nothing
        ours = fit_classes(features, labels, weights, classes, chosen, 3)
        regressed = fit_values(features, features[:, :3], weights, chosen, 3)
    np.testing.assert_allclose(ours(features), theirs, atol=1e-12)
    np.testing.assert_allclose(regressed(features), values, atol=1e-12)
    np.testing.assert_array_equal(
        Perceptron.from_json(json.loads(json.dumps(ours.to_json())))(features), ours(features)
    )


def test_classes_that_never_occur_have_no_probability():
    features, labels = made_up(300, 2)
    chosen = PerceptronOptions(hidden=(4,), epochs=2)
    said = fit_classes(features, np.where(labels == 1, 3, 1), np.ones(300), 5, chosen, 0)(features)
    assert said[:, [0, 2, 4]].max() == 0
    np.testing.assert_allclose(said.sum(axis=1), 1)
    one = fit_classes(features, np.full(300, 2), np.ones(300), 5, chosen, 0)(features)
    assert one[0].tolist() == [0, 0, 1, 0, 0]
    none = fit_classes(features[:0], labels[:0], np.ones(0), 4, chosen, 0)(features)
    assert none[0].tolist() == [0.25] * 4
    assert not fit_values(features[:0], np.zeros((0, 6)), np.ones(0), chosen, 0)(features).any()


def test_weights_matter():
    features, _ = made_up(400, 2)
    features[:] = 0  # nothing to tell them by: the answer is the share of each
    labels = np.arange(400) % 2
    chosen = PerceptronOptions(hidden=(4,), epochs=200, learning_rate=0.02)
    said = fit_classes(features, labels, np.where(labels == 1, 3.0, 1.0), 2, chosen, 0)(features[:1])[0]
    assert said == pytest.approx([0.25, 0.75], abs=0.05)


@pytest.mark.parametrize("classes", [2, 4])
def test_trees_learn_classes_and_values(classes):
    features, labels = made_up(3000, classes)
    chosen = TreeOptions(iterations=30, leaves=8, min_leaf=10)
    learned = trees.fit_classes(features[:2000], labels[:2000] + 1, np.ones(2000), classes + 2, chosen, 0)
    said = learned(features[2000:])
    assert said[:, [0, -1]].max() == 0  # classes that never occur
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert (said.argmax(axis=1) == labels[2000:] + 1).mean() > 0.7
    values = trees.fit_values(features[:2000], features[:2000, :2] ** 2, np.ones(2000), chosen, 0)(features[2000:])
    assert np.abs(values - features[2000:, :2] ** 2).mean() < 0.3
    assert learned(features[:0]).shape == (0, classes + 2)


def test_trees_with_nothing_to_tell_apart():
    features, labels = made_up(30, 2)
    one = trees.fit_classes(features, np.full(30, 2), np.ones(30), 4, TreeOptions(), 0)(features)
    assert one[0].tolist() == [0, 0, 1, 0]
    none = trees.fit_classes(features[:0], labels[:0], np.ones(0), 4, TreeOptions(), 0)(features)
    assert none[0].tolist() == [0.25] * 4
    assert not trees.fit_values(features[:0], np.zeros((0, 6)), np.ones(0), TreeOptions(), 0)(features).any()


def test_weights_matter_to_trees():
    features = np.zeros((400, 2))
    labels = np.arange(400) % 2
    said = trees.fit_classes(features, labels, np.where(labels == 1, 3.0, 1.0), 2, TreeOptions(), 0)(features[:1])[0]
    assert said == pytest.approx([0.25, 0.75], abs=0.01)


# ----------------------------------------------------------------------------------------------------- the features


def test_what_is_known_of_a_triplet():
    of = event(20, dead=30)
    pixels, triplets = of["pixels"], of["triplets"]
    found = own_features(pixels, triplets, 50.0, True, True)
    assert found.shape == (len(triplets), 13)
    for p in range(3):
        member = triplets[f"pixel_{p}"]
        np.testing.assert_allclose(np.expm1(found[:, p]) * 50, pixels["charge"][member], rtol=1e-5)
        np.testing.assert_array_equal(found[:, 3 + p], pixels["dead"][member])
        through = np.array([(member == k).sum() for k in member])
        np.testing.assert_allclose(np.expm1(found[:, 6 + p]), through, rtol=1e-6)
    alive = ~(found[:, 3:6] > 0).any(axis=1)
    for p in range(3):
        member = triplets[f"pixel_{p}"]
        through = np.array([(member[alive] == k).sum() for k in member])
        np.testing.assert_allclose(np.expm1(found[:, 9 + p]), through, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(found[:, 12], triplets["x"])
    np.testing.assert_array_equal(own_features(pixels, triplets, 50.0, False, False), found[:, :6])
    np.testing.assert_array_equal(own_features(pixels, triplets, 50.0, False, True), found[:, [*range(6), 12]])
    assert own_features(pixels[:0], triplets[:0], 50.0, True, True).shape == (0, 13)


# --------------------------------------------------------------------------------------------------------- the draw


def labels_of(n):
    nan = np.full((n, 6, 3), np.nan, np.float32)
    return TripletLabels(
        np.ones(n, np.int8), np.zeros((n, 6), np.float32), nan, nan[:, 0], np.zeros(n, np.int8), np.ones(n, np.float32)
    )


def test_what_is_drawn_stands_for_what_is_not():
    drawn = Drawn(50, 10_000, (0,))
    for n in (10, 200, 0, 70):
        drawn.add(np.arange(n), np.arange(n, dtype=float)[:, None] * np.ones(6), labels_of(n))
    assert len(drawn) == 10 + 50 + 0 + 50
    assert drawn["weight"].sum() == pytest.approx(280)
    assert drawn["features"].shape == (110, 6)


def test_thinning_bounds_the_draw():
    drawn = Drawn(100, 1000, (0,))
    for k in range(60):
        drawn.add(np.arange(100), np.full((100, 6), float(k)), labels_of(100))
        assert len(drawn) <= 1000
    counts = np.bincount(drawn["features"][:, 0].astype(int), minlength=60)
    assert len(drawn) > 400
    assert counts[:30].sum() == pytest.approx(counts[30:].sum(), rel=0.25)  # early events and late ones alike
