"""Simulated wire planes through the candidate search: what truly was at three live pixels is always a candidate."""

import numpy as np
import pytest

from weft.io.wire_products import PIXELS
from weft.simulation.event import simulate_event
from weft.simulation.settings import SimulationSettings
from weft.triplets.build import build_triplets
from weft.triplets.options import TripletOptions
from weft.triplets.truth import label_triplets

CELL = ("row", "wire_0", "wire_1", "wire_2")


@pytest.mark.parametrize("dead", [(0.0, 0.0, 0.0), (0.18, 0.04, 0.09)])
def test_true_cells_are_candidates(dead):
    settings = SimulationSettings.parse({"box": {"voxels": 96}, "wires": {"detector": "toy", "dead": dead}})
    wires, cells_seen = settings.wires, 0
    for index in range(3):
        event = simulate_event(settings, 11, index).wires
        p = event.pixels
        pixels = np.zeros(len(p.value), PIXELS.dtype)
        pixels["plane"], pixels["row"], pixels["wire"], pixels["charge"] = p.plane, p.row, p.col, p.value
        made = build_triplets(wires.built, pixels, (wires.dead_wires,), TripletOptions())

        live = np.zeros((3, 272, 351), bool)
        live[p.plane, p.row, p.col] = True
        assert (event.deposits["electrons"] >= 0).all()
        deposits = event.deposits[np.all([event.deposits[name] >= 0 for name in CELL], axis=0)]
        deposits = deposits[deposits["electrons"] > 0]
        seen = np.stack([live[k, deposits["row"], deposits[f"wire_{k}"]] for k in range(3)], 1)
        gone = np.stack([wires.dead_wires[k][deposits[f"wire_{k}"]] for k in range(3)], 1)
        assert not (seen & gone).any()
        # Three live pixels, or two and a dead wire.
        expected = deposits[(seen | gone).all(1) & (gone.sum(1) <= 1)]
        cells = set(expected[list(CELL)].tolist())
        found = np.stack([made.pixels["row"][made.triplets["pixel_0"]]] + [
            made.pixels["wire"][made.triplets[f"pixel_{k}"]] for k in range(3)
        ], 1)  # fmt: skip
        assert cells <= set(map(tuple, found.tolist()))
        cells_seen += len(cells)

        truth = label_triplets(made.pixels, made.triplets, event.deposits, 0)
        good = truth["good"] == 1
        assert set(map(tuple, found[good].tolist())) == cells
        electrons = expected["electrons"].astype(float).sum()
        assert truth["electrons"].sum(dtype=float) == pytest.approx(electrons, rel=1e-5)
        assert 0.02 < good.mean() < 0.98
    assert cells_seen > 1000
