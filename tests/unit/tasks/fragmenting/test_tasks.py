"""What holds for SPICE and Graph-SPICE alike, and that each can learn a few events by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fragment_events import build, event, track

from weft import tasks
from weft.config.starting import Init
from weft.engine.randomness import draw_generator
from weft.engine.starting import freeze, initialise
from weft.errors import WeftError
from weft.io.conform import conform
from weft.io.products import LOW_ENERGY, TRACK
from weft.metrics.clustering import ari
from weft.reco.fragment_labels import fragment_labels
from weft.reco.nodes import voxel_labels
from weft.sparse.uresnet import UResNet
from weft.tasks.spice.network import Embedding

SMALL = {"spatial_size": 64, "filters": 6, "depth": 3, "reps": 1, "input_kernel": 3, "norm_momentum": 0.3}
NAMES = ("spice", "graph_spice")


def task(name: str, **options: Any) -> Any:
    return tasks.build(name, {**options, "model": {**SMALL, **options.get("model", {})}})


def samples(built: Any, n: int = 3) -> list[Any]:
    return [built.sample(event(seed), (0, seed), labels=True) for seed in range(n)]


@pytest.mark.parametrize("name", NAMES)
def test_it_can_learn_a_handful_of_events_by_heart(name: str) -> None:
    torch.manual_seed(0)
    built = task(name, data={"charge_jitter": 0.0})
    network, batch = built.network(), built.collate(samples(built))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        sum(total / weight for total, weight in built.loss(network(batch), batch).values()).backward()
        optimizer.step()
    with torch.inference_mode():
        made = built.predict(network, batch)
    for seed, products in enumerate(made):
        truth = event(seed)
        labels = fragment_labels(truth, truth["semantics"][:, 0], built.classes)
        found = voxel_labels(products["fragment_voxels"], len(labels))
        assert ari(labels, found) > 0.95
        for schema in built.makes:
            conform(schema, products[schema.name], "prediction")


@pytest.mark.parametrize("name", NAMES)
def test_a_prediction_does_not_depend_on_the_batch(name: str) -> None:
    torch.manual_seed(1)
    built = task(name)
    network, together = built.network().eval(), samples(built)
    empty = built.sample(build([]), (0, 9), labels=True)
    single = built.sample(build([(TRACK, track((5, 5, 5), (1, 0, 0), 1))]), (0, 8), labels=True)
    together = [together[0], empty, single, *together[1:]]
    with torch.inference_mode():
        batched = built.predict(network, built.collate(together))
        alone = [built.predict(network, built.collate([sample]))[0] for sample in together]
        terms, _ = built.validate(network, built.collate([empty]))
    assert all(float(weight) == 0 for _, weight in terms.values())
    assert len(batched[1]["fragments"]) == 0
    for a, b in zip(batched, alone, strict=True):
        np.testing.assert_array_equal(a["fragment_voxels"].values, b["fragment_voxels"].values)
        np.testing.assert_array_equal(a["fragment_voxels"].offsets, b["fragment_voxels"].offsets)
        np.testing.assert_array_equal(a["fragments"], b["fragments"])


@pytest.mark.parametrize("name", NAMES)
def test_accumulated_micro_batches_weigh_as_they_say(name: str) -> None:
    for loss in ({"spice": {"form": "bce"}, "graph_spice": {"balance": True}}[name], {}):
        built = task(name, loss=loss)
        network, parts = built.network().eval(), samples(built)
        whole = built.collate(parts)
        counts = built.counts(whole)
        with torch.inference_mode():
            terms = built.loss(network(whole), whole, counts)
            each = [built.collate([part]) for part in parts]
            said = [built.weights(batch, counts) for batch in each]
            made = [built.loss(network(batch), batch, counts) for batch in each]
        for term, (total, weight) in terms.items():
            assert sum(float(w[term]) for w in said) == pytest.approx(float(weight), rel=1e-5)
            for one, batch_terms in zip(said, made, strict=True):
                assert float(one[term]) == pytest.approx(float(batch_terms[term][1]), rel=1e-5)
            if term != "log_dice":  # a ratio of sums over a micro-batch
                assert sum(float(m[term][0]) for m in made) == pytest.approx(float(total), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_other_classes_are_context_or_left_out(name: str) -> None:
    mixed = build([(TRACK, track((5, 5, 5), (1, 0, 0), 9)), (LOW_ENERGY, track((5, 9, 5), (1, 0, 0), 6))])
    seen = task(name).sample(mixed, (0, 0), labels=True).arrays
    assert len(seen["coords"]) == 15
    assert (seen["fragments"] >= 0).sum() == 9
    alone = task(name, data={"context": False}).sample(mixed, (0, 0), labels=True).arrays
    assert len(alone["coords"]) == 9
    np.testing.assert_array_equal(mixed["voxels"][alone["row"]], alone["coords"])
    torch.manual_seed(0)
    built = task(name, data={"context": False}, model={"classes": ["track"]})
    batch = built.collate([built.sample(mixed, (0, 0), labels=False)])
    (products,) = built.predict(built.network().eval(), batch)
    assert set(products["fragment_voxels"].values) <= set(np.flatnonzero(mixed["semantics"][:, 0] == TRACK))
    assert (products["fragments"]["shape"] == TRACK).all()


@pytest.mark.parametrize("name", NAMES)
def test_views_move_voxels_and_nothing_else(name: str) -> None:
    built = task(name, data={"shift": 3})
    sample = samples(built, 1)[0]
    views = [built.draw(sample, draw_generator(0, t, 0)).arrays for t in range(10)]
    assert len({view["coords"].tobytes() for view in views}) > 5
    assert len({view["charge"].tobytes() for view in views}) == 10
    for view in views:
        for unchanged in set(sample.arrays) - {"coords", "charge"}:
            assert view[unchanged] is sample.arrays[unchanged]
        steps = np.abs(np.diff(view["coords"], axis=0)).sum(1)
        np.testing.assert_array_equal(steps, np.abs(np.diff(sample.arrays["coords"], axis=0)).sum(1))
    fixed = task(name, data={"flip": False, "rotate": False, "shift": 0, "charge_jitter": 0.0})
    np.testing.assert_array_equal(fixed.draw(sample, draw_generator(0, 0, 0)).arrays["coords"], sample.arrays["coords"])


@pytest.mark.parametrize("name", NAMES)
def test_showers_start_where_points_are_proposed(name: str) -> None:
    blob = np.unique(np.random.default_rng(0).integers(10, 14, (40, 3)), axis=0)
    mixed = build([(0, blob)])
    proposals = np.zeros((len(mixed["voxels"]), 10), np.float32)
    proposals[7, 3] = 0.9
    built = task(name, data={"proposals": True})
    assert "point_proposals" in built.reads
    sample = built.sample(mixed | {"point_proposals": proposals}, (0, 0), labels=False)
    batch = built.collate([sample])
    (made,) = list(built.events_of(batch))
    products = built.products_of(made, np.zeros(len(blob), np.int64))
    start = [products["fragments"][f"start_{axis}"][0] / 0.3 - 0.5 for axis in "xyz"]
    np.testing.assert_allclose(start, mixed["voxels"][7], atol=1e-4)


def test_the_seediness_branch_can_be_frozen() -> None:
    torch.manual_seed(0)
    built = task("spice")
    network, batch = built.network(), built.collate(samples(built))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    freeze(network, ["seed_decoder", "seed_head"])
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    sum(total / weight for total, weight in built.loss(network(batch), batch).values()).backward()
    optimizer.step()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith("seed_") or not tensor.is_floating_point(), name


@pytest.mark.parametrize(("touching", "sizes"), [(0, [13]), (1, [9, 3]), (4, [9, 3])])
def test_what_spice_puts_together_is_divided_where_it_does_not_touch(touching: int, sizes: list[int]) -> None:
    """One cluster of three pieces, the last of one voxel, fewer than a fragment has."""
    pieces = [track((5, 5, 5), (1, 0, 0), 9), track((20, 5, 5), (1, 0, 0), 3), track((30, 5, 5), (1, 0, 0), 1)]
    apart = build([(TRACK, np.concatenate(pieces))])
    built = task("spice", model={"clustering": {"touching": touching}})
    batch = built.collate([built.sample(apart, (0, 0), labels=False)])
    (made,) = built.decode(Embedding(torch.zeros(13, 3), torch.ones(13), torch.ones(13)), batch)
    assert made["fragments"]["size"].tolist() == sizes


def test_both_decoders_of_spice_can_begin_as_the_one_of_a_unet(tmp_path: Path) -> None:
    """As in the study: `init` of the trunk, and of the second decoder from parts of the same file."""
    torch.manual_seed(0)
    trunk = UResNet(1, SMALL["filters"], SMALL["depth"], SMALL["reps"], SMALL["input_kernel"])
    torch.save({f"trunk.{name}": tensor for name, tensor in trunk.state_dict().items()}, tmp_path / "unet.pt")
    init = {
        "trunk": "unet",
        "seed_decoder.up": {"from": "unet", "part": "trunk.up"},
        "seed_decoder.decoder": {"from": "unet", "part": "trunk.decoder"},
    }
    network = task("spice", model={"coord_conv": False}).network()
    initialise(
        network, {path: Init.model_validate(start) for path, start in init.items()}, {"unet": tmp_path / "unet.pt"}
    )
    begun = network.state_dict()
    for name, tensor in trunk.state_dict().items():
        assert torch.equal(begun[f"trunk.{name}"], tensor)
        if name.startswith(("up.", "decoder.")):
            assert torch.equal(begun[f"seed_decoder.{name}"], tensor)


@pytest.mark.parametrize("name", NAMES)
def test_the_defaults_are_those_of_spine(name: str) -> None:
    built = tasks.build(name, {})
    network = built.network()
    assert set(built.foreign_layout().names) == set(network.state_dict())
    assert len(built.layers(network)[-1]) == {"spice": 3, "graph_spice": 1}[name]
    own = {id(p) for layer in built.layers(network) for module in layer for p in module.parameters()}
    assert own == {id(p) for p in network.parameters()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("broken", "pieces"), [(True, 2), (False, 1)])
def test_pieces_that_do_not_touch_are_fragments_of_their_own_or_not(name: str, broken: bool, pieces: int) -> None:
    """In what is learned and in what the baseline is fitted to."""
    gap = build([(TRACK, np.concatenate([track((5, 5, 5), (1, 0, 0), 9), track((20, 5, 5), (1, 0, 0), 9)]))])
    built = task(name, data={"break_clusters": broken})
    assert len(np.unique(built.sample(gap, (0, 0), labels=True).arrays["fragments"])) == pieces
    baseline = built.baseline()
    baseline.fit([gap], seed=0)
    assert baseline.chosen[TRACK].scores[baseline.settings[0]] == (1.0 if broken else 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_settings_of_the_baseline_are_every_one_with_every_other(name: str) -> None:
    baseline = task(name, baseline={"eps": [1.8, 3.0], "mask_radius": [0.0, 2.0], "straight": [0.8, 0.9]}).baseline()
    assert [tuple(s) for s in baseline.settings] == [
        *((eps, 0.0, 0.9) for eps in (1.8, 3.0)),
        *((eps, 2.0, straight) for eps in (1.8, 3.0) for straight in (0.8, 0.9)),
    ]
    assert all(s.mask_radius for s in task(name, baseline={"mask_radius": [1.0]}).baseline().settings)


@pytest.mark.parametrize("name", NAMES)
def test_activations_have_the_slope_asked_for(name: str) -> None:
    slopes = [
        module.negative_slope
        for module in task(name, model={"leak": 0.25}).network().modules()
        if hasattr(module, "negative_slope")
    ]
    assert set(slopes) == {0.25}


@pytest.mark.parametrize("name", NAMES)
def test_norms_have_the_settings_asked_for(name: str) -> None:
    network = task(name, model={"norm_eps": 0.5, "norm_momentum": 0.25}).network()
    norms = [module for module in network.modules() if hasattr(module, "momentum")]
    assert norms
    assert {(norm.eps, norm.momentum) for norm in norms} == {(0.5, 0.25)}


def test_graph_options_are_obeyed() -> None:
    line = build([(TRACK, track((5, 5, 5), (1, 0, 0), 12))])
    edges = task("graph_spice").sample(line, (0, 0), labels=False).arrays["edges"]
    assert len(edges) == 11
    wide = task("graph_spice", model={"graph": {"radius": 2.0}}).sample(line, (0, 0), labels=False)
    assert len(wide.arrays["edges"]) == 21
    near = task("graph_spice", model={"graph": {"kind": "knn", "k": 2}}).sample(line, (0, 0), labels=False)
    assert len(near.arrays["edges"]) == 13  # the two ends reach two steps far
    with pytest.raises(WeftError, match="it needs features: heads"):
        task("graph_spice", model={"kernel": "default"})


@pytest.mark.parametrize(
    "model",
    [
        {"kernel": "mlp", "mlp_depth": 1, "mlp_width": 8, "kernel_bias": True},
        {"kernel": "default", "features": "heads", "covariance": "exp", "occupancy": "exp"},
        {"kernel": "bilinear", "features": "heads", "feature_dim": 5},
        {"invert": False, "clustering": {"edge_threshold": 0.5}},
        {"coord_conv": False},
    ],
)
def test_every_kernel_learns(model: dict[str, Any]) -> None:
    torch.manual_seed(0)
    built = task("graph_spice", model=model)
    network, batch = built.network(), built.collate(samples(built, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = sum(total / weight for total, weight in built.loss(network(batch), batch).values())
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert set(built.foreign_layout().names) == set(network.state_dict())
    assert len(built.predict(network.eval(), batch)[0]["fragments"]) >= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_baseline_divides_crossing_tracks(name: str, tmp_path: Path) -> None:
    built = task(name)
    baseline = built.baseline()
    with pytest.raises(WeftError, match="not been fitted"):
        baseline.predict(event(0))
    baseline.fit((event(seed) for seed in range(4)), seed=0)
    baseline.save(tmp_path / "model.ckpt")
    again = built.load_baseline(tmp_path / "model.ckpt")
    truth = event(7)
    made, products = baseline.predict(truth), again.predict(truth)
    np.testing.assert_array_equal(made["fragments"], products["fragments"])
    labels = fragment_labels(truth, truth["semantics"][:, 0], built.classes)
    found = voxel_labels(products["fragment_voxels"], len(labels))
    assert ari(labels, found) > 0.9
    assert len(baseline.predict(build([]))["fragments"]) == 0
    (tmp_path / "other").write_text("{}")
    with pytest.raises(WeftError, match="not a fitted fragment baseline"):
        built.load_baseline(tmp_path / "other")


@pytest.mark.parametrize("name", NAMES)
def test_the_task_is_importable_without_torch(name: str) -> None:
    import subprocess
    import sys

    code = f"""
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "lightning"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoTorch())
from weft import tasks
task = tasks.build("{name}", {{}})
task.makes, task.reads, task.labels, task.baseline(), task.summary, task.foreign_layout
import weft.reco.fragment_labels, weft.report.clustering
"""
    subprocess.run([sys.executable, "-c", code], check=True)
