"""Truth of triplets from what made their pixels, where it is not known where in space that was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from triplet_detectors import SIXTY

from weft.detector.wires import Detector
from weft.io.deposits import WIRE_DEPOSITS
from weft.io.wire_products import PIXEL_TRUTH, PIXELS, TRIPLETS
from weft.triplets.build import build_triplets
from weft.triplets.options import TripletOptions
from weft.triplets.pixel_truth import IONISATION_ENERGY, deposits_from_pixels, label_from_pixels
from weft.triplets.truth import label_triplets

ONE = Detector("one", (SIXTY,))
GHOST, GOOD, UNKNOWN = 0, 1, -1


def event_of(lit, dead=()):
    """lit: (plane, row, wire); dead: (plane, wire)."""
    masks = tuple(np.zeros(plane.wires, bool) for plane in SIXTY.planes)
    for plane, wire in dead:
        masks[plane][wire] = True
    pixels = np.array([(0, *pixel, 50, 0) for pixel in lit], PIXELS.dtype)
    return build_triplets(ONE, pixels, (masks,), TripletOptions())


def truth_of(*rows):
    """`PIXEL_TRUTH` of (plane, row, wire, particle, energy, known), sorted as stores have it."""
    truth = np.zeros(len(rows), PIXEL_TRUTH.dtype)
    for k, (plane, row, wire, particle, energy, known) in enumerate(rows):
        truth[k] = (0, plane, row, wire, particle, 1, energy, known)
    return np.sort(truth, order=["tpc", "plane", "row", "wire", "particle"])


# w_Y = w_U + w_V − 20.5: these three close.
PLACE = [(0, 4, 15), (1, 4, 15), (2, 4, 9)]


@pytest.mark.parametrize(
    ("sets", "known", "expected"),
    [
        (({1}, {1}, {1}), (1, 1, 1), (GOOD, 1)),
        (({1, 2}, {2}, {2, 3}), (1, 1, 1), (GOOD, 2)),
        (({1, 2}, {2, 1}, {1, 2}), (0, 0, 0), (GOOD, 2)),  # 2 has more energy; a cosmic ray on top does not matter
        (({1}, {2}, {1}), (1, 1, 1), (GHOST, -1)),
        (({1, 2}, {2, 3}, {1, 3}), (1, 1, 1), (GHOST, -1)),  # each two share one, no particle is in all three
        (({1}, {2}, {1}), (1, 0, 1), (UNKNOWN, -1)),
        (({1}, {1}, None), (1, 1, None), (UNKNOWN, -1)),
        ((None, None, None), (None, None, None), (UNKNOWN, -1)),
        (({-1}, {-1}, {-1}), (1, 1, 1), (GHOST, -1)),  # known to be of no particle: noise
    ],
)
def test_by_hand(sets, known, expected):
    event = event_of(PLACE)
    rows = [
        (*place, particle, 0.5 * (particle + 1), of)
        for place, particles, of in zip(PLACE, sets, known, strict=True)
        for particle in particles or ()
    ]
    (label,) = label_from_pixels(event.pixels, event.triplets, truth_of(*rows), 0)
    assert (label["good"], label["particle"]) == expected
    assert label["class"] == (1 if expected[0] == GOOD else -1)


def test_energy_is_the_mean_of_the_planes():
    event = event_of(PLACE)
    truth = truth_of((*PLACE[0], 7, 1.0, 1), (*PLACE[1], 7, 2.0, 1), (*PLACE[2], 7, 4.5, 1), (*PLACE[2], 8, 4.5, 1))
    deposits, known = deposits_from_pixels(event.pixels, event.triplets, truth)
    assert known.tolist() == [True] * 3
    (deposit,) = deposits
    assert deposit["energy"] == pytest.approx(2.5)
    assert deposit["electrons"] == pytest.approx(2.5 / IONISATION_ENERGY, rel=1e-5)
    assert deposit[["tpc", "row", "wire_0", "wire_1", "wire_2", "particle"]].tolist() == (0, 4, 15, 15, 9, 7)
    assert [deposit[a] for a in "xyz"] == [event.triplets[a][0] for a in "xyz"]


def test_a_dead_wire_says_nothing():
    event = event_of(PLACE[:2], dead=[(2, 9)])
    assert len(event.triplets) == 1
    for second, known, expected in ((1, 1, GOOD), (2, 1, GHOST), (2, 0, UNKNOWN)):
        truth = truth_of((*PLACE[0], 1, 1.0, 1), (*PLACE[1], second, 3.0, known))
        (label,) = label_from_pixels(event.pixels, event.triplets, truth, 0)
        assert label["good"] == expected
    assert label_from_pixels(event.pixels, event.triplets, truth_of(), 0)["good"].tolist() == [UNKNOWN]


def test_nothing():
    empty = event_of([])
    assert len(label_from_pixels(empty.pixels, empty.triplets, truth_of(), 0)) == 0
    assert len(label_from_pixels(empty.pixels, empty.triplets, truth_of((*PLACE[0], 1, 1.0, 1)), 0)) == 0


@given(st.integers(0, 10**6))
def test_against_sets_and_against_the_exact_truth(seed):
    """The same as with Python's sets; what is exactly good is good here too, and ghosts here are ghosts."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(0, 0.89, 30), rng.uniform(-4, 4, (30, 2))])
    wires, rows, owner = SIXTY.wires(points), SIXTY.rows(points[:, 0]), rng.integers(0, 4, 30)
    inside = (wires >= 0).all(axis=1)
    wires, rows, owner = wires[inside], rows[inside], owner[inside]
    exact = np.zeros(len(rows), WIRE_DEPOSITS.dtype)
    exact["row"], exact["particle"], exact["electrons"] = rows, owner, 100
    for p in range(3):
        exact[f"wire_{p}"] = wires[:, p]
    origin: dict[tuple, set] = {}
    for row, whose, of in zip(rows.tolist(), owner.tolist(), wires.tolist(), strict=True):
        for p in range(3):
            origin.setdefault((p, row, of[p]), set()).add(whose)
    event = event_of(sorted(origin))
    unsure = {place for place in origin if rng.random() < 0.2}
    truth = truth_of(*((*place, whose, 1.0, int(place not in unsure)) for place, of in origin.items() for whose in of))
    found = label_from_pixels(event.pixels, event.triplets, truth, 0)["good"]
    expected = []
    for triplet in event.triplets:
        members = [event.pixels[triplet[f"pixel_{p}"]] for p in range(3)]
        places = [(p, int(m["row"]), int(m["wire"])) for p, m in enumerate(members)]
        shared = set.intersection(*(origin[place] for place in places))
        expected.append(GOOD if shared else UNKNOWN if unsure & set(places) else GHOST)
    assert found.tolist() == expected
    good = label_triplets(event.pixels, event.triplets, exact, 0)["good"] == GOOD
    assert (found[good] == GOOD).all()


def test_the_order_of_triplets_does_not_matter():
    lit = [(p, 4, w) for p, some in enumerate(([14, 15, 16], [14, 15, 16], [8, 9, 10])) for w in some]
    event = event_of(lit)
    truth = truth_of(*((*pixel, k % 3, 1.0 + k, k % 2) for k, pixel in enumerate(lit)))
    order = np.random.default_rng(0).permutation(len(event.triplets))
    whole = label_from_pixels(event.pixels, event.triplets, truth, 0)
    shuffled = label_from_pixels(event.pixels, event.triplets[order].astype(TRIPLETS.dtype), truth, 0)
    assert len(order) > 5
    assert {GHOST, UNKNOWN} < set(whole["good"].tolist())
    assert (shuffled == whole[order]).all()
