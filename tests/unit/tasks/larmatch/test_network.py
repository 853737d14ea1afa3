import itertools

import numpy as np
import pytest
import torch
from larmatch_tasks import HEADS, SMALL, batch_of, network_of, small_task
from wire_events import event, nothing, single_plane

from weft import tasks
from weft.errors import WeftError
from weft.tasks.larmatch.gather import extract_features
from weft.tasks.larmatch.options import ModelOptions

V2 = {
    "stem_width": 32, "stem_blocks": 3, "widths": [16, 16, 32, 64, 128, 256, 512], "input_kernel": 5, "final_blocks": 0,
    "features": 32, "heads": {"larmatch": [64, 64], "semantics": [64, 64], "key_points": [32]},
}  # fmt: skip


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_default_trunk_has_the_size_of_the_first_generation():
    """Spec §4.1: about 0.96 M parameters in the trunk, counted here by hand, and about 1.0 M in all."""
    n = [16, 32, 48, 64, 80]

    def block(a, b):
        return 2 * a + 9 * a * b + 2 * b + 9 * b * b + (a * b if a != b else 0)

    inputs = 1 + 1 + 2 + 4  # charge, dead flag, numbers of triplets, embedding
    stem = 9 * inputs * 16 + 2 * 16 + 9 * 16 * 16 + 2 * 16 + 9 * 16 * 16
    down = sum(2 * block(a, a) for a in n)
    between = sum((2 * a + 4 * a * b) + (2 * b + 4 * b * a) for a, b in itertools.pairwise(n))
    up = sum(block(2 * a, a) + block(a, a) for a in n[:-1])
    last = block(16, 16) + 2 * 16 + 16 * 16 + 16
    network = tasks.build("larmatch", {}).network()
    assert parameters(network.forward_features) == stem + down + between + up + last + 3 * 4
    assert parameters(network.forward_features) == pytest.approx(0.96e6, rel=0.01)
    assert parameters(network) == pytest.approx(1.0e6, rel=0.01)


def test_the_sizes_of_the_second_generation_are_there():
    """Spec §4.2: about 16 M parameters, an overall stride of 64."""
    task = tasks.build("larmatch", {"model": V2, "data": {"shift": 64}})
    network = task.network().eval()
    assert parameters(network) == pytest.approx(16e6, rel=0.2)
    assert len(network.forward_features.unet.down) == 6
    with torch.inference_mode():
        answers = network(batch_of(task, event(0)))
    assert all(torch.isfinite(answer).all() for answer in answers.values())


def test_features_are_gathered_by_row_and_laid_side_by_side():
    pixels = torch.arange(12.0).reshape(6, 2)
    triplets = torch.tensor([[0, 2, 5], [1, 2, 4]])
    expected = [[0, 1, 4, 5, 10, 11], [2, 3, 4, 5, 8, 9]]
    assert extract_features(pixels, triplets).tolist() == expected
    assert extract_features(pixels, triplets[:0]).shape == (0, 6)


def test_triplets_know_where_the_pixels_of_their_event_begin():
    task, events = small_task(), [event(0, dead=20), nothing(), event(1, dead=20)]
    batch = batch_of(task, *events)
    row, wire, plane = batch.coords[:, 1], batch.coords[:, 2], batch.plane
    for k, one in enumerate(events):
        part = batch.triplets[batch.triplet_offsets[k] : batch.triplet_offsets[k + 1]]
        assert ((part >= batch.offsets[k]) & (part < batch.offsets[k + 1])).all()
        for p in range(3):
            own = one["pixels"][one["triplets"][f"pixel_{p}"]]
            assert (plane[part[:, p]] == p).all()
            assert np.array_equal(row[part[:, p]], own["row"])
            assert np.array_equal(wire[part[:, p]], own["wire"])


def test_a_pixel_knows_how_many_triplets_of_the_whole_event_lead_through_it():
    task, one = small_task(data={"sampling": {"triplets": 40, "key_points": None}}), event(0, dead=20)
    pixels, triplets = one["pixels"], one["triplets"]
    sample = task.sample(one, (0, 0), True)
    seen = task.collate([task.draw(sample, np.random.default_rng(0))]).features
    for k in (0, 5, int(np.flatnonzero(pixels["dead"])[0])):
        mine = triplets[triplets[f"pixel_{pixels['plane'][k]}"] == k]
        live = [not any(pixels["dead"][t[f"pixel_{p}"]] for p in range(3)) for t in mine]
        assert seen[k, 2:].tolist() == pytest.approx([np.log1p(len(mine)), np.log1p(sum(live))])
    assert seen[:, 2].max() > seen[:, 3].max() > 0
    blind = small_task({"multiplicity": False})
    network, batch = network_of(blind), batch_of(blind, one)
    before = network(batch)["larmatch"]
    batch.features[:, 2:] = 0
    assert torch.equal(before, network(batch)["larmatch"])
    seeing = network_of(small_task())
    assert not torch.allclose(seeing(batch)["larmatch"], seeing(batch_of(blind, one))["larmatch"], atol=1e-2)


def test_the_charge_is_scaled_and_clipped_and_dead_pixels_are_marked():
    task, one = small_task(data={"charge_scale": 40, "charge_clip": 5}), event(0, dead=20)
    features = batch_of(task, one).features
    assert np.allclose(features[:, 0], np.clip(one["pixels"]["charge"] / 40, 0, 5))
    assert features[:, 0].max() == 5
    assert np.array_equal(features[:, 1], one["pixels"]["dead"])
    assert one["pixels"]["dead"].any()


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_an_event_is_judged_alike_alone_and_among_others(norm):
    task = small_task({"norm": norm})
    network = network_of(task)
    events = [event(0, dead=20), event(1), nothing(), single_plane(), event(2)]
    with torch.inference_mode():
        batch = batch_of(task, *events)
        together = network(batch)
        for k, one in enumerate(events):
            alone = network(batch_of(task, one))
            part = slice(*batch.triplet_offsets[k : k + 2].tolist())
            for name in HEADS:
                assert torch.allclose(together[name][part], alone[name], atol=1e-6), name


def test_drift_volumes_do_not_see_each_other():
    """The same pixels in two volumes are two times the images of one."""
    task = small_task()
    sample = task.sample(event(0), (0, 0), False)
    n = len(sample.arrays["row"])
    twice = {name: np.concatenate([array, array]) for name, array in sample.arrays.items()}
    twice["tpc"][n:] = 1  # triplets through a pixel are those of its volume
    twice["pixel"][len(sample.arrays["pixel"]) :] += n
    network = network_of(task)
    one, two = network(task.collate([sample])), network(task.collate([sample.with_arrays(**twice), sample]))
    for name in HEADS:
        assert torch.allclose(two[name], one[name].repeat(3, *[1] * (one[name].ndim - 1)), atol=1e-6), name


def test_answers_have_the_shapes_that_they_should():
    task = small_task(data={"labels": {"classes": {"name": "two", "classes": ["a", "b"], "rules": [
        {"label": "a", "pdg": [13]}, {"label": "b", "pdg": [11]}]}}})  # fmt: skip
    answers = network_of(task)(batch_of(task, event(0)))
    n = len(event(0)["triplets"])
    shapes = {"larmatch": (n,), "key_points": (n, 6), "semantics": (n, 2), "affinity": (n, 3), "shift": (n, 6, 3)}
    assert {name: tuple(answer.shape) for name, answer in answers.items()} == shapes
    assert ((answers["key_points"] > 0) & (answers["key_points"] < 1)).all()
    alone = small_task({"heads": {"larmatch": []}})
    assert network_of(alone)(batch_of(alone, event(0))).keys() == {"larmatch"}


def test_planes_are_told_apart_by_nothing_but_their_embedding_and_their_place_in_a_triplet():
    """Planes in another order, with embeddings and inputs of the heads in that order, are answered the same."""
    task, order = small_task(), np.array([2, 0, 1])
    network, other = network_of(task), task.network().eval()
    place = np.argsort(order)  # plane p becomes place[p]
    state = network.state_dict()
    state["forward_features.plane.weight"] = state["forward_features.plane.weight"][order]
    for name in state:
        if name.startswith("classify_triplets") and name.endswith(".0.weight"):
            state[name] = state[name].unflatten(1, (3, -1))[:, order].flatten(1)
    other.load_state_dict(state)
    sample = task.sample(event(0, dead=20), (0, 0), False)
    plane = place[sample.arrays["plane"]].astype(np.int8)
    moved = sample.with_arrays(plane=plane, pixel=sample.arrays["pixel"][:, order])
    with torch.inference_mode():
        answers, theirs = network(task.collate([sample])), other(task.collate([moved]))
        unmoved = network(task.collate([moved]))
    assert all(torch.allclose(answers[name], theirs[name], atol=1e-6) for name in HEADS)
    assert not torch.allclose(answers["larmatch"], unmoved["larmatch"], atol=1e-2)


def test_without_an_embedding_planes_look_alike():
    for width, alike in ((0, True), (4, False)):
        task = small_task({"plane_embedding": width})
        batch = batch_of(task, event(0))
        features = network_of(task).forward_features
        exchanged = features(batch)
        batch.plane = 2 - batch.plane
        assert torch.allclose(exchanged, features(batch), atol=1e-6) == alike


def test_in_training_other_heads_are_asked_about_good_triplets_only():
    """The gradient is that of asking about all."""
    task = small_task(data={"sampling": {"triplets": None}})
    batch = batch_of(task, event(0), event(1), labels=True)
    network = network_of(task).train()

    def gradients(answers):
        network.zero_grad()
        terms = task.loss(answers, batch)
        torch.stack([total / weight for total, weight in terms.values()]).sum().backward()
        return [parameter.grad.clone() for parameter in network.parameters()]

    answers = network(batch)
    few = gradients(answers)
    all_of_them = gradients(network.answers(network.pixels(batch), batch.triplets))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(few, all_of_them, strict=True))
    ghosts = batch.targets["good"] != 1
    assert ghosts.any()
    assert all((answers[name][ghosts] == 0).all() for name in HEADS if name != "larmatch")
    assert (network.eval()(batch)["affinity"][ghosts] != 0).any()


@pytest.mark.parametrize("option", [
    {"stem_width": 5}, {"stem_blocks": 1}, {"widths": [4, 6]}, {"blocks": 2}, {"input_kernel": 5}, {"final_blocks": 0},
    {"features": 3}, {"plane_embedding": 2}, {"norm": "layer"}, {"charges": False},
    {"multiplicity": False}, {"heads": {"larmatch": [9]}},
])  # fmt: skip
def test_every_size_is_that_of_the_network(option):
    small, other = small_task().network().state_dict(), small_task(option).network().state_dict()
    assert {name: tensor.shape for name, tensor in small.items()} != {n: tensor.shape for n, tensor in other.items()}


@pytest.mark.parametrize(("option", "value"), [("leak", 0.0), ("norm_eps", 0.5), ("engine", "torch")])
def test_other_options_of_the_network_do_what_they_say(option, value):
    task, other = small_task(), small_task({option: value})
    network, changed = network_of(task), network_of(other)
    changed.load_state_dict(network.state_dict())
    batch = batch_of(task, event(0))
    same = torch.allclose(network(batch)["larmatch"], changed(batch)["larmatch"], atol=1e-5)
    assert same == (option == "engine")


def test_running_statistics_follow_their_momentum():
    means = []
    for momentum in (0.5, 1.0):
        task = small_task({"norm_momentum": momentum})
        network = network_of(task).train()
        network(batch_of(task, event(0)))
        means.append(network.forward_features.features[0][0].running_mean)
    assert torch.allclose(2 * means[0], means[1], atol=1e-6)


def test_log_variances_are_there_where_weights_are_learned_and_learn_slower():
    from weft.config.training import Optimizer
    from weft.engine.optimizers import parameter_groups

    loss = {"uncertainty": {"rate": 0.1, "initial": {"larmatch": -2.9}}}
    task = small_task(loss=loss)
    network = network_of(task)
    batch = batch_of(task, event(0), labels=True)
    learned = network(batch)["log_variance"]
    assert {name: float(value.detach()) for name, value in learned.items()} == {
        name: pytest.approx(-2.9 if name == "larmatch" else 0) for name in HEADS
    }
    task.loss(network(batch), batch)
    groups = parameter_groups(task, network, Optimizer(name="AdamW", lr=1e-2, weight_decay=0.1))
    slow = [group for group in groups if group["lr"] == pytest.approx(1e-3)]
    assert sum(len(group["params"]) for group in slow) == len(HEADS)
    assert all(group["weight_decay"] == 0 for group in slow)
    assert "log_variance" not in network_of(small_task())(batch)
    assert not small_task().lr_multipliers(network_of(small_task()))


def test_every_parameter_is_in_one_layer():
    task = small_task()
    network = task.network()
    layers = task.layers(network)
    named = [parameter for layer in layers for module in layer for parameter in module.parameters()]
    assert len(named) == len({id(parameter) for parameter in named}) == len(list(network.parameters()))
    assert layers[-1] == [network.classify_triplets]


@pytest.mark.parametrize(("model", "words"), [
    ({"heads": {"key_points": [8]}}, "only key_points given, without larmatch, by whose score triplets are kept"),
    ({"heads": {"larmatch": [8], "keypoints": [8]}}, "keypoints"),
    ({"heads": {"larmatch": [0]}}, "larmatch"),
    ({"widths": []}, "widths"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_a_line(model, words):
    with pytest.raises(WeftError, match=words):
        tasks.build("larmatch", {"model": {**SMALL, **model}})


def test_heads_have_one_order():
    back = {name: HEADS[name] for name in reversed(HEADS)}
    assert list(small_task({"heads": back}).network().classify_triplets.names) == list(HEADS)
    assert list(ModelOptions().heads) == ["larmatch", "key_points", "semantics", "affinity"]
