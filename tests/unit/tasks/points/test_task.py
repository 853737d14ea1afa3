import numpy as np
import pytest
import torch
from point_events import LINES, LOW, SIZE, Fed, event, random_event

from weft import tasks
from weft.config.loading import ConfigError
from weft.engine.starting import freeze
from weft.engine.task import Sample
from weft.sparse.tensor import SparseTensor
from weft.tasks.points.network import PointNetwork

SMALL = {"filters": 4, "depth": 3, "reps": 1, "norm_momentum": 0.1}
THREE = SMALL | {"form": "scales3", "spatial_size": 64, "ppn1_size": 16, "ppn2_size": 32}
FORMS = {"every_scale": SMALL | {"ends": True}, "scales3": THREE}


def build(form="every_scale", **options):
    model = FORMS[form] | options.pop("model", {})
    return tasks.build("points", {"model": model, **options})


def batch_of(task, events, labels=True):
    return task.collate([task.sample(Fed(e), (0, k), labels=labels) for k, e in enumerate(events)])


# ------------------------------------------------------------------------------------------------- options


def test_default_sizes_are_a_sixteenth_and_a_quarter():
    assert build(model={"form": "scales3", "ends": False, "depth": 6}).options.model.levels == (4, 2)
    sizes = {"form": "scales3", "ends": False, "depth": 6, "ppn1_size": 24, "ppn2_size": 96, "spatial_size": 768}
    assert build(model=sizes).options.model.levels == (5, 3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"ppn1_size": 20}, "spatial_size 64 is not a power of two times 20"),
        ({"ppn1_size": 32, "ppn2_size": 16}, "scales at levels 1 and 2"),
        ({"ppn1_size": 8}, "scales at levels 3 and 1 of a trunk with levels 0 to 2"),
        ({"ends": True}, "only the form every_scale"),
    ],
)
def test_scales_that_the_trunk_does_not_have_are_refused(model, message):
    with pytest.raises(ConfigError, match=message):
        build("scales3", model=model)


def test_an_unknown_key_is_named():
    with pytest.raises(ConfigError, match=r"unknown key 'model.points.scores' \(did you mean 'score'\?\)"):
        build(model={"points": {"scores": 1}})


def test_what_is_read_and_made_follows_from_the_options():
    assert build().reads == ("voxels", "charge", "meta", "semantics")
    assert build(model={"semantic": True}).reads == ("voxels", "charge", "meta")
    assert build(model={"points": {"enforce_class": False}}).reads == ("voxels", "charge", "meta")
    assert [schema.name for schema in build().makes] == ["point_proposals", "points"]
    joint = build(model={"semantic": True})
    assert [schema.name for schema in joint.makes][2:] == ["semantics", "semantic_scores"]
    assert set(joint.labels) == {"particles", "meta", "semantics"}


@pytest.mark.parametrize(("option", "value"), [("min_voxels", 20), ("min_energy", 18.0)])
def test_small_particles_have_no_points(option, value):
    sizes = [
        len(build(data=data).sample(Fed(event(LINES)), (0, 0), True).arrays["points"]) for data in ({}, {option: value})
    ]
    assert sizes == [6, 4]  # two tracks, and with the shower and the delta ray


def test_without_augmentation_a_view_is_the_sample():
    task = build(data={"flip": False, "rotate": False, "shift": 0, "charge_jitter": 0.0})
    sample = task.sample(Fed(event(LINES)), (0, 0), True)
    view = task.draw(sample, np.random.default_rng(0))
    assert view.arrays.keys() == sample.arrays.keys()
    for name, array in view.arrays.items():
        np.testing.assert_array_equal(array, sample.arrays[name])


@pytest.mark.parametrize("option", ["flip", "rotate", "shift", "charge_jitter"])
def test_each_augmentation_does_something(option):
    off = {"flip": False, "rotate": False, "shift": 0, "charge_jitter": 0.0}
    task = build(data=off | {option: {"shift": 9, "charge_jitter": 0.1}.get(option, True)})
    sample = task.sample(Fed(event(LINES)), (0, 0), True)
    views = [task.draw(sample, np.random.default_rng(seed)) for seed in range(8)]
    name = "charge" if option == "charge_jitter" else "points"
    assert any(not np.array_equal(view.arrays[name], sample.arrays[name]) for view in views)


@pytest.mark.parametrize(("charge", "linear"), [(0.01, False), (3.0, True)])
def test_feature(charge, linear):
    sample = Sample(
        {
            "coords": np.zeros((1, 3), np.int32),
            "charge": np.array([[charge]], np.float32),
            "box": np.array([[[0.0, 0, 0], [1, 1, 1]]]),
        },
        (0, 0),
    )
    feature = build(data={"charge": "linear" if linear else "log"}).collate([sample]).features.item()
    assert feature == pytest.approx(3.0 if linear else -1.0)


# ------------------------------------------------------------------------------------------------- network


@pytest.mark.parametrize("form", FORMS)
def test_masks_are_in_the_order_of_the_networks_rows(form):
    task = build(form)
    batch = batch_of(task, [random_event(k) for k in range(3)] + [event([])])
    voxels = SparseTensor.from_points(batch.coords, batch.features, len(batch))
    network = task.network()
    assert isinstance(network, PointNetwork)
    maps = network.trunk(voxels)
    levels = {"mask_1": 1} if form == "every_scale" else {"mask_1": 2, "mask_2": 1}
    points, event_of = batch.targets["points"], batch.targets["point_event"]
    for name, level in levels.items():
        coords = maps.decoder[level].coords
        assert len(batch.targets[name]) == len(coords)
        if form == "every_scale":
            near = batch.coords[batch.targets["nearest"] >= 0]
        else:
            near = torch.cat([event_of[:, None].int(), points.floor().int()], 1)
        cells = near // torch.tensor([1, 2**level, 2**level, 2**level]) * torch.tensor([1] + [2**level] * 3)
        held = {tuple(cell) for cell in cells.tolist()}
        assert batch.targets[name].tolist() == [tuple(row) in held for row in coords.tolist()]
    for k, level in enumerate(() if form == "every_scale" else (0, 2, 1)):
        counts = torch.bincount(maps.decoder[level].batch.long(), minlength=4).cumsum(0)
        assert batch.targets[f"rows_{k}"].tolist() == [0, *counts.tolist()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("semantic", [True, False])
def test_a_prediction_does_not_depend_on_the_batch(form, semantic):
    torch.manual_seed(0)
    task = build(form, model={"semantic": semantic, "points": {"score": 0.3, "class_score": 0.1}})
    network = task.network().eval()
    events = [random_event(0), event([]), event([(1, (3, 3, 3), (1, 0, 0), 1)]), random_event(1)]
    with torch.inference_mode():
        together = task.predict(network, batch_of(task, events, labels=False))
        alone = [task.predict(network, batch_of(task, [e], labels=False))[0] for e in events]
    assert sum(len(p["points"]) for p in together) > 0
    for e, a, b in zip(events, together, alone, strict=True):
        np.testing.assert_allclose(a["point_proposals"], b["point_proposals"], atol=1e-5)
        for name in ("x", "y", "z", "score", "class"):
            np.testing.assert_allclose(a["points"][name], b["points"][name], atol=1e-4)
        assert len(a["point_proposals"]) == len(e["voxels"])
        for schema in task.makes:
            schema.conform(a[schema.name], "prediction")


def test_ends_are_said_only_with_a_head_for_them():
    for ends in (True, False):
        task = build(model={"ends": ends})
        made = task.predict(task.network().eval(), batch_of(task, [random_event(0)]))[0]
        assert np.isfinite(made["point_proposals"][:, 9]).all() == ends


def test_the_form_of_2020_masks_proposals():
    torch.manual_seed(0)
    task = build("scales3")
    network = task.network().eval()
    batch = batch_of(task, [random_event(k) for k in range(3)])
    with torch.inference_mode():
        out, made = network(batch), task.predict(network, batch)
    score = np.concatenate([products["point_proposals"][:, 3] for products in made])
    np.testing.assert_array_equal(score > 0, out.kept.numpy())
    assert 0 < out.kept.sum() < len(out.kept)


def test_true_masks_are_for_training_alone():
    task = build("scales3", model={"use_true_masks": True})
    network = task.network()
    for mask in network.ppn.masks:
        torch.nn.init.zeros_(mask.weight)
    batch = batch_of(task, [random_event(0)])
    cells = {tuple(c) for c in batch.targets["points"].floor().int().tolist()}
    expected = [tuple(c) in cells for c in batch.coords[:, 1:].tolist()]
    assert network.train()(batch).kept.tolist() == expected
    assert any(expected)
    assert not network.eval()(batch).kept.any()
    assert not build("scales3").network().train().use_true_masks


def test_points_are_held_against_the_segmentation_that_is_fed():
    torch.manual_seed(0)
    made = event(LINES)
    task = build(model={"points": {"score": 0.01, "class_score": 0.01}})
    network = task.network().eval()
    found = []
    for fed in (made["semantics"], np.full_like(made["semantics"], 4)):
        sample = task.sample(Fed(made, semantics=fed), (0, 0), labels=False)
        found.append(len(task.predict(network, task.collate([sample]))[0]["points"]))
    assert found[0] > 0
    assert found[1] == 0  # low-energy deposits have no points


def test_a_binary_mask_and_its_threshold_change_the_answer():
    batch = batch_of(build(), [random_event(0)])
    binary = [{"use_binary_mask": True, "mask_score_threshold": threshold} for threshold in (0.0, 0.999)]
    offsets = []
    for model in ({}, {"propagate_all": True}, *binary):
        torch.manual_seed(0)
        offsets.append(build(model=model).network().eval()(batch).offset.detach())
    damped, passed, everything, nothing = offsets
    assert everything.equal(passed)
    assert not damped.equal(passed)
    assert not nothing.equal(passed)
    assert not nothing.equal(damped)


def test_the_mask_threshold_is_the_least_score_of_a_point():
    made = []
    for threshold in (0.0, 0.999):
        torch.manual_seed(0)
        task = build(model={"mask_score_threshold": threshold, "points": {"score": 0.0, "enforce_class": False}})
        made.append(len(task.predict(task.network().eval(), batch_of(task, [random_event(0)]))[0]["points"]))
    assert made[0] > 0
    assert made[1] == 0


def test_a_frozen_trunk_has_no_graph_and_stays_as_it_is():
    task = build(model={"semantic": True})
    network = task.network()
    freeze(network, ["trunk", "head"])
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    batch = batch_of(task, [random_event(0)])
    made = []
    network.trunk.register_forward_hook(lambda *args: made.append(args[-1].final.features.requires_grad))
    terms = task.loss(network(batch), batch)
    sum(total / weight for total, weight in terms.values()).backward()
    assert made == [False]
    torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1).step()
    for name, tensor in network.state_dict().items():
        if name.startswith(("trunk", "head")) and "running" not in name:
            assert tensor.equal(before[name]), name
    assert not network.ppn.offset.weight.equal(before["ppn.offset.weight"])


def test_trunk_and_head_are_those_of_the_segmentation():
    model = {key: SMALL[key] for key in ("filters", "depth", "reps")}
    other = tasks.build("segmentation", {"model": model}).network().state_dict()
    own = build(model={"semantic": True}).network().state_dict()
    shared = {name: tensor.shape for name, tensor in own.items() if not name.startswith("ppn.")}
    assert shared == {name: tensor.shape for name, tensor in other.items()}


@pytest.mark.parametrize("convolutions", [0, 1, 3])
def test_so_many_convolutions_come_before_the_scores_of_each_scale(convolutions):
    ppn = build("scales3", model={"ppn_num_conv": convolutions}).network().ppn
    assert [len(before) for before in ppn.convolutions] == [convolutions] * 3


def test_every_parameter_is_in_a_layer():
    for form in FORMS:
        task = build(form, model={"semantic": True})
        network = task.network()
        listed = [p for layer in task.layers(network) for module in layer for p in module.parameters()]
        assert len(listed) == len(set(map(id, listed))) == len(list(network.parameters()))


def test_norms_of_the_trunk_and_of_the_proposals_have_their_own_settings():
    network = build(
        model={"norm_eps": 0.5, "norm_momentum": 0.25, "ppn_norm_eps": 0.1, "ppn_norm_momentum": 0.75}
    ).network()
    for part, expected in ((network.trunk, (0.5, 0.25)), (network.ppn, (0.1, 0.75))):
        assert {(m.eps, m.momentum) for m in part.modules() if hasattr(m, "momentum")} == {expected}


# ------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("form", FORMS)
def test_it_can_learn_a_few_events_by_heart(form):
    torch.manual_seed(0)
    task = build(form, model={"filters": 8, "semantic": True, "use_true_masks": form == "scales3"})
    network = task.network()
    events = [random_event(seed, particles=4) for seed in range(2)]
    batch = batch_of(task, events)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(120):
        optimizer.zero_grad()
        terms = task.loss(network(batch), batch)
        sum(total / weight for total, weight in terms.values()).backward()
        optimizer.step()
    for e, made in zip(events, task.predict(network, batch), strict=True):
        sample = task.sample(Fed(e), (0, 0), labels=True)
        true, classes = sample.arrays["points"], sample.arrays["point_class"]
        points = made["points"]
        at = (np.stack([points[axis] for axis in "xyz"], 1) - LOW) / SIZE
        distance = np.linalg.norm(true[:, None] - at[None], axis=2)
        assert distance.min(1).max() < 1.5
        assert distance.min(0).max() < 1.5
        assert (points["class"][distance.argmin(1)] == classes).all()
        assert (made["semantics"][:, 0] == e["semantics"][:, 0]).mean() > 0.95
        if form == "every_scale":
            track = classes == 1
            assert ((points["end_score"][distance.argmin(1)] > 0.5) == sample.arrays["point_end"])[track].mean() > 0.9
