"""The task: patches, batches, losses, whole stacks, and that a small network learns."""

from typing import Any

import numpy as np
import pytest
import torch
from small_stacks import stack

from weft import tasks
from weft.config.loading import ConfigError
from weft.dense.folding import folded
from weft.engine.randomness import draw_generator
from weft.errors import WeftError
from weft.tasks.volume_segmentation.task import VolumeSegmentation

NARROW = {"name": "unet_xy_0pad", "base_channels": 2, "affine": True}
PATCH = [8, 32, 32]


def task(model: dict[str, Any] | None = None, loss: dict[str, Any] | None = None, **data: Any) -> VolumeSegmentation:
    options = {"model": model or NARROW, "loss": loss or {}, "data": {"patch": PATCH} | data}
    built = tasks.build("volume_segmentation", options)
    assert isinstance(built, VolumeSegmentation)
    return built


def drawn(built: VolumeSegmentation, event: dict[str, Any], number: int = 0, seed: int = 0) -> Any:
    sample = built.sample(event, (0, 0), labels=True)
    picked = built.pick(seed, number, 1)
    return built.draw(sample, picked[1] if picked else draw_generator(seed, number, 0))


def batch(built: VolumeSegmentation, count: int = 2) -> Any:
    return built.collate([drawn(built, stack(i), i) for i in range(count)])


def test_defaults_are_the_network_of_the_seed() -> None:
    built = tasks.build("volume_segmentation", {})
    with torch.device("meta"):
        network = built.network()
    assert sum(parameter.numel() for parameter in network.parameters()) == 17_729_902
    assert {schema.name for schema in built.makes} == {"labels", "probabilities"}


def test_a_batch_of_patches() -> None:
    made = batch(task())
    assert made.image.shape == (2, 1, *PATCH)
    assert made.image.dtype == torch.float32
    assert made.targets["labels"].shape == made.targets["cost"].shape == (2, *PATCH)
    assert len(made) == 2
    assert made.to(torch.device("cpu")).image.shape == (2, 1, *PATCH)


def test_a_network_that_shrinks_has_labels_of_its_output() -> None:
    built = task({"name": "unet_xy", "base_channels": 1}, patch=[30, 92, 100])
    made = batch(built, 1)
    assert made.image.shape == (1, 1, 30, 92, 100)
    assert made.targets["labels"].shape == (1, 2, 4, 12)
    outputs = built.network()(made)
    assert {name: out.shape for name, out in outputs.items()} == dict.fromkeys(
        ("main", "aux1", "aux2"), (1, 2, 2, 4, 12)
    )


def test_patches_depend_on_their_generator_only() -> None:
    augment = ["rotate", "elastic", "noise", "gamma", "bias_field", "flip"]
    first, again, other = (drawn(task(augment=augment), stack(0), n).arrays for n in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["image"], other["image"])


def test_normalisation_is_that_of_the_whole_stack() -> None:
    event = stack(1)
    built = task(normalisation=["min_max"], augment=[], sampling={"foreground": 0})
    image = event["image"][0].astype(np.float32)
    whole = (image - image.min()) / (image.max() - image.min())
    patch = drawn(built, event).arrays["image"][0]
    windows = np.lib.stride_tricks.sliding_window_view(whole, PATCH).reshape(-1, *PATCH)
    assert np.abs(windows - patch).max((1, 2, 3)).min() < 1e-5


def test_held_stacks_change_no_patch(tmp_path: Any) -> None:
    from weft.io.products import EventId
    from weft.io.store import EventStore
    from weft.io.volume_products import COST, LABELS, SPACING, image
    from weft.io.writer import StoreWriter

    events = [stack(i) for i in range(3)]
    with StoreWriter(tmp_path / "a.h5", [image("u2"), SPACING, LABELS, COST], provenance={}) as writer:
        for i, event in enumerate(events):
            writer.append(EventId(0, 0, i, i), {name.removeprefix("truth/"): value for name, value in event.items()})
    with EventStore.open({"truth": tmp_path / "a.h5"}) as store:
        read = [{"image": store["image"][i], "spacing": store["spacing"][i], "truth/labels": store["labels"][i],
                 "truth/cost": store["cost"][i]} for i in range(3)]  # fmt: skip
        holding, lazy = task(held=100), task(held=0)
        for n, i in enumerate((0, 1, 0, 2, 0)):
            expected = drawn(task(), events[i], n).arrays
            for built in (holding, lazy):
                got = drawn(built, read[i], n).arrays
                assert all(np.array_equal(expected[name], got[name]) for name in expected)
        assert len(holding._held._held) == 3
        assert len(lazy._held._held) == 1


def test_a_third_of_the_patches_lie_around_objects() -> None:
    event = stack(0, (8, 150, 150), balls=0)
    event["truth/labels"][4, 75, 75] = 1

    def hits(share: float) -> int:
        built = task(sampling={"foreground": share}, augment=[], normalisation=[])
        return sum(bool((drawn(built, event, n).arrays["labels"] == 1).any()) for n in range(90))

    assert 20 < hits(1 / 3) < 50
    assert hits(1) == 90
    assert hits(0) < 15


def test_patches_have_voxels_that_count() -> None:
    event = stack(0, (8, 100, 100), balls=1)
    event["truth/cost"][:] = 0
    event["truth/cost"][:, :40, :40] = 1
    plain = task(sampling={"foreground": 0}, normalisation=[])
    counts = [(drawn(plain, event, n).arrays["cost"] > 0).sum() for n in range(12)]
    assert min(counts) < 1000
    focused = task(sampling={"foreground": 0, "least_cost": 1000}, normalisation=[])
    assert min((drawn(focused, event, n).arrays["cost"] > 0).sum() for n in range(12)) >= 1000
    event["truth/cost"][:] = 0
    assert drawn(focused, event).arrays["cost"].max() == 0, "nothing to be found is no endless loop"


def test_the_buffer_turns_a_stack_once() -> None:
    built = task(sampling={"buffer": {"patches": 6, "epochs": 2}, "foreground": 0})
    event = stack(0, (8, 32, 32))  # as large as a patch: every patch is the whole turned stack
    buffers = [[drawn(built, event, 6 * epoch + n).arrays["labels"] for n in range(6)] for epoch in range(4)]
    assert all(np.array_equal(buffers[0][0], labels) for labels in buffers[0] + buffers[1])
    assert all(np.array_equal(buffers[2][0], labels) for labels in buffers[2] + buffers[3])
    assert not np.array_equal(buffers[0][0], buffers[2][0])
    assert (buffers[0][0] == -1).any(), "corners that were turned in do not count"


def test_weights_are_those_of_the_loss() -> None:
    built = task(loss={"terms": {"cross_entropy": 1, "dice": 1}})
    made = batch(built)
    terms = built.loss(built.network()(made), made)
    assert terms.keys() == built.weights(made, None).keys() == {
        f"{head}_{loss}" for head in ("main", "aux1", "aux2") for loss in ("cross_entropy", "dice")
    }  # fmt: skip
    assert {k: float(w) for k, (_, w) in terms.items()} == {k: float(w) for k, w in built.weights(made, None).items()}


def test_labels_without_a_class_are_named() -> None:
    built = task()
    made = batch(built)
    made.targets["labels"][0, 0, 0, 0] = 3
    with pytest.raises(WeftError, match=r"labels: class 3, but model\.classes"):
        built.loss(built.network()(made), made)


@pytest.mark.parametrize("size", [(12, 48, 56), (1, 40, 33), (5, 9, 80)])
def test_whole_stacks_of_any_size(size: tuple[int, int, int]) -> None:
    built = task(inference={"objects": {"min_voxels": 5}, "overlap": 0.5})
    model = built.network().eval()
    whole = built.collate([built.sample(stack(0, size), (0, 0), labels=False)])
    (made,) = built.predict(model, whole)
    assert made["probabilities"].shape == (2, *size)
    assert np.allclose(made["probabilities"].sum(0), 1, atol=1e-5)
    assert made["labels"].shape == made["instances"].shape == size
    assert len(made["objects"]) == made["instances"].max()
    assert {schema.name for schema in built.makes} == made.keys()


def test_a_window_as_large_as_the_stack_is_one_forward_pass() -> None:
    built = task(patch=[12, 48, 64], normalisation=["z_score"])
    model = built.network().eval()
    event = stack(2, (12, 48, 64))
    (made,) = built.predict(model, built.collate([built.sample(event, (0, 0), labels=False)]))
    image = torch.from_numpy(event["image"].astype(np.float32))[None]
    image = (image - image.mean()) / image.std(correction=0)
    with torch.no_grad():
        expected = folded(model.body)(image)["main"].softmax(1)[0].numpy()
    assert np.allclose(made["probabilities"], expected, atol=1e-4)


def test_stacks_are_resized_by_their_voxels_and_predictions_back() -> None:
    event = stack(2, (12, 48, 64))
    same = task(spacing=[0.3, 0.1, 0.1])
    model = same.network().eval()
    expected, got = (
        built.predict(model, built.collate([built.sample(event, (0, 0), labels=False)]))[0] for built in (task(), same)
    )
    assert np.array_equal(expected["probabilities"], got["probabilities"])
    coarse = task({**NARROW, "dropout": 0.1}, spacing=[0.3, 0.2, 0.2], augment=[], sampling={"foreground": 0},
                  patch=[12, 32, 32], inference={"uncertainty": {"passes": 2}})  # fmt: skip
    patch = drawn(coarse, event).arrays
    inside = patch["labels"][:, 4:-4] >= 0
    assert inside.all(), "24 of 32 rows are within the stack, which is half as large"
    assert (patch["labels"][:, :4] == -1).all()
    marked = (patch["labels"] == 1).sum() * 4
    assert marked == pytest.approx((event["truth/labels"] == 1).sum(), rel=0.1)
    (made,) = coarse.predict(coarse.network().eval(), coarse.collate([coarse.sample(event, (0, 0), labels=False)]))
    assert made["probabilities"].shape == (2, 12, 48, 64)
    assert made["uncertainty"].shape == (4, 12, 48, 64)
    assert np.allclose(made["probabilities"].sum(0), 1, atol=1e-5)


def test_validation_has_the_loss_of_the_prediction() -> None:
    built = task()
    model = built.network().eval()
    event = stack(3)
    whole = built.collate([built.sample(event, (0, 0), labels=True)])
    terms, (made,) = built.validate(model, whole)
    probability = np.take_along_axis(made["probabilities"], event["truth/labels"][None].astype(int), 0)[0]
    total, weight = terms["main_cross_entropy"]
    assert weight == event["truth/cost"].sum()
    assert total == pytest.approx(-(np.log(probability) * event["truth/cost"]).sum(), rel=1e-4)


def test_uncertainty_needs_dropout_and_is_four_maps() -> None:
    with pytest.raises(ConfigError, match="needs a network with dropout"):
        task(inference={"uncertainty": {}})
    with pytest.raises(ConfigError, match="uncertainty is of means of probabilities; mean is logits"):
        task({**NARROW, "dropout": 0.3}, inference={"uncertainty": {}, "mean": "logits"})
    built = task({**NARROW, "dropout": 0.3}, inference={"uncertainty": {"passes": 3}})
    (made,) = built.predict(built.network().eval(), built.collate([built.sample(stack(0), (0, 0), labels=False)]))
    assert made["uncertainty"].shape == (4, 12, 48, 56)
    assert {schema.name for schema in built.makes} == made.keys()
    assert made["uncertainty"][1].max() > 0


def test_channels() -> None:
    event = stack(0, channels=3)
    event["image"][1] //= 2
    built = task({**NARROW, "channels": 2}, channels=[-1, 1], normalisations=[["min_max"], [{"clip": [0, 1]}]])
    patch = drawn(built, event).arrays["image"]
    assert patch.shape == (2, *PATCH)
    assert patch[1].min() == patch[1].max() == 1
    with pytest.raises(ConfigError, match=r"model\.channels is 1, but data\.channels names 2"):
        task(channels=[0, 1])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": {"classes": [3, 2, 2]}}, r"model.classes is \[3, 2, 2\], but data.classes names 2"),
        ({"loss": {"loss_weight": [1]}}, "loss_weight has 1 values, but model.classes names 3"),
        ({"data": {"normalisations": [["min_max"], ["min_max"]]}}, "normalisations: 2 for 1 channels"),
        ({"data": {"classes": ["a", "a"]}}, "each name once"),
        ({"model": {"name": "unet_xyz"}}, "unet_xyz"),
        ({"data": {"augment": ["RX"]}}, "no augmentation 'RX'"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tasks.build("volume_segmentation", options)


def test_a_patch_that_the_network_does_not_take() -> None:
    built = task({"name": "unet_xy"}, patch=[48, 150, 148])
    with pytest.raises(WeftError, match=r"the nearest legal: \[48, 148, 148\] gives \[20, 60, 60\]"):
        _ = built.patch
    wrong = task({"name": "unet_xy"}, patch=[48, 148, 148], size_out=[20, 64, 64])
    with pytest.raises(WeftError, match=r"gives \[20, 60, 60\], not \[20, 64, 64\]"):
        _ = wrong.patch


def test_auto_patch_fits_its_memory() -> None:
    built = task(patch="auto", auto_patch={"memory": 0.05, "most": [12, 64, 64]})
    assert built.size_law.legal(built.patch[0])
    assert built.patch[0][0] <= 12
    assert built.window == built.patch[0]


def test_a_small_network_learns_a_stack() -> None:
    """Overfit: the balls of one stack, Dice above 0.9."""
    torch.manual_seed(0)
    built = task({**NARROW, "base_channels": 4, "classes": [2]}, {"terms": {"cross_entropy": 1, "dice": 1}},
                 normalisation=["z_score"])  # fmt: skip
    event = stack(5)
    network = built.network().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60)  # at one rate the last step is a matter of chance
    for step in range(60):
        made = built.collate([drawn(built, event, 2 * step + i) for i in range(2)])
        optimizer.zero_grad()
        terms = built.loss(network(made), made)
        torch.stack([total / weight for total, weight in terms.values()]).sum().backward()
        optimizer.step()
        rates.step()
    (predicted,) = built.predict(network.eval(), built.collate([built.sample(event, (0, 0), labels=False)]))
    truth = event["truth/labels"] == 1
    found = predicted["labels"] == 1
    assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.9
