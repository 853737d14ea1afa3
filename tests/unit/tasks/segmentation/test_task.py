from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from weft import tasks
from weft.config.loading import ConfigError
from weft.engine.randomness import draw_generator
from weft.engine.task import Sample
from weft.errors import WeftError
from weft.io.products import META, PARTICLES
from weft.tasks.segmentation.network import Logits, classify
from weft.tasks.segmentation.task import Segmentation

SMALL = {"filters": 4, "depth": 3, "reps": 1}


def task(**options: Any) -> Segmentation:
    built = tasks.build("segmentation", {"model": SMALL, **options})
    assert isinstance(built, Segmentation)
    return built


def event(seed: int, size: int = 300) -> dict[str, np.ndarray]:
    """Straight lines of distinct charge: class 1 deposits 2 MeV a voxel, class 0 deposits 0.2 MeV."""
    rng = np.random.default_rng(seed)
    coords, charge, semantics = [], [], []
    for line in range(6):
        steps = np.arange(size // 6)[:, None] * rng.normal(size=3)
        coords.append(np.floor(rng.uniform(10, 50, 3) + steps).astype(np.int32))
        charge.append(np.full((len(steps), 1), 2.0 if line % 2 else 0.2, np.float32))
        semantics.append(np.full((len(steps), 1), line % 2, np.int8))
    voxels, first = np.unique(np.concatenate(coords), axis=0, return_index=True)
    return {
        "voxels": voxels,
        "charge": np.concatenate(charge)[first],
        "truth/semantics": np.concatenate(semantics)[first],
    }


def samples(task: Segmentation, seeds: range) -> list[Sample]:
    return [task.sample(event(seed), (0, seed), labels=True) for seed in seeds]


def test_defaults_are_the_seed_configuration() -> None:
    network = tasks.build("segmentation", {}).network()
    assert sum(parameter.numel() for parameter in network.parameters()) == 10_956_229


def test_unknown_options_are_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'model.filter' \(did you mean 'filters'\?\)"):
        tasks.build("segmentation", {"model": {"filter": 3}})
    with pytest.raises(ConfigError, match=r"no task 'segmentaton' \(did you mean 'segmentation'\?\)"):
        tasks.load("segmentaton")


def test_collate_numbers_events_and_keeps_empty_ones() -> None:
    built = task()
    empty = Sample({"coords": np.zeros((0, 3), np.int32), "charge": np.zeros((0, 1), np.float32)}, (0, 1))
    full = built.sample(event(0), (0, 0), labels=False)
    batch = built.collate([full, empty, full])
    n = len(full.arrays["coords"])
    assert batch.offsets.tolist() == [0, n, n, 2 * n]
    assert batch.coords[:, 0].unique().tolist() == [0, 2]
    assert batch.coords.dtype == torch.int32
    assert batch.targets == {}


@pytest.mark.parametrize(("charge", "feature"), [(0.01, -1.0), (20.0, 1.0), (np.sqrt(0.2), 0.0), (1e-6, -1.0)])
def test_log_feature(charge: float, feature: float) -> None:
    sample = Sample({"coords": np.zeros((1, 3), np.int32), "charge": np.array([[charge]], np.float32)}, (0, 0))
    assert task().collate([sample]).features.item() == pytest.approx(feature, abs=1e-6)
    assert task(data={"charge": "linear"}).collate([sample]).features.item() == pytest.approx(charge)


def test_a_view_keeps_distances_and_labels() -> None:
    built = task()
    sample = samples(built, range(1))[0]
    seen = set()
    for t in range(40):
        view = built.draw(sample, draw_generator(0, t, 0)).arrays
        steps, moved = np.diff(sample.arrays["coords"], axis=0), np.diff(view["coords"], axis=0)
        np.testing.assert_array_equal(np.abs(steps).sum(1), np.abs(moved).sum(1))
        np.testing.assert_array_equal(view["semantics"], sample.arrays["semantics"])
        ratio = view["charge"] / sample.arrays["charge"]
        np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-6)
        seen.add(moved.tobytes())
    assert len(seen) > 20  # of 48 orientations
    np.testing.assert_array_equal(sample.arrays["coords"], event(0)["voxels"])


def test_without_augmentation_a_view_is_the_sample() -> None:
    built = task(data={"flip": False, "rotate": False, "shift": 0, "charge_jitter": 0.0})
    sample = samples(built, range(1))[0]
    view = built.draw(sample, draw_generator(0, 0, 0))
    assert all(view.arrays[name] is sample.arrays[name] for name in sample.arrays)


def test_a_prediction_does_not_depend_on_the_batch() -> None:
    built = task()
    network = built.network().eval()
    together = samples(built, range(4))
    with torch.inference_mode():
        batched = built.predict(network, built.collate(together))
        single = [built.predict(network, built.collate([sample]))[0] for sample in together]
    for a, b in zip(batched, single, strict=True):
        np.testing.assert_array_equal(a["semantics"], b["semantics"])
        np.testing.assert_allclose(a["semantic_scores"], b["semantic_scores"], atol=1e-6)
    for products, schema in ((batched[0], schema) for schema in built.makes):
        schema.conform(products[schema.name], "prediction")


def test_it_can_learn_a_handful_of_events_by_heart() -> None:
    torch.manual_seed(0)
    built = task()
    network, batch = built.network(), built.collate(samples(built, range(3)))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        total, weight = built.loss(network(batch), batch)["semantic"]
        (total / weight).backward()
        optimizer.step()
    right = (
        np.concatenate([p["semantics"][:, 0] for p in built.predict(network, batch)])
        == batch.targets["semantics"].numpy()
    )
    assert right.mean() > 0.99


def test_ghosts_come_first_and_probabilities_add_up() -> None:
    semantic = torch.tensor([[5.0, 0, 0, 0, 0], [0, 5.0, 0, 0, 0]])
    classes, scores = classify(Logits(semantic, torch.tensor([[3.0, 0.0], [0.0, 1.0]])))
    assert classes.tolist() == [0, 5]
    torch.testing.assert_close(scores.sum(1), torch.ones(2))
    assert scores[1, 5].item() == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert scores[0, 0].item() == pytest.approx(np.exp(5) / (np.exp(5) + 4) / (1 + np.exp(-3.0)))
    built = task(model={**SMALL, "ghost": True})
    assert built.makes[1].dtype == np.float32
    assert len(built.makes[1].columns) == 6
    batch = built.collate(samples(built, range(2)))
    terms, products = built.validate(built.network(), batch)
    assert set(terms) == {"semantic", "ghost"}
    assert products[0]["semantic_scores"].shape[1] == 6


def test_voxels_near_label_points_weigh_more() -> None:
    built = task(loss={"upweight_points": True, "point_radius": 3.0})
    meta, particles = np.zeros(1, META.dtype), np.zeros(1, PARTICLES.dtype)
    for axis in "xyz":
        meta[f"size_{axis}"], meta[f"n{axis}"] = 0.3, 100
    particles["shape"], particles["num_voxels"] = 0, 5
    voxels = np.array([[0, 0, 0], [3, 0, 0], [4, 0, 0], [90, 0, 0]], np.int32)
    products = {"voxels": voxels, "charge": np.ones((4, 1), np.float32)}
    truth = {"truth/semantics": np.zeros((4, 1), np.int8), "truth/particles": particles, "truth/meta": meta}
    batch = built.collate([built.sample(products | truth, (0, 0), labels=True)])
    assert batch.targets["near"].tolist() == [True, True, False, False]
    assert built.labels == ("semantics", "particles", "meta")
    logits = Logits(torch.zeros(4, 5), None)
    total, weight = built.loss(logits, batch)["semantic"]
    assert (total / weight).item() == pytest.approx(np.log(5))


def test_the_task_is_importable_without_torch() -> None:
    import subprocess
    import sys

    # scipy looks into sys.modules for torch, so a finder that refuses it is truer than a None there.
    code = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "lightning"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoTorch())
from weft import tasks
task = tasks.build("segmentation", {})
task.makes, task.baseline(), task.summary
import weft.engine.evaluate, weft.tasks.segmentation.score, weft.tasks.segmentation.figures
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_validation_of_a_balanced_loss_does_not_depend_on_its_batches() -> None:
    built = task(loss={"balance": True})
    network, parts = built.network().eval(), samples(built, range(3))
    batches = [built.collate([sample]) for sample in parts]
    counts = sum(built.counts(batch) for batch in batches)

    def pooled(batches: list[Any]) -> float:
        terms = [built.validate(network, batch, counts)[0]["semantic"] for batch in batches]
        return float(sum(total.detach() for total, _ in terms) / sum(weight for _, weight in terms))

    assert pooled(batches) == pytest.approx(pooled([built.collate(parts)]), rel=1e-6)


def test_deploy_refuses_other_options_than_those_of_the_training(tmp_path: Path) -> None:
    from weft.engine.predict import require_same_options

    trained = task().options.model_dump(mode="json")
    require_same_options(task(loss={"balance": True}), trained, tmp_path / "model.ckpt")
    require_same_options(task(data={"flip": False, "shift": 0}), trained, tmp_path / "model.ckpt")
    with pytest.raises(WeftError, match=r"model\.ckpt: trained with data\.charge = log, deploy asks for linear"):
        require_same_options(task(data={"charge": "linear"}), trained, tmp_path / "model.ckpt")


def test_a_model_older_than_an_option_was_trained_with_its_default(tmp_path: Path) -> None:
    from weft.engine.predict import require_same_options

    older = task().options.model_dump(mode="json")
    del older["data"]["charge"]
    require_same_options(task(), older, tmp_path / "model.ckpt")
    with pytest.raises(WeftError, match=r"model\.ckpt: trained with data\.charge = log, deploy asks for linear"):
        require_same_options(task(data={"charge": "linear"}), older, tmp_path / "model.ckpt")
    gone = {**older, "model": {**older["model"], "gone": 1}}
    with pytest.raises(WeftError, match=r"model\.ckpt: trained with data\.charge = None, deploy asks for log"):
        require_same_options(task(), gone, tmp_path / "model.ckpt")
