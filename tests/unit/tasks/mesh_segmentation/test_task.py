"""The task: whole meshes, what is measured, the groups of parameters, and that a small network learns a town."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_batches import batch
from made_batches import sample as made_sample
from made_meshes import CLASSES, plain

from weft import tasks
from weft.config.loading import ConfigError
from weft.config.starting import Init
from weft.config.training import Optimizer
from weft.engine.optimizers import parameter_groups
from weft.engine.starting import freeze, initialise
from weft.errors import WeftError
from weft.meshes.features import feature_names
from weft.tasks.mesh_segmentation.network import MeshNetwork
from weft.tasks.mesh_segmentation.sampling import fixed_sample
from weft.tasks.mesh_segmentation.task import MeshSegmentation

SMALL: dict[str, Any] = {"width": 16, "heads": 2, "blocks": 2}
TEXTURED = SMALL | {"texture": {"width": 8}}
CLUSTERS = {"faces": 16, "per_sample": 4}


class Meshes:
    """Events by number, as a task measures them."""

    shards: tuple[Any, ...] = ()

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = events

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, index: int) -> Any:
        return self.events[index]

    def locate(self, index: int) -> tuple[int, int]:
        return 0, index

    def store(self, file: int) -> Any:
        raise NotImplementedError


def task(model: dict[str, Any] | None = None, loss: dict[str, Any] | None = None, **data: Any) -> MeshSegmentation:
    options = {"classes": CLASSES, "clusters": CLUSTERS, "pixels": 4} | data
    built = tasks.build("mesh_segmentation", {"model": model or SMALL, "loss": loss or {}, "data": options})
    assert isinstance(built, MeshSegmentation)
    return built


def ready(built: MeshSegmentation, *events: dict[str, Any]) -> MeshNetwork:
    torch.manual_seed(0)
    network = built.network()
    assert isinstance(network, MeshNetwork)
    built.prepare(network, built.measure(Meshes(*events)))
    return network.eval()


def predicted(built: MeshSegmentation, network: MeshNetwork, *events: dict[str, Any]) -> list[dict[str, Any]]:
    samples = [built.sample(event, (0, k), labels=False) for k, event in enumerate(events)]  # type: ignore[arg-type]
    return built.predict(network, built.collate(samples))


@pytest.mark.parametrize(("features", "columns"), [
    ({"positions": "cluster", "normals": True, "surface": False}, 16),
    ({"positions": "bbox", "normals": True, "surface": True}, 19),
    ({"positions": "none", "normals": True, "surface": False}, 7),
    ({"positions": "none", "normals": True, "surface": True}, 10),
])  # fmt: skip
def test_widths_of_the_features(features: dict[str, Any], columns: int) -> None:
    built, event = task(features=features), plain()
    network = ready(built, event)
    assert network.encoder.stem.in_features == columns
    assert ("face_surface" in built.reads) == features["surface"]
    assert predicted(built, network, event)[0]["face_probabilities"].shape == (len(event["faces"]), 3)


@pytest.mark.parametrize("shifted", [1, 3])
def test_every_face_is_predicted_in_the_order_of_the_file(shifted: int) -> None:
    """Defect 19 of the original: faces were lost at cuts, and predictions came in the order of clusters."""
    event = plain(size=20)
    built = task(TEXTURED, inference={"clusters": 6, "context": 2, "shifted": shifted, "batch_size": 3})
    network = ready(built, event)
    made = predicted(built, network, event)[0]
    probabilities = made["face_probabilities"]
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(made["face_labels"][:, 0], probabilities.argmax(1))
    again = predicted(built, network, event)[0]["face_probabilities"]
    np.testing.assert_array_equal(again, probabilities)


def test_what_is_said_of_a_face_goes_with_it_in_another_order_of_the_file() -> None:
    event = plain(size=10)
    event["vertices"] = event["vertices"] + np.random.default_rng(0).normal(0, 0.1, event["vertices"].shape)
    n = len(event["faces"]) - 1  # the last face is there twice: which of the two is cut off is decided by their order
    built = task(TEXTURED, pixels=100)
    network = ready(built, event)

    def ordered(order: np.ndarray) -> np.ndarray:
        moved = event | {name: event[name][order] for name in ("faces", "face_surface", "texcoords")}
        pixels = event["face_pixels"]
        moved["face_pixels"] = type(pixels).of([pixels[k] for k in order])
        made: np.ndarray = predicted(built, network, moved)[0]["face_probabilities"]
        return made

    order = np.random.default_rng(1).permutation(n)
    np.testing.assert_allclose(ordered(order), ordered(np.arange(n))[order], atol=1e-4)


def test_context_is_seen_but_not_predicted() -> None:
    """A part without context gives other probabilities at its border than one with context."""
    event = plain(size=20)
    alone = task(inference={"clusters": 4, "context": 0})
    seen = task(inference={"clusters": 8, "context": 4})
    network = ready(alone, event)
    a, b = (predicted(built, network, event)[0]["face_probabilities"] for built in (alone, seen))
    assert a.shape == b.shape
    assert np.abs(a - b).max() > 1e-4


def test_a_face_is_predicted_as_in_its_part() -> None:
    """One part of the whole mesh, by hand: softmax of the logits, put where the face is."""
    event = plain(size=6, boxes=1)
    built = task(inference={"clusters": 200, "context": 0})
    network = ready(built, event)
    mesh = built._clustered(built.sample(event, (0, 0), labels=False))  # type: ignore[arg-type]
    arrays = fixed_sample(mesh, np.arange(len(mesh.centres)), built.options.data, "none")
    from weft.engine.task import Sample

    given = batch(Sample(arrays, (0, 0)))
    assert given.real is not None
    with torch.inference_mode():
        expected = np.zeros((len(event["faces"]), 3), np.float32)
        order = np.argsort(arrays["cluster"], kind="stable")
        expected[arrays["face"][order]] = network(given)[given.real].softmax(1)
    made = predicted(built, network, event)[0]["face_probabilities"]
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_smoothing_changes_labels_and_not_probabilities() -> None:
    event, rough = plain(size=16), task()
    network = ready(rough, event)
    smooth = task(inference={"smoothing": {"strength": 5.0}})
    a, b = predicted(rough, network, event)[0], predicted(smooth, network, event)[0]
    np.testing.assert_array_equal(a["face_probabilities"], b["face_probabilities"])
    assert not np.array_equal(a["face_labels"], b["face_labels"])


def test_an_empty_mesh_has_empty_predictions() -> None:
    event = plain()
    empty = {name: event[name][:0] for name in ("vertices", "faces", "face_surface")}
    built = task()
    made = predicted(built, ready(built, event), empty)[0]
    assert made["face_labels"].shape == (0, 1)
    assert made["face_probabilities"].shape == (0, 3)


def test_what_is_measured() -> None:
    built, events = task(TEXTURED), [plain(), plain(seed=1, size=8)]
    measured = built.measure(Meshes(*events))
    labels = np.concatenate([event["truth/face_labels"][:, 0] for event in events])
    assert measured["faces"] == np.bincount(labels[labels >= 0], minlength=3).tolist()
    assert measured["area"][0] == pytest.approx(2 * measured["faces"][0])  # triangles of the plain have 2 m²
    values = np.concatenate([event["face_pixels"].values for event in events])
    for k, channel in enumerate("rgb"):
        assert measured["colours"]["mean"][k] == pytest.approx(values[channel].mean() / 255)
        assert measured["colours"]["deviation"][k] == pytest.approx(values[channel].std() / 255)
    names = feature_names(built.options.data.features)
    assert len(measured["features"]["mean"]) == len(names)
    heights = np.concatenate([event["face_surface"][:, 0] for event in events])
    assert measured["features"]["mean"][names.index("height")] == pytest.approx(heights.mean(), rel=1e-5)
    with pytest.raises(WeftError, match="no face of the training meshes has a texture"):
        built.measure(Meshes(plain(textured=0.0)))


def test_validation_is_the_loss_of_the_whole_meshes() -> None:
    event = plain()
    built = task(loss={"terms": {"cross_entropy": 1.0}, "class_weight": "inverse"})
    network = ready(built, event)
    samples = [built.sample(each, (0, k), labels=True) for k, each in enumerate((event, plain(seed=2)))]  # type: ignore[arg-type]
    terms, made = built.validate(network, built.collate(samples))
    assert len(made) == 2
    total = weight = 0.0
    measured = np.array(built.measure(Meshes(event))["faces"])
    weights = measured.sum() / measured / 3
    for each, products in zip((event, plain(seed=2)), made, strict=True):
        labels = each["truth/face_labels"][:, 0]
        for label, row in zip(labels, products["face_probabilities"], strict=True):
            if label >= 0:
                total -= weights[label] * np.log(row[label])
                weight += weights[label]
    assert float(terms["cross_entropy"][0]) / float(terms["cross_entropy"][1]) == pytest.approx(total / weight, 1e-4)


def test_samples_are_decoded_face_by_face() -> None:
    built = task(TEXTURED)
    given = batch(made_sample([4, 2]), made_sample([3], seed=1))
    assert given.real is not None
    logits = torch.randn(*given.real.shape, 3)
    first, second = built.decode(logits, given)
    assert first["face_labels"].shape == (6, 1)
    np.testing.assert_allclose(second["face_probabilities"], logits[1][given.real[1]].softmax(1), atol=1e-6)


def test_layers_learn_at_rates_of_their_own() -> None:
    """[10, 2] of the original: head 10 lr, block i of L lr / 2^(L-1-i), all else lr / 2^L; tokens and norms do not
    decay. There it was silently off with textures (defect 14)."""
    built = task(TEXTURED | {"blocks": 3})
    network = built.network()
    groups = parameter_groups(
        built, network, Optimizer(lr=1.0, weight_decay=0.1, layer_decay=2.0, head_multiplier=10.0)
    )
    rates = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    found = {name: rates[id(p)] for name, p in network.named_parameters()}
    assert found["head.0.weight"] == (10.0, 0.1)
    assert [found[f"encoder.blocks.{i}.local.attention.query.weight"][0] for i in range(3)] == [0.25, 0.5, 1.0]
    for name in ("encoder.stem.weight", "texture.pixel.weight", "fusion.gate.weight"):
        assert found[name] == (0.125, 0.1)
    for name in ("encoder.summary", "texture.untextured", "texture.summary", "encoder.norm.weight"):
        assert found[name] == (0.125, 0.0)


@pytest.mark.parametrize(("options", "message"), [
    ({"model": {"fourier": {}}, "data": {"features": {"positions": "none"}}}, "model.fourier is of positions"),
    ({"model": {"relative": {"values": True}}, "data": {"clusters": {"faces": 300}}}, "at most 256 expected"),
    ({"data": {"inference": {"clusters": 4, "context": 4}}}, "context 4 leaves nothing of 4 clusters"),
    ({"data": {"classes": ["a", "a"]}}, "classes: each name once"),
])  # fmt: skip
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tasks.build("mesh_segmentation", options)


def test_texture_tells_what_shape_does_not() -> None:
    """A network that learns from colours alone where a roof is told from the ground by nothing else."""
    events = [plain(size=6, boxes=4, seed=seed) for seed in range(2)]
    built = task(
        SMALL | {"blocks": 1, "dropout": 0.0, "texture": {"width": 8, "dropout": 0.0}},
        features={"positions": "none", "normals": True, "surface": False},
        augment={"colour": None, "texture_drop": 0.0},
    )
    network = ready(built, *events)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    network.train()
    for number in range(40):
        picked = built.pick(0, number, 2)
        assert picked is not None
        sample = built.sample(events[picked[0]], (0, picked[0]), labels=True)  # type: ignore[arg-type]
        given = built.collate([built.draw(sample, picked[1])])
        total, weight = built.loss(network(given), given)["cross_entropy"]
        optimizer.zero_grad()
        (total / weight).backward()
        optimizer.step()
    network.eval()
    other = plain(size=6, boxes=4, seed=7)
    labels = other["truth/face_labels"][:, 0]
    right = predicted(built, network, other)[0]["face_labels"][:, 0] == labels
    assert right[labels >= 0].mean() > 0.97


def test_an_encoder_of_shapes_begins_one_with_textures(tmp_path: Path) -> None:
    """Defect 14 of the original: freezing had an inverted meaning there, and failed on textured models."""
    shapes, textured = task().network(), task(TEXTURED).network()
    torch.save(shapes.state_dict(), tmp_path / "shapes.pt")
    start = Init.model_validate({"from": "shapes", "except": ["encoder.stem"]})
    initialise(textured, {"encoder": start}, {"shapes": tmp_path / "shapes.pt"})
    own, given = textured.state_dict(), shapes.state_dict()
    taken = [name for name in given if name.startswith("encoder.") and not name.startswith("encoder.stem")]
    assert taken
    assert all(torch.equal(own[name], given[name]) for name in taken)
    freeze(textured, ["encoder.blocks.0"])
    learning = {name for name, parameter in textured.named_parameters() if parameter.requires_grad}
    assert {name for name in own if name.startswith("encoder.blocks.0.")} == own.keys() - learning


@pytest.mark.parametrize(("positions", "extent"), [("cluster", 30.0), ("mesh", 200.0), ("bbox", 0.9)])
def test_no_two_places_look_the_same_by_the_default_period(positions: str, extent: float) -> None:
    """Fourier features stand in place of positions: with a period of 1 m a network would know them modulo 1 m only."""
    options = {"model": {"fourier": {}}, "data": {"features": {"positions": positions}}}
    task = tasks.build("mesh_segmentation", options)
    fourier = task.network().encoder.fourier
    place = torch.zeros(1, 9)
    seen = fourier(place)
    apart = [
        float((fourier(place + step) - seen).detach().abs().max()) for step in torch.linspace(0.02, 1, 50) * extent
    ]
    assert min(apart) > 1e-2


def test_a_period_that_is_given_is_taken() -> None:
    options = {"model": {"fourier": {"period": 8, "frequencies": 2}}}
    network = tasks.build("mesh_segmentation", options).network()
    assert network.encoder.fourier.frequencies.tolist() == pytest.approx([2 * np.pi / 8, 2 * np.pi / 4])
