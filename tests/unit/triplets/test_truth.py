import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from triplet_detectors import SIXTY, random_tpc

from weft.detector.wires import Detector
from weft.io.deposits import WIRE_DEPOSITS
from weft.io.wire_products import PIXELS, TRIPLET_TRUTH
from weft.triplets.build import build_triplets
from weft.triplets.options import TripletOptions
from weft.triplets.truth import label_triplets, true_cells

TWO = Detector("two", (SIXTY, SIXTY))


def deposits(*rows):
    """`WIRE_DEPOSITS` of (tpc, row, w0, w1, w2, particle, class, electrons, energy)."""
    return np.array([(*row, 0, 0, 0) for row in rows], WIRE_DEPOSITS.dtype)


def no_dead(detector):
    return tuple(tuple(np.zeros(plane.wires, bool) for plane in tpc.planes) for tpc in detector.tpcs)


def event_of(*cells, dead=()):
    """The event in which the pixels of cells (tpc, row, w0, w1, w2) are live, but those on dead wires."""
    masks = no_dead(TWO)
    for tpc, plane, wire in dead:
        masks[tpc][plane][wire] = True
    lit = {(t, p, row, w) for t, row, *wires in cells for p, w in enumerate(wires) if not masks[t][p][w]}
    return build_triplets(TWO, np.array([(*pixel, 50, 0) for pixel in lit], PIXELS.dtype), masks, TripletOptions())


def cells_of(event):
    members = [event.pixels[event.triplets[f"pixel_{p}"]] for p in range(3)]
    columns = [members[0]["tpc"], members[0]["row"], *(member["wire"] for member in members)]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_by_hand():
    # w_Y = w_U + w_V − 20.5. Two points of one row, (15, 15, 9) and (16, 14, 10), make six more triplets.
    event = event_of((0, 4, 15, 15, 9), (0, 4, 16, 14, 10))
    true = deposits(
        (0, 4, 16, 14, 10, 3, 1, 100, 0.5),
        (0, 4, 15, 15, 9, 2, 0, 400, 0.25),
        (0, 4, 15, 15, 9, 1, 1, 300, 2.5),
        (0, 4, 15, 15, 9, 7, 4, 300, 0.0),
        (0, 5, 15, 14, 9, 1, 1, 900, 2.5),  # another row, another volume, not seen by a plane, not read out
        (1, 4, 15, 14, 9, 1, 1, 900, 2.5),
        (0, 4, 15, 14, -1, 1, 1, 900, 2.5),
        (0, -1, 15, 14, 9, 1, 1, 900, 2.5),
    )
    truth = label_triplets(event.pixels, event.triplets, true, 0)
    assert truth.dtype == TRIPLET_TRUTH.dtype
    labels = dict(zip(cells_of(event), truth.tolist(), strict=True))
    assert len(labels) > 4
    assert labels.pop((0, 4, 15, 15, 9)) == (1, 1000, 2.75, 2, 0)
    assert labels.pop((0, 4, 16, 14, 10)) == (1, 100, 0.5, 3, 1)
    assert set(labels.values()) == {(0, 0, 0, -1, -1)}


def test_equal_shares_go_to_the_lower_row():
    event = event_of((0, 4, 15, 15, 9))
    for order in ([0, 1], [1, 0]):
        true = deposits((0, 4, 15, 15, 9, 2, 0, 400, 1), (0, 4, 15, 15, 9, 1, 1, 400, 1))[order]
        assert label_triplets(event.pixels, event.triplets, true, 0)[["particle", "class"]].tolist() == [(1, 1)]


def test_the_other_volume():
    event = event_of((0, 4, 15, 15, 9), (1, 4, 15, 15, 9))
    truth = label_triplets(event.pixels, event.triplets, deposits((1, 4, 15, 15, 9, 0, 1, 10, 1)), 0)
    assert truth["good"].tolist() == [0, 1]


def test_a_dead_wire_has_a_truth_too():
    event = event_of((0, 4, 15, 15, 9), dead=[(0, 2, 9), (0, 2, 10)])
    assert cells_of(event) == [(0, 4, 15, 15, 9), (0, 4, 15, 15, 10)]
    truth = label_triplets(event.pixels, event.triplets, deposits((0, 4, 15, 15, 9, 0, 1, 10, 1)), 0)
    assert truth["good"].tolist() == [1, 0]


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_pixels_of_unknown_origin(plane):
    event = event_of((0, 4, 15, 15, 9), (0, 4, 16, 14, 10), (1, 4, 15, 15, 9), dead=[(0, 2, 11)])
    cells = cells_of(event)
    known = np.ones(len(event.pixels), bool)
    wires = (15, 15, 9)
    at = (event.pixels["tpc"] == 0) & (event.pixels["plane"] == plane) & (event.pixels["wire"] == wires[plane])
    known[at | (event.pixels["dead"] != 0)] = False  # a dead pixel has no origin that could be unknown
    truth = label_triplets(event.pixels, event.triplets, deposits((0, 4, 15, 15, 9, 0, 1, 10, 1)), 0, known)
    for cell, good in zip(cells, truth["good"].tolist(), strict=True):
        unknown = cell[0] == 0 and cell[2 + plane] == wires[plane]
        assert good == (1 if cell == (0, 4, 15, 15, 9) else -1 if unknown else 0)
    assert {-1, 0, 1} == set(truth["good"].tolist())


@given(st.integers(0, 10**6))
def test_every_seen_deposit_makes_one_good_triplet(seed):
    """Candidate efficiency is 1 without noise, and nothing else is good (specs/larmatch.md §12.3, §12.5)."""
    rng = np.random.default_rng(seed)
    tpc = random_tpc(seed, wires=40)
    detector = Detector("any", (tpc,))
    position = np.column_stack([rng.uniform(0, 0.89, 100), rng.uniform(-9, 9, (100, 2))])
    wires, rows = tpc.wires(position), tpc.rows(position[:, 0])
    true = deposits(*((0, row, *w, 0, 1, 100, 1) for row, w in zip(rows, wires, strict=True)))
    lit = {(0, p, row, w[p]) for row, w in zip(rows, wires, strict=True) for p in range(3) if w[p] >= 0}
    pixels = np.array([(*pixel, 50, 0) for pixel in lit], PIXELS.dtype)
    event = build_triplets(detector, pixels, no_dead(detector), TripletOptions())
    truth = label_triplets(event.pixels, event.triplets, true, 0)
    seen = {(0, int(row), *map(int, w)) for row, w in zip(rows, wires, strict=True) if (w >= 0).all()}
    good = {cell for cell, label in zip(cells_of(event), truth["good"], strict=True) if label == 1}
    assert good == seen

    elsewhere = true.copy()
    elsewhere["row"] = (true["row"] + 1) % 3
    moved = label_triplets(event.pixels, event.triplets, elsewhere, 0)
    cells = {(0, int(d["row"]), int(d["wire_0"]), int(d["wire_1"]), int(d["wire_2"])) for d in elsewhere}
    assert (moved["good"] == [cell in cells for cell in cells_of(event)]).all()


@pytest.mark.parametrize(("min_electrons", "states"), [(0, [1, 1]), (100, [1, 1]), (101, [-1, 1]), (1001, [-1, -1])])
def test_few_electrons_make_neither_a_point_nor_a_ghost(min_electrons, states):
    event = event_of((0, 4, 15, 15, 9), (0, 4, 16, 14, 10))
    true = deposits(
        (0, 4, 15, 15, 9, 2, 0, 60, 0.25),
        (0, 4, 15, 15, 9, 1, 1, 40, 0.5),  # the electrons of a cell are those of all particles
        (0, 4, 16, 14, 10, 3, 1, 1000, 0.5),
    )
    unseen = np.zeros(len(event.pixels), bool)
    truth = label_triplets(event.pixels, event.triplets, true, min_electrons)
    labels = dict(zip(cells_of(event), truth.tolist(), strict=True))
    found = [labels.pop((0, 4, 15, 15, 9)), labels.pop((0, 4, 16, 14, 10))]
    assert [label[0] for label in found] == states
    assert [label[1:] for label in found] == [(100, 0.75, 2, 0), (1000, 0.5, 3, 1)]  # what arrived is said all the same
    assert {label[0] for label in labels.values()} == {0}
    # Whether a pixel's origin is known matters where no electrons arrived only.
    truth = label_triplets(event.pixels, event.triplets, true, min_electrons, unseen)
    assert sorted(truth["good"].tolist()) == sorted([*states, *[-1] * len(labels)])
    cells = true_cells(true, min_electrons)
    assert len(cells) == 2 * (states[0] == 1) + (states[1] == 1)


def test_cells_in_any_order_are_the_same():
    rng = np.random.default_rng(0)
    event = event_of(*((0, row, 15, 15, 9) for row in range(3, 8)))
    rows = [(0, 3 + k % 5, 15, 15, 9, k, 1, 100 * (k + 1), 0.1 * k) for k in range(20)]
    truth = [label_triplets(event.pixels, event.triplets, deposits(*rows)[rng.permutation(20)], 2500) for _ in range(5)]
    assert all((one == truth[0]).all() for one in truth)
    assert truth[0]["particle"].tolist().count(-1) == len(truth[0]) - 5


def test_nothing_to_label_and_nothing_true():
    event = event_of((0, 4, 15, 15, 9))
    assert label_triplets(event.pixels, event.triplets, deposits(), 0)["good"].tolist() == [0]
    empty = build_triplets(TWO, np.zeros(0, PIXELS.dtype), no_dead(TWO), TripletOptions())
    assert len(label_triplets(empty.pixels, empty.triplets, deposits((0, 4, 15, 15, 9, 0, 1, 1, 1)), 0)) == 0
    nobody = np.zeros(len(event.pixels), bool)
    assert label_triplets(event.pixels, event.triplets, deposits(), 0, nobody)["good"].tolist() == [-1]


def test_energy_whose_electrons_were_all_lost_makes_no_triplet_good():
    event = event_of((0, 4, 15, 15, 9), (0, 4, 16, 14, 10))
    truth = label_triplets(event.pixels, event.triplets, deposits((0, 4, 15, 15, 9, 2, 0, 0, 0.25)), 0)
    assert set(truth["good"].tolist()) == {0}
    assert truth["energy"].sum() == 0
