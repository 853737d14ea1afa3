import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from triplet_detectors import SIXTY, random_tpc

from weft.detector.wires import Detector
from weft.errors import WeftError
from weft.io.products import Schema
from weft.io.wire_products import PIXELS, TRIPLET_ROWS, TRIPLETS
from weft.triplets.build import build_triplets
from weft.triplets.options import TripletOptions
from weft.triplets.search import Rows, find_triplets

ONE = Detector("one", (SIXTY,))
TWO = Detector("two", (SIXTY, SIXTY))


def pixels(*rows):
    """`PIXELS` of (tpc, plane, row, wire, charge)."""
    return np.array([(*row, 0) for row in rows], PIXELS.dtype)


def masks(detector, *dead):
    found = tuple(tuple(np.zeros(plane.wires, bool) for plane in tpc.planes) for tpc in detector.tpcs)
    for tpc, plane, wire in dead:
        found[tpc][plane][wire] = True
    return found


def random_event(detector, seed):
    rng = np.random.default_rng(seed)
    rows = [
        (t, p, row, wire, rng.uniform(10, 99))
        for t, tpc in enumerate(detector.tpcs)
        for p, plane in enumerate(tpc.planes)
        for row in range(tpc.readout.rows)
        for wire in np.flatnonzero(rng.random(plane.wires) < 0.3)
    ]
    dead = [
        (t, p, wire)
        for t, tpc in enumerate(detector.tpcs)
        for p, plane in enumerate(tpc.planes)
        for wire in np.flatnonzero(rng.random(plane.wires) < 0.2)
    ]
    return pixels(*rows), masks(detector, *dead)


def test_by_hand():
    # w_Y = w_U + w_V − 20.5; wire 9 of Y is dead, and 10 has a pixel
    given = pixels((0, 2, 4, 10, 30), (0, 0, 4, 15, 10), (0, 1, 4, 15, 20), (0, 1, 6, 3, 9.9), (0, 2, 4, 2, 40))
    event = build_triplets(ONE, given, masks(ONE, (0, 2, 9)), TripletOptions())
    names = ["plane", "row", "wire", "charge", "dead"]
    assert event.pixels[names].tolist() == [
        (0, 4, 15, 10, 0), (1, 4, 15, 20, 0), (2, 4, 2, 40, 0), (2, 4, 9, 0, 1), (2, 4, 10, 30, 0)
    ]  # fmt: skip
    assert event.triplets[["pixel_0", "pixel_1", "pixel_2"]].tolist() == [(0, 1, 3), (0, 1, 4)]
    assert event.rows.tolist() == [(0, 4, 1, 1, 2, 2, 2)]
    assert event.dropped == 0
    # rows of 0.3 cm, row 4 from the anode at x = 0
    assert np.allclose(event.triplets["x"], 1.35)
    # wires of U and V cross at y = z = 0, that of Y is at z = ∓0.15: 2·(z/2)² + (z ± 0.15)² is least at z = ∓0.1
    assert np.allclose(event.triplets["y"], 0, atol=1e-6)
    assert np.allclose(event.triplets["z"], [-0.1, 0.1])


@given(st.integers(0, 10**6), st.sampled_from([None, 5]))
def test_triplets_are_those_of_the_search_and_point_at_their_pixels(seed, cap):
    detector = Detector("any", (random_tpc(seed), random_tpc(seed + 1)))
    given_pixels, dead = random_event(detector, seed)
    options = TripletOptions(max_per_row=cap)
    event = build_triplets(detector, given_pixels, dead, options)
    for schema, values in ((PIXELS, event.pixels), (TRIPLETS, event.triplets), (TRIPLET_ROWS, event.rows)):
        assert isinstance(schema, Schema)
        assert values.dtype == schema.dtype

    members = [event.pixels[event.triplets[f"pixel_{p}"]] for p in range(3)]
    for p, member in enumerate(members):
        assert (member["plane"] == p).all()
        assert np.array_equal(member["row"], members[0]["row"])
        assert np.array_equal(member["tpc"], members[0]["tpc"])
    assert (sum(member["dead"].astype(int) for member in members) <= 1).all()

    for number, tpc in enumerate(detector.tpcs):
        mine = given_pixels[given_pixels["tpc"] == number]
        live = [mine[mine["plane"] == p] for p in range(3)]
        found = find_triplets(tpc, tuple(Rows.of(a["row"], a["wire"], 3) for a in live), dead[number], options)
        which = members[0]["tpc"] == number
        assert np.array_equal(np.column_stack([member["wire"][which] for member in members]), found.wires)
        assert np.array_equal(members[0]["row"][which], found.row)
        where = tpc.position(found.wires, found.row)
        for axis, name in enumerate("xyz"):
            assert np.allclose(event.triplets[name][which], where[:, axis], atol=1e-5)

    order = np.stack([event.pixels[name] for name in ("tpc", "plane", "row", "wire")], axis=1)
    assert len(np.unique(order, axis=0)) == len(order), "each pixel once (specs/larmatch.md §12.10)"
    assert np.array_equal(np.unique(order, axis=0), order)
    living = event.pixels[event.pixels["dead"] == 0]
    assert np.array_equal(living, np.sort(given_pixels, order=["tpc", "plane", "row", "wire"])), "all given ones, once"
    gone = np.flatnonzero(event.pixels["dead"])
    used = np.unique(np.concatenate([event.triplets[f"pixel_{p}"] for p in range(3)]))
    assert np.isin(gone, used).all(), "a dead pixel is there for a triplet"
    assert (event.pixels["charge"][gone] == 0).all()
    assert event.rows["kept"].sum() == len(event.triplets)
    assert event.dropped == (event.rows["found"] - event.rows["kept"]).sum()
    assert event.dropped == 0 or cap == 5
    for p in range(3):
        assert event.rows[f"live_{p}"].sum() == (given_pixels["plane"] == p).sum()


@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_the_order_of_pixels_does_not_matter(seed, random):
    detector = Detector("any", (random_tpc(seed),))
    given_pixels, dead = random_event(detector, seed)
    shuffled = given_pixels[random.sample(range(len(given_pixels)), len(given_pixels))]
    options = TripletOptions(max_per_row=7)
    one, other = (build_triplets(detector, p, dead, options) for p in (given_pixels, shuffled))
    assert np.array_equal(one.pixels, other.pixels)
    assert np.array_equal(one.triplets, other.triplets)
    assert np.array_equal(one.rows, other.rows)


def test_volumes_do_not_mix():
    split = pixels((0, 0, 4, 15, 20), (0, 1, 4, 15, 20), (1, 2, 4, 9, 20))
    assert len(build_triplets(TWO, split, masks(TWO), TripletOptions()).triplets) == 0
    second = pixels((1, 0, 4, 15, 20), (1, 1, 4, 15, 20), (1, 2, 4, 9, 20), (0, 1, 4, 15, 20))
    event = build_triplets(TWO, second, masks(TWO), TripletOptions())
    assert event.triplets[["pixel_0", "pixel_1", "pixel_2"]].tolist() == [(1, 2, 3)]
    assert event.rows[["tpc", "row", "kept"]].tolist() == [(0, 4, 0), (1, 4, 1)]


def test_the_threshold_is_part_of_the_rule():
    given = pixels((0, 0, 4, 15, 19.9), (0, 1, 4, 15, 20), (0, 2, 4, 9, 20))
    assert len(build_triplets(ONE, given, masks(ONE), TripletOptions(threshold=19)).triplets) == 1
    event = build_triplets(ONE, given, masks(ONE), TripletOptions(threshold=20))
    assert (len(event.triplets), len(event.pixels)) == (0, 2)


@pytest.mark.parametrize("rows", [[], [(0, 0, 1, 3, 20)], [(0, 0, 1, 3, 20), (0, 1, 2, 3, 20)]])
def test_events_without_triplets(rows):
    event = build_triplets(ONE, pixels(*rows), masks(ONE), TripletOptions())
    assert len(event.triplets) == 0
    assert len(event.pixels) == len(event.rows) == len(rows)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((1, 0, 4, 15, 20), "tpc 1, plane 0, row 4, wire 15 is not one of the detector one"),
        ((0, 3, 4, 15, 20), "plane 3, .* is not one of"),
        ((0, -1, 4, 15, 20), "plane -1, .* is not one of"),
        ((0, 2, 4, 20, 20), "wire 20 is not one of"),
        ((0, 2, 10, 2, 20), "row 10, wire 2 is not one of"),
        ((0, 0, 1, 1, 20), "tpc 0, plane 0, row 1, wire 1 is there twice"),
    ],
)
def test_pixels_that_cannot_be(row, message):
    with pytest.raises(WeftError, match=message):
        build_triplets(ONE, pixels((0, 0, 1, 1, 20), row), masks(ONE), TripletOptions())


def test_dead_pixels_are_not_given():
    wrong = pixels((0, 0, 1, 1, 20))
    wrong["dead"] = 1
    with pytest.raises(WeftError, match="wire 1 is dead; expected pixels with charge"):
        build_triplets(ONE, wrong, masks(ONE), TripletOptions())
