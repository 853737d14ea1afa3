"""Counts by hand, and what must hold of every event."""

import numpy as np
import pandas as pd
import pytest

from weft.io.deposits import WIRE_DEPOSITS
from weft.io.wire_products import DEAD_WIRES, PIXELS, TRIPLET_ROWS, TRIPLETS
from weft.metrics.scores import pool
from weft.tasks.triplets.score import STATES, metrics, score_event


def deposits(*rows):
    """(row, wires, particle, class, energy)"""
    table = np.zeros(len(rows), WIRE_DEPOSITS.dtype)
    for k, (row, wires, particle, kind, energy) in enumerate(rows):
        table["row"][k], table["particle"][k], table["class"][k], table["energy"][k] = row, particle, kind, energy
        for p in range(3):
            table[f"wire_{p}"][k] = wires[p]
    table["electrons"] = 100
    return table


def pixels(*rows):
    """(plane, row, wire, dead)"""
    table = np.zeros(len(rows), PIXELS.dtype)
    for k, (plane, row, wire, dead) in enumerate(rows):
        table["plane"][k], table["row"][k], table["wire"][k], table["dead"][k] = plane, row, wire, dead
        table["charge"][k] = 0 if dead else 50
    return table


def triplets(*rows):
    table = np.zeros(len(rows), TRIPLETS.dtype)
    for p in range(3):
        table[f"pixel_{p}"] = [row[p] for row in rows]
    return table


def triplet_rows(*rows):
    """(row, live pixels of each plane, found, kept)"""
    table = np.zeros(len(rows), TRIPLET_ROWS.dtype)
    for k, (row, live, found, kept) in enumerate(rows):
        table["row"][k], table["found"][k], table["kept"][k] = row, found, kept
        for p in range(3):
            table[f"live_{p}"][k] = live[p]
    return table


@pytest.fixture
def event():
    """Row 4: wires 1, 2, 3 live; row 5: wires 1, 2 live and 7 of plane 2 dead. One ghost in row 4."""
    table = pixels((0, 4, 1, 0), (0, 5, 1, 0), (1, 4, 2, 0), (1, 5, 2, 0), (2, 4, 3, 0), (2, 4, 4, 0), (2, 5, 7, 1))
    dead = np.array([(0, 0, 9), (0, 2, 7), (0, 2, 8)], DEAD_WIRES.dtype)
    true = deposits(
        (4, (1, 2, 3), 0, 1, 2.0),
        (4, (1, 2, 3), 1, 0, 1.0),
        (5, (1, 2, 7), 1, 0, 4.0),
        (5, (1, 3, 7), 1, 0, 0.5),  # wire 3 of plane 1 works and saw nothing
        (5, (9, 2, 8), 0, 1, 8.0),  # two dead wires
        (-1, (1, 2, 3), 0, 1, 99.0),  # the readout was not open
        (4, (1, -1, 3), 2, 2, 99.0),  # no wire there
    )
    found = triplets((0, 2, 4), (0, 2, 5), (1, 3, 6))
    return true, table, dead, found, triplet_rows((4, (1, 1, 2), 5, 2), (5, (1, 1, 0), 1, 1))


def test_by_hand(event):
    counts, particles, occupancy = score_event(*event, 100)
    assert {name: counts[name] for name in counts if name.startswith("n_")} == {
        "n_pixels": 6, "n_dead_pixels": 1, "n_triplets": 3, "n_triplets_dead": 1, "n_good": 2, "n_good_dead": 1,
        "n_unknown": 0, "n_unknown_dead": 0, "n_found": 6, "n_rows": 2, "n_capped": 1,
    }  # fmt: skip
    # Two particles in the first cell are one cell.
    assert [counts[f"cells_{state}"] for state in STATES] == [1, 1, 1, 1]
    assert [counts[f"found_{state}"] for state in STATES] == [1, 1, 0, 0]
    assert [counts[f"energy_{state}"] for state in STATES] == [3, 4, 0.5, 8]
    assert [counts[f"found_energy_{state}"] for state in STATES] == [3, 4, 0, 0]
    assert particles.to_dict("list") == {
        "particle": [0, 1], "class": [1, 0], "energy": [10, 5.5], "n_cells": [2, 3], "n_found": [1, 2],
    }  # fmt: skip
    by_pixels = occupancy.set_index("low")[["high", "n_rows", "n_pixels", "n_triplets", "n_good"]]
    assert by_pixels.loc[2].tolist() == [3, 1, 2, 1, 1]
    assert by_pixels.loc[4].tolist() == [5, 1, 4, 2, 1]


def test_metrics_by_hand(event):
    counts, _, _ = score_event(*event, 100)
    values = metrics(pd.DataFrame([counts])).iloc[0]
    assert values["efficiency"] == 0.5
    assert values["electron_efficiency"] == pytest.approx(300 / 500)
    assert values["energy_efficiency"] == pytest.approx(7 / 15.5)
    assert values["efficiency_live"] == values["efficiency_one_dead"] == 1
    assert values["lost_dead"] == values["lost_below"] == 0.25
    assert values["ghost_share"] == pytest.approx(1 / 3)
    assert values["ghost_share_live"] == 0.5
    assert values["ghost_share_dead"] == 0
    assert values["dead_share"] == pytest.approx(1 / 3)
    assert values["per_pixel"] == 0.5
    assert values["capped_rows"] == 0.5
    assert values["dropped"] == 0.5


def test_cells_with_few_electrons_are_neither_true_nor_ghosts(event):
    # Two particles leave 200 electrons in the first cell, the others have 100.
    counts, particles, occupancy = score_event(*event, 101)
    assert [counts[f"cells_{state}"] for state in STATES] == [1, 0, 0, 0]
    assert [counts[f"found_{state}"] for state in STATES] == [1, 0, 0, 0]
    assert [counts[f"electrons_{state}"] for state in STATES] == [200, 100, 100, 100]
    assert [counts[f"found_electrons_{state}"] for state in STATES] == [200, 100, 0, 0]
    assert [counts[name] for name in ("n_good", "n_unknown", "n_unknown_dead")] == [1, 1, 1]
    assert particles["n_cells"].tolist() == particles["n_found"].tolist() == [1, 1]
    assert occupancy[["n_triplets", "n_known", "n_good"]].sum().tolist() == [3, 2, 1]
    values = metrics(pd.DataFrame([counts])).iloc[0]
    assert values["efficiency"] == 1
    assert values["electron_efficiency"] == pytest.approx(300 / 500)
    assert values["ghost_share"] == 0.5
    assert values["unknown_share"] == pytest.approx(1 / 3)
    assert np.isnan(values["ghost_share_dead"])


def test_metrics_are_those_of_the_sum(event):
    first, _, _ = score_event(*event, 100)
    second = {name: 3 * value for name, value in first.items()}
    both = pd.DataFrame([first, second])
    assert metrics(pool(both)).iloc[0].to_dict() == pytest.approx(metrics(both).iloc[0].to_dict())


@pytest.mark.parametrize("empty", [(True, True), (True, False), (False, True)])
def test_nothing_there(event, empty):
    true, table, dead, found, rows = event
    no_truth, no_pixels = empty
    true = true[:0] if no_truth else true
    if no_pixels:
        table, found, rows = table[:0], found[:0], rows[:0]
    counts, particles, occupancy = score_event(true, table, dead, found, rows, 100)
    values = metrics(pd.DataFrame([counts])).iloc[0]
    assert np.isnan(values["efficiency"]) == no_truth
    assert np.isnan(values["ghost_share"]) == no_pixels
    if no_truth and not no_pixels:
        assert values["ghost_share"] == 1
        assert len(particles) == 0
    if no_pixels:
        assert len(occupancy) == 0
        # What was live is below threshold now; dead wires stay dead.
        assert no_truth or [counts[f"cells_{state}"] for state in STATES] == [0, 0, 3, 1]


def test_a_pixel_on_a_wire_that_is_said_to_be_dead_is_live(event):
    true, table, dead, found, rows = event
    counts, _, _ = score_event(true, table, np.append(dead, np.array([(0, 0, 1)], DEAD_WIRES.dtype)), found, rows, 100)
    assert [counts[f"cells_{state}"] for state in STATES] == [1, 1, 1, 1]
