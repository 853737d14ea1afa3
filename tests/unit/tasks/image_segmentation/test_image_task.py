"""The task: views, batches, losses, whole pictures, and that a small network learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_images import CLASSES, image

from weft import tasks
from weft.config.loading import ConfigError
from weft.config.starting import Init
from weft.engine.randomness import draw_generator
from weft.engine.starting import initialise
from weft.errors import WeftError
from weft.tasks.image_segmentation.network import SegmentationNetwork
from weft.tasks.image_segmentation.task import ImageSegmentation

SMALL = {"backbone": "light", "decoder_channels": [12, 10, 8, 8, 8]}


def task(model: dict[str, Any] | None = None, loss: dict[str, Any] | None = None, **data: Any) -> ImageSegmentation:
    options = {"model": model or SMALL, "loss": loss or {}, "data": {"classes": list(CLASSES)} | data}
    built = tasks.build("image_segmentation", options)
    assert isinstance(built, ImageSegmentation)
    return built


def drawn(built: ImageSegmentation, event: dict[str, Any], number: int = 0) -> Any:
    return built.draw(built.sample(event, (0, 0), labels=True), draw_generator(0, number, 0))


def batch(built: ImageSegmentation, count: int = 2) -> Any:
    return built.collate([drawn(built, image(i), i) for i in range(count)])


def predicted(built: ImageSegmentation, model: torch.nn.Module, event: dict[str, Any]) -> dict[str, np.ndarray]:
    (made,) = built.predict(model, built.collate([built.sample(event, (0, 0), labels=False)]))
    return made


@pytest.fixture(scope="module")
def network() -> Any:
    """One whose statistics have seen pictures."""
    torch.manual_seed(0)
    built = task()
    model = built.network().train()
    for k in range(3):
        model(built.collate([drawn(built, image(4 * k + i), i) for i in range(4)]))
    return model.eval()


def test_views_are_normalised_and_masks_go_with_them() -> None:
    built = task(augment={"horizontal_flip": False})
    view = drawn(built, image())
    full = image()["picture"] / np.float32(255)
    mean, std = (np.array(v, np.float32)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert np.allclose(view.arrays["picture"], (full - mean) / std, atol=1e-5)
    assert np.array_equal(view.arrays["mask"], image()["truth/mask"])
    mirrored = [drawn(task(), image(), n).arrays for n in range(12)]
    for arrays in mirrored:
        same = np.array_equal(arrays["mask"], image()["truth/mask"])
        expected = view.arrays["picture"] if same else view.arrays["picture"][..., ::-1]
        assert np.allclose(arrays["picture"], expected)
    assert len({arrays["mask"].tobytes() for arrays in mirrored}) == 2


@pytest.mark.parametrize(
    ("data", "size"),
    [
        ({}, (32, 48)),
        ({"size": [16, 24]}, (16, 24)),
        ({"size": [40, 40], "fit": "centre_crop"}, (40, 40)),
        ({"crop": [20, 60], "crop_padding": 8}, (20, 60)),
        ({"size": [64, 96], "crop": [32, 32]}, (32, 32)),
    ],
)
def test_sizes_of_views(data: dict[str, Any], size: tuple[int, int]) -> None:
    made = batch(task(**data))
    assert made.pictures.shape == (2, 3, *size)
    assert made.targets["mask"].shape == (2, *size)
    assert made.targets["mask"].max() < 3
    assert made.to(torch.device("cpu")).pictures.dtype == torch.float32


def test_images_of_different_sizes_need_a_crop() -> None:
    built = task()
    samples = [drawn(built, image(0, size)) for size in ((32, 48), (32, 40))]
    with pytest.raises(WeftError, match=r"32 × 40, 32 × 48\): give data.crop or data.size"):
        built.collate(samples)


def test_views_depend_on_their_generator_only() -> None:
    built = task(crop=[20, 20], crop_padding=4, augment={"brightness": 0.2, "hue": 0.1, "contrast": 0.3})
    first, again, other = (drawn(built, image(), n).arrays for n in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["picture"], other["picture"])


def test_jitter_keeps_floats_beyond_full_scale() -> None:
    """Prediction reads them as they are, so training must not flatten them to 1."""
    built = task(mean=[0, 0, 0], std=[1, 1, 1], augment={"horizontal_flip": False, "brightness": 0.2})
    whole = image()
    counts = whole | {"picture": whole["picture"].astype(np.float32) * 16}
    for number in range(5):
        ratio = drawn(built, counts, number).arrays["picture"] / counts["picture"]
        assert ratio == pytest.approx(ratio[0, 0, 0], rel=1e-5)
        assert 0.8 <= ratio[0, 0, 0] <= 1.2


def test_a_dark_part_of_floats_beyond_full_scale_is_not_cut_either() -> None:
    picture = np.full((3, 32, 64), 0.99, np.float32)
    picture[:, :, -1] = 4095
    event = {"picture": picture, "truth/mask": np.zeros((32, 64), np.int16)}
    built = task(mean=[0, 0, 0], std=[1, 1, 1], crop=[16, 16], augment={"brightness": 0.2})
    views = [drawn(built, event, number).arrays["picture"] for number in range(20)]
    assert any(1.05 < view.max() < 1.2 for view in views)
    within = [
        drawn(built, event | {"picture": np.minimum(picture, 1)}, number).arrays["picture"] for number in range(20)
    ]
    assert max(view.max() for view in within) == 1


@pytest.mark.parametrize("backbone", ["light", "resnet10", "efficientnet-b0"])
def test_backbones_by_name(backbone: str) -> None:
    built = task({**SMALL, "backbone": backbone})
    with torch.device("meta"):
        model = built.network()
    layers = built.layers(model)
    assert layers[-1][0] is model.body.segmentation_head
    named = [id(p) for layer in layers for module in layer for p in module.parameters()]
    assert len(named) == len(set(named))
    assert set(map(id, model.body.decoder.parameters())) <= set(named)
    first = next(iter(model.body.encoder.parameters()))
    assert any(parameter is first for module in layers[0] for parameter in module.parameters())


@pytest.mark.parametrize(("backbone", "parameters"), [("resnet18", 11_689_512), ("resnet34", 21_797_672)])
def test_resnets_are_those_of_torchvision(backbone: str, parameters: int) -> None:
    """Their weights fit by name: `weft fetch resnet34`; parameters as torchvision's documentation counts them."""
    built = task({"backbone": backbone})
    with torch.device("meta"):
        state = built.network().body.encoder.state_dict()
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert "layer2.0.downsample.0.bias" not in state
    assert state["layer4.1.conv2.weight"].shape == (512, 512, 3, 3)
    learned = [value.numel() for name, value in state.items() if name.endswith((".weight", ".bias"))]
    assert sum(learned) == parameters - 513_000, "without the last layer, of 1000 classes"


def test_an_encoder_starts_from_weights_of_torchvision(tmp_path: Path) -> None:
    """A file with what theirs have: a last layer, and no numbers of batches."""
    built = task({**SMALL, "backbone": "resnet18"})
    network = built.network()
    names = {name: value for name, value in network.body.encoder.state_dict().items() if "num_batches" not in name}
    theirs = {name: torch.full_like(value, 0.25) for name, value in names.items()}
    theirs |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(theirs, tmp_path / "resnet18.pth")
    path = str(tmp_path / "resnet18.pth")
    start = Init.model_validate({"from": path, "part": "all", "except": ["body.encoder.fc", "*.num_batches_tracked"]})
    initialise(network, {"body.encoder": start}, {path: path})
    assert (network.body.encoder.layer4[1].conv2.weight == 0.25).all()
    assert (network.body.encoder.bn1.running_var == 0.25).all()
    assert not (network.body.decoder.blocks[0].convs.conv_0.conv.weight == 0.25).any()


def test_pictures_of_any_size(network: Any) -> None:
    built = task()
    made = built.collate([drawn(built, image(0, (33, 50)))])
    assert network(made).shape == (1, 3, 33, 50)
    for size in ((20, 30), (32, 64), (70, 33)):
        products = predicted(built, network, image(1, size))
        assert products["mask"].shape == size
        assert products["mask_probabilities"].sum(0) == pytest.approx(1, abs=1e-5)
        assert {schema.name for schema in built.makes} == products.keys()


def test_one_window_is_one_forward_pass(network: Any) -> None:
    built = task(augment={"horizontal_flip": False})
    event = image(3, (32, 64))
    with torch.no_grad():
        expected = network(built.collate([drawn(built, event)])).softmax(1)[0].numpy()
    assert predicted(built, network, event)["mask_probabilities"] == pytest.approx(expected, abs=1e-4)


def test_windows_of_a_large_picture_agree_with_the_whole(network: Any) -> None:
    event = image(3, (96, 128))
    whole = predicted(task(), network, event)["mask_probabilities"]
    windows = task(inference={"window": [64, 64], "overlap": 0.5, "batch_size": 3})
    parts = predicted(windows, network, event)["mask_probabilities"]
    assert parts.shape == whole.shape
    assert not np.array_equal(parts, whole)
    assert np.abs(parts - whole).mean() < 0.05


def test_resized_in_both_directions(network: Any) -> None:
    event = image(3, (30, 50))
    made = predicted(task(size=[64, 96]), network, event)
    assert made["mask"].shape == (30, 50)
    assert made["mask_probabilities"].sum(0) == pytest.approx(1, abs=1e-4)
    same = predicted(task(size=[30, 50]), network, event)
    assert np.array_equal(same["mask"], predicted(task(), network, event)["mask"])


def test_only_the_middle_is_predicted(network: Any) -> None:
    event = image(3, (48, 64))
    made = predicted(task(size=[32, 32], fit="centre_crop"), network, event)
    inside = made["mask"] >= 0
    assert inside.sum() == 32 * 32
    assert inside[8:40, 16:48].all()
    assert made["mask_probabilities"][:, ~inside] == pytest.approx(1 / 3)
    alone = {"picture": event["picture"][:, 8:40, 16:48]}
    assert np.array_equal(made["mask"][8:40, 16:48], predicted(task(), network, alone)["mask"])


def test_refinement_is_what_it_says(network: Any) -> None:
    from weft.images.crf import refined
    from weft.images.crf_options import CrfOptions
    from weft.images.morphology import closed, opened

    event = image(3)
    plain = predicted(task(), network, event)
    made = predicted(task(inference={"crf": {"radius": 2, "iterations": 2}}), network, event)
    by_hand = refined(
        plain["mask_probabilities"], event["picture"] / np.float32(255), CrfOptions(radius=2, iterations=2)
    )
    assert made["mask_probabilities"] == pytest.approx(by_hand, abs=1e-5)
    clean = predicted(task(inference={"opening": 2, "closing": 1}), network, event)
    assert np.array_equal(clean["mask"], opened(closed(plain["mask"], 1), 2, plain["mask_probabilities"]))
    assert np.array_equal(clean["mask_probabilities"], plain["mask_probabilities"])


def test_losses_by_hand() -> None:
    built = task(loss={"terms": {"cross_entropy": 0.5, "dice": 0.5, "focal": 2}, "focal_gamma": 2})
    made = batch(built, 1)
    mask = torch.tensor([[[0, 1], [1, -1]]], dtype=torch.int16)
    made.targets["mask"] = mask
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1, 0, 1] = 2.0
    p = logits.softmax(1)[0]
    right = torch.stack([p[0, 0, 0], p[1, 0, 1], p[1, 1, 0]])
    terms = built.loss(logits, made)
    assert {name: float(weight) for name, (_, weight) in terms.items()} == {"cross_entropy": 3, "dice": 2, "focal": 3}
    assert float(terms["cross_entropy"][0]) == pytest.approx(0.5 * float(-right.log().sum()), rel=1e-5)
    assert float(terms["focal"][0]) == pytest.approx(2 * float(-((1 - right) ** 2 * right.log()).sum()), rel=1e-4)
    seen = p.reshape(3, 4)[:, :3]  # the fourth pixel has no label
    dice = [(2 * float(o) + 1) / (float(s) + n + 1) for o, s, n in (
        (seen[0, 0], seen[0].sum(), 1), (seen[1, 1] + seen[1, 2], seen[1].sum(), 2)
    )]  # fmt: skip
    assert float(terms["dice"][0]) == pytest.approx(0.5 * (2 - sum(dice)), rel=1e-5)
    weights = built.weights(made, None)
    assert {k: float(w) for k, w in weights.items()} == {k: float(w) for k, (_, w) in terms.items()}


def test_weights_of_classes_and_empty_masks() -> None:
    built = task(loss={"class_weights": [1, 3, 2]})
    made = batch(built, 1)
    made.targets["mask"] = torch.tensor([[[0, 1], [2, -1]]])
    (total, weight) = built.loss(torch.zeros(1, 3, 2, 2), made)["cross_entropy"]
    assert float(weight) == 6
    assert float(total) == pytest.approx(6 * np.log(3), rel=1e-5)
    made.targets["mask"] = torch.full((1, 2, 2), -1)
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    terms = task(loss={"terms": {"cross_entropy": 1, "dice": 1, "focal": 1}}).loss(logits, made)
    assert all(float(total.detach()) == float(weight) == 0 for total, weight in terms.values())
    sum(total for total, _ in terms.values()).backward()  # type: ignore[union-attr]
    assert torch.isfinite(logits.grad).all()


def test_validation_has_the_loss_of_the_prediction(network: Any) -> None:
    built = task()
    event = image(5)
    whole = built.collate([built.sample(event, (0, 0), labels=True)])
    terms, (made,) = built.validate(network, whole)
    labelled = event["truth/mask"] >= 0
    own = np.take_along_axis(made["mask_probabilities"], np.maximum(event["truth/mask"], 0)[None].astype(int), 0)[0]
    total, weight = terms["cross_entropy"]
    assert weight == labelled.sum()
    assert total == pytest.approx(-np.log(own[labelled]).sum(), rel=1e-4)


def test_a_label_without_a_class_is_named_before_anything_is_learned_from_it(network: Any) -> None:
    built = task()
    event = image()
    event["truth/mask"][5, 5] = 7
    sample = built.sample(event, (0, 0), labels=True)
    said = r"class 7, but data\.classes names 3: 0 ground, 1 disc, 2 bar"
    with pytest.raises(WeftError, match=said):
        built.draw(sample, np.random.default_rng(0))
    with pytest.raises(WeftError, match=said):
        built.validate(network, built.collate([sample]))
    with pytest.raises(WeftError, match=said):
        built.baseline().fit([event], 0)


class Named(dict):
    """An event of a store whose masks name their classes."""

    def codes(self, product: str) -> dict[str, dict[int, str]]:
        return {"class": {0: "ground", 1: "ring", 2: "bar"}} if product == "truth/mask" else {}


def test_masks_with_other_classes_are_refused() -> None:
    with pytest.raises(WeftError, match=r"classes ground, ring, bar; data\.classes names ground, disc, bar"):
        task().sample(Named(image()), (0, 0), labels=True)
    assert "mask" not in task().sample(Named(image()), (0, 0), labels=False).arrays


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": {"backbone": "resnet43"}}, "no backbone .resnet43."),
        ({"data": {"mean": [0.5]}}, "std: 3 values, mean has 1"),
        ({"data": {"inference": {"window": [100, 100]}}}, "multiples of 32"),
        ({"data": {"crop_padding": 4}}, "crop_padding"),
        ({"data": {"classes": ["a", "a"]}}, "each name once"),
        ({"loss": {"class_weights": [1, 2, 3]}}, "3 for 2 classes"),
        ({"loss": {"terms": {"dyce": 1}}}, "dyce"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tasks.build("image_segmentation", options)


def test_grey_pictures() -> None:
    built = task(mean=[0.5], std=[0.25])
    made = built.collate([drawn(built, image(0, channels=1))])
    assert made.pictures.shape == (1, 1, 32, 48)
    assert drawn(task(), image(0, channels=1)).arrays["picture"].shape == (3, 32, 48)


def test_a_small_network_learns_its_pictures() -> None:
    """Overfit: mean IoU above 0.98 on each of two pictures."""
    torch.manual_seed(0)
    built = task({"backbone": "light", "decoder_channels": [24, 20, 16, 16, 16]},
                 {"terms": {"cross_entropy": 1, "dice": 1}}, augment={"horizontal_flip": False})  # fmt: skip
    events = [image(1), image(2)]
    network = built.network().train()
    assert isinstance(network, SegmentationNetwork)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 150)
    made = built.collate([drawn(built, event) for event in events])
    for _ in range(150):
        optimizer.zero_grad()
        torch.stack([total / weight for total, weight in built.loss(network(made), made).values()]).sum().backward()
        optimizer.step()
        cosine.step()
    network.eval()
    for event in events:
        mask, truth = predicted(built, network, event)["mask"], event["truth/mask"]
        seen = truth >= 0
        iou = [
            ((mask == c) & (truth == c) & seen).sum() / (((mask == c) | (truth == c)) & seen).sum() for c in range(3)
        ]
        assert np.mean(iou) > 0.98
