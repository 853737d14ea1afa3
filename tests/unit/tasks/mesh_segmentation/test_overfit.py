"""A small network learns two simulated towns by heart: mean F1 above 0.98 (spec §17)."""

from typing import Any

import numpy as np
import pytest
import torch

from weft import tasks
from weft.io.mesh_products import FACE_PIXELS
from weft.io.products import Ragged
from weft.meshes.surface import face_surface
from weft.meshes.texture import textured_pixels
from weft.metrics.segmentation import macro_f1
from weft.simulation.towns.settings import TownSettings
from weft.simulation.towns.town import simulate_town
from weft.tasks.mesh_segmentation.network import MeshNetwork

OPTIONS: dict[str, Any] = {
    "model": {"width": 32, "blocks": 2, "dropout": 0.0, "texture": {"width": 16, "dropout": 0.0}},
    "loss": {"class_weight": "inverse_offset"},
    "data": {
        "clusters": {"faces": 64, "per_sample": 12, "method": "split", "recluster": False},
        "pixels": 8,
        "augment": None,
    },
}
SETTINGS = {
    "edge": 30,
    "resolution": 8,
    "textures": {"gsd": 0.3},
    "ground": {"water": 1, "water_share": [0.35, 0.45]},
    "vehicles": {"cars": 60, "boats": 200},
}
STEPS, RATE = 100, 6e-3


def town(index: int) -> dict[str, Any]:
    """A small tile as an event."""
    settings = TownSettings.model_validate(SETTINGS)
    made = simulate_town(settings, 1, index)
    surface = made.surface
    sizes = [texture.shape for texture in made.textures]
    found = textured_pixels(surface.coordinates.reshape(-1, 6), surface.texture, sizes, made.textures.__getitem__)
    pixels = np.zeros(len(found.rgb), FACE_PIXELS.dtype)
    pixels["r"], pixels["g"], pixels["b"] = found.rgb.T
    pixels["w1"], pixels["w2"] = found.weights.T
    return {
        "vertices": surface.vertices,
        "faces": surface.faces.astype(np.int32),
        "face_surface": face_surface(surface.vertices, surface.faces),
        "face_pixels": Ragged(pixels, found.offsets),
        "truth/face_labels": (surface.labels - 1).astype(np.int16)[:, None],
    }


class Towns(list[dict[str, Any]]):
    def locate(self, index: int) -> tuple[int, int]:
        return 0, index


@pytest.mark.parametrize("block", ["local_global", pytest.param("two_stage", marks=pytest.mark.slow)])
def test_two_towns_are_learned_by_heart(block: str) -> None:
    towns = Towns(town(index) for index in range(2))
    task = tasks.build("mesh_segmentation", OPTIONS | {"model": OPTIONS["model"] | {"block": block}})
    torch.manual_seed(0)
    network = task.network()
    assert isinstance(network, MeshNetwork)
    task.prepare(network, task.measure(towns))  # type: ignore[arg-type]
    samples = [task.sample(event, (0, k), labels=True) for k, event in enumerate(towns)]  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS, pct_start=0.1)
    network.train()
    for step in range(STEPS):
        drawn = []
        for number in (2 * step, 2 * step + 1):
            picked = task.pick(0, number, len(towns))
            assert picked is not None
            drawn.append(task.draw(samples[picked[0]], picked[1]))
        batch = task.collate(drawn)
        total, weight = task.loss(network(batch), batch)["cross_entropy"]
        optimizer.zero_grad()
        (total / weight).backward()  # type: ignore[union-attr, no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    network.eval()
    confusion = np.zeros((6, 6))
    for products, event in zip(task.predict(network, task.collate(samples)), towns, strict=True):
        true = event["truth/face_labels"][:, 0]
        known = true >= 0
        np.add.at(confusion, (true[known], products["face_labels"][known, 0]), 1)
    assert (confusion.sum(1) > 0).all(), "both towns together have every class"
    assert float(macro_f1(confusion)) > 0.98
